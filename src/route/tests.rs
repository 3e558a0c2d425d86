//! Requests and where they come to: one row each, by nginx's rules (each row was seen in nginx 1.22).

use super::pages::{Turned, turn};
use super::steps::{Arrived, advance};
use super::tried::{Tried, tried};
use super::{Connection, Course, Source, place, uri};
use crate::config::plan::{Action, FileKind, Plan};
use crate::config::template::{SslVariable, Variable};
use crate::limits::MAPS_DEPTH_MAX;
use crate::proto::request::{FieldSlots, parse};
use std::borrow::Cow;
use std::net::IpAddr;

struct Plain;

impl Connection for Plain {
    fn scheme(&self) -> &'static str {
        "http"
    }
    fn peer_ip(&self) -> &str {
        "192.0.2.1"
    }
    fn peer_port(&self) -> Option<u16> {
        None
    }
    fn proxy_protocol_addr(&self) -> Option<IpAddr> {
        None
    }
    fn ssl(&self, _: SslVariable) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn other(&self, _: &Variable, _: &mut dyn FnMut(&[u8])) {}
}

fn plan(text: &str) -> Plan {
    let text = format!("[[server]]\nlisten = \"127.0.0.1:8080\"\nserver_name = \"a.org\"\n{text}");
    crate::config::load_str("test", &text).unwrap_or_else(|errors| panic!("{errors}")).plan
}

/// Where `target` comes to: `LOCATION > TARGET` for what a backend is asked, `LOCATION = FILE` for files, or the answer. Files that are
/// there: those in `there`; a slash at the end makes a directory.
fn way(plan: &Plan, target: &str, there: &[&str]) -> String {
    let head = format!("GET {target} HTTP/1.1\r\nHost: a.org\r\nX-A: field\r\n\r\n");
    let mut slots = FieldSlots::new();
    let request = parse(head.as_bytes(), &mut slots).unwrap().unwrap();
    let (_, route) = request.inspect().unwrap();
    let server = &plan.servers[0];
    let blank = Course::default();
    let source = Source {
        request: &request,
        route: &route,
        plan,
        server,
        location: None,
        course: &blank,
        client_ip: "192.0.2.1",
        connection: &Plain,
        server_port: Some(8080),
        proxy_host: "",
        depth: MAPS_DEPTH_MAX,
    };
    let is_there = |kind: FileKind, path: &str| match kind {
        FileKind::Directory => there.contains(&format!("{}/", path.trim_end_matches('/')).as_str()),
        FileKind::File => there.contains(&path),
        _ => there.iter().any(|known| known.trim_end_matches('/') == path),
    };
    let mut course = Course::default();
    course.server = Some(0);
    for _ in 0..100 {
        let location = match advance(server, &source, &mut course) {
            Arrived::At(location) => location,
            Arrived::Return(returns) => {
                let source = Source { course: &course, ..source };
                let text = returns.text.as_ref().map(|text| source.string(text)).unwrap_or_default();
                return format!("{} {text}", returns.status).trim_end().to_owned();
            }
            Arrived::Redirect(status, url) => return format!("{status} {}", String::from_utf8(url).unwrap()),
            Arrived::Nothing => return "nothing".into(),
            Arrived::Internal => return "internal".into(),
            Arrived::Loop => return "loop".into(),
            Arrived::TooHard => return "too hard".into(),
            Arrived::Ask(kind, path) => {
                let there = is_there(kind, &path);
                course.set_file(kind, path, there);
                continue;
            }
        };
        if let Some(files) = &location.try_files {
            match tried(files, location, &source, &mut course) {
                Tried::Go => {}
                Tried::Elsewhere => continue,
                Tried::Status(status) => return format!("tried {status}"),
                Tried::NoName => return "no name".into(),
                Tried::Ask(kind, path) => {
                    let there = is_there(kind, &path);
                    course.set_file(kind, path, there);
                    continue;
                }
            }
        }
        let source = Source { course: &course, location: Some(location), ..source };
        return match &location.action {
            Action::Proxy(proxy) => {
                let asked = uri::proxied(&proxy.uri, location, &source);
                let asked = asked.map_or(route.target.to_owned(), |asked| String::from_utf8(asked).unwrap());
                format!("{} > {asked}", location.name)
            }
            Action::Files => match place::place(location, &source, source.path()) {
                Some(place) => format!("{} = {} {}", location.name, place.base, place.relative),
                None => format!("{} = no place", location.name),
            },
            Action::Nothing => format!("{} nothing", location.name),
        };
    }
    panic!("no end: {target}");
}

#[track_caller]
fn check(text: &str, rows: &[(&str, &str)]) {
    check_with(text, &[], rows);
}

#[track_caller]
fn check_with(text: &str, there: &[&str], rows: &[(&str, &str)]) {
    let plan = plan(text);
    for (target, wanted) in rows {
        assert_eq!(way(&plan, target, there), *wanted, "{target}");
    }
}

/// Locations that say their number.
fn locations(names: &[&str]) -> String {
    let said = names.iter().enumerate();
    said.map(|(nth, name)| format!("[server.location.'{name}']\nreturn = '200 {nth}'\n")).collect()
}

#[test]
fn locations_are_chosen_as_in_nginx() {
    let all =
        ["/", "= /", "= /exact", "/docs/", "^~ /images/", r"~* \.(gif|jpg)$", r"~ ^/docs/.*\.html$", "/docs/deep/"];
    check(
        &locations(&all),
        &[
            ("/", "200 1"),
            ("/index", "200 0"),
            ("/exact", "200 2"),
            ("/exact/", "200 0"),
            ("/docs/a", "200 3"),
            ("/docs/deep/a", "200 7"),
            ("/docs/deep/a.html", "200 6"),
            ("/docs/a.GIF", "200 5"),
            ("/docs/a.HTML", "200 3"),
            ("/images/a.gif", "200 4"),
            ("/images", "200 0"),
            ("/%64ocs//x/../a.html", "200 6"),
        ],
    );
    check(&locations(&["/a/"]), &[("/b", "nothing"), ("/a/b", "200 0")]);
}

#[test]
fn nested_locations() {
    let nested = "[server.location.'/']\nreturn = '200 root'\n\
        [server.location.'/a/']\nreturn = '200 a'\n\
        [server.location.'/a/'.location.'/a/b/']\nreturn = '200 b'\n\
        [server.location.'/a/'.location.'~ \\.x$']\nreturn = '200 inner'\n\
        [server.location.'~ \\.x$']\nreturn = '200 outer'\n\
        [server.location.'~ \\.y$']\nreturn = '200 y'\n";
    check(
        nested,
        &[
            ("/a/c", "200 a"),
            ("/a/b/c", "200 b"),
            ("/a/c.x", "200 inner"),
            ("/a/b/c.x", "200 inner"),
            ("/c.x", "200 outer"),
            // A prefix within is no hindrance for expressions outside.
            ("/a/b/c.y", "200 y"),
        ],
    );
}

#[test]
fn what_backends_are_asked() {
    let to = |name: &str, pass: &str| format!("[server.location.'{name}']\nproxy_pass = 'http://127.0.0.1:1{pass}'\n");
    let text = [
        to("/as/", ""),
        to("/strip/", "/"),
        to("/noslash", "/"),
        to("/swap/", "/other/way/"),
        to("/glue/", "/x-"),
        to("= /one", "/two"),
        to("/whole/", "/fixed$request_uri"),
        to("/vars/", "/v/$arg_id"),
        to("~ ^/re/", ""),
    ];
    check(
        &text.concat(),
        &[
            ("/as/a%20b//c/../d?x=1", "/as/ > /as/a%20b//c/../d?x=1"),
            ("/strip/a?x", "/strip/ > /a?x"),
            ("/strip/", "/strip/ > /"),
            ("/strip", "301 /strip/"),
            ("/strip?a=b", "301 /strip/?a=b"),
            ("/noslash/a", "/noslash > //a"),
            ("/noslash", "/noslash > /"),
            ("/swap/a%20b/c", "/swap/ > /other/way/a%20b/c"),
            ("/swap/a/../b", "/swap/ > /other/way/b"),
            ("/swap/%3Fq%25", "/swap/ > /other/way/%3Fq%25"),
            ("/glue/a", "/glue/ > /x-a"),
            ("/one?a", "= /one > /two?a"),
            ("/whole/a?b", "/whole/ > /fixed/whole/a?b"),
            ("/vars/a?id=7", "/vars/ > /v/7"),
            ("/re/a%2fb", "~ ^/re/ > /re/a%2fb"),
        ],
    );
}

#[test]
fn rules_rewrite() {
    let text = "rewrite = ['^/server/(.*)$ /last/$1', 'if ($http_x_a = field) { set $seen yes; }', '^/both/(.*)/(.*)$ /args?one=$1&two=$2']\n\
        [server.location.'/']\nreturn = '200 $uri $args'\n\
        [server.location.'/last/']\nrewrite = ['^/last/(.*)\\.htm$ /done/$1.html last', 'return 200 \"last $1 $uri $seen\"']\n\
        [server.location.'/done/']\nreturn = '200 done $uri'\n\
        [server.location.'/break/']\nrewrite = '^/break/(.*)$ /$1 break'\nproxy_pass = 'http://127.0.0.1:1/base/'\n\
        [server.location.'/plain/']\nrewrite = '^/plain/(.*)$ /$1 break'\nproxy_pass = 'http://127.0.0.1:1'\n\
        [server.location.'/go/']\nrewrite = ['^/go/t/(.*)$ /to/$1 redirect', '^/go/p/(.*)$ https://b.org/$1 permanent', '^/go/n/(.*)$ /to/$1? permanent']\n\
        [server.location.'/loop/']\nrewrite = '^ /loop/x last'\n\
        [server.location.'/drop/']\nrewrite = '^/drop/(.*)$ /args?$1? last'\n\
        [server.location.'/args']\nreturn = '200 $uri|$args'\n\
        [server.location.'/if/']\nrewrite = ['if ($arg_a ~ ^(.)(.)$) { return 200 \"two $1 $2\"; }', 'if ($arg_b) { return 200 b; }', 'if ($arg_c != 1) { break; }', 'return 200 one']\nproxy_pass = 'http://127.0.0.1:1'\n";
    check(
        text,
        &[
            ("/server/a.htm", "200 done /done/a.html"),
            ("/server/a", "200 last a /last/a yes"),
            ("/both/x/y?z=1", "200 /args|one=x&two=y&z=1"),
            ("/both/x%26/y", "200 /args|one=x%26&two=y"),
            ("/break/a?q", "/break/ > /a?q"),
            ("/plain/a%20b", "/plain/ > /a%20b"),
            ("/go/t/a%20b?c=d", "302 /to/a%20b?c=d"),
            ("/go/p/a?c", "301 https://b.org/a?c"),
            ("/go/n/a?c", "301 /to/a"),
            ("/loop/", "loop"),
            ("/drop/k=v?gone=1", "200 /args|k=v"),
            ("/if/?a=xy", "200 two x y"),
            ("/if/?a=xyz&b=0&c=1", "200 one"),
            ("/if/?b=1", "200 b"),
            ("/if/?c=2", "/if/ > /if/?c=2"),
        ],
    );
}

#[test]
fn files_by_root_alias_and_try_files() {
    let text = "root = '/srv/www'\n\
        [server.location.'/']\ntry_files = '$uri $uri/ /index.php?q=$uri'\n\
        [server.location.'/alias/']\nalias = '/srv/other/'\n\
        [server.location.'/glued']\nalias = '/srv/glued'\n\
        [server.location.'= /favicon.ico']\nalias = '/srv/icons/f.ico'\n\
        [server.location.'~ ^/u/(?<user>[a-z]+)/(.*)$']\nalias = '/home/$user/www/$2'\n\
        [server.location.'~ \\.php$']\nproxy_pass = 'http://127.0.0.1:1'\n\
        [server.location.'/strict/']\ntry_files = '$uri =404'\n\
        [server.location.'/named/']\ntry_files = '$uri @app'\n\
        [server.location.'@app']\nproxy_pass = 'http://127.0.0.1:1'\n";
    check_with(
        text,
        &["/srv/www/a.css", "/srv/www/dir/", "/srv/www/named/x"],
        &[
            ("/a.css", "/ = /srv/www a.css"),
            ("/dir/", "/ = /srv/www dir/"),
            ("/dir", "/ = /srv/www dir"),
            ("/none?x", "~ \\.php$ > /index.php?q=/none"),
            ("/alias/x/y", "/alias/ = /srv/other/ x/y"),
            ("/alias/", "/alias/ = /srv/other/ "),
            ("/glued/x", "/glued = /srv/glued/ x"),
            ("/glued-x", "/glued = /srv/ glued-x"),
            ("/favicon.ico", "= /favicon.ico = /srv/icons/f.ico "),
            ("/u/joe/a/b", "~ ^/u/(?<user>[a-z]+)/(.*)$ = /home/ joe/www/a/b"),
            ("/strict/none", "tried 404"),
            ("/named/x", "/named/ = /srv/www named/x"),
            ("/named/y?z", "@app > /named/y?z"),
        ],
    );
}

/// Stories: each of these let a request through, or a line end into a request, before.
#[test]
fn what_a_review_found() {
    // What was decoded does not end the request line where rules put it into the query.
    let text = "rewrite = '^/q/(?<all>(?s:.*))$ /app?u=$uri&n=$all'\n\
        [server.location.'/app']\nproxy_pass = 'http://127.0.0.1:1'\n";
    check(
        text,
        &[("/q/a%20HTTP/1.1%0d%0aX:%20y", "/app > /app?u=/q/a%20HTTP/1.1%0D%0AX:%20y&n=a%20HTTP/1.1%0D%0AX:%20y")],
    );
    // The server's rules see where an internal redirect leads.
    let text = "rewrite = 'if ($uri ~ ^/private) { return 403; }'\nroot = '/srv'\n\
        [server.location.'/']\ntry_files = '$uri /$arg_p'\n";
    check(text, &[("/x?p=private/a", "403"), ("/private/a", "403")]);
    // A name that ends in a line end is denied as the name is, as by PCRE.
    let text = "[server.location.'/']\nreturn = '200 open'\n[server.location.'~ \\.sql$']\nreturn = 403\n";
    check(text, &[("/a.sql", "403"), ("/a.sql%0a", "403"), ("/a.sqlx", "200 open")]);
    // What takes too long to match is no match that did not happen.
    let text =
        "[server.location.'/']\nreturn = '200 open'\n[server.location.'~ ^/(a+)(a+)(a+)\\1\\2\\3c$']\nreturn = 403\n";
    check(text, &[(&format!("/{}", "a".repeat(400)), "too hard")]);
    // A path that was rewritten out of an alias has no file there.
    let text = "[server.location.'/i/']\nalias = '/srv/images/'\nrewrite = '^/i/go$ /other break'\n";
    check(text, &[("/i/go", "/i/ = no place"), ("/i/a", "/i/ = /srv/images/ a")]);
}

#[test]
fn internal_locations_and_tests_for_files() {
    let text = "[server.location.'/in/']\ninternal = 'on'\nreturn = '200 in'\n\
        [server.location.'/to/']\nrewrite = '^/to/(.*)$ /in/$1 last'\n\
        [server.location.'/']\nroot = '/srv'\nrewrite = ['if (-f $request_filename) { return 200 file; }', 'if (!-d $request_filename) { return 200 nothing; }', 'return 200 directory']\n";
    check_with(
        text,
        &["/srv/a", "/srv/d/"],
        &[
            ("/in/x", "internal"),
            ("/to/x", "200 in"),
            ("/a", "200 file"),
            ("/d", "200 directory"),
            ("/n", "200 nothing"),
        ],
    );
}

#[test]
fn error_pages() {
    let plan = plan(
        "error_page = ['404 /404.html', '500 502 =200 /50x?why=$uri', '403 = @deny', '401 https://login.org/?to=$request_uri', '418 =301 https://tea.org/']\n\
         [server.location.'/']\nproxy_pass = 'http://127.0.0.1:1'\n[server.location.'@deny']\nreturn = '403 no'\n",
    );
    let head = "GET /x HTTP/1.1\r\nHost: a.org\r\n\r\n";
    let mut slots = FieldSlots::new();
    let request = parse(head.as_bytes(), &mut slots).unwrap().unwrap();
    let (_, route) = request.inspect().unwrap();
    let (server, blank) = (&plan.servers[0], Course::default());
    let source = Source {
        request: &request,
        route: &route,
        plan: &plan,
        server,
        location: None,
        course: &blank,
        client_ip: "192.0.2.1",
        connection: &Plain,
        server_port: None,
        proxy_host: "",
        depth: MAPS_DEPTH_MAX,
    };
    let location = &server.locations[server.level.prefixes[0]];
    let rows = [
        (404, Turned::Elsewhere, Some("/404.html"), Some(404), true),
        (502, Turned::Elsewhere, Some("/50x"), Some(200), true),
        (403, Turned::Elsewhere, None, None, false),
        (401, Turned::Redirect(302, b"https://login.org/?to=/x".to_vec()), None, Some(401), false),
        (418, Turned::Redirect(301, b"https://tea.org/".to_vec()), None, Some(301), false),
        (503, Turned::No, None, None, false),
    ];
    for (status, wanted, path, answer, as_get) in rows {
        let mut course = Course::default();
        assert_eq!(turn(location, status, &source, &mut course), wanted, "{status}");
        assert_eq!((course.path(), course.status, course.as_get), (path, answer, as_get), "{status}");
        // A page that fails itself gets no other.
        let again = turn(location, 404, &source, &mut course);
        assert_eq!(again == Turned::No, wanted != Turned::No, "{status}");
    }
    // Not even with `recursive_error_pages`, for ever.
    let recursive = crate::config::plan::Location { recursive_error_pages: true, ..location.clone() };
    let (mut course, mut turns) = (Course::default(), 0);
    while turn(&recursive, 404, &source, &mut course) == Turned::Elsewhere {
        turns += 1;
        assert!(turns < 100, "no end");
    }
    assert!(turns > 1);
    // A page has content: it is not said with a status that has none.
    let bare = crate::config::plan::ErrorPage { answer: Some(Some(204)), ..location.error_pages[0].clone() };
    let location = crate::config::plan::Location { error_pages: std::sync::Arc::new(vec![bare]), ..location.clone() };
    let mut course = Course::default();
    assert_eq!((turn(&location, 404, &source, &mut course), course.status), (Turned::Elsewhere, None));
}
