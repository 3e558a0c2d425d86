//! What somebody found who looked for trouble: one test for each, so that it stays mended. The stories are at the tests.

use super::load::{Clients, Load, expect_good, failed};
use super::names::{NameServer, named, twins};
use super::process::{Process, times_got};
use super::support::server::free_port;
use super::support::{Client, PATIENCE, Ringgate, Setup, wait_until, wait_until_within};
use super::{GETS, backends, before, before_list, get};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// ringgate's configuration with this list as upstream `app`.
fn config(list: &[String], group: &str) -> String {
    let quoted: Vec<String> = list.iter().map(|server| format!("\"{server}\"")).collect();
    let setup = Setup::new().upstream_list("app", &quoted.join(", "), group);
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).text()
}

#[track_caller]
fn reload(ringgate: &Ringgate, text: &str) -> String {
    ringgate.rewrite(text);
    ringgate.succeed(&["reload"])
}

/// Sends a GET and waits until the backend has it; its answer does not come for a minute. Later requests are answered at once.
#[track_caller]
fn hang(ringgate: &Ringgate, backend: &Process) -> Client {
    let under_way = backend.report().under_way;
    backend.tell("delay 60000");
    let mut client = ringgate.client();
    client.send("GET /hang HTTP/1.1\r\nHost: test\r\n\r\n");
    wait_until("it hangs", || backend.report().under_way > under_way);
    backend.tell("delay 0");
    client
}

/// The states of all servers of that name.
#[track_caller]
fn states(ringgate: &Ringgate, name: &str) -> Vec<String> {
    let status = ringgate.status();
    let named = status.servers().filter(|server| server["name"] == name);
    named.map(|server| server["state"].as_str().unwrap_or_default().to_owned()).collect()
}

/// With a `resolver`, names were first looked up after the start or the reload: requests that came before the answer were given
/// 503, and where all names were new, that was every request.
#[test]
fn new_names_are_known_before_they_are_used() {
    let names = NameServer::start();
    names.delay(100);
    let (port, backends) = twins();
    names.set("first.test", &["127.0.0.1"]);
    let ringgate = named(&names, &format!("\"first.test:{port}\"")).start();
    assert_eq!(get(&ringgate), 200, "the very first request");
    let load = Load::start(ringgate.place(), GETS);
    for i in 0..5 {
        let name = format!("name{i}.test");
        names.set(&name, &[["127.0.0.2", "127.0.0.1"][i % 2]]);
        let got = backends[1 - i % 2].got();
        reload(&ringgate, &named(&names, &format!("\"{name}:{port}\"")).text());
        load.expect_more(60);
        assert!(backends[1 - i % 2].got() > got, "{name} is not used");
    }
    expect_good(&load.finish(10), "new names by reload");
}

/// A name that nobody answers for is no error, but the command says so.
#[test]
fn a_reload_says_which_new_name_is_unknown() {
    let names = NameServer::start();
    let (port, backends) = twins();
    names.set("app.test", &["127.0.0.1"]);
    let ringgate = named(&names, &format!("\"app.test:{port}\"")).start();
    let load = Load::start(ringgate.place(), GETS);
    names.fall_silent();
    ringgate.rewrite(&named(&names, &format!("\"app.test:{port}\", \"nobody.test:{port}\"")).text());
    let output = ringgate.command(&["reload"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.lines().any(|line| line.contains("warning") && line.contains("nobody.test")), "{said}");
    assert!(!said.lines().any(|line| line.contains("warning") && line.contains("app.test")), "{said}");
    assert_eq!(states(&ringgate, &format!("nobody.test:{port}")), ["unresolved"]);
    load.expect_more(60);
    expect_good(&load.finish(10), "beside an unknown name");
    assert!(backends[0].got() > 0);
}

/// A server drained by its name came back into use as soon as DNS gave the name another address, or when a reload took the line
/// out and another put it in again: just what people do during maintenance.
#[test]
fn a_drain_by_name_outlives_addresses_and_reloads() {
    let names = NameServer::start();
    let port = free_port();
    let on = |name, host: &str| Process::on(name, "http", &format!("{host}:{port}"));
    let [a, moved, other] = [on("a", "127.0.0.1"), on("moved", "127.0.0.2"), on("other", "127.0.0.3")];
    names.set("app.test", &["127.0.0.1"]);
    let (name, rest) = (format!("app.test:{port}"), other.address());
    let with = named(&names, &format!("\"{name}\", \"{rest}\"")).text();
    let ringgate = Ringgate::start(&with);
    let addresses = || {
        let status = ringgate.status();
        status
            .servers()
            .filter(|server| server["name"] == name[..])
            .map(|s| s["addresses"].to_string())
            .collect::<String>()
    };
    let expect_drained = |servers: usize, when: &str| {
        assert_eq!(states(&ringgate, &name), vec!["drained"; servers], "{when}");
        let got = a.got() + moved.got();
        expect_good(&Load::run(ringgate.place(), GETS, 10), when);
        assert_eq!(a.got() + moved.got(), got, "{when}: a drained server was used");
        assert!(ringgate.succeed(&["status"]).contains("drained"), "{when}");
    };
    assert_eq!(get(&ringgate), 200);
    ringgate.succeed(&["drain", "app", &name]);
    expect_drained(1, "at first");
    names.set("app.test", &["127.0.0.2"]);
    wait_until("it has moved", || addresses().contains("127.0.0.2") && !addresses().contains("127.0.0.1"));
    expect_drained(1, "after a move");
    names.set("app.test", &["127.0.0.1", "127.0.0.2"]);
    wait_until("it has both", || addresses().contains("127.0.0.1") && addresses().contains("127.0.0.2"));
    expect_drained(2, "with both addresses");
    reload(&ringgate, &named(&names, &format!("\"{rest}\"")).text());
    assert_eq!(states(&ringgate, &name), [""; 0]);
    reload(&ringgate, &with);
    expect_drained(2, "removed and brought back");
    ringgate.succeed(&["undrain", "app", &name]);
    assert_eq!(states(&ringgate, &name), ["up", "up"]);
    reload(&ringgate, &named(&names, &format!("\"{rest}\"")).text());
    reload(&ringgate, &with);
    assert_eq!(states(&ringgate, &name), ["up", "up"], "undrained, removed and brought back");
    expect_good(&Load::run(ringgate.place(), GETS, 10), "undrained");
    assert!(a.got() > 0 && moved.got() > 0, "they are used again");
}

/// `ringgate reload`, which may take for ever if it is broken.
#[track_caller]
fn reload_command(ringgate: &Ringgate) -> Output {
    let (sender, receiver) = channel();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    command.args(["reload", "--admin"]).arg(ringgate.admin());
    std::thread::spawn(move || sender.send(command.output().expect("the program runs")));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no end of the reload:\n{}", ringgate.log()))
}

/// A file replaced by a named pipe (a mistake with `<(...)`, or a secret mounted as one) blocked that reload and all after it,
/// for ever and without a word.
#[test]
fn a_named_pipe_blocks_no_reload() {
    let backends = backends(3);
    let text = |backend: &Process| config(&[backend.address()], "");
    let ringgate = Ringgate::start(&text(&backends[0]));
    let file = ringgate.folder().join("ringgate.toml");
    let replace_by_pipe = |file: &Path| {
        std::fs::remove_file(file).expect("it is there");
        assert!(Command::new("mkfifo").arg(file).status().expect("mkfifo runs").success());
    };
    replace_by_pipe(&file);
    let output = reload_command(&ringgate);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("named pipe") && err.contains("ringgate.toml"), "{output:?}");
    expect_good(&Load::run(ringgate.place(), GETS, 5), "beside a named pipe");
    ringgate.rewrite(&text(&backends[1]));
    let output = reload_command(&ringgate);
    assert!(output.status.success(), "{output:?}");
    expect_good(&Load::run(ringgate.place(), GETS, 5), "with a file again");
    assert_eq!((backends[0].got(), backends[1].got()), (30, 30));
    // By signal there is nobody to tell but the log.
    replace_by_pipe(&file);
    let told = || ringgate.log().lines().filter(|line| line.contains("named pipe")).count();
    let before = told();
    ringgate.signal("HUP");
    wait_until("the log tells of the pipe", || told() > before);
    assert_eq!(get(&ringgate), 200);
    ringgate.rewrite(&text(&backends[2]));
    ringgate.signal("HUP");
    wait_until("the new file is in force", || get(&ringgate) == 200 && backends[2].got() > 0);
}

/// A server that a reload removed and another brought back was a new one, whose requests still under way did not count: it got
/// twice its `max_conns`.
#[test]
fn a_server_that_comes_back_keeps_its_places() {
    let backends = backends(2);
    let both = config(&[format!("{} max_conns=2", backends[0].place), backends[1].address()], "");
    let ringgate = Ringgate::start(&config(&[format!("{} max_conns=2", backends[0].place)], ""));
    let hanging = [hang(&ringgate, &backends[0]), hang(&ringgate, &backends[0])];
    for _ in 0..3 {
        reload(&ringgate, &config(&[backends[1].address()], ""));
        expect_good(&Load::run(ringgate.place(), GETS, 5), "without it");
        reload(&ringgate, &both);
        expect_good(&Load::run(ringgate.place(), GETS, 10), "with it");
        assert_eq!((backends[0].got(), backends[0].report().peak), (2, 2), "requests at once, two allowed");
        assert_eq!(ringgate.status().server(&backends[0].address())["in_flight"], 2);
    }
    hanging.into_iter().for_each(Client::reset);
    wait_until("its places are free again", || get(&ringgate) == 200 && backends[0].got() > 2);
}

/// The one request that tries a server on probation could be one that cannot be repeated: a client's POST was the experiment,
/// every time, and failed. While there are others that can be repeated, it is one of those.
#[test]
fn what_cannot_be_repeated_tries_no_server() {
    let backends = backends(3);
    backends[0].tell("reset");
    // Long enough that a GET comes by within, also on a busy machine.
    let ringgate = before_list(&backends, "\"{a} max_fails=1 fail_timeout=1s\", \"{b}\", \"{c}\"", "", "");
    wait_until("a is ejected", || ringgate.client().post("/first", b"x").status() != 200);
    let got = backends[0].got();
    let load = Load::start(ringgate.place(), Clients { gets: 2, posts: 4 });
    // It is out of use for some 1, 2 and 4 s.
    wait_until_within(PATIENCE * 2, "it has been tried three times", || backends[0].got() >= got + 3);
    let outcomes = load.finish(20);
    assert_eq!(failed(&outcomes, "POST"), [""; 0], "of {}", outcomes.len());
    expect_good(&outcomes, "GETs go to another server");
    let counted = ringgate.status().server(&backends[0].address())["requests"].as_u64();
    assert_eq!(counted, u64::try_from(backends[0].got()).ok(), "who was passed over was not asked");
    assert_eq!(ringgate.status().total("panics"), 0);
}

/// A server that is well again comes back where nothing but POSTs comes, too: somebody must try it.
#[test]
fn posts_alone_bring_a_server_back() {
    let backends = backends(3);
    backends[0].tell("reset");
    let ringgate = before_list(&backends, "\"{a} max_fails=1 fail_timeout=100ms\", \"{b}\", \"{c}\"", "", "");
    let state = || ringgate.status().state(&backends[0].address()).0;
    wait_until("a is ejected", || ringgate.client().post("/first", b"x").status() != 200);
    assert_ne!(state(), "up");
    backends[0].tell("ok");
    let got = backends[0].got();
    let load = Load::start(ringgate.place(), Clients { gets: 0, posts: 4 });
    wait_until("a is used again", || state() == "up" && backends[0].got() > got + 10);
    expect_good(&load.finish(20), "a is well again");
}

/// Each failed request wrote two lines and more: a dead group under load wrote tens of thousands a second, and the disk was the
/// next to fail.
#[test]
fn a_dead_group_floods_no_log() {
    let backends = backends(2);
    let ringgate = before(&backends, "", "");
    backends.iter().for_each(|backend| backend.tell("refuse"));
    let (lines, began) = (|| ringgate.log().lines().count(), Instant::now());
    let before = lines();
    let outcomes = Load::run(ringgate.place(), Clients { gets: 4, posts: 2 }, 800);
    assert!(outcomes.iter().all(|outcome| [502, 503].contains(&outcome.status())), "{:?}", outcomes.last());
    // 20 in each second for each of two workers and of a few reasons.
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("a small number") + 2;
    let wrote = lines() - before;
    assert!(wrote <= 120 * seconds, "{wrote} lines in {seconds} s for {} requests", outcomes.len());
    assert!(wrote > 0, "not a word");
    wait_until("it tells of those left out", || {
        get(&ringgate);
        ringgate.log().lines().any(|line| line.contains("more lines of this reason were left out"))
    });
}

/// All servers drained: a group that answers everything with 503 looked well in the table and in the log.
#[test]
fn a_group_without_usable_servers_is_told_of() {
    let backends = backends(2);
    let ringgate = before(&backends, "", "");
    let unusable = || ringgate.status().0["upstreams"][0]["unusable"].clone();
    assert_eq!(unusable(), false);
    let each = |order: &str| {
        backends.iter().for_each(|backend| drop(ringgate.succeed(&[order, "app", &backend.address()])));
    };
    each("drain");
    let mut client = ringgate.client();
    client.set_read_timeout(Duration::from_secs(3)); // a place in the queue would be kept for 10 s
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.reason()), (503, Some("no_server")));
    assert_eq!(unusable(), true);
    ringgate.expect_log("no server can be used");
    assert!(ringgate.succeed(&["status"]).contains("no server can be used"));
    each("undrain");
    assert_eq!(unusable(), false);
    expect_good(&Load::run(ringgate.place(), GETS, 5), "undrained");
    ringgate.expect_log("a server can be used again");
}

/// `undrain` of a server that nobody drained said that it is in use again.
#[test]
fn undrain_tells_what_it_did() {
    let backends = backends(2);
    let ringgate = before_list(&backends, "\"{a}\", \"{b} down\"", "", "");
    let [a, b] = [backends[0].address(), backends[1].address()];
    assert!(ringgate.succeed(&["undrain", "app", &a]).contains("was not drained"));
    assert!(ringgate.succeed(&["undrain", "app", &b]).contains("`down` in the file"));
    ringgate.succeed(&["drain", "app", &a]);
    assert!(ringgate.succeed(&["undrain", "app", &a]).contains("in use again"));
}

/// The admin socket refuses a request that is too long with an empty answer; the command printed just that.
#[test]
fn a_command_that_is_too_long_is_refused_in_words() {
    let backends = backends(1);
    let ringgate = before(&backends, "", "");
    let output = ringgate.command(&["drain", "app", &"x".repeat(100_000)]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let words = err.trim().trim_start_matches("ringgate").trim_start_matches("error").trim_matches([':', ' ']);
    assert!(!words.is_empty(), "{err:?}");
    assert_eq!(get(&ringgate), 200);
}

/// Three wait in the queue behind a server with `max_conns=1` and a request that hangs; this reload makes room for them.
#[track_caller]
fn wait_for_a_reload(backends: &[Process], after: &[String], more: &dyn Fn(&str) -> String) {
    const QUEUE: &str = "queue_timeout = \"60s\"";
    let list = [format!("{} max_conns=1", backends[0].place)];
    let ringgate = Ringgate::start(&more(&config(&list, QUEUE)));
    let _hanging = hang(&ringgate, &backends[0]);
    let mut waiting: Vec<Client> = (0..3).map(|_| ringgate.client()).collect();
    waiting.iter_mut().for_each(|client| client.send("GET /waiting HTTP/1.1\r\nHost: test\r\n\r\n"));
    wait_until("they wait", || ringgate.status().0["upstreams"][0]["waiting"] == 3);
    reload(&ringgate, &more(&config(after, QUEUE)));
    for client in &mut waiting {
        client.set_read_timeout(PATIENCE);
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(times_got(backends)["/waiting"], 3);
}

/// Who waited for a server kept to the plan of before: `max_conns` raised by a reload did nothing for them, and they ran into
/// `queue_timeout` with room everywhere.
#[test]
fn who_waits_hears_of_more_room_by_a_reload() {
    let backends = backends(1);
    wait_for_a_reload(&backends, &[format!("{} max_conns=3", backends[0].place)], &str::to_owned);
}

/// The same with a server that is new.
#[test]
fn who_waits_hears_of_a_server_added_by_a_reload() {
    let backends = backends(2);
    let after: Vec<String> = backends.iter().map(|backend| format!("{} max_conns=1", backend.place)).collect();
    wait_for_a_reload(&backends, &after, &str::to_owned);
}

/// The same where the rest of the reload takes its time after the group of those that wait is made: they must look when the
/// workers have gone over to it, not before.
#[test]
fn who_waits_hears_of_a_long_reload() {
    let backends = backends(1);
    let more = |text: &str| {
        // Each group has a table to make, anew when its servers are others.
        let ports = if text.contains("max_conns=3") { 1000..1400 } else { 1000..1399 };
        let servers: Vec<String> = ports.map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let group = |i| format!("[upstream.more{i}]\nbalance = \"hash $uri\"\nserver = [{}]\n", servers.join(", "));
        let groups: String = (0..8).map(group).collect();
        text.replacen("[[server]]", &format!("{groups}[[server]]"), 1)
    };
    wait_for_a_reload(&backends, &[format!("{} max_conns=3", backends[0].place)], &more);
}

/// Nor does a POST whose cookie names a server on probation try it.
#[test]
fn what_cannot_be_repeated_tries_no_server_for_its_cookie() {
    let backends = backends(2);
    let ringgate =
        before_list(&backends, "\"{a} max_fails=1 fail_timeout=2s\", \"{b}\"", "sticky = \"cookie route\"", "");
    let mut cookie = String::new();
    wait_until("a cookie of a's", || {
        let answer = ringgate.client().get("/");
        cookie = answer.field("set-cookie").and_then(|field| field.split(';').next()).unwrap_or_default().to_owned();
        answer.text().starts_with("a ")
    });
    backends[0].tell("reset");
    let post = || {
        let mut client = ringgate.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nCookie: {cookie}\r\nContent-Length: 1\r\n\r\nx"));
        client.response_to("POST").status()
    };
    assert_eq!(post(), 502, "this one ejects it");
    let got = backends[0].got();
    wait_until("a is on probation", || ringgate.status().state(&backends[0].address()).0 == "probation");
    assert_eq!((post(), backends[0].got()), (200, got));
}

/// Requests without the cookie all had the same, empty key: one server got the whole crowd of newcomers.
#[test]
fn an_empty_hash_key_keeps_nobody_together() {
    let backends = backends(3);
    let ringgate = before(&backends, "balance = \"hash $cookie_x\"", "");
    let share = |cookie: &str| {
        let before: Vec<usize> = backends.iter().map(Process::got).collect();
        let mut client = ringgate.client();
        for _ in 0..60 {
            client.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{cookie}\r\n"));
            assert_eq!(client.response().status(), 200);
        }
        backends.iter().zip(before).map(|(backend, before)| backend.got() - before).collect::<Vec<_>>()
    };
    for cookie in ["", "Cookie: y=1\r\n", "Cookie: x=\r\n"] {
        let shares = share(cookie);
        assert!(shares.iter().all(|&share| share >= 5), "{cookie:?}: {shares:?}");
    }
    for cookie in ["Cookie: x=1\r\n", "Cookie: y=1; x=2\r\n"] {
        let mut shares = share(cookie);
        shares.sort_unstable();
        assert_eq!(shares, [0, 0, 60], "{cookie:?}");
    }
}
