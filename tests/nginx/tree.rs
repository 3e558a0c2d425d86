//! The files that the themes serve. All have the same time, so that what is told of them does not depend on when a test runs.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Mon, 15 Jan 2024 12:00:00 GMT.
pub const TIME: u64 = 1_705_320_000;

/// Path and content. A path with `/` at its end is an empty folder.
const FILES: &[(&str, &str)] = &[
    ("www/index.html", "index of www"),
    ("www/a.txt", "abcdefghijklmnopqrstuvwxyz"),
    ("www/b.css", "b{}"),
    ("www/empty.txt", ""),
    ("www/one.txt", "1"),
    ("www/noext", "no extension"),
    ("www/with space.txt", "space"),
    ("www/per%cent.txt", "percent"),
    ("www/plus+sign.txt", "plus"),
    ("www/q?mark.txt", "question"),
    ("www/semi;colon.txt", "semicolon"),
    ("www/caf\u{e9}.txt", "coffee"),
    ("www/UPPER.TXT", "upper"),
    ("www/.hidden", "hidden"),
    ("www/page.html", "<p>page</p>"),
    ("www/page.htm", "<p>htm</p>"),
    ("www/sub/index.html", "index of sub"),
    ("www/sub/c.txt", "c"),
    ("www/sub/exact.txt", "of a root of its own"),
    ("www/sub/deep/d.txt", "d"),
    ("www/noindex/e.txt", "e"),
    ("www/htm/index.htm", "index.htm"),
    ("www/emptydir/", ""),
    ("www/dir.txt/f.txt", "in a folder with a suffix"),
    ("www/404.html", "our 404"),
    ("www/50x.html", "our 50x"),
    ("www/403.html", "our 403"),
    ("www/app/index.html", "app shell"),
    ("www/app/real.js", "real()"),
    ("www/static/s.txt", "static s"),
    ("www/x.tar.gz", "not really a tar"),
    ("www/image.png", "not really a png"),
    ("www/up.PNG", "nor this"),
    ("www/data.json", "{\"a\":1}"),
    ("www/s.js", "s()"),
    ("www/i.svg", "<svg/>"),
    ("www/f.woff2", "w"),
    ("www/v.mp4", "v"),
    ("www/unknown.xyz", "unknown"),
    ("www/two.dots.css", "two"),
    ("www/dotend.", "dot at the end"),
    ("other/index.html", "index of other"),
    ("other/o.txt", "other o"),
    ("other/sub/p.txt", "other p"),
    ("other/a.txt", "other a"),
    ("secret.txt", "nobody reads this"),
    ("sites/one.test/index.html", "site one"),
    ("sites/two.test/index.html", "site two"),
];

/// Makes them below `folder`.
pub fn plant(folder: &Path) {
    for (path, text) in FILES {
        write(&folder.join(path), text.as_bytes());
    }
    // Longer than any buffer, and not the same everywhere.
    let long: String = (0..20_000).map(|i| format!("{i:06} a line of a long text\n")).collect();
    write(&folder.join("www/long.txt"), long.as_bytes());
    write(&folder.join("www/k16.html"), &long.as_bytes()[..16 * 1024]);
    write(&folder.join("www/k1.css"), &long.as_bytes()[..1024]);
    write(&folder.join("www/k1.png"), &long.as_bytes()[..1024]);
    // What `pre.css` is compressed to: a stored block of gzip's.
    write(&folder.join("www/pre.css"), b"pre{}");
    let (head, check) = (b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x05\0\xfa\xff", b"\xb2\xdb\xa5\x52\x05\0\0\0");
    write(&folder.join("www/pre.css.gz"), &[&head[..], b"pre{}", check].concat());
    // The passwords are `secret`.
    let users = "apr1:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\nsha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nplain:{PLAIN}secret\n\
                 # a remark\ncolon:{PLAIN}a:b\n";
    write(&folder.join("users"), users.as_bytes());
}

#[track_caller]
fn write(path: &Path, bytes: &[u8]) {
    let folder = if path.to_string_lossy().ends_with('/') { path } else { path.parent().expect("a folder") };
    fs::create_dir_all(folder).expect("a folder can be made");
    if folder == path {
        return;
    }
    fs::write(path, bytes).expect("a file can be written");
    let time: SystemTime = UNIX_EPOCH + Duration::from_secs(TIME);
    File::options().append(true).open(path).and_then(|file| file.set_modified(time)).expect("a time can be set");
}
