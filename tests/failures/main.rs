//! Backends that die, hang, lie or vanish, and what clients see of it. ringgate and each backend are processes of their own, so that
//! they can be killed and stopped.

#[path = "../support/mod.rs"]
mod support;

mod capacity;
mod checks;
mod commands;
mod found;
mod health;
mod inside;
mod itself;
mod load;
mod matrix;
mod names;
mod policies;
mod process;
mod reload;
mod stale;

use load::Clients;
use process::Process;
use support::{Client, Place, Ringgate, Setup};

/// A few clients where nothing depends on how many.
const GETS: Clients = Clients { gets: 6, posts: 0 };

/// Not a test: the program of the backend processes.
#[test]
fn backend_process() {
    if std::env::var_os(inside::ENVIRONMENT[0]).is_some() {
        inside::live();
    }
}

/// HTTP backends named a, b, c, ...
#[track_caller]
fn backends(count: usize) -> Vec<Process> {
    ["a", "b", "c", "d"][..count].iter().map(|name| Process::http(name)).collect()
}

/// ringgate before all of them as upstream `app`, with lines for the group and lines above all sections.
#[track_caller]
fn before(backends: &[Process], group: &str, top: &str) -> Ringgate {
    let places: Vec<&Place> = backends.iter().map(|backend| &backend.place).collect();
    let setup = Setup::new().top(top).upstream("app", &places, group);
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).start()
}

/// The same with the list written out: `{a}` stands for the address of backend a.
#[track_caller]
fn before_list(backends: &[Process], list: &str, group: &str, top: &str) -> Ringgate {
    let name_places =
        |list: String, backend: &Process| list.replace(&format!("{{{}}}", backend.name), &backend.place.to_string());
    let list = backends.iter().fold(list.to_owned(), name_places);
    let setup = Setup::new().top(top).upstream_list("app", &list, group);
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).start()
}

/// The status of a GET on a connection of its own.
#[track_caller]
fn get(ringgate: &Ringgate) -> u16 {
    ringgate.client().get("/").status()
}

/// A TCP session or tunnel with an echo behind it.
struct Session {
    client: Client,
    /// The backend's name; empty for a tunnel.
    from: String,
}

/// A session through a `[[tcp]]` listener.
#[track_caller]
fn session(place: &Place) -> Session {
    let mut client = Client::connect(place);
    let from = client.reader.line_to(b'\n').unwrap_or_else(|e| panic!("no greeting of the backend: {e}"));
    Session { client, from }
}

/// A tunnel through an HTTP listener.
#[track_caller]
fn tunnel(place: &Place) -> Session {
    let mut client = Client::connect(place);
    client.send("GET /tunnel HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let answer = client.head();
    assert_eq!(answer.status(), 101, "{:?}", answer.fields);
    Session { client, from: String::new() }
}

impl Session {
    /// Whether the text comes back.
    fn echo(&mut self, text: &str) -> bool {
        let line = format!("{text}\n");
        self.client.try_send(line.as_bytes()).is_ok()
            && self.client.reader.line_to(b'\n').is_ok_and(|back| back == text)
    }
}
