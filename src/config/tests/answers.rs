//! `return`, `hsts`, `acme_webroot` and `proxy_set_header`.

use super::*;
use crate::config::plan::{Return, Rule};
use crate::config::template::Template;

/// From line 2 on, beneath `[[server]]`.
const SLIPS: &[Row] = &[
    (
        "return = \"moved\"",
        &["2:10: error: write a status, and a text or a URL if there is one, such as \
        \"301 https://$host$request_uri\", \"404\" or \"200 ok\""],
    ),
    ("return = 301", &["2:10: error: where to? write \"301 https://$host$request_uri\""]),
    (
        "return = 404\nhsts = \"on\"",
        &["3:8: error: \"on\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \
        \"30s\" or \"1m30s\", or \"1y\""],
    ),
    ("return = 404\nacme_webroot = \"\"", &["3:16: error: write the path of a file"]),
    (
        "return = 404\nacme_webroot = \"/var/www/.well-known/acme-challenge/\"",
        &["3:16: error: write the folder above `.well-known`, as certbot's --webroot-path has it"],
    ),
    (
        "[server.location.\"/\"]\nreturn = 404\nproxy_pass = \"http://127.0.0.1:1\"",
        &["4:14: error: `return` answers here: nothing would be passed on; leave one of them out"],
    ),
    (
        "proxy_set_header = [\"X-A: b\", \"X-B\", \"X-C $nope\", \"Host ''\"]\nreturn = 404",
        &[
            "2:21: error: no colon between name and value; write \"X-A b\"",
            "2:31: error: `X-B` has no value; write \"X-B ''\" to leave the field out",
            "2:51: error: every request has a Host; write \"Host $host\"",
        ],
    ),
    ("acme_webroot = \"/var/www\"", &["1:1: error: this server has no location: it could answer nothing"]),
    ("[server.location.\"/\"]\nhsts = \"1y\"", &["3:1: error: `hsts` belongs in [[server]]"]),
];

#[test]
fn slips() {
    let whole = |keys: &str| format!("[[server]]\n{keys}\n");
    // The list of variables is `template`'s.
    let without_variables = |errors: Vec<String>| -> Vec<String> {
        errors.into_iter().filter(|error| !error.contains("unknown variable `$nope`; there are $")).collect()
    };
    for (keys, expected) in SLIPS {
        let expected: Vec<String> = expected.iter().map(|error| format!("f:{error}")).collect();
        let found = errors(&whole(keys));
        let unknown = found.len() - expected.len();
        assert_eq!(unknown, usize::from(keys.contains("$nope")), "{found:?}");
        assert_eq!(without_variables(found), expected, "{keys}");
    }
}

fn answer(status: u16, text: Option<&str>) -> Return {
    Return { status, text: text.map(|text| Template::parse(text, &crate::config::template::Known::default()).unwrap()) }
}

#[test]
fn answers_are_planned() {
    let text = "[[server]]\nlisten = 80\nacme_webroot = \"/var/www/certbot\"\nreturn = \"301 https://$host$request_uri\"\n\
        [[server]]\nlisten = \"443 ssl\"\nssl_reject_handshake = \"on\"\nhsts = \"1y includeSubDomains\"\n\
        [server.location.\"/\"]\nreturn = 404\n[server.location.\"/a\"]\nreturn = \"200 fine\"\n";
    assert_eq!(warnings(text), [""; 0]);
    let plan = plan(text);
    let [plain, secure] = &plan.servers[..] else { panic!("two servers") };
    assert_eq!(*plain.rules, [Rule::Return(answer(301, Some("https://$host$request_uri")))]);
    assert_eq!(plain.acme_webroot, Some("/var/www/certbot".into()));
    assert_eq!((&plain.hsts, secure.hsts.as_deref()), (&None, Some("max-age=31536000; includeSubDomains")));
    assert_eq!((&**secure.rules, &secure.acme_webroot), (&[][..], &None));
    let rules: Vec<_> = secure.locations.iter().map(|location| (*location.rules).clone()).collect();
    assert_eq!(rules, [[Rule::Return(answer(404, None))], [Rule::Return(answer(200, Some("fine")))]]);
    let both = "[[server]]\nreturn = 404\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"\n";
    assert_eq!(
        warnings(both),
        ["f:3:18: warning: `return` answers every request of this server: its locations are never reached"]
    );
}

#[test]
fn fields_replace_what_was_inherited() {
    let text = "proxy_set_header = [\"X-A a\", \"X-B $host\"]\n\
        [[server]]\nlisten = 81\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n\
        [[server]]\nlisten = 82\nproxy_set_header = \"X-C $ssl_client_s_dn\"\n\
        [server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"\n\
        [server.location.\"/d\"]\nproxy_pass = \"http://127.0.0.1:1\"\nproxy_set_header = [\"Host $http_host\"]\n\
        [server.location.\"/ee\"]\nproxy_pass = \"http://127.0.0.1:1\"\nproxy_set_header = [\"Upgrade $http_upgrade\", \"Connection $connection_upgrade\", \"X-E ''\"]\n";
    let not_needed = |name: &str| {
        format!("`{name}` is not needed: connections to backends are kept open, and WebSocket passes, by themselves")
    };
    assert_eq!(
        warnings(text),
        [
            format!("f:15:21: warning: {}", not_needed("Upgrade")),
            format!("f:15:46: warning: {}", not_needed("Connection")),
        ]
    );
    let plan = plan(text);
    let fields = |server: usize| -> Vec<Vec<String>> {
        let locations = plan.servers[server].locations.iter();
        let shown = |location: &crate::config::plan::Location| {
            location.set_headers.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        locations.map(shown).collect()
    };
    assert_eq!(fields(0), [["X-A=a", "X-B=$host"]]);
    assert_eq!(fields(1), [vec!["X-C=$ssl_client_s_dn"], vec![], vec!["X-E="]]);
}
