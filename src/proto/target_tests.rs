use super::*;

#[test]
fn paths_are_seen_as_nginx_sees_them() {
    let rows = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a?b", "/a"),
        ("/?", "/"),
        ("/a/?x=/../..//", "/a/"),
        ("/a%20b", "/a b"),
        ("/%61%62?%zz", "/ab"),
        ("/a%2Fb", "/a/b"),
        ("/a%2fb", "/a/b"),
        ("/a%2F%2Fb", "/a/b"),
        ("/%25%32%65", "/%2e"), // decoded once, not twice
        ("/%252e%252e/a", "/%2e%2e/a"),
        ("/a%3Fb", "/a?b"),
        ("/a%23b", "/a#b"),
        ("//", "/"),
        ("///a//b///", "/a/b/"),
        ("/.", "/"),
        ("/./", "/"),
        ("/./a", "/a"),
        ("/a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/../../c", "/c"),
        ("/a/b/..?/../..", "/a/"),
        ("/a//../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.%2E/b", "/b"),
        ("/a%2f..%2fb", "/b"),
        ("/...", "/..."),
        ("/.../a", "/.../a"),
        ("/..a/b", "/..a/b"),
        ("/a../b", "/a../b"),
        ("/.a", "/.a"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/.b/../c", "/a/c"),
        ("/caf%c3%a9", "/café"),
        ("/caf%e9", "/caf\u{fffd}"),
        ("/a\\..\\b", "/a\\..\\b"),
        ("/a;x=1/../b", "/b"),
    ];
    for (raw, path) in rows {
        let target = parse(raw, "GET").unwrap_or_else(|e| panic!("{raw}: {e:?}"));
        assert_eq!((target.path.as_ref(), target.origin, target.authority), (path, raw, None));
    }
}

#[test]
fn usual_paths_are_borrowed() {
    for raw in ["/", "/index.html", "/a/b.c/d?e=%20//..", "/.well-known/acme", "/a..b/c.."] {
        assert!(matches!(normalise(raw), Ok(Cow::Borrowed(_))), "{raw}");
    }
}

#[test]
fn wrong_targets_are_refused() {
    let rows = [
        "",
        "a",
        "a/b",
        "?",
        "?a",
        "*",
        "/..",
        "/../",
        "/../a",
        "/a/../..",
        "/a/../../b",
        "/./..",
        "//..",
        "/%2e%2e",
        "/%2e%2e/a",
        "/..%2fa",
        "/%2f..",
        "/%",
        "/%2",
        "/%zz",
        "/%2g",
        "/a%",
        "/a%2?",
        "/%?20",
        "/%00",
        "/a%00b",
        "/a/%00/../b",
        "/#",
        "/a#b",
        "/a?b#c",
        "#",
        "*#",
        "ftp://a/",
        "://a/",
        "http:/a",
        "http:a",
        "https:",
        "javascript://a",
        "example.org:443",
        "**",
        "/%+1",
        "http ://a/",
        "ws://a/",
    ];
    for raw in rows {
        assert_eq!(parse(raw, "GET"), Err(Reason::BadTarget), "{raw}");
    }
    assert_eq!(parse("*a", "OPTIONS"), Err(Reason::BadTarget));
}

#[test]
fn absolute_forms_are_taken_apart() {
    let rows = [
        ("http://a/b?c", "GET", "a", "a", "/b", "/b?c"),
        ("HTTPS://A:8443/%62", "GET", "a", "A:8443", "/b", "/%62"),
        ("http://a", "GET", "a", "a", "/", "/"),
        ("http://a?x=/..", "GET", "a", "a", "/", "?x=/.."),
        ("http://a:80", "OPTIONS", "a", "a:80", "/", "*"),
        ("http://a/", "OPTIONS", "a", "a", "/", "/"),
        ("http://a//b", "GET", "a", "a", "/b", "//b"),
        ("http://[::1]:80/", "GET", "[::1]", "[::1]:80", "/", "/"),
    ];
    for (raw, method, host, text, path, origin) in rows {
        let target = parse(raw, method).unwrap_or_else(|e| panic!("{raw}: {e:?}"));
        let authority = target.authority.unwrap();
        assert_eq!(
            (authority.host.as_ref(), authority.text, target.path.as_ref(), target.origin),
            (host, text, path, origin)
        );
    }
    assert_eq!(parse("*", "OPTIONS").unwrap().origin, "*");
    for raw in [
        "http://",
        "http:///a",
        "http://u@a/",
        "http://u:p@a/",
        "http://a:b/",
        "http://a\\b/",
        "http://?a",
        "http://a:/:b@c",
    ] {
        let wrong = parse(raw, "GET");
        assert!(wrong == Err(Reason::BadHost) || raw == "http://a:/:b@c" && wrong.is_ok(), "{raw}");
    }
    assert_eq!(parse("http://a/../b", "GET"), Err(Reason::BadTarget));
}

#[test]
fn hosts_are_checked() {
    let right = [
        ("example.org", "example.org", "example.org"),
        ("EXAMPLE.org", "example.org", "EXAMPLE.org"),
        ("example.org:8080", "example.org", "example.org:8080"),
        ("example.org:", "example.org", "example.org"),
        ("example.org.", "example.org", "example.org."),
        ("example.org.:80", "example.org", "example.org.:80"),
        ("127.0.0.1:1", "127.0.0.1", "127.0.0.1:1"),
        ("a_b-c~d", "a_b-c~d", "a_b-c~d"),
        ("a%2Db", "a%2db", "a%2Db"),
        ("[::1]", "[::1]", "[::1]"),
        ("[2001:DB8::1]:443", "[2001:db8::1]", "[2001:DB8::1]:443"),
        ("[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]"),
        ("a:65535", "a", "a:65535"),
        ("a:00080", "a", "a:00080"),
    ];
    for (raw, host, text) in right {
        let authority = parse_authority(raw.as_bytes()).unwrap_or_else(|e| panic!("{raw}: {e:?}"));
        assert_eq!((authority.host.as_ref(), authority.text), (host, text));
    }
    let wrong = [
        "",
        ".",
        "..",
        ".a",
        "a..b",
        "a..",
        ":80",
        ":",
        "a:b",
        "a:65536",
        "a:000080",
        "a:-1",
        "a:+1",
        "a:1:2",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "u:p@b",
        "a\\b",
        "a\"b",
        "a<b",
        "a|b",
        "a^b",
        "a{b",
        "a%",
        "a%4",
        "a%zz",
        "[",
        "[]",
        "[::1",
        "::1",
        "[::1]a",
        "[::1]]",
        "[::1]:x",
        "[1.2.3.4]",
        "[v1.a]",
        "[::1%25eth0]",
        "[fe80::1%eth0]",
        "[::1].",
        "a\u{e9}",
        "http://a",
        "a\tb",
        "a,b c",
    ];
    for raw in wrong {
        assert_eq!(parse_authority(raw.as_bytes()), Err(Reason::BadHost), "{raw}");
    }
    assert_eq!(parse_authority(b"a\xff"), Err(Reason::BadHost));
    assert!(parse_authority("a".repeat(HOST_MAX).as_bytes()).is_ok());
    assert_eq!(parse_authority("a".repeat(HOST_MAX + 1).as_bytes()), Err(Reason::BadHost));
}

/// Whatever is accepted begins at the root, stays there, and means the same when its own path is asked for.
#[test]
fn normalised_paths_are_normal() {
    let mut random = super::super::testing::Random(1);
    let pieces = [
        "/", ".", "..", "%2e", "%2F", "a", "%61", "//", "/./", "/../", "%", "%25", "?", "b.c", "%c3", "\\", "%00",
        "%3f",
    ];
    for round in 0..100_000 {
        let mut raw = String::from("/");
        for _ in 0..random.below(9) {
            raw.push_str(random.pick(&pieces));
        }
        let Ok(target) = parse(&raw, "GET") else { continue };
        let path = target.path.as_ref();
        assert!(path.starts_with('/') && !path.contains("//"), "{round} {raw} {path}");
        assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{round} {raw} {path}");
        let again = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        assert_eq!(parse(&again, "GET").unwrap().path, path, "{round} {raw}");
    }
}

#[test]
fn the_quick_reading_of_an_authority_agrees_with_the_thorough_one() {
    let mut quick = 0;
    for host in
        ["", "a", "example.org", "127.0.0.1", "a.", ".a", "a..b", "A", "a_b", "a%41", "[::1]", "-", "a-b.c", "a@b"]
    {
        for port in ["", ":", ":0", ":80", ":8080", ":65535", ":99999", ":123456", ":8a", ":80:"] {
            let text = format!("{host}{port}");
            if let Some(plain) = plain_authority(text.as_bytes()) {
                assert_eq!(Ok(plain), parse_any_authority(text.as_bytes()), "{text}");
                quick += 1;
            }
        }
    }
    assert!(quick >= 20, "it is quick for what is usual: {quick}");
    let long = format!("{}:80", "a".repeat(HOST_MAX));
    assert!(plain_authority(long.as_bytes()).is_none());
}
