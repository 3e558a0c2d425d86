//! Static files over real sockets and a real file system.

#[path = "../support/mod.rs"]
mod support;

use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::certificates::Authority;
use support::{Client, Ringgate, Setup};

/// ringgate with one worker that serves the folder `www` of its own with these lines.
#[track_caller]
fn serving(lines: &str, fill: impl FnOnce(&Path)) -> Ringgate {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("www")).unwrap();
    fill(&folder.path().join("www"));
    let text =
        format!("[[server]]\nlisten = \"127.0.0.1:0\"\n[server.location.\"/\"]\nroot = \"{{dir}}/www\"\n{lines}\n");
    Setup::new().workers(1).section(&text).start_in(folder)
}

/// Bytes that tell where they belong.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at / 7) ^ (at >> 11)) as u8).collect()
}

/// Takes the file out of the page cache.
fn cool(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

const SIZES: [usize; 12] = [0, 1, 128, 16_384, 17_300, 18_432, 18_433, 65_535, 65_536, 65_537, 1 << 20, (3 << 20) + 17];

fn fill(www: &Path) {
    for size in SIZES {
        fs::write(www.join(size.to_string()), pattern(size)).unwrap();
    }
}

/// Every size, whole and in parts, warm and cold, one after another on one connection.
fn read_all(ringgate: &Ringgate, client: &mut Client) {
    for size in SIZES {
        let path = ringgate.folder().join("www").join(size.to_string());
        let whole = pattern(size);
        for is_cold in [true, false] {
            if is_cold {
                cool(&path);
            }
            let answer = client.get(&format!("/{size}"));
            assert_eq!((answer.head.status(), answer.body.len()), (200, size), "{size}, cold: {is_cold}");
            assert!(answer.body == whole, "{size}, cold: {is_cold}");
            assert_eq!(
                client.exchange("HEAD", &format!("/{size}")).head.field("content-length"),
                Some(&*size.to_string())
            );
        }
        if size < 4 {
            continue;
        }
        for (first, last) in [(0, 0), (1, size - 2), (size / 2, size - 1)] {
            cool(&path);
            client.send(format!("GET /{size} HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-{last}\r\n\r\n"));
            let answer = client.response();
            assert_eq!(answer.head.status(), 206);
            assert!(answer.body == whole[first..=last], "{size}: {first}-{last}");
        }
        client.send(format!("GET /{size} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1,{}-\r\n\r\n", size - 1));
        let answer = client.response();
        assert_eq!(
            (answer.head.status(), answer.head.field("content-length")),
            (206, Some(&*answer.body.len().to_string()))
        );
        assert!(answer.body.ends_with(b"--\r\n"), "{size}");
    }
}

#[test]
fn files_of_all_sizes_arrive_warm_and_cold() {
    for lines in ["", "open_file_cache = \"max=5 inactive=20s\""] {
        let ringgate = serving(lines, fill);
        read_all(&ringgate, &mut ringgate.client());
    }
}

#[test]
fn files_arrive_under_tls() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("www")).unwrap();
    fill(&folder.path().join("www"));
    let authority = Authority::new("files");
    authority.server(&["files.test"]).write(folder.path(), "files");
    let text = "[[server]]\nlisten = \"127.0.0.1:0 ssl\"\nserver_name = \"files.test\"\nssl_certificate = \"{dir}/files.crt\"\n\
                ssl_certificate_key = \"{dir}/files.key\"\n[server.location.\"/\"]\nroot = \"{dir}/www\"\n";
    let ringgate = Setup::new().workers(1).section(text).start_in(folder);
    let config = Arc::new(support::tls::Wish::default().config());
    let mut client = Client::secure(ringgate.place(), &config, "files.test");
    for size in SIZES {
        client.send(format!("GET /{size} HTTP/1.1\r\nHost: files.test\r\n\r\n"));
        let answer = client.response();
        assert!(answer.head.status() == 200 && answer.body == pattern(size), "{size}");
    }
}

#[test]
fn links_stay_inside_unless_told() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "SECRET").unwrap();
    let rows: [(&str, [(u16, &str); 4]); 3] = [
        ("", [(200, "inner"), (403, "symlink_outside"), (403, "symlink_outside"), (404, "file_missing")]),
        ("symlinks = \"follow\"", [(200, "inner"), (200, "SECRET"), (200, "SECRET"), (404, "file_missing")]),
        (
            "symlinks = \"off\"",
            [(403, "symlink_outside"), (403, "symlink_outside"), (403, "symlink_outside"), (403, "symlink_outside")],
        ),
    ];
    for (lines, wanted) in rows {
        let ringgate = serving(lines, |www| {
            fs::write(www.join("file"), "inner").unwrap();
            symlink("file", www.join("near")).unwrap();
            symlink(outside.path().join("secret"), www.join("far")).unwrap();
            symlink(outside.path(), www.join("folder")).unwrap();
            symlink("nowhere", www.join("broken")).unwrap();
        });
        let mut client = ringgate.client();
        for (path, (status, text)) in ["/near", "/far", "/folder/secret", "/broken"].into_iter().zip(wanted) {
            let answer = client.get(path);
            assert_eq!(answer.head.status(), status, "{lines} {path}");
            match status {
                200 => assert_eq!(answer.body, text.as_bytes(), "{lines} {path}"),
                _ => assert_eq!(answer.head.reason(), Some(text), "{lines} {path}"),
            }
        }
        if lines.is_empty() {
            ringgate.expect_log("symlinks = \"follow\"");
        }
    }
}

#[test]
fn a_link_that_changes_all_the_time_never_leads_out() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("d")).unwrap();
    fs::write(outside.path().join("d/file"), "SECRET").unwrap();
    let ringgate = serving("", |www| {
        fs::create_dir(www.join("real")).unwrap();
        fs::write(www.join("real/file"), "inner").unwrap();
        symlink("real", www.join("d")).unwrap();
    });
    let www = ringgate.folder().join("www");
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let (stop, www, target) = (stop.clone(), www.clone(), outside.path().join("d"));
        move || {
            let mut swaps = 0;
            while !stop.load(Ordering::Relaxed) {
                for to in [target.as_path(), Path::new("real")] {
                    symlink(to, www.join("next")).unwrap();
                    fs::rename(www.join("next"), www.join("d")).unwrap();
                    swaps += 1;
                }
            }
            swaps
        }
    });
    let mut client = ringgate.client();
    let mut seen = [0; 2];
    // Both must have been met; a busy machine may take longer to swap.
    for round in 0..200_000 {
        let answer = client.get("/d/file");
        match answer.head.status() {
            200 => {
                assert_eq!(answer.body, b"inner");
                seen[0] += 1;
            }
            403 => seen[1] += 1,
            status => panic!("{status}: {}", support::show(&answer.body)),
        }
        if round > 3000 && seen.iter().all(|&count| count > 100) {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap();
    assert!(swaps > 100 && seen.iter().all(|&count| count > 0), "{swaps} {seen:?}");
}

#[test]
fn directories_have_an_index_a_listing_or_nothing() {
    let ringgate = serving("index = \"first.html index.html\"\nautoindex = \"on\"", |www| {
        for name in ["indexed", "listed", "listed/sub"] {
            fs::create_dir(www.join(name)).unwrap();
        }
        fs::write(www.join("indexed/index.html"), "index").unwrap();
        fs::write(www.join("listed/a <b>.txt"), "12345").unwrap();
    });
    let mut client = ringgate.client();
    let answer = client.get("/indexed/");
    assert_eq!((answer.head.status(), &answer.body[..]), (200, &b"index"[..]));
    let answer = client.get("/indexed?x=y");
    let url = "http://test/indexed/?x=y";
    assert_eq!((answer.head.status(), answer.head.field("location")), (301, Some(url)));
    let answer = client.get("/listed/");
    let page = String::from_utf8(answer.body).unwrap();
    assert_eq!((answer.head.status(), answer.head.field("content-type")), (200, Some("text/html")));
    assert!(
        page.contains("<a href=\"sub/\">sub/</a>") && page.contains("<a href=\"a%20%3Cb%3E.txt\">a &lt;b&gt;.txt</a>"),
        "{page}"
    );
    assert_eq!(client.exchange("HEAD", "/listed/").head.status(), 200);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let ringgate = serving("", |www| {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, www.join("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
        std::os::unix::net::UnixListener::bind(www.join("socket")).unwrap();
    });
    let mut client = ringgate.client();
    for path in ["/pipe", "/socket"] {
        assert_eq!(client.get(path).head.status(), 404, "{path}");
    }
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let size = 24 << 20;
    let ringgate = serving("", |www| fs::write(www.join("large"), pattern(size)).unwrap());
    let mut client = ringgate.client();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.head();
    assert_eq!(head.field("content-length"), Some(&*size.to_string()));
    // Others are served while its buffers are full.
    assert_eq!(ringgate.client().exchange("HEAD", "/large").head.status(), 200);
    cool(&ringgate.folder().join("www/large"));
    let mut got = Vec::new();
    while got.len() < size {
        let n = (size - got.len()).min(1 << 20);
        got.extend(client.read_exactly(n));
    }
    assert!(got == pattern(size));
}
