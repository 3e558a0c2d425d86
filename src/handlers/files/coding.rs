//! Which compressed file beside a file a client gets (`gzip_static` and its like).

use crate::config::plan::{Precompressed, Static};
use httparse::Header;

/// A content coding of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// FILE.br
    Brotli,
    /// FILE.zst
    Zstd,
    /// FILE.gz
    Gzip,
}

impl Coding {
    /// The best first, where a client says nothing else.
    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

    /// As Content-Encoding has it.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// Of the file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstd => ".zst",
            Coding::Gzip => ".gz",
        }
    }

    fn setting(self, of: &Precompressed) -> Static {
        match self {
            Coding::Brotli => of.brotli,
            Coding::Zstd => of.zstd,
            Coding::Gzip => of.gzip,
        }
    }
}

/// What clients get depends on Accept-Encoding.
pub fn varies(settings: &Precompressed) -> bool {
    Coding::ALL.iter().any(|coding| coding.setting(settings) == Static::On)
}

/// The codings whose files are to be looked for, in turn. `negotiable`: the client may be given what it accepts.
pub fn candidates(settings: &Precompressed, fields: &[Header], negotiable: bool) -> Vec<Coding> {
    if *settings == Precompressed::default() {
        return Vec::new();
    }
    let plain = quality(fields, "identity").unwrap_or(0);
    let weighed = Coding::ALL.into_iter().filter_map(|coding| match coding.setting(settings) {
        Static::Off => None,
        Static::Always => Some((coding, 1000)),
        Static::On if !negotiable => None,
        Static::On => {
            let quality = quality(fields, coding.name()).or_else(|| quality(fields, "*")).unwrap_or(0);
            (quality > 0 && quality >= plain).then_some((coding, quality))
        }
    });
    let mut weighed: Vec<_> = weighed.collect();
    weighed.sort_by_key(|&(_, quality)| std::cmp::Reverse(quality)); // a stable sort
    weighed.into_iter().map(|(coding, _)| coding).collect()
}

/// How much a coding is wanted, in thousandths (RFC 9110 12.4.2); `None`: it is not named. What is malformed is worth nothing.
fn quality(fields: &[Header], name: &str) -> Option<u16> {
    let lists = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("accept-encoding"));
    let mut items = lists.flat_map(|field| field.value.split(|&byte| byte == b','));
    items.find_map(|item| {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next()?;
        // RFC 9110 8.4.1.3
        let coding = if coding.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { coding };
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        coding.eq_ignore_ascii_case(name.as_bytes()).then(|| weight.map_or(1000, thousandths))
    })
}

fn thousandths(weight: &[u8]) -> u16 {
    let digits = |text: &[u8]| text.len() <= 3 && text.iter().all(u8::is_ascii_digit);
    match weight {
        b"1" => 1000,
        [b'1', b'.', rest @ ..] if digits(rest) && rest.iter().all(|&byte| byte == b'0') => 1000,
        [b'0', b'.', rest @ ..] if digits(rest) => {
            let padded = rest.iter().chain(b"000").take(3);
            padded.fold(0, |sum, &digit| sum * 10 + u16::from(digit - b'0'))
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Coding::{Brotli, Gzip, Zstd};

    const ON: Precompressed = Precompressed { gzip: Static::On, brotli: Static::On, zstd: Static::On };

    fn asked(settings: &Precompressed, accepted: &str) -> Vec<Coding> {
        let fields: Vec<Header> =
            accepted.split('|').map(|value| Header { name: "accept-Encoding", value: value.as_bytes() }).collect();
        candidates(settings, if accepted.is_empty() { &[] } else { &fields }, true)
    }

    #[test]
    fn clients_get_what_they_want() {
        let rows: [(&str, &[Coding]); 27] = [
            ("", &[]),
            ("gzip", &[Gzip]),
            ("GZIP", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("gzip, deflate, br, zstd", &[Brotli, Zstd, Gzip]),
            ("br;q=0.5, gzip", &[Gzip, Brotli]),
            ("br;q=0.5, gzip;q=0.51", &[Gzip, Brotli]),
            ("br ; q=0.999,gzip; Q=1.000", &[Gzip, Brotli]),
            ("gzip|br", &[Brotli, Gzip]),
            ("*", &[Brotli, Zstd, Gzip]),
            ("*;q=0.1, gzip", &[Gzip, Brotli, Zstd]),
            ("*;q=0", &[]),
            ("br;q=0, *", &[Zstd, Gzip]),
            ("gzip;q=0", &[]),
            ("gzip;q=0.000", &[]),
            ("gzip;q=0.001", &[Gzip]),
            ("identity", &[]),
            ("identity;q=0, gzip", &[Gzip]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip;q=0.5", &[Gzip]),
            // Malformed.
            ("gzip;q=", &[]),
            ("gzip;q=2", &[]),
            ("gzip;q=1.5", &[]),
            ("gzip;q=0.0001", &[]),
            ("gzip;q=-1", &[]),
            ("gzipped, brrr", &[]),
            (",;,gzip", &[Gzip]),
        ];
        for (accepted, wanted) in rows {
            assert_eq!(asked(&ON, accepted), wanted, "{accepted}");
        }
    }

    #[test]
    fn settings_decide_first() {
        let gzip = |gzip| Precompressed { gzip, ..Precompressed::default() };
        assert_eq!(asked(&Precompressed::default(), "gzip, br"), []);
        assert_eq!(asked(&gzip(Static::On), "gzip, br"), [Gzip]);
        assert_eq!(asked(&gzip(Static::Always), "identity"), [Gzip]);
        assert_eq!(candidates(&ON, &[Header { name: "Accept-Encoding", value: b"gzip" }], false), []);
        assert_eq!(candidates(&gzip(Static::Always), &[], false), [Gzip]);
        assert!(varies(&ON) && !varies(&gzip(Static::Always)) && !varies(&gzip(Static::Off)));
    }
}
