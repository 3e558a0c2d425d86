//! Redis: many small requests, pipelines, blocking commands, messages pushed to clients, values of 128 MiB.

use super::support::payload::Payload;
use super::support::server::{Server, free_port, open_folder};
use super::support::tools::{self, bounded, succeed};
use super::support::{Place, Ringgate, wait_until};
use super::{Dialogue, expect_clean, expect_spliced, passthrough, summed};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Seconds that a program of these tests may take.
const SECONDS: u32 = 120;

struct Redis {
    server: Server,
    cli: PathBuf,
}

impl Redis {
    #[track_caller]
    fn start(test: &str) -> Option<Redis> {
        let (program, cli) = (tools::find(test, "redis-server")?, tools::find(test, "redis-cli")?);
        let folder = open_folder("ringgate-redis-");
        let (dir, port) = (folder.path().to_str().expect("a plain name").to_owned(), free_port());
        let mut command = bounded(&program, 300);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", &dir, "--save", ""]);
        command.args(["--unixsocket", &format!("{dir}/redis.sock"), "--appendonly", "no"]);
        let place = Place::parse(&format!("127.0.0.1:{port}"));
        let ready = move |log: &str| log.contains("Ready to accept connections").then(|| place.clone());
        Some(Redis { server: Server::start(&mut command, ready, folder), cli })
    }

    /// redis-cli, connected to ringgate or directly.
    fn cli(&self, to: &Place, arguments: &[&str]) -> Command {
        let mut command = bounded(&self.cli, SECONDS);
        command.args(["-h", "127.0.0.1", "-p", &to.port().to_string()]).args(arguments);
        command
    }

    /// What the server answers when it is asked directly.
    #[track_caller]
    fn asked(&self, arguments: &[&str]) -> String {
        let port = self.server.place.port().to_string();
        succeed(&self.cli, &[&["-h", "127.0.0.1", "-p", &port], arguments].concat(), SECONDS).text().trim().to_owned()
    }

    /// A number in the server's INFO.
    #[track_caller]
    fn info(&self, section: &str, name: &str) -> u64 {
        let text = self.asked(&["INFO", section]);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.trim_start_matches("calls=").split([',', '\r']).next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}

/// Each command of the benchmark arrives, and is answered, alone and in pipelines.
#[track_caller]
fn benchmark(test: &str, ringgate: impl Fn(&Redis) -> Ringgate) {
    const COUNT: u64 = 40_000;
    const CLIENTS: u64 = 50;
    let Some(program) = tools::find(test, "redis-benchmark") else { return };
    let Some(redis) = Redis::start(test) else { return };
    let ringgate = ringgate(&redis);
    let before = ringgate.status();
    let port = ringgate.place().port().to_string();
    let (mut least, mut most) = (0, 0);
    for depth in [1, 16, 100_u64] {
        let (count, clients, pipeline) = (COUNT.to_string(), CLIENTS.to_string(), depth.to_string());
        let load = ["-h", "127.0.0.1", "-p", &port, "-n", &count, "-c", &clients, "-P", &pipeline];
        let tests = ["-d", "100", "-q", "-t", "set,get,incr,lpush,mset"];
        let printed = succeed(&program, &[&load[..], &tests].concat(), SECONDS);
        let text = printed.text();
        assert_eq!(text.matches("requests per second").count(), 5, "{text}{}", printed.err);
        assert!(!text.to_lowercase().contains("error") && !printed.err.to_lowercase().contains("error"), "{text}");
        least += COUNT;
        most += COUNT + CLIENTS * depth; // the last pipelines are sent whole
        for name in ["set", "get", "incr", "lpush", "mset"] {
            let calls = redis.info("commandstats", &format!("cmdstat_{name}"));
            assert!((least..=most).contains(&calls), "{name}: {calls}, not {least} to {most}");
        }
    }
    let length: u64 = redis.asked(&["LLEN", "mylist"]).parse().expect("a number");
    assert_eq!(length, redis.info("commandstats", "cmdstat_lpush"));
    assert_eq!(redis.info("stats", "total_error_replies"), 0);
    assert!(ringgate.status().total("connections_total") >= 15 * CLIENTS);
    expect_clean(&ringgate, &before);
}

#[test]
fn redis_benchmark_through_a_tcp_section() {
    benchmark("redis_benchmark_through_a_tcp_section", |redis| passthrough(&redis.server.place));
}

#[test]
fn redis_benchmark_through_ringgate_tcp() {
    benchmark("redis_benchmark_through_ringgate_tcp", |redis| Ringgate::tcp(&redis.server.place));
}

#[test]
fn redis_benchmark_with_the_server_on_a_unix_socket() {
    let socket = |redis: &Redis| Place::Unix(redis.server.folder().join("redis.sock"));
    benchmark("redis_benchmark_with_the_server_on_a_unix_socket", |redis| passthrough(&socket(redis)));
}

#[test]
fn redis_takes_a_mass_of_insertions_at_once() {
    const COUNT: u64 = 300_000;
    let Some(redis) = Redis::start("redis_takes_a_mass_of_insertions_at_once") else { return };
    let ringgate = Ringgate::tcp(&redis.server.place);
    let before = ringgate.status();
    let mut command = redis.cli(ringgate.place(), &["--pipe"]);
    let printed = summed(command.env("LC_ALL", "C"), |stdin| {
        let mut stdin = std::io::BufWriter::new(stdin);
        for i in 0..COUNT {
            let (key, value) = (format!("key:{i}"), i.to_string());
            let lengths = (key.len(), value.len());
            write!(stdin, "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n", lengths.0, lengths.1)?;
        }
        stdin.flush()
    });
    assert!(printed.length > 0);
    assert_eq!(redis.asked(&["DBSIZE"]), COUNT.to_string());
    assert_eq!(redis.info("commandstats", "cmdstat_set"), COUNT);
    assert_eq!(redis.asked(&["GET", "key:299999"]), "299999");
    expect_clean(&ringgate, &before);
}

#[test]
fn a_redis_value_of_128_mebibytes_comes_back_whole() {
    const LENGTH: u64 = 128 * 1024 * 1024;
    let Some(redis) = Redis::start("a_redis_value_of_128_mebibytes_comes_back_whole") else { return };
    let ringgate = passthrough(&redis.server.place);
    let before = ringgate.status();
    let mut set = redis.cli(ringgate.place(), &["-x", "SET", "big"]);
    summed(&mut set, |stdin| std::io::copy(&mut Payload::new(1, LENGTH), stdin).map(drop));
    assert_eq!(redis.asked(&["STRLEN", "big"]), LENGTH.to_string());
    let mut get = redis.cli(ringgate.place(), &["--raw", "GET", "big"]);
    let sum = summed(&mut get, |_| Ok(()));
    let mut expected = super::support::payload::Sum::default();
    expected.add(&Payload::bytes(1, LENGTH as usize));
    expected.add(b"\n"); // redis-cli's own
    assert_eq!((sum.length, sum.hex()), (expected.length, expected.hex()));
    expect_clean(&ringgate, &before);
    expect_spliced(&ringgate, 2 * LENGTH);
}

#[test]
fn redis_wakes_those_who_wait_and_pushes_messages() {
    let Some(redis) = Redis::start("redis_wakes_those_who_wait_and_pushes_messages") else { return };
    let ringgate = Ringgate::tcp(&redis.server.place);
    let before = ringgate.status();
    let mut waiting = Dialogue::start(&mut redis.cli(ringgate.place(), &["BLPOP", "queue", "60"]));
    let mut subscribed = Dialogue::start(&mut redis.cli(ringgate.place(), &["SUBSCRIBE", "news"]));
    subscribed.expect("subscribe");
    wait_until("one client is blocked", || redis.info("clients", "blocked_clients") == 1);
    let mut pusher = Dialogue::start(&mut redis.cli(ringgate.place(), &[]));
    pusher.say("RPUSH queue wanted");
    pusher.expect("1");
    waiting.expect("wanted");
    for i in 0..200 {
        pusher.say(&format!("PUBLISH news message-{i}."));
    }
    for i in 0..200 {
        subscribed.expect(&format!("message-{i}."));
    }
    assert!(!subscribed.seen.iter().any(|line| line.contains("message-")), "out of order: {:?}", subscribed.seen);
    drop((waiting, subscribed, pusher));
    expect_clean(&ringgate, &before);
}
