//! Durations, sizes and counts as nginx writes them. An error is a sentence that says what to write.

use crate::limits;
use std::time::Duration;

/// Units of time, largest first: letter, milliseconds, other spellings that people try.
const TIME_UNITS: &[(&str, u64, &[&str])] = &[
    ("w", 604_800_000, &["week", "weeks"]),
    ("d", 86_400_000, &["day", "days"]),
    ("h", 3_600_000, &["hr", "hrs", "hour", "hours"]),
    ("m", 60_000, &["min", "mins", "minute", "minutes"]),
    ("s", 1000, &["sec", "secs", "second", "seconds"]),
    ("ms", 1, &["msec", "msecs", "millis", "millisecond", "milliseconds"]),
];

/// `"30s"`, `"1m30s"`, `"1h 30m"`, `"500ms"`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    match milliseconds(text) {
        Some(ms) if ms <= limits::TIME_MAX => Ok(Duration::from_millis(ms)),
        Some(_) => Err(format!("\"{text}\" is longer than a year")),
        None => Err(match tidy_duration(text) {
            Some(better) => format!("\"{text}\" is not a duration; write \"{better}\""),
            None => format!(
                "\"{text}\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"30s\" or \"1m30s\""
            ),
        }),
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    if is_number(text) {
        return text.parse::<u64>().ok().map(|s| s.saturating_mul(1000)).or(Some(u64::MAX));
    }
    let mut total: u64 = 0;
    let mut rest = text;
    let mut units = TIME_UNITS;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let position = units.iter().position(|(name, ..)| *name == unit)?;
        if number.is_empty() {
            return None;
        }
        let number = number.parse().unwrap_or(u64::MAX);
        total = total.saturating_add(units[position].1.saturating_mul(number));
        units = &units[position + 1..];
        rest = after.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

/// What was meant by "30 s", "5min", "1.5s", "30S".
fn tidy_duration(text: &str) -> Option<String> {
    let mut tidy = String::new();
    let lower = text.to_lowercase();
    let mut rest = lower.trim();
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let after = after.trim_start();
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let (unit, factor, _) = TIME_UNITS.iter().find(|(name, _, others)| *name == unit || others.contains(&unit))?;
        if is_number(number) {
            tidy.push_str(&format!("{number}{unit}"));
        } else {
            let ms = number.parse::<f64>().ok()? * *factor as f64;
            tidy.push_str(&format!("{}ms", ms.round() as u64));
        }
        rest = after.trim_start();
    }
    milliseconds(&tidy).is_some().then_some(tidy)
}

/// `"8k"`, `"1m"`, `"1g"` or bytes.
pub fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['k', 'm', 'g']);
    let factor = match &lower[digits.len()..] {
        "" => Some(1),
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        _ => None,
    };
    if let (Some(factor), true) = (factor, is_number(digits)) {
        let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
        return bytes.filter(|&b| b <= limits::SIZE_MAX).ok_or_else(|| format!("\"{text}\" is beyond all sizes"));
    }
    let compact: String = lower.chars().filter(|c| !c.is_whitespace()).collect();
    let stem = ["ib", "b", "bytes"].iter().find_map(|end| compact.strip_suffix(end)).unwrap_or(&compact);
    let split = stem.trim_end_matches(['k', 'm', 'g']);
    if is_number(split) && stem.len() - split.len() <= 1 {
        return Err(format!("\"{text}\" is not a size; write \"{stem}\""));
    }
    Err(format!("\"{text}\" is not a size; write a number of bytes, or with k, m or g, such as \"10m\""))
}

/// A whole number from `min` to `max`.
pub fn count(text: &str, min: u64, max: u64) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ if is_number(text.trim_start_matches('-')) => {
            Err(format!("{text} is out of range; write a number from {min} to {max}"))
        }
        _ => Err(format!("\"{text}\" is not a number; write one from {min} to {max}")),
    }
}

/// `"50%"`, or without the sign.
pub fn percent(text: &str, min: u8, max: u8) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    match count(number, min.into(), max.into()) {
        Ok(number) => Ok(number as u8),
        Err(_) if is_number(number) => Err(format!("\"{text}\" is out of range; write \"{min}%\" to \"{max}%\"")),
        Err(_) => Err(format!("\"{text}\" is not a percentage; write \"{min}%\" to \"{max}%\"")),
    }
}

/// `"on"` or `"off"`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write \"on\" or \"off\"".to_string()),
    }
}

/// Decimal digits only, at least one.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0", 0),
            ("75", 75_000),
            ("75s", 75_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1h 30m", 5_400_000),
            ("1d", 86_400_000),
            ("2w", 1_209_600_000),
            ("1s500ms", 1500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for (text, better) in [
            ("30 s", "30s"),
            ("5min", "5m"),
            ("1.5s", "1500ms"),
            ("30S", "30s"),
            ("10 seconds", "10s"),
            ("1 h 30 min", "1h30m"),
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.ends_with(&format!("write \"{better}\"")), "{message}");
        }
        for text in ["", "s", "-5s", "5x", "30s1m", "1m1m", "five", "1m 30", "９s"] {
            assert!(duration(text).unwrap_err().contains("\"1m30s\""), "{text}");
        }
        for text in ["99999999999999999999s", "99999999999999999999", "400d"] {
            assert!(duration(text).unwrap_err().contains("longer than a year"), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("8k", 8192), ("8K", 8192), ("10m", 10 << 20), ("1g", 1 << 30), ("123", 123)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, better) in [("10 m", "10m"), ("10MB", "10m"), ("1GiB", "1g"), ("8 kb", "8k"), ("100b", "100")] {
            assert!(size(text).unwrap_err().ends_with(&format!("write \"{better}\"")), "{text}");
        }
        for text in ["", "m", "-1m", "1.5g", "10mm", "1t", "é"] {
            assert!(size(text).unwrap_err().contains("such as \"10m\""), "{text}");
        }
        assert!(size("99999999999g").unwrap_err().contains("beyond"));
        assert!(size("99999999999999999999").unwrap_err().contains("beyond"));
    }

    #[test]
    fn percentages_and_switches() {
        for (text, number) in [("50%", 50), ("50", 50), ("50 %", 50), ("1%", 1), ("100%", 100)] {
            assert_eq!(percent(text, 1, 100), Ok(number), "{text}");
        }
        for text in ["0", "0%", "101%", "99999999999999999999"] {
            assert!(
                percent(text, 1, 100).unwrap_err().ends_with("is out of range; write \"1%\" to \"100%\""),
                "{text}"
            );
        }
        for text in ["", "%", "-5%", "0.5", "half", "5%%"] {
            assert!(percent(text, 1, 100).unwrap_err().contains("is not a percentage"), "{text}");
        }
        assert_eq!((switch("on"), switch("off")), (Ok(true), Ok(false)));
        for text in ["", "yes", "1", "On", "true"] {
            assert_eq!(switch(text).unwrap_err(), "write \"on\" or \"off\"", "{text}");
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count("5", 1, 10), Ok(5));
        assert_eq!(count("0", 1, 10).unwrap_err(), "0 is out of range; write a number from 1 to 10");
        assert_eq!(count("-3", 1, 10).unwrap_err(), "-3 is out of range; write a number from 1 to 10");
        assert_eq!(count("many", 1, 10).unwrap_err(), "\"many\" is not a number; write one from 1 to 10");
        assert!(count("99999999999999999999", 1, 10).is_err());
        assert!(count("+5", 1, 10).is_ok(), "harmless");
    }
}
