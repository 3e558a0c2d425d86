//! The prober where it lives, on tokio-uring, with checks of real sockets.

use super::support::PATIENCE;
use ringgate::config::plan::Address;
use ringgate::control::prober::{Prober, Target};
use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

/// A server that comes back is noticed by a look that then ends.
#[test]
fn a_server_that_comes_back_is_noticed() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    tokio_uring::start(async move {
        let verdicts = Rc::new(RefCell::new(Vec::new()));
        let seen = verdicts.clone();
        let prober = Rc::new(Prober::new(move |key: &&str, verdict, _| seen.borrow_mut().push((*key, verdict))));
        tokio_uring::spawn(prober.clone().run());
        prober.add(Target::recovery("a", vec![Address::Tcp(port)]));
        until(|| !verdicts.borrow().is_empty()).await;
        assert_eq!(verdicts.borrow()[0], ("a", Err("connection refused".to_owned())));
        let _listener = TcpListener::bind(port).expect("nobody else took it");
        until(|| verdicts.borrow().contains(&("a", Ok(())))).await;
        assert!(prober.remove(&"a") && !prober.remove(&"a"));
    });
}

async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it happens soon");
}
