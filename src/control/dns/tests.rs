//! Names against a name server that says what it is told to, on the runtime that the control plane has.

use super::lookup::{Family, Files};
use super::*;
use name_server::{A, AAAA, EMPTY, NXDOMAIN, NameServer, REFUSED, Reply, SERVFAIL, address_of, addresses, alias};
use std::net::SocketAddr;
use std::time::Instant;

#[path = "../../../tests/support/name_server.rs"]
#[allow(dead_code)] // the tests of whole processes use the rest of it
mod name_server;

mod rules;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Short pauses, and so much time for a lookup that only a silent server uses it up.
const PACE: Pace = Pace {
    ttl: (Duration::from_millis(10), Duration::from_secs(300)),
    without_ttl: Duration::from_millis(10),
    retry: (Duration::from_millis(5), Duration::from_millis(20)),
    lookup: Duration::from_secs(20),
    other_family: Duration::from_secs(20),
};

/// The same for tests of silence.
const IMPATIENT: Pace = Pace { lookup: Duration::from_millis(150), other_family: Duration::from_millis(40), ..PACE };

/// As the control plane does it.
fn on_the_control_thread(test: impl Future<Output = ()>) {
    let runtime = tokio_uring::Runtime::new(tokio_uring::builder().entries(limits::CONTROL_RING_ENTRIES));
    runtime.expect("an io_uring").block_on(test);
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(ms(2)).await;
    }
}

/// Names, and a line for each event.
struct Watched {
    names: Names,
    log: Rc<RefCell<Vec<String>>>,
}

impl Watched {
    fn new(servers: &[&NameServer], pace: Pace) -> Watched {
        let servers = servers.iter().map(|server| server.address).collect();
        Watched::with(&plan::Resolver { servers, valid: None }, Files::default(), pace)
    }

    fn with(resolver: &plan::Resolver, files: Files, pace: Pace) -> Watched {
        let log = Rc::new(RefCell::new(Vec::new()));
        let lines = log.clone();
        let names = Names::with(resolver, files, pace, move |event| {
            lines.borrow_mut().push(match event {
                Event::Changed { name, addresses } => format!("{name} = {addresses:?}"),
                Event::Trouble { name, why } => format!("{name} ! {why}"),
                Event::Recovered { name } => format!("{name} ok"),
            });
        });
        Watched { names, log }
    }

    fn set(&self, hosts: &[&str]) {
        self.names.set_hosts(hosts.iter().map(|name| (name.to_string(), Vec::new())).collect());
    }

    fn addresses(&self, name: &str) -> String {
        format!("{:?}", self.names.state(name).expect("it is looked after").addresses)
    }

    fn error(&self, name: &str) -> Option<String> {
        self.names.state(name).expect("it is looked after").last_error
    }

    fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    async fn until_logged(&self, lines: &[&str]) {
        until(&format!("{lines:?}"), || self.log.borrow().len() >= lines.len()).await;
        assert_eq!(self.log(), lines);
        self.log.borrow_mut().clear();
    }
}

/// So many more questions for a name, so that something that would happen has happened.
async fn asked_again(server: &NameServer, name: &str, times: usize) {
    let before = server.asked_for(name);
    until("it is asked again", || server.asked_for(name) >= before + times).await;
}

#[test]
fn addresses_change_and_order_is_no_change() {
    on_the_control_thread(async {
        let server = NameServer::start();
        server.says("a.test", addresses(0, &["192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.1"]));
        let watched = Watched::new(&[&server], PACE);
        watched.set(&["a.test"]);
        watched.until_logged(&["a.test = [192.0.2.1, 192.0.2.2, 2001:db8::1]"]).await;
        for order in [["192.0.2.1", "2001:db8::1", "192.0.2.2"], ["2001:db8::1", "192.0.2.2", "192.0.2.1"]] {
            server.says("a.test", addresses(0, &order));
            asked_again(&server, "a.test", 6).await;
        }
        assert_eq!(watched.log(), [""; 0]);
        server.says("a.test", addresses(0, &["192.0.2.3", "192.0.2.1"]));
        watched.until_logged(&["a.test = [192.0.2.1, 192.0.2.3]"]).await;
        let state = watched.names.state("a.test").expect("it is looked after");
        assert!(state.last_error.is_none() && state.resolved_at.is_some());
    });
}

#[test]
fn a_ttl_is_kept() {
    on_the_control_thread(async {
        let server = NameServer::start();
        server.says("short.test", addresses(0, &["192.0.2.1"]));
        server.says("long.test", addresses(300, &["192.0.2.1"]));
        // The alias' own TTL counts, too.
        server.says("alias.test", Reply::Records(vec![alias("", 300, "x.test"), address_of("x.test", 0, "192.0.2.9")]));
        server
            .says("alias2.test", Reply::Records(vec![alias("", 0, "x.test"), address_of("x.test", 300, "192.0.2.9")]));
        let watched = Watched::new(&[&server], PACE);
        watched.set(&["short.test", "long.test", "alias.test", "alias2.test"]);
        for name in ["short.test", "alias.test", "alias2.test"] {
            asked_again(&server, name, 20).await;
        }
        assert_eq!(server.asked_for("long.test"), 2, "A and AAAA, once");
    });
}

/// What a name server may say, and what is said of it. `{}` stands for its address.
fn troubles() -> Vec<(&'static str, Reply, &'static str)> {
    let answer = || Box::new(addresses(0, &["192.0.2.66"]));
    let poison = Reply::Records(vec![address_of("other.test", 0, "192.0.2.66")]);
    let circle = Reply::Records(vec![alias("", 0, "b.test"), alias("b.test", 0, "a.test")]);
    let header = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    let question = [&header[..], b"\x01a\x04test\0\0\x01\0\x01"].concat();
    let cut_record = [&question[..], b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\xc0"].concat();
    let pointer_to_itself = [&header[..], b"\xc0\x0c\0\x01\0\x01"].concat();
    vec![
        ("NXDOMAIN", NXDOMAIN, "the name does not exist"),
        ("no record", EMPTY, "the name has no address"),
        (
            "NXDOMAIN and silence",
            Reply::For(A, Box::new(NXDOMAIN), Box::new(Reply::Silence)),
            "the name does not exist",
        ),
        ("SERVFAIL", SERVFAIL, "name server {} says: Server Failure"),
        ("REFUSED", REFUSED, "name server {} says: Query Refused"),
        ("SERVFAIL for one", Reply::For(A, Box::new(SERVFAIL), Box::new(EMPTY)), "name server {} says: Server Failure"),
        ("silence", Reply::Silence, "no answer from name server {}"),
        ("another name's address", poison, "the name has no address"),
        ("an answer to another question", Reply::AsIfAsked("other.test", answer()), "no answer from name server {}"),
        ("cut off, and nothing by TCP", Reply::CutOff(Box::new(Reply::Silence)), "no answer from name server {}"),
        ("aliases in a circle", circle, ""),
        ("an alias of itself", Reply::Records(vec![alias("", 0, "a.test")]), ""),
        ("an alias of nothing", Reply::Records(vec![alias("", 0, "nothing.test")]), "the name does not exist"),
        ("two bytes", Reply::Raw(Vec::new()), ""),
        ("a header without its question", Reply::Raw(header.to_vec()), ""),
        ("a record that breaks off", Reply::Raw(cut_record), ""),
        ("a pointer to itself", Reply::Raw(pointer_to_itself), ""),
        ("all ones", Reply::Raw(vec![0xff; 700]), ""),
    ]
}

#[test]
fn trouble_is_told_once_and_the_last_answer_stays() {
    for (what, reply, said) in troubles() {
        on_the_control_thread(async {
            let server = NameServer::start();
            server.says("a.test", addresses(0, &["192.0.2.1"]));
            // Time-outs of a busy machine must not be mistaken for what a reply does that is none.
            let silent = said.is_empty() || said.starts_with("no answer") || what.contains("silence");
            let watched = Watched::new(&[&server], if silent { IMPATIENT } else { PACE });
            watched.set(&["a.test"]);
            until(what, || watched.addresses("a.test") == "[192.0.2.1]").await;
            watched.log.borrow_mut().clear();
            server.says("a.test", reply);
            until(what, || !watched.log.borrow().is_empty()).await;
            asked_again(&server, "a.test", 6).await;
            let log = watched.log();
            assert_eq!(log.len(), 1, "{what}: {log:?}");
            let said = said.replace("{}", &server.address.to_string());
            assert!(log[0].starts_with(&format!("a.test ! {said}")), "{what}: {log:?}");
            assert_eq!(watched.addresses("a.test"), "[192.0.2.1]", "{what}");
            assert!(watched.error("a.test").is_some(), "{what}");
            server.says("a.test", addresses(0, &["192.0.2.1"]));
            until(what, || watched.error("a.test").is_none()).await;
            assert_eq!(watched.log()[1], "a.test ok", "{what}: {:?}", watched.log());
            assert_eq!(watched.addresses("a.test"), "[192.0.2.1]", "{what}");
        });
    }
}

#[test]
fn a_server_dies_and_comes_back() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let address = server.address;
        server.says("a.test", addresses(0, &["192.0.2.1"]));
        let watched = Watched::new(&[&server], Pace { lookup: ms(1000), ..PACE });
        watched.set(&["a.test"]);
        watched.until_logged(&["a.test = [192.0.2.1]"]).await;
        drop(server);
        until("trouble", || !watched.log.borrow().is_empty()).await;
        assert!(watched.log()[0].starts_with("a.test ! "), "{:?}", watched.log());
        assert_eq!(watched.addresses("a.test"), "[192.0.2.1]");
        watched.log.borrow_mut().clear();
        let server = NameServer::start_at(address);
        server.says("a.test", addresses(0, &["192.0.2.2"]));
        until("recovery", || watched.addresses("a.test") == "[192.0.2.2]").await;
        let log = watched.log();
        assert_eq!(log[log.len() - 2..], ["a.test ok", "a.test = [192.0.2.2]"]);
    });
}

#[test]
fn a_name_comes_into_being() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let watched = Watched::new(&[&server], PACE);
        watched.set(&["a.test"]);
        watched.until_logged(&["a.test ! the name does not exist"]).await;
        let state = watched.names.state("a.test").expect("it is looked after");
        assert_eq!((state.addresses, state.resolved_at), (Vec::new(), None));
        asked_again(&server, "a.test", 6).await;
        server.says("a.test", addresses(0, &["2001:db8::7"]));
        watched.until_logged(&["a.test ok", "a.test = [2001:db8::7]"]).await;
    });
}

#[test]
fn one_family_suffices_and_the_other_is_not_forgotten() {
    let both = || Box::new(addresses(0, &["192.0.2.1", "2001:db8::1"]));
    for broken in [Reply::Silence, SERVFAIL, Reply::Raw(vec![0x81])] {
        on_the_control_thread(async {
            let server = NameServer::start();
            server.says("new.test", Reply::For(AAAA, Box::new(broken.clone()), both()));
            server.says("known.test", *both());
            let watched = Watched::new(&[&server], Pace { other_family: ms(250), ..PACE });
            watched.set(&["known.test"]);
            watched.until_logged(&["known.test = [192.0.2.1, 2001:db8::1]"]).await;
            server
                .says("known.test", Reply::For(AAAA, Box::new(broken.clone()), Box::new(addresses(0, &["192.0.2.2"]))));
            watched.until_logged(&["known.test = [192.0.2.2, 2001:db8::1]"]).await;
            watched.set(&["new.test"]);
            watched.until_logged(&["new.test = [192.0.2.1]"]).await;
        });
    }
}

#[test]
fn aliases_are_followed_and_poison_is_not() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let chain = [alias("", 0, "b.test"), alias("b.test", 0, "c.test"), address_of("c.test", 0, "192.0.2.3")];
        server.says("in-one.test", Reply::Records(chain.to_vec()));
        // The library wants aliases before what they stand for, and asks on where they are not.
        server.says("b.test", Reply::Records(vec![alias("", 0, "c.test")]));
        server.says("c.test", addresses(0, &["192.0.2.3"]));
        server.says("backwards.test", Reply::Records(chain.iter().rev().cloned().collect()));
        server.says("in-steps.test", Reply::Records(vec![alias("", 0, "step.test")]));
        server.says("step.test", Reply::Records(vec![alias("", 0, "last.test")]));
        server.says("last.test", addresses(0, &["192.0.2.4"]));
        let mut poisoned = chain.to_vec();
        poisoned.insert(0, address_of("victim.test", 0, "192.0.2.66"));
        poisoned.push(address_of("test", 0, "192.0.2.66"));
        server.says("poisoned.test", Reply::Records(poisoned));
        server.says("victim.test", addresses(0, &["192.0.2.5"]));
        let watched = Watched::new(&[&server], PACE);
        let expected = [
            ("in-one.test", "[192.0.2.3]"),
            ("backwards.test", "[192.0.2.3]"),
            ("in-steps.test", "[192.0.2.4]"),
            ("poisoned.test", "[192.0.2.3]"),
            ("victim.test", "[192.0.2.5]"),
        ];
        watched.set(&expected.map(|(name, _)| name));
        for (name, found) in expected {
            asked_again(&server, name, 4).await;
            assert_eq!(watched.addresses(name), found, "{name}: {:?}", watched.error(name));
        }
        assert_eq!(watched.log().len(), expected.len(), "{:?}", watched.log());
    });
}

#[test]
fn a_long_answer_comes_by_tcp() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let many: Vec<String> = (0..100).rev().map(|n| format!("192.0.2.{n}")).collect();
        let texts: Vec<&str> = many.iter().map(String::as_str).collect();
        server.says("many.test", addresses(0, &texts));
        server.says("few.test", Reply::CutOff(Box::new(addresses(0, &["192.0.2.1"]))));
        let watched = Watched::new(&[&server], PACE);
        watched.set(&["many.test", "few.test"]);
        until("both are found", || watched.log.borrow().len() == 2).await;
        let found = watched.names.state("many.test").expect("it is looked after").addresses;
        assert_eq!(found, (0..100).map(|n| IpAddr::from([192, 0, 2, n])).collect::<Vec<_>>());
        assert_eq!(watched.addresses("few.test"), "[192.0.2.1]");
        let asked = server.asked();
        for name in ["many.test", "few.test"] {
            assert!(asked.iter().any(|q| q.tcp && q.kind == A && q.name == name), "{name}");
        }
        // Again and again over a connection that the server may have closed meanwhile.
        asked_again(&server, "many.test", 10).await;
        assert_eq!(watched.log().len(), 2, "{:?}", watched.log());
    });
}

#[test]
fn more_addresses_than_anybody_has_are_cut() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let many: Vec<String> = (0..600).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        server.says("a.test", addresses(0, &many.iter().map(String::as_str).collect::<Vec<_>>()));
        let watched = Watched::new(&[&server], PACE);
        watched.set(&["a.test"]);
        until("it is found", || !watched.log.borrow().is_empty()).await;
        let found = watched.names.state("a.test").expect("it is looked after").addresses;
        assert_eq!(found.len(), limits::DNS_ADDRESSES_MAX);
    });
}

#[test]
fn the_next_server_is_asked() {
    for (what, reply) in [("silent", Some(Reply::Silence)), ("failing", Some(SERVFAIL)), ("dead", None)] {
        on_the_control_thread(async {
            let (first, second) = (NameServer::start(), NameServer::start());
            second.says("a.test", addresses(0, &["192.0.2.1"]));
            let watched = Watched::new(&[&first, &second], Pace { lookup: ms(2000), ..PACE });
            let _first = reply.map(|reply| {
                first.says("a.test", reply);
                first
            });
            watched.set(&["a.test"]);
            asked_again(&second, "a.test", 4).await;
            until(what, || watched.addresses("a.test") == "[192.0.2.1]").await;
            assert_eq!(watched.log(), ["a.test = [192.0.2.1]"], "{what}");
        });
    }
}

#[test]
fn the_servers_no_is_believed() {
    on_the_control_thread(async {
        let (first, second) = (NameServer::start(), NameServer::start());
        second.says("a.test", addresses(0, &["192.0.2.66"]));
        let watched = Watched::new(&[&first, &second], PACE);
        watched.set(&["a.test"]);
        asked_again(&first, "a.test", 6).await;
        assert_eq!(watched.log(), ["a.test ! the name does not exist"]);
        assert_eq!(second.asked(), []);
    });
}

#[test]
fn odd_names_never_reach_the_network() {
    let (long_label, long_name) = ("x".repeat(64), format!("{}test", "label.".repeat(50)));
    let very_long_label = "x".repeat(300);
    let refused = [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "a b",
        "a/b",
        "a\0b",
        "b\u{fc}cher.test",
        "*.test",
        "a.1",
        "127.1",
        "1.2.3.999",
        "[::1]",
        "a\\.b",
        "\\097.test",
        "fe80::1%lo",
        &long_label,
        &long_name,
        &very_long_label,
    ];
    let known = [
        ("192.0.2.7", "[192.0.2.7]"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("x.localhost", "[127.0.0.1, ::1]"),
        ("localhost.", "[127.0.0.1, ::1]"),
    ];
    on_the_control_thread(async {
        let server = NameServer::start();
        let resolver = plan::Resolver { servers: vec![server.address], valid: None };
        let files = Files { hosts: "/dev/null".into(), resolv_conf: "/dev/null".into() };
        let watched = Watched::with(&resolver, files, PACE);
        watched.set(&[&refused[..], &known.map(|(name, _)| name)].concat());
        until("all are looked up", || watched.log.borrow().len() == refused.len() + known.len()).await;
        for name in refused {
            assert_eq!(watched.error(name).as_deref(), Some("not a name that can be looked up"), "{name:?}");
        }
        for (name, found) in known {
            assert_eq!(watched.addresses(name), found);
        }
        assert_eq!(server.asked(), []);
    });
}

#[test]
fn names_with_odd_but_usual_letters_are_asked_for() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let usual =
            ["_sip._tcp.a.test", "a-b.test", "xn--bcher-kva.test", "3com.test", "1.test", "single", &"x".repeat(63)];
        usual.iter().for_each(|name| server.says(name, addresses(0, &["192.0.2.1"])));
        let watched = Watched::new(&[&server], PACE);
        watched.set(&[&usual[..], &["dotted.test."]].concat());
        server.says("dotted.test", addresses(0, &["192.0.2.1"]));
        for name in usual.iter().chain(&["dotted.test."]) {
            until(name, || watched.addresses(name) == "[192.0.2.1]").await;
        }
    });
}

#[test]
fn names_come_and_go() {
    on_the_control_thread(async {
        let (server, other) = (NameServer::start(), NameServer::start());
        for name in ["stays.test", "goes.test", "comes.test"] {
            server.says(name, addresses(300, &["192.0.2.1"]));
            other.says(name, addresses(300, &["192.0.2.2"]));
        }
        let watched = Watched::new(&[&server], PACE);
        watched.set(&["stays.test", "goes.test"]);
        until("both are found", || watched.log.borrow().len() == 2).await;
        watched.log.borrow_mut().clear();
        watched.set(&["stays.test", "comes.test"]);
        watched.until_logged(&["comes.test = [192.0.2.1]"]).await;
        assert_eq!(watched.names.state("goes.test"), None);
        assert_eq!(watched.addresses("stays.test"), "[192.0.2.1]");
        assert_eq!(server.asked_for("stays.test"), 2, "its answer still counts");
        let resolver = plan::Resolver { servers: vec![other.address], valid: Some(ms(10)) };
        watched.names.set_resolver(&resolver);
        until("both are asked for again", || watched.log.borrow().len() == 2).await;
        assert_eq!(watched.addresses("stays.test"), "[192.0.2.2]");
        asked_again(&other, "stays.test", 6).await; // `valid` goes before the TTL
        // Nothing is looked up any more when they are gone.
        let Watched { names, log } = watched;
        log.borrow_mut().clear();
        drop(names);
        other.says("stays.test", addresses(0, &["192.0.2.9"]));
        until("nobody tells", || Rc::strong_count(&log) == 1).await;
        assert_eq!(log.borrow().len(), 0);
    });
}

#[test]
fn what_was_known_before_is_no_change() {
    on_the_control_thread(async {
        let server = NameServer::start();
        server.says("same.test", addresses(0, &["192.0.2.1", "192.0.2.2"]));
        server.says("other.test", addresses(0, &["192.0.2.1"]));
        let watched = Watched::new(&[&server], PACE);
        let known = vec![IpAddr::from([192, 0, 2, 2]), IpAddr::from([192, 0, 2, 1])];
        let names = ["same.test", "other.test", "gone.test"];
        watched.names.set_hosts(names.iter().map(|name| (name.to_string(), known.clone())).collect());
        for name in names {
            asked_again(&server, name, 4).await;
        }
        let mut log = watched.log();
        log.sort();
        assert_eq!(log, ["gone.test ! the name does not exist", "other.test = [192.0.2.1]"]);
        assert_eq!(watched.addresses("gone.test"), "[192.0.2.1, 192.0.2.2]");
        // A reload's own lookup does not go before ours.
        watched.names.set_hosts(names.iter().map(|name| (name.to_string(), vec![[192, 0, 2, 9].into()])).collect());
        assert_eq!(watched.addresses("other.test"), "[192.0.2.1]");
    });
}

#[test]
fn whoever_is_told_may_ask_and_set() {
    on_the_control_thread(async {
        let server = NameServer::start();
        server.says("a.test", addresses(0, &["192.0.2.1"]));
        let names: Rc<RefCell<Option<Names>>> = Rc::default();
        let (of_tell, seen) = (Rc::downgrade(&names), Rc::new(RefCell::new(Vec::new())));
        let lines = seen.clone();
        let resolver = plan::Resolver { servers: vec![server.address], valid: None };
        let tell = move |event: Event| {
            let Event::Changed { name, .. } = event else { return };
            let names = of_tell.upgrade().expect("they live");
            let names = names.borrow();
            let names = names.as_ref().expect("they are set");
            lines.borrow_mut().push(names.state(name).expect("it is looked after").addresses);
            names.set_hosts(BTreeMap::new());
        };
        *names.borrow_mut() = Some(Names::with(&resolver, Files::default(), PACE, tell));
        names.borrow().as_ref().expect("set").set_hosts(BTreeMap::from([("a.test".to_string(), Vec::new())]));
        until("told", || !seen.borrow().is_empty()).await;
        assert_eq!(names.borrow().as_ref().expect("set").state("a.test"), None);
    });
}

#[test]
fn more_names_than_are_looked_up_at_a_time_all_get_their_turn() {
    on_the_control_thread(async {
        let server = NameServer::start();
        let names: Vec<String> = (0..40).map(|n| format!("n{n}.test")).collect();
        names.iter().for_each(|name| server.says(name, addresses(300, &["192.0.2.1"])));
        // Those that are never answered hold up others only for their time.
        names.iter().take(8).for_each(|name| server.says(name, Reply::Silence));
        let watched = Watched::new(&[&server], IMPATIENT);
        watched.set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        until("all others are found", || names[8..].iter().all(|name| watched.addresses(name) == "[192.0.2.1]")).await;
    });
}

#[test]
fn the_hosts_file_goes_first_and_is_read_again() {
    on_the_control_thread(async {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files { hosts: directory.path().join("hosts"), resolv_conf: directory.path().join("none") };
        let write = |text: &str| std::fs::write(&files.hosts, text).expect("written");
        write(
            "192.0.2.1 a.test A2.test # a.test\n2001:db8::1 both.test\n192.0.2.5 both.test\n300.1.1.1 b.test\n\u{0}\n192.0.2.9\n",
        );
        let watched = Watched::with(&plan::Resolver::default(), files.clone(), PACE);
        watched.set(&["a.test", "a2.test", "both.test", "b.test", "localhost"]);
        until("all are looked up", || watched.log.borrow().len() == 5).await;
        assert_eq!(watched.addresses("a2.test"), "[192.0.2.1]");
        assert_eq!(watched.addresses("both.test"), "[192.0.2.5, 2001:db8::1]");
        assert_eq!(watched.addresses("localhost"), "[127.0.0.1, ::1]");
        let text = watched.error("b.test").expect("it is in no file");
        assert!(text.contains("none: No such file"), "{text}");
        watched.log.borrow_mut().clear();
        write("192.0.2.2 a.test a2.test both.test b.test\n127.0.0.1 localhost\n");
        until("all changed", || watched.log.borrow().len() >= 6).await;
        assert_eq!(watched.addresses("b.test"), "[192.0.2.2]");
        assert_eq!(watched.addresses("localhost"), "[127.0.0.1]");
    });
}

#[test]
fn a_mistake_costs_one_lookup() {
    on_the_control_thread(async {
        let mistake = in_a_task(async { panic!("a mistake in the library (this line is expected)") });
        assert_eq!(mistake.await, Err("the lookup made a mistake".to_string()));
    });
}
