//! Every example in `configs/` loads without a word, and says what its comments claim.

use ringgate::config::plan::{
    Action, Address, Balance, CheckKind, Escape, Flag, LogLevel, Matching, Plan, ProxyProtocol, ProxyUri, Root, Rule,
    Service, Static, VerifyClient, Whom,
};
use ringgate::config::{Loaded, load, load_str};
use ringgate::route::locate::location_for;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")
}

fn example(name: &str) -> Plan {
    let loaded = load(&directory().join(name)).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.join("\n"));
    loaded.plan
}

fn returned(rules: &[Rule]) -> Option<u16> {
    match rules {
        [Rule::Return(returned)] => Some(returned.status),
        _ => None,
    }
}

fn names(plan: &Plan, upstream: usize) -> Vec<&str> {
    plan.upstreams[upstream].peers.iter().map(|peer| &*peer.name).collect()
}

#[test]
fn every_example_loads() {
    let mut count = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let plan = example(&if path.is_dir() { format!("{name}/ringgate.toml") } else { name });
        assert!(!plan.listeners.is_empty());
        for listener in &plan.listeners {
            if let Address::Tcp(address) = &listener.address {
                assert!(address.port() > 1024, "{address} needs root");
            }
        }
        for address in plan.upstreams.iter().flat_map(|upstream| &upstream.peers).flat_map(|peer| &peer.addresses) {
            assert!(matches!(address, Address::Unix(_)) || matches!(address, Address::Tcp(a) if a.ip().is_loopback()));
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
}

#[test]
fn the_methods_are_the_named_ones() {
    assert_eq!(example("round-robin.toml").upstreams[0].balance, Balance::RoundRobin);
    assert_eq!(example("least-conn.toml").upstreams[0].balance, Balance::LeastConn);
    let weights: Vec<u32> = example("weights.toml").upstreams[0].peers.iter().map(|peer| peer.weight).collect();
    assert_eq!(weights, [4, 1, 1]);
}

#[test]
fn texts_choose_the_server() {
    let plan = example("hash.toml");
    let methods: Vec<_> = plan.upstreams.iter().map(|upstream| upstream.balance.word()).collect();
    assert_eq!(methods, ["hash", "ip_hash", "random", "least_time"]);
    let Balance::Hash(template) = &plan.upstreams[0].balance else { panic!("not by a text") };
    assert_eq!(template.to_string(), "$host$request_uri");

    let plan = example("sticky.toml");
    let sticky = plan.upstreams[0].sticky.as_ref().expect("a cookie");
    assert_eq!(sticky.name, "route");
    assert_eq!(sticky.attributes, "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
    assert_eq!(plan.servers[0].real_ip_from.len(), 2);
}

#[test]
fn failures_are_noticed_as_the_comments_say() {
    let plan = example("health-checks.toml");
    let shop = &plan.upstreams[0];
    let words: Vec<_> =
        shop.peers.iter().map(|peer| (peer.backup, peer.down, peer.max_conns, peer.max_fails)).collect();
    assert_eq!(
        words,
        [(false, false, None, 5), (false, false, Some(100), 3), (true, false, None, 3), (false, true, None, 3)]
    );
    assert_eq!(shop.peers[1].slow_start, Some(Duration::from_secs(60)));
    assert_eq!((shop.max_fail_rate, shop.max_ejected, shop.fail_open, shop.queue), (Some(50), 50, false, 200));
    let check = shop.health_check.as_ref().expect("a check");
    assert!(
        matches!(&check.kind, CheckKind::Http { path, body: Some(body), status, .. }
            if path == "/health" && body == "ok" && *status == [200..=299, 304..=304]),
        "{check:?}"
    );
    let check = plan.upstreams[1].health_check.as_ref().expect("a check");
    assert_eq!((&check.kind, check.port), (&CheckKind::Tcp, Some(9000)));

    let plan = example("databases.toml");
    let kinds: Vec<_> = plan.upstreams.iter().map(|upstream| &upstream.health_check.as_ref().unwrap().kind).collect();
    assert!(
        matches!(kinds[..], [
            CheckKind::Postgres { user },
            CheckKind::Redis,
            CheckKind::Mysql { .. },
            CheckKind::SendExpect { quit, .. }
        ] if user.is_empty() && quit == "QUIT\r\n"),
        "{kinds:?}"
    );
    let closes: Vec<_> = plan.upstreams.iter().map(|upstream| upstream.close_on_down).collect();
    assert_eq!(closes, [true, true, false, false]);
}

#[test]
fn requests_are_tried_again_where_the_comments_say() {
    let plan = example("retries.toml");
    assert_eq!(plan.upstreams[0].retry_budget, 10);
    let retry = |path| &location_for(&plan.servers[0], path).unwrap().retry;
    assert_eq!(retry("/").statuses, [502, 503]);
    assert!(retry("/").methods.is_empty() && retry("/").error && !retry("/").invalid_header);
    assert_eq!(retry("/orders/1").methods, ["POST"]);
    assert!(retry("/orders/1").error && retry("/orders/1").statuses.is_empty());
    let off = retry("/payments/1");
    assert!(!off.error && !off.timeout && !off.invalid_header && off.statuses.is_empty());
    assert_eq!((off.tries, off.within), (3, Some(Duration::from_secs(10))));
}

#[test]
fn hosts_and_paths_lead_where_the_comments_say() {
    let plan = example("apps-by-domain.toml");
    let port = |host| {
        names(&plan, location_for(plan.server_for(0, host), "/x").unwrap().action.upstream().unwrap())[0].to_string()
    };
    assert_eq!(port("billing.example.org"), "127.0.0.1:8000");
    assert_eq!(port("www.search.example.org"), "127.0.0.1:8001");
    assert_eq!(port("elsewhere.example.org"), "127.0.0.1:8002");

    let plan = example("apps-by-path.toml");
    let location = |path| location_for(&plan.servers[0], path).unwrap();
    assert_eq!(plan.upstreams[location("/shop/1").action.upstream().unwrap()].name, "shop");
    assert_eq!(plan.upstreams[location("/shopping").action.upstream().unwrap()].name, "pages");
    assert_eq!(location("/shop/upload/1").client_max_body_size, Some(10 << 30));
    assert_eq!(location("/shop/1").client_max_body_size, Some(1 << 30));
}

#[test]
fn both_families_and_unix_sockets() {
    let plan = example("dual-stack.toml");
    let listeners: Vec<String> = plan.listeners.iter().map(|listener| format!("{:?}", listener.address)).collect();
    assert_eq!(listeners, ["Tcp(0.0.0.0:8080)", "Tcp([::]:8080)"]);
    assert_eq!(names(&plan, 0), ["127.0.0.1:8000", "[::1]:8001", "localhost:8002"]);

    let plan = example("unix-socket.toml");
    assert_eq!(plan.upstreams[0].peers[0].addresses, [Address::Unix("/run/app/one.sock".into())]);
    assert_eq!(plan.upstreams[1].peers[0].addresses, [Address::Unix("/run/app/admin.sock".into())]);
    assert_eq!(plan.listeners[1].address, Address::Unix("/tmp/ringgate-http.sock".into()));
}

#[test]
fn tcp_listeners_lead_where_the_comments_say() {
    let plan = example("tcp.toml");
    assert!(plan.listeners.iter().all(|listener| matches!(listener.service, Service::Tcp(_))));
    let tcp = &plan.tcps;
    let names: Vec<_> = tcp.iter().map(|tcp| names(&plan, tcp.upstream)).collect();
    assert_eq!(names, [vec!["127.0.0.1:5433", "127.0.0.1:5434"], vec!["127.0.0.1:6379"]]);
    assert_eq!(plan.upstreams[tcp[0].upstream].balance, Balance::LeastConn);
    let idle: Vec<_> = tcp.iter().map(|tcp| tcp.idle_timeout).collect();
    assert_eq!(idle, [None, Some(Duration::from_secs(600))]);
    let connect: Vec<_> = tcp.iter().map(|tcp| tcp.proxy_connect_timeout).collect();
    assert_eq!(connect, [Duration::from_secs(2), Duration::from_secs(5)]);
}

/// What `timeouts-and-limits.toml` calls the defaults are the defaults.
#[test]
fn the_defaults_are_the_documented_ones() {
    let text = "[upstream.backend]\nserver = \"127.0.0.1:3001\"\n[[server]]\nlisten = 8080\n\
                location.\"/\".proxy_pass = \"http://backend\"\n\
                [[tcp]]\nlisten = 5432\nproxy_pass = \"backend\"\n";
    let plan = load_str("defaults.toml", text).unwrap().plan;
    assert_eq!(format!("{plan:#?}"), format!("{:#?}", example("timeouts-and-limits.toml")));
}

/// Settings of TLS show in a plan only where TLS is spoken.
#[test]
fn so_are_those_of_tls() {
    let tls = "[[server]]\nlisten = \"8443 ssl\"\nssl_certificate = \"a\"\nssl_certificate_key = \"b\"\n\
               location.\"/\".proxy_pass = \"https://127.0.0.1:3002\"\n";
    let written = std::fs::read_to_string(directory().join("timeouts-and-limits.toml")).unwrap();
    let said = |text: &str| {
        let plan = load_str("defaults.toml", text).unwrap_or_else(|errors| panic!("{errors}")).plan;
        let server = plan.servers.last().unwrap();
        format!("{:#?} {:#?} {:#?}", server.ssl.as_ref().unwrap(), server.locations[0].set_headers, plan.proxy_ssls)
    };
    assert_eq!(said(tls), said(&format!("{written}\n{tls}")));
}

#[test]
fn names_choose_certificates_as_the_comments_say() {
    let plan = example("https.toml");
    assert_eq!(plan.listeners.iter().map(|listener| listener.ssl).collect::<Vec<_>>(), [false, true]);
    let chosen = |host| plan.server_for(1, host).ssl.as_ref().unwrap().certificates.len();
    assert_eq!(["www.example.org", "a.apps.example.org", "elsewhere"].map(chosen), [1, 2, 0]);
    assert!(plan.default_server(1).ssl.as_ref().unwrap().reject);
    assert_eq!(plan.server_for(1, "example.org").hsts.as_deref(), Some("max-age=31536000"));
    assert_eq!(plan.servers[0].acme_webroot.as_deref(), Some(Path::new("/var/www/certbot")));
    assert_eq!(returned(&plan.servers[0].rules), Some(301));

    let plan = example("mutual-tls.toml");
    let client = plan.servers[0].ssl.as_ref().unwrap().client.as_ref().expect("clients show certificates");
    assert!(client.verify == VerifyClient::On && client.authorities.is_some() && client.revoked.is_some());
    assert!(client.names_sent, "by ssl_client_certificate");
    let said = &plan.servers[0].locations[0].set_headers;
    let said: Vec<_> = said.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(said, ["X-Client-Verify $ssl_client_verify", "X-Client-DN $ssl_client_s_dn"]);
}

#[test]
fn tcp_sections_and_servers_behind_speak_tls_as_the_comments_say() {
    let plan = example("sni-routing.toml");
    assert_eq!(plan.listeners.iter().map(|listener| listener.ssl).collect::<Vec<_>>(), [false, true]);
    let led = |host| names(&plan, plan.tcps[plan.names(0).find(host)].upstream)[0].to_string();
    assert_eq!(led("mail.example.org"), "127.0.0.1:9001");
    assert_eq!(led("a.mail.example.org"), "127.0.0.1:9001");
    assert_eq!(led("example.org"), "127.0.0.1:9002");
    assert_eq!(plan.tcps[2].ssl.as_ref().unwrap().alpn, ["imap"]);

    let plan = example("https-backends.toml");
    let asked: Vec<_> = plan.proxy_ssls.iter().map(|asked| (asked.verify, asked.name.as_deref())).collect();
    let names = ["app.internal", "partner.example.org", "cache.internal"];
    assert_eq!(asked, names.map(|name| (true, Some(name))));
    let files: Vec<_> =
        plan.proxy_ssls.iter().map(|asked| (asked.certificate.is_some(), asked.trusted.is_some())).collect();
    assert_eq!(files, [(true, true), (false, false), (false, false)]);
    let by: Vec<_> = plan.servers[0].locations.iter().map(|location| location.action.ssl()).collect();
    assert_eq!((by, plan.tcps[0].proxy_ssl), (vec![Some(0), Some(1)], Some(2)));
    let check = plan.upstreams[0].health_check.as_ref().expect("a check");
    assert!(matches!(check.kind, CheckKind::Http { ssl: Some(0), .. }), "as traffic: {:?}", check.kind);

    let plan = example("proxy-protocol.toml");
    let headers: Vec<_> = plan.listeners.iter().map(|listener| listener.proxy_protocol).collect();
    assert_eq!(headers, [true, false]);
    assert_eq!(plan.tcps[0].proxy_protocol, Some(ProxyProtocol::V1));
}

#[test]
fn includes_share_groups_and_defaults() {
    let Loaded { plan, files, .. } = load(&directory().join("with-includes/ringgate.toml")).unwrap();
    let files: Vec<_> = files.iter().map(|file| file.strip_prefix(directory()).unwrap().to_str().unwrap()).collect();
    let conf_d = ["defaults.toml", "shop.toml", "wiki.toml"].map(|name| format!("with-includes/conf.d/{name}"));
    assert_eq!(files[0], "with-includes/ringgate.toml");
    assert_eq!(files[1..], conf_d);
    let location = |host| location_for(plan.server_for(0, host), "/").unwrap();
    assert_eq!(plan.upstreams[location("shop.example.org").action.upstream().unwrap()].name, "backend");
    assert_eq!(location("shop.example.org").proxy_read_timeout, Duration::from_secs(300));
    assert_eq!(location("wiki.example.org").proxy_read_timeout, Duration::from_secs(30));
    assert_eq!(location("wiki.example.org").client_max_body_size, Some(100 << 20));
}

#[test]
fn names_and_paths_choose_as_the_comments_say() {
    let plan = example("virtual-hosts-and-locations.toml");
    assert_eq!(returned(&plan.server_for(0, "elsewhere").rules), Some(444));
    let site = plan.server_for(0, "www.example.org");
    let at = |path: &str| location_for(site, path).unwrap();
    let named = [
        ("/", "/"),
        ("/blog/a", "/blog/"),
        ("/health", "= /health"),
        ("/healthy", "/"),
        ("/a.PNG", "~* \\.(jpg|png)$"),
    ];
    for (path, name) in named {
        assert_eq!(at(path).name, name, "{path}");
    }
    assert_eq!(at("/admin/a.png").name, "^~ /admin/");
    assert_eq!(at("/admin/reports/x").proxy_read_timeout, Duration::from_secs(600));
    let Action::Proxy(proxy) = &at("/blog/a").action else { panic!("no proxy") };
    assert_eq!(proxy.uri, ProxyUri::Replace("/".to_string()));
    assert_eq!(at("/blog/a").answers.redirects.len(), 1);
    let homes = plan.server_for(0, "joe.home.example.net");
    let (_, groups) = plan.names(0).claimed_with("joe.home.example.net").unwrap();
    assert!(groups.is_some_and(|(pattern, groups)| pattern.names().len() == 1 && groups[1] == Some(0..3)));
    assert_eq!(homes.locations[0].set_headers[0].1.to_string(), "$user");
}

#[test]
fn files_are_where_the_comments_say() {
    let plan = example("static-site.toml");
    let site = &plan.servers[0];
    let at = |path: &str| location_for(site, path).unwrap();
    assert_eq!((&at("/a").action, at("/a").try_files.is_some()), (&Action::Files, true));
    assert_eq!(at("/a").files.precompressed.brotli, Static::On);
    assert!(matches!(&at("/downloads/a").files.root, Root::Alias(path) if path.to_string() == "/srv/files/"));
    assert!(at("/downloads/a").files.autoindex.is_some_and(|listing| !listing.exact_size));
    assert!(at("/assets/a.js").answers.expires.is_some() && at("/assets/a.js").answers.add.len() == 1);
    assert!(matches!(&site.locations[site.named["app"]].action, Action::Proxy(_)));
    assert!(at("/50x.html").internal && at("/a").error_pages.len() == 2);
    assert!(matches!(&at("/.git/config").matching, Matching::Regex(_)) && !at("/.git/config").access.is_open());
}

#[test]
fn rules_are_those_of_the_comments() {
    let plan = example("rewrites.toml");
    assert_eq!(plan.maps.len(), 2);
    assert_eq!(returned(&plan.servers[0].rules), Some(301));
    let site = &plan.servers[1];
    assert!(matches!(&site.rules[..], [Rule::If(..), Rule::If(..), Rule::Rewrite { flag: Flag::Last, .. }]));
    let rules = |path: &str| location_for(site, path).unwrap().rules.clone();
    assert!(matches!(&rules("/api/v1/x")[..], [Rule::Rewrite { flag: Flag::Break, .. }]));
    assert!(matches!(&rules("/search")[..], [Rule::Rewrite { flag: Flag::Permanent, drops_args: true, .. }]));
}

#[test]
fn limits_logs_and_compression_are_those_of_the_comments() {
    let plan = example("limits-and-access.toml");
    let at = |path: &str| location_for(&plan.servers[0], path).unwrap();
    let limits: Vec<_> = plan.limit_req_zones.iter().map(|zone| (zone.name.as_str(), zone.rate)).collect();
    assert_eq!(limits, [("one", 10_000), ("login", 100)]);
    let limit = |path| (at(path).limit_req[0].burst, at(path).limit_req[0].delay, at(path).limit_req[0].status);
    assert_eq!((limit("/"), limit("/login")), ((20, 20, 429), (3, 0, 429)));
    assert_eq!((at("/").limit_conn[0].most, at("/internal/").access.rules.len()), (20, 4));
    assert!(at("/admin/").access.any && at("/admin/").access.basic.is_some());
    assert_eq!(at("/internal/").access.rules.last().map(|rule| (rule.allow, &rule.whom)), Some((false, &Whom::All)));
    assert!(at("/upload/").request_buffering && !at("/").request_buffering);

    let plan = example("logs.toml");
    assert_eq!((plan.access_logs.len(), plan.error_log_level), (3, LogLevel::Warn));
    let logs = |path: &str| location_for(&plan.servers[0], path).unwrap().access_log.clone();
    assert_eq!((logs("/").len(), logs("/api/").len(), logs("/health").len()), (1, 2, 0));
    assert_eq!((logs("/api/")[0].format.escape, logs("/api/")[1].condition.is_some()), (Escape::Json, true));

    let plan = example("compression.toml");
    let at = |path: &str| location_for(&plan.servers[0], path).unwrap().compression.clone();
    assert!(at("/").gzip.is_some() && at("/").brotli.is_some() && at("/").zstd.is_none() && at("/").vary);
    assert_eq!(at("/api/").zstd.as_ref().map(|zstd| zstd.min_length), Some(4096));
    assert!(at("/events/").is_off());
}
