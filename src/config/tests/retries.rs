//! What is tried again, and whose forwarded fields are believed: lists that are inherited.

use super::*;
use crate::config::plan::Retry;

/// On line 7, beneath a location.
const VALUES: &[Row] = &[
    (
        "proxy_next_upstream = \"error timout http_5xx 503 http_200 denied on off\"",
        &[
            "7:23: error: unknown word `timout`; did you mean \"timeout\"?",
            "7:23: error: statuses are named one by one; write \"http_500 http_502 http_503 http_504\"",
            "7:23: error: a status has `http_` before it; write \"http_503\"",
            "7:23: error: `http_200` is no error; write statuses from http_400 to http_599",
            "7:23: error: unknown word `denied`; there are error, timeout, invalid_header, non_idempotent, http_500, http_502, \
             http_503, http_504, http_403, http_404, http_429, other http_ statuses and off",
            "7:23: error: `on` is for [[tcp]]; write \"error timeout\", or leave it out: it is so by default",
            "7:23: error: `off` stands alone; leave the other words out",
        ],
    ),
    (
        "proxy_next_upstream = [\"error\", \"http_99999\", \"503;\"]",
        &[
            "7:33: error: `http_99999` is no error; write statuses from http_400 to http_599",
            "7:47: error: a status has `http_` before it; write \"http_503\"",
        ],
    ),
    (
        "proxy_next_upstream = \"non_idempotent\"",
        &["7:23: error: `non_idempotent` alone means nothing; write \"error timeout non_idempotent\""],
    ),
    (
        "proxy_next_upstream = []",
        &["7:23: error: write what may be tried again, such as \"error timeout\", or \"off\""],
    ),
    (
        "proxy_next_upstream_tries = \"two\"\nproxy_next_upstream_timeout = \"never\"",
        &[
            "7:29: error: \"two\" is not a number; write one from 0 to 4096",
            "8:31: error: \"never\" is not a duration; write a number and a unit (ms, s, m, h, d), such as \"30s\" or \"1m30s\", \
             or \"off\"",
        ],
    ),
    (
        "proxy_next_upstream_methods = [\"post\", \"PO ST\", \"P@\"]",
        &["7:32: error: methods are written in capitals; write \"POST\"", "7:49: error: `@` cannot stand in a method"],
    ),
    ("set_real_ip_from = \"10.0.0.0/8\"", &["7:1: error: `set_real_ip_from` belongs in [[server]]"]),
];

#[test]
fn slips() {
    assert_rows(VALUES, |text| site(GROUP, SERVER, &format!("{LOCATION}\n{text}")));
    let text = site(GROUP, SERVER, &format!("{LOCATION}\nproxy_next_upstream_methods = \"PSOT\""));
    assert_eq!(warnings(&text), ["f:7:31: warning: `PSOT` is a method that nobody knows; was \"POST\" meant?"]);
    let text = site(GROUP, "set_real_ip_from = [\"10.0.0.0/33\", \"::1\", \"10.0.0.0/8 ::1\"]", LOCATION);
    assert_eq!(
        errors(&text),
        [
            "f:4:21: error: `/33` is no length of a network; write a number from 0 to 32 behind the slash",
            "f:4:43: error: several networks are a list; write [\"10.0.0.0/8\", \"::1\"]",
        ]
    );
}

#[test]
fn retries_are_inherited() {
    let text = "proxy_next_upstream_tries = 3\nproxy_next_upstream = \"error http_503 http_502 http_503 http_520\"\n\
        [[server]]\nproxy_next_upstream_methods = \"POST PATCH\"\n\
        [server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"\n\
        [server.location.\"/a\"]\nproxy_pass = \"http://127.0.0.1:1\"\nproxy_next_upstream = \"off\"\n\
        [server.location.\"/ab\"]\nproxy_pass = \"http://127.0.0.1:1\"\n\
        proxy_next_upstream = [\"timeout\", \"invalid_header non_idempotent;\"]\n\
        proxy_next_upstream_timeout = \"1500ms\"\nproxy_next_upstream_methods = []\n\
        [[server]]\nlisten = 81\nproxy_next_upstream_tries = 0\nproxy_next_upstream_timeout = 0\n\
        location.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";
    let base =
        Retry { timeout: false, invalid_header: false, statuses: vec![502, 503, 520], tries: 3, ..Retry::default() };
    let methods = vec!["PATCH".to_string(), "POST".to_string()];
    let expected = [
        Retry { methods: methods.clone(), ..base.clone() },
        Retry { error: false, statuses: vec![], methods, ..base.clone() },
        Retry {
            error: false,
            timeout: true,
            invalid_header: true,
            non_idempotent: true,
            statuses: vec![],
            within: Some(Duration::from_millis(1500)),
            ..base.clone()
        },
    ];
    let plan = plan(text);
    let of = |server: usize| plan.servers[server].locations.iter().map(|l| (*l.retry).clone()).collect::<Vec<_>>();
    assert_eq!(of(0), expected);
    assert_eq!(of(1), [Retry { tries: 0, ..base }]);
    let plan = super::plan(ONE_SERVER);
    assert_eq!(*plan.servers[0].locations[0].retry, Retry::default());
}

#[test]
fn trusted_proxies_are_inherited() {
    let text = "set_real_ip_from = [\"10.0.0.0/8\", \"::1\"]\n\
        [[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n\
        [[server]]\nlisten = 81\nset_real_ip_from = \"192.168.3.4/16\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n\
        [[server]]\nlisten = 82\nset_real_ip_from = []\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<ipnet::IpNet>>();
    let found: Vec<_> = plan(text).servers.into_iter().map(|server| server.real_ip_from).collect();
    assert_eq!(found, [nets(&["10.0.0.0/8", "::1/128"]), nets(&["192.168.0.0/16"]), nets(&[])]);
    assert_eq!(
        warnings(text),
        ["f:6:20: warning: \"192.168.3.4/16\" is taken for the whole network \"192.168.0.0/16\""]
    );
}
