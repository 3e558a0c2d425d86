//! wrk and oha report no error of any kind.

use super::support::{Place, Ringgate, Setup, tools};
use super::{servers, succeed};
use serde_json::Value;

#[track_caller]
fn expect_no_errors(ringgate: &Ringgate, at_least: u64) {
    let status = ringgate.status();
    assert!(status.total("requests") >= at_least, "{}", status.text());
    assert_eq!(status.total("panics"), 0, "{}", ringgate.log());
    // A generator that has enough closes where it stands: that is its affair.
    let errors = status.0["totals"]["errors"].as_object().expect("a table").clone();
    assert!(errors.keys().all(|name| name == "client_gone"), "{errors:?}\n{}", ringgate.log());
}

/// ringgate before two ways to the same nginx.
fn before(nginx: &servers::Server) -> Ringgate {
    let places: [&Place; 2] = [&nginx.place, &servers::nginx_socket(nginx)];
    Setup::proxy(&places).start()
}

#[test]
fn wrk_sees_no_error() {
    const TEST: &str = "wrk_sees_no_error";
    let Some(wrk) = tools::find(TEST, "wrk") else { return };
    let Some(nginx) = servers::nginx(TEST, &[]) else { return };
    let ringgate = before(&nginx);
    let run = |arguments: &[&str], path: &str, at_least: u64| {
        let url = ringgate.url() + path;
        let text = succeed(&wrk, &[arguments, &[&url]].concat(), 30).text();
        assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
        let requests = text
            .lines()
            .find_map(|line| line.split_once(" requests in "))
            .map(|(count, _)| count.trim().parse::<u64>());
        let requests = requests.and_then(Result::ok).unwrap_or_else(|| panic!("no number of requests in\n{text}"));
        assert!(requests >= at_least, "{text}");
    };
    run(&["-t", "2", "-c", "64", "-d", "3s"], "/tiny", 1000);
    // How many depends on the machine: when sockets' memory runs short (net.ipv4.tcp_mem), the kernel becomes very slow.
    run(&["-t", "1", "-c", "8", "-d", "2s"], "/big.bin", 0);
    run(&["-t", "1", "-c", "16", "-d", "2s", "-H", "Connection: close"], "/tiny", 200);
    expect_no_errors(&ringgate, 1200);
}

#[test]
fn oha_sees_no_error() {
    const TEST: &str = "oha_sees_no_error";
    let Some(oha) = tools::find(TEST, "oha") else { return };
    let Some(nginx) = servers::nginx(TEST, &[]) else { return };
    let ringgate = before(&nginx);
    let run = |count: u64, arguments: &[&str], path: &str| {
        let (url, count_text) = (ringgate.url() + path, count.to_string());
        let fixed = ["--no-tui", "--output-format", "json", "-n", &count_text];
        let text = succeed(&oha, &[&fixed[..], arguments, &[&url]].concat(), 60).text();
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(report["statusCodeDistribution"]["200"].as_u64(), Some(count), "{text}");
        assert_eq!(report["statusCodeDistribution"].as_object().map(serde_json::Map::len), Some(1), "{text}");
        assert_eq!(report["errorDistribution"].to_string(), "{}", "{text}");
    };
    run(10_000, &["-c", "64"], "/tiny");
    run(2_000, &["-c", "16", "--disable-keepalive"], "/tiny");
    run(200, &["-c", "8"], "/big.bin");
    run(2_000, &["-c", "32", "-m", "POST", "-d", &"x".repeat(5000)], "/tiny");
    expect_no_errors(&ringgate, 14_200);
}
