//! What names a version of a file.

use crate::ring::Stat;

/// The entity tag as nginx makes it: time of change and size in hexadecimal digits.
pub fn etag(stat: &Stat) -> String {
    format!("\"{:x}-{:x}\"", stat.mtime, stat.size)
}

/// Last-Modified; `None` where the date has no such form (before 1970 or after 9999).
pub fn last_modified(stat: &Stat) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = u64::try_from(stat.mtime).ok().filter(|&seconds| seconds < YEAR_10000)?;
    Some(httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Kind;

    #[test]
    fn versions_have_names() {
        let rows = [
            (784_111_777, 3495, "\"2ebc98a1-da7\"", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
            (0, 0, "\"0-0\"", Some("Thu, 01 Jan 1970 00:00:00 GMT")),
            (253_402_300_799, 1, "\"3afff4417f-1\"", Some("Fri, 31 Dec 9999 23:59:59 GMT")),
            (253_402_300_800, 1, "\"3afff44180-1\"", None),
            (-1, u64::MAX, "\"ffffffffffffffff-ffffffffffffffff\"", None),
        ];
        for (mtime, size, tag, date) in rows {
            let stat = Stat { kind: Kind::File, size, mtime, executable: false };
            assert_eq!((&etag(&stat)[..], last_modified(&stat).as_deref()), (tag, date), "{mtime}");
        }
    }
}
