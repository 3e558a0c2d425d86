//! Static files on the scripted driver: what is in the page cache and what is not, and all that answers say.

use super::*;
use crate::ring::Kind;
use crate::ring::scripted::Disk;

const TAG: &str = "\"2ebc98a1-5\"";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A worker that serves /srv with these lines in its only location.
fn house(faults: Faults, lines: &str, disk: &[(&str, Disk)]) -> House {
    let text = format!("[[server]]\nlisten = \"127.0.0.1:8080\"\n[server.location.\"/\"]\nroot = \"/srv\"\n{lines}\n");
    let site = config::load_str("test.toml", &text).expect("a good configuration").plan;
    let house = House::with(1, faults, |plan| plan.servers = site.servers);
    {
        let mut world = house.driver.world();
        world.disk.insert("/srv".into(), Disk::directory());
        world.disk.extend(disk.iter().map(|(name, file)| (format!("/srv/{name}"), file.clone())));
    }
    house
}

fn plain(lines: &str) -> House {
    let disk = [
        ("a.txt", Disk::file(b"hello")),
        ("dir", Disk::directory()),
        ("dir/index.html", Disk::file(b"index")),
        ("bare", Disk::directory()),
        ("pipe", Disk { kind: Kind::Other, ..Disk::file(b"") }),
        ("secret", Disk { error: libc::EACCES, ..Disk::file(b"") }),
        ("outer", Disk { error: libc::EXDEV, ..Disk::file(b"") }),
        ("loop", Disk { error: libc::ELOOP, ..Disk::file(b"") }),
        ("broken", Disk { error: libc::EIO, ..Disk::file(b"") }),
        ("what?.txt", Disk::file(b"mark")),
        ("q?", Disk::directory()),
        ("q?/index.html", Disk::file(b"marked")),
    ];
    house(Faults::default(), lines, &disk)
}

/// Status line and the fields that matter, and the body, parted by '|'.
fn told(house: &House, request: &str) -> String {
    let answer = house.told(&format!("{request}||").replace('|', "\r\n"));
    house.idle(0);
    let line = |line: &&str| !line.starts_with("Server: ") && !line.starts_with("Date: ");
    answer.split("\r\n").filter(line).collect::<Vec<_>>().join("|")
}

#[test]
fn files_are_served() {
    let house = plain("");
    let rest = format!("Last-Modified: {DATE}|ETag: {TAG}|");
    let whole = format!("HTTP/1.1 200 OK|Content-Type: text/plain|Content-Length: 5|{rest}Accept-Ranges: bytes||hello");
    let rows = [
        ("GET /a.txt HTTP/1.1|Host: a", whole.clone()),
        ("GET /a.txt?b=c HTTP/1.1|Host: a", whole.clone()),
        ("HEAD /a.txt HTTP/1.1|Host: a", whole.replace("hello", "")),
        (
            "GET /a.txt HTTP/1.1|Host: a|Range: bytes=1-2",
            format!(
                "HTTP/1.1 206 Partial Content|Content-Type: text/plain|Content-Length: 2|{rest}Content-Range: bytes 1-2/5||el"
            ),
        ),
        ("GET /a.txt HTTP/1.1|Host: a|Range: bytes=0-,0-", whole.clone()),
        ("GET /a.txt HTTP/1.1|Host: a|Range: bytes=0-1|If-Range: \"other\"", whole.clone()),
        (
            &format!("GET /a.txt HTTP/1.1|Host: a|If-None-Match: {TAG}"),
            format!("HTTP/1.1 304 Not Modified|Last-Modified: {DATE}|ETag: {TAG}||"),
        ),
        ("GET /a.txt HTTP/1.1|Host: a|If-None-Match: \"other\"", whole.clone()),
        ("GET /a.txt HTTP/1.1|Host: a||GET /a.txt HTTP/1.1|Host: a", format!("{whole}{whole}")),
    ];
    for (request, answer) in rows {
        assert_eq!(told(&house, request), answer, "{request}");
    }
    assert_eq!(house.reactor.gauges().files[..2], [0, 0], "all was in memory");
}

#[test]
fn several_ranges_are_framed() {
    let answer = told(&plain(""), "GET /a.txt HTTP/1.1|Host: a|Range: bytes=0-1,4-");
    let (head, body) = answer.split_once("||").unwrap();
    let boundary = head.split("boundary=").nth(1).unwrap().split('|').next().unwrap();
    let part = |range: &str| format!("--{boundary}|Content-Type: text/plain|Content-Range: bytes {range}/5||");
    let wanted = format!("|{}he|{}o|--{boundary}--|", part("0-1"), part("4-4"));
    assert_eq!(body, wanted, "{answer}");
    let length = wanted.matches('|').count() + wanted.len();
    assert!(head.contains(&format!("|Content-Length: {length}|")), "{length}: {answer}");
    assert!(head.starts_with("HTTP/1.1 206 Partial Content|Content-Type: multipart/byteranges; boundary="), "{answer}");
}

#[test]
fn what_is_not_served_is_said() {
    let house = plain("");
    let rows = [
        ("GET /missing", 404, "file_missing"),
        ("GET /a.txt/", 404, "file_missing"),
        ("GET /a.txt/b", 404, "file_missing"),
        ("GET /missing/", 404, "file_missing"),
        ("GET /pipe", 404, "file_missing"),
        ("GET /secret", 403, "file_forbidden"),
        ("GET /outer", 403, "symlink_outside"),
        ("GET /loop", 403, "symlink_outside"),
        ("GET /broken", 500, "internal_error"),
        ("GET /bare/", 403, "directory_forbidden"),
        ("POST /bare/", 403, "directory_forbidden"),
        ("GET /", 403, "directory_forbidden"),
        ("POST /a.txt", 405, "file_method"),
        ("POST /dir/", 405, "file_method"),
        ("PUT /a.txt", 405, "file_method"),
        ("DELETE /missing", 405, "file_method"),
        ("OPTIONS /bare/", 405, "file_method"),
    ];
    for (line, status, reason) in rows {
        let answer = told(&house, &format!("{line} HTTP/1.1|Host: a"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(answer.contains(&format!("|X-Ringgate-Reason: {reason}|")), "{line}: {answer}");
        assert_eq!(answer.contains("|Allow: GET, HEAD|"), status == 405, "{line}: {answer}");
    }
    let answer = told(&house, "GET /a.txt HTTP/1.1|Host: a|Range: bytes=5-");
    assert!(answer.starts_with("HTTP/1.1 416 Range Not Satisfiable|"), "{answer}");
    assert!(answer.contains("|Content-Range: bytes */5|"), "{answer}");
    let answer = told(&house, "GET /a.txt HTTP/1.1|Host: a|If-Match: \"other\"");
    assert!(answer.starts_with("HTTP/1.1 412 Precondition Failed|"), "{answer}");
    // Its body is not read past.
    let answer = told(&house, "GET /a.txt HTTP/1.1|Host: a|Content-Length: 5||12345GET /a.txt HTTP/1.1|Host: a");
    assert!(answer.contains("|Connection: close||hello") && answer.matches("HTTP/1.1").count() == 1, "{answer}");
}

#[test]
fn directories_lead_on() {
    let house = plain("index = \"none.html index.html\"");
    let rows = [
        ("GET /dir", "http://a/dir/"),
        ("GET /dir?b=c", "http://a/dir/?b=c"),
        ("GET /bare", "http://a/bare/"),
        ("GET /q%3F", "http://a/q%3F/"),
        ("GET /%64ir", "http://a/dir/"),
        ("POST /dir", "http://a/dir/"),
    ];
    for (line, url) in rows {
        let answer = told(&house, &format!("{line} HTTP/1.1|Host: a"));
        assert!(answer.starts_with("HTTP/1.1 301 Moved Permanently|"), "{line}: {answer}");
        assert!(answer.contains(&format!("|Location: {url}|")), "{line}: {answer}");
    }
    for (line, body) in
        [("GET /dir/", "index"), ("GET /dir/?x", "index"), ("GET /q%3F/", "marked"), ("GET /what%3F.txt", "mark")]
    {
        let answer = told(&house, &format!("{line} HTTP/1.1|Host: a"));
        assert!(answer.starts_with("HTTP/1.1 200 OK|") && answer.ends_with(&format!("||{body}")), "{line}: {answer}");
    }
}

#[test]
fn no_path_leads_out() {
    let text = "[[server]]\nlisten = \"127.0.0.1:8080\"\n[server.location.\"/i\"]\nalias = \"/srv/images/\"\n\
                [server.location.\"/f\"]\nalias = \"/srv/images/\"\nsymlinks = \"follow\"\n\
                [server.location.\"~ ^/u(.*)$\"]\nalias = \"/srv/users/$1\"\n\
                [server.location.\"/r/\"]\nroot = \"/srv/images\"\nsymlinks = \"follow\"\n";
    let site = config::load_str("test.toml", text).expect("a good configuration").plan;
    let house = House::with(1, Faults::default(), |plan| plan.servers = site.servers);
    for name in ["/srv", "/srv/images", "/srv/users"] {
        house.driver.world().disk.insert(name.into(), Disk::directory());
    }
    for name in ["/srv/secret", "/secret", "/srv/images/../secret", "/srv/users/../secret"] {
        house.driver.world().disk.insert(name.into(), Disk::file(b"SECRET"));
    }
    house.driver.world().disk.insert("/srv/images/ok".into(), Disk::file(b"fine"));
    let rows = [
        ("/i/ok", 200),
        ("/f/ok", 200),
        ("/i../secret", 404),
        ("/i..%2fsecret", 404),
        ("/i%2e%2e/secret", 404),
        ("/i%2e%2e%2fsecret", 404),
        ("/i..%2f..%2fsecret", 404),
        ("/i..;/secret", 404),
        ("/f../secret", 404),
        ("/f%2e%2e/secret", 404),
        ("/u../secret", 404),
        ("/u%2e%2e%2fsecret", 404),
        ("/i/../secret", 404),
        ("/i/..%2fsecret", 404),
        ("/i/%2e%2e/secret", 404),
        ("/i/%252e%252e/secret", 404),
        ("/i/..%5csecret", 404),
        ("/i/..\\secret", 404),
        ("/i//../../secret", 400),
        ("/i/%00", 400),
        ("/../secret", 400),
        ("/i/ok%00.txt", 400),
        ("/i/..%c0%afsecret", 404),
        ("/i/\u{ff0e}\u{ff0e}/secret", 400),
        ("/i/.%2e/secret", 404),
        ("/i/./..//secret", 404),
    ];
    for (path, status) in rows {
        let answer = house.told(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(!answer.contains("SECRET"), "{path}: {answer}");
        house.idle(0);
    }
}

#[test]
fn what_is_not_in_memory_is_asked_of_the_ring() {
    let cold = |bytes: &[u8]| Disk { is_known: false, cached: 0, ..Disk::file(bytes) };
    let large: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let disk = [
        ("cold", cold(b"hello")),
        ("half", Disk { cached: 2, ..Disk::file(b"hello") }),
        ("large", cold(&large)),
        ("begun", Disk { cached: 70_000, ..Disk::file(&large) }),
    ];
    let late = Faults { late_turns: 3, write_most: 10_000, send_eagain: 3, ..Faults::default() };
    for faults in [Faults::default(), late, Faults { cachestat_error: libc::ENOSYS, ..Faults::default() }] {
        let house = house(faults, "", &disk);
        for (name, body, opens, reads) in
            [("cold", &b"hello"[..], 1, 1), ("half", b"hello", 0, 1), ("large", &large, 1, 1), ("begun", &large, 0, 1)]
        {
            let before = house.reactor.gauges().files;
            let client = house.client();
            let request = format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n");
            house.driver.world().feed(client, request.as_bytes());
            house.await_sent(client, &body[body.len() - 5..]);
            house.until("the whole body", |house| split_head(&house.sent(client)).1.len() >= body.len());
            assert!(split_head(&house.sent(client)).1 == body, "{name}");
            let after = house.reactor.gauges().files;
            assert_eq!(after[0] - before[0], opens, "{name}");
            assert!(after[1] - before[1] >= reads, "{name}: {before:?} {after:?}");
            // Now it is in memory.
            house.driver.world().feed(client, request.as_bytes());
            house.until("it again", |house| house.sent(client).len() >= 2 * body.len() + 2 * 200);
            assert_eq!(house.reactor.gauges().files[..2], after[..2], "{name}");
            house.driver.world().fin(client);
            house.idle(0);
        }
        assert!(house.driver.world().open_files.len() <= 1, "but for the root");
    }
}

#[test]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let cold = Disk { is_known: false, cached: 0, ..Disk::file(&[b'x'; 300_000]) };
    let house = house(Faults { late_turns: 20, ..Faults::default() }, "", &[("cold", cold)]);
    for turns in 0..40 {
        {
            let mut world = house.driver.world();
            let file = world.disk.get_mut("/srv/cold").unwrap();
            (file.is_known, file.cached) = (false, 0);
        }
        let client = house.client();
        house.driver.world().feed(client, b"GET /cold HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..turns {
            house.reactor.turn().unwrap();
        }
        house.driver.world().break_off(client, libc::ECONNRESET);
        house.idle(0);
        assert!(house.driver.world().open_files.len() <= 1, "but for the root");
    }
}

#[test]
fn a_file_that_was_cut_aborts_its_answer() {
    let cache = "open_file_cache = \"max=10 inactive=60s\"\nopen_file_cache_valid = \"60s\"";
    let large = vec![b'x'; 100_000];
    let house = house(Faults::default(), cache, &[("a", Disk::file(b"hello")), ("large", Disk::file(&large))]);
    for (name, len) in [("a", 5), ("large", large.len())] {
        let request = format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(split_head(house.told(&request).as_bytes()).1.len(), len);
        house.driver.world().disk.get_mut(&format!("/srv/{name}")).unwrap().bytes.truncate(3);
        house.driver.world().disk.get_mut(&format!("/srv/{name}")).unwrap().cached = 3;
        let client = house.client();
        house.driver.world().feed(client, request.as_bytes());
        house.until("the connection's end", |house| house.driver.world().end(client).closed);
        assert!(house.driver.world().end(client).resets, "{name}: a client must be able to tell");
        house.idle(0);
    }
}

#[test]
fn files_stay_open_as_configured() {
    let cache =
        "open_file_cache = \"max=10 inactive=60s\"\nopen_file_cache_valid = \"60s\"\nopen_file_cache_errors = \"on\"";
    let house = house(Faults::default(), cache, &[("a", Disk::file(b"hello"))]);
    let get = |path: &str| told(&house, &format!("GET {path} HTTP/1.1|Host: a"));
    assert!(get("/a").ends_with("||hello") && get("/b").starts_with("HTTP/1.1 404 "));
    {
        let mut world = house.driver.world();
        world.disk.insert("/srv/b".into(), Disk::file(b"new"));
        world.disk.get_mut("/srv/a").unwrap().error = libc::EACCES; // nobody opens it
    }
    assert!(get("/a").ends_with("||hello") && get("/b").starts_with("HTTP/1.1 404 "));
    house.driver.world().advance(61_000);
    assert!(get("/a").starts_with("HTTP/1.1 403 ") && get("/b").ends_with("||new"));
}

#[test]
fn compressed_files_beside_files_are_found() {
    let disk = [
        ("a.css", Disk::file(b"plain")),
        ("a.css.gz", Disk { mtime: 784_111_778, ..Disk::file(b"gzipped") }),
        ("a.css.br", Disk::file(b"brotli")),
        ("b.css.gz", Disk::directory()),
        ("b.css", Disk::file(b"plain")),
    ];
    let house = house(Faults::default(), "gzip_static = \"on\"\nbrotli_static = \"on\"", &disk);
    let rows = [
        ("/a.css", "gzip", "gzip", "gzipped"),
        ("/a.css", "gzip, br", "br", "brotli"),
        ("/a.css", "br;q=0, gzip", "gzip", "gzipped"),
        ("/a.css", "identity", "", "plain"),
        ("/b.css", "gzip", "", "plain"),
    ];
    for (path, accepted, coding, body) in rows {
        let answer = told(&house, &format!("GET {path} HTTP/1.1|Host: a|Accept-Encoding: {accepted}"));
        assert!(answer.ends_with(&format!("||{body}")), "{path} {accepted}: {answer}");
        assert!(answer.contains("|Content-Type: text/css|") && answer.contains("|Vary: Accept-Encoding|"), "{answer}");
        assert_eq!(answer.contains("Content-Encoding"), !coding.is_empty(), "{answer}");
        assert!(coding.is_empty() || answer.contains(&format!("|Content-Encoding: {coding}|")), "{answer}");
    }
    let answer = told(&house, "GET /a.css HTTP/1.1|Host: a|Accept-Encoding: gzip|Range: bytes=0-1");
    assert!(answer.contains("|ETag: \"2ebc98a2-7\"|Content-Range: bytes 0-1/7|Content-Encoding: gzip|"), "{answer}");
}

#[test]
fn what_is_configured_is_added() {
    let lines = "add_header = [\"X-Seen $uri\"]";
    let house = house(Faults::default(), lines, &[("a", Disk::file(b"hello"))]);
    let answer = told(&house, "GET /a HTTP/1.1|Host: a");
    assert!(answer.contains("|X-Seen: /a|") && answer.ends_with("||hello"), "{answer}");
}
