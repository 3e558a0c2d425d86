use super::*;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

fn coding(level: u8, min_length: u64, types: &[&str]) -> Option<Coding> {
    Some(Coding { level, min_length, types: Arc::new(types.iter().map(|&name| name.to_owned()).collect()) })
}

/// gzip as nginx has it without a word more.
fn usual() -> Compression {
    Compression { gzip: coding(1, 20, &["text/html"]), http11_only: true, ..Compression::default() }
}

fn all(types: &[&str]) -> Compression {
    Compression {
        gzip: coding(1, 20, types),
        brotli: coding(5, 20, types),
        zstd: coding(3, 20, types),
        vary: true,
        ..usual()
    }
}

/// `name: value|name: value`
fn fields(text: &str) -> Vec<Header<'_>> {
    let lines = text.split('|').filter(|line| !line.is_empty());
    let halves = lines.map(|line| line.split_once(": ").expect("a field"));
    halves.map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
}

fn verdict(
    compression: &Compression,
    status: u16,
    length: Option<u64>,
    answer: &str,
    version: Version,
    request: &str,
) -> Verdict {
    let (answer, request) = (fields(answer), fields(request));
    let offered = Offered { status, length, content: Content::of(&answer) };
    choose(compression, &offered, &Asked { version, fields: &request }, UNIX_EPOCH)
}

const ALL: &str = "Accept-Encoding: gzip, deflate, br, zstd";
const GZIP: &str = "Accept-Encoding: gzip";

/// Status, length, fields of the answer and of the request, and the coding that is chosen.
type Row<'x> = (u16, Option<u64>, &'x str, &'x str, Option<&'x str>);

#[track_caller]
fn check(compression: &Compression, rows: &[Row]) {
    for &(status, length, answer, request, wanted) in rows {
        let verdict = verdict(compression, status, length, answer, Version::Http11, request);
        assert_eq!(verdict.chosen.map(|chosen| chosen.coding.name()), wanted, "{status} {length:?} {answer} {request}");
    }
}

#[test]
fn nginx_rules_for_what_is_compressed() {
    let html = "Content-Type: text/html; charset=utf-8";
    check(
        &usual(),
        &[
            (200, None, html, GZIP, Some("gzip")),
            (200, None, html, ALL, Some("gzip")),
            (200, None, html, "Accept-Encoding: br", None),
            (200, None, html, "", None),
            (403, None, html, GZIP, Some("gzip")),
            (404, None, html, GZIP, Some("gzip")),
            (201, None, html, GZIP, None),
            (206, None, html, GZIP, None),
            (301, None, html, GZIP, None),
            (304, None, html, GZIP, None),
            (500, None, html, GZIP, None),
            // Its length.
            (200, Some(20), html, GZIP, Some("gzip")),
            (200, Some(19), html, GZIP, None),
            (200, Some(0), html, GZIP, None),
            // Its type.
            (200, None, "Content-Type: TEXT/html", GZIP, Some("gzip")),
            (200, None, "Content-Type: text/htmlx", GZIP, None),
            (200, None, "Content-Type: text/plain", GZIP, None),
            (200, None, "Content-Type: ", GZIP, None),
            (200, None, "", GZIP, None),
            // What must not be touched.
            (200, None, "Content-Type: text/html|Content-Encoding: br", GZIP, None),
            (200, None, "Content-Type: text/html|Content-Encoding: identity", GZIP, None),
            (200, None, "Content-Type: text/html|Content-Range: bytes 0-1/2", GZIP, None),
            (200, None, "Content-Type: text/html|Cache-Control: max-age=1, no-transform", GZIP, None),
            (200, None, "Content-Type: text/html|Cache-Control: no-store", GZIP, Some("gzip")),
        ],
    );
    let any = Compression { gzip: coding(1, 0, &["*"]), ..usual() };
    check(&any, &[(200, Some(1), "", GZIP, Some("gzip")), (200, Some(0), "", GZIP, None)]);
    check(&Compression { gzip: None, ..usual() }, &[(200, None, html, ALL, None)]);
}

#[test]
fn each_coding_has_its_own_bounds() {
    let mixed = Compression {
        zstd: coding(3, 1000, &["text/html"]),
        brotli: coding(5, 20, &["text/css"]),
        gzip: coding(1, 20, &["text/html", "text/css"]),
        ..all(&[])
    };
    check(
        &mixed,
        &[
            (200, Some(1000), "Content-Type: text/html", ALL, Some("zstd")),
            (200, Some(999), "Content-Type: text/html", ALL, Some("gzip")),
            (200, None, "Content-Type: text/css", ALL, Some("br")),
            (200, None, "Content-Type: text/css", "Accept-Encoding: gzip;q=1, br;q=0.9", Some("gzip")),
            (200, Some(19), "Content-Type: text/css", ALL, None),
        ],
    );
    let chosen = verdict(&mixed, 200, Some(4000), "Content-Type: text/html", Version::Http11, ALL).chosen.unwrap();
    assert_eq!((chosen.coding, chosen.level, chosen.length), (ContentCoding::Zstd, 3, Some(4000)));
    assert!(chosen.coder().is_some());
}

#[test]
fn caches_are_told_wherever_it_depends() {
    let html = "Content-Type: text/html";
    let rows = [
        (html, ALL, true),
        // Also what goes as it is, for others may get it otherwise.
        (html, "", true),
        (html, "Accept-Encoding: identity", true),
        (html, "Accept-Encoding: gzip|Via: 1.1 a", true),
        ("Content-Type: text/html|Vary: Origin", ALL, true),
        ("Content-Type: text/html|Vary: Origin, accept-encoding", ALL, false),
        ("Content-Type: text/html|Vary: *", ALL, false),
        // What never is.
        ("Content-Type: image/png", ALL, false),
        ("Content-Type: text/html|Content-Encoding: gzip", ALL, false),
        ("Content-Type: text/html|Cache-Control: no-transform", ALL, false),
    ];
    for (answer, request, wanted) in rows {
        let told = |compression: &Compression| verdict(compression, 200, None, answer, Version::Http11, request).vary;
        assert_eq!(told(&all(&["text/html"])), wanted, "{answer} {request}");
        assert!(!told(&Compression { vary: false, ..all(&["text/html"]) }));
    }
}

#[test]
fn old_clients_and_proxies_are_asked_for() {
    let html = "Content-Type: text/html";
    let is_chosen = |compression: &Compression, version, answer: &str, request: &str| {
        verdict(compression, 200, None, answer, version, request).chosen.is_some()
    };
    let old = Compression { http11_only: false, ..usual() };
    assert!(!is_chosen(&usual(), Version::Http10, html, GZIP));
    assert!(is_chosen(&old, Version::Http10, html, GZIP));

    let with = |change: fn(&mut Proxied)| {
        let mut proxied = Proxied::default();
        change(&mut proxied);
        Compression { proxied, ..usual() }
    };
    const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATE: &str = "Mon, 07 Nov 1994 08:49:37 GMT";
    let expired = format!("Expires: {EARLY}|Date: {LATE}|");
    let fresh = format!("Expires: {LATE}|Date: {EARLY}|");
    type Row<'a> = (fn(&mut Proxied), &'a str, &'a str, bool);
    let rows: [Row; 22] = [
        (|_| {}, "", "", false),
        (|p| p.any = true, "", "", true),
        (|p| p.any = true, &fresh, "", true),
        (|p| p.auth = true, &fresh, "Authorization: x|", true),
        (|p| p.auth = true, &fresh, "", false),
        (|p| p.expired = true, &expired, "", true),
        (|p| p.expired = true, &fresh, "", false),
        (|p| p.expired = true, "Expires: 0|", "", false),
        (|p| p.expired = true, "Cache-Control: no-cache|", "", false),
        (|p| p.no_cache = true, &expired, "", false),
        (|p| p.no_cache = true, "Cache-Control: no-cache|", "", true),
        (|p| p.no_cache = true, "Cache-Control: no-store|", "", false),
        (|p| p.no_store = true, "Cache-Control: no-store|", "", true),
        (|p| p.private = true, "Cache-Control: private|", "", true),
        (|p| p.private = true, "Cache-Control: max-age=5|", "", false),
        // Nothing forbids it then (as in nginx).
        (|p| p.private = true, "", "", true),
        (|p| p.no_last_modified = true, "", "", true),
        (|p| p.no_last_modified = true, "Last-Modified: x|", "", false),
        (|p| p.no_etag = true, "ETag: \"x\"|", "", false),
        (|p| p.no_etag = true, "Last-Modified: x|", "", true),
        (|p| p.no_etag = true, "ETag: \"x\"|Cache-Control: no-cache|", "", false),
        (|p| (p.no_etag, p.no_cache) = (true, true), "ETag: \"x\"|Cache-Control: no-cache|", "", true),
    ];
    for (nth, (change, answer, request, wanted)) in rows.into_iter().enumerate() {
        let (answer, asked) = (format!("{answer}{html}"), format!("{request}{GZIP}"));
        let compression = with(change);
        assert!(is_chosen(&compression, Version::Http11, &answer, &asked), "row {nth} without Via");
        let asked = format!("{asked}|Via: 1.1 cache");
        assert_eq!(is_chosen(&compression, Version::Http11, &answer, &asked), wanted, "row {nth}");
    }
}
