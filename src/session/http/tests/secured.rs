//! Backends by TLS, when buffers are short.

use super::*;
use crate::limits::EXCHANGE_BUFFERS;
use crate::tls::Terms;

fn house(proxy_pass: &str) -> House {
    let text = format!(
        r#"
        [upstream.backend]
        server = ["127.0.0.1:3001"]
        [[server]]
        listen = "127.0.0.1:8080"
        [server.location."/"]
        proxy_pass = "{proxy_pass}"
        proxy_ssl_verify = "off"
        proxy_connect_timeout = "2s"
    "#
    );
    let plan = Arc::new(config::load_str("test.toml", &text).expect("a good configuration").plan);
    let driver = Scripted::new(1, Faults::default());
    let reactor = Reactor::new(driver.clone(), 10 * EXCHANGE_BUFFERS, 4);
    let stats = Arc::new(Stats::new(&plan, 1));
    let terms = Arc::new(Terms::load(&plan, &Arc::default(), None).expect("good terms").0);
    let site = Site::new(plan, terms, 1, &|_| None, None);
    let upstreams = Rc::new(Upstreams::new(reactor.clone(), &site, 0).expect("plain addresses"));
    reactor.spawn(upstreams.clone().tend());
    let (log, _) = log::channel(log::Level::Info);
    let cx = Rc::new(Context::new(reactor.clone(), upstreams, stats.clone(), 0, log));
    House { driver, reactor, cx, stats }
}

/// As many requests at once as there are buffers for: each has its own, and waits for no other's.
#[test]
fn exchanges_that_have_their_buffers_wait_for_no_others() {
    for proxy_pass in ["http://backend", "https://backend"] {
        let house = house(proxy_pass);
        let clients: Vec<_> = (0..10)
            .map(|_| {
                let client = house.client();
                house.driver.world().feed(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                client
            })
            .collect();
        let backends: Vec<_> = (0..10).map(|_| house.backend()).collect();
        let spoken = |house: &House| backends.iter().filter(|&&b| !house.sent(b).is_empty()).count();
        let refused = |house: &House| clients.iter().filter(|&&c| !house.sent(c).is_empty()).count();
        house.until("a word to a backend, or a refusal", |house| spoken(house) == 10 || refused(house) > 0);
        assert_eq!((spoken(&house), refused(&house)), (10, 0), "{proxy_pass}");
        clients.iter().for_each(|&client| house.driver.world().break_off(client, libc::ECONNRESET));
    }
}
