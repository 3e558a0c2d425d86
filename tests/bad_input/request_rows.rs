//! Requests: framing, heads, targets, chunks.

use super::Row;

/// A request whose body is "hello" if its framing is believed, with these field lines beside Host, and the hope that the
/// rest is taken for a second request by somebody.
fn post(name: &'static str, fields: &str) -> Row {
    Row::new(
        name,
        format!("POST / HTTP/1.1\r\nHost: test\r\n{fields}\r\nhelloGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"),
    )
}

/// A POST with these field lines and this body, nothing behind it.
fn body(name: &'static str, fields: &str, body: &str) -> Row {
    Row::new(name, format!("POST / HTTP/1.1\r\nHost: test\r\n{fields}\r\n{body}"))
}

/// A GET with these field lines.
fn get(name: &'static str, fields: &str) -> Row {
    Row::new(name, format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"))
}

const HELLO: &str = "POST / HTTP/1.1\nhost: test\ncontent-length: 5\n\nhello";
const PLAIN: &str = "GET / HTTP/1.1\nhost: test";

/// Where the message ends: everything that two parsers could read differently.
pub fn framing() -> Vec<Row> {
    let ambiguous = |row: Row| row.refused(400, "ambiguous_framing");
    let length = |row: Row| row.refused(400, "bad_content_length");
    let field = |row: Row| row.refused(400, "bad_field");
    let unknown = |row: Row| row.refused(501, "unknown_transfer_coding");
    vec![
        ambiguous(body("CL.TE", "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nsmuggled")),
        ambiguous(body("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "8\r\nsmuggled\r\n0\r\n\r\n")),
        ambiguous(post("TE and CL of zero", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n")),
        ambiguous(post("unknown coding and CL", "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n")),
        ambiguous(post("chunked twice in one field", "Transfer-Encoding: chunked, chunked\r\n")),
        ambiguous(post("chunked twice in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ambiguous(post("chunked, then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")),
        ambiguous(post("chunked is not last", "Transfer-Encoding: chunked, gzip\r\n")),
        ambiguous(post("empty transfer coding", "Transfer-Encoding:\r\n")),
        ambiguous(post("empty list element before chunked", "Transfer-Encoding: , chunked\r\n")),
        unknown(post("identity", "Transfer-Encoding: identity\r\n")),
        unknown(post("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n")),
        unknown(post("xchunked", "Transfer-Encoding: xchunked\r\n")),
        unknown(post("chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n")),
        unknown(post("quoted chunked", "Transfer-Encoding: \"chunked\"\r\n")),
        unknown(post("chunked without comma", "Transfer-Encoding: chunked chunked\r\n")),
        field(post("vertical tab before chunked", "Transfer-Encoding: \x0bchunked\r\n")),
        field(post("space before the colon of TE", "Transfer-Encoding : chunked\r\n")),
        field(post("tab before the colon of TE", "Transfer-Encoding\t: chunked\r\n")),
        field(post("space before TE", " Transfer-Encoding: chunked\r\n")),
        field(post("TE folded into another field", "X: a\r\n Transfer-Encoding: chunked\r\n")),
        field(post("TE with its value on the next line", "Transfer-Encoding:\r\n chunked\r\n")),
        field(post("bare LF before TE", "X: a\nTransfer-Encoding: chunked\r\n")),
        field(post("bare CR before TE", "X: a\rTransfer-Encoding: chunked\r\n")),
        field(post("NUL in the name of TE", "Transfer-Encoding\0: chunked\r\n")),
        Row::new("TE in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nsmuggled\r\n0\r\n\r\n")
            .refused(400, "ambiguous_framing"),
        Row::new(
            "TE and CL in HTTP/1.0",
            "POST / HTTP/1.0\r\nContent-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\nsmuggled",
        )
        .refused(400, "ambiguous_framing"),
        body("TE in capitals", "Transfer-Encoding: CHUNKED\r\n", "5\r\nhello\r\n0\r\n\r\n")
            .passed("POST / HTTP/1.1\nhost: test\ntransfer-encoding: chunked\n\nhello"),
        body("tab and blanks around chunked", "Transfer-Encoding:\tchunked \r\n", "5\r\nhello\r\n0\r\n\r\n")
            .passed("POST / HTTP/1.1\nhost: test\ntransfer-encoding: chunked\n\nhello"),
        // Dropped as any name with an underscore: so the request has no body, and what follows is not a request.
        body("TE with an underscore", "Transfer_Encoding: chunked\r\n", "8\r\nsmuggled\r\n0\r\n\r\n").then_refused(
            1,
            400,
            "bad_request_line",
        ),
        body("CL with an underscore", "Content_Length: 8\r\n", "\x01smuggled").then_refused(1, 400, "bad_request_line"),
        length(post("CL twice, different", "Content-Length: 5\r\nContent-Length: 6\r\n")),
        length(post("CL twice, equal", "Content-Length: 5\r\nContent-Length: 5\r\n")),
        length(post("CL as a list", "Content-Length: 5, 5\r\n")),
        length(post("CL as a list of different lengths", "Content-Length: 0, 5\r\n")),
        length(post("CL with plus", "Content-Length: +5\r\n")),
        length(post("CL negative", "Content-Length: -5\r\n")),
        length(post("CL hexadecimal", "Content-Length: 0x5\r\n")),
        length(post("CL with an inner space", "Content-Length: 5 5\r\n")),
        length(post("CL empty", "Content-Length:\r\n")),
        length(post("CL with a semicolon", "Content-Length: 5;\r\n")),
        length(post("CL with a fraction", "Content-Length: 5.0\r\n")),
        length(post("CL with an exponent", "Content-Length: 1e1\r\n")),
        length(post("CL one beyond 64 bits", "Content-Length: 18446744073709551616\r\n")),
        length(post("CL that wraps to 5", "Content-Length: 18446744073709551621\r\n")),
        length(post("CL beyond a signed number", "Content-Length: 9223372036854775808\r\n")),
        length(post("CL in other digits", "Content-Length: \u{665}\r\n")),
        field(post("space before the colon of CL", "Content-Length : 5\r\n")),
        field(post("space inside the name of CL", "Content Length: 5\r\n")),
        field(post("CL folded into another field", "X: a\r\n\tContent-Length: 5\r\n")),
        body("CL with leading zeros", "Content-Length: 005\r\n", "hello").passed(HELLO),
        body("CL with blanks around it", "Content-Length: \t 5 \r\n", "hello").passed(HELLO),
        // RFC 9110 7.6.1: Connection cannot take the framing away from us.
        body("CL named by Connection", "Connection: Content-Length\r\nContent-Length: 5\r\n", "hello").passed(HELLO),
        body("client gone within a fixed body", "Content-Length: 6\r\n", "hello").abandoned(),
        body("client gone within a chunk", "Transfer-Encoding: chunked\r\n", "5\r\nhel").abandoned(),
        body("client gone before the last chunk", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n").abandoned(),
        body("client gone within the trailers", "Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n").abandoned(),
    ]
}

/// Request lines and fields.
pub fn heads() -> Vec<Row> {
    let line = |name, text: &str| Row::new(name, format!("{text}Host: test\r\n\r\n")).refused(400, "bad_request_line");
    let version = |name, version: &str| {
        Row::new(name, format!("GET / {version}\r\nHost: test\r\n\r\n")).refused(505, "unknown_version")
    };
    let field = |row: Row| row.refused(400, "bad_field");
    vec![
        Row::new("HTTP/0.9", "GET /\r\n").refused(400, "bad_request_line"),
        line("no version", "GET /\r\n"),
        line("no target", "GET\r\n"),
        line("no method", " / HTTP/1.1\r\n"),
        line("space before the method", " GET / HTTP/1.1\r\n"),
        line("space behind the version", "GET / HTTP/1.1 \r\n"),
        line("word behind the version", "GET / HTTP/1.1 x\r\n"),
        line("bracket in the method", "G(T / HTTP/1.1\r\n"),
        line("NUL in the method", "G\0T / HTTP/1.1\r\n"),
        line("version in lower case", "GET / http/1.1\r\n"),
        line("another protocol", "GET / RTSP/1.0\r\n"),
        line("bare LF behind the request line", "GET / HTTP/1.1\n"),
        line("bare CR behind the request line", "GET / HTTP/1.1\r"),
        line("CR twice behind the request line", "GET / HTTP/1.1\r\r\n"),
        Row::new("only bare LFs", "GET / HTTP/1.1\nHost: test\n\n").refused(400, "bad_request_line"),
        Row::new("TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03smuggled\r\n\r\n")
            .refused(400, "bad_request_line"),
        Row::new("PROXY protocol", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
            .refused(400, "bad_request_line"),
        Row::new("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").refused(505, "unknown_version"),
        version("HTTP/2.0", "HTTP/2.0"),
        version("HTTP/3", "HTTP/3"),
        version("HTTP/1.2", "HTTP/1.2"),
        version("HTTP/0.9 in so many words", "HTTP/0.9"),
        line("version with two digits", "GET / HTTP/1.10\r\n"),
        Row::new("CONNECT", "CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n").refused(405, "connect_method"),
        Row::new("CONNECT to a path", "CONNECT / HTTP/1.1\r\nHost: test\r\n\r\n").refused(405, "connect_method"),
        field(get("no colon", "X\r\n")),
        field(get("no name", ": x\r\n")),
        field(get("space inside a name", "X Y: z\r\n")),
        field(get("space before a colon", "X : y\r\n")),
        field(get("bracket in a name", "X(: y\r\n")),
        field(get("letters beyond ASCII in a name", "X\u{e9}: y\r\n")),
        field(get("folded field", "X: a\r\n b\r\n")),
        field(get("folded with a tab", "X: a\r\n\tb\r\n")),
        field(get("NUL in a value", "X: a\0b\r\n")),
        field(get("control character in a value", "X: a\x01b\r\n")),
        field(get("DEL in a value", "X: a\x7fb\r\n")),
        field(get("bare CR in a value", "X: a\rb\r\n")),
        field(get("bare LF behind a field", "X: a\nY: b\r\n")),
        Row::new("bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: test\r\n\n").refused(400, "bad_field"),
        Row::new(
            "bare LF after the first request",
            "GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\nHost: test\r\n\r\n",
        )
        .then_refused(1, 400, "bad_request_line"),
        Row::new("garbage after the first request", "GET / HTTP/1.1\r\nHost: test\r\n\r\n\0\0\0\0").then_refused(
            1,
            400,
            "bad_request_line",
        ),
        get("unknown expectation", "Expect: 200-ok\r\n").refused(417, "expectation_failed"),
        get("known and unknown expectation", "Expect: 100-continue, x\r\n").refused(417, "expectation_failed"),
        Row::new("expectation in HTTP/1.0", "GET / HTTP/1.0\r\nHost: test\r\nExpect: x\r\n\r\n")
            .passed(PLAIN)
            .then_closed(),
        get("tab in a value", "X: a\tb\r\n").passed(format!("{PLAIN}\nx: a\tb")),
        get("letters beyond ASCII in a value", "X: \u{e9}\r\n").passed(format!("{PLAIN}\nx: \u{e9}")),
        get("empty value", "X:\r\n").passed(format!("{PLAIN}\nx: ")),
        get("no blank behind the colon", "X:y\r\n").passed(format!("{PLAIN}\nx: y")),
        get("names with underscores", "X_Real_IP: 1.2.3.4\r\nX-Y: z\r\n").passed(format!("{PLAIN}\nx-y: z")),
        get("h2c upgrade", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")
            .passed(PLAIN),
        get("h2c behind websocket's back", "Connection: HTTP2-Settings\r\nUpgrade: websocket\r\nHTTP2-Settings: x\r\n")
            .passed(PLAIN),
        get("Connection names our own fields", "Connection: Host, X-Forwarded-For, X-Secret\r\nX-Secret: x\r\n")
            .passed(PLAIN),
        get("Proxy-Connection", "Proxy-Connection: keep-alive\r\nKeep-Alive: 5\r\n").passed(PLAIN),
        Row::new("unknown method", "FROBNICATE / HTTP/1.1\r\nHost: test\r\n\r\n")
            .passed("FROBNICATE / HTTP/1.1\nhost: test"),
        Row::new("method in lower case", "get / HTTP/1.1\r\nHost: test\r\n\r\n").passed("get / HTTP/1.1\nhost: test"),
        Row::new("one empty line before", "\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n").passed(PLAIN),
        Row::new("bare LF before", "\nGET / HTTP/1.1\r\nHost: test\r\n\r\n").refused(400, "bad_request_line"),
        Row::new("bare CR before", "\rGET / HTTP/1.1\r\nHost: test\r\n\r\n").refused(400, "bad_request_line"),
        Row::new("client gone before a request", "").abandoned(),
        Row::new("client gone within a request line", "GET /smug").abandoned(),
        Row::new("client gone within a head", "GET / HTTP/1.1\r\nHost: test\r\n").abandoned(),
    ]
}

/// Targets and hosts.
pub fn targets() -> Vec<Row> {
    let target = |name, target: &str| {
        Row::new(name, format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")).refused(400, "bad_target")
    };
    let host = |name, fields: &str| Row::new(name, format!("GET / HTTP/1.1\r\n{fields}\r\n")).refused(400, "bad_host");
    let absolute = |name, target: &str, seen: &str| {
        Row::new(name, format!("GET {target} HTTP/1.1\r\nHost: smuggled\r\n\r\n")).passed(seen)
    };
    vec![
        target("two spaces before the target", " /"),
        target("fragment", "/a#b"),
        target("no slash", "a"),
        target("star without OPTIONS", "*"),
        target("authority without CONNECT", "test:80"),
        target("another scheme", "ftp://test/"),
        target("letters beyond ASCII in the target", "/\u{e9}"),
        target("tab in the target", "/a\tb"),
        target("NUL in the target", "/a\0b"),
        target("DEL in the target", "/a\x7fb"),
        target("escape that is none", "/a%zz"),
        target("escape cut short", "/a%4"),
        target("escaped NUL", "/a%00b"),
        target("out of the root", "/../smuggled"),
        target("out of the root, later", "/a/../../smuggled"),
        target("out of the root, escaped", "/%2e%2e/smuggled"),
        target("out of the root by an escaped slash", "/..%2fsmuggled"),
        target("out of the root at the end", "/a/../.."),
        host("no Host", ""),
        host("Host twice", "Host: test\r\nHost: other\r\n"),
        host("Host twice, equal", "Host: test\r\nHost: test\r\n"),
        host("Host empty", "Host:\r\n"),
        host("Host with a space", "Host: te st\r\n"),
        host("Host with a path", "Host: test/smuggled\r\n"),
        host("Host with a user", "Host: user@test\r\n"),
        host("Host as a list", "Host: test, other\r\n"),
        host("port that is no number", "Host: test:http\r\n"),
        host("port too large", "Host: test:65536\r\n"),
        host("IPv6 literal not closed", "Host: [::1\r\n"),
        host("IPv6 literal that is none", "Host: [::g]\r\n"),
        host("empty label", "Host: a..b\r\n"),
        Row::new("absolute form without Host", "GET http://test/ HTTP/1.1\r\n\r\n").refused(400, "bad_host"),
        Row::new("absolute form with Host twice", "GET http://test/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            .refused(400, "bad_host"),
        Row::new("absolute form with a bad Host", "GET http://test/ HTTP/1.1\r\nHost: a b\r\n\r\n")
            .refused(400, "bad_host"),
        Row::new("absolute form with a user", "GET http://user:secret@test/ HTTP/1.1\r\nHost: test\r\n\r\n")
            .refused(400, "bad_host"),
        Row::new("absolute form without a host", "GET http:///x HTTP/1.1\r\nHost: test\r\n\r\n")
            .refused(400, "bad_host"),
        absolute("absolute form wins over Host", "http://other.example/x?y", "GET /x?y HTTP/1.1\nhost: other.example"),
        absolute("absolute form with a port", "http://other.example:8080/", "GET / HTTP/1.1\nhost: other.example:8080"),
        absolute("absolute form without a path", "http://other.example", "GET / HTTP/1.1\nhost: other.example"),
        absolute("absolute form with a query only", "http://other.example?q", "GET /?q HTTP/1.1\nhost: other.example"),
        absolute("absolute form with https", "https://other.example/", "GET / HTTP/1.1\nhost: other.example"),
        absolute("absolute form in capitals", "HTTP://other.example/", "GET / HTTP/1.1\nhost: other.example"),
        Row::new("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n").passed("OPTIONS * HTTP/1.1\nhost: test"),
        Row::new("OPTIONS in absolute form", "OPTIONS http://test HTTP/1.1\r\nHost: test\r\n\r\n")
            .passed("OPTIONS * HTTP/1.1\nhost: test"),
        Row::new("Host with IPv6", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")
            .passed("GET / HTTP/1.1\nhost: [::1]:8080"),
        Row::new("dots that stay inside", "GET /a/./b/../c?d=/../ HTTP/1.1\r\nHost: test\r\n\r\n")
            .passed("GET /a/./b/../c?d=/../ HTTP/1.1\nhost: test"),
        Row::new("two slashes", "GET //a HTTP/1.1\r\nHost: test\r\n\r\n").passed("GET //a HTTP/1.1\nhost: test"),
    ]
}

/// Chunked bodies.
pub fn chunks() -> Vec<Row> {
    let chunked = |name, text: &str| body(name, "Transfer-Encoding: chunked\r\n", text);
    let bad = |name, text: &str| chunked(name, text).cut(400, "bad_chunk");
    let good = |name, text: &str| {
        chunked(name, text).passed("POST / HTTP/1.1\nhost: test\ntransfer-encoding: chunked\n\nhello")
    };
    vec![
        bad("size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        bad("size with plus", "+5\r\nhello\r\n0\r\n\r\n"),
        bad("size with minus", "-5\r\nhello\r\n0\r\n\r\n"),
        bad("space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
        bad("space behind the size", "5 \r\nhello\r\n0\r\n\r\n"),
        bad("space inside the size", "1 0\r\nhello\r\n0\r\n\r\n"),
        bad("empty size", "\r\nhello\r\n0\r\n\r\n"),
        bad("size of letters", "hello\r\nhello\r\n0\r\n\r\n"),
        bad("underscore in the size", "1_0\r\nhello\r\n0\r\n\r\n"),
        bad("size one beyond 64 bits", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        bad("size that wraps to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        bad("size with endless zeros", &format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(16))),
        bad("bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
        bad("bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
        bad("CR twice behind the size", "5\r\r\nhello\r\n0\r\n\r\n"),
        bad("bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
        bad("bare CR behind the data", "5\r\nhello\r0\r\n\r\n"),
        bad("data longer than the size", "4\r\nhello\r\n0\r\n\r\n"),
        bad("data shorter than the size", "6\r\nhello\r\n0\r\n\r\n"),
        bad("bare LF behind the last chunk", "5\r\nhello\r\n0\n\r\n"),
        bad("bare LF at the very end", "5\r\nhello\r\n0\r\n\n"),
        bad("bare LF in an extension", "5;x\nsmuggled\r\nhello\r\n0\r\n\r\n"),
        bad("bare CR in an extension", "5;x\rsmuggled\r\nhello\r\n0\r\n\r\n"),
        bad("NUL in an extension", "5;x=\0\r\nhello\r\n0\r\n\r\n"),
        bad("extension without a size", ";x\r\nhello\r\n0\r\n\r\n"),
        bad("space before a trailer's colon", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
        bad("trailer without a colon", "5\r\nhello\r\n0\r\nX\r\n\r\n"),
        bad("folded trailer", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"),
        bad("bare LF behind a trailer", "5\r\nhello\r\n0\r\nX: y\n\r\n"),
        bad("NUL in a trailer", "5\r\nhello\r\n0\r\nX: \0\r\n\r\n"),
        bad("flood of extensions", &format!("{}0\r\n\r\n", format!("1;{}\r\na\r\n", "x".repeat(200)).repeat(200))),
        good("extension", "5;name=value\r\nhello\r\n0\r\n\r\n"),
        good("quoted extension", "5;name=\"a;b\"\r\nhello\r\n0;x\r\n\r\n"),
        good("size with leading zeros", "0005\r\nhello\r\n000\r\n\r\n"),
        good("one byte in each chunk", "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"),
        good(
            "trailers that would frame or route",
            "5\r\nhello\r\n0\r\nContent-Length: 8\r\nHost: smuggled\r\nTransfer-Encoding: x\r\n\r\n",
        ),
        chunked("one trailer", "5\r\nhello\r\n0\r\nX-Sum: 9\r\n\r\n")
            .passed("POST / HTTP/1.1\nhost: test\ntransfer-encoding: chunked\n\nhello\n\nx-sum: 9"),
        chunked("size in capitals", "A\r\n0123456789\r\n0\r\n\r\n")
            .passed("POST / HTTP/1.1\nhost: test\ntransfer-encoding: chunked\n\n0123456789"),
        chunked("empty chunked body", "0\r\n\r\n")
            .passed("POST / HTTP/1.1\nhost: test\ntransfer-encoding: chunked\n\n"),
        chunked("a pipelined request behind bad data", "5\r\nhelloGET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")
            .cut(400, "bad_chunk"),
        body("garbage behind the last chunk", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n\x01smuggled").then_refused(
            1,
            400,
            "bad_request_line",
        ),
    ]
}
