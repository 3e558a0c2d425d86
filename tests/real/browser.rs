//! Headless Chromium loads a page with its script, style, image and requests of its own.

use super::support::{Setup, tools};
use super::{servers, succeed};

const PAGE: &str = r#"<!doctype html><html><head><title>page</title><link rel="stylesheet" href="/style.css"></head>
<body><h1 id="heading">heading</h1><img id="image" src="/image.svg"><pre id="result">nothing yet</pre>
<script src="/script.js"></script></body></html>
"#;
const STYLE: &str = "#heading { color: rgb(1, 2, 3); }\n";
const IMAGE: &str =
    r#"<svg xmlns="http://www.w3.org/2000/svg" width="37" height="23"><rect width="37" height="23" fill="red"/></svg>"#;
const SCRIPT: &str = r#"
async function main() {
  const facts = [];
  await new Promise(done => { if (document.readyState === "complete") done(); else addEventListener("load", done); });
  facts.push("color " + getComputedStyle(document.getElementById("heading")).color);
  facts.push("image " + document.getElementById("image").naturalWidth);
  const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "ring" }) };
  const answers = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => fetch("/app/greet", json).then(a => a.json())));
  facts.push("greetings " + answers.filter(a => a.greeting === "hello ring").length);
  const big = await fetch("/big.bin").then(a => a.arrayBuffer());
  facts.push("big " + big.byteLength);
  const sum = await fetch("/app/sum", { method: "POST", body: big }).then(a => a.text());
  facts.push("sum " + sum);
  const lines = await fetch("/app/stream/1000").then(a => a.text());
  facts.push("lines " + lines.trim().split("\n").length);
  const missing = await fetch("/missing");
  facts.push("missing " + missing.status);
  return facts.join("; ");
}
main().catch(e => "failed: " + e).then(text => { document.getElementById("result").textContent = "[" + text + "]"; });
"#;

#[test]
fn chromium_loads_a_page() {
    const TEST: &str = "chromium_loads_a_page";
    let Some(chromium) = tools::find(TEST, "chromium") else { return };
    let files = [("index.html", PAGE), ("style.css", STYLE), ("image.svg", IMAGE), ("script.js", SCRIPT)];
    let Some(nginx) = servers::nginx(TEST, &files) else { return };
    let Some(app) = servers::flask(TEST, true, true) else { return };
    let ringgate = Setup::new()
        .upstream("pages", &[&nginx.place], "")
        .upstream("app", &[&app.place], "")
        .server("127.0.0.1:0", "", &[("/", "http://pages", ""), ("/app/", "http://app", "")])
        .start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (profile, url) = (format!("--user-data-dir={}", folder.path().display()), ringgate.url() + "/index.html");
    let arguments = [&tools::HEADLESS[..], &[&profile, &url]].concat();
    let dom = succeed(&chromium, &arguments, 90).text();
    let (_, rest) = dom.split_once("<pre id=\"result\">").unwrap_or_else(|| panic!("no result in\n{dom}"));
    let result = rest.split('<').next().unwrap_or_default();
    let sum = super::support::payload::Payload::sha256(1, servers::BIG as u64);
    let big = servers::BIG;
    assert_eq!(
        result,
        format!("[color rgb(1, 2, 3); image 37; greetings 8; big {big}; sum {big} {sum}; lines 1000; missing 404]"),
        "{dom}\n{}",
        ringgate.log()
    );
    let status = ringgate.status();
    assert_eq!(status.total("panics"), 0, "{}", ringgate.log());
    let errors = status.0["totals"]["errors"].as_object().expect("a table").clone();
    assert!(errors.keys().all(|name| name == "client_gone"), "{errors:?}\n{}", ringgate.log());
}
