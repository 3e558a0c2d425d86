//! PostgreSQL: nothing in its log, whatever its settings.

use super::support::server::Server;
use super::support::tools::{self, succeed};
use super::support::{Place, postgres, wait_until};
use super::{all_pass, check, check_within};
use ringgate::config::plan::CheckKind;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY: &str = "ready to accept connections";

/// Every way to ask who is there.
const HBA: &str = "local all all trust
host all postgres 127.0.0.1/32 trust
host all scram 127.0.0.1/32 scram-sha-256
host all md5 127.0.0.1/32 md5
host all clear 127.0.0.1/32 password
";

fn as_user(user: &str) -> CheckKind {
    CheckKind::Postgres { user: user.into() }
}

struct Postgres {
    server: Server,
    psql: PathBuf,
}

impl Postgres {
    #[track_caller]
    fn start(test: &str, settings: &[&str], tls: bool) -> Option<Postgres> {
        let (psql, openssl) = (tools::find(test, "psql")?, tools::find(test, "openssl")?);
        let make_keys = |data: &Path| {
            let path = |name: &str| data.join(name).to_str().expect("a plain name").to_owned();
            let (key, cert) = (path("server.key"), path("server.crt"));
            let subject = ["-subj", "/CN=db.test", "-days", "2", "-keyout", &key, "-out", &cert];
            succeed(&openssl, &[&["req", "-x509", "-newkey", "rsa:2048", "-nodes"][..], &subject].concat(), 60);
            postgres::give(Path::new(&key));
            postgres::give(Path::new(&cert));
        };
        let prepare = |data: &Path| {
            std::fs::write(data.join("pg_hba.conf"), HBA).expect("a file");
            if tls {
                make_keys(data);
            }
        };
        let settings = [settings, &[if tls { "ssl=on" } else { "ssl=off" }]].concat();
        let server = postgres::start(test, &settings, prepare, READY)?;
        let postgres = Postgres { server, psql };
        for (user, encryption) in [("scram", "scram-sha-256"), ("md5", "md5"), ("clear", "md5")] {
            postgres.run(&format!("SET password_encryption = '{encryption}'; CREATE USER {user} PASSWORD 'x'"));
        }
        Some(postgres)
    }

    #[track_caller]
    fn run(&self, sql: &str) {
        let (dir, port) = (self.server.folder().to_str().expect("a plain name"), self.server.place.port().to_string());
        let to = ["-h", dir, "-p", &port, "-U", "postgres", "-d", "postgres"];
        succeed(&self.psql, &[&to, &["-X", "-q", "-c", sql][..]].concat(), 60);
    }

    fn unix(&self) -> Place {
        Place::Unix(self.server.folder().join(format!(".s.PGSQL.{}", self.server.place.port())))
    }

    /// The lines that it logs while `act` runs, but for the one that marks their end.
    #[track_caller]
    fn lines_of(&self, act: impl FnOnce()) -> Vec<String> {
        self.run("DO 'BEGIN RAISE LOG ''begins''; END'");
        act();
        self.run("DO 'BEGIN RAISE LOG ''ends''; END'");
        let mut log = String::new();
        wait_until("the marks are logged", || {
            log = self.server.log();
            log.rfind("LOG:  ends") > log.rfind("LOG:  begins")
        });
        let begin = log.rfind("LOG:  begins").expect("it was logged before");
        // Further lines of one message begin with a tab. The mark itself is explained by two more messages.
        let own = |line: &&str| !line.starts_with('\t') && !line.contains("RAISE") && !line.contains("LOG:  begins");
        let lines = log[begin..].lines().filter(own).map(str::to_owned);
        lines.take_while(|line| !line.contains("LOG:  ends")).collect()
    }
}

/// Says one thing and closes when it was answered: what a check must not do.
fn rude(place: &Place, words: &[u8]) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", place.port())).expect("it accepts");
    stream.write_all(words).expect("it listens");
    let mut answer = [0; 1];
    let _ = stream.read(&mut answer);
    stream.shutdown(std::net::Shutdown::Write).expect("a connection");
    let _ = stream.read(&mut answer);
}

fn leaves_no_line(test: &str, tls: bool) {
    let Some(postgres) = Postgres::start(test, &[], tls) else { return };
    let (place, unix) = (&postgres.server.place, &postgres.unix());
    let lines = postgres.lines_of(|| {
        for user in ["", "postgres"] {
            all_pass(place, &as_user(user), 10);
            all_pass(unix, &as_user(user), 10);
        }
        for user in ["scram", "md5", "clear"] {
            all_pass(place, &as_user(user), 10);
        }
    });
    assert_eq!(lines, Vec::<String>::new());
    // It would have been seen.
    let cancel = [&[0, 0, 0, 16][..], &80877102_u32.to_be_bytes(), &[0; 8]].concat();
    let lines = postgres.lines_of(|| rude(place, &cancel));
    assert!(lines.len() == 1 && lines[0].contains("cancel request"), "{lines:?}");
    let ssl = [&[0, 0, 0, 8][..], &80877103_u32.to_be_bytes()].concat();
    let lines = postgres.lines_of(|| rude(place, &ssl));
    assert_eq!(lines.len(), usize::from(tls), "{lines:?}");
}

#[test]
fn checks_leave_no_line_in_the_log() {
    leaves_no_line("checks_leave_no_line_in_the_log", false);
}

#[test]
fn checks_leave_no_line_in_the_log_of_a_server_with_tls() {
    leaves_no_line("checks_leave_no_line_in_the_log_of_a_server_with_tls", true);
}

/// Whoever logs connections sees connections, and nothing that sounds like trouble.
#[test]
fn where_connections_are_logged_nothing_alarms() {
    const TEST: &str = "where_connections_are_logged_nothing_alarms";
    let Some(postgres) = Postgres::start(TEST, &["log_connections=on", "log_disconnections=on"], true) else { return };
    let lines = postgres.lines_of(|| {
        for user in ["", "postgres", "scram", "md5", "clear"] {
            all_pass(&postgres.server.place, &as_user(user), 3);
        }
    });
    let known = ["connection received: ", "connection authorized: ", "connection authenticated: ", "disconnection: "];
    let plain = |line: &&String| known.iter().any(|text| line.contains(&format!("LOG:  {text}")));
    assert!(lines.iter().filter(plain).count() >= 15, "{lines:?}");
    assert!(lines.iter().all(|line| plain(&line)), "{lines:?}");
}

#[test]
fn a_user_that_is_not_let_in_shows_a_server_that_is_well() {
    const TEST: &str = "a_user_that_is_not_let_in_shows_a_server_that_is_well";
    let Some(postgres) = Postgres::start(TEST, &[], false) else { return };
    all_pass(&postgres.server.place, &as_user("stranger"), 1); // no line in pg_hba.conf
    all_pass(&postgres.unix(), &as_user("stranger"), 1); // let in, but there is no such role
    // A database that is full is not: of three connections, all are kept for superusers.
    let Some(full) = Postgres::start(TEST, &["max_connections=4", "max_wal_senders=0"], false) else { return };
    let held: Vec<_> = (0..4).map(|_| hold(&full)).collect();
    let verdict = check(&full.server.place, &as_user("postgres"));
    assert!(verdict.as_ref().is_err_and(|why| why.contains("clients") || why.contains("connection")), "{verdict:?}");
    all_pass(&full.server.place, &as_user(""), 1);
    drop(held);
}

/// A session that stays.
fn hold(postgres: &Postgres) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", postgres.server.place.port())).expect("it accepts");
    let text = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    stream.write_all(&[&(text.len() as u32 + 4).to_be_bytes()[..], text].concat()).expect("it listens");
    stream.set_read_timeout(Some(super::PATIENCE)).expect("a socket");
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"Z\0\0\0\x05I") {
        assert_eq!(stream.read(&mut byte).expect("it answers"), 1, "{}", seen.escape_ascii());
        seen.push(byte[0]);
    }
    stream
}

/// A standby that lets nobody in stays where every server is for a moment when it starts.
#[test]
fn a_server_that_is_starting_up_is_not_ready() {
    const TEST: &str = "a_server_that_is_starting_up_is_not_ready";
    let prepare = |data: &Path| {
        std::fs::write(data.join("standby.signal"), "").expect("a file");
        postgres::give(&data.join("standby.signal"));
    };
    let Some(server) = postgres::start(TEST, &["hot_standby=off"], prepare, "entering standby mode") else { return };
    let verdict = check(&server.place, &as_user("postgres"));
    assert!(verdict.as_ref().is_err_and(|why| why.starts_with("the database system is ")), "{verdict:?}");
    // Asked for an answer only, it answers.
    all_pass(&server.place, &as_user(""), 1);
}

#[test]
fn a_server_that_is_stopped_does_not_pass() {
    const TEST: &str = "a_server_that_is_stopped_does_not_pass";
    let Some(postgres) = Postgres::start(TEST, &[], false) else { return };
    let file = std::fs::read_to_string(postgres.server.folder().join("data/postmaster.pid")).expect("a file");
    let pid: u32 = file.lines().next().and_then(|line| line.parse().ok()).expect("a number");
    tools::signal(pid, "STOP");
    let found =
        ["", "postgres"].map(|user| check_within(&postgres.server.place, &as_user(user), Duration::from_millis(300)));
    // The kernel still makes connections for it.
    let connected = check(&postgres.server.place, &CheckKind::Tcp);
    tools::signal(pid, "CONT");
    assert_eq!(found, [(); 2].map(|()| Err("no answer within 0.3 s".to_owned())));
    assert_eq!(connected, Ok(()));
    all_pass(&postgres.server.place, &as_user("postgres"), 1);
}
