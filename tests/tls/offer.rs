//! A scan of what is offered: every version, and every suite there can be. What is not meant to be offered is refused.

use super::hello::{Answer, Hello, SUITES_12, SUITES_13, TLS12, TLS13, ask};
use super::support::certificates::{Authority, Kind, Order};
use super::support::server::{Server, free_port};
use super::support::{Backend, Place, Ringgate, Setup, tools};
use super::{LISTEN, SITE, expect_sound, folder_with, offering};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

const SSL3: u16 = 0x0300;
const TLS10: u16 = 0x0301;
const TLS11: u16 = 0x0302;

/// Suites in one hello: a few KiB, as no client sends, but every server reads.
const BATCH: usize = 1500;

/// All suites that are accepted with that version, found by taking away what was chosen until nothing is.
#[track_caller]
fn scan(place: &Place, version: u16) -> BTreeSet<u16> {
    // 0x5600 is no suite: it asks servers to refuse what could have been better.
    let all: Vec<u16> = (0..=u16::MAX).filter(|&suite| suite != 0x5600).collect();
    let mut found = BTreeSet::new();
    for batch in all.chunks(BATCH) {
        let mut left = batch.to_vec();
        loop {
            match ask(place, &Hello { name: Some(SITE.to_owned()), ..Hello::new(version, &left) }.bytes()) {
                Answer::Hello { version: chosen, suite } if chosen == version => {
                    assert!(left.contains(&suite), "{suite:#06x} was not offered");
                    found.insert(suite);
                    left.retain(|&other| other != suite);
                }
                // Refused, or answered with an older version than is scanned now.
                Answer::Hello { .. } | Answer::Alert(_) | Answer::End => break,
                Answer::Other(bytes) => panic!("{bytes:?} to a hello of {version:#06x}"),
            }
        }
    }
    found
}

fn set(suites: &[u16]) -> BTreeSet<u16> {
    suites.iter().copied().collect()
}

/// ringgate with certificates for every suite, and these lines.
#[track_caller]
fn start(backend: &Backend, lines: &str) -> Ringgate {
    let authority = Authority::new("root");
    let (ecdsa, rsa) = (authority.server(&[SITE]), authority.issue(&Order::server(&[SITE]).kind(Kind::Rsa)));
    Setup::new()
        .upstream("app", &[backend.place()], "")
        .server(LISTEN, &(offering(&["ecdsa", "rsa"]) + lines), &[("/", "http://app", "")])
        .start_in(folder_with(&[("ecdsa", &ecdsa), ("rsa", &rsa)]))
}

/// What is offered with each configuration: suites of TLS 1.2, of TLS 1.3.
#[test]
fn exactly_what_is_meant_is_offered() {
    let backend = Backend::fixed("hello");
    let rows: [(&str, &[u16], &[u16]); 7] = [
        ("", &SUITES_12, &SUITES_13),
        ("ssl_protocols = \"TLSv1.3\"", &[], &SUITES_13),
        ("ssl_protocols = \"TLSv1.2\"", &SUITES_12, &[]),
        ("ssl_protocols = \"TLSv1 TLSv1.1 TLSv1.2 TLSv1.3\"", &SUITES_12, &SUITES_13),
        ("ssl_ciphers = \"ECDHE-RSA-AES128-GCM-SHA256\"", &[0xc02f], &SUITES_13),
        ("ssl_ciphers = \"HIGH:!CHACHA20:!aNULL:!MD5\"", &[0xc02b, 0xc02c, 0xc02f, 0xc030], &SUITES_13),
        ("ssl_ciphers = \"DHE-RSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305:RC4\"", &[0xcca9], &SUITES_13),
    ];
    for (lines, tls12, tls13) in rows {
        let ringgate = start(&backend, lines);
        let place = ringgate.place();
        assert_eq!(scan(place, TLS12), set(tls12), "TLS 1.2 with `{lines}`");
        assert_eq!(scan(place, TLS13), set(tls13), "TLS 1.3 with `{lines}`");
        for old in [SSL3, TLS10, TLS11] {
            assert_eq!(scan(place, old), set(&[]), "{old:#06x} with `{lines}`");
        }
        expect_sound(&ringgate);
    }
}

/// Versions from before and after our time: the first refused, the others met with what is known.
#[test]
fn other_versions_are_refused_or_negotiated() {
    let backend = Backend::fixed("hello");
    let ringgate = start(&backend, "");
    let place = ringgate.place();
    let asked = |hello: Hello| ask(place, &hello.bytes());
    // A hello of SSL 2, as browsers sent it twenty years ago.
    let ssl2 =
        [&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10][..], &[1, 0, 0x80, 7, 0, 0xc0, 3, 0, 0x80][..], &[5; 28]]
            .concat();
    assert!(matches!(ask(place, &ssl2), Answer::Alert(_) | Answer::End), "SSL 2");
    // A client of the future says its version where old servers do not look for it.
    let all = [&SUITES_12[..], &SUITES_13].concat();
    let future = Hello { versions: vec![0x0a0a, 0x0305, TLS13, TLS12], ..Hello::new(TLS13, &all) };
    assert!(matches!(asked(future), Answer::Hello { version: TLS13, .. }));
    let only_future = Hello { versions: vec![0x0305], ..Hello::new(TLS13, &all) };
    assert!(matches!(asked(only_future), Answer::Alert(_) | Answer::End));
    // And one whose version is beyond what there is, without the extension.
    let high = Hello { version: 0x0399, ..Hello::new(TLS12, &SUITES_12) };
    assert!(matches!(asked(high), Answer::Hello { version: TLS12, .. }));
    assert!(matches!(asked(Hello::new(TLS12, &[])), Answer::Alert(_) | Answer::End), "no suite at all");
}

/// The openssl program agrees: suite by suite, version by version.
#[test]
fn openssl_finds_the_same() {
    const TEST: &str = "openssl_finds_the_same";
    let Some(openssl) = tools::find(TEST, "openssl") else { return };
    let backend = Backend::fixed("hello");
    let ringgate = start(&backend, "");
    let list = tools::succeed(&openssl, &["ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"], 30).text();
    let mut accepted = BTreeSet::new();
    let mut count = 0;
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words[0].split(',').map(|byte| u16::from_str_radix(&byte[2..], 16).expect("hexadecimal"));
        let number = number.fold(0, |number, byte| number << 8 | byte);
        let name = words[4];
        count += 1;
        let options = match name.starts_with("TLS_") {
            true => ["-tls1_3", "-ciphersuites", name].map(str::to_owned),
            false => ["-tls1_2".to_owned(), "-cipher".to_owned(), format!("{name}:@SECLEVEL=0")],
        };
        if handshake(&openssl, ringgate.place(), &options.each_ref().map(String::as_str)) {
            accepted.insert(number);
        }
    }
    assert!(count > 60, "openssl knows only {count} suites:\n{list}");
    assert_eq!(accepted, set(&[&SUITES_12[..], &SUITES_13].concat()));
    for version in ["-tls1", "-tls1_1"] {
        assert!(
            !handshake(&openssl, ringgate.place(), &[version, "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]),
            "{version}"
        );
    }
}

/// Whether `openssl s_client` with these options gets through its handshake.
fn handshake(openssl: &Path, place: &Place, options: &[&str]) -> bool {
    let mut command = tools::bounded(openssl, 20);
    command.args(["s_client", "-connect", &place.to_string(), "-servername", SITE]).args(options);
    let output = command.stdin(Stdio::null()).output().expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let done = text.contains("Cipher is ") && !text.contains("Cipher is (NONE)");
    assert_eq!(output.status.success(), done, "{options:?}: {text}");
    done
}

/// The scan itself sees what is there: with a server that still speaks all of it.
#[test]
fn the_scan_sees_what_is_there() {
    const TEST: &str = "the_scan_sees_what_is_there";
    let Some(openssl) = tools::find(TEST, "openssl") else { return };
    let pair = Authority::new("root").issue(&Order::server(&[SITE]).kind(Kind::Rsa));
    let folder = folder_with(&[("site", &pair)]);
    let port = free_port();
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    let mut command = Command::new(&openssl);
    command.args(["s_server", "-quiet", "-accept", &place.to_string(), "-cipher", "ALL:@SECLEVEL=0", "-cert"]);
    command.arg(folder.path().join("site.crt")).arg("-key").arg(folder.path().join("site.key"));
    let server = Server::start(&mut command, |_| Some(place.clone()), folder);
    assert!(scan(&server.place, TLS12).is_superset(&set(&[0x002f, 0x0035, 0x009c, 0xc02f, 0xc013])));
    assert_eq!(scan(&server.place, TLS13), set(&SUITES_13));
    for old in [TLS10, TLS11] {
        assert!(scan(&server.place, old).is_superset(&set(&[0x002f, 0x0035])), "{old:#06x}");
    }
    assert!(handshake(&openssl, &server.place, &["-tls1", "-cipher", "ALL:@SECLEVEL=0"]));
}
