//! Listings of directories, as nginx writes them.

use crate::config::plan::Autoindex;
use crate::ring::{Kind, Stat};
use std::io::Write;

/// Bytes of a name that are shown.
const NAME_SHOWN: usize = 50;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Any bytes but NUL and slash.
    pub name: Vec<u8>,
    /// What it is.
    pub stat: Stat,
}

/// Puts directories first, then by name.
pub fn sort(entries: &mut [Entry]) {
    entries.sort_by(|a, b| {
        let is_file = |entry: &Entry| entry.stat.kind != Kind::Directory;
        (is_file(a), &a.name).cmp(&(is_file(b), &b.name))
    });
}

/// The type of a listing.
pub fn media_type(settings: Autoindex) -> &'static str {
    if settings.json { "application/json" } else { "text/html" }
}

/// The listing of the directory at `path`. `offset`: seconds that local time is ahead of UTC.
pub fn render(path: &str, entries: &[Entry], settings: Autoindex, offset: i64) -> Vec<u8> {
    match settings.json {
        true => json(entries),
        false => html(path, entries, settings, if settings.localtime { offset } else { 0 }),
    }
}

fn html(path: &str, entries: &[Entry], settings: Autoindex, offset: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + entries.len() * 128);
    for piece in ["<html>\r\n<head><title>Index of ", "</title></head>\r\n<body>\r\n<h1>Index of "] {
        out.extend_from_slice(piece.as_bytes());
        escape_html(path.as_bytes(), &mut out);
    }
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for entry in entries {
        let is_directory = entry.stat.kind == Kind::Directory;
        let slash: &[u8] = if is_directory { b"/" } else { b"" };
        out.extend_from_slice(b"<a href=\"");
        escape_component(&entry.name, &mut out);
        out.extend_from_slice(slash);
        out.extend_from_slice(b"\">");
        let shown = if entry.name.len() > NAME_SHOWN {
            escape_html(&entry.name[..NAME_SHOWN - 3], &mut out);
            out.extend_from_slice(b"..&gt;</a>");
            NAME_SHOWN
        } else {
            escape_html(&entry.name, &mut out);
            let slash = if entry.name.len() < NAME_SHOWN { slash } else { b"" };
            out.extend_from_slice(slash);
            out.extend_from_slice(b"</a>");
            entry.name.len() + slash.len()
        };
        out.resize(out.len() + NAME_SHOWN - shown, b' ');
        // What is written into a vector cannot fail.
        let _ = write!(out, " {} ", minutes(entry.stat.mtime + offset));
        let _ = match (settings.exact_size, is_directory) {
            (true, true) => write!(out, "{:>19}", "-"),
            (true, false) => write!(out, "{:>19}", entry.stat.size),
            (false, true) => write!(out, "{:>7}", "-"),
            (false, false) => write!(out, "{:>7}", rounded(entry.stat.size)),
        };
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    out
}

fn json(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for (nth, entry) in entries.iter().enumerate() {
        out.extend_from_slice(if nth == 0 { b"\r\n{ \"name\":\"" } else { b",\r\n{ \"name\":\"" });
        escape_json(&entry.name, &mut out);
        let (kind, size) = match entry.stat.kind {
            Kind::Directory => ("directory", None),
            Kind::File => ("file", Some(entry.stat.size)),
            Kind::Other => ("other", None),
        };
        let _ = write!(out, "\", \"type\":\"{kind}\", \"mtime\":\"{}\"", date(entry.stat.mtime));
        if let Some(size) = size {
            let _ = write!(out, ", \"size\":{size}");
        }
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b"\r\n]");
    out
}

/// As HTTP has it. What lies outside of the years that HTTP can say is shown as the nearest of them.
fn date(seconds: i64) -> String {
    let seconds = seconds.clamp(0, 253_402_300_799) as u64;
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

/// `28-Sep-1970 12:00`.
fn minutes(seconds: i64) -> String {
    let date = date(seconds); // "Sun, 06 Nov 1994 08:49:37 GMT"
    format!("{}-{}-{} {}", &date[5..7], &date[8..11], &date[12..16], &date[17..22])
}

/// A size with at most four digits or in K, M or G.
fn rounded(size: u64) -> String {
    let (unit, name) = match size {
        0x4000_0000.. => (1 << 30, "G"),
        0x10_0000.. => (1 << 20, "M"),
        10_000.. => (1 << 10, "K"),
        _ => (1, ""),
    };
    // A half and more is rounded up.
    let number = size / unit + u64::from(unit > 1 && size % unit >= unit / 2);
    format!("{number}{name}")
}

fn escape_html(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            byte => out.push(byte),
        }
    }
}

/// A segment of a path as it stands in a URI: all but RFC 3986's unreserved characters are encoded.
fn escape_component(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

fn escape_json(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x1f => {
                let _ = write!(out, "\\u{byte:04X}");
            }
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: Autoindex = Autoindex { exact_size: true, localtime: false, json: false };
    const THEN: i64 = 784_111_777;

    fn entry(name: &str, kind: Kind, size: u64) -> Entry {
        Entry { name: name.into(), stat: Stat { kind, size, mtime: THEN, executable: false } }
    }

    fn text(path: &str, entries: &[Entry], settings: Autoindex, offset: i64) -> String {
        String::from_utf8(render(path, entries, settings, offset)).unwrap()
    }

    #[test]
    fn directories_come_first() {
        let mut entries = [
            entry("b", Kind::File, 1),
            entry("a", Kind::Other, 1),
            entry("z", Kind::Directory, 1),
            entry("B", Kind::File, 1),
        ];
        sort(&mut entries);
        assert_eq!(entries.each_ref().map(|entry| entry.name[0]), [b'z', b'B', b'a', b'b']);
    }

    #[test]
    fn pages_look_like_nginx() {
        let entries = [entry("sub", Kind::Directory, 4096), entry("a b&<c>.txt", Kind::File, 17)];
        let page = "<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n<h1>Index of /d/</h1><hr><pre>\
            <a href=\"../\">../</a>\r\n\
            <a href=\"sub/\">sub/</a>                                               06-Nov-1994 08:49                   -\r\n\
            <a href=\"a%20b%26%3Cc%3E.txt\">a b&amp;&lt;c&gt;.txt</a>                                        06-Nov-1994 08:49                  17\r\n\
            </pre><hr></body>\r\n</html>\r\n";
        assert_eq!(text("/d/", &entries, HTML, 3600), page);
        let local = text("/d/", &entries, Autoindex { exact_size: false, localtime: true, ..HTML }, 3600);
        assert!(local.contains(" 06-Nov-1994 09:49       -\r\n"), "{local}");
        assert!(local.contains(" 06-Nov-1994 09:49      17\r\n"), "{local}");
        let title = text("/<b>/", &[], HTML, 0);
        assert!(title.contains("<title>Index of /&lt;b&gt;/</title>") && !title.contains("<b>"), "{title}");
    }

    #[test]
    fn long_names_are_cut() {
        for (len, kind, wanted) in [
            (49, Kind::File, format!("\">{}</a>  06", "n".repeat(49))),
            (49, Kind::Directory, format!("/\">{}/</a> 06", "n".repeat(49))),
            (50, Kind::File, format!("\">{}</a> 06", "n".repeat(50))),
            (50, Kind::Directory, format!("/\">{}</a> 06", "n".repeat(50))),
            (51, Kind::File, format!("\">{}..&gt;</a> 06", "n".repeat(47))),
            (255, Kind::Directory, format!("/\">{}..&gt;</a> 06", "n".repeat(47))),
        ] {
            let page = text("/", &[entry(&"n".repeat(len), kind, 1)], HTML, 0);
            assert!(page.contains(&wanted), "{len} {kind:?}: {page}");
        }
    }

    #[test]
    fn sizes_are_rounded() {
        let rows = [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10K"),
            (10_751, "10K"),
            (10_752, "11K"),
            ((1 << 20) - 1, "1024K"),
            (1 << 20, "1M"),
            ((1 << 20) * 3 / 2, "2M"),
            ((1 << 30) - 1, "1024M"),
            (1 << 30, "1G"),
            (5 << 40, "5120G"),
        ];
        for (size, wanted) in rows {
            assert_eq!(rounded(size), wanted, "{size}");
        }
    }

    #[test]
    fn json_is_json() {
        let json = Autoindex { json: true, ..HTML };
        assert_eq!(text("/", &[], json, 0), "[\r\n]");
        let odd = "q\"b\\n\n\u{1}\u{e9}";
        let entries = [entry("sub", Kind::Directory, 1), entry(odd, Kind::File, 17), entry("p", Kind::Other, 2)];
        let text = text("/", &entries, json, 0);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(
            read,
            serde_json::json!([
                { "name": "sub", "type": "directory", "mtime": date },
                { "name": odd, "type": "file", "mtime": date, "size": 17 },
                { "name": "p", "type": "other", "mtime": date },
            ])
        );
        assert!(text.starts_with("[\r\n{ \"name\":\"sub\", \"type\":\"directory\", \"mtime\":"), "{text}");
        assert!(text.ends_with("\" }\r\n]"), "{text}");
    }
}
