//! Redis: with and without a password, a replica that lost its master, too many clients.

use super::support::server::{Server, free_port, open_folder};
use super::support::tools::{self, bounded, succeed};
use super::support::{Place, wait_until};
use super::{all_pass, check};
use ringgate::config::plan::CheckKind;
use std::path::PathBuf;

#[track_caller]
fn start(test: &str, arguments: &[&str]) -> Option<(Server, PathBuf)> {
    let (program, cli) = (tools::find(test, "redis-server")?, tools::find(test, "redis-cli")?);
    let (folder, port) = (open_folder("ringgate-redis-"), free_port());
    let mut command = bounded(&program, 300);
    let dir = folder.path().to_str().expect("a plain name").to_owned();
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", &dir, "--save", ""]).args(arguments);
    command.args(["--unixsocket", &format!("{dir}/redis.sock")]);
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    let ready = move |log: &str| log.contains("Ready to accept connections").then(|| place.clone());
    Some((Server::start(&mut command, ready, folder), cli))
}

#[test]
fn a_server_that_answers_passes_and_logs_nothing() {
    const TEST: &str = "a_server_that_answers_passes_and_logs_nothing";
    for arguments in [&[][..], &["--requirepass", "secret"]] {
        let Some((server, _)) = start(TEST, arguments) else { return };
        let log = server.log();
        all_pass(&server.place, &CheckKind::Redis, 20);
        all_pass(&Place::Unix(server.folder().join("redis.sock")), &CheckKind::Redis, 5);
        assert_eq!(server.log(), log);
    }
}

#[test]
fn a_server_that_serves_nobody_says_why() {
    const TEST: &str = "a_server_that_serves_nobody_says_why";
    let dead = free_port().to_string();
    let arguments = ["--replicaof", "127.0.0.1", &dead, "--replica-serve-stale-data", "no"];
    let Some((server, _)) = start(TEST, &arguments) else { return };
    let verdict = check(&server.place, &CheckKind::Redis);
    assert!(verdict.as_ref().is_err_and(|why| why.starts_with("MASTERDOWN ")), "{verdict:?}");

    let Some((server, cli)) = start(TEST, &[]) else { return };
    let socket = server.folder().join("redis.sock");
    let ask = |arguments: &[&str]| {
        succeed(&cli, &[&["-s", socket.to_str().expect("a plain name")], arguments].concat(), 60).text()
    };
    ask(&["CONFIG", "SET", "maxclients", "1"]);
    let held = std::net::TcpStream::connect(("127.0.0.1", server.place.port())).expect("it accepts");
    let mut verdict = Ok(());
    wait_until("it is full", || {
        verdict = check(&server.place, &CheckKind::Redis);
        verdict.is_err()
    });
    // It closes with our question unread, which may overtake its words.
    let known = ["ERR max number of clients reached", "connection reset by peer"];
    assert!(verdict.as_ref().is_err_and(|why| known.contains(&why.as_str())), "{verdict:?}");
    drop(held);
    wait_until("it has room again", || check(&server.place, &CheckKind::Redis).is_ok());
}
