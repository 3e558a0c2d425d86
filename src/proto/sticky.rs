//! The cookie that keeps a browser at its server. Its value is the hash of the server's identity in 16 hexadecimal digits: it says
//! nothing about addresses to a reader, and it means the same server to every process, also after a restart.

use super::variables::cookies;
use super::writer::{HEX_DIGITS_MAX, Writer};
use httparse::Header;

/// A cookie to be set.
#[derive(Debug, Clone, Copy)]
pub struct SetCookie<'a> {
    /// A token.
    pub name: &'a str,
    /// The stable hash of the server's identity.
    pub identity: u64,
    /// What stands behind the value, beginning with ';', such as `; Path=/; HttpOnly`; may be empty.
    pub attributes: &'a str,
}

impl SetCookie<'_> {
    /// Writes the whole field.
    pub fn write(&self, w: &mut Writer) {
        w.put(b"Set-Cookie: ");
        w.put_str(self.name);
        w.put(b"=");
        w.put(&value(self.identity));
        w.put_str(self.attributes);
        w.put(b"\r\n");
    }
}

/// A server's cookie value.
pub fn value(identity: u64) -> [u8; HEX_DIGITS_MAX] {
    std::array::from_fn(|at| b"0123456789abcdef"[(identity >> (60 - 4 * at)) as usize & 15])
}

/// The identities in cookies of exactly this name, in their order: browsers may send several, of other paths or domains. What we
/// did not write is passed over.
pub fn identities<'x, 'b>(fields: &'x [Header<'b>], name: &'x str) -> impl Iterator<Item = u64> + use<'x, 'b> {
    cookies(fields).filter(move |(found, _)| *found == name.as_bytes()).filter_map(|(_, value)| identity(value))
}

fn identity(value: &[u8]) -> Option<u64> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if value.len() != HEX_DIGITS_MAX {
        return None;
    }
    value.iter().try_fold(0, |sum, &byte| Some(sum << 4 | u64::from(digit(byte)?)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{with_request, written};
    use super::*;

    fn found(cookies: &[&str], name: &str) -> Vec<u64> {
        let lines: String = cookies.iter().map(|value| format!("Cookie: {value}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        with_request(head.as_bytes(), |request| identities(request.fields, name).collect()).unwrap()
    }

    #[test]
    fn values_come_back() {
        for identity in [0, 1, 0xf, 0x0123_4567_89ab_cdef, u64::MAX, 1 << 63] {
            let cookie = SetCookie { name: "srv", identity, attributes: "; Path=/; HttpOnly" };
            let line = written(|w| cookie.write(w));
            assert_eq!(line, format!("Set-Cookie: srv={identity:016x}; Path=/; HttpOnly\r\n"));
            let sent = line.strip_prefix("Set-Cookie: ").unwrap().split(';').next().unwrap();
            assert_eq!(found(&[sent], "srv"), [identity]);
        }
        let plain = SetCookie { name: "a", identity: 255, attributes: "" };
        assert_eq!(written(|w| plain.write(w)), "Set-Cookie: a=00000000000000ff\r\n");
    }

    #[test]
    fn only_what_we_wrote_is_taken() {
        let rows: [(&[&str], &[u64]); 16] = [
            (&[], &[]),
            (&["srv=00000000000000ff"], &[255]),
            (&["a=b; srv=00000000000000ff; c=d"], &[255]),
            (&["a=b", "srv=00000000000000ff"], &[255]),
            (&["srv=0000000000000001; srv=0000000000000002", "srv=0000000000000003"], &[1, 2, 3]),
            (&["srv=old; srv=0000000000000002"], &[2]),
            (&["Srv=00000000000000ff"], &[]),
            (&["srv2=00000000000000ff; xsrv=00000000000000ff"], &[]),
            (&["srv=00000000000000FF"], &[]),
            (&["srv=ff"], &[]),
            (&["srv="], &[]),
            (&["srv"], &[]),
            (&["srv=000000000000000ff"], &[]),
            (&["srv=+0000000000000ff"], &[]),
            (&["srv=\"00000000000000ff\""], &[]),
            (&["srv=00000000000000fg"], &[]),
        ];
        for (cookies, wanted) in rows {
            assert_eq!(found(cookies, "srv"), wanted, "{cookies:?}");
        }
    }
}
