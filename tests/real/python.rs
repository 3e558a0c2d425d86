//! Python's http.client before Flask: kept connections, chunked uploads, HEAD, pipelines of answers read late.

use super::support::{Setup, tools};
use super::{servers, succeed};

const SCRIPT: &str = r#"
import hashlib, http.client, sys, threading

port = int(sys.argv[1])
data = bytes(i * 7 % 256 for i in range(300_000))
digest = hashlib.sha256(data).hexdigest()


def ask(connection, method, path, **more):
    connection.request(method, path, **more)
    answer = connection.getresponse()
    return answer, answer.read()


def session(number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.connect()
    socket = connection.sock
    for turn in range(25):
        answer, body = ask(connection, "GET", f"/?turn={turn}")
        assert answer.status == 200 and body.startswith(b"GET /?turn=%d " % turn), (answer.status, body)
        answer, body = ask(connection, "HEAD", "/")
        assert answer.status == 200 and body == b"" and int(answer.headers["Content-Length"]) > 0
        answer, body = ask(connection, "POST", "/sum", body=data)
        assert body.decode() == f"{len(data)} {digest}", body
        pieces = (data[at:at + 7001] for at in range(0, len(data), 7001))
        answer, body = ask(connection, "PUT", "/sum", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        assert body.decode() == f"{len(data)} {digest}", body
        answer, body = ask(connection, "GET", "/stream/500")
        assert answer.headers["Transfer-Encoding"] == "chunked" and body.count(b"\n") == 500
        answer, body = ask(connection, "GET", "/none")
        assert answer.status == 204 and body == b""
        answer, body = ask(connection, "GET", "/missing")
        assert answer.status == 404
    assert connection.sock is socket, "the connection was not kept"
    connection.close()
    done.append(number)


done = []
threads = [threading.Thread(target=session, args=(n,)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(done) == 4, done
print("all well")
"#;

#[test]
fn pythons_client_keeps_its_connection() {
    const TEST: &str = "pythons_client_keeps_its_connection";
    let Some(python) = tools::python(TEST, &[]) else { return };
    let Some(kept) = servers::flask(TEST, true, false) else { return };
    let Some(closing) = servers::flask(TEST, false, true) else { return };
    // One keeps its connections, one closes after each answer: the client must not notice.
    let ringgate = Setup::proxy(&[&kept.place, &closing.place]).start();
    let printed = succeed(&python, &["-c", SCRIPT, &ringgate.place().port().to_string()], 60);
    assert_eq!(printed.text(), "all well\n", "{}", printed.err);
    let status = ringgate.status();
    assert_eq!(status.0["totals"]["errors"].to_string(), "{}", "{}", ringgate.log());
    assert!(status.servers().all(|server| server["requests"].as_u64() >= Some(300)), "{}", status.text());
    let reused: u64 = status.servers().filter_map(|server| server["reused"].as_u64()).sum();
    assert!(reused > 200, "pooled connections are used again: {}", status.text());
}
