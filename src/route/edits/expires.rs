//! `expires`.

use super::Texts;
use crate::config::expires;
use crate::config::plan::Expires;
use crate::proto::writer::Writer;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The two fields of an answer.
pub(super) struct Freshness {
    expires: String,
    /// Seconds; `None`: `no-cache`.
    max_age: Option<u64>,
}

const EPOCH: &str = "Thu, 01 Jan 1970 00:00:01 GMT";
const MAX: &str = "Thu, 31 Dec 2037 23:55:55 GMT";
const TEN_YEARS: u64 = 315_360_000;
const DAY: i64 = 86_400;

impl Freshness {
    /// `None`: the fields stay as they are.
    pub(super) fn new(
        expires: &Expires,
        texts: Texts,
        last_modified: Option<SystemTime>,
        now: SystemTime,
    ) -> Option<Freshness> {
        let second = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let now = second(now);
        // When it ends, and whether that is in the past by the file's own words.
        let (until, is_stale) = match expires {
            Expires::Epoch => return Some(Freshness { expires: EPOCH.to_owned(), max_age: None }),
            Expires::Max => return Some(Freshness { expires: MAX.to_owned(), max_age: Some(TEN_YEARS) }),
            // No time at all: from now, in both (as in nginx).
            Expires::AfterModified(0) => (now, false),
            Expires::In(seconds) => (now.saturating_add(*seconds), *seconds < 0),
            Expires::AfterModified(seconds) => {
                (last_modified.map_or(now, second).saturating_add(*seconds), *seconds < 0)
            }
            Expires::At(of_day) => {
                let today = now - now.rem_euclid(DAY) + i64::from(*of_day);
                (if today > now { today } else { today + DAY }, false)
            }
            Expires::Variable(template) => {
                let text = texts.text(template);
                let resolved = expires::parse(str::from_utf8(&text).ok()?)?;
                return Freshness::new(
                    &resolved,
                    Texts::Literal,
                    last_modified,
                    UNIX_EPOCH + Duration::from_secs(now.max(0) as u64),
                );
            }
        };
        let max_age = u64::try_from(until.saturating_sub(now)).ok().filter(|_| !is_stale);
        // Later than a date can tell is as good as never.
        let until = u64::try_from(until).unwrap_or(0).min(253_402_300_799);
        Some(Freshness { expires: httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(until)), max_age })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.put_field("Expires", self.expires.as_bytes());
        match self.max_age {
            None => w.put(b"Cache-Control: no-cache\r\n"),
            Some(seconds) => {
                w.put(b"Cache-Control: max-age=");
                w.put_u64(seconds);
                w.put(b"\r\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::edits::Texts;
    use super::*;
    use crate::config::template::Template;
    use crate::proto::writer::Writer;

    /// Sunday, 6 November 1994, 08:49:37.
    const NOW: u64 = 784_111_777;

    fn fields(expires: &Expires, modified: Option<u64>) -> Option<String> {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let freshness = Freshness::new(expires, Texts::Literal, modified.map(at), at(NOW))?;
        let mut buf = [0; 200];
        let mut w = Writer::new(&mut buf);
        freshness.write(&mut w);
        let len = w.finish().unwrap();
        let text = String::from_utf8(buf[..len].to_vec()).unwrap();
        Some(text.replace("\r\n", "|").replace("Expires: ", "").replace("Cache-Control: ", ""))
    }

    #[test]
    fn times_are_told_as_nginx_does() {
        use Expires::*;
        let rows = [
            (Epoch, None, "Thu, 01 Jan 1970 00:00:01 GMT|no-cache|"),
            (Max, None, "Thu, 31 Dec 2037 23:55:55 GMT|max-age=315360000|"),
            (In(0), None, "Sun, 06 Nov 1994 08:49:37 GMT|max-age=0|"),
            (In(3600), None, "Sun, 06 Nov 1994 09:49:37 GMT|max-age=3600|"),
            (In(-1), None, "Sun, 06 Nov 1994 08:49:36 GMT|no-cache|"),
            (In(i64::MIN), None, "Thu, 01 Jan 1970 00:00:00 GMT|no-cache|"),
            (In(i64::MAX), None, "Fri, 31 Dec 9999 23:59:59 GMT|max-age=9223372036070664030|"),
            (AfterModified(86_400), Some(NOW - 3600), "Mon, 07 Nov 1994 07:49:37 GMT|max-age=82800|"),
            (AfterModified(60), Some(NOW - 3600), "Sun, 06 Nov 1994 07:50:37 GMT|no-cache|"),
            (AfterModified(-60), Some(NOW + 3600), "Sun, 06 Nov 1994 09:48:37 GMT|no-cache|"),
            (AfterModified(60), None, "Sun, 06 Nov 1994 08:50:37 GMT|max-age=60|"),
            // 15:30 is still to come, 8:49:37 and 7:00 are so tomorrow.
            (At(55_800), None, "Sun, 06 Nov 1994 15:30:00 GMT|max-age=24023|"),
            (At(31_777), None, "Mon, 07 Nov 1994 08:49:37 GMT|max-age=86400|"),
            (At(25_200), None, "Mon, 07 Nov 1994 07:00:00 GMT|max-age=79823|"),
        ];
        for (expires, modified, wanted) in rows {
            assert_eq!(fields(&expires, modified).as_deref(), Some(wanted), "{expires:?}");
        }
    }

    #[test]
    fn variables_say_the_same_words() {
        use Expires::*;
        let rows = [
            ("epoch", Some(Epoch)),
            ("max", Some(Max)),
            ("0", Some(In(0))),
            ("90", Some(In(90))),
            ("-1", Some(In(-1))),
            ("+7d", Some(In(604_800))),
            ("1h30m", Some(In(5400))),
            ("1h 30m 5", Some(In(5405))),
            ("1y1M", Some(In(395 * 86_400))),
            ("modified +24h", Some(AfterModified(86_400))),
            ("modified -1s", Some(AfterModified(-1))),
            ("modified 5", Some(AfterModified(5))),
            ("@15h30m", Some(At(55_800))),
            ("@0", Some(At(0))),
            ("off", None),
            ("", None),
            ("-", None),
            ("@24h", None),
            ("@-1h", None),
            ("modified", None),
            ("modified+1h", None),
            ("1m1h", None),
            ("1h1h", None),
            ("1x", None),
            ("h", None),
            ("1.5h", None),
            ("99999999999999999999", None),
            ("9223372036854775807y", None),
            ("max-age=5", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(expires::parse(text), wanted, "{text}");
            let variable = Variable(Template::literal(text));
            assert_eq!(fields(&variable, None), wanted.and_then(|expires| fields(&expires, None)), "{text}");
        }
    }
}
