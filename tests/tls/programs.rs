//! Programs that people use, against a site with TLS.

use super::support::certificates::Authority;
use super::support::peers::{Body, Frames};
use super::support::{Backend, Message, peers, tools};
use super::{SITE, Site, expect_sound, folder_with, mirror};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOM: &str = "client_max_body_size = \"1g\"";

#[test]
fn curl_speaks_both_versions() {
    const TEST: &str = "curl_speaks_both_versions";
    let Some(curl) = tools::find(TEST, "curl") else { return };
    let backend = peers::backend();
    let site = Site::start(backend.place(), "", ROOM);
    let authority = site.authority_file();
    let run = |arguments: &[&str], path: &str| {
        let resolve = format!("{SITE}:{}:127.0.0.1", site.ringgate.place().port());
        let url = format!("https://{SITE}:{}{path}", site.ringgate.place().port());
        let fixed = [
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "60",
            "--noproxy",
            "*",
            "--resolve",
            &resolve,
            "--cacert",
        ];
        let all = [&fixed[..], &[authority.to_str().expect("a plain name")], arguments, &[&url]].concat();
        tools::succeed(&curl, &all, 90)
    };
    let body = Body::new(5, 30_000_000, Frames::Length);
    let file = site.ringgate.folder().join("body");
    std::fs::write(&file, super::support::payload::Payload::bytes(5, 30_000_000)).expect("a file");
    let data = format!("@{}", file.display());
    for version in ["1.2", "1.3"] {
        let only = ["--tlsv1.2", "--tls-max", version];
        let said = run(&[&only[..], &["--data-binary", &data]].concat(), "/up/30000000/Fast").text();
        assert_eq!(said, format!("30000000 {}", body.sha256()), "TLS {version}");
        let mut sum = super::support::payload::Sum::default();
        sum.add(&run(&only, &body.target()).out);
        assert_eq!(sum.hex(), body.sha256(), "TLS {version}");
        let close = Body { frames: Frames::Close, ..body };
        assert_eq!(run(&only, &close.target()).out.len(), 30_000_000);
        let verbose = run(&[&only[..], &["-v", "--http2"]].concat(), "/up/0/Fast").err;
        assert!(verbose.contains(&format!("TLSv{version}")) && verbose.contains("ALPN"), "{verbose}");
    }
    expect_sound(&site.ringgate);
}

#[test]
fn openssl_resumes_and_renegotiates_nothing() {
    const TEST: &str = "openssl_resumes_and_renegotiates_nothing";
    let Some(openssl) = tools::find(TEST, "openssl") else { return };
    let backend = mirror();
    let site = Site::start(backend.place(), "", "");
    let session = site.ringgate.folder().join("session");
    for version in ["-tls1_2", "-tls1_3"] {
        for (turn, option) in ["-sess_out", "-sess_in"].into_iter().enumerate() {
            let arguments = [version, option, session.to_str().expect("a plain name"), "-verify_return_error"];
            let said =
                s_client(&openssl, &site, &arguments, "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
            assert!(said.contains("HTTP/1.1 200") && said.contains("Verify return code: 0 (ok)"), "{version}: {said}");
            let begins = if turn == 0 { "New, " } else { "Reused, " };
            assert!(said.contains(begins), "{version} {option}: {said}");
            assert!(version == "-tls1_3" || said.contains("Secure Renegotiation IS supported"), "{said}");
            assert!(said.contains("Compression: NONE"), "{said}");
        }
    }
}

/// Runs `openssl s_client`, which ends with the server; all that it printed.
fn s_client(openssl: &Path, site: &Site, arguments: &[&str], input: &str) -> String {
    let mut command = tools::bounded(openssl, 30);
    command.args(["s_client", "-servername", SITE, "-ign_eof", "-CAfile"]).arg(site.authority_file());
    command.args(["-connect", &site.ringgate.place().to_string()]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl runs");
    // s_client reads its input as soon as it is connected, and resumption wants the session's tickets, which come with the answer.
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const PYTHON: &str = r#"
import hashlib, http.client, socket, ssl, sys, threading

port, authority = int(sys.argv[1]), sys.argv[2]
data = bytes(i * 7 % 256 for i in range(3_000_000))


def context(version):
    made = ssl.create_default_context(cafile=authority)
    made.minimum_version = made.maximum_version = version
    return made


def session(version):
    made = context(version)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=made)
    for turn in range(10):
        connection.request("POST", f"/{turn}", body=data)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and body.startswith(b"POST /%d %d\n" % (turn, len(data))), body[:200]
        assert connection.sock.version() == ("TLSv1.2" if version == ssl.TLSVersion.TLSv1_2 else "TLSv1.3")
    connection.close()
    # Half-close: unwrap sends close_notify and waits for the other side's.
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with made.wrap_socket(plain, server_hostname="site.test") as secure:
            secure.sendall(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := secure.recv(65536):  # an end without close_notify would be an error here
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
            secure.unwrap()
    done.append(version)


done = []
threads = [threading.Thread(target=session, args=(v,)) for v in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) * 2]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(done) == 4, done
try:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        context(ssl.TLSVersion.TLSv1_3).wrap_socket(plain, server_hostname="other.test")
    raise SystemExit("a certificate of another name was taken")
except ssl.SSLCertVerificationError:
    pass
print("all well")
"#;

#[test]
fn pythons_ssl_is_content() {
    const TEST: &str = "pythons_ssl_is_content";
    let Some(python) = tools::python(TEST, &["ssl"]) else { return };
    let backend = mirror();
    let site = Site::start(backend.place(), "", ROOM);
    let port = site.ringgate.place().port().to_string();
    let printed =
        tools::succeed(&python, &["-c", PYTHON, &port, site.authority_file().to_str().expect("a plain name")], 90);
    assert_eq!(printed.text(), "all well\n", "{}", printed.err);
    expect_sound(&site.ringgate);
}

const PAGE: &str = r#"<!doctype html><html><head><title>page</title></head><body><pre id="result">nothing yet</pre><script>
async function main() {
  const facts = [location.protocol, "secure " + isSecureContext];
  const posts = [1, 2, 3, 4, 5, 6, 7, 8].map(i => fetch("/post", { method: "POST", body: "x".repeat(i * 1000) }).then(a => a.text()));
  facts.push("posts " + (await Promise.all(posts)).join(" "));
  const big = await fetch("/big").then(a => a.arrayBuffer());
  facts.push("big " + big.byteLength);
  return facts.join("; ");
}
main().catch(e => "failed: " + e).then(text => { document.getElementById("result").textContent = "[" + text + "]"; });
</script></body></html>
"#;

fn page(request: &Message) -> Vec<u8> {
    let answer = |kind: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    match request.target() {
        "/post" => answer("text/plain", request.body.len().to_string().as_bytes()),
        "/big" => answer("application/octet-stream", &vec![7; 3_000_000]),
        _ => answer("text/html", PAGE.as_bytes()),
    }
}

/// Chromium with an authority in its store.
struct Browser {
    chromium: PathBuf,
    home: tempfile::TempDir,
}

impl Browser {
    /// `None`: it is not installed. `trusted`: the authority's file.
    fn find(test: &str, trusted: Option<&Path>) -> Option<Browser> {
        let (chromium, certutil) = (tools::find(test, "chromium")?, tools::find(test, "certutil")?);
        let home = tempfile::tempdir().expect("a temporary folder");
        let store = home.path().join(".pki/nssdb");
        std::fs::create_dir_all(&store).expect("a folder");
        let store = format!("sql:{}", store.display());
        tools::succeed(&certutil, &["-N", "-d", &store, "--empty-password"], 30);
        if let Some(file) = trusted {
            let file = file.to_str().expect("a plain name");
            tools::succeed(&certutil, &["-A", "-d", &store, "-n", "test root", "-t", "C,,", "-i", file], 30);
        }
        Some(Browser { chromium, home })
    }

    /// The page as it stands after its scripts.
    fn open(&self, url: &str) -> String {
        let home = self.home.path();
        let mut command = tools::bounded(&self.chromium, 90);
        command.env("HOME", home).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME").args(tools::HEADLESS);
        command.arg(format!("--user-data-dir={}", home.join("profile").display()));
        command.arg(format!("--host-resolver-rules=MAP {SITE} 127.0.0.1"));
        let output = command.arg(url).stdin(Stdio::null()).output().expect("chromium runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A browser with the local authority in its store opens the page without a word.
#[test]
fn chromium_trusts_the_site() {
    const TEST: &str = "chromium_trusts_the_site";
    let backend = Backend::answer(page);
    let site = Site::start(backend.place(), "hsts = \"1y\"", "");
    let Some(browser) = Browser::find(TEST, Some(&site.authority_file())) else { return };
    let url = format!("https://{SITE}:{}/", site.ringgate.place().port());
    let dom = browser.open(&url);
    let result = dom.split_once("<pre id=\"result\">").map(|(_, rest)| rest.split('<').next().unwrap_or_default());
    let expected = "[https:; secure true; posts 1000 2000 3000 4000 5000 6000 7000 8000; big 3000000]";
    assert_eq!(result, Some(expected), "{dom}\n{}", site.ringgate.log());
    // A store without the authority refuses: the test above trusts for the right reason.
    let stranger = Browser::find(TEST, None).expect("it is there");
    let dom = stranger.open(&url);
    assert!(!dom.contains("secure true"), "{dom}");
    expect_sound(&site.ringgate);
}

/// The demo by HTTPS, as its introduction says it.
#[test]
fn chromium_opens_the_demo() {
    const TEST: &str = "chromium_opens_the_demo";
    let authority = Authority::new("root");
    let folder = folder_with(&[("site", &authority.server(&["127.0.0.1"]))]);
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).expect("a file can be written");
    let Some(browser) = Browser::find(TEST, Some(&file)) else { return };
    // The demo takes ports that are free when it looks: somebody else may be faster.
    let dom = (0..5).find_map(|_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.args(["demo", "--no-load", "--ssl-certificate", "site.crt", "--ssl-certificate-key", "site.key"]);
        let mut demo = command.current_dir(folder.path()).stdout(Stdio::piped()).spawn().expect("it runs");
        let out = BufReader::new(demo.stdout.take().expect("piped"));
        let line = out.lines().map_while(Result::ok).find(|line| line.contains("https://"));
        let url = line.as_deref().and_then(|line| line.split_whitespace().find(|word| word.starts_with("https://")));
        let dom = url.map(|url| browser.open(url));
        let _ = demo.kill();
        demo.wait().expect("it ends");
        dom
    });
    let dom = dom.expect("the demo tells its address");
    assert!(["alder", "birch", "cedar"].iter().any(|name| dom.contains(name)), "{dom}");
}

/// oha: many handshakes and many kept connections at a time, no error of any kind.
#[test]
fn oha_sees_no_error() {
    const TEST: &str = "oha_sees_no_error";
    let Some(oha) = tools::find(TEST, "oha") else { return };
    let backend = Backend::fixed("hello");
    let site = Site::start(backend.place(), "", "");
    for (count, more) in [(5000_u64, &["-c", "64"][..]), (1000, &["-c", "16", "--disable-keepalive"])] {
        let (url, count_text) = (site.url(), count.to_string());
        let fixed = ["--no-tui", "--output-format", "json", "--insecure", "-n", &count_text];
        let text = tools::succeed(&oha, &[&fixed[..], more, &[&url]].concat(), 60).text();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(report["statusCodeDistribution"]["200"].as_u64(), Some(count), "{text}");
        assert_eq!(report["errorDistribution"].to_string(), "{}", "{text}");
    }
    expect_sound(&site.ringgate);
}
