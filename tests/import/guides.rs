//! `guides/`: what such guides teach, in our own words. nginx takes each of them, and so does ringgate.

use super::started::run_in;
use super::support::{certificates, tools};
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/guides")
}

/// The files, each alone in a folder of its own, with a certificate beside it.
fn guides() -> Vec<(String, tempfile::TempDir)> {
    let mut made = Vec::new();
    for entry in std::fs::read_dir(folder()).expect("the guides") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let home = tempfile::tempdir().expect("a temporary folder");
        certificates::Authority::new("CA").server(&["safe.test", "www.safe.test"]).write(home.path(), "safe");
        let text = std::fs::read_to_string(&path).expect("a text");
        let text = text.replace("@DIR@", home.path().to_str().expect("a plain name"));
        std::fs::write(home.path().join("site.conf"), text).expect("the file can be written");
        made.push((path.file_name().expect("a name").to_string_lossy().into_owned(), home));
    }
    assert!(made.len() >= 12, "{} guides found", made.len());
    made
}

/// Nothing of them is lost, and the result is good.
#[test]
fn every_guide_is_taken() {
    for (name, home) in guides() {
        let made = run_in(home.path(), &["import", "nginx", "site.conf", "-o", "made.toml"]);
        assert!(made.err.contains(" 0 not supported, 0 missing\n"), "{name}\n{}", made.err);
        assert_eq!(made.code, Some(0), "{name}\n{}", made.err);
        let checked = run_in(home.path(), &["check", "-c", "made.toml"]);
        assert_eq!(checked.code, Some(0), "{name}\n{}", checked.err);
    }
}

/// They would be no guides if nginx refused them.
#[test]
fn nginx_takes_every_guide() {
    let Some(nginx) = tools::find("nginx_takes_every_guide", "nginx") else { return };
    for (name, home) in guides() {
        let main = "events { }\nerror_log stderr;\npid PID;\nhttp { access_log off; include site.conf; }\n";
        let pid = home.path().join("pid");
        let main = main.replace("PID", pid.to_str().expect("a plain name"));
        std::fs::write(home.path().join("nginx.conf"), main).expect("the file can be written");
        let site = home.path().join("site.conf");
        let text = std::fs::read_to_string(&site).expect("it is there").replace("/var/log/nginx/", "");
        std::fs::write(&site, text).expect("the file can be written");
        let mut test = Command::new(&nginx);
        test.arg("-t").arg("-p").arg(home.path()).arg("-c").arg(home.path().join("nginx.conf"));
        let output = test.output().expect("nginx runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("syntax is ok"), "{name}\n{said}");
    }
}

/// A whole nginx.conf with folders beside it.
#[test]
fn a_whole_configuration_is_read_with_its_includes() {
    let home = folder().join("whole");
    let text = run_in(&home, &["import", "nginx", "nginx.conf"]);
    for piece in
        ["gzip = \"on\"", "\"text/css\" = \"css\"", "server_name = \"app.test\"", "main = '$remote_addr - $remote_user"]
    {
        assert!(text.out.contains(piece), "{piece}\n{}\n{}", text.out, text.err);
    }
    assert!(text.err.contains(" 0 not supported, 0 missing\n"), "{}", text.err);
    assert_eq!(text.code, Some(0), "{}", text.err);
}
