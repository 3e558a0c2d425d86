//! Files: a first one, a good one, bad ones.

use super::support::Backend;
use super::{Started, run, run_in, started};
use std::path::Path;

const GOOD: &str =
    "[[server]]\nlisten = \"127.0.0.1:0\"\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:9\"\n";

/// A folder with this `ringgate.toml`.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "ringgate.toml", text);
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("the file can be written");
}

#[test]
fn a_good_file_gets_the_two_lines() {
    let folder = folder(GOOD);
    let output = run_in(folder.path(), &["check"]);
    assert_eq!((output.code, &output.out[..]), (Some(0), ""), "{output:?}");
    assert_eq!(
        output.err,
        "ringgate: the configuration file ringgate.toml syntax is ok\n\
         ringgate: configuration file ringgate.toml test is successful\n"
    );
    let path = folder.path().join("ringgate.toml");
    let named = run(&["check", "-c", path.to_str().expect("a plain name")]);
    assert_eq!(named.code, Some(0));
    assert_eq!(named.err, output.err.replace("ringgate.toml", path.to_str().expect("a plain name")));
}

#[test]
fn a_bad_file_is_shown_with_place_line_and_caret() {
    let rows = [
        ("proxy_pas = \"http://127.0.0.1:9\"", "proxy_pass", "5:1"),
        ("proxy_pass = \"http://127.0.0.1:9\"\nproxy_read_timeout = \"1 fortnight\"", "1 fortnight", "6:22"),
        ("proxy_pass = \"http://bakcend\"", "did you mean `backend`", "5:14"),
        ("proxy_pass = 5 5", "quotes are missing", "5:14"),
    ];
    for (line, hint, place) in rows {
        let text = format!("[upstream.backend]\nserver = \"127.0.0.1:1\"\n[[server]]\nlocation.\"/\" = {{}}\n{line}\n");
        let text = text.replace("location.\"/\" = {}", "[server.location.\"/\"]");
        let folder = folder(&text);
        for command in ["check", "run"] {
            let output = run_in(folder.path(), &[command]);
            assert_eq!(output.code, Some(1), "{line}: {output:?}");
            let first = output.err.lines().next().unwrap_or_default();
            assert!(first.starts_with(&format!("ringgate.toml:{place}: error: ")), "{line}: {first}");
            assert!(output.err.contains(hint), "{line}: {}", output.err);
            let source = line.lines().last().unwrap_or_default();
            assert!(output.err.contains(source), "{line}: the line is not shown\n{}", output.err);
            assert!(output.err.contains('^'), "{line}: no caret\n{}", output.err);
        }
        let checked = run_in(folder.path(), &["check"]).err;
        assert!(checked.ends_with("ringgate: configuration file ringgate.toml test failed\n"), "{checked}");
    }
}

/// All mistakes are named at once.
#[test]
fn all_mistakes_are_named() {
    let output = run_in(
        folder("wokers = 4\n[upstream.a]\nserver = \"127.0.0.1:1\"\nbalence = \"x\"\n[[server]]\nlistem = 8080\n")
            .path(),
        &["check"],
    );
    assert_eq!(output.code, Some(1));
    for (place, meant) in [("1:1", "workers"), ("4:1", "balance"), ("6:1", "listen")] {
        assert!(output.err.contains(&format!("ringgate.toml:{place}: error: ")), "{place}: {}", output.err);
        assert!(output.err.contains(&format!("`{meant}`")), "{meant}: {}", output.err);
    }
}

/// One error in an included file, and nothing listens: no port is taken, no socket file appears, nobody is asked.
#[test]
fn nothing_half_loaded_ever_runs() {
    let backend = Backend::fixed("hello");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let folder = folder(&format!(
        "include = [\"more.toml\"]\nadmin = \"admin.sock\"\n[[server]]\nlisten = [\"127.0.0.1:{port}\", \"unix:front.sock\"]\n\
         [server.location.\"/\"]\nproxy_pass = \"http://{}\"\n",
        backend.place()
    ));
    write(
        folder.path(),
        "more.toml",
        "[[server]]\nlisten = \"127.0.0.1:0\"\n[server.location.\"/\"]\nproxy_pass = \"http://noone:0\"\n",
    );
    let output = run_in(folder.path(), &["run"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.lines().any(|line| line.starts_with("more.toml:4:14: error: ")), "{}", output.err);
    assert!(output.err.contains("nothing was started"), "{}", output.err);
    assert!(!output.err.contains("listening on"), "{}", output.err);
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("the folder").map(|e| e.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["more.toml", "ringgate.toml"]);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn without_a_file_the_ways_on_are_named() {
    if Path::new("/etc/ringgate/ringgate.toml").exists() {
        return super::support::tools::skip("without_a_file", "this machine has a configuration of its own");
    }
    for command in ["run", "check"] {
        let output = run(&[command]);
        assert_eq!(output.code, Some(1));
        for hint in
            ["ringgate.toml", "/etc/ringgate/ringgate.toml", "ringgate init", "-c FILE", "ringgate proxy --listen"]
        {
            assert!(output.err.contains(hint), "{command}: no {hint} in {}", output.err);
        }
    }
    let output = run(&["run", "-c", "/no/such/file.toml"]);
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("/no/such/file.toml"), "{}", output.err);
}

/// init, check, run: as the first message says.
#[test]
fn the_first_steps_work_as_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run_in(folder.path(), &["init"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    for hint in ["ringgate.toml", "ringgate check", "ringgate run", "curl http://127.0.0.1:8080/"] {
        assert!(output.out.contains(hint), "no {hint} in {}", output.out);
    }
    assert_eq!(run_in(folder.path(), &["check"]).code, Some(0));
    let path = folder.path().join("ringgate.toml");
    let text = std::fs::read_to_string(&path).expect("init wrote it");
    // Again: the file stays as it is.
    std::fs::write(&path, text.replace("8080", "0")).expect("it can be written");
    let again = run_in(folder.path(), &["init"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.err.contains("stays as it is"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text.replace("8080", "0"));
    // It runs, and its missing applications are an answer, not an end.
    let started = Started::new(&mut started::command(folder.path(), &["run"]));
    started.expect("ready line", |_, err| err.lines().any(|line| line.ends_with(" ready")).then_some(()));
    started.signal("TERM");
    assert_eq!(started.wait(super::support::PATIENCE).code, Some(0));
    let other = run_in(folder.path(), &["init", "other.toml"]);
    assert_eq!(other.code, Some(0));
    assert!(other.out.contains("ringgate run -c other.toml"), "{}", other.out);
    assert_eq!(run_in(folder.path(), &["check", "-c", "other.toml"]).code, Some(0));
    assert_eq!(run_in(folder.path(), &["init", "no/such/folder.toml"]).code, Some(1));
}

#[test]
fn wrong_words_on_the_command_line_end_with_help() {
    let rows: [(&[&str], &str); 9] = [
        (&[], "Usage: ringgate"),
        (&["fly"], "fly"),
        (&["run", "--confg", "x"], "--config"),
        (&["check", "x.toml"], "x.toml"),
        (&["proxy", "--listen", "127.0.0.1:0"], "--to"),
        (&["proxy", "--listen", "0", "--to", "1", "--balance", "fair"], "least_conn"),
        (&["tcp", "--listen", "127.0.0.1:0"], "--to"),
        (&["tcp", "--listen", "0", "--to", "1", "--balance", "hash"], "hash $request_uri"),
        (&["status", "--jsn"], "--json"),
    ];
    for (arguments, hint) in rows {
        let output = run(arguments);
        assert_eq!(output.code, Some(2), "{arguments:?}: {output:?}");
        assert!(output.err.contains(hint), "{arguments:?}: no {hint} in {}", output.err);
    }
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in ["run", "check", "init", "proxy", "tcp", "demo", "status"] {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}: {}", help.out);
        assert_eq!(run(&[command, "--help"]).code, Some(0), "{command}");
    }
    assert_eq!(run(&["--version"]).out, format!("ringgate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn tcp_says_what_is_wrong_with_an_address() {
    let output = run(&["tcp", "--listen", "127.0.0.1:0", "--to", "http://127.0.0.1:1/", "--admin", "off"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("an address has no scheme; write \"127.0.0.1:1\""), "{}", output.err);
}

/// A method that a TCP session has nothing for.
#[test]
fn tcp_says_what_is_wrong_with_a_method() {
    let to = ["--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--admin", "off"];
    let output = run(&[&["tcp", "--balance", "hash $request_uri"], &to[..]].concat());
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("write \"hash $remote_addr\""), "{}", output.err);
}

#[test]
fn proxy_says_what_is_wrong_with_an_address() {
    let output = run(&["proxy", "--listen", "127.0.0.1:99999", "--to", "127.0.0.1:1", "--admin", "off"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("99999"), "{}", output.err);
}

/// Found by hand: with the file broken, the process that runs it was not found, for the file names its admin socket.
#[test]
fn a_reload_of_a_broken_file_reaches_the_process_and_says_what_is_wrong() {
    let good = format!("admin = \"a.sock\"\n{GOOD}");
    let folder = folder(&good);
    let running = Started::new(&mut super::started::command(folder.path(), &["run"]));
    running.expect("ready", |_, err| err.contains("ready").then_some(()));
    let reload = || run_in(folder.path(), &["reload"]);
    let done = reload();
    assert_eq!((done.code, &done.out[..]), (Some(0), "ringgate.toml: the same 1 server\n"), "{done:?}");
    write(folder.path(), "ringgate.toml", &good.replace("proxy_pass", "proxy_pas"));
    let refused = reload();
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("ringgate.toml:5:1: error") && refused.err.contains("proxy_pass"), "{refused:?}");
    assert!(refused.err.contains("nothing was changed"), "{refused:?}");
    write(folder.path(), "ringgate.toml", "this is no TOML");
    assert_eq!(reload().code, Some(1));
    write(folder.path(), "ringgate.toml", &good);
    assert_eq!(reload().code, Some(0));
    running.signal("TERM");
    assert_eq!(running.wait(std::time::Duration::from_secs(20)).code, Some(0));
}
