//! certbot before an authority of the test's own (pebble), through ringgate: the first certificate without a chicken or an egg, and
//! its renewal under load.

use super::support::certificates::Authority;
use super::support::load::{Load, tally};
use super::support::server::free_port;
use super::support::tls::Wish;
use super::support::{Backend, Client, Place, Setup, Stream, tools, wait_until};
use super::{SITE, folder, shown, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The authority's servers, and certbot's folders.
struct Acme {
    certbot: PathBuf,
    folder: PathBuf,
    directory: String,
    _pebble: tools::Daemon,
    _names: tools::Daemon,
}

impl Acme {
    /// pebble, which looks for challenges at this port of 127.0.0.1, whatever the name.
    #[track_caller]
    fn start(test: &str, folder: &Path, http_port: u16) -> Option<Acme> {
        let (certbot, pebble) = (tools::find(test, "certbot")?, tools::find(test, "pebble")?);
        let names = tools::find(test, "pebble-challtestsrv")?;
        let [api, management, tls, dns, dns_management] = std::array::from_fn(|_| free_port());
        // Its own certificate, for certbot's requests to it.
        let authority = Authority::new("pebble's own");
        authority.server(&["localhost", "127.0.0.1"]).write(folder, "pebble");
        write(folder, "pebble-ca.pem", &authority.pem());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{api}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.join("pebble.crt"),
            "privateKey": folder.join("pebble.key"),
            "httpPort": http_port,
            "tlsPort": tls,
        }});
        write(folder, "pebble.json", &config.to_string());
        let mut command = Command::new(names);
        command.args([
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ]);
        command.args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{dns_management}")]);
        let names = tools::Daemon::start(&mut command);
        let mut command = Command::new(pebble);
        command.arg("-config").arg(folder.join("pebble.json")).args(["-dnsserver", &format!("127.0.0.1:{dns}")]);
        command.current_dir(folder).env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        let pebble = tools::Daemon::start(&mut command);
        for port in [api, dns_management] {
            let place = Place::parse(&format!("127.0.0.1:{port}"));
            wait_until("pebble and its name server listen", || Stream::connect(&place).is_ok());
        }
        let directory = format!("https://localhost:{api}/dir");
        Some(Acme { certbot, folder: folder.to_owned(), directory, _pebble: pebble, _names: names })
    }

    /// Runs certbot, which must succeed.
    #[track_caller]
    fn certbot(&self, arguments: &[&str]) {
        let mut command = tools::bounded(&self.certbot, 90);
        command.args(arguments).arg("--non-interactive");
        for folder in ["config", "work", "logs"] {
            command.arg(format!("--{folder}-dir")).arg(self.folder.join(format!("certbot-{folder}")));
        }
        command.env("REQUESTS_CA_BUNDLE", self.folder.join("pebble-ca.pem")).env("HOME", &self.folder);
        let output = command.stdin(std::process::Stdio::null()).output().expect("certbot runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "certbot {arguments:?}: {}\n{said}", output.status);
    }
}

#[test]
fn certbot_obtains_and_renews_through_ringgate() {
    const TEST: &str = "certbot_obtains_and_renews_through_ringgate";
    let folder = folder();
    let dir = folder.path().to_owned();
    std::fs::create_dir(dir.join("www")).expect("a folder");
    let http_port = free_port();
    let Some(acme) = Acme::start(TEST, &dir, http_port) else { return };
    let backend = Backend::fixed("hello");
    let live = format!("{{dir}}/certbot-config/live/{SITE}");
    let lines = format!(
        "server_name = \"{SITE}\"\nssl_certificate = \"{live}/fullchain.pem\"\nssl_certificate_key = \"{live}/privkey.pem\""
    );
    // As the manual would have it: plain HTTP serves challenges and sends everything else to HTTPS.
    let plain =
        format!("server_name = \"{SITE}\"\nacme_webroot = \"{{dir}}/www\"\nreturn = \"301 https://$host$request_uri\"");
    let ringgate = Setup::new()
        .upstream("app", &[backend.place()], "")
        .server("127.0.0.1:0 ssl", &lines, &[("/", "http://app", "")])
        .server(&format!("127.0.0.1:{http_port}"), &plain, &[])
        .start_in(folder);
    let secure = ringgate.places().iter().find(|place| place.port() != http_port).expect("two listeners").clone();
    let placeholder = shown(&secure, SITE).expect("HTTPS works before there is a certificate");
    // The first certificate, found without a word to ringgate.
    let webroot = dir.join("www");
    let obtain = [
        "certonly",
        "--webroot",
        "-w",
        webroot.to_str().expect("a plain name"),
        "-d",
        SITE,
        "--server",
        &acme.directory,
    ];
    acme.certbot(&[&obtain[..], &["--agree-tos", "--register-unsafely-without-email"]].concat());
    wait_until("the first certificate is shown", || shown(&secure, SITE).expect("a handshake") != placeholder);
    let first = shown(&secure, SITE).expect("a handshake");
    let chain = std::fs::read_to_string(dir.join(format!("certbot-config/live/{SITE}/fullchain.pem")))
        .expect("certbot wrote it");
    assert_eq!(first, super::support::tls::certificates(&chain)[0].to_vec());
    // The renewal, while clients connect anew for every request, and one keeps its connection.
    let config = Arc::new(Wish::default().config());
    let mut kept = Client::secure(&secure, &config, SITE);
    let load = {
        let (place, config) = (secure.clone(), config.clone());
        let request = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nConnection: close\r\n\r\n");
        Load::connected_by(move || Client::try_secure(&place, &config, SITE), 4, "GET", &request)
    };
    load.expect_more(50);
    acme.certbot(&["renew", "--force-renewal", "--no-random-sleep-on-renew"]);
    wait_until("the renewed certificate is shown", || shown(&secure, SITE).expect("a handshake") != first);
    load.expect_more(50);
    let (bodies, failures) = tally(&load.stop());
    assert!(failures.is_empty(), "{failures:?}\n{}", ringgate.log());
    assert!(bodies["hello"] > 100);
    assert_eq!(kept.get("/").text(), "hello", "old connections go on");
    assert!(!ringgate.status().text().contains("placeholder"), "{}", ringgate.status().text());
    super::expect_sound(&ringgate);
}
