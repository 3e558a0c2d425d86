//! HTTPS, the way to it, and the whole machine with three names.

use super::backends::{Group, flask};
use super::guide;
use super::site::{Guide, Site};
use super::support::certificates::Authority;
use super::support::tls::Wish;
use super::support::{Backend, Client, Message, wait_until};
use std::sync::Arc;

/// `live/NAME/fullchain.pem` and `privkey.pem` below `{dir}/letsencrypt`, of `authority`.
fn with_certificate(guide: Guide, authority: &Authority, folder: &str, names: &[&str]) -> Guide {
    let pair = authority.server(names);
    let live = |file: &str| format!("letsencrypt/live/{folder}/{file}.pem");
    guide.file(&live("fullchain"), &pair.identity.chain).file(&live("privkey"), &pair.identity.key)
}

#[track_caller]
fn get_secure(site: &Site, root: &str, name: &str, target: &str) -> Message {
    site.secure(root, name).get_from(name, target)
}

#[test]
fn https_ends_at_the_balancer() {
    let Some(mut group) = Group::start("https_ends_at_the_balancer", &["a", "b"]) else { return };
    let authority = Authority::new("guides");
    let guide = guide!("https.conf").with("/etc/letsencrypt/", "{dir}/letsencrypt/").backends(5000, &group.places());
    let guide = with_certificate(guide, &authority, "example.com", &["example.com", "www.example.com"]);
    let root = authority.pem();
    for site in guide.run() {
        let name = site.name;
        let mut bodies: Vec<String> = (0..4).map(|_| get_secure(&site, &root, "www.example.com", "/").text()).collect();
        bodies.sort();
        assert_eq!(bodies, ["a", "a", "b", "b"], "{name}");
        let answer = get_secure(&site, &root, "example.com", "/");
        let hsts = Some("max-age=31536000; includeSubDomains");
        assert_eq!(answer.field("strict-transport-security"), hsts, "{name}");
        assert_eq!(answer.all("x-frame-options"), ["DENY"], "{name}");
        assert_eq!(answer.all("x-content-type-options"), ["nosniff"], "{name}");
        // Of `always` only the first.
        let missing = get_secure(&site, &root, "example.com", "/missing");
        assert_eq!((missing.status(), missing.field("strict-transport-security")), (404, hsts), "{name}");
        assert_eq!(missing.field("x-frame-options"), None, "{name}");
        // Both versions that the guide names.
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let wish = Wish { trusted: Some(&root), versions: &[version], ..Wish::default() };
            let mut client = Client::secure(&site.https(), &Arc::new(wish.config()), "example.com");
            assert_eq!(client.get_from("example.com", "/").status(), 200, "{name}: {version:?}");
        }
        group.stop("a");
        let bodies: Vec<String> = (0..4).map(|_| get_secure(&site, &root, "example.com", "/").text()).collect();
        assert_eq!(bodies, ["b"; 4], "{name}");
        group.stop("b");
        let dead = get_secure(&site, &root, "example.com", "/");
        assert_eq!((dead.status(), dead.field("strict-transport-security")), (502, hsts), "{name}");
        group.begin("a");
        group.begin("b");
        if !site.is_slow_to_forgive() {
            wait_until("it answers again", || get_secure(&site, &root, "example.com", "/").status() == 200);
        }
    }
}

#[test]
fn what_is_said_of_the_scheme_and_the_host_is_seen_behind() {
    const TEST: &str = "what_is_said_of_the_scheme_and_the_host_is_seen_behind";
    let Some(app) = flask(TEST, "app") else { return };
    let authority = Authority::new("guides");
    let guide =
        guide!("https.conf").with("/etc/letsencrypt/", "{dir}/letsencrypt/").backends(5000, &[&app.place, &app.place]);
    let guide = with_certificate(guide, &authority, "example.com", &["example.com"]);
    for site in guide.run() {
        let answer = get_secure(&site, &authority.pem(), "example.com", "/seen/x");
        let saw: serde_json::Value = serde_json::from_slice(&answer.body).expect("what it saw");
        assert_eq!(saw["x-forwarded-proto"], "https", "{}", site.name);
        assert_eq!(saw["host"], "example.com", "{}", site.name);
        assert_eq!(saw["x-real-ip"], "127.0.0.1", "{}", site.name);
    }
}

#[test]
fn http_is_sent_to_https() {
    for site in guide!("to_https.conf").run() {
        for (host, target, location) in [
            ("example.com", "/", "https://example.com/"),
            ("www.example.com", "/a/b?c=d%20e", "https://www.example.com/a/b?c=d%20e"),
            ("EXAMPLE.com:80", "/x", "https://example.com/x"),
            ("other.example.com", "/", "https://other.example.com/"),
        ] {
            let answer = site.get(host, target);
            assert_eq!((answer.status(), answer.field("location")), (301, Some(location)), "{}: {host}", site.name);
        }
        let posted = site.client().post("/form", b"a=b");
        assert_eq!((posted.status(), posted.field("location")), (301, Some("https://test/form")), "{}", site.name);
    }
}

/// Of RFC 7919; making such parameters takes a while.
const DHPARAMS: &str = "-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
";

/// What certbot puts there.
const OPTIONS: &str = "ssl_session_cache shared:le_nginx_SSL:10m;\nssl_session_timeout 1440m;\nssl_session_tickets off;\n\
ssl_protocols TLSv1.2 TLSv1.3;\nssl_prefer_server_ciphers off;\n\
ssl_ciphers \"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384\";\n";

/// The guide with everything that its machine has besides.
fn whole_machine(authority: &Authority, ports: [u16; 2]) -> Guide {
    let guide = guide!("whole_machine.conf")
        .with("/etc/letsencrypt/", "{dir}/letsencrypt/")
        .with("/etc/nginx/", "{dir}/")
        .with("/var/log/nginx/", "{dir}/logs/")
        .with("/var/run/", "{dir}/")
        .with(":3001", format!(":{}", ports[0]))
        .with(":3002", format!(":{}", ports[1]))
        .file("mime.types", "types { text/html html; }")
        .file("letsencrypt/options-ssl-nginx.conf", OPTIONS)
        .file("letsencrypt/ssl-dhparams.pem", DHPARAMS);
    let guide = with_certificate(guide, authority, "cafe.example.com", &["cafe.example.com"]);
    with_certificate(guide, authority, "live.cafe.example.com", &["live.cafe.example.com", "menu.cafe.example.com"])
}

#[test]
fn a_whole_machine_with_three_names() {
    const TEST: &str = "a_whole_machine_with_three_names";
    let Some(one) = flask(TEST, "one") else { return };
    let Some(mut two) = Group::start(TEST, &["two"]) else { return };
    let authority = Authority::new("guides");
    let root = authority.pem();
    let sites = whole_machine(&authority, [one.place.port(), two.places()[0].port()]).run();
    for site in &sites {
        let name = site.name;
        // Each of nginx's workers has a turn of its own.
        let bodies: Vec<String> = (0..8).map(|_| get_secure(site, &root, "cafe.example.com", "/").text()).collect();
        assert!(["one", "two"].iter().all(|body| bodies.iter().any(|b| b == body)), "{name}: {bodies:?}");
        for (host, body) in [("live.cafe.example.com", "one"), ("menu.cafe.example.com", "two")] {
            let bodies: Vec<String> = (0..3).map(|_| get_secure(site, &root, host, "/").text()).collect();
            assert_eq!(bodies, [body; 3], "{name}: {host}");
        }
        for host in ["cafe.example.com", "live.cafe.example.com"] {
            let answer = site.get(host, "/a?b");
            let location = format!("https://{host}/a?b");
            assert_eq!((answer.status(), answer.field("location")), (301, Some(location.as_str())), "{name}");
        }
        // `return 404` behind the `if`; this name has no redirect of its own.
        assert_eq!(site.get("menu.cafe.example.com", "/").status(), 404, "{name}");
        let line = "\"GET / HTTP/1.1\" 200 3 \"-\" \"-\" \"-\"";
        wait_until("the log has what was answered", || {
            let log = site.read("logs/access.log");
            log.lines().filter(|l| l.starts_with("127.0.0.1 - - [") && l.ends_with(line)).count() == 14
        });
        let log = site.read("logs/access.log");
        assert_eq!(log.lines().filter(|l| l.contains("\"GET /a?b HTTP/1.1\" 301 ")).count(), 2, "{name}: {log}");
    }
    two.stop("two");
    for site in &sites {
        let bodies: Vec<String> = (0..4).map(|_| get_secure(site, &root, "cafe.example.com", "/").text()).collect();
        assert_eq!(bodies, ["one"; 4], "{}", site.name);
        assert_eq!(get_secure(site, &root, "menu.cafe.example.com", "/").status(), 502, "{}", site.name);
        assert_eq!(get_secure(site, &root, "live.cafe.example.com", "/").status(), 200, "{}", site.name);
    }
    two.begin("two");
    for site in sites.iter().filter(|site| !site.is_slow_to_forgive()) {
        wait_until("it answers again", || get_secure(site, &root, "menu.cafe.example.com", "/").status() == 200);
    }
}

/// The lines that guides give for websockets lead through.
#[test]
fn a_websocket_gets_through() {
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        let upgrade = head.field("upgrade").unwrap_or("none").to_owned();
        let connection = head.field("connection").unwrap_or("none").to_ascii_lowercase();
        assert_eq!((upgrade.as_str(), connection.as_str()), ("websocket", "upgrade"));
        conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        while let Some(bytes) = conn.exactly(4) {
            conn.send(bytes);
        }
    });
    let authority = Authority::new("guides");
    let port = backend.place().port();
    for site in whole_machine(&authority, [port, port]).run() {
        let mut client = site.secure(&authority.pem(), "live.cafe.example.com");
        client.send(
            "GET /chat HTTP/1.1\r\nHost: live.cafe.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
        assert_eq!(client.head().status(), 101, "{}", site.name);
        assert_eq!(client.read_exactly(5), b"hello", "{}", site.name);
        client.send("ping");
        assert_eq!(client.read_exactly(4), b"ping", "{}", site.name);
    }
}
