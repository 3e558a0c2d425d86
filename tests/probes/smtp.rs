//! Mail, as one of those that have a banner and a word for the end.

use super::support::server::{Server, open_folder};
use super::support::{Place, tools, wait_until};
use super::{all_pass, check_within};
use ringgate::config::plan::CheckKind;
use std::time::Duration;

/// A mail server that logs all that it does.
const SERVER: &str = r#"
import asyncio, logging
from aiosmtpd.smtp import SMTP

logging.basicConfig(level=logging.DEBUG)

async def main():
    make = lambda: SMTP(None, hostname="mail.test")
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main(), debug=True)
"#;

fn smtp(expect: &str, quit: &str) -> CheckKind {
    CheckKind::SendExpect { send: String::new(), expect: expect.into(), quit: quit.into() }
}

#[test]
fn a_mail_server_is_left_with_quit() {
    const TEST: &str = "a_mail_server_is_left_with_quit";
    let Some(python) = tools::python(TEST, &["aiosmtpd"]) else { return };
    let mut command = tools::bounded(&python, 300);
    command.args(["-u", "-c", SERVER]);
    let place = |log: &str| {
        let port = log.lines().find_map(|line| line.strip_prefix("listening on "))?;
        Some(Place::parse(&format!("127.0.0.1:{}", port.trim())))
    };
    let server = Server::start(&mut command, place, open_folder("ringgate-smtp-"));
    // The connection by which its start was seen.
    wait_until("it has forgotten the first connection", || server.log().contains("connection lost"));
    let before = server.log().len();
    all_pass(&server.place, &smtp("220 ", "QUIT\r\n"), 10);
    let since = || server.log()[before..].to_owned();
    wait_until("all have ended", || since().matches("connection lost").count() == 10);
    let log = since();
    assert_eq!(log.matches("b'QUIT'").count(), 10, "{log}");
    for trouble in ["ERROR", "WARNING", "Traceback", "EOF received", "timeout"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
    let wrong = check_within(&server.place, &smtp("+OK", "QUIT\r\n"), Duration::from_millis(300));
    drop(server);
    assert!(wrong.as_ref().is_err_and(|why| why.contains("complete answer within")), "{wrong:?}");
}
