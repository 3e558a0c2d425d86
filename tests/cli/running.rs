//! A running ringgate and `ringgate status`.

use super::support::{Backend, Place, Ringgate, Setup};
use super::{run, run_in};
use serde_json::Value;

/// Two listeners, two groups, two workers; six requests to the first group, one to the second, one that fails.
fn busy(a: &Backend, b: &Backend, c: &Backend) -> Ringgate {
    let (missing, _guard) = super::support::net::refusing();
    let ringgate = Setup::new()
        .upstream("pair", &[a.place(), b.place()], "")
        .upstream("single", &[c.place()], "balance = \"least_conn\"")
        .upstream("nobody", &[&missing], "")
        .server("127.0.0.1:0", "", &[("/", "http://pair", ""), ("/nobody", "http://nobody", "")])
        .server("127.0.0.2:0", "", &[("/", "http://single", "")])
        .start();
    let mut client = ringgate.client();
    (0..6).for_each(|_| assert_eq!(client.get("/").status(), 200));
    assert_eq!(client.get("/nobody").status(), 502);
    let mut other = super::support::Client::connect(&ringgate.places()[1]);
    assert_eq!(other.get("/").status(), 200);
    // Both stay connected as long as the process does.
    std::mem::forget((client, other));
    ringgate
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {value:#}"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value:#}"))
}

#[test]
fn status_as_json_counts_per_server_listener_and_worker() {
    let (a, b, c) = (Backend::fixed("a"), Backend::fixed("b"), Backend::fixed("c"));
    let ringgate = busy(&a, &b, &c);
    let output = run(&["status", "--json", "--admin", ringgate.admin().to_str().expect("a plain name")]);
    assert_eq!((output.code, &output.err[..]), (Some(0), ""), "{output:?}");
    let status: Value = serde_json::from_str(&output.out).unwrap_or_else(|e| panic!("{e}\n{}", output.out));
    assert_eq!(number(&status, "pid"), u64::from(ringgate.pid()));
    assert_eq!(status["state"], "running");

    let servers = |i: usize| list(&list(&status, "upstreams")[i], "servers");
    let requests = |i: usize| servers(i).iter().map(|server| number(server, "requests")).collect::<Vec<_>>();
    let mut names: Vec<_> = list(&status, "upstreams").iter().map(|u| u["name"].as_str().unwrap_or("?")).collect();
    let position =
        |name: &str| names.iter().position(|n| *n == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    let (pair, single, nobody) = (position("pair"), position("single"), position("nobody"));
    assert_eq!((requests(pair), requests(single)), (vec![3, 3], vec![1]));
    assert_eq!(number(&servers(nobody)[0], "failures"), 1);
    for server in (0..3).flat_map(servers) {
        assert_eq!(number(server, "in_flight"), 0);
        assert_eq!(number(server, "weight"), 1);
        for key in ["connects", "connect_failures", "reused", "idle", "bytes_in", "bytes_out"] {
            number(server, key);
        }
    }
    names.sort_unstable();
    assert_eq!(names, ["nobody", "pair", "single"]);
    assert_eq!(number(&servers(pair)[0], "connects") + number(&servers(pair)[0], "reused"), 3);

    let listeners = list(&status, "listeners");
    let of_listeners = |key: &str| listeners.iter().map(|listener| number(listener, key)).collect::<Vec<_>>();
    assert_eq!(of_listeners("requests"), [7, 1]);
    assert_eq!(of_listeners("connections"), [1, 1]);
    let addresses: Vec<_> = listeners.iter().map(|listener| listener["address"].as_str().unwrap_or("?")).collect();
    let bound: Vec<_> = ringgate.places().iter().map(|place| format!("http://{place}")).collect();
    assert_eq!(addresses, bound);

    let workers = list(&status, "workers");
    assert_eq!(workers.len(), 2);
    for (i, worker) in workers.iter().enumerate() {
        assert_eq!(number(worker, "worker"), i as u64);
        for key in
            ["connections", "in_flight", "buffers_small_out", "buffers_large_out", "tasks", "op_slots", "sockets"]
        {
            number(worker, key);
        }
        assert!(worker["errors"].is_object(), "{worker:#}");
    }
    let total = |key: &str| workers.iter().map(|worker| number(worker, key)).sum::<u64>();
    assert_eq!((total("requests"), total("connections"), total("in_flight")), (8, 2, 0));
    let refused: u64 = workers.iter().filter_map(|worker| worker["errors"]["connect_refused"].as_u64()).sum();
    assert_eq!(refused, 1, "{workers:#?}");
    assert_eq!(number(&status["totals"], "requests"), 8);
}

#[test]
fn status_for_a_person_shows_the_same() {
    let (a, b, c) = (Backend::fixed("a"), Backend::fixed("b"), Backend::fixed("c"));
    let ringgate = busy(&a, &b, &c);
    let config = ringgate.folder().join("ringgate.toml");
    // By the socket's path, by the configuration that names it, and by looking where it runs.
    let by_path = run(&["status", "--admin", ringgate.admin().to_str().expect("a plain name")]);
    let by_config = run(&["status", "-c", config.to_str().expect("a plain name")]);
    let by_folder = run_in(ringgate.folder(), &["status"]);
    for output in [&by_path, &by_config] {
        assert_eq!(output.code, Some(0), "{output:?}");
        for place in [a.place(), b.place(), c.place()].into_iter().chain(ringgate.places()) {
            assert!(output.out.contains(&place.to_string()), "no {place} in {}", output.out);
        }
        for word in
            ["LISTENER", "SERVER", "WORKER", "upstream pair (round_robin)", "upstream single (least_conn)", "running"]
        {
            assert!(output.out.contains(word), "no {word} in {}", output.out);
        }
        assert!(output.out.contains("connect_refused"), "{}", output.out);
    }
    // Others of this user may run at the same time: then they are listed.
    assert!(by_folder.code == Some(0) || by_folder.err.contains("which one?"), "{by_folder:?}");
}

#[test]
fn status_without_a_ringgate_says_so() {
    let output = run(&["status", "--admin", "/no/such/admin.sock"]);
    assert_eq!((output.code, &output.out[..]), (Some(1), ""), "{output:?}");
    assert!(
        output.err.contains("/no/such/admin.sock") && output.err.contains("is ringgate running?"),
        "{}",
        output.err
    );
}

/// The lines of a start: one per listener, then `ready`; and nothing on standard output.
#[test]
fn the_log_names_every_listener() {
    let backend = Backend::fixed("hello");
    let setup = Setup::new().upstream("backend", &[backend.place()], "");
    let ringgate = setup
        .server("127.0.0.1:0", "", &[("/", "http://backend", "")])
        .server("127.0.0.2:0", "", &[("/", "http://backend", "")])
        .start();
    let lines: Vec<_> = ringgate.log().lines().map(str::to_owned).collect();
    let listening = lines.iter().filter(|line| line.contains("listening on http://127.0.0.")).count();
    assert_eq!((listening, ringgate.places().len()), (2, 2), "{lines:?}");
    assert!(lines.iter().all(|line| line.len() > 24 && line.as_bytes()[23] == b'Z'), "no time: {lines:?}");
    assert!(matches!(ringgate.place(), Place::Tcp(address) if address.port() != 0));
}
