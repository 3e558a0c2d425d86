//! `ssl_ciphers`: OpenSSL's language of cipher lists, as far as rustls has an answer.
//!
//! A list is worked through from left to right: words add suites, `!` bans, `-` removes, `+` moves to the end. What is named but
//! not there is told, because whoever names it may count on it.

use crate::config::plan::Protocols;

/// One suite of TLS 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suite {
    iana: u16,
    /// OpenSSL's name.
    name: &'static str,
    /// The words that mean it and others.
    aliases: [&'static str; 3],
    strength: u16,
}

/// Those of TLS 1.3, which stay whatever the list says, as in OpenSSL.
const TLS13: [(u16, &str); 3] =
    [(0x1302, "TLS_AES_256_GCM_SHA384"), (0x1301, "TLS_AES_128_GCM_SHA256"), (0x1303, "TLS_CHACHA20_POLY1305_SHA256")];

const fn suite(iana: u16, name: &'static str, aliases: [&'static str; 3], strength: u16) -> Suite {
    Suite { iana, name, aliases, strength }
}

/// In OpenSSL's order.
const SUITES: [Suite; 6] = [
    suite(0xC02C, "ECDHE-ECDSA-AES256-GCM-SHA384", ["ECDSA", "AES256", "AESGCM"], 256),
    suite(0xC030, "ECDHE-RSA-AES256-GCM-SHA384", ["aRSA", "AES256", "AESGCM"], 256),
    suite(0xCCA9, "ECDHE-ECDSA-CHACHA20-POLY1305", ["ECDSA", "CHACHA20", "CHACHA20"], 256),
    suite(0xCCA8, "ECDHE-RSA-CHACHA20-POLY1305", ["aRSA", "CHACHA20", "CHACHA20"], 256),
    suite(0xC02B, "ECDHE-ECDSA-AES128-GCM-SHA256", ["ECDSA", "AES128", "AESGCM"], 128),
    suite(0xC02F, "ECDHE-RSA-AES128-GCM-SHA256", ["aRSA", "AES128", "AESGCM"], 128),
];

/// Words that mean all of them.
const ALL: [&str; 10] =
    ["ALL", "DEFAULT", "PROFILE=SYSTEM", "HIGH", "ECDHE", "EECDH", "ECDH", "KECDHE", "KEECDH", "TLSV1.2"];

/// Of those that are named but not there, so many are told by name.
const TOLD: usize = 2;

impl Suite {
    /// Whether a word, or all words of `A+B`, mean it.
    fn is_meant(&self, word: &str) -> bool {
        word.split('+').all(|word| {
            let upper = word.to_ascii_uppercase();
            let iana =
                format!("TLS-{}", self.name.replacen("-AES", "-WITH-AES-", 1).replace("-CHACHA", "-WITH-CHACHA"));
            ALL.contains(&&*upper)
                || upper == self.name
                || upper.replace('_', "-") == iana.replace("POLY1305", "POLY1305-SHA256")
                || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(word))
                || self.aliases[2] == "AESGCM" && ["AES", "FIPS"].contains(&&*upper)
                || self.aliases[0] == "ECDSA" && upper == "AECDSA"
        })
    }
}

/// The suites by their IANA numbers, the best first, and what is to be told about the list. Who names suites of TLS 1.3 only gets
/// no others; see `lack`.
pub fn suites(text: &str) -> Result<(Vec<u16>, Option<String>), String> {
    // OpenSSL's: those in use behind those that can be added, each part in its order.
    let (mut used, mut left): (Vec<Suite>, Vec<Suite>) = (Vec::new(), SUITES.to_vec());
    let mut missing: Vec<&str> = Vec::new();
    let mut of_tls13 = false;
    let separators = [':', ',', ' ', '\t', ';'];
    for word in text.split(separators).filter(|word| !word.is_empty()) {
        let (sign, name) = match word.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+" | "@"), name)) => (sign, name),
            _ => ("", word),
        };
        let meant = |suite: &Suite| suite.is_meant(name);
        match sign {
            "!" => {
                used.retain(|suite| !meant(suite));
                left.retain(|suite| !meant(suite));
            }
            "-" => {
                let (removed, kept) = used.into_iter().partition(meant);
                used = kept;
                left = [removed, left].concat();
            }
            "+" => {
                let (moved, kept): (Vec<_>, Vec<_>) = used.into_iter().partition(meant);
                used = [kept, moved].concat();
            }
            "@" if name == "STRENGTH" => used.sort_by_key(|suite| std::cmp::Reverse(suite.strength)),
            "@" if name.starts_with("SECLEVEL=") => {}
            "@" => return Err(format!("unknown word `{word}`; there are @STRENGTH and @SECLEVEL=")),
            _ => {
                let newer = TLS13.iter().any(|(_, suite)| *suite == name);
                of_tls13 |= newer;
                let known = newer || SUITES.iter().any(meant);
                if !known && !missing.contains(&name) {
                    missing.push(name);
                }
                let (added, kept): (Vec<_>, Vec<_>) = left.into_iter().partition(meant);
                left = kept;
                used.extend(added);
            }
        }
    }
    if used.is_empty() && !of_tls13 {
        return Err(format!(
            "none of these suites is there; rustls has {}, or write \"DEFAULT\"",
            SUITES.map(|suite| suite.name).join(":")
        ));
    }
    let suites = TLS13.iter().map(|(iana, _)| *iana).chain(used.iter().map(|suite| suite.iana)).collect();
    Ok((suites, (!missing.is_empty()).then(|| told(&missing))))
}

/// Why these suites do not suffice for the versions of TLS. `key`: that of the versions.
pub fn lack(suites: &[u16], protocols: Protocols, key: &str) -> Option<String> {
    let only_tls13 = suites.iter().all(|suite| TLS13.iter().any(|(iana, _)| iana == suite));
    (only_tls13 && protocols.tls12).then(|| {
        format!("these suites are for TLS 1.3 only; write {key} = \"TLSv1.3\", or add suites of TLS 1.2, such as HIGH")
    })
}

fn told(missing: &[&str]) -> String {
    let named = missing[..missing.len().min(TOLD)].join(", ");
    let more = match missing.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("rustls does not have {named}{more}: left out")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letters of suites: E for ECDSA, R for RSA, with 2 (AES-256), c (ChaCha20) or 1 (AES-128).
    fn short(text: &str) -> String {
        let (suites, _) = suites(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(suites[..3], [0x1302, 0x1301, 0x1303], "{text}");
        let names = [(0xC02C, "E2"), (0xC030, "R2"), (0xCCA9, "Ec"), (0xCCA8, "Rc"), (0xC02B, "E1"), (0xC02F, "R1")];
        let name = |suite: &u16| names.iter().find(|(iana, _)| iana == suite).map_or("?", |(_, name)| name);
        suites[3..].iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// What `openssl ciphers -s -tls1_2` of OpenSSL 3.0 said of all rows but the marked ones, with all that rustls does not have
    /// taken out.
    #[test]
    fn lists_mean_what_openssl_means() {
        for (text, expected) in ROWS {
            assert_eq!(short(text), expected, "{text}");
        }
    }

    const ROWS: [(&str, &str); 29] = [
        // Fedora's word for its default, which other OpenSSLs refuse.
        ("PROFILE=SYSTEM", "E2 R2 Ec Rc E1 R1"),
        ("kEECDH", "E2 R2 Ec Rc E1 R1"),
        ("DEFAULT", "E2 R2 Ec Rc E1 R1"),
        ("HIGH:!aNULL:!MD5", "E2 R2 Ec Rc E1 R1"),
        ("ALL:!RC4:@STRENGTH", "E2 R2 Ec Rc E1 R1"),
        ("AESGCM", "E2 R2 E1 R1"),
        ("CHACHA20:AESGCM", "Ec Rc E2 R2 E1 R1"),
        ("ECDHE+AESGCM:ECDHE+CHACHA20", "E2 R2 E1 R1 Ec Rc"),
        ("EECDH+ECDSA+AESGCM:EECDH+aRSA+AESGCM", "E2 E1 R2 R1"),
        ("ECDHE+AES128:ECDHE+AES256", "E1 R1 E2 R2"),
        ("HIGH:!AES128", "E2 R2 Ec Rc"),
        ("HIGH:-CHACHA20:CHACHA20", "E2 R2 E1 R1 Ec Rc"),
        ("HIGH:-AESGCM:HIGH", "Ec Rc E2 R2 E1 R1"),
        ("HIGH:!AESGCM:HIGH", "Ec Rc"),
        ("HIGH:+AES256", "Ec Rc E1 R1 E2 R2"),
        ("AES128:CHACHA20:@STRENGTH", "Ec Rc E1 R1"),
        ("AES128:HIGH:@STRENGTH:@SECLEVEL=2", "E2 R2 Ec Rc E1 R1"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "R1"),
        ("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", "R1"),
        ("ECDHE-RSA-AES128-GCM-SHA256, ECDHE-ECDSA-CHACHA20-POLY1305 AES256", "R1 Ec E2 R2"),
        // IANA's names, which OpenSSL does not take.
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "R2"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "Ec"),
        ("TLS_AES_128_GCM_SHA256:aECDSA", "E2 Ec E1"),
        ("kECDHE:!ECDSA", "R2 Rc R1"),
        ("HIGH:!RSA", "E2 R2 Ec Rc E1 R1"),
        ("HIGH:!kRSA:!ADH:!3DES:!SHA1:!SHA256:!SHA384", "E2 R2 Ec Rc E1 R1"),
        ("FIPS:!AES256", "E1 R1"),
        // Mozilla's intermediate list, as in certbot's options-ssl-nginx.conf.
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
             ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
             DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305",
            "E1 R1 E2 R2 Ec Rc",
        ),
        ("ECDHE+AESGCM:DHE+AESGCM:ECDHE+AES:RSA+AES:!aNULL:!DSS:-AES256;", "E1 R1"),
    ];

    #[test]
    fn what_is_not_there_is_told_once() {
        for (text, expected) in [
            ("HIGH:!aNULL:!NOTHING:-NONE:+NOBODY", None),
            ("TLS_AES_256_GCM_SHA384:HIGH", None),
            ("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256", None),
            ("TLS_AES_256_GCM_SHA384:AES128-SHA", Some("rustls does not have AES128-SHA: left out")),
            ("HIGH:AES128-SHA", Some("rustls does not have AES128-SHA: left out")),
            ("HIGH:AES128-SHA:RC4-MD5:AES128-SHA", Some("rustls does not have AES128-SHA, RC4-MD5: left out")),
            (
                ROWS[27].0,
                Some("rustls does not have DHE-RSA-AES128-GCM-SHA256, DHE-RSA-AES256-GCM-SHA384 and 1 more: left out"),
            ),
            ("HIGH:DHE+AESGCM", Some("rustls does not have DHE+AESGCM: left out")),
            ("HIGH:!RSA:R\u{e9}", Some("rustls does not have R\u{e9}: left out")),
        ] {
            assert_eq!(suites(text).map(|(_, warning)| warning), Ok(expected.map(str::to_string)), "{text}");
        }
        for text in ["", ":", "AES128-SHA:DHE-RSA-AES128-GCM-SHA256", "HIGH:!ALL", "!HIGH:HIGH", "HIGH:-HIGH", "é", "!"]
        {
            let error = suites(text).expect_err(text);
            assert!(
                error.starts_with("none of these suites is there; rustls has ECDHE-ECDSA-AES256"),
                "{text}: {error}"
            );
        }
        assert_eq!(suites("HIGH:@ORDER").unwrap_err(), "unknown word `@ORDER`; there are @STRENGTH and @SECLEVEL=");
    }
}
