//! The command: what it writes where, and when it is content.

use super::started::{Output, run, run_in};
use std::path::Path;

/// A folder with this nginx.conf.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "nginx.conf", text);
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("the file can be written");
}

fn import(folder: &Path, more: &[&str]) -> Output {
    run_in(folder, &[&["import", "nginx", "nginx.conf"], more].concat())
}

const GOOD: &str = "events { }\nhttp { server { listen 8080; return 404; } }\n";

#[test]
fn the_text_goes_out_and_the_report_beside_it() {
    let folder = folder(GOOD);
    let made = import(folder.path(), &[]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.out.contains("\n[[server]]\nlisten = \"8080\"\nreturn = \"404\"\n"), "{made:?}");
    assert!(made.err.contains("ringgate: 5 directives: 5 translated, "), "{made:?}");
    let to_file = import(folder.path(), &["-o", "made.toml"]);
    assert_eq!((to_file.code, to_file.out.as_str()), (Some(0), ""), "{to_file:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("made.toml")).expect("it is there"), made.out);
    // What was read is not written over.
    let same = import(folder.path(), &["-o", "./nginx.conf"]);
    assert_eq!(same.code, Some(1));
    assert_eq!(std::fs::read_to_string(folder.path().join("nginx.conf")).expect("it is there"), GOOD);
    assert_eq!(import(folder.path(), &["-o", "no/such/made.toml"]).code, Some(1));
}

#[test]
fn what_is_lost_is_an_error_unless_it_is_meant() {
    let folder = folder("events { }\nhttp { server { listen 8080; sub_filter a b; return 404; } }\n");
    let made = import(folder.path(), &[]);
    assert_eq!(made.code, Some(1), "{made:?}");
    assert!(made.err.contains("not supported:\n  sub_filter: ") && made.err.contains("nginx.conf:2"), "{made:?}");
    assert!(made.out.contains("# not taken over: sub_filter a b; (nginx.conf:2)"), "{made:?}");
    assert_eq!(import(folder.path(), &["--lossy"]).code, Some(0));
    let run = run_in(folder.path(), &["run", "--nginx", "nginx.conf"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.err.contains("--lossy") && !run.err.contains("ready"), "{run:?}");
}

#[test]
fn what_is_missing_is_named() {
    let folder = folder("events { }\nhttp {\n include more.conf;\n server { listen 8080; return 404; }\n}\n");
    let made = import(folder.path(), &["-o", "made.toml"]);
    assert_eq!(made.code, Some(1), "{made:?}");
    assert!(made.err.contains("missing:\n  include: more.conf is not there (nginx.conf:3)"), "{made:?}");
    assert!(!folder.path().join("made.toml").exists());
    assert_eq!(import(folder.path(), &["--lossy", "-o", "made.toml"]).code, Some(0));
    write(folder.path(), "more.conf", "gzip on;\n");
    assert_eq!(import(folder.path(), &[]).code, Some(0));
    let nothing = run_in(folder.path(), &["import", "nginx", "other.conf"]);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.err.contains("other.conf:1: error: there is no such file"), "{nothing:?}");
}

/// What only ringgate refuses is told with the line that it comes from.
#[test]
fn what_ringgate_refuses_is_shown_at_its_source() {
    let folder =
        folder("events { }\nhttp {\n server {\n  listen 8080;\n  send_timeout 99999999999999y;\n return 404;\n }\n}\n");
    let made = import(folder.path(), &[]);
    assert_eq!(made.code, Some(1), "{made:?}");
    assert!(made.err.contains("nginx.conf:5: this became\n"), "{made:?}");
}

/// The running process answers as nginx's file says.
#[test]
fn nginx_configuration_runs_directly() {
    use super::started::{Started, command};
    let folder = folder("events { }\nhttp { server { listen 127.0.0.1:0; return 200 \"hello\"; } }\n");
    let started = Started::new(&mut command(folder.path(), &["run", "--nginx", "nginx.conf"]));
    started.expect("ready", |_, err| err.contains("ready").then_some(()));
    started.signal("TERM");
    assert_eq!(started.wait(super::support::PATIENCE).code, Some(0));
}

#[test]
fn wrong_words_end_with_help() {
    for arguments in
        [&["import"][..], &["import", "nginx"], &["import", "apache", "x"], &["run", "--nginx", "x", "-c", "y"]]
    {
        assert_eq!(run(arguments).code, Some(2), "{arguments:?}");
    }
    let lonely = run(&["run", "--lossy"]);
    assert_eq!(lonely.code, Some(1));
    assert!(lonely.err.contains("--nginx PATH"), "{lonely:?}");
}
