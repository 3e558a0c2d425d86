//! `ringgate demo`: balancing to look at. Three small backends (one of them slow), the balancer before them and a gentle load, all in
//! this process, and a live table of who gets how much.

mod backends;
mod load;
mod show;

use super::fileless::Method;
use super::{fail, serve, sockets};
use crate::config;
use crate::config::plan::Address;
use crate::log::Level;
use crate::worker::Workers;
use backends::Backend;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

/// The options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen [default: 127.0.0.1:8080, or the next port that is free]
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How the next server is chosen. With least_conn the slow backend gets less; with round_robin it gets its full third
    #[arg(short, long, value_name = "METHOD", default_value = "least_conn")]
    balance: Method,
    /// Send no requests by itself: the table shows yours only
    #[arg(long)]
    no_load: bool,
}

/// The ports tried when none was asked for.
const PORTS: std::ops::Range<u16> = 8080..8180;

/// Runs until Ctrl-C.
pub fn run(arguments: Arguments) -> ExitCode {
    let backends = match backends::start() {
        Ok(backends) => backends,
        Err(error) => return fail(format_args!("the demo's backends cannot start: {error}")),
    };
    let Some(listen) = arguments.listen.clone().or_else(free_address) else {
        return fail(format_args!(
            "no port from {} to {} is free; choose one with --listen",
            PORTS.start,
            PORTS.end - 1
        ));
    };
    let text = configuration(&arguments, &listen, &backends);
    let plan = match config::load_str("demo", &text) {
        Ok(loaded) => loaded.plan,
        Err(errors) => return fail(format_args!("the demo cannot be run:\n{errors}")),
    };
    // Only what goes wrong is logged: the table has the terminal.
    serve(plan, None, Level::Warn, move |workers| begin(workers, &arguments, backends))
}

/// Shows the introduction, starts table and load; what it returns ends both.
fn begin(workers: &Workers, arguments: &Arguments, backends: Vec<Backend>) -> impl FnOnce() + use<> {
    let address = workers.addresses().first().cloned();
    let load = match &address {
        Some(Address::Tcp(address)) if !arguments.no_load => Some(load::start(*address)),
        _ => None,
    };
    let table = show::start(workers, backends, load.is_some());
    move || {
        drop(load);
        table.finish();
    }
}

/// What one would write into a file for this.
fn configuration(arguments: &Arguments, listen: &str, backends: &[Backend]) -> String {
    use super::fileless::quoted;
    let servers: Vec<_> = backends.iter().map(|backend| quoted(&backend.address.to_string())).collect();
    format!(
        "admin = {}\nshutdown_timeout = \"5s\"\n\n[upstream.demo]\nbalance = {}\nserver = [{}]\n\n\
         [[server]]\nlisten = {}\n\n[server.location.\"/\"]\nproxy_pass = \"http://demo\"\n",
        quoted(&sockets::own().display().to_string()),
        quoted(&arguments.balance.to_string()),
        servers.join(", "),
        quoted(listen),
    )
}

/// The first free port on the loopback address. Between looking and listening somebody may take it: then starting says so.
fn free_address() -> Option<String> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    PORTS.into_iter().find(free).map(|port| format!("127.0.0.1:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_configuration_names_every_backend() {
        let address = |port| (Ipv4Addr::LOCALHOST, port).into();
        let backends: Vec<_> =
            [1, 2].map(|port| Backend { name: "x", address: address(port), delay: Duration::ZERO }).into();
        let arguments = Arguments { listen: None, balance: "least_conn".parse().unwrap(), no_load: true };
        let value: toml::Table = configuration(&arguments, "127.0.0.1:8080", &backends).parse().unwrap();
        let servers = value["upstream"]["demo"]["server"].as_array().unwrap();
        assert_eq!(servers.iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>(), ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(value["server"][0]["listen"].as_str(), Some("127.0.0.1:8080"));
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let first = free_address().unwrap();
        let taken = TcpListener::bind(&first);
        let second = free_address().unwrap();
        assert!(taken.is_err() || first != second);
    }
}
