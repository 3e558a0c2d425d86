//! Starting: what stands in the way is named, with what to do about it.

use super::support::{Client, PATIENCE, Place, backend, net, tools};
use super::{Output, Started, run_in, started};
use std::path::Path;

/// `ringgate proxy`, run to its end.
#[track_caller]
fn proxy(listen: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run_in(folder.path(), &["proxy", "--listen", listen, "--to", "127.0.0.1:9", "--workers", "1"])
}

/// `ringgate proxy` on a free port, once it is ready; and where it listens.
#[track_caller]
fn proxy_to(folder: &Path, to: &[&str]) -> (Started, Place) {
    let mut arguments = vec!["proxy", "--listen", "127.0.0.1:0", "--workers", "2"];
    to.iter().for_each(|to| arguments.extend(["--to", to]));
    let started = Started::new(&mut started::command(folder, &arguments));
    let place = started.expect("address", |out, err| {
        err.lines().find(|line| line.ends_with(" ready"))?;
        let (_, address) = out.lines().find(|line| line.starts_with("balancing "))?.rsplit_once("http://")?;
        Some(Place::parse(address.trim_end_matches('/')))
    });
    (started, place)
}

/// Two lines on standard output, and the listener shown as what it is.
#[test]
fn tcp_says_where_it_listens_and_status_shows_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["tcp", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--to", "10", "--workers", "2"];
    let started = Started::new(&mut started::command(folder.path(), &arguments));
    let (url, admin) = started.expect("address and admin socket", |out, _| {
        let url = out.lines().find_map(|line| line.strip_prefix("balancing round_robin over 2 servers on "))?;
        Some((url.to_owned(), out.lines().find_map(|line| line.split_once("--admin "))?.1.to_owned()))
    });
    assert!(url.starts_with("tcp://127.0.0.1:") && !url.ends_with(":0"), "{url}");
    started.expect("log line", |_, err| err.contains(&format!("listening on {url}")).then_some(()));
    let status = super::run(&["status", "--admin", &admin]).out;
    assert!(status.contains(&format!("{url}  tcp ")) && status.contains("127.0.0.1:10 "), "{status}");
    started.signal("TERM");
    assert_eq!(started.wait(PATIENCE).code, Some(0));
}

#[test]
fn a_taken_port_is_named_with_the_way_to_its_owner() {
    let owner = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = owner.local_addr().expect("it is bound");
    let output = proxy(&address.to_string());
    assert_eq!(output.code, Some(1), "{output:?}");
    let hint = format!("ss -ltnp 'sport = :{}'", address.port());
    assert!(
        output.err.contains(&format!("cannot listen on {address}")) && output.err.contains(&hint),
        "{}",
        output.err
    );
    assert!(!output.out.contains("balancing"), "{}", output.out);
}

/// SO_REUSEPORT lets workers share a port, not two ringgates.
#[test]
fn a_second_ringgate_does_not_share_the_port() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, place) = proxy_to(folder.path(), &["127.0.0.1:9"]);
    let output = proxy(&place.to_string());
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains(&format!("cannot listen on {place}")), "{}", output.err);
    assert_eq!(Client::connect(&place).get("/").status(), 502, "the first goes on");
    first.signal("TERM");
    assert_eq!(first.wait(PATIENCE).code, Some(0));
    // The port is free at once, TIME_WAIT or not.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listen = place.to_string();
    let arguments = ["proxy", "--listen", &listen, "--to", "127.0.0.1:9", "--workers", "1"];
    let again = Started::new(&mut started::command(folder.path(), &arguments));
    again.expect("ready line", |_, err| err.lines().any(|line| line.ends_with(" ready")).then_some(()));
}

#[test]
fn a_privileged_port_is_explained() {
    use std::os::unix::process::CommandExt;
    const TEST: &str = "a_privileged_port_is_explained";
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    if first_free.trim().parse::<u16>().is_ok_and(|first| first <= 79) {
        return tools::skip(TEST, "here every user may listen on port 79");
    }
    let folder = tempfile::tempdir_in("/tmp").expect("a temporary folder");
    let arguments = ["proxy", "--listen", "127.0.0.1:79", "--to", "127.0.0.1:9", "--admin", "off"];
    let mut command = started::command(Path::new("/"), &arguments);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if is_root {
        // Nobody may not look into root's folders, so the program is put where it may.
        use std::os::unix::fs::PermissionsExt;
        let program = folder.path().join("ringgate");
        // Not by this process: another test's child could hold the copy open for writing, and what is written to does not run.
        let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_ringgate")).arg(&program).status();
        assert!(copied.is_ok_and(|status| status.success()), "the program can be copied");
        for path in [folder.path(), &program] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("our own file");
        }
        command = std::process::Command::new(program);
        command.args(arguments).current_dir("/").uid(65_534).gid(65_534);
    }
    let output = Started::new(&mut command).wait(PATIENCE);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("cannot listen on 127.0.0.1:79"), "{}", output.err);
    assert!(output.err.contains("ports below 1024 need root or CAP_NET_BIND_SERVICE"), "{}", output.err);
}

#[test]
fn an_address_of_another_machine_is_explained() {
    let output = proxy("192.0.2.1:8080");
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("this machine has no such address"), "{}", output.err);
}

/// Backends may come later: starting does not depend on them.
#[test]
fn a_missing_backend_is_no_obstacle() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (missing, guard) = net::refusing();
    let (started, place) = proxy_to(folder.path(), &[&missing.to_string()]);
    let answer = Client::connect(&place).get("/");
    assert_eq!((answer.status(), answer.reason()), (502, Some("connect_refused")));
    drop(guard);
    let backend = backend::Backend::answer_on(&missing, |_| backend::ok("here I am"));
    assert_eq!(Client::connect(&place).get("/").text(), "here I am");
    drop(backend);
    started.signal("INT");
    let output = started.wait(PATIENCE);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.out.contains("round_robin over 1 server "), "{}", output.out);
    assert!(output.out.contains("ringgate status --admin "), "{}", output.out);
}
