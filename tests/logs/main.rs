//! Access logs and the error log: one line for each exchange, whatever is done to the files.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use support::{Backend, PATIENCE, Ringgate, Setup, tools, wait_until};

/// The lines of a log in the temporary folder; none if it is not there.
fn lines(ringgate: &Ringgate, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(ringgate.folder().join(name)).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text}");
    text.lines().map(str::to_owned).collect()
}

/// Each worker's lines are in order; among workers there is none.
#[track_caller]
fn expect(ringgate: &Ringgate, name: &str, expected: &[&str]) {
    wait_until("all lines are there", || lines(ringgate, name).len() >= expected.len());
    let (mut found, mut expected) = (lines(ringgate, name), expected.to_vec());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

const FORMATS: &str = "[log_format]\nshort = \"$status $request $body_bytes_sent $http_user_agent\"\n\
    all = \"escape=json {\\\"status\\\":$status,\\\"request\\\":\\\"$request\\\",\\\"agent\\\":\\\"$http_user_agent\\\",\
    \\\"time\\\":$request_time,\\\"up\\\":\\\"$upstream_addr\\\",\\\"iso\\\":\\\"$time_iso8601\\\",\\\"id\\\":\\\"$request_id\\\"}\"\n";

fn start(backend: &Backend, top: &str) -> Ringgate {
    Setup::proxy(&[backend.place()]).top(top).section(FORMATS).start()
}

#[test]
fn each_exchange_is_one_line() {
    let backend = Backend::fixed("hello");
    let ringgate = start(&backend, "access_log = [\"{dir}/a.log short\", \"{dir}/b.log all\", \"{dir}/c.log\"]");
    ringgate.client().get("/one?x=1");
    let mut client = ringgate.client();
    client.send("GET /two HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\\é\r\nConnection: close\r\n\r\n");
    client.read_to_end();
    let mut client = ringgate.client();
    client.send("BAD\"LINE\r\n\r\n");
    let refused = client.read_to_end().0;
    let body = refused.len() - refused.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") - 4;
    expect(
        &ringgate,
        "a.log",
        &[
            "200 GET /one?x=1 HTTP/1.1 5 -",
            "200 GET /two HTTP/1.1 5 \\x22x\\x5C\\xC3\\xA9",
            &format!("400 BAD\\x22LINE {body} -"),
        ],
    );
    wait_until("the other logs", || lines(&ringgate, "b.log").len() + lines(&ringgate, "c.log").len() == 6);
    let mut parsed: Vec<serde_json::Value> =
        lines(&ringgate, "b.log").iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // Each worker has an order of its own.
    let place =
        |line: &serde_json::Value| ["one", "two", "BAD"].map(|name| !line["request"].to_string().contains(name));
    parsed.sort_by_key(place);
    assert_eq!(parsed[1]["agent"], "\"x\\é");
    assert_eq!(parsed[0]["up"], backend.place().to_string());
    assert_eq!((parsed[2]["status"].as_u64(), parsed[2]["request"].as_str()), (Some(400), Some("BAD\"LINE")));
    assert!(parsed[0]["time"].is_number() && parsed[0]["id"] != parsed[1]["id"]);
    let all = lines(&ringgate, "c.log");
    let combined = all.iter().find(|line| line.contains("/one")).expect("it is there");
    assert!(
        combined.starts_with("127.0.0.1 - - [") && combined.ends_with("] \"GET /one?x=1 HTTP/1.1\" 200 5 \"-\" \"-\"")
    );
}

#[test]
fn conditions_and_off_choose() {
    let backend = Backend::fixed("hello");
    let map = "[map.loud]\nsource = \"$status\"\ndefault = \"1\"\n[map.loud.values]\n\"~^2\" = \"0\"\n";
    let places = [("/", "http://backend", ""), ("/silent/", "http://backend", "access_log = \"off\"")];
    let ringgate = Setup::new()
        .top("access_log = \"{dir}/a.log short if=$loud\"")
        .upstream("backend", &[backend.place()], "")
        .server("127.0.0.1:0", "rewrite = [\"if ($uri = /no) { return 403; }\"]", &places)
        .section(&format!("{FORMATS}{map}"))
        .start();
    let mut client = ringgate.client();
    client.get("/fine");
    client.get("/silent/x");
    let length = client.get("/no").body.len();
    let expected = format!("403 GET /no HTTP/1.1 {length} -");
    expect(&ringgate, "a.log", &[&expected]);
}

/// Requests until told to stop; their number.
fn load(ringgate: &Ringgate, stop: &AtomicBool) -> usize {
    let (mut count, mut client) = (0, ringgate.client());
    while !stop.load(Relaxed) {
        client.get("/x");
        count += 1;
    }
    count
}

#[test]
fn rotation_under_load_loses_and_doubles_nothing() {
    let backend = Backend::fixed("hello");
    let top = "access_log = \"{dir}/a.log short\"\nerror_log = \"{dir}/error.log\"";
    let mut ringgate = start(&backend, top);
    let stop = AtomicBool::new(false);
    let moved = |n: usize| format!("a.log.{n}");
    let requests: usize = std::thread::scope(|scope| {
        let loads: Vec<_> = (0..3).map(|_| scope.spawn(|| load(&ringgate, &stop))).collect();
        for n in 0..6 {
            wait_until("something is written", || lines_raw(&ringgate, "a.log") > 0);
            let path = |name: &str| ringgate.folder().join(name);
            std::fs::rename(path("a.log"), path(&moved(n))).expect("the log can be moved");
            match n % 2 {
                0 => assert!(ringgate.succeed(&["reopen"]).contains("2 logs reopened")),
                _ => ringgate.signal("USR1"),
            }
            wait_until("it is there again", || path("a.log").exists());
        }
        stop.store(true, Relaxed);
        loads.into_iter().map(|load| load.join().expect("no request failed")).sum()
    });
    ringgate.signal("TERM");
    assert!(ringgate.wait_exit(PATIENCE).success());
    let written: usize = (0..6).map(moved).chain(["a.log".to_owned()]).map(|name| lines(&ringgate, &name).len()).sum();
    assert_eq!(written, requests);
}

fn lines_raw(ringgate: &Ringgate, name: &str) -> u64 {
    std::fs::metadata(ringgate.folder().join(name)).map_or(0, |file| file.len())
}

#[test]
fn a_full_disk_and_a_pipe_that_nobody_reads_stall_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        return tools::skip("a_full_disk_and_a_pipe_that_nobody_reads_stall_nothing", "there is no mkfifo");
    }
    let backend = Backend::fixed("hello");
    let long = "x".repeat(4000);
    let logs = "access_log = [\"/dev/full short\", \"{dir}/pipe long\", \"{dir}/a.log short\"]";
    let format = format!("long = \"$status {long}\"\n");
    let setup = Setup::proxy(&[backend.place()]).top(logs).section(&format!("{FORMATS}{format}"));
    let mut ringgate = setup.start_in(folder);
    let mut client = ringgate.client();
    // Far more than pipe and queue hold.
    (0..3000).for_each(|_| drop(client.get("/x")));
    wait_until("all lines of the good file", || lines(&ringgate, "a.log").len() == 3000);
    wait_until("what was lost is known", || {
        let status: serde_json::Value = serde_json::from_str(&ringgate.status().text()).expect("JSON");
        status["access_log_lines_dropped"].as_u64() > Some(3000)
    });
    ringgate.expect_log("lines of the access log /dev/full were lost: No space left on device");
    ringgate.signal("TERM");
    assert!(ringgate.wait_exit(PATIENCE + Duration::from_secs(5)).success());
}

#[test]
fn the_end_writes_what_was_gathered() {
    let backend = Backend::fixed("hello");
    let mut ringgate = start(&backend, "access_log = \"{dir}/a.log short\"");
    let mut client = ringgate.client();
    (0..20).for_each(|_| drop(client.get("/x")));
    ringgate.signal("TERM");
    assert!(ringgate.wait_exit(PATIENCE).success());
    assert_eq!(lines(&ringgate, "a.log").len(), 20);
}

#[test]
fn a_reload_brings_other_logs_or_changes_nothing() {
    let backend = Backend::fixed("hello");
    let setup = |top: &str| Setup::proxy(&[backend.place()]).top(top).section(FORMATS);
    let ringgate = setup("access_log = \"{dir}/a.log short\"").start();
    ringgate.client().get("/1");
    let text = ringgate.config();
    ringgate.rewrite(&text.replace("a.log", "nowhere/a.log"));
    let failed = ringgate.command(&["reload"]);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(
        !failed.status.success() && said.contains("nowhere/a.log") && said.contains("nothing was changed"),
        "{said}"
    );
    ringgate.client().get("/2");
    ringgate.rewrite(&text.replace("a.log", "b.log"));
    ringgate.succeed(&["reload"]);
    ringgate.client().get("/3");
    expect(&ringgate, "a.log", &["200 GET /1 HTTP/1.1 5 -", "200 GET /2 HTTP/1.1 5 -"]);
    expect(&ringgate, "b.log", &["200 GET /3 HTTP/1.1 5 -"]);
}

#[test]
fn a_log_that_cannot_be_opened_is_named_and_nothing_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("ringgate.toml");
    let text = "admin = \"off\"\naccess_log = [\"/nonexistent/a.log\", \"/nonexistent/b.log\"]\n[[server]]\nlisten = \"127.0.0.1:0\"\nreturn = \"204\"\n";
    std::fs::write(&file, text).expect("the configuration can be written");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringgate")).arg("run").arg("-c").arg(&file).output();
    let output = output.expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for name in ["/nonexistent/a.log", "/nonexistent/b.log"] {
        assert!(said.contains(&format!("cannot open the access log {name}")), "{said}");
    }
}

#[test]
fn the_error_log_has_a_level_and_is_moved_too() {
    let backend = Backend::fixed("hello");
    let ringgate = start(&backend, "error_log = \"{dir}/error.log warn\"");
    let read = |name: &str| std::fs::read_to_string(ringgate.folder().join(name)).unwrap_or_default();
    backend.kill();
    assert_eq!(ringgate.client().get("/").status(), 502);
    wait_until("the error is logged", || read("error.log").contains("connect_refused"));
    assert!(!read("error.log").contains(" info "), "{}", read("error.log"));
    std::fs::rename(ringgate.folder().join("error.log"), ringgate.folder().join("old.log")).expect("it can be moved");
    ringgate.succeed(&["reopen"]);
    ringgate.client().get("/");
    wait_until("the new file is written", || !read("error.log").is_empty());
    assert!(Path::new(&ringgate.folder().join("old.log")).exists());
}
