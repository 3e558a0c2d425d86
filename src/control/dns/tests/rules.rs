//! The rules without a network: when a name is asked for again, whom, and under which domains.

use super::*;

#[test]
fn pauses() {
    let pace = Pace::default();
    let answer = |ttl: Option<u64>, unknown| {
        Ok(Answer { addresses: vec![[192, 0, 2, 1].into()], unknown, ttl: ttl.map(Duration::from_secs) })
    };
    let v6 = Some(Family::V6);
    let (s, fail) = (Duration::from_secs, || Err("failed".to_string()));
    for (failures, answer, valid, pause) in [
        (0, answer(Some(0), None), None, 1),
        (0, answer(Some(1), None), None, 1),
        (0, answer(Some(60), None), None, 60),
        (0, answer(Some(86_400), None), None, 300),
        (0, answer(Some(u64::from(u32::MAX)), None), None, 300),
        (0, answer(None, None), None, 30),
        (0, answer(None, None), Some(s(5)), 30),
        (0, answer(Some(60), None), Some(s(5)), 5),
        (0, answer(Some(60), None), Some(s(3600)), 3600),
        (0, answer(Some(60), None), Some(ms(1)), 1),
        (0, answer(Some(60), v6), None, 30),
        (0, answer(Some(5), v6), None, 5),
        (9, answer(Some(60), None), None, 60),
        (0, fail(), Some(s(3600)), 1),
        (1, fail(), None, 2),
        (4, fail(), None, 16),
        (5, fail(), None, 30),
        (u32::MAX, fail(), None, 30),
    ] {
        let record = Record { failures, ..Record::default() };
        assert_eq!(record.pause(&answer, pace, valid), s(pause), "{failures} {answer:?} {valid:?}");
    }
}

#[test]
fn the_system_is_asked_as_it_says() {
    on_the_control_thread(async {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files { hosts: "/dev/null".into(), resolv_conf: directory.path().join("resolv.conf") };
        let source =
            Source::new(&[], files.clone(), Limits { lookup: ms(100), other_family: ms(10) }).expect("a source");
        let asks = |text: &str, name: &str| {
            std::fs::write(&files.resolv_conf, text).expect("written");
            source.would_ask(name)
        };
        let of = |servers: &[&str], names: &[&str]| {
            let servers: Vec<SocketAddr> = servers.iter().map(|text| text.parse().expect("an address")).collect();
            Ok((servers, names.iter().map(|name| name.to_string()).collect::<Vec<_>>()))
        };
        let one = "nameserver 192.0.2.53\n";
        assert_eq!(asks(one, "a"), of(&["192.0.2.53:53"], &["a."]));
        let two = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch x.test y.test.\nfrobnicate 7\n";
        let servers = ["192.0.2.53:53", "[2001:db8::53]:53"];
        assert_eq!(asks(two, "a"), of(&servers, &["a.x.test.", "a.y.test.", "a."]), "the file is read again");
        assert_eq!(asks(two, "a.b"), of(&servers, &["a.b.", "a.b.x.test.", "a.b.y.test."]));
        assert_eq!(asks(two, "a."), of(&servers, &["a."]));
        let pod = format!("{one}search ns.svc.test\noptions ndots:5\n");
        assert_eq!(asks(&pod, "a.b.c.d.e"), of(&["192.0.2.53:53"], &["a.b.c.d.e.ns.svc.test.", "a.b.c.d.e."]));
        assert_eq!(asks(&pod, "a.b.c.d.e.f"), of(&["192.0.2.53:53"], &["a.b.c.d.e.f.", "a.b.c.d.e.f.ns.svc.test."]));
        assert_eq!(asks(&format!("{one}domain d.test\n"), "a"), of(&["192.0.2.53:53"], &["a.d.test.", "a."]));
        let long = "x.".repeat(120);
        let found = asks(two, &long[..239]);
        assert_eq!(found.map(|(_, names)| names.len()), Ok(3), "as long as a name can be");
        let found = asks(two, &"x.".repeat(126)[..251]);
        assert_eq!(found.map(|(_, names)| names.len()), Ok(1), "with a search domain it would be too long");
        for bad in ["", "search x.test\n", "nameserver nonsense\n", "\u{0}\u{1}", "nameserver\n"] {
            assert!(asks(bad, "a").is_err(), "{bad:?}");
        }
    });
}

#[test]
fn only_a_clear_no_leads_to_the_next_domain() {
    let cases = [
        (NXDOMAIN, Ok("[192.0.2.2]")),
        (EMPTY, Ok("[192.0.2.2]")),
        (SERVFAIL, Err("says: Server Failure")),
        (Reply::Silence, Err("no answer from")),
        (addresses(0, &["192.0.2.1"]), Ok("[192.0.2.1]")),
        // Both families of one name, never one of each.
        (Reply::For(A, Box::new(EMPTY), Box::new(addresses(0, &["2001:db8::1"]))), Ok("[2001:db8::1]")),
    ];
    for (first, expected) in cases {
        on_the_control_thread(async {
            let server = NameServer::start();
            server.says("a.x.test", first.clone());
            server.says("a.y.test", addresses(0, &["192.0.2.2"]));
            let limits = Limits { lookup: ms(2000), other_family: ms(2000) };
            let found = lookup::search_for_test(server.address, &["x.test", "y.test"], "a", limits).await;
            match (found, expected) {
                (Ok(answer), Ok(text)) => assert_eq!(format!("{:?}", answer.addresses), text, "{first:?}"),
                (Err(why), Err(text)) => assert!(why.contains(text), "{first:?}: {why}"),
                (found, expected) => panic!("{first:?}: {found:?} is not {expected:?}"),
            }
        });
    }
}
