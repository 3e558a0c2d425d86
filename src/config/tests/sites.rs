//! What locations inherit besides timeouts: headers, error pages, files, access, limits, compression, logs.

use super::*;
use crate::config::plan::{Escape, Expires, IfModifiedSince, Location, LogLevel, Static, Symlinks, Whom};

const HEAD: &str = "[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";

fn with(keys: &str) -> (Plan, Location) {
    let plan = plan(&format!("{keys}\n{HEAD}"));
    let location = plan.servers[0].locations[0].clone();
    (plan, location)
}

#[test]
fn slips() {
    for (keys, part) in [
        ("error_page = [\"404\"]", "write statuses and a page"),
        ("error_page = [\"404 500\"]", "where is the page?"),
        ("error_page = [\"200 /x\"]", "out of range"),
        ("error_page = [\"404 page.html\"]", "write \"/page.html\""),
        ("error_page = [\"404 =200 500 /x\"]", "stands before the page"),
        ("error_page = [\"404 =99 /x\"]", "out of range"),
        ("add_header = [\"X-A\"]", "a name and a value"),
        ("add_header = [\"X-A: b\"]", "no colon"),
        ("add_header = [\"Connection close\"]", "about one connection"),
        ("add_header = [\"X-A $nope\"]", "unknown variable"),
        ("add_header = [\"X(A b\"]", "cannot stand in the name"),
        ("add_header = [\"X-A a\\nb\"]", "control characters"),
        ("expires = \"soon\"", "write a time such as"),
        ("expires = \"@25h\"", "write a time such as"),
        ("expires = \"\"", "write a time"),
        ("proxy_hide_header = [\"A B\"]", "one name"),
        ("proxy_redirect = [\"off\", \"default\"]", "stands alone"),
        ("proxy_redirect = \"http://a\"", "what takes its place"),
        ("proxy_cookie_path = \"/a\"", "\"/two/ /\""),
        ("proxy_cookie_flags = \"a\"", "which flags?"),
        ("proxy_cookie_flags = \"a safe\"", "unknown flag `safe`"),
        ("proxy_http_version = \"2\"", "HTTP/2"),
        ("root = \"\"", "path of a folder"),
        ("root = \"http://a/\"", "`proxy_pass`"),
        ("index = []", "write a file name"),
        ("autoindex_format = \"xml\"", "not written here"),
        ("default_type = \"html\"", "no media type"),
        ("if_modified_since = \"on\"", "\"exact\", \"before\""),
        ("symlinks = \"on\"", "\"inside\""),
        ("open_file_cache = \"inactive=20s\"", "how many files"),
        ("open_file_cache = \"max=0\"", "out of range"),
        ("gzip_static = \"yes\"", "\"always\""),
        ("gzip_comp_level = 10", "from 1 to 9"),
        ("brotli_comp_level = 12", "from 0 to 11"),
        ("gzip_types = \"css\"", "no media type"),
        ("gzip_proxied = \"ani\"", "did you mean \"any\"?"),
        ("gzip_http_version = \"2\"", "\"1.1\" or \"1.0\""),
        ("access = [\"alow all\"]", "did you mean `allow`?"),
        ("access = [\"allow 10.0.0.0/33\"]", "no length of a network"),
        ("access = [\"allow ::1 ::2\"]", "write a list"),
        ("access = [\"all\"]", "write \"allow\" or \"deny\""),
        ("satisfy = \"one\"", "\"all\" or \"any\""),
        ("auth_basic = \"Members\"", "write `auth_basic_user_file`"),
        ("auth_basic = \"\"", "what is asked for"),
        ("limit_req = [\"zone=one\"]", "there is no zone `one`"),
        ("limit_req = [\"burst=5\"]", "which zone?"),
        (
            "limit_req_zone = [\"$host zone=a:10m rate=1r/s\"]\nlimit_req = [\"zone=a\", \"zone=a burst=5\"]",
            "stands above already",
        ),
        ("limit_conn_zone = [\"$host zone=a:10m\"]\nlimit_conn = [\"a 1\", \"a 2\"]", "stands above already"),
        ("limit_req_zone = [\"$host zone=one:10m rate=1r/s\"]\nlimit_req = [\"zone=oen\"]", "did you mean `one`?"),
        ("limit_req_zone = [\"$host zone=one:10m\"]", "how often?"),
        ("limit_req_zone = [\"$host zone=one rate=1r/s\"]", "how much memory?"),
        ("limit_req_zone = [\"zone=one:10m rate=1r/s\"]", "by what are they counted?"),
        ("limit_req_zone = [\"$host zone=one:10m rate=1\"]", "no rate"),
        ("limit_req_zone = [\"$host zone=one:1k rate=1r/s\"]", "32k at least"),
        ("limit_conn_zone = [\"$host zone=a:10m\", \"$uri zone=a:10m\"]", "a zone `a` already"),
        ("limit_conn = [\"addr\"]", "a zone and a number"),
        ("limit_conn = [\"addr 10\"]", "there is no zone `addr`"),
        ("limit_req_status = 200", "out of range"),
        ("access_log = \"/a mian\"", "there is no format `mian`"),
        ("access_log = \"/a combind\"", "did you mean `combined`?"),
        ("access_log = \"syslog:server=a\"", "syslog"),
        ("access_log = \"/a main combined\"", "unknown word `combined`"),
        ("access_log = \"/a/$host.log\"", "variables in paths"),
        ("error_log = \"/a wran\"", "did you mean `warn`?"),
        ("error_log = \"/a loud\"", "unknown level `loud`"),
        ("log_format.a = \"\"", "what a line looks like"),
        ("log_format.combined = \"x\"", "a format `combined` already"),
        ("access_log = \"/a json\"\nlog_format.json = \"$nope\"", "unknown variable"),
        ("log_format.a = \"escape=xml x\"", "unknown escape `xml`"),
        ("log_format.a = \"$nope\"", "unknown variable"),
        ("types.\"text\" = \"x\"", "no media type"),
        ("types.\"text/x\" = \"/x\"", "no extension"),
        ("client_body_buffer_size = \"big\"", "not a size"),
    ] {
        let found = errors(&format!("{keys}\n{HEAD}"));
        assert!(found.len() == 1 && found[0].contains(part), "{keys}: {found:?}");
    }
}

#[test]
fn heads_of_answers() {
    let (_, location) = with(
        "add_header = [\"X-Frame-Options DENY\", \"X-A 'a b' always\", \"X-B a; b always;\", \"X-C ''\", \"X-D always\"]\n\
         proxy_hide_header = [\"X-Powered-By\", \"Server\"]\nproxy_pass_header = \"Server\"\nexpires = \"modified +24h\"\n\
         error_page = [\"404 /404.html\", \"500 502 =200 /x\", \"403 = @app\", \"401 https://a.org/$uri\"]\n\
         proxy_intercept_errors = \"on\"\nproxy_cookie_path = [\"/two/ /\", '~^/a(.*) /$1']\nproxy_cookie_domain = \"off\"\n\
         proxy_cookie_flags = [\"session secure samesite=lax\", \"~^x nohttponly\"]\nabsolute_redirect = \"off\"\n",
    );
    let added: Vec<_> =
        location.answers.add.iter().map(|add| format!("{}={} {}", add.name, add.value, add.always)).collect();
    assert_eq!(
        added,
        ["X-Frame-Options=DENY false", "X-A=a b true", "X-B=a; b true", "X-C= false", "X-D=always false"]
    );
    assert_eq!(location.answers.hide, ["x-powered-by"]);
    assert_eq!(location.answers.expires, Some(Expires::AfterModified(86_400)));
    let pages: Vec<_> =
        location.error_pages.iter().map(|page| (page.statuses.len(), page.answer, page.target.to_string())).collect();
    let page = |statuses, answer, target: &str| (statuses, answer, target.to_string());
    assert_eq!(
        pages,
        [
            page(1, None, "/404.html"),
            page(2, Some(Some(200)), "/x"),
            page(1, Some(None), "@app"),
            page(1, None, "https://a.org/$uri"),
        ]
    );
    assert!(location.intercept_errors && !location.absolute_redirect && location.port_in_redirect);
    assert_eq!((location.answers.cookie_paths.len(), location.answers.cookie_domains.len()), (2, 0));
    let flags = &location.answers.cookie_flags;
    assert_eq!(
        (flags[0].name.as_deref(), flags[0].secure, flags[0].samesite),
        (Some("session"), Some(true), Some(Some("Lax")))
    );
    assert_eq!((flags[1].pattern.is_some(), flags[1].httponly), (true, Some(false)));
}

#[test]
fn expires_in_all_its_forms() {
    for (text, wanted) in [
        ("7d", Some(Expires::In(604_800))),
        ("-1", Some(Expires::In(-1))),
        ("0", Some(Expires::In(0))),
        ("1y", Some(Expires::In(31_536_000))),
        ("epoch", Some(Expires::Epoch)),
        ("max", Some(Expires::Max)),
        ("off", None),
        ("@15h30m", Some(Expires::At(55_800))),
        ("modified -1h", Some(Expires::AfterModified(-3600))),
    ] {
        assert_eq!(with(&format!("expires = \"{text}\"")).1.answers.expires, wanted, "{text}");
    }
    let (_, location) = with("expires = \"$http_x\"");
    assert!(matches!(&location.answers.expires, Some(Expires::Variable(text)) if text.to_string() == "$http_x"));
}

#[test]
fn files_and_compression() {
    let files = with("").1.files;
    assert_eq!(
        (files.etag, files.max_ranges, files.symlinks, &*files.types.default),
        (true, None, Symlinks::Inside, "text/plain")
    );
    assert_eq!((&*files.types.by_extension["css"], files.index.len()), ("text/css", 1));
    let (_, location) = with(
        "autoindex = \"on\"\nautoindex_format = \"json\"\netag = \"off\"\nif_modified_since = \"before\"\nmax_ranges = 0\n\
         symlinks = \"off\"\nopen_file_cache = \"max=10 inactive=5s\"\nopen_file_cache_errors = \"on\"\ngzip_static = \"always\"\n\
         log_not_found = \"off\"\ndefault_type = \"application/octet-stream\"\ntypes.\"text/css\" = \"css LESS\"\n",
    );
    let files = location.files;
    assert!(files.autoindex.is_some_and(|listing| listing.json && listing.exact_size && !listing.localtime));
    assert_eq!((files.etag, files.if_modified_since, files.max_ranges), (false, IfModifiedSince::Before, Some(0)));
    let cache = files.cache.as_ref().unwrap();
    assert_eq!(
        (cache.max, cache.inactive.as_secs(), cache.valid.as_secs(), cache.min_uses, cache.errors),
        (10, 5, 60, 1, true)
    );
    assert_eq!((files.precompressed.gzip, files.precompressed.brotli), (Static::Always, Static::Off));
    let mut known: Vec<_> = files.types.by_extension.keys().map(String::as_str).collect();
    known.sort_unstable();
    assert_eq!(
        (known, &*files.types.default),
        (vec!["css", "less"], "application/octet-stream"),
        "all others are gone"
    );

    assert!(with("gzip_comp_level = 9").1.compression.is_off());
    let (_, location) = with(
        "gzip = \"on\"\ngzip_types = \"text/css Application/JSON text/html\"\ngzip_comp_level = 5\ngzip_min_length = \"1k\"\n\
         gzip_proxied = \"expired no-cache\"\ngzip_vary = \"on\"\nbrotli = \"on\"\nbrotli_types = [\"*\"]\nzstd = \"off\"\n",
    );
    let compression = location.compression;
    let gzip = compression.gzip.as_ref().unwrap();
    assert_eq!(
        (gzip.level, gzip.min_length, &gzip.types[..]),
        (5, 1024, &["text/html", "text/css", "application/json"].map(String::from)[..])
    );
    assert_eq!(compression.brotli.as_ref().map(|brotli| (brotli.level, brotli.types.len())), Some((6, 2)));
    assert!(compression.zstd.is_none() && compression.vary && compression.http11_only);
    assert!(compression.proxied.expired && compression.proxied.no_cache && !compression.proxied.any);
}

#[test]
fn access_and_limits() {
    let (plan, location) = with(
        "access = [\"allow 10.0.0.0/8\", \"allow unix:\", \"deny all\"]\nsatisfy = \"any\"\nauth_basic = \"Members of $host\"\n\
         auth_basic_user_file = \"/etc/htpasswd\"\nlimit_req_zone = [\"$binary_remote_addr zone=one:10m rate=10r/s\", \"$host zone=two:1m rate=30r/m\", \"$uri zone=three:1m rate=1r/s\"]\n\
         limit_conn_zone = \"$binary_remote_addr zone=addr:10m\"\nlimit_req = [\"zone=two\", \"zone=one burst=5 nodelay\", \"zone=three burst=9 delay=3\"]\n\
         limit_req_status = 429\nlimit_conn = \"addr 10\"\nlimit_conn_dry_run = \"on\"\n",
    );
    let rules: Vec<_> = location.access.rules.iter().map(|rule| (rule.allow, rule.whom.clone())).collect();
    assert_eq!(rules, [(true, Whom::Network("10.0.0.0/8".parse().unwrap())), (true, Whom::Unix), (false, Whom::All),]);
    let basic = location.access.basic.as_ref().unwrap();
    assert!(
        location.access.any
            && basic.realm.to_string() == "Members of $host"
            && basic.file == Path::new("/etc/htpasswd")
    );
    let zones: Vec<_> = plan.limit_req_zones.iter().map(|zone| (zone.name.as_str(), zone.rate, zone.bytes)).collect();
    assert_eq!(zones, [("one", 10_000, 10 << 20), ("two", 500, 1 << 20), ("three", 1000, 1 << 20)]);
    let limits: Vec<_> =
        location.limit_req.iter().map(|limit| (limit.zone, limit.burst, limit.delay, limit.status)).collect();
    assert_eq!(limits, [(1, 0, 0, 429), (0, 5, 5, 429), (2, 9, 3, 429)]);
    assert_eq!(
        (location.limit_conn[0].most, location.limit_conn[0].dry_run, location.limit_conn[0].status),
        (10, true, 503)
    );
    assert_eq!(
        warnings(&format!("access = [\"deny all\", \"allow ::1\"]\n{HEAD}")),
        ["f:1:23: warning: `all` is above: this is never looked at"]
    );
    let off = "auth_basic = \"x\"\nauth_basic_user_file = \"/a\"\n[[server]]\n[server.location.\"/\"]\nreturn = 404\nauth_basic = \"off\"\n";
    assert!(super::plan(off).servers[0].locations[0].access.is_open());
}

#[test]
fn logs() {
    let (plan, location) = with(
        "access_log = [\"/var/log/a.log main if=$loggable buffer=32k flush=5m\", \"/var/log/b.log json\", \"/var/log/a.log\"]\n\
         error_log = \"/var/log/error.log crit\"\nlog_format.main = [\"escape=none $remote_addr \", \"$status\"]\n\
         map.loggable = { source = \"$status\", values = { '~^2' = \"0\" }, default = 1 }\n",
    );
    assert_eq!(plan.access_logs, [Path::new("/var/log/a.log"), Path::new("/var/log/b.log")]);
    let shown: Vec<_> = location
        .access_log
        .iter()
        .map(|log| (log.file, log.format.name.as_str(), log.format.escape, log.condition.is_some()))
        .collect();
    assert_eq!(
        shown,
        [(0, "main", Escape::None, true), (1, "json", Escape::Json, false), (0, "combined", Escape::Default, false)]
    );
    assert_eq!(location.access_log[0].format.template.to_string(), "$remote_addr $status");
    assert_eq!((plan.error_log, plan.error_log_level), (Some("/var/log/error.log".into()), LogLevel::Error));
    for (level, wanted) in
        [("", LogLevel::Info), (" debug", LogLevel::Info), (" notice", LogLevel::Info), (" warn", LogLevel::Warn)]
    {
        let (plan, _) = with(&format!("error_log = \"stderr{level}\""));
        assert_eq!((plan.error_log, plan.error_log_level), (None, wanted), "{level}");
    }
    assert!(with("").1.access_log.is_empty() && with("access_log = \"off\"").1.access_log.is_empty());
}

/// Only nginx's own format has a name that is taken.
#[test]
fn a_format_of_the_file_takes_the_place_of_ours() {
    let text = format!("access_log = \"/a json\"\nlog_format.json = \"$status $upstream_cache_status\"\n{HEAD}");
    let plan = plan(&text);
    let formats: Vec<String> =
        plan.servers[0].locations[0].access_log.iter().map(|log| log.format.template.to_string()).collect();
    assert_eq!(formats, ["$status $upstream_cache_status"]);
}
