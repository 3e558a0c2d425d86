//! Pipelined requests come back in order, whole.

use super::support::{Backend, backend as answers};
use super::{expect_idle, start};

const COUNT: usize = 10_000;

/// With bodies of varying sizes in between, so that heads and bodies lie across buffers' ends anyhow.
#[test]
fn ten_thousand_pipelined_requests_come_back_in_order() {
    let backend = Backend::answer(|request| answers::ok(&format!("{} {}", request.target(), request.body.len())));
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    let mut client = ringgate.client();
    let size = |nth: usize| if nth.is_multiple_of(3) { nth % 700 } else { 0 };
    let mut out = client.writer();
    let writing = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        for nth in 0..COUNT {
            match (size(nth), nth % 2) {
                (0, _) => bytes.extend_from_slice(format!("GET /{nth} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()),
                (size, 0) => {
                    let head = format!("POST /{nth} HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n");
                    bytes.extend_from_slice(head.as_bytes());
                    bytes.resize(bytes.len() + size, b'a');
                }
                (size, _) => {
                    let head =
                        format!("POST /{nth} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n");
                    bytes.extend_from_slice(head.as_bytes());
                    bytes.resize(bytes.len() + size, b'a');
                    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
                }
            }
        }
        std::io::Write::write_all(&mut out, &bytes)
    });
    for nth in 0..COUNT {
        let answer = client.response();
        assert_eq!((answer.status(), answer.text()), (200, format!("/{nth} {}", size(nth))), "{:?}", answer.reason());
    }
    writing.join().expect("it only writes").expect("all is taken");
    drop(client);
    expect_idle(&ringgate, &backend, &before);
}
