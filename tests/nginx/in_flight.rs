//! `limit_conn` counts what is being answered: a list of requests, one after the other, cannot show that.

use super::run::Sides;
use super::support::backend::ok;
use super::support::{Backend, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const CONF: &str = r#"
limit_conn_zone $arg_k zone=plain:1m;
limit_conn_zone $arg_k zone=status:1m;
limit_conn_zone $server_name zone=all:1m;
server {
    listen 127.0.0.1:{port};
    server_name example.test;
    limit_conn_log_level notice;
    location /one { limit_conn plain 1; proxy_pass http://127.0.0.1:{echo}; }
    location /two { limit_conn plain 2; proxy_pass http://127.0.0.1:{echo}; }
    location /status { limit_conn status 1; limit_conn_status 429; proxy_pass http://127.0.0.1:{echo}; }
    location /dry { limit_conn plain 1; limit_conn_dry_run on; proxy_pass http://127.0.0.1:{echo}; }
    location /both { limit_conn plain 5; limit_conn all 1; proxy_pass http://127.0.0.1:{echo}; }
    location /return { limit_conn plain 1; return 200 "not limited"; }
}
"#;

#[test]
fn requests_in_flight_are_counted_by_their_key() {
    let open = Arc::new(AtomicBool::new(false));
    let backend = Backend::script({
        let open = open.clone();
        move |conn| {
            while let Some(request) = conn.request() {
                if request.target().contains("hold") {
                    wait_until("what is held may go on", || open.load(SeqCst));
                }
                if !conn.send(ok("done")) {
                    return;
                }
            }
        }
    });
    let Some(sides) = Sides::start("in_flight", CONF, backend.place()) else { return };
    for side in sides.all() {
        let statuses =
            |targets: &[&str]| -> Vec<u16> { targets.iter().map(|t| side.client().get(t).status()).collect() };
        let hold = |target: &str| {
            let before = backend.requests();
            let mut client = side.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: example.test\r\n\r\n"));
            wait_until("the backend holds it", || backend.requests() > before);
            client
        };
        let name = side.name;
        let mut held = hold("/one?k=a&hold");
        assert_eq!(
            statuses(&["/one?k=a", "/one?k=b", "/one?k=a", "/one?k=", "/one"]),
            [503, 200, 503, 200, 200],
            "{name}"
        );
        assert_eq!(statuses(&["/two?k=a", "/dry?k=a", "/return?k=a", "/status?k=a"]), [200; 4], "{name}");
        let mut second = hold("/two?k=a&hold");
        assert_eq!(statuses(&["/two?k=a", "/two?k=b"]), [503, 200], "{name}");
        let mut third = hold("/status?k=a&hold");
        assert_eq!(statuses(&["/status?k=a", "/status?k=b"]), [429, 200], "{name}");
        let mut fourth = hold("/both?k=c&hold");
        assert_eq!(statuses(&["/both?k=c", "/both?k=d", "/one?k=c"]), [503, 503, 503], "{name}");
        open.store(true, SeqCst);
        for client in [&mut held, &mut second, &mut third, &mut fourth] {
            assert_eq!(client.response().status(), 200, "{name}");
        }
        wait_until("none is counted any more", || statuses(&["/one?k=a", "/status?k=a", "/both?k=c"]) == [200; 3]);
        open.store(false, SeqCst);
    }
}
