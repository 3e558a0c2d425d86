//! `ringgate proxy`: balancing with no file at all. The command line becomes the configuration that one would have written.

use super::{counted, fail, print, sockets, tell};
use crate::config;
use crate::control::{self, status};
use crate::log::Level;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// The options of `proxy`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen, as in the configuration: 127.0.0.1:8080, 8080 (all of IPv4), [::]:8080, unix:/run/x.sock
    #[arg(short, long, required = true, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// A server to send requests to: 127.0.0.1:3000, localhost:3000, 3000, unix:/run/app.sock; repeat for more
    #[arg(short, long, required = true, value_name = "ADDRESS")]
    to: Vec<String>,
    /// How the next server is chosen
    #[arg(short, long, value_enum, default_value_t = Method::RoundRobin)]
    balance: Method,
    /// Worker threads [default: one per CPU]
    #[arg(short, long, value_name = "N")]
    workers: Option<u16>,
    /// The admin socket that `ringgate status` asks, or `off` [default: one of its own]
    #[arg(long, value_name = "PATH")]
    admin: Option<String>,
}

/// The methods, in the configuration's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// One after the other
    #[value(name = "round_robin", alias = "round-robin")]
    RoundRobin,
    /// The one with the fewest requests in flight
    #[value(name = "least_conn", alias = "least-conn")]
    LeastConn,
}

impl Method {
    /// As the configuration writes it.
    pub fn word(self) -> &'static str {
        match self {
            Method::RoundRobin => "round_robin",
            Method::LeastConn => "least_conn",
        }
    }
}

/// Runs until a signal.
pub fn run(arguments: Arguments) -> ExitCode {
    let loaded = match config::load_str("command line", &configuration(&arguments, &sockets::own())) {
        Ok(loaded) => loaded,
        Err(errors) => return fail(format_args!("this cannot be run:\n{errors}")),
    };
    loaded.warnings.iter().for_each(|warning| tell(warning.trim_end()));
    control::run(Arc::new(loaded.plan), Level::Info, |workers| {
        let upstream = &workers.plan.upstreams[0];
        let listening: Vec<_> = workers.plan.listeners.iter().map(status::url).collect();
        let (method, servers) = (status::balance(upstream.balance), counted(upstream.peers.len(), "server"));
        print(&format!("balancing {method} over {servers} on {}\n", listening.join(", ")));
        if let Some(admin) = &workers.plan.admin {
            print(&format!("see what it does: ringgate status --admin {}\n", admin.display()));
        }
        || ()
    })
}

/// The configuration that says what the command line says.
fn configuration(arguments: &Arguments, own_socket: &Path) -> String {
    let admin = arguments.admin.clone().unwrap_or_else(|| own_socket.display().to_string());
    let servers: Vec<_> = arguments.to.iter().map(|server| server_address(server)).collect();
    let listen: Vec<_> = arguments.listen.iter().map(|address| without_scheme(address).to_owned()).collect();
    let mut text = format!("admin = {}\n", quoted(&admin));
    if let Some(workers) = arguments.workers {
        let _ = writeln!(text, "workers = {workers}");
    }
    let _ = write!(
        text,
        "\n[upstream.servers]\nbalance = \"{}\"\nserver = {}\n\n[[server]]\nlisten = {}\n\n\
         [server.location.\"/\"]\nproxy_pass = \"http://servers\"\n",
        arguments.balance.word(),
        array(&servers),
        array(&listen)
    );
    text
}

/// A port alone is one on this machine; a URL is what people copy from their browser.
fn server_address(given: &str) -> String {
    let address = without_scheme(given);
    if !address.is_empty() && address.bytes().all(|b| b.is_ascii_digit()) {
        return format!("127.0.0.1:{address}");
    }
    address.to_owned()
}

fn without_scheme(given: &str) -> &str {
    match given.strip_prefix("http://") {
        Some(address) => address.strip_suffix('/').unwrap_or(address),
        None => given,
    }
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_becomes_a_configuration() {
        let arguments = Arguments {
            listen: vec!["8080".to_owned(), "http://127.0.0.1:81/".to_owned()],
            to: ["3000", "http://localhost:3001/", "[::1]:9", "unix:/run/a \"b\".sock"].map(str::to_owned).into(),
            balance: Method::LeastConn,
            workers: Some(2),
            admin: None,
        };
        let text = configuration(&arguments, Path::new("/run/own.sock"));
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(value["admin"].as_str(), Some("/run/own.sock"));
        assert_eq!(value["workers"].as_integer(), Some(2));
        assert_eq!(value["upstream"]["servers"]["balance"].as_str(), Some("least_conn"));
        let servers: Vec<_> =
            value["upstream"]["servers"]["server"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(servers, ["127.0.0.1:3000", "localhost:3001", "[::1]:9", "unix:/run/a \"b\".sock"]);
        let server = &value["server"][0];
        let listen: Vec<_> = server["listen"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(listen, ["8080", "127.0.0.1:81"]);
        assert_eq!(server["location"]["/"]["proxy_pass"].as_str(), Some("http://servers"));
        let off = Arguments { admin: Some("off".to_owned()), workers: None, ..arguments };
        assert!(configuration(&off, Path::new("/x")).starts_with("admin = \"off\"\n\n[upstream"));
    }
}
