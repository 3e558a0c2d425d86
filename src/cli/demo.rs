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
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

/// The options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen [default: 127.0.0.1:8080, or the next port that is free]
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Listen by HTTPS, too, with this certificate (a chain in PEM); on 127.0.0.1:8443, or the next port that is free
    #[arg(long, value_name = "FILE", requires = "ssl_certificate_key")]
    ssl_certificate: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "ssl_certificate")]
    ssl_certificate_key: Option<PathBuf>,
    /// How the next server is chosen. With least_conn the slow backend gets less; with round_robin it gets its full third
    #[arg(short, long, value_name = "METHOD", default_value = "least_conn")]
    balance: Method,
    /// Send no requests by itself: the table shows yours only
    #[arg(long)]
    no_load: bool,
}

/// The ports tried when none was asked for.
const PORTS: Range<u16> = 8080..8180;
const HTTPS_PORTS: Range<u16> = 8443..8543;

/// Runs until Ctrl-C.
pub fn run(arguments: Arguments) -> ExitCode {
    let backends = match backends::start() {
        Ok(backends) => backends,
        Err(error) => return fail(format_args!("the demo's backends cannot start: {error}")),
    };
    let Some(listen) = arguments.listen.clone().or_else(|| free_address(PORTS)) else {
        return fail(format_args!(
            "no port from {} to {} is free; choose one with --listen",
            PORTS.start,
            PORTS.end - 1
        ));
    };
    let Some(https) = free_address(HTTPS_PORTS) else {
        return fail(format_args!("no port from {} to {} is free", HTTPS_PORTS.start, HTTPS_PORTS.end - 1));
    };
    let text = configuration(&arguments, [&listen, &https], &backends);
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
fn configuration(arguments: &Arguments, [listen, https]: [&str; 2], backends: &[Backend]) -> String {
    use super::fileless::quoted;
    let servers: Vec<_> = backends.iter().map(|backend| quoted(&backend.address.to_string())).collect();
    let absolute = |path: &PathBuf| quoted(&std::path::absolute(path).unwrap_or(path.clone()).display().to_string());
    let listens = match (&arguments.ssl_certificate, &arguments.ssl_certificate_key) {
        (Some(certificate), Some(key)) => format!(
            "listen = [{}, {}]\nssl_certificate = {}\nssl_certificate_key = {}",
            quoted(listen),
            quoted(&format!("{https} ssl")),
            absolute(certificate),
            absolute(key),
        ),
        _ => format!("listen = {}", quoted(listen)),
    };
    format!(
        "admin = {}\nshutdown_timeout = \"5s\"\n\n[upstream.demo]\nbalance = {}\nserver = [{}]\n\n\
         [[server]]\n{listens}\n\n[server.location.\"/\"]\nproxy_pass = \"http://demo\"\n",
        quoted(&sockets::own().display().to_string()),
        quoted(&arguments.balance.to_string()),
        servers.join(", "),
    )
}

/// The first free port on the loopback address. Between looking and listening somebody may take it: then starting says so.
fn free_address(ports: Range<u16>) -> Option<String> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.into_iter().find(free).map(|port| format!("127.0.0.1:{port}"))
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
        let arguments = Arguments {
            listen: None,
            ssl_certificate: None,
            ssl_certificate_key: None,
            balance: "least_conn".parse().unwrap(),
            no_load: true,
        };
        let listens = ["127.0.0.1:8080", "127.0.0.1:8443"];
        let value: toml::Table = configuration(&arguments, listens, &backends).parse().unwrap();
        let servers = value["upstream"]["demo"]["server"].as_array().unwrap();
        assert_eq!(servers.iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>(), ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(value["server"][0]["listen"].as_str(), Some("127.0.0.1:8080"));
        let file = |name: &str| Some(PathBuf::from(name));
        let arguments = Arguments { ssl_certificate: file("/a.pem"), ssl_certificate_key: file("/b.pem"), ..arguments };
        let plan = config::load_str("demo", &configuration(&arguments, listens, &backends)).unwrap().plan;
        assert_eq!(plan.listeners.iter().map(|listener| listener.ssl).collect::<Vec<_>>(), [false, true]);
        assert_eq!(plan.servers[0].ssl.as_ref().unwrap().certificates[0].key, PathBuf::from("/b.pem"));
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let first = free_address(PORTS).unwrap();
        let taken = TcpListener::bind(&first);
        let second = free_address(PORTS).unwrap();
        assert!(taken.is_err() || first != second);
    }
}
