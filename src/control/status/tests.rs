use super::*;
use crate::config::names::Names;
use crate::config::plan::{Balance, Peer, Plan, Resolver, Upstream};
use std::time::Duration;

fn http() -> Service {
    Service::Http(Names::default())
}

fn tcp() -> Service {
    Service::Tcp(Names::default())
}

fn listener(address: Address, service: Service) -> Listener {
    Listener { configured: address.clone(), address, optional: false, ssl: false, proxy_protocol: false, service }
}

fn plan() -> Plan {
    let addresses = || vec![Address::Tcp("127.0.0.1:1".parse().unwrap()), Address::Unix("/run/a.sock".into())];
    let peer = |name: &str, weight| Peer { weight, ..Peer::new(name, addresses()) };
    let upstream = |name: &str, balance, peers| Upstream { balance, ..Upstream::new(name, peers) };
    Plan {
        error_log_level: Default::default(),
        maps: Vec::new(),
        limit_req_zones: Vec::new(),
        limit_conn_zones: Vec::new(),
        access_logs: Vec::new(),
        workers: Some(3),
        worker_connections: 10,
        handover: true,
        error_log: None,
        admin: None,
        shutdown_timeout: Duration::from_secs(1),
        splice_min: None,
        resolver: Resolver::default(),
        listeners: vec![
            listener(Address::Tcp("127.0.0.1:8080".parse().unwrap()), http()),
            listener(Address::Unix("/run/x.sock".into()), http()),
            listener(Address::Tcp("127.0.0.1:5432".parse().unwrap()), tcp()),
        ],
        servers: vec![],
        tcps: vec![],
        proxy_ssls: vec![],
        upstreams: vec![
            upstream("one", Balance::RoundRobin, vec![peer("a", 1), peer("b", 2)]),
            upstream("two", Balance::LeastConn, vec![peer("c", 1)]),
        ],
    }
}

fn site(workers: usize) -> Site {
    Site::plain(std::sync::Arc::new(plan()), workers, None)
}

fn nothing() -> Trouble<'static> {
    Box::new(|_| None)
}

fn process() -> Process {
    Process {
        state: State::Running,
        workers_running: 3,
        log_lines_dropped: 4,
        access_log_lines_dropped: 5,
        now: SystemTime::now(),
        now_ms: 0,
    }
}

#[test]
fn all_workers_are_added_up_under_the_names_of_the_plan() {
    let (site, stats) = (site(3), Stats::new(&plan(), 3));
    for (i, worker) in stats.workers.iter().enumerate() {
        let n = i as u64 + 1; // 1, 2, 3
        worker.cpu.set(i * 2).unwrap();
        worker.connections.add(n);
        worker.requests.add(10 * n);
        worker.tasks.set(n);
        worker.count_error(Reason::ClientGone);
        worker.listeners[1].requests.add(10 * n);
        worker.listeners[1].connections.add(n);
        let server = |group: usize, server: usize| site.groups[group].entries()[server].member.stats(i);
        server(0, 1).requests.add(7 * n);
        server(0, 1).idle.add(n);
        server(1, 0).failures.add(n);
        let mut picker = crate::balance::Picker::new(site.groups[0].clone(), i, 0);
        picker.new_turn();
        picker.begin(1);
    }
    stats.workers[2].count_error(Reason::BadChunk);
    let status = status(&site, &stats, process(), &nothing(), Vec::new());

    assert_eq!((status.totals.connections, status.totals.requests, status.totals.tasks), (6, 60, 6));
    assert_eq!(status.totals.errors, BTreeMap::from([("client_gone".to_owned(), 3), ("bad_chunk".to_owned(), 1)]));
    assert_eq!(status.totals.upstream_idle, 6);
    assert_eq!(status.workers[2].counts.requests, 30);
    assert_eq!(status.workers[2].cpu, Some(4));
    assert_eq!(status.workers[0].counts.errors, BTreeMap::from([("client_gone".to_owned(), 1)]));
    let row = |l: &ListenerStatus| (l.kind, l.address.clone(), l.requests, l.connections);
    let listeners: Vec<_> = status.listeners.iter().map(row).collect();
    assert_eq!(
        listeners,
        [
            (Kind::Http, "http://127.0.0.1:8080".to_owned(), 0, 0),
            (Kind::Http, "unix:/run/x.sock".to_owned(), 60, 6),
            (Kind::Tcp, "tcp://127.0.0.1:5432".to_owned(), 0, 0),
        ]
    );
    let b = &status.upstreams[0].servers[1];
    assert_eq!((b.name.as_str(), b.weight, b.requests, b.idle, b.in_flight), ("b", 2, 42, 6, 3));
    assert_eq!(b.addresses, ["127.0.0.1:1", "unix:/run/a.sock"]);
    let two = &status.upstreams[1];
    assert_eq!((two.name.as_str(), two.balance.as_str(), two.servers[0].failures), ("two", "least_conn", 6));
    assert_eq!((status.workers_running, status.log_lines_dropped), (3, 4));
}

#[test]
fn the_answer_is_json_that_comes_back_as_it_was() {
    let (site, stats) = (site(2), Stats::new(&plan(), 2));
    stats.workers[1].count_error(Reason::Overloaded);
    let status = status(&site, &stats, process(), &nothing(), Vec::new());
    let json = serde_json::to_string_pretty(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    // The names that scripts rely on.
    assert_eq!(value["state"], "running");
    assert_eq!(value["workers"][1]["errors"]["overloaded"], 1);
    assert_eq!(value["workers"][1]["op_slots"], 0);
    assert_eq!(value["workers"][1]["cpu"], serde_json::Value::Null);
    assert_eq!(value["upstreams"][0]["servers"][0]["in_flight"], 0);
    assert_eq!(value["listeners"][0]["connections"], 0);
    assert_eq!([&value["listeners"][0]["kind"], &value["listeners"][2]["kind"]], ["http", "tcp"]);
    assert_eq!(value["totals"]["buffers_small_out"], 0);
}

#[test]
fn addresses_are_shown_as_one_types_them() {
    let table = [
        (Address::Tcp("[::1]:80".parse().unwrap()), http(), "http://[::1]:80", "[::1]:80"),
        (Address::Tcp("[::1]:80".parse().unwrap()), tcp(), "tcp://[::1]:80", "[::1]:80"),
        (Address::Unix("/x y".into()), tcp(), "unix:/x y", "unix:/x y"),
    ];
    for (given, service, shown, plain) in table {
        assert_eq!((url(&listener(given.clone(), service)).as_str(), address(&given).as_str()), (shown, plain));
    }
}
