//! Backends that die, hang, lie or vanish, and what clients see of it. ringgate and each backend are processes of their own, so that
//! they can be killed and stopped.

#[path = "../support/mod.rs"]
mod support;

mod inside;
mod load;
mod matrix;
mod process;

use load::{Clients, Load};
use process::Process;
use support::{Place, Ringgate, Setup};

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
    let name_places = |list: String, backend: &Process| {
        list.replace(&format!("{{{}}}", backend.name), &backend.place.to_string())
    };
    let list = backends.iter().fold(list.to_owned(), name_places);
    let setup = Setup::new().top(top).upstream_list("app", &list, group);
    setup.server("127.0.0.1:0", "", &[("/", "http://app", "")]).start()
}
