//! Host names to addresses, each name asked for once.

use crate::limits;
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

/// Asks the system, or a test's table.
pub type Lookup<'a> = &'a dyn Fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Remembers every answer, good or bad: a name may stand in many places, and a failing one costs seconds.
pub struct Resolver<'a> {
    lookup: Lookup<'a>,
    known: HashMap<String, Result<Vec<SocketAddr>, String>>,
}

impl<'a> Resolver<'a> {
    /// Nothing known yet.
    pub fn new(lookup: Lookup<'a>) -> Resolver<'a> {
        Resolver { lookup, known: HashMap::new() }
    }

    /// All addresses of a host, each once, in the system's order.
    pub fn resolve(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let lookup = self.lookup;
        let known = self.known.entry(host.to_string()).or_insert_with(|| {
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in lookup(host).map_err(said)? {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err("the name has no address".to_string()) } else { Ok(addresses) }
        });
        let mut addresses = known.clone()?;
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }
}

/// What the system's resolver says, within limits: see `bounded`.
pub fn system() -> impl Fn(&str) -> io::Result<Vec<SocketAddr>> {
    let ms = Duration::from_millis;
    let patience = Patience {
        each: ms(limits::START_LOOKUP_TIMEOUT),
        together: ms(limits::START_LOOKUPS_TIMEOUT),
        hurry: ms(limits::START_LOOKUP_HURRY),
    };
    bounded(|host| Ok((host, 0).to_socket_addrs()?.collect()), patience)
}

/// How long answers are waited for.
#[derive(Clone, Copy)]
struct Patience {
    /// One.
    each: Duration,
    /// All those that did not come; when it is used up, each gets `hurry`.
    together: Duration,
    hurry: Duration,
}

/// `lookup` on a thread of its own each time, because it cannot be interrupted. One that takes too long counts as not resolved; its
/// thread ends when the system gives up.
fn bounded<F>(lookup: F, patience: Patience) -> impl Fn(&str) -> io::Result<Vec<SocketAddr>>
where
    F: Fn(&str) -> io::Result<Vec<SocketAddr>> + Copy + Send + 'static,
{
    let left = Cell::new(patience.together);
    move |host| {
        let (answer, answered) = mpsc::sync_channel(1);
        let name = host.to_string();
        std::thread::Builder::new().name("lookup".to_string()).spawn(move || {
            // Nobody waits any more: then nobody minds.
            let _ = answer.send(lookup(&name));
        })?;
        let limit = patience.each.min(left.get()).max(patience.hurry);
        match answered.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                left.set(left.get().saturating_sub(limit));
                Err(io::Error::other(format!("no answer within {} s", limit.as_secs_f32())))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(io::Error::other("the lookup made a mistake")),
        }
    }
}

/// The resolver's own words, without what the standard library puts before them.
fn said(error: io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_string)
}

/// Whether a connection to `peer` would end at `listener`.
pub fn reaches(peer: SocketAddr, listener: SocketAddr) -> bool {
    let same_family = peer.is_ipv4() == listener.is_ipv4();
    let ip: IpAddr = listener.ip();
    same_family && peer.port() == listener.port() && (peer.ip() == ip || ip.is_unspecified() && peer.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A resolver that knows two names, and is silent about others until it is told to end.
    struct Silent(Mutex<bool>, Condvar);

    impl Silent {
        fn lookup(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
            match host {
                "known" => Ok(vec![SocketAddr::from(([192, 0, 2, 1], 0))]),
                "refused" => Err(io::Error::other("no such name")),
                "mistaken" => panic!("a mistake in the system's library (this line is expected)"),
                _ => {
                    let guard = self.0.lock().expect("nobody panics with it");
                    drop(self.1.wait_while(guard, |ended| !*ended).expect("nobody panics with it"));
                    Ok(vec![SocketAddr::from(([192, 0, 2, 2], 0))])
                }
            }
        }

        fn end(&self) {
            *self.0.lock().expect("nobody panics with it") = true;
            self.1.notify_all();
        }
    }

    #[test]
    fn a_silent_resolver_costs_a_bounded_time() {
        static SILENT: Silent = Silent(Mutex::new(false), Condvar::new());
        // No test waits for `each` of an answer that comes; those that do not come take 25 ms twice, then 1 ms.
        let patience = Patience { each: ms(25), together: ms(50), hurry: ms(1) };
        let lookup = bounded(|host| SILENT.lookup(host), patience);
        let mut resolver = Resolver::new(&lookup);
        let text = |resolver: &mut Resolver, host: &str| resolver.resolve(host, 80).expect_err("it is silent");
        assert_eq!(text(&mut resolver, "a"), "no answer within 0.025 s");
        assert_eq!(text(&mut resolver, "b"), "no answer within 0.025 s");
        for _ in 0..3 {
            assert_eq!(text(&mut resolver, "c"), "no answer within 0.001 s");
        }
        assert_eq!(text(&mut resolver, "d"), "no answer within 0.001 s");
        SILENT.end();
        assert_eq!(text(&mut resolver, "a"), "no answer within 0.025 s", "remembered, whatever came later");
    }

    #[test]
    fn answers_come_through_the_thread() {
        static SILENT: Silent = Silent(Mutex::new(false), Condvar::new());
        let patience = Patience { each: ms(60_000), together: ms(60_000), hurry: ms(60_000) };
        let lookup = bounded(|host| SILENT.lookup(host), patience);
        let mut resolver = Resolver::new(&lookup);
        assert_eq!(resolver.resolve("known", 80), Ok(vec![SocketAddr::from(([192, 0, 2, 1], 80))]));
        assert_eq!(resolver.resolve("refused", 80), Err("no such name".to_string()));
        assert_eq!(resolver.resolve("mistaken", 80), Err("the lookup made a mistake".to_string()));
        SILENT.end();
        assert_eq!(resolver.resolve("late", 1), Ok(vec![SocketAddr::from(([192, 0, 2, 2], 1))]));
    }

    #[test]
    fn the_system_knows_itself() {
        let lookup = system();
        let local = Resolver::new(&lookup).resolve("localhost", 80).expect("it is in /etc/hosts");
        assert!(local.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(Resolver::new(&lookup).resolve("127.0.0.1", 80), Ok(vec![SocketAddr::from(([127, 0, 0, 1], 80))]));
    }
}
