//! Statements in, rules out; and what is said of those that are none.

use super::*;

fn known() -> Known {
    let mut known = Known::default();
    ["x", "mobile", "name"].iter().for_each(|name| known.add(name));
    known
}

#[track_caller]
fn one(text: &str) -> Rule {
    let (mut rules, warnings) = rules(text, &known()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!((rules.len(), warnings), (1, vec![]), "{text}");
    rules.remove(0)
}

fn template(text: &str) -> Template {
    Template::parse(text, &known()).unwrap()
}

#[test]
fn rewrites() {
    for (text, regex, replacement, drops_args, flag) in [
        ("^/old/(.*)$ /new/$1 last", "^/old/(.*)$", "/new/$1", false, Flag::Last),
        ("rewrite ^/old/(.*)$ /new/$1 last;", "^/old/(.*)$", "/new/$1", false, Flag::Last),
        ("rewrite ^ /z? break", "^", "/z", true, Flag::Break),
        ("^(.*)$ https://$host$1 permanent", "^(.*)$", "https://$host$1", false, Flag::Permanent),
        ("^ http://a.org/", "^", "http://a.org/", false, Flag::Redirect),
        ("^ $scheme://a.org/ last", "^", "$scheme://a.org/", false, Flag::Redirect),
        (r#""^/(\d{4})/(\d{2})" "/a b/$1" redirect"#, r"^/(\d{4})/(\d{2})", "/a b/$1", false, Flag::Redirect),
        (r"^/(\d{4})$ /y/$1", r"^/(\d{4})$", "/y/$1", false, Flag::None),
        (r"\.html$ /x?a=$1&b", r"\.html$", "/x?a=$1&b", false, Flag::None),
    ] {
        let pattern = Pattern::new(regex, false).unwrap();
        let wanted = Rule::Rewrite { pattern, replacement: template(replacement), drops_args, flag };
        assert_eq!(one(text), wanted, "{text}");
    }
    let (_, warnings) = rules("^/a b last", &known()).unwrap();
    assert_eq!(warnings, ["a path begins with a slash: \"b\" is none; write \"/b\""]);
}

#[test]
fn conditions() {
    let matches = |value: &str, regex: &str, caseless, negated| Condition::Matches {
        value: template(value),
        pattern: Pattern::new(regex, caseless).unwrap(),
        negated,
    };
    let equals =
        |value: &str, text: &str, negated| Condition::Equals { value: template(value), text: template(text), negated };
    let exists = |kind, path: &str, negated| Condition::Exists { kind, path: template(path), negated };
    for (text, wanted) in [
        ("($x)", Condition::Is(template("$x"))),
        ("( $x )", Condition::Is(template("$x"))),
        ("($host = a.org)", equals("$host", "a.org", false)),
        ("($host != 'a b' )", equals("$host", "a b", true)),
        ("($arg_a = \"\")", equals("$arg_a", "", false)),
        ("($http_user_agent ~* \"iphone|android\")", matches("$http_user_agent", "iphone|android", true, false)),
        ("($request_uri ~ ^/(a|b)$)", matches("$request_uri", "^/(a|b)$", false, false)),
        ("($uri !~ \\.php$)", matches("$uri", "\\.php$", false, true)),
        ("($uri !~* x)", matches("$uri", "x", true, true)),
        ("(-f $request_filename)", exists(FileKind::File, "$request_filename", false)),
        ("(!-d $request_filename)", exists(FileKind::Directory, "$request_filename", true)),
        ("(!-e /run/x)", exists(FileKind::Any, "/run/x", true)),
        ("(-x /run/x)", exists(FileKind::Executable, "/run/x", false)),
    ] {
        for form in [format!("if {text} {{ break; }}"), format!("if{text}{{break;}}")] {
            assert_eq!(one(&form), Rule::If(wanted.clone(), vec![Rule::Break]), "{form}");
        }
    }
}

#[test]
fn several_in_one_text() {
    let (all, _) = rules("set $x 'a b'; if ($x) { set $mobile 1; rewrite ^ /m last; } return 403;", &known()).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], Rule::Set("x".into(), template("a b")));
    assert!(matches!(&all[1], Rule::If(_, within) if within.len() == 2), "{all:?}");
    assert!(matches!(&all[2], Rule::Return(returned) if returned.status == 403));
    assert_eq!(one("set $args ''"), Rule::Set("args".into(), template("")));
    assert!(matches!(one("return 200 'a b'"), Rule::Return(returned) if returned.text == Some(template("a b"))));
    assert!(matches!(one("return /x"), Rule::Return(returned) if returned.status == 302));
}

#[test]
fn slips() {
    for (text, part) in [
        ("", "write a statement"),
        (";", "without a statement"),
        ("^/a", "a rewrite is a regular expression"),
        ("rewrite ^/a", "a rewrite is a regular expression"),
        ("^/a /b c d", "a rewrite is a regular expression"),
        ("^/a /b lats", "did you mean `last`?"),
        ("^/a /b always", "there are last, break"),
        ("^/( /b", "no regular expression"),
        ("^/a /$nope", "unknown variable `$nope`"),
        ("\"^/a /b", "closing \""),
        ("set $y", "`set` has a variable and its value"),
        ("set y 1", "write \"set $y\""),
        ("set $host a", "cannot be set"),
        ("break 1", "stands alone"),
        ("return", "`return` has a status"),
        ("return 99", "out of range"),
        ("return 301", "where to?"),
        ("return 200 a b", "in quotes"),
        ("if $x { break; }", "in parentheses"),
        ("if ($x { break; }", "in parentheses"),
        ("if () { break; }", "begins with a variable"),
        ("if { break; }", "in parentheses"),
        ("if ($x) break", "needs braces"),
        ("if ($x) break;", "needs braces"),
        ("if ($x = a) return 403", "needs braces"),
        ("if ($x) { break; ", "`}` of an `if` is missing"),
        ("if ($x) { break }", "lacks the `;`"),
        ("if ($x) { } }", "without its `{`"),
        ("if ($x) { if ($mobile) { break; } }", "cannot stand within"),
        ("if (x = a) { break; }", "begins with a variable"),
        ("if ($x == a) { break; }", "one `=`"),
        ("if ($x =~ a) { break; }", "behind `~`"),
        ("if ($x > a) { break; }", "unknown operator `>`"),
        ("if ($x = a b) { break; }", "a condition is"),
        ("if ($x ~ () { break; }", "no regular expression"),
        ("if (-q /x) { break; }", "unknown test `-q`"),
        ("if ($nope) { break; }", "unknown variable `$nope`"),
        ("if ($x) { proxy_pass http://a; }", "`proxy_pass` cannot stand here"),
        ("if ($x) { retrun 403; }", "did you mean `return`?"),
        ("if ($x) { ^/a /b; }", "unknown statement `^/a`"),
        ("proxy_pass http://a", "cannot stand here"),
        ("nonsense", "unknown statement"),
        ("break {", "no `{`"),
        ("}", "without its `{`"),
    ] {
        let error = rules(text, &known()).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn names_are_found() {
    assert_eq!(names_set("if ($a) { set $b 1; } set $c 2"), ["b", "c"]);
    assert!(names_set("\"set\" $b").is_empty());
    assert_eq!(names_of_groups("~^(?<user>.+)(?P<x1>a)(?'y'b)(?<=c)(?<!d)(?:e)(?i)"), ["user", "x1", "y"]);
}
