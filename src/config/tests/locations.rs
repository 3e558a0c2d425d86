//! Locations of all kinds, what they lead to, names by regular expression, and maps.

use super::*;
use crate::config::plan::{
    Action, Fallback, Flag, Location, Matching, Pass, ProxyRedirect, ProxyUri, Root, Rule, Server,
};
use crate::config::template::{Known, Template};

fn server(text: &str) -> Server {
    plan(text).servers.remove(0)
}

fn location<'a>(server: &'a Server, name: &str) -> &'a Location {
    server.locations.iter().find(|location| location.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn named(server: &Server, indices: &[usize]) -> Vec<String> {
    indices.iter().map(|&nth| server.locations[nth].name.clone()).collect()
}

const PASS: &str = "proxy_pass = \"http://127.0.0.1:1\"\n";

fn sections(names: &[&str]) -> String {
    let sections = names.iter().map(|name| format!("[server.location.'{name}']\n{PASS}"));
    format!("[[server]]\n{}", sections.collect::<String>())
}

#[test]
fn levels_are_in_nginx_s_order() {
    let server = server(&sections(&[
        "~ b$",
        "/",
        "/a/",
        "= /",
        "^~ /a/b/",
        "=/a",
        "~* a$",
        "@app",
        "~z",
        "/a/'.location.'/a/c/",
        "/a/'.location.'~ c$",
    ]));
    assert_eq!(named(&server, &server.level.prefixes), ["^~ /a/b/", "/a/", "/"]);
    assert_eq!(named(&server, &server.level.regexes), ["~ b$", "~* a$", "~z"]);
    let mut exact: Vec<_> = server.level.exact.keys().map(String::as_str).collect();
    exact.sort_unstable();
    assert_eq!(exact, ["/", "/a"]);
    assert_eq!(server.locations[server.named["app"]].matching, Matching::Named("app".to_string()));
    let nested = &location(&server, "/a/").nested;
    assert_eq!(named(&server, &nested.prefixes), ["/a/c/"]);
    assert_eq!(named(&server, &nested.regexes), ["~ c$"]);
    assert_eq!(server.fallback, None);
    assert!(matches!(&location(&server, "^~ /a/b/").matching, Matching::Prefix { is_final: true, .. }));
    assert!(matches!(&location(&server, "~* a$").matching, Matching::Regex(regex) if regex.is_caseless()));
}

#[test]
fn locations_that_cannot_be() {
    for (names, part) in [
        (&["/a", "^~ /a"][..], "duplicate location `^~ /a`"),
        (&["= /a", "=/a"], "duplicate location `=/a`"),
        (&["@a", "@a "], "duplicate location `@a `"),
        (&["app"], "begins with a slash; write [server.location.\"/app\"]"),
        (&["= app"], "write [server.location.\"= /app\"]"),
        (&["^~ a"], "write [server.location.\"^~ /a\"]"),
        (&["/a?b"], "without a query"),
        (&["~ ("], "no regular expression"),
        (&["~"], "what must the path look like?"),
        (&["@"], "needs a name"),
        (&["= /a'.location.'/a/b"], "no location can stand within `= /a`"),
        (&["@a'.location.'/a/b"], "no location can stand within `@a`"),
        (&["/a/'.location.'/b/"], "location `/b/` is outside of location `/a/`"),
        (&["/a/'.location.'@b"], "stands in its server"),
        (&["~ a'.location.'/b/"], "outside of location `~ a`"),
    ] {
        // Nested ones need the one around to do something, too.
        let found = errors(&sections(names));
        assert!(found.len() == 1 && found[0].contains(part), "{names:?}: {found:?}");
    }
    assert_eq!(errors(&sections(&["/a", "= /a", "~ /a", "~  /a"])), [""; 0], "these are different ones");
}

#[test]
fn what_is_asked_for() {
    let text = |text: &str| Template::parse(text, &Known::default()).unwrap();
    for (name, pass, uri) in [
        ("/x/", "http://127.0.0.1:1", ProxyUri::AsSent),
        ("/x/", "http://127.0.0.1:1/", ProxyUri::Replace("/".to_string())),
        ("= /x", "http://127.0.0.1:1/y", ProxyUri::Replace("/y".to_string())),
        ("~ x", "http://127.0.0.1:1", ProxyUri::AsSent),
        ("~ ^/x/(.*)", "http://127.0.0.1:1/y/$1", ProxyUri::Whole(text("/y/$1"))),
        ("@x", "http://127.0.0.1:1$request_uri", ProxyUri::Whole(text("$request_uri"))),
        ("/x/", "http://unix:/run/a.sock:/y/", ProxyUri::Replace("/y/".to_string())),
    ] {
        let server = server(&format!("[[server]]\n[server.location.'{name}']\nproxy_pass = \"{pass}\"\n"));
        let Action::Proxy(proxy) = &server.locations[0].action else { panic!("no proxy") };
        assert_eq!(proxy.uri, uri, "{name} {pass}");
    }
    for name in ["~ x", "@x", "~* x"] {
        let found = errors(&format!("[[server]]\n[server.location.'{name}']\nproxy_pass = \"http://127.0.0.1:1/\"\n"));
        assert!(found.len() == 1 && found[0].contains("cannot have a URI part (\"/\")"), "{found:?}");
    }
}

#[test]
fn redirects_of_backends_come_back_by_default() {
    let of = |keys: &str| {
        let server = server(&format!("[[server]]\n[server.location.'/x/']\n{keys}\n"));
        let shown = server.locations[0].answers.redirects.iter().map(|redirect| match redirect {
            ProxyRedirect::Prefix(from, to) => format!("{from} {to}"),
            ProxyRedirect::Regex(from, to) => format!("~{} {to}", from.text()),
        });
        shown.collect::<Vec<_>>()
    };
    assert_eq!(of("proxy_pass = \"http://127.0.0.1:1\""), ["http://127.0.0.1:1/ /"]);
    assert_eq!(of("proxy_pass = \"http://127.0.0.1:1/y/\""), ["http://127.0.0.1:1/y/ /x/"]);
    assert_eq!(of("proxy_pass = \"http://127.0.0.1:1/y/$args\""), [""; 0]);
    assert_eq!(of("proxy_pass = \"http://127.0.0.1:1\"\nproxy_redirect = \"off\""), [""; 0]);
    // Only `default` cannot be had there; what stands beside it is.
    let by_variable = "proxy_pass = \"http://127.0.0.1:1/y/$args\"\nproxy_hide_header = \"X-A\"\n\
                       proxy_redirect = [\"default\", \"http://a/ /b/\"]";
    assert_eq!(of(by_variable), ["http://a/ /b/"]);
    let answers = server(&format!("[[server]]\n[server.location.'/x/']\n{by_variable}\n")).locations[0].answers.clone();
    assert_eq!(answers.hide.len(), 1);
    assert_eq!(
        of(
            "proxy_pass = \"http://127.0.0.1:1\"\nproxy_redirect = [\"default\", \"http://a/ /b/\", '~^http://c/(.*) /$1']"
        ),
        ["http://127.0.0.1:1/ /", "http://a/ /b/", "~^http://c/(.*) /$1"]
    );
    assert!(server("[[server]]\nreturn = 404\nproxy_redirect = \"off\"\n").locations[0].answers.redirects.is_empty());
}

#[test]
fn a_variable_chooses_the_group() {
    let text = "[map.pool]\nsource = \"$http_x_canary\"\ndefault = \"stable\"\n[map.pool.values]\n1 = \"canary\"\n2 = \"127.0.0.1:9\"\n\
        [upstream.stable]\nserver = \"127.0.0.1:1\"\n[upstream.canary]\nserver = \"127.0.0.1:2\"\n\
        [[server]]\n[server.location.\"/\"]\nproxy_pass = \"http://$pool\"\n";
    assert_eq!(warnings(text), [""; 0]);
    let plan = plan(text);
    let names: Vec<_> = plan.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["stable", "canary", "127.0.0.1:9"]);
    let Action::Proxy(proxy) = &plan.servers[0].locations[0].action else { panic!("no proxy") };
    assert!(matches!(&proxy.to, Pass::Named(name) if name.to_string() == "$pool"));
    assert_eq!(proxy.uri, ProxyUri::AsSent);

    let open = "[[server]]\n[server.location.\"/\"]\nproxy_pass = \"http://$host$request_uri\"\n";
    assert_eq!(
        warnings(open),
        [
            "f:3:14: warning: `$host` can only lead to a group of this file, or to an address that another `proxy_pass` names"
        ]
    );
}

#[test]
fn names_of_groups_are_variables() {
    let text = "[[server]]\nlisten = 80\nserver_name = ['~^(?<user>.+)\\.example\\.org$', \"*.example.org\"]\n\
        [server.location.'~ ^/(?<part>[a-z]+)/']\nproxy_pass = \"http://127.0.0.1:1\"\n\
        proxy_set_header = [\"X-User $user\", \"X-Part $part\"]\n\
        rewrite = [\"if ($uri ~ (?<word>.)$) { set $seen $word; }\"]\n";
    assert_eq!(warnings(text), [""; 0]);
    let plan = plan(text);
    let (section, groups) = plan.names(0).claimed_with("joe.x.org").map_or((9, None), |found| found);
    assert_eq!((section, groups.is_some()), (9, false));
    assert!(
        plan.names(0).claimed_with("joe.example.org").is_some_and(|(_, groups)| groups.is_none()),
        "a wildcard first"
    );
    assert!(matches!(&plan.servers[0].locations[0].rules[..], [Rule::If(_, within)] if within.len() == 1));
    let unknown = errors("[[server]]\n[server.location.\"/\"]\nreturn = \"200 $user\"\n");
    assert!(unknown.len() == 1 && unknown[0].contains("unknown variable `$user`"), "{unknown:?}");
}

#[test]
fn files_are_where_root_and_alias_say() {
    let text = "root = \"/var/www\"\n[[server]]\n[server.location.\"/\"]\ntry_files = \"$uri $uri/ /index.html\"\n\
        [server.location.\"/s/\"]\nalias = \"/srv/static/\"\n[server.location.\"/s/\".location.'~ \\.css$']\nexpires = \"7d\"\n\
        [server.location.\"/r/\"]\nroot = \"pages\"\nindex = [\"a.html\", \"b.html c.html\"]\n\
        [server.location.\"@app\"]\nproxy_pass = \"http://127.0.0.1:1\"\n\
        [server.location.\"/t\"]\ntry_files = [\"$uri\", \"@app\"]\n[server.location.\"/u\"]\ntry_files = \"$uri =404\"\n";
    assert_eq!(warnings(text), [""; 0]);
    let server = server(text);
    let root = |name: &str| location(&server, name).files.root.clone();
    assert_eq!(root("/"), Root::Root(Template::literal("/var/www")));
    assert_eq!(root("/s/"), Root::Alias(Template::literal("/srv/static/")));
    assert_eq!(root("~ \\.css$"), Root::Within(Template::literal("/srv/static/"), "/s/".to_string()));
    assert!(
        matches!(root("/r/"), Root::Root(path) if path.to_string().starts_with('/') && path.to_string().ends_with("/pages"))
    );
    assert_eq!(location(&server, "/r/").files.index.len(), 3);
    assert!(server.locations[..3].iter().all(|location| location.action == Action::Files));
    let tried = location(&server, "/").try_files.clone().unwrap();
    let candidates: Vec<_> =
        tried.candidates.iter().map(|(text, is_directory)| (text.to_string(), *is_directory)).collect();
    assert_eq!(candidates, [("$uri".to_string(), false), ("$uri/".to_string(), true)]);
    assert_eq!(tried.last, Fallback::Uri(Template::literal("/index.html")));
    assert_eq!(location(&server, "/t").try_files.as_ref().unwrap().last, Fallback::Named("app".to_string()));
    assert_eq!(location(&server, "/u").try_files.as_ref().unwrap().last, Fallback::Status(404));
}

#[test]
fn a_server_without_locations_serves_its_root() {
    let server = server("[[server]]\nroot = \"/var/www\"\nerror_page = [\"404 /404.html\"]\n");
    let rest = &server.locations[server.fallback.expect("a fallback")];
    assert_eq!((rest.name.as_str(), &rest.matching, &rest.action), ("", &Matching::Rest, &Action::Files));
    assert_eq!(rest.error_pages.len(), 1);
    let redirects = "[[server]]\nrewrite = \"^ https://$host$request_uri? permanent\"\n";
    assert!(matches!(
        &super::plan(redirects).servers[0].rules[..],
        [Rule::Rewrite { flag: Flag::Permanent, drops_args: true, .. }]
    ));
    assert_eq!(
        errors("[[server]]\naccess_log = \"/var/log/a\"\n"),
        ["f:1:1: error: this server has no location: it could answer nothing"]
    );
}

#[test]
fn maps_are_tables_of_texts() {
    let text = format!(
        "{ONE_SERVER}[map.backend]\nsource = \"$host\"\nhostnames = \"on\"\ndefault = \"d\"\n[map.backend.values]\n\
         \"A.org\" = \"1\"\n\"*.b.org\" = 2\n\"mail.*\" = \"3\"\n\".c.org\" = \"4\"\n'~^(?<n>x+)$' = \"$n $1\"\n'~*^y' = \"$host\"\n'\\~z' = \"5\"\n"
    );
    assert_eq!(warnings(&text), [""; 0]);
    let map = &plan(&text).maps[0];
    assert_eq!((&*map.name, map.source.to_string().as_str(), map.hostnames), ("backend", "$host", true));
    let mut exact: Vec<_> = map.exact.keys().map(String::as_str).collect();
    exact.sort_unstable();
    assert_eq!(exact, ["a.org", "c.org", "~z"]);
    assert!(
        map.leading.contains_key(".b.org") && map.leading.contains_key(".c.org") && map.trailing.contains_key("mail.")
    );
    let regexes: Vec<_> = map.regexes.iter().map(|(regex, value)| format!("{} {value}", regex.text())).collect();
    assert_eq!(regexes, ["^(?<n>x+)$ $n $1", "^y $host"]);
    for (map, part) in [
        ("[map.m]\ndefault = \"x\"", "this map has no `source`"),
        ("[map.host]\nsource = \"$uri\"", "choose another name"),
        ("[map.\"$m\"]\nsource = \"$uri\"", "write [map.m]"),
        ("[map.m]\nsource = \"$nope\"", "unknown variable `$nope`"),
        ("[map.m]\nsource = \"$uri\"\nvalues.'~(' = \"x\"", "no regular expression"),
        ("[map.m]\nsource = \"$uri\"\nvalues.A = \"x\"\nvalues.a = \"y\"", "stands here twice"),
        ("[map.m]\nsource = \"$uri\"\ndefault = \"x\"\nvalues.default = \"y\"", "the default stands here twice"),
        ("[map.m]\nsource = \"$uri\"\nvalues.a = [\"x\", \"y\"]", "becomes one other"),
        ("[map]\nsource = \"$uri\"", "a map needs the name of its variable"),
        ("map = \"x\"", "one pair of brackets"),
        ("[map.m]\nsource = \"$uri\"\nvalues = \"a b\"", "`values` is a section"),
        ("[map.m]\nsource = \"$uri\"\nhostname = \"on\"", "did you mean `hostnames`?"),
    ] {
        let text = format!("{map}\n{ONE_SERVER}");
        let found = errors(&text);
        assert!(found.len() == 1 && found[0].contains(part), "{map}: {found:?}");
    }
}

#[test]
fn names_that_nobody_made_are_told() {
    let text = "error_page = [\"404 @gone\"]\n[[server]]\nerror_page = [\"500 @broken\"]\n[server.location.\"/\"]\n\
        proxy_pass = \"http://127.0.0.1:1\"\ntry_files = \"$uri @ap\"\n[server.location.\"@app\"]\nproxy_pass = \"http://127.0.0.1:1\"\n";
    assert_eq!(
        warnings(text),
        [
            "f:3:15: warning: there is no location `@broken` in this server: requests would get an error",
            "f:6:13: warning: there is no location `@ap` in this server: requests would get an error",
        ]
    );
}
