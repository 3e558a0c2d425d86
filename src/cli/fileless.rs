//! What `proxy` and `tcp` share: balancing with no file at all. The command line becomes the configuration that one would have
//! written.

use super::{counted, fail, print, serve, sockets, tell};
use crate::config;
use crate::control::status;
use crate::log::Level;
use std::fmt::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

/// The options.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen, as in the configuration: 127.0.0.1:8080, 8080 (all of IPv4), [::]:8080, unix:/run/x.sock
    #[arg(short, long, required = true, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// A server behind it: 127.0.0.1:3000, localhost:3000, 3000 (on this machine), unix:/run/app.sock, and for `proxy` also
    /// https://app.internal:3443; repeat for more
    #[arg(short, long, required = true, value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// How the next server is chosen: round_robin, least_conn, ip_hash, 'hash $request_uri', random or least_time
    #[arg(short, long, value_name = "METHOD", default_value_t = Method::default())]
    pub balance: Method,
    /// Worker threads [default: one per CPU]
    #[arg(short, long, value_name = "N")]
    pub workers: Option<u16>,
    /// The admin socket that `ringgate status` asks, or `off` [default: one of its own]
    #[arg(long, value_name = "PATH")]
    pub admin: Option<String>,
}

/// A method of choosing, in the configuration's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method(String);

impl Default for Method {
    fn default() -> Method {
        Method("round_robin".to_owned())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(given: &str) -> Result<Method, String> {
        // On a command line a dash is as good.
        let end = given.find(' ').unwrap_or(given.len());
        let text = format!("{}{}", given[..end].replace('-', "_"), &given[end..]);
        config::balance(&text).map(|_| Method(text))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// In what the commands differ.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// People copy addresses with it in front.
    pub scheme: &'static str,
    /// The section that listens, leading to the group `servers`, without its `listen`.
    pub section: &'static str,
    /// The same for servers that are asked by TLS (`https://`), if there is such a thing.
    pub by_tls: Option<&'static str>,
}

/// Runs until a signal.
pub fn run(arguments: &Arguments, form: Form) -> ExitCode {
    let of_tls = arguments.to.iter().filter(|server| server.starts_with(HTTPS)).count();
    if form.by_tls.is_some() && of_tls > 0 && of_tls < arguments.to.len() {
        return fail(
            "the servers of one group all speak TLS, or none does: write https:// before each `--to`, or a file",
        );
    }
    let loaded = match config::load_str("command line", &configuration(arguments, form, &sockets::own())) {
        Ok(loaded) => loaded,
        Err(errors) => return fail(format_args!("this cannot be run:\n{errors}")),
    };
    loaded.warnings.iter().for_each(|warning| tell(warning.trim_end()));
    serve(loaded.plan, None, Level::Info, |workers| {
        let plan = &workers.site().plan;
        let upstream = &plan.upstreams[0];
        let listening: Vec<_> = plan.listeners.iter().map(status::url).collect();
        let (method, servers) = (upstream.balance.word(), counted(upstream.peers.len(), "server"));
        print(&format!("balancing {method} over {servers} on {}\n", listening.join(", ")));
        if let Some(admin) = &plan.admin {
            print(&format!("see what it does: ringgate status --admin {}\n", admin.display()));
        }
        || ()
    })
}

/// The configuration that says what the command line says.
pub fn configuration(arguments: &Arguments, form: Form, own_socket: &Path) -> String {
    let admin = arguments.admin.clone().unwrap_or_else(|| own_socket.display().to_string());
    let (scheme, section) = match form.by_tls {
        Some(section) if arguments.to.iter().all(|server| server.starts_with(HTTPS)) => (HTTPS, section),
        _ => (form.scheme, form.section),
    };
    let servers: Vec<_> = arguments.to.iter().map(|server| server_address(server, scheme)).collect();
    let listen: Vec<_> =
        arguments.listen.iter().map(|address| without_scheme(address, form.scheme).to_owned()).collect();
    let mut text = format!("admin = {}\n", quoted(&admin));
    if let Some(workers) = arguments.workers {
        let _ = writeln!(text, "workers = {workers}");
    }
    let _ = write!(
        text,
        "\n[upstream.servers]\nbalance = {}\nserver = {}\n\n{}\nlisten = {}\n",
        quoted(&arguments.balance.to_string()),
        array(&servers),
        section,
        array(&listen)
    );
    text
}

const HTTPS: &str = "https://";

/// A port alone is one on this machine; a URL is what people copy from elsewhere, and the port of https is not that of http.
fn server_address(given: &str, scheme: &str) -> String {
    let address = without_scheme(given, scheme);
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let has_port = || address.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    match is_port(address) {
        true => format!("127.0.0.1:{address}"),
        false if scheme == HTTPS && !address.starts_with("unix:") && !has_port() => format!("{address}:443"),
        false => address.to_owned(),
    }
}

fn without_scheme<'a>(given: &'a str, scheme: &str) -> &'a str {
    match given.strip_prefix(scheme) {
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

    fn strings(value: &toml::Value) -> Vec<&str> {
        value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
    }

    #[test]
    fn methods_are_those_of_the_configuration() {
        for (given, meant) in [
            ("round_robin", "round_robin"),
            ("round-robin", "round_robin"),
            ("ip-hash", "ip_hash"),
            ("hash $http_x-a consistent", "hash $http_x-a consistent"),
            ("hash $request_uri", "hash $request_uri"),
            ("random two least_conn", "random two least_conn"),
            ("least-time", "least_time"),
        ] {
            assert_eq!(given.parse::<Method>().map(|method| method.to_string()).as_deref(), Ok(meant));
        }
        assert_eq!(Method::default().to_string(), "round_robin");
        for (given, hint) in
            [("", "\"least_conn\""), ("fair", "\"least_conn\""), ("hash", "$request_uri"), ("least", "write")]
        {
            let error = given.parse::<Method>().expect_err(given);
            assert!(error.contains(hint), "{given}: {error}");
        }
    }

    #[test]
    fn the_command_line_becomes_a_configuration() {
        let form = Form { scheme: "tcp://", section: "[[tcp]]\nproxy_pass = \"servers\"", by_tls: None };
        let arguments = Arguments {
            listen: vec!["8080".to_owned(), "tcp://127.0.0.1:81/".to_owned()],
            to: ["3000", "tcp://localhost:3001/", "http://a", "[::1]:9", "unix:/run/a \"b\".sock"]
                .map(str::to_owned)
                .into(),
            balance: "least_conn".parse().unwrap(),
            workers: Some(2),
            admin: None,
        };
        let text = configuration(&arguments, form, Path::new("/run/own.sock"));
        let value: toml::Table = text.parse().unwrap();
        assert_eq!(value["admin"].as_str(), Some("/run/own.sock"));
        assert_eq!(value["workers"].as_integer(), Some(2));
        let group = &value["upstream"]["servers"];
        assert_eq!(group["balance"].as_str(), Some("least_conn"));
        let expected = ["127.0.0.1:3000", "localhost:3001", "http://a", "[::1]:9", "unix:/run/a \"b\".sock"];
        assert_eq!(strings(&group["server"]), expected, "another scheme is left for the configuration to refuse");
        assert_eq!(strings(&value["tcp"][0]["listen"]), ["8080", "127.0.0.1:81"]);
        let off = Arguments { admin: Some("off".to_owned()), workers: None, ..arguments };
        assert!(configuration(&off, form, Path::new("/x")).starts_with("admin = \"off\"\n\n[upstream"));
    }
}
