//! Times as nginx's `expires` has them.

use crate::config::plan::Expires;

const DAY: i64 = 86_400;

/// The time that `text` says. `None`: `off`, or none.
pub fn parse(text: &str) -> Option<Expires> {
    match text {
        "epoch" => return Some(Expires::Epoch),
        "max" => return Some(Expires::Max),
        _ => {}
    }
    if let Some(of_day) = text.strip_prefix('@') {
        return seconds(of_day).filter(|&seconds| seconds < DAY).map(|seconds| Expires::At(seconds as u32));
    }
    let (is_modified, rest) = match text.strip_prefix("modified") {
        Some(rest) if rest.starts_with(' ') => (true, rest.trim_start()),
        _ => (false, text),
    };
    let signed = match (rest.strip_prefix('-'), rest.strip_prefix('+')) {
        (Some(rest), _) => -seconds(rest)?,
        (None, Some(rest)) => seconds(rest)?,
        (None, None) => seconds(rest)?,
    };
    Some(if is_modified { Expires::AfterModified(signed) } else { Expires::In(signed) })
}

/// `90`, `1h30m`, `1y2M`: units fall.
fn seconds(text: &str) -> Option<i64> {
    const UNITS: [(u8, i64); 7] =
        [(b'y', 365 * DAY), (b'M', 30 * DAY), (b'w', 7 * DAY), (b'd', DAY), (b'h', 3600), (b'm', 60), (b's', 1)];
    let (mut total, mut rest, mut units) = (0i64, text, &UNITS[..]);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let number: i64 = number.parse().ok()?;
        let (factor, after) = match after.as_bytes().first() {
            None => (1, after), // a number alone, or the seconds
            Some(unit) => {
                let nth = units.iter().position(|(name, _)| name == unit)?;
                let factor = units[nth].1;
                units = &units[nth + 1..];
                (factor, after[1..].trim_start())
            }
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let rows = [
            ("epoch", Some(Expires::Epoch)),
            ("max", Some(Expires::Max)),
            ("90", Some(Expires::In(90))),
            ("-1", Some(Expires::In(-1))),
            ("+1h30m", Some(Expires::In(5400))),
            ("1y2M3d", Some(Expires::In((365 + 60 + 3) * DAY))),
            ("modified +24h", Some(Expires::AfterModified(DAY))),
            ("modified -1h", Some(Expires::AfterModified(-3600))),
            ("@15h30m", Some(Expires::At(55_800))),
            ("@24h", None),
            ("off", None),
            ("", None),
            ("1x", None),
            ("3d1y", None),
            ("99999999999999999999", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }
}
