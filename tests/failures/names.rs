//! Names of servers, asked of a name server of our own.

use super::load::{Load, expect_good};
use super::process::Process;
use super::support::server::free_port;
use super::support::{Ringgate, Setup, wait_until};
use super::{GETS, get};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Seconds that an answer counts.
const TTL: u32 = 1;

#[derive(Default)]
struct Zone {
    addresses: Mutex<BTreeMap<String, Vec<Ipv4Addr>>>,
    questions: AtomicUsize,
    silent: AtomicBool,
    /// Milliseconds before each answer.
    delay: AtomicU64,
    ended: AtomicBool,
}

/// A name server on 127.0.0.1 that knows A records only.
pub struct NameServer {
    zone: Arc<Zone>,
    pub place: SocketAddr,
}

impl NameServer {
    pub fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket option");
        let (zone, place) = (Arc::new(Zone::default()), socket.local_addr().expect("bound"));
        std::thread::spawn({
            let zone = zone.clone();
            move || {
                let mut question = [0; 1500];
                while !zone.ended.load(SeqCst) {
                    let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                    zone.questions.fetch_add(1, SeqCst);
                    let answer = zone.answer(&question[..length]).filter(|_| !zone.silent.load(SeqCst));
                    if let Some(answer) = answer {
                        std::thread::sleep(Duration::from_millis(zone.delay.load(SeqCst)));
                        let _ = socket.send_to(&answer, from);
                    }
                }
            }
        });
        NameServer { zone, place }
    }

    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.zone.addresses.lock().expect("nobody panicked").insert(name.to_owned(), addresses);
    }

    /// Answers no question any more.
    pub fn fall_silent(&self) {
        self.zone.silent.store(true, SeqCst);
    }

    /// Lets the asker wait for each answer from now on.
    pub fn delay(&self, milliseconds: u64) {
        self.zone.delay.store(milliseconds, SeqCst);
    }

    fn questions(&self) -> usize {
        self.zone.questions.load(SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.zone.ended.store(true, SeqCst);
    }
}

impl Zone {
    /// RFC 1035: the header and the first question again, with flags, and an A record for each address.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*question.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let is_a = question.get(at..at + 2)? == [0, 1];
        let known = self.addresses.lock().expect("nobody panicked").get(&labels.join(".")).cloned();
        let code = if known.is_some() { 0 } else { 3 };
        let addresses = known.filter(|_| is_a).unwrap_or_default();
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).ok()?, 0, 0, 0, 0]);
        answer.extend(question.get(12..at + 4)?);
        for address in addresses {
            answer.extend([0xc0, 12, 0, 1, 0, 1]);
            answer.extend(TTL.to_be_bytes());
            answer.extend([0, 4]);
            answer.extend(address.octets());
        }
        Some(answer)
    }
}

/// A configuration that asks this name server.
pub fn named(names: &NameServer, list: &str) -> Setup {
    let setup = Setup::new().top(&format!("resolver = \"{}\"", names.place)).upstream_list("app", list, "");
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")])
}

#[track_caller]
fn with_names(names: &NameServer, list: &str) -> Ringgate {
    named(names, list).start()
}

/// The same port of two addresses.
#[track_caller]
pub fn twins() -> (u16, [Process; 2]) {
    let port = free_port();
    let on = |name, host: &str| Process::on(name, "http", &format!("{host}:{port}"));
    (port, [on("a", "127.0.0.1"), on("b", "127.0.0.2")])
}

/// Row 6: "one unresolved name stops the whole server at boot". It starts, says which name, and the rest serves.
#[test]
fn row_06_an_unresolved_name_does_not_stop_the_start() {
    let names = NameServer::start();
    let (port, backends) = twins();
    let ringgate = with_names(&names, &format!("\"late.test:{port}\", \"{}\"", backends[1].place));
    expect_good(&Load::run(ringgate.place(), GETS, 10), "one name is unknown");
    let name = format!("late.test:{port}");
    let (state, why) = ringgate.status().state(&name);
    assert_eq!(state, "unresolved");
    assert!(!why.is_empty(), "it does not say why");
    ringgate.expect_log("late.test");
    // It is asked again, and used when it is known.
    names.set("late.test", &["127.0.0.1"]);
    wait_until("the name is known", || get(&ringgate) == 200 && backends[0].got() > 0);
    assert_eq!(ringgate.status().state(&name).0, "up");
}

/// The only name is unknown: it still starts, and answers with a page at once.
#[test]
fn row_06_with_no_server_at_all_there_is_a_page() {
    let names = NameServer::start();
    let (port, backends) = twins();
    let ringgate = with_names(&names, &format!("\"late.test:{port}\""));
    let mut client = ringgate.client();
    client.set_read_timeout(Duration::from_secs(3));
    let answer = client.get("/");
    assert!([502, 503].contains(&answer.status()) && answer.reason().is_some(), "{}", answer.start);
    names.set("late.test", &["127.0.0.1"]);
    wait_until("the name is known", || get(&ringgate) == 200);
    assert!(backends[0].got() > 0);
}

/// Row 7: "a changing A record gives intermittent no live upstreams". It moves between two addresses and to both, under load,
/// without an error.
#[test]
fn row_07_a_changing_address_gives_no_error() {
    let names = NameServer::start();
    let (port, backends) = twins();
    names.set("app.test", &["127.0.0.1"]);
    let ringgate = with_names(&names, &format!("\"app.test:{port}\""));
    let load = Load::start(ringgate.place(), super::Clients { gets: 4, posts: 2 });
    wait_until("the first address is used", || backends[0].got() > 50);
    assert_eq!(backends[1].got(), 0);
    for (to, also) in [(1, None), (0, None), (1, Some("127.0.0.1")), (0, None)] {
        let addresses: Vec<&str> = also.into_iter().chain([["127.0.0.1", "127.0.0.2"][to]]).collect();
        names.set("app.test", &addresses);
        let before = backends[to].got();
        wait_until("the new address is used", || backends[to].got() > before + 50);
        if also.is_none() {
            let mut last = usize::MAX;
            wait_until("the old address is left", || {
                load.expect_more(60);
                let now = backends[1 - to].got();
                std::mem::replace(&mut last, now) == now
            });
        }
    }
    expect_good(&load.finish(10), "while addresses change");
}

/// A name server that is silent, or knows the name no more for a moment, takes nothing away: the last good answer counts.
#[test]
fn a_failing_resolver_keeps_the_last_answer() {
    let names = NameServer::start();
    let (port, backends) = twins();
    names.set("app.test", &["127.0.0.1", "127.0.0.2"]);
    let ringgate = with_names(&names, &format!("\"app.test:{port}\""));
    expect_good(&Load::run(ringgate.place(), GETS, 10), "both addresses");
    assert!(backends.iter().all(|backend| backend.got() > 0), "all addresses of a name are used");
    names.fall_silent();
    let asked = names.questions() + 2;
    wait_until("it has been asked in vain", || names.questions() >= asked);
    let before = backends.each_ref().map(Process::got);
    expect_good(&Load::run(ringgate.place(), GETS, 20), "with a silent resolver");
    assert!((0..2).all(|i| backends[i].got() > before[i]), "both addresses are still used");
}
