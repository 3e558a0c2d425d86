//! Mail: the server speaks first, commands are pipelined, a message of 20 MB, STARTTLS, a client that half-closes.

use super::support::server::{Server, open_folder};
use super::support::tools::{self, succeed};
use super::support::{Client, Place, Ringgate};
use super::{expect_clean, passthrough};
use std::path::PathBuf;

/// Seconds that a program of these tests may take.
const SECONDS: u32 = 60;

/// A mail server that keeps each message in its folder, under its number.
const SERVER: &str = r#"
import asyncio, os, ssl, sys
from aiosmtpd.smtp import SMTP

class Keep:
    count = 0

    async def handle_DATA(self, server, session, envelope):
        Keep.count += 1
        with open(f"message-{Keep.count}.part", "wb") as file:
            file.write(envelope.content)
        os.rename(f"message-{Keep.count}.part", f"message-{Keep.count}")
        return f"250 kept {Keep.count}, tls {session.ssl is not None}"

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert.pem", "key.pem")
    make = lambda: SMTP(Keep(), data_size_limit=100_000_000, tls_context=context, hostname="mail.test")
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

/// Sends what a mail program sends, and looks at what was kept. Arguments: port, the server's folder.
const CLIENT: &str = r#"
import hashlib, pathlib, random, smtplib, ssl, sys
from email.message import EmailMessage

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])

def kept(number):
    return (folder / f"message-{number}").read_bytes()

with smtplib.SMTP("127.0.0.1", port, timeout=30) as mail:
    assert mail.ehlo()[0] == 250
    for number in (1, 2):
        text = f"From: a@test\r\nSubject: {number}\r\n\r\n.a dot\r\n..two\r\n.\r\nend\r\n"
        assert mail.sendmail("a@test", ["b@test", "c@test"], text) == {}
        assert kept(number) == text.encode(), kept(number)
    # 20 MB, lines beginning with dots among them
    chance = random.Random(1)
    line = lambda: ("." if chance.random() < 0.1 else "") + chance.randbytes(35).hex() + "\r\n"
    large = "Subject: large\r\n\r\n" + "".join(line() for _ in range(280_000))
    assert len(large) > 20_000_000
    assert mail.sendmail("a@test", "b@test", large) == {}
    assert hashlib.sha256(kept(3)).digest() == hashlib.sha256(large.encode()).digest()

with smtplib.SMTP("127.0.0.1", port, timeout=30) as mail:
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    context.check_hostname = False
    assert mail.starttls(context=context)[0] == 220
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "behind TLS", "a@test", "b@test"
    message.set_content("hello")
    message.add_attachment(bytes(range(256)) * 20_000, maintype="application", subtype="octet-stream")
    assert mail.send_message(message) == {}
    assert b"Subject: behind TLS" in kept(4)
    # The server forgets a greeting given in clear text: this one was behind TLS.
    assert mail.noop()[0] == 250
print("all kept")
"#;

struct Mail {
    server: Server,
    python: PathBuf,
}

impl Mail {
    #[track_caller]
    fn start(test: &str) -> Option<Mail> {
        let (python, openssl) = (tools::python(test, &["aiosmtpd"])?, tools::find(test, "openssl")?);
        let folder = open_folder("ringgate-smtp-");
        let dir = folder.path().to_str().expect("a plain name").to_owned();
        let (key, cert) = (format!("{dir}/key.pem"), format!("{dir}/cert.pem"));
        let subject = ["-subj", "/CN=mail.test", "-days", "2", "-keyout", &key, "-out", &cert];
        succeed(&openssl, &[&["req", "-x509", "-newkey", "rsa:2048", "-nodes"][..], &subject].concat(), SECONDS);
        let mut command = tools::bounded(&python, 300);
        command.args(["-u", "-c", SERVER]).current_dir(folder.path());
        let place = |log: &str| {
            let port = log.lines().find_map(|line| line.strip_prefix("listening on "))?;
            Some(Place::parse(&format!("127.0.0.1:{}", port.trim())))
        };
        Some(Mail { server: Server::start(&mut command, place, folder), python })
    }

    fn dir(&self) -> &str {
        self.server.folder().to_str().expect("a plain name")
    }
}

#[test]
fn a_mail_library_sends_small_and_large_messages_in_clear_and_behind_tls() {
    const TEST: &str = "a_mail_library_sends_small_and_large_messages_in_clear_and_behind_tls";
    let Some(mail) = Mail::start(TEST) else { return };
    let ringgate = passthrough(&mail.server.place);
    let before = ringgate.status();
    let port = ringgate.place().port().to_string();
    let printed = succeed(&mail.python, &["-c", CLIENT, &port, mail.dir()], SECONDS);
    assert_eq!(printed.text(), "all kept\n", "{}", printed.err);
    expect_clean(&ringgate, &before);
}

#[test]
fn curl_sends_a_message() {
    const TEST: &str = "curl_sends_a_message";
    let Some(mail) = Mail::start(TEST) else { return };
    let Some(curl) = tools::find(TEST, "curl") else { return };
    let ringgate = Ringgate::tcp(&mail.server.place);
    let before = ringgate.status();
    let text: String = (0..300_000).map(|i| format!("line {i} of a long message\r\n")).collect();
    let file = mail.server.folder().join("to-send");
    std::fs::write(&file, &text).expect("a file can be written");
    let url = format!("smtp://127.0.0.1:{}/client.test", ringgate.place().port());
    let from = ["--mail-from", "a@test", "--mail-rcpt", "b@test", "--upload-file"];
    succeed(&curl, &[&["-sS", &url][..], &from, &[file.to_str().expect("a plain name")]].concat(), SECONDS);
    let kept = std::fs::read(mail.server.folder().join("message-1")).expect("it was kept");
    assert!(kept == text.as_bytes(), "{} bytes kept of {}", kept.len(), text.len());
    expect_clean(&ringgate, &before);
}

/// Everything in one segment, then FIN: all is answered, in order, and the server's end comes last.
#[test]
fn pipelined_commands_and_half_close() {
    const TEST: &str = "pipelined_commands_and_half_close";
    let Some(mail) = Mail::start(TEST) else { return };
    for ringgate in [passthrough(&mail.server.place), Ringgate::tcp(&mail.server.place)] {
        let before = ringgate.status();
        // Says nothing until the server has spoken.
        let mut client = Client::connect(ringgate.place());
        let greeting = client.read_exactly(4);
        assert_eq!(greeting, b"220 ");
        client.send(
            "EHLO client.test\r\nMAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n",
        );
        client.finish();
        let (answers, end) = client.read_to_end();
        let text = String::from_utf8_lossy(&answers).into_owned();
        let codes: Vec<&str> =
            text.lines().skip(1).filter(|line| line.get(3..4) == Some(" ")).map(|l| &l[..3]).collect();
        assert_eq!(codes, ["250", "250", "250", "354", "250", "221"], "{text}");
        assert_eq!(end, super::support::End::Fin, "{text}");
        expect_clean(&ringgate, &before);
    }
    let kept = std::fs::read(mail.server.folder().join("message-2")).expect("it was kept");
    assert_eq!(String::from_utf8_lossy(&kept), "Subject: x\r\n\r\nhello\r\n");
}
