use super::*;

/// `name args;` and `name args { ... }` on one line, with the line where each begins.
fn shown(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let words: Vec<&str> =
            std::iter::once(directive.name.as_str()).chain(directive.args.iter().map(String::as_str)).collect();
        let head = format!("{}:{}", directive.place.line, words.join(" "));
        match &directive.block {
            Some(block) => format!("{head} {{{}}}", shown(block)),
            None => format!("{head};"),
        }
    };
    directives.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn blocks_within_blocks() {
    for (text, expected) in [
        ("", ""),
        ("a;\nb c;", "1:a; 2:b c;"),
        ("http {\n server {\n listen 80;\n }\n}\nuser x;", "1:http {2:server {3:listen 80;}} 6:user x;"),
        ("a\n  b\n  c;", "1:a b c;"),
        ("map $a $b {\n default 1;\n server 2;\n}", "1:map $a $b {2:default 1; 3:server 2;}"),
        ("a { } b { }", "1:a {} 1:b {}"),
    ] {
        let parsed = parse(&"f".into(), text);
        assert_eq!((shown(&parsed.directives).as_str(), parsed.mistake), (expected, None), "{text}");
    }
}

/// What came before the mistake is there: it may hold one that nginx names first.
#[test]
fn a_broken_form_ends_the_reading() {
    for (text, before, mistake) in [
        ("a;\n}", "1:a;", "f:2: error: unexpected \"}\""),
        ("a {\n b;\n", "1:a {2:b;}", "f:3: error: unexpected end of file, expecting \"}\""),
        ("a {\n b;\n {", "1:a {2:b;}", "f:3: error: unexpected \"{\""),
        ("a { b", "1:a {}", "f:1: error: unexpected end of file, expecting \";\" or \"}\""),
        ("a;;", "1:a;", "f:1: error: unexpected \";\""),
        ("map $a $b {\n c {\n d; } }", "1:map $a $b {}", "f:2: error: unexpected \"{\""),
        ("types { a { b; } }", "1:types {}", "f:1: error: unexpected \"{\""),
    ] {
        let parsed = parse(&"f".into(), text);
        let said = parsed.mistake.map(|mistake| mistake.to_string());
        assert_eq!((shown(&parsed.directives).as_str(), said.as_deref()), (before, Some(mistake)), "{text}");
    }
}

#[test]
fn blocks_have_a_bottom() {
    let nested = |depth: usize| format!("{}{}", "a {".repeat(depth), "}".repeat(depth));
    assert_eq!(parse(&"f".into(), &nested(limits::NGINX_DEPTH_MAX)).mistake, None);
    let mistake = parse(&"f".into(), &nested(10_000)).mistake.expect("it is too deep");
    assert_eq!(mistake.message, "blocks are nested more than 64 deep");
}

#[test]
fn comments_go_with_what_they_are_about() {
    let parsed = parse(&"f".into(), "# of a\na { # behind a\n# of b\nb; # behind b\n}");
    let a = &parsed.directives[0];
    assert_eq!((&a.comments[..], a.trailing.as_deref()), (&[" of a".to_string()][..], Some(" behind a")));
    let b = &a.children()[0];
    assert_eq!((&b.comments[..], b.trailing.as_deref()), (&[" of b".to_string()][..], Some(" behind b")));
}
