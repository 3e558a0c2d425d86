use super::*;
use crate::import::parser::parse;
use std::collections::BTreeSet;

#[test]
fn the_tables_are_well_formed() {
    let mut names = BTreeSet::new();
    for rule in TABLES.iter().flat_map(|table| table.iter()) {
        let (name, contexts) = (rule.name, rule.contexts);
        assert!(contexts == "*" || contexts.chars().all(|c| "mehslijxutvw".contains(c)), "{name}: {contexts}");
        let args = rule.args.trim_end_matches('{');
        let is_range = args == "on" || args.chars().all(|c| c.is_ascii_digit() || "+-".contains(c)) && !args.is_empty();
        assert!(is_range, "{name}: {args}");
        assert!(range(args).0 <= range(args).1, "{name}: {args}");
        let why = match rule.fate {
            Fate::Unneeded(why) | Fate::Differs(why) | Fate::Lost(why) | Fate::Guard(why) | Fate::Handler(why) => why,
            _ => "x",
        };
        assert!(!why.is_empty() && !why.ends_with('.'), "{name}: {why}");
        for letter in contexts.chars() {
            assert!(names.insert((name, letter)), "{name} stands twice for {letter}");
        }
    }
    assert!(names.len() > 1000, "{} found", names.len());
    for (_, contexts, _, families) in families::ROWS {
        assert!(contexts.chars().all(|c| "hsljxu".contains(c)) && families.chars().all(|c| "fusgm".contains(c)));
    }
}

fn said(text: &str, context: Context) -> Result<Fate, String> {
    let parsed = parse(&"f".into(), text);
    check(&parsed.directives[0], context).map(|rule| rule.fate).map_err(|mistake| mistake.message)
}

#[test]
fn directives_are_known_where_they_stand() {
    assert_eq!(said("gzip on;", Context::Http), Ok(Fate::Same(Level::Location)));
    assert_eq!(said("gzip OFF;", Context::IfInLocation), Ok(Fate::Same(Level::Location)));
    assert_eq!(said("server 127.0.0.1;", Context::Upstream), Ok(Fate::Own));
    assert_eq!(said("server { }", Context::Http), Ok(Fate::Own));
    assert!(matches!(said("fastcgi_pass a;", Context::Location), Ok(Fate::Handler(_))));
    assert!(matches!(said("uwsgi_param a b;", Context::Http), Ok(Fate::Unneeded(_))));
    assert!(matches!(said("auth_request /a;", Context::Server), Ok(Fate::Guard(_))));
    for (text, context, message) in [
        ("serer_name a;", Context::Server, "unknown directive \"serer_name\""),
        ("grpc_index a;", Context::Location, "unknown directive \"grpc_index\""),
        ("listen 80;", Context::Http, "\"listen\" directive is not allowed here"),
        ("location / { }", Context::Upstream, "\"location\" directive is not allowed here"),
        ("fastcgi_pass a;", Context::Server, "\"fastcgi_pass\" directive is not allowed here"),
        ("listen;", Context::Server, "invalid number of arguments in \"listen\" directive"),
        ("root a b;", Context::Server, "invalid number of arguments in \"root\" directive"),
        ("location / ;", Context::Server, "directive \"location\" has no opening \"{\""),
        ("listen 80 { }", Context::Server, "directive \"listen\" is not terminated by \";\""),
        ("gzip yes;", Context::Http, "invalid value \"yes\" in \"gzip\" directive, it must be \"on\" or \"off\""),
        ("ip_hash a;", Context::Upstream, "invalid number of arguments in \"ip_hash\" directive"),
    ] {
        assert_eq!(said(text, context), Err(message.to_string()), "{text}");
    }
}

/// What other modules have is no slip of the pen, but it is not here either.
#[test]
fn directives_of_other_modules_are_known_by_their_beginning() {
    assert!(matches!(said("more_set_headers 'X: y';", Context::Location), Ok(Fate::Lost(_))));
    assert!(matches!(said("auth_jwt a;", Context::Http), Ok(Fate::Guard(_))));
    assert!(matches!(said("content_by_lua_block { ngx.say(1) }", Context::Location), Ok(Fate::Handler(_))));
    assert!(matches!(said("mail { server { listen 25; } }", Context::Main), Ok(Fate::Lost(_))));
    assert!(matches!(said("health_check;", Context::Location), Ok(Fate::Lost(_))));
    let message = "unknown directive \"health_checks\"".to_string();
    assert_eq!(said("health_checks;", Context::Location), Err(message));
}
