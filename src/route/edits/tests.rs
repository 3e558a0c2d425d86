use super::*;
use crate::config::plan::{AddHeader, CookieFlags, Expires};
use crate::config::template::Known;
use crate::limits::MAPS_DEPTH_MAX;
use crate::proto::request::{FieldSlots, parse};
use crate::route::Course;
use std::time::{Duration, UNIX_EPOCH};

struct Plain;

impl Connection for Plain {
    fn scheme(&self) -> &'static str {
        "https"
    }
    fn peer_ip(&self) -> &str {
        "192.0.2.9"
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

fn template(text: &str) -> Template {
    let mut known = Known::default();
    known.add("rest");
    Template::parse(text, &known).unwrap()
}

fn add(name: &str, value: &str, always: bool) -> AddHeader {
    AddHeader { name: name.into(), value: template(value), always }
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text, false).unwrap()
}

/// The lines `name: value|name: value` of an answer as they become, to a request for `/a?q=1` of host `a.example:8443`.
fn edited(answers: &Answers, status: u16, lines: &str) -> String {
    let mut slots = FieldSlots::new();
    let head = b"GET /a?q=1%0d%0aX:1 HTTP/1.1\r\nHost: a.example:8443\r\nX-Tab: b\tc\r\n\r\n";
    let request = parse(head, &mut slots).unwrap().unwrap();
    let (_, route) = request.inspect().unwrap();
    let text = "[[server]]\nlisten = 80\nserver_name = \"first.example\"\nreturn = 404\n";
    let plan = crate::config::load_str("t", text).unwrap().plan;
    let mut course = Course::default();
    course.set_value(&"rest".into(), "the request's".to_owned());
    let fields: Vec<Header> = lines
        .split('|')
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| Header { name, value: value.as_bytes() })
        .collect();
    let source = Source {
        request: &request,
        route: &route,
        plan: &plan,
        server: &plan.servers[0],
        location: None,
        course: &course,
        client_ip: "192.0.2.1",
        connection: &Answered { connection: &Plain, status, fields: &fields },
        server_port: Some(8443),
        proxy_host: "group",
        depth: MAPS_DEPTH_MAX,
    };
    let texts = if Edits::need_source(answers) { Texts::Source(&source) } else { Texts::Literal };
    let absolute = |path: Vec<u8>| [b"https://a.example:8443", &path[..]].concat();
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let edits = Edits::new(answers, texts, status, None, now, Some(&absolute));
    let mut buf = [0; 2000];
    let mut w = Writer::new(&mut buf);
    for field in &fields {
        edits.pass(&mut w, field.name, field.value);
    }
    edits.add(&mut w, status);
    let len = w.finish().unwrap();
    let text = String::from_utf8(buf[..len].to_vec()).unwrap();
    if !Edits::concern(answers, &fields) {
        assert_eq!(text.trim_end().replace("\r\n", "|"), lines);
    }
    text.trim_end_matches("\r\n").replace("\r\n", "|")
}

#[track_caller]
fn check(answers: &Answers, rows: &[(u16, &str, &str)]) {
    for (status, lines, wanted) in rows {
        assert_eq!(edited(answers, *status, lines), *wanted, "{status} {lines}");
    }
}

#[test]
fn fields_are_added() {
    let answers = Answers {
        add: vec![
            add("X-A", "1", false),
            add("X-A", "2 $host", false),
            add("X-Empty", "$arg_none", true),
            add("X-Always", "$status", true),
            add("X-Q", "$args|$http_x_tab", false),
            add("X-Up", "$upstream_http_x_from$upstream_cookie_sid|$upstream_status", true),
            add("Connection", "close", true),
            add("Content-Length", "5", true),
        ],
        ..Answers::default()
    };
    let plain = "X-A: 1|X-A: 2 a.example|X-Always: STATUS|X-Q: q=1%0d%0aX:1|b c|X-Up: |STATUS";
    for status in [200, 201, 204, 206, 301, 302, 303, 304, 307, 308] {
        // Between the two is a tab in the request.
        let wanted = plain.replace("STATUS", &status.to_string()).replace("b c", "b\tc");
        assert_eq!(edited(&answers, status, ""), wanted);
    }
    for status in [100, 202, 203, 205, 300, 305, 400, 404, 500, 599] {
        assert_eq!(edited(&answers, status, ""), format!("X-Always: {status}|X-Up: |{status}"));
    }
    check(
        &answers,
        &[(
            404,
            "x-from: b|Set-Cookie: sid=7; Path=/",
            "x-from: b|Set-Cookie: sid=7; Path=/|X-Always: 404|X-Up: b7|404",
        )],
    );
}

#[test]
fn nothing_is_smuggled_in_a_value() {
    let answers = Answers { add: vec![add("X", "a\r\nY: b\0c", true)], ..Answers::default() };
    check(&answers, &[(200, "", "X: a  Y: b c")]);
    // A group of a Location that a backend says cannot bring one in either.
    let redirects = vec![ProxyRedirect::Regex(pattern("^(.*)$"), template("$1\r\nY: 1"))];
    check(
        &Answers { redirects, ..Answers::default() },
        &[(302, "Location: /", "Location: https://a.example:8443/\r\nY: 1".replace("\r\n", "  ").as_str())],
    );
}

#[test]
fn one_of_a_kind_is_replaced() {
    let answers = Answers { add: vec![add("etag", "\"ours\"", false)], ..Answers::default() };
    check(
        &answers,
        &[(200, "ETag: \"theirs\"|X: 1", "X: 1|etag: \"ours\""), (404, "ETag: \"theirs\"", "ETag: \"theirs\"")],
    );
}

#[test]
fn fields_are_hidden() {
    let answers = Answers { hide: vec!["x-powered-by".into(), "server".into()], ..Answers::default() };
    check(
        &answers,
        &[
            (200, "X-Powered-By: PHP|Server: x|X-Powered: y", "X-Powered: y"),
            (500, "x-powered-by: PHP", ""),
            (200, "A: b", "A: b"),
        ],
    );
}

#[test]
fn expires_takes_the_place_of_what_came() {
    let answers = Answers { expires: Some(Expires::In(60)), ..Answers::default() };
    let ours = "Expires: Sun, 06 Nov 1994 08:50:37 GMT|Cache-Control: max-age=60";
    check(
        &answers,
        &[
            (200, "", ours),
            (304, "cache-control: private|Cache-Control: no-store|expires: 0|A: b", &format!("A: b|{ours}")),
            (404, "Cache-Control: private", "Cache-Control: private"),
        ],
    );
    let off = Answers { expires: Some(Expires::Variable(template("$arg_none"))), ..Answers::default() };
    check(&off, &[(200, "Cache-Control: private|Expires: 0", "Cache-Control: private|Expires: 0")]);
}

#[test]
fn redirects_are_rewritten() {
    let prefix = |from: &str, to: &str| ProxyRedirect::Prefix(template(from), template(to));
    let regex = |from: &str, to: &str| ProxyRedirect::Regex(pattern(from), template(to));
    let answers = Answers {
        redirects: vec![
            prefix("http://backend/two/", "/one/"),
            prefix("http://backend:80/", "http://$host/"),
            prefix("http://$proxy_host/", "$scheme://$http_host/"),
            regex(r"^http://app(\d)\.local(?<rest>/.*)$", "/app$1$rest?from=$host"),
            regex("^http://none/(x)?(y)?", "[$1$2]"),
        ],
        ..Answers::default()
    };
    check(
        &answers,
        &[
            (302, "Location: http://backend/two/x?y", "Location: https://a.example:8443/one/x?y"),
            (302, "location: http://backend:80/x", "location: http://a.example/x"),
            (201, "Location: http://group/x", "Location: https://a.example:8443/x"),
            (302, "Location: http://app7.local/z", "Location: https://a.example:8443/app7/z?from=a.example"),
            (302, "Location: http://none/y", "Location: [y]"),
            (302, "Location: http://other/", "Location: http://other/"),
            (302, "Location: /two/", "Location: /two/"),
            (302, "Location: HTTP://backend/two/", "Location: HTTP://backend/two/"),
            (302, "Location: \u{fffd}", "Location: \u{fffd}"),
            (200, "Refresh: 5; URL=http://backend/two/x", "Refresh: 5; URL=/one/x"),
            (200, "Refresh: 5; url=http://other/", "Refresh: 5; url=http://other/"),
            (200, "Refresh: 5", "Refresh: 5"),
            (200, "X-Location: http://group/x", "X-Location: http://group/x"),
        ],
    );
}

#[test]
fn cookies_are_rewritten() {
    let text = |from: &str, to: &str| CookieChange::Text(template(from), template(to));
    let regex = |from: &str, to: &str| CookieChange::Regex(Pattern::new(from, true).unwrap(), template(to));
    let answers = Answers {
        cookie_paths: vec![text("/two/", "/"), text("/$arg_q", "/one"), regex("^/(a+)/(.*)$", "/$2/$1$arg_none")],
        cookie_domains: vec![
            text(".localhost", ".$host"),
            text("b.example", "c.example"),
            regex(r"^(\w+)\.local$", "$1.org"),
        ],
        ..Answers::default()
    };
    check(
        &answers,
        &[
            (200, "Set-Cookie: a=b; Path=/two/x; Secure", "Set-Cookie: a=b; Path=/x; Secure"),
            (200, "set-cookie: a=b;path = /aa/x;HttpOnly", "set-cookie: a=b; path=/x/aa; HttpOnly"),
            (200, "Set-Cookie: a=b; Path=/three/;Domain=x", "Set-Cookie: a=b; Path=/three/;Domain=x"),
            (200, "Set-Cookie: a=b; Domain=localhost", "Set-Cookie: a=b; Domain=a.example"),
            (200, "Set-Cookie: a=b; domain=.LOCALHOST", "Set-Cookie: a=b; domain=.a.example"),
            (200, "Set-Cookie: a=b; Domain=xlocalhost", "Set-Cookie: a=b; Domain=xlocalhost"),
            (200, "Set-Cookie: a=b; Domain=b.example; Path=/two/", "Set-Cookie: a=b; Domain=c.example; Path=/"),
            (200, "Set-Cookie: a=b; Domain=App.local", "Set-Cookie: a=b; Domain=App.org"),
            // The cookie itself may be called so.
            (200, "Set-Cookie: Path=/two/; Max-Age=5", "Set-Cookie: Path=/two/; Max-Age=5"),
            (200, "Set-Cookie: ; ;Path", "Set-Cookie: ; ;Path"),
            (
                200,
                "Set-Cookie: a=b; Path=/two/|Set-Cookie: c; Path=/two/",
                "Set-Cookie: a=b; Path=/|Set-Cookie: c; Path=/",
            ),
        ],
    );
}

#[test]
fn cookies_get_flags() {
    let named = |name: &str, secure, httponly, samesite| CookieFlags {
        name: Some(name.into()),
        pattern: None,
        secure,
        httponly,
        samesite,
    };
    let answers = Answers {
        cookie_flags: vec![
            named("one", Some(true), Some(true), Some(Some("strict"))),
            named("two", Some(false), Some(false), Some(None)),
            CookieFlags { pattern: Some(pattern("^p")), secure: Some(true), ..CookieFlags::default() },
            CookieFlags { samesite: Some(Some("lax")), ..CookieFlags::default() },
        ],
        ..Answers::default()
    };
    check(
        &answers,
        &[
            (200, "Set-Cookie: ONE=1", "Set-Cookie: ONE=1; Secure; HttpOnly; SameSite=Strict"),
            (
                200,
                "Set-Cookie: one=1; secure; samesite=None; httponly",
                "Set-Cookie: one=1; secure; samesite=Strict; httponly",
            ),
            (200, "Set-Cookie: two=1; Secure; Path=/; SameSite=Lax; HttpOnly", "Set-Cookie: two=1; Path=/"),
            (200, "Set-Cookie: two=1;Path=/", "Set-Cookie: two=1;Path=/"),
            (200, "Set-Cookie: secure=1; a", "Set-Cookie: secure=1; a; SameSite=Lax"),
            (200, "Set-Cookie: p=1;Secure", "Set-Cookie: p=1;Secure"),
            (200, "Set-Cookie: px=1", "Set-Cookie: px=1; Secure"),
            (404, "Set-Cookie: other=1", "Set-Cookie: other=1; SameSite=Lax"),
        ],
    );
}

#[test]
fn only_what_is_changed_is_looked_at() {
    let fields = |name| [Header { name, value: b"x" }];
    let redirects = vec![ProxyRedirect::Prefix(Template::literal("a"), Template::literal("b"))];
    let of_redirects = Answers { redirects, ..Answers::default() };
    let of_cookies = Answers { cookie_flags: vec![CookieFlags::default()], ..Answers::default() };
    let hides = Answers { hide: vec!["a".into()], ..Answers::default() };
    for (answers, name, wanted) in [
        (&of_redirects, "LOCATION", true),
        (&of_redirects, "Refresh", true),
        (&of_redirects, "Set-Cookie", false),
        (&of_cookies, "Set-Cookie", true),
        (&of_cookies, "Location", false),
        (&hides, "Location", true),
    ] {
        assert_eq!(Edits::concern(answers, &fields(name)), wanted, "{name}");
        assert!(!answers.is_empty());
    }
    assert!(Answers::default().is_empty() && !Edits::concern(&Answers::default(), &fields("Location")));
}
