//! Groups: who gets what, and what is seen when servers die and return.

use super::backends::{Group, wsgi};
use super::guide;
use super::site::Site;
use super::support::{Place, wait_until};
use std::collections::BTreeMap;

const HOST: &str = "example.com";

fn counts(bodies: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    bodies.iter().for_each(|body| *counts.entry(body.as_str()).or_default() += 1);
    counts
}

/// One dead: all is answered. All dead: 502 at once. One back: all is answered again.
#[track_caller]
fn servers_die_and_return(site: &Site, group: &mut Group, names: &[&'static str]) {
    let name = site.name;
    group.stop(names[0]);
    let bodies = site.bodies(HOST, "/", 12);
    assert!(!bodies.iter().any(|body| body == names[0]), "{name}: {bodies:?}");
    names[1..].iter().for_each(|name| group.stop(name));
    for _ in 0..3 {
        assert_eq!(site.get(HOST, "/").status(), 502, "{name}: all are dead");
    }
    group.begin(names[1]);
    if !site.is_slow_to_forgive() {
        site.wait_for(200, HOST, "/");
        assert_eq!(counts(&site.bodies(HOST, "/", 5)), BTreeMap::from([(names[1], 5)]), "{name}");
    }
    names.iter().filter(|&&other| other != names[1]).for_each(|other| group.begin(other));
}

#[test]
fn round_robin_alternates() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let Some(mut group) = Group::start("round_robin_alternates", &NAMES) else { return };
    for site in guide!("balanced.conf").backends(5000, &group.places()).run() {
        let bodies = site.bodies(HOST, "/", 12);
        assert_eq!(counts(&bodies), BTreeMap::from(NAMES.map(|name| (name, 4))), "{}: {bodies:?}", site.name);
        // In turn: each three have all.
        for three in bodies.chunks(3) {
            assert_eq!(counts(three).len(), 3, "{}: {bodies:?}", site.name);
        }
        servers_die_and_return(&site, &mut group, &NAMES);
    }
}

#[test]
fn least_conn_leaves_the_busy_one_alone() {
    const TEST: &str = "least_conn_leaves_the_busy_one_alone";
    let Some(servers) = ["a", "b", "c"].iter().map(|name| wsgi(TEST, name)).collect::<Option<Vec<_>>>() else { return };
    let places: Vec<&Place> = servers.iter().map(|server| &server.place).collect();
    for site in guide!("balanced.conf").with("#METHOD", "least_conn;").backends(5000, &places).run() {
        let bodies = site.bodies(HOST, "/", 12);
        assert_eq!(counts(&bodies).len(), 3, "{}: {bodies:?}", site.name);
        let mut held = site.client();
        held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
        let holds = |file: &str| servers.iter().position(|server| server.folder().join(file).exists());
        wait_until("one server is busy", || holds("held").is_some());
        let busy = holds("held").expect("just seen");
        let bodies = site.bodies(HOST, "/", 12);
        assert!(!bodies.iter().any(|body| body == ["a", "b", "c"][busy]), "{}: {bodies:?}", site.name);
        assert_eq!(counts(&bodies).len(), 2, "{}: {bodies:?}", site.name);
        std::fs::write(servers[busy].folder().join("go"), "").expect("a file");
        assert_eq!(held.response().text(), ["a", "b", "c"][busy], "{}", site.name);
        ["held", "go"]
            .iter()
            .for_each(|file| std::fs::remove_file(servers[busy].folder().join(file)).expect("it is there"));
    }
}

#[test]
fn least_conn_survives_dead_servers() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let Some(mut group) = Group::start("least_conn_survives_dead_servers", &NAMES) else { return };
    for site in guide!("balanced.conf").with("#METHOD", "least_conn;").backends(5000, &group.places()).run() {
        servers_die_and_return(&site, &mut group, &NAMES);
    }
}

#[test]
fn ip_hash_keeps_a_client_with_its_server() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let Some(mut group) = Group::start("ip_hash_keeps_a_client_with_its_server", &NAMES) else { return };
    for site in guide!("balanced.conf").with("#METHOD", "ip_hash;").backends(5000, &group.places()).run() {
        let bodies = site.bodies(HOST, "/", 8);
        assert_eq!(counts(&bodies).len(), 1, "{}: {bodies:?}", site.name);
        let first = NAMES.into_iter().find(|&name| name == bodies[0]).expect("one of them");
        group.stop(first);
        let bodies = site.bodies(HOST, "/", 8);
        assert_eq!(counts(&bodies).len(), 1, "{}: {bodies:?}", site.name);
        assert_ne!(bodies[0], first, "{}", site.name);
        let others: Vec<_> = NAMES.into_iter().filter(|&name| name != first).collect();
        others.iter().for_each(|name| group.stop(name));
        assert_eq!(site.get(HOST, "/").status(), 502, "{}", site.name);
        NAMES.iter().for_each(|name| group.begin(name));
        if !site.is_slow_to_forgive() {
            site.wait_for(200, HOST, "/");
        }
    }
}

#[test]
fn four_workers_share_the_work_and_the_files_are_served_beside_them() {
    const TEST: &str = "four_workers_share_the_work_and_the_files_are_served_beside_them";
    let names = ["a", "b", "c", "d"];
    let Some(mut servers) = names.iter().map(|name| wsgi(TEST, name)).collect::<Option<Vec<_>>>() else { return };
    let places: Vec<Place> = servers.iter().map(|server| server.place.clone()).collect();
    let guide = guide!("four_workers.conf")
        .backends(5000, &places.iter().collect::<Vec<_>>())
        .with("/srv/app", "{dir}/app")
        .file("app/static/a.css", "a{}");
    let sites = guide.run();
    for site in &sites {
        let bodies = site.bodies(HOST, "/", 16);
        assert_eq!(counts(&bodies), BTreeMap::from(names.map(|name| (name, 4))), "{}: {bodies:?}", site.name);
        let css = site.get(HOST, "/static/a.css");
        assert_eq!((css.status(), css.text().as_str()), (200, "a{}"), "{}", site.name);
        assert_eq!(css.field("content-type"), Some("text/css"), "{}", site.name);
        assert_eq!(css.field("cache-control"), Some("max-age=604800"), "{}", site.name);
        assert!(css.field("expires").is_some() && css.field("etag").is_some(), "{}: {:?}", site.name, css.fields);
        assert_eq!(site.get(HOST, "/static/b.css").status(), 404, "{}", site.name);
        assert_eq!(site.get(HOST, "/static/../../nginx.conf").status(), 400, "{}", site.name);
    }
    drop(servers.remove(1));
    for site in &sites {
        let bodies = site.bodies(HOST, "/", 12);
        assert!(!bodies.iter().any(|body| body == "b") && counts(&bodies).len() == 3, "{}: {bodies:?}", site.name);
    }
    servers.clear();
    for site in &sites {
        assert_eq!(site.get(HOST, "/").status(), 502, "{}", site.name);
        assert_eq!(site.get(HOST, "/static/a.css").status(), 200, "{}: files need no server", site.name);
    }
}
