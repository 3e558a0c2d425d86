//! PostgreSQL: transactions, COPY of 1 GiB each way, a cancel by a second connection, a session that waits.

use super::support::payload::Sum;
use super::support::server::Server;
use super::support::tools::{self, bounded, succeed};
use super::support::{Place, Ringgate, wait_until};
use super::{Dialogue, expect_clean, passthrough, summed};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds that a program of these tests may take.
const SECONDS: u32 = 240;
/// One row of the large table with its line end; 2^20 of them are 1 GiB.
const ROW: usize = 1024;
const ROWS: u64 = 1024 * 1024;

struct Postgres {
    server: Server,
    psql: PathBuf,
    pgbench: PathBuf,
}

impl Postgres {
    #[track_caller]
    fn start(test: &str) -> Option<Postgres> {
        let (psql, pgbench) = (tools::find(test, "psql")?, tools::find(test, "pgbench")?);
        let settings = ["full_page_writes=off", "max_wal_size=4GB"];
        let server = super::support::postgres::start(test, &settings, |_| {}, "ready to accept connections")?;
        Some(Postgres { server, psql, pgbench })
    }

    /// psql, connected to ringgate or directly.
    fn psql(&self, to: &Place, arguments: &[&str]) -> Command {
        let mut command = bounded(&self.psql, SECONDS);
        command.args(connection(&to.port().to_string())).args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments);
        command
    }

    /// What the server answers when it is asked directly.
    #[track_caller]
    fn asked(&self, sql: &str) -> String {
        let port = self.server.place.port().to_string();
        let arguments = [&connection(&port)[..], &["-X", "-q", "-A", "-t", "-c", sql]].concat();
        succeed(&self.psql, &arguments, SECONDS).text().trim().to_owned()
    }
}

fn connection(port: &str) -> [&str; 8] {
    ["-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres"]
}

#[track_caller]
fn transactions(test: &str, ringgate: impl Fn(&Place) -> Ringgate) {
    let Some(postgres) = Postgres::start(test) else { return };
    let ringgate = ringgate(&postgres.server.place);
    let before = ringgate.status();
    let port = ringgate.place().port().to_string();
    let target = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
    let pgbench =
        |arguments: &[&str]| succeed(&postgres.pgbench, &[&target, arguments, &["postgres"]].concat(), SECONDS);
    pgbench(&["-i", "-q", "-s", "4"]);
    let mut processed = 0;
    // Simple and prepared statements, and a connection for each transaction.
    for arguments in [&["-T", "5"][..], &["-T", "2", "-M", "prepared"], &["-T", "2", "-C"]] {
        let text = pgbench(&[&["-c", "8", "-j", "2", "-n"], arguments].concat()).text();
        assert!(text.contains("number of failed transactions: 0 "), "{text}");
        let count = text.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
        let count: u64 = count.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no count in {text}"));
        assert!(count > 0, "{text}");
        processed += count;
    }
    // Every transaction that a client saw committed is there, once, and whole.
    assert_eq!(postgres.asked("SELECT count(*) FROM pgbench_history"), processed.to_string());
    let deltas = postgres.asked("SELECT sum(delta) FROM pgbench_history");
    for (sum, table) in [("abalance", "accounts"), ("tbalance", "tellers"), ("bbalance", "branches")] {
        assert_eq!(postgres.asked(&format!("SELECT sum({sum}) FROM pgbench_{table}")), deltas, "{table}");
    }
    expect_clean(&ringgate, &before);
}

#[test]
fn pgbench_through_a_tcp_section() {
    transactions("pgbench_through_a_tcp_section", passthrough);
}

#[test]
fn pgbench_through_ringgate_tcp() {
    transactions("pgbench_through_ringgate_tcp", Ringgate::tcp);
}

/// The rows as COPY writes them.
fn rows(out: &mut dyn Write) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(256 * 1024, out);
    for i in 1..=ROWS {
        writeln!(out, "{i:x>width$}", width = ROW - 1)?;
    }
    out.flush()
}

/// 1 GiB down and 1 GiB up. What was copied in is compared as the server has it, read without ringgate.
#[test]
fn copy_of_a_gibibyte_each_way() {
    let Some(postgres) = Postgres::start("copy_of_a_gibibyte_each_way") else { return };
    let ringgate = passthrough(&postgres.server.place);
    let before = ringgate.status();
    let mut expected = Sum::default();
    struct Summing<'a>(&'a mut Sum);
    impl Write for Summing<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.add(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    rows(&mut Summing(&mut expected)).expect("a sum takes all");
    assert_eq!(expected.length, ROWS * ROW as u64);

    let width = ROW - 1;
    let down = format!("COPY (SELECT lpad(i::text, {width}, 'x') FROM generate_series(1, {ROWS}) i) TO STDOUT");
    let sum = summed(&mut postgres.psql(ringgate.place(), &["-c", &down]), |_| Ok(()));
    assert_eq!((sum.length, sum.hex()), (expected.length, expected.hex()), "down");

    postgres.asked("CREATE UNLOGGED TABLE lines (line text)");
    let up = ["-c", "COPY lines FROM STDIN"];
    summed(&mut postgres.psql(ringgate.place(), &up), |mut stdin| rows(&mut stdin));
    let sum = summed(&mut postgres.psql(&postgres.server.place, &["-c", "COPY lines TO STDOUT"]), |_| Ok(()));
    assert_eq!((sum.length, sum.hex()), (expected.length, expected.hex()), "up");
    expect_clean(&ringgate, &before);
    // How much is spliced depends on who waits for whom: the server writes 8 KiB at a time, and such reads are copied.
    let status = ringgate.status();
    let (spliced, copied) = (status.total("bytes_spliced"), status.total("bytes_copied"));
    assert!(spliced + copied >= 2 * expected.length && spliced > 0, "{spliced} spliced, {copied} copied");
}

/// Ctrl-C in psql opens a second connection, whose request ends the query of the first.
#[test]
fn a_query_is_cancelled_by_a_second_connection() {
    let Some(postgres) = Postgres::start("a_query_is_cancelled_by_a_second_connection") else { return };
    let ringgate = passthrough(&postgres.server.place);
    let before = ringgate.status();
    let port = ringgate.place().port().to_string();
    let mut command = Command::new(&postgres.psql);
    command.args(connection(&port)).args(["-X", "-q", "-c", "SELECT pg_sleep(120)"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("psql runs");
    wait_until("the query runs", || {
        postgres.asked("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"
    });
    let connections = ringgate.status().total("connections_total");
    let begun = Instant::now();
    tools::signal(child.id(), "INT");
    let output = child.wait_with_output().expect("a child can be waited for");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaints.contains("canceling statement due to user request"), "{complaints}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it ended by itself");
    assert_eq!(ringgate.status().total("connections_total"), connections + 1);
    expect_clean(&ringgate, &before);
}

#[test]
fn a_session_that_waited_is_notified() {
    let Some(postgres) = Postgres::start("a_session_that_waited_is_notified") else { return };
    let ringgate = Ringgate::tcp(&postgres.server.place);
    let before = ringgate.status();
    let mut listening = Dialogue::start(&mut postgres.psql(ringgate.place(), &["-A", "-t"]));
    listening.say("LISTEN news; SELECT 'listening';");
    listening.expect("listening");
    std::thread::sleep(Duration::from_secs(3)); // idle: no timeout by default
    let mut notify = postgres.psql(ringgate.place(), &["-c", "NOTIFY news, 'hello'"]);
    assert!(notify.status().is_ok_and(|status| status.success()));
    listening.say("SELECT 'after';");
    listening.expect("\"news\" with payload \"hello\"");
    drop(listening);
    expect_clean(&ringgate, &before);
}
