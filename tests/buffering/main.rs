//! `proxy_request_buffering = "on"` over real sockets and a real disk.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use support::payload::{Payload, Sum};
use support::{Backend, Client, Ringgate, Setup, backend, peers, wait_until};

const UPLOAD: usize = 3 * 1024 * 1024;

/// Two workers whose temporary files lie in `tmp` of their folder, if that is there.
fn start(backends: &[&Backend], has_tmp: bool, lines: &str) -> Ringgate {
    let folder = tempfile::Builder::new().prefix("ringgate-test-").tempdir().expect("a temporary folder");
    let places: Vec<_> = backends.iter().map(|backend| backend.place()).collect();
    let lines = format!("proxy_request_buffering = \"on\"\n{lines}");
    let setup = Setup::new().upstream("backend", &places, "");
    let setup = setup.server("127.0.0.1:0", "", &[("/", "http://backend", &lines)]);
    let dir = folder.path().to_str().expect("temporary folders have plain names").to_owned();
    let (file, tmp) = (folder.path().join("ringgate.toml"), folder.path().join("tmp"));
    std::fs::write(&file, setup.text().replace("{dir}", &dir)).expect("the configuration can be written");
    if has_tmp {
        std::fs::create_dir(&tmp).expect("a folder can be made");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    command.arg("run").arg("-c").arg(&file).env("TMPDIR", &tmp);
    Ringgate::launch(folder, command)
}

/// Open files below this folder.
fn open_below(ringgate: &Ringgate, folder: &Path) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", ringgate.pid())).expect("a running process");
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.starts_with(folder)).count()
}

fn head(length: usize) -> String {
    format!("POST /up/{length}/Fast HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

fn expect_up(client: &mut Client, seed: u64, length: usize) {
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, format!("{length} {}", Payload::sha256(seed, length as u64))));
}

#[test]
fn a_slow_upload_bothers_no_server_before_its_end() {
    let backend = peers::backend();
    let ringgate = start(&[&backend], true, "");
    let (before, tmp) = (ringgate.status(), ringgate.folder().join("tmp"));
    let (mut client, body) = (ringgate.client(), Payload::bytes(1, UPLOAD));
    client.send(head(UPLOAD));
    let (most, last) = body.split_at(UPLOAD - 1);
    for piece in most.chunks(200_000) {
        client.send(piece);
        // It was read when the socket's buffers have room again; no server was asked meanwhile.
        assert_eq!(backend.connections(), 0);
    }
    wait_until("the file is there", || open_below(&ringgate, &tmp) == 1);
    assert_eq!(std::fs::read_dir(&tmp).expect("it is there").count(), 0, "it has no name");
    let status = ringgate.status();
    assert_eq!(
        (backend.connections(), status.in_flight(), status.total("in_flight")),
        (0, 0, 1),
        "it runs, at no server"
    );
    client.send(last);
    expect_up(&mut client, 1, UPLOAD);
    wait_until("the file is gone", || open_below(&ringgate, &tmp) == 0);
    // The connection stays, for bodies of all sizes around the bound, in either framing.
    for (seed, length) in [(2, 1), (3, 16 * 1024), (4, 16 * 1024 + 1), (5, 200_000)] {
        let body = Payload::bytes(seed, length);
        client.send([head(length).as_bytes(), &body].concat());
        expect_up(&mut client, seed, length);
        client.send("POST /up/0/Fast HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(5000) {
            client.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        client.send("0\r\n\r\n");
        expect_up(&mut client, seed, length);
    }
    drop(client);
    backend.close_all(); // what waits in a pool is no leftover
    ringgate.expect_clean(&before);
}

#[test]
fn what_is_pipelined_behind_held_bodies_is_answered_in_turn() {
    let backend = peers::backend();
    let ringgate = start(&[&backend], true, "client_body_buffer_size = \"2k\"");
    let mut client = ringgate.client();
    let lengths = [1, 3000, 0, 100_000, 2048, 20_000];
    let mut writer = client.writer();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let request = |(seed, &length): (usize, &usize)| {
                [head(length).into_bytes(), Payload::bytes(seed as u64, length)].concat()
            };
            let all: Vec<u8> = lengths.iter().enumerate().flat_map(request).collect();
            std::io::Write::write_all(&mut writer, &all).expect("ringgate reads");
        });
        for (seed, &length) in lengths.iter().enumerate() {
            expect_up(&mut client, seed as u64, length);
        }
    });
}

#[test]
fn another_server_gets_the_whole_body() {
    // Reads a part of it and resets.
    let bad = Backend::script(|conn| {
        if conn.head().is_some() {
            conn.exactly(300_000);
            conn.reset();
        }
    });
    let good = peers::backend();
    let ringgate = start(&[&bad, &good], true, "");
    for seed in 0..4 {
        let body = Payload::bytes(seed, UPLOAD);
        let mut client = ringgate.client();
        client.send([head(UPLOAD).replace("POST", "PUT").as_bytes(), &body].concat());
        expect_up(&mut client, seed, UPLOAD);
    }
    assert!(bad.requests() > 0 && good.requests() == 4, "{} and {}", bad.requests(), good.requests());
}

#[test]
fn expect_is_answered_without_a_server() {
    let backend = Backend::script(|conn| {
        while let Some(request) = conn.request() {
            assert_eq!(request.field("expect"), None);
            let mut sum = Sum::default();
            sum.add(&request.body);
            conn.send(backend::ok(&sum.hex()));
        }
    });
    let ringgate = start(&[&backend], true, "");
    let (mut client, body) = (ringgate.client(), Payload::bytes(9, 100_000));
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((client.response().status(), backend.connections()), (100, 0));
    client.send(&body);
    let answer = client.response();
    assert_eq!((answer.status(), answer.text()), (200, Payload::sha256(9, 100_000)));
}

#[test]
fn a_client_that_leaves_bothers_nobody() {
    let backend = Backend::fixed("ok");
    let ringgate = start(&[&backend], true, "client_max_body_size = \"1m\"");
    let (before, tmp) = (ringgate.status(), ringgate.folder().join("tmp"));
    let mut client = ringgate.client();
    client.send([head(500_000).as_bytes(), &[b'x'; 400_000]].concat());
    wait_until("the file is there", || open_below(&ringgate, &tmp) == 1);
    drop(client);
    ringgate.expect_log("client_gone");
    wait_until("the file is gone", || open_below(&ringgate, &tmp) == 0);
    // Too large, found on the way.
    let mut client = ringgate.client();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    (0..17).for_each(|_| client.send(&chunk));
    let answer = client.response();
    assert_eq!((answer.status(), answer.reason()), (413, Some("body_too_large")));
    drop(client);
    wait_until("the file is gone", || open_below(&ringgate, &tmp) == 0);
    assert_eq!(backend.connections(), 0);
    ringgate.expect_clean(&before);
}

#[test]
fn without_a_folder_for_the_file_it_is_told() {
    let backend = peers::backend();
    let ringgate = start(&[&backend], false, "");
    let mut client = ringgate.client();
    client.send([head(20_000).as_bytes(), &[b'x'; 20_000]].concat());
    let answer = client.response();
    assert_eq!((answer.status(), answer.reason()), (500, Some("body_not_kept")));
    ringgate.expect_log(&format!("{}: No such file", ringgate.folder().join("tmp").display()));
    assert_eq!(backend.connections(), 0);
    // What fits in memory needs none.
    let mut client = ringgate.client();
    client.send([head(16_000).as_bytes(), &Payload::bytes(1, 16_000)].concat());
    expect_up(&mut client, 1, 16_000);
}
