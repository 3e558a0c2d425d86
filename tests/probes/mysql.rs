//! MySQL's protocol, spoken by MariaDB: this host is never blocked, and nothing is logged.

use super::support::server::{Server, free_port, is_root, open_folder};
use super::support::tools::{self, bounded, succeed};
use super::support::{Place, wait_until};
use super::{all_pass, check};
use ringgate::config::plan::CheckKind;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

struct MariaDb {
    server: Server,
    cli: PathBuf,
}

fn as_user(user: &str) -> CheckKind {
    CheckKind::Mysql { user: user.into() }
}

impl MariaDb {
    /// With the users `check` (no password) and `locked` (a password), from anywhere.
    #[track_caller]
    fn start(test: &str) -> Option<MariaDb> {
        let (install, program) = (tools::find(test, "mariadb-install-db")?, tools::find(test, "mariadbd")?);
        let cli = tools::find(test, "mariadb")?;
        let folder = open_folder("ringgate-mariadb-");
        let dir = folder.path().to_str().expect("a plain name").to_owned();
        // Servers that start remove each other's temporary tables where they share a folder.
        let mut common = vec!["--no-defaults".to_owned(), format!("--datadir={dir}/data"), format!("--tmpdir={dir}")];
        if is_root() {
            common.push("--user=root".to_owned());
        }
        let mut arguments: Vec<&str> = common.iter().map(String::as_str).collect();
        succeed(
            &install,
            &[&arguments[..], &["--auth-root-authentication-method=normal", "--skip-test-db"]].concat(),
            120,
        );
        let port = free_port();
        let own = [format!("--port={port}"), format!("--socket={dir}/socket"), format!("--pid-file={dir}/pid")];
        arguments.extend(own.iter().map(String::as_str));
        let mut command = bounded(&program, 300);
        command.args(&arguments).args(["--bind-address=127.0.0.1", "--skip-log-bin", "--log-warnings=2"]);
        let place = Place::parse(&format!("127.0.0.1:{port}"));
        let ready = move |log: &str| log.contains("ready for connections").then(|| place.clone());
        let mariadb = MariaDb { server: Server::start(&mut command, ready, folder), cli };
        mariadb.asked("CREATE USER 'check'@'%'; CREATE USER 'locked'@'%' IDENTIFIED BY 'x'");
        Some(mariadb)
    }

    /// Answers through its unix socket, which counts as nobody's connection.
    #[track_caller]
    fn asked(&self, sql: &str) -> String {
        let socket = self.server.folder().join("socket");
        let to = ["--no-defaults", "-S", socket.to_str().expect("a plain name"), "-u", "root", "-N", "-e", sql];
        succeed(&self.cli, &to, 60).text().trim().to_owned()
    }

    fn aborted(&self) -> String {
        self.asked("SHOW GLOBAL STATUS LIKE 'Aborted_%'")
    }
}

/// Passes connections on from 127.0.0.2: what comes from 127.0.0.1 the server never blocks. Lives as long as the test process.
fn from_another_host(to: &Place) -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    let to: SocketAddr = ([127, 0, 0, 1], to.port()).into();
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            far.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).expect("all of 127.0.0.0/8 is ours");
            if far.connect(&to.into()).is_err() {
                continue;
            }
            let far = TcpStream::from(far);
            let (near_too, far_too) = (near.try_clone().expect("a descriptor"), far.try_clone().expect("a descriptor"));
            std::thread::spawn(move || pass_on(near, far));
            std::thread::spawn(move || pass_on(far_too, near_too));
        }
    });
    place
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Reads the greeting and closes: what counts against a host.
fn rude(place: &Place) {
    let mut stream = TcpStream::connect(("127.0.0.1", place.port())).expect("it accepts");
    let _ = stream.read(&mut [0; 1024]);
    stream.shutdown(Shutdown::Write).expect("a connection");
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn fifty_checks_block_nobody_and_leave_no_trace() {
    const TEST: &str = "fifty_checks_block_nobody_and_leave_no_trace";
    let Some(mariadb) = MariaDb::start(TEST) else { return };
    mariadb.asked("SET GLOBAL max_connect_errors = 5");
    let mut place = from_another_host(&mariadb.server.place);
    // The server looks up the name of every other host, and blocks none whose lookup failed.
    let begun = Instant::now();
    all_pass(&place, &as_user("check"), 1);
    let can_block = begun.elapsed() < Duration::from_secs(1);
    if !can_block {
        tools::cannot_run(
            TEST,
            "name servers are slow here, so that MariaDB blocks nobody: checked from 127.0.0.1 only",
        );
        place = mariadb.server.place.clone();
    }
    let (aborted, log) = (mariadb.aborted(), mariadb.server.log());
    all_pass(&place, &as_user("check"), 50);
    // The server counts a session as aborted, and logs it, after it has closed.
    mariadb.asked("SELECT 1");
    assert_eq!((mariadb.aborted(), mariadb.server.log()), (aborted, log));
    // A user that is denied is a warning each time, and still blocks nobody.
    for user in ["locked", "stranger", ""] {
        all_pass(&place, &as_user(user), 50);
    }
    let port = place.port().to_string();
    let client =
        ["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-P", &port, "-u", "check", "-N", "-e", "SELECT 1 + 1"];
    assert_eq!(succeed(&mariadb.cli, &client, 60).text().trim(), "2");
    if !can_block {
        return;
    }
    // Here is what would block, and how a check tells it.
    let mut verdict = Ok(());
    for _ in 0..5 {
        (0..8).for_each(|_| rude(&place));
        verdict = check(&place, &as_user("check"));
        if verdict.is_err() {
            break;
        }
    }
    match verdict {
        Ok(()) => tools::cannot_run(TEST, "name servers fail here, so that MariaDB blocks nobody"),
        Err(why) => assert!(why.starts_with("Host '127.0.0.2' is blocked because of many connection errors"), "{why}"),
    }
}

#[test]
fn a_server_that_is_full_says_so() {
    let Some(mariadb) = MariaDb::start("a_server_that_is_full_says_so") else { return };
    mariadb.asked("SET GLOBAL max_connections = 10");
    let hold = || {
        let mut stream = TcpStream::connect(("127.0.0.1", mariadb.server.place.port())).expect("it accepts");
        let _ = stream.read(&mut [0; 1024]);
        stream
    };
    let held: Vec<_> = (0..12).map(|_| hold()).collect();
    assert_eq!(check(&mariadb.server.place, &as_user("check")), Err("Too many connections".to_owned()));
    drop(held);
    wait_until("they are gone", || check(&mariadb.server.place, &as_user("check")).is_ok());
}

#[test]
fn other_servers_are_not_mysql() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the check comes");
        stream.write_all(b"220 mail.test ESMTP\r\n").expect("it listens");
    });
    assert_eq!(check(&place, &as_user("check")), Err("the answer is not MySQL's".to_owned()));
    serving.join().expect("it only writes");
}
