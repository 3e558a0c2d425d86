//! curl before each kind of backend.

use super::servers::{self, BIG, Server};
use super::succeed;
use super::support::payload::Payload;
use super::support::{Place, Ringgate, Setup, tools};
use std::path::PathBuf;

/// curl and ringgate before these backends.
fn before(curl: PathBuf, backends: &[&Place]) -> Curl {
    Curl { curl, ringgate: Setup::proxy(backends).start() }
}

struct Curl {
    curl: PathBuf,
    ringgate: Ringgate,
}

impl Curl {
    /// The output of curl with these arguments; `URL` in them is the balancer's.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> super::Printed {
        let arguments: Vec<String> = arguments.iter().map(|a| a.replace("URL", &self.ringgate.url())).collect();
        let mut all = vec!["--silent", "--show-error", "--max-time", "30", "--noproxy", "*"];
        all.extend(arguments.iter().map(String::as_str));
        succeed(&self.curl, &all, 40)
    }

    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        self.run(arguments).text()
    }

    /// Nothing went wrong, and nothing is left but pooled connections.
    #[track_caller]
    fn expect_no_errors(&self) {
        let status = self.ringgate.status();
        assert_eq!((status.total("in_flight"), status.total("panics")), (0, 0), "{}", status.text());
        assert_eq!(status.0["totals"]["errors"].to_string(), "{}", "{}", self.ringgate.log());
    }
}

/// GET, HEAD, HTTP/1.0, many on one connection: for every backend that serves files.
fn static_files(curl: PathBuf, backend: &Server) {
    let curl = before(curl, &[&backend.place]);
    assert_eq!(curl.text(&["--fail", "URL/small.txt"]), "small\n");
    let big = curl.run(&["--fail", "URL/big.bin"]).out;
    assert!(big == Payload::bytes(1, BIG), "{} bytes came", big.len());
    let head = curl.text(&["--head", "URL/big.bin"]);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("content-length: {BIG}\r\n")), "{head}");
    let old = curl.run(&["--http1.0", "--fail", "URL/big.bin"]).out;
    assert!(old == big, "{} bytes came to HTTP/1.0", old.len());
    assert_eq!(
        curl.text(&["--http1.0", "-H", "Connection: keep-alive", "URL/small.txt", "URL/small.txt"]),
        "small\nsmall\n"
    );
    let missing = curl.text(&["-o", "/dev/null", "-w", "%{http_code}", "URL/missing"]);
    assert_eq!(missing, "404");
    // Ten requests need one connection.
    let urls = ["URL/small.txt"; 10];
    let connects = curl
        .text(&[&["-o", "/dev/null", "-w", "%{num_connects} %{http_code}\n"][..], &urls_with_output(&urls)].concat());
    let lines: Vec<&str> = connects.lines().collect();
    assert_eq!((lines.len(), lines[0]), (10, "1 200"), "{connects}");
    assert!(lines[1..].iter().all(|line| *line == "0 200"), "{connects}");
    curl.expect_no_errors();
}

/// curl wants an `-o` for each URL.
fn urls_with_output<'a>(urls: &[&'a str]) -> Vec<&'a str> {
    urls.iter()
        .enumerate()
        .flat_map(|(i, url)| if i == 0 { vec![*url] } else { vec!["-o", "/dev/null", *url] })
        .collect()
}

#[test]
fn files_of_pythons_server() {
    const TEST: &str = "files_of_pythons_server";
    let Some(curl) = tools::find(TEST, "curl") else { return };
    for protocol in ["HTTP/1.0", "HTTP/1.1"] {
        let Some(backend) = servers::http_server(TEST, protocol) else { return };
        static_files(curl.clone(), &backend);
    }
}

#[test]
fn files_of_nginx() {
    const TEST: &str = "files_of_nginx";
    let Some(curl) = tools::find(TEST, "curl") else { return };
    let Some(backend) = servers::nginx(TEST, &[]) else { return };
    static_files(curl.clone(), &backend);
    let curl = before(curl, &[&backend.place, &servers::nginx_socket(&backend)]);
    // Ranges.
    let whole = Payload::bytes(1, BIG);
    for (range, expected) in
        [("100-199", &whole[100..200]), ("4999990-", &whole[4_999_990..]), ("-7", &whole[BIG - 7..])]
    {
        let part = curl.run(&["--fail", "--range", range, "-D", "/dev/stderr", "URL/big.bin"]);
        assert!(part.err.starts_with("HTTP/1.1 206 "), "{range}: {}", part.err);
        assert_eq!(part.out, expected, "{range}");
    }
    let both = curl.run(&["--fail", "--range", "0-99,200-299", "URL/big.bin"]);
    assert!(both.text().contains("multipart") || both.out.len() > 200, "{}", both.text());
    assert_eq!(curl.text(&["--range", "9999999-", "-o", "/dev/null", "-w", "%{http_code}", "URL/big.bin"]), "416");
    // Conditions, empty answers, redirects.
    let head = curl.text(&["--head", "URL/small.txt"]);
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap_or_else(|| panic!("{head}")).to_owned();
    let condition = format!("If-None-Match: {tag}");
    assert_eq!(curl.text(&["-H", &condition, "-w", "%{http_code}", "URL/small.txt"]), "304");
    assert_eq!(curl.text(&["-w", "%{http_code}", "URL/empty"]), "204");
    assert_eq!(curl.text(&["-w", "%{http_code}", "-X", "DELETE", "-o", "/dev/null", "URL/small.txt"]), "405");
    assert_eq!(curl.text(&["-o", "/dev/null", "-w", "%{redirect_url}", "URL/moved"]), "http://127.0.0.1/tiny");
    assert_eq!(curl.text(&["URL/tiny"]), "tiny GET 127.0.0.1");
    // An offer of HTTP/2 is declined without a word.
    assert_eq!(curl.text(&["--http2", "-w", " %{http_version}", "URL/tiny"]), "tiny GET 127.0.0.1 1.1");
    curl.expect_no_errors();
}

#[test]
fn uploads_to_flask() {
    const TEST: &str = "uploads_to_flask";
    let Some(curl) = tools::find(TEST, "curl") else { return };
    for (threads, unix) in [(false, false), (true, true)] {
        let Some(backend) = servers::flask(TEST, threads, unix) else { return };
        let curl = before(curl.clone(), &[&backend.place]);
        let file = backend.folder().join("big.bin");
        let file = file.to_str().expect("a plain name");
        let sum = format!("{BIG} {}", Payload::sha256(1, BIG as u64));
        let data = format!("@{file}");
        // Known length, with and without a question first.
        assert_eq!(curl.text(&["--data-binary", &data, "-H", "Expect:", "URL/sum"]), sum);
        let asked = curl.run(&[
            "-v",
            "--data-binary",
            &data,
            "-H",
            "Expect: 100-continue",
            "--expect100-timeout",
            "20",
            "URL/sum",
        ]);
        assert_eq!(asked.text(), sum);
        assert!(asked.err.contains("< HTTP/1.1 100 Continue"), "{}", asked.err);
        // Chunked, because curl does not know the length of what it reads from a pipe.
        let piped = succeed(
            std::path::Path::new("sh"),
            &["-c", &format!("cat '{file}' | curl -sS --noproxy '*' --max-time 30 -T - '{}/sum'", curl.ringgate.url())],
            40,
        );
        assert_eq!(piped.text(), sum);
        assert_eq!(curl.text(&["-T", file, "URL/sum"]), sum);
        assert_eq!(curl.text(&["--http1.0", "--data-binary", &data, "URL/sum"]), sum);
        // Forms as browsers send them.
        let form = curl.text(&["-F", "name=value", "-F", &format!("file=@{file}"), "URL/form"]);
        assert!(form.contains("\"name\":\"value\"") && form.contains(&format!("\"size\":{BIG}")), "{form}");
        // Answers in chunks, and none.
        let stream = curl.text(&["URL/stream/20000"]);
        assert_eq!((stream.lines().count(), stream.lines().last()), (20_000, Some("piece 19999")));
        assert_eq!(curl.text(&["--http1.0", "URL/stream/20000"]), stream);
        assert_eq!(curl.text(&["-w", "%{http_code}", "URL/none"]), "204");
        for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let said = curl.text(&["-X", method, "-H", "Host: shop.example", "URL/?a=b"]);
            assert_eq!(said, format!("{method} /?a=b shop.example\n"));
        }
        let fields = curl.text(&["-H", "X-Forwarded-For: 9.9.9.9", "-H", "X-Real-IP: 9.9.9.9", "URL/fields"]);
        let fields: serde_json::Value = serde_json::from_str(&fields).unwrap_or_else(|e| panic!("{e}: {fields}"));
        assert_eq!(fields["X-Forwarded-For"], "9.9.9.9, 127.0.0.1");
        assert_eq!(fields["X-Real-Ip"], "127.0.0.1");
        assert_eq!(fields["X-Forwarded-Proto"], "http");
        curl.expect_no_errors();
    }
}
