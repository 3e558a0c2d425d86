//! Hashed passwords as they stand in htpasswd files.

use crate::limits::{AUTH_BCRYPT_COST_MAX, AUTH_SHA_ROUNDS_MAX};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha_crypt::password_hash::PasswordVerifier;

/// Whether `password` is the one that `stored` was made of. `Err`: nobody can say, for the reason given. What is compared is compared in
/// constant time.
pub fn verify(stored: &str, password: &[u8]) -> Result<bool, &'static str> {
    let same = |ours: &[u8], theirs: &[u8]| Ok(verify_slices_are_equal(ours, theirs).is_ok());
    if let Some(plain) = stored.strip_prefix("{PLAIN}") {
        return same(plain.as_bytes(), password);
    }
    if let Some(encoded) = stored.strip_prefix("{SHA}") {
        let sum = STANDARD.decode(encoded).map_err(|_| "what follows {SHA} is not base64")?;
        return same(&sum, &sha1(password, b""));
    }
    if let Some(encoded) = stored.strip_prefix("{SSHA}") {
        let decoded = STANDARD.decode(encoded).map_err(|_| "what follows {SSHA} is not base64")?;
        let (sum, salt) = decoded.split_at_checked(20).ok_or("what follows {SSHA} is too short")?;
        return same(sum, &sha1(password, salt));
    }
    match stored.split('$').collect::<Vec<_>>()[..] {
        ["", version @ ("apr1" | "1"), salt, sum] => {
            let salt = &salt.as_bytes()[..salt.len().min(8)];
            same(sum.as_bytes(), md5_crypt(version, salt, password).as_bytes())
        }
        ["", "2a" | "2b" | "2y", cost, _] => {
            if cost.parse().is_ok_and(|cost: u32| cost > AUTH_BCRYPT_COST_MAX) {
                return Err("bcrypt's cost is so high that one look takes minutes");
            }
            bcrypt::verify(password, stored).map_err(|_| "this is no whole bcrypt hash")
        }
        ["", "5" | "6", ref rest @ ..] => {
            let rounds = rest.first().and_then(|first| first.strip_prefix("rounds="));
            if rounds.is_some_and(|rounds| rounds.parse().is_ok_and(|rounds: u32| rounds > AUTH_SHA_ROUNDS_MAX)) {
                return Err("it has so many rounds that one look takes minutes");
            }
            use sha_crypt::password_hash::Error;
            match sha_crypt::ShaCrypt::default().verify_password(password, stored) {
                Ok(()) => Ok(true),
                Err(Error::PasswordInvalid) => Ok(false),
                Err(_) => Err("this is no whole SHA-crypt hash"),
            }
        }
        [_] if stored.len() == 13 => Err("DES crypt is not secure and not supported: make it anew (htpasswd -B)"),
        _ => Err("this kind of hash is not known: make it anew (htpasswd -B)"),
    }
}

fn sha1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(password);
    context.update(salt);
    context.finish().as_ref().to_vec()
}

/// FreeBSD's MD5 crypt (`1`) and Apache's (`apr1`), which differ in that name only. The odd steps are the algorithm's.
fn md5_crypt(version: &str, salt: &[u8], password: &[u8]) -> String {
    let sum_of = |parts: &[&[u8]]| -> [u8; 16] {
        let mut md5 = Md5::new();
        parts.iter().for_each(|part| md5.update(part));
        md5.finalize().into()
    };
    let mut sum = sum_of(&[password, salt, password]);
    let mut md5 = Md5::new();
    [password, b"$", version.as_bytes(), b"$", salt].iter().for_each(|part| md5.update(part));
    for piece in password.chunks(16) {
        md5.update(&sum[..piece.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        md5.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    sum = md5.finalize().into();
    for round in 0..1000 {
        let (first, last): (&[u8], &[u8]) = if round % 2 == 1 { (password, &sum) } else { (&sum, password) };
        let salt = if round % 3 != 0 { salt } else { b"" };
        let middle = if round % 7 != 0 { password } else { b"" };
        sum = sum_of(&[first, salt, middle, last]);
    }
    let mut text = String::with_capacity(22);
    let mut put = |mut bits: u32, digits: usize| {
        for _ in 0..digits {
            const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
            text.push(char::from(DIGITS[(bits & 63) as usize]));
            bits >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        put(u32::from(sum[a]) << 16 | u32::from(sum[b]) << 8 | u32::from(sum[c]), 4);
    }
    put(u32::from(sum[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by OpenSSL's `passwd`, by libxcrypt and by Python's hashlib, of "secret pass".
    #[test]
    fn what_other_programs_hashed_is_verified() {
        let rows = [
            "$apr1$abcdefgh$ZAdX7G.l3eDbgTYbm5ePE0",
            "$apr1$x$hSw5lBPr5VgDAlT.tRt8R1",
            "$1$abcdefgh$Rur9vjR3qTr2ktYAC0ctB.",
            "$1$x$cMSEzRDSNYtQlVbMI1eF30",
            "$5$abcdefgh$tHz2GLlo5y1zd11L6fWGP/048rnwaZWPLK2Sr4oRZR9",
            "$5$x$VPNIywPNC41DhK8d7GXmdXoY4dYwu1oT2NmWmaYehDD",
            "$5$rounds=1000$salt$ltDTOhDjBQylmrt1S/oQx2LWxNS0f8G./MMAO4E/1r0",
            "$6$abcdefgh$T2WXtwktTC2b5B5eLgYoBNSaruzkNaEhxCMZO6BjUUifAydP30r5J1X72mBVJN1tky9srX4MgNXnjeofwkiU51",
            "$6$x$FikizkO3mUvqcpoEU0B0pSfTYxS9XXMr3L3zdHJQCA4j7HUg9m1b6RSRYbr6KRjErzKejR9lvOM7epQhMioXE/",
            "$6$rounds=1000$salt$L4y4sxvZh1GmDz8SGAsJzfMfhweuQep.bI9YTuC2oz.F1vjXT/XASsNO7ozxyn41G5KfOUDed2gIQFAYpHxgp1",
            "$2y$05$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS",
            "$2b$04$abcdefghijklmnopqrstuu1Zbm2zGLePX9VTooeg0fAVe2y9a/dMu",
            "$2a$04$abcdefghijklmnopqrstuu1Zbm2zGLePX9VTooeg0fAVe2y9a/dMu",
            "{SHA}O1hAcUlX7zkBbV+/3rmbDfUlbNM=",
            "{SSHA}t0FqK/zuD7c+eUt/5FsWSzkVI81zYWx0",
            "{PLAIN}secret pass",
        ];
        for stored in rows {
            assert_eq!(verify(stored, b"secret pass"), Ok(true), "{stored}");
            for wrong in ["", "secret", "Secret pass", "secret pass ", "secret pass\u{e9}"] {
                assert_eq!(verify(stored, wrong.as_bytes()), Ok(false), "{stored}: {wrong}");
            }
            // Another sum, of the same length.
            let last = stored.len() - if stored.ends_with('=') { 3 } else { 2 };
            let other = if stored.as_bytes()[last] == b'x' { "y" } else { "x" };
            let changed = format!("{}{other}{}", &stored[..last], &stored[last + 1..]);
            assert_eq!(verify(&changed, b"secret pass"), Ok(false), "{changed}");
        }
        assert_eq!(verify("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", b"myPassword"), Ok(true));
        assert_eq!(verify("$apr1$abcd$xc0GS6mcK/RPjawIVUTD1/", b""), Ok(true));
        assert_eq!(verify("$apr1$saltsalt$fZ2FWSFHeLKIzgalEyvnT/", "long".repeat(20).as_bytes()), Ok(true));
        assert_eq!(verify("{PLAIN}", b""), Ok(true));
    }

    #[test]
    fn what_nobody_can_verify_is_said() {
        let rows = [
            ("abvOVwEVZZ8hM", "DES crypt"),
            ("secret pass", "not known"),
            ("", "not known"),
            ("$", "not known"),
            ("$$$", "not known"),
            ("$y$j9T$abc$def", "not known"),
            ("$2x$05$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS", "not known"),
            ("$2y$05$abcdefghijklmnopqrstuu", "no whole bcrypt"),
            ("$2y$xx$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS", "no whole bcrypt"),
            ("$2y$31$abcdefghijklmnopqrstuuFzejfplTChgPyZNQOF2kNcZhBC.ObAS", "cost"),
            ("$2y$05$\u{e9}", "no whole bcrypt"),
            ("$apr1$abc", "not known"),
            ("$5$", "SHA-crypt"),
            ("$6$salt", "SHA-crypt"),
            ("$6$salt$!!!", "SHA-crypt"),
            ("$6$rounds=999999999$salt$abc", "rounds"),
            ("{SHA}!", "base64"),
            ("{SSHA}!", "base64"),
            ("{SSHA}YWJj", "too short"),
            ("{MD5}abc", "not known"),
        ];
        for (stored, part) in rows {
            let why = verify(stored, b"secret pass").unwrap_err();
            assert!(why.contains(part), "{stored}: {why}");
        }
        // A sum that is no sum, and one that is too short: wrong, not right.
        for stored in ["$apr1$abcdefgh$", "{SHA}", "{SHA}YWJj", "$1$$"] {
            assert_eq!(verify(stored, b"secret pass"), Ok(false), "{stored}");
        }
    }
}
