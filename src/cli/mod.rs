//! The command line: one file per subcommand, and every message that a person reads.

mod ask;
pub mod check;
pub mod demo;
mod doctor;
mod explain;
mod fileless;
mod import;
pub mod init;
pub mod locate;
mod operate;
mod proxy;
mod run;
mod sockets;
mod status;
mod table;
mod tcp;

use crate::config::plan::Plan;
use crate::control;
use crate::log::{Level, tell};
use crate::worker::{self, Workers};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// A load balancer for Linux: thread per core, io_uring, configured with nginx's words.
#[derive(Debug, Parser)]
#[command(name = "ringgate", version, arg_required_else_help = true, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a configuration until SIGTERM or SIGINT
    Run(run::Arguments),
    /// Check a configuration and say what is wrong with it
    Check(Config),
    /// Write a first configuration with comments
    Init {
        /// The file to write [default: ringgate.toml]
        file: Option<PathBuf>,
    },
    /// Make a configuration from nginx's, and say what became of each directive
    Import(import::Arguments),
    /// Balance without a configuration: one address over some servers
    Proxy(fileless::Arguments),
    /// The same for TCP: databases, mail, anything that is a stream of bytes
    Tcp(fileless::Arguments),
    /// Show balancing at work: three small backends, the balancer and some load, all in this process
    Demo(demo::Arguments),
    /// Show what a running ringgate does
    Status(status::Arguments),
    /// Load the configuration again, all or nothing; connections stay
    Reload(operate::Reload),
    /// Open the logs again: they were moved away (as SIGUSR1)
    Reopen(operate::Reload),
    /// Give a server nothing new; what runs there may finish
    Drain(operate::One),
    /// Use a drained server again
    Undrain(operate::One),
    /// Give a server another weight until the next restart
    Weight(operate::Weight),
    /// Tell what becomes of a request, and why: listener, server, location, group, and what the server would be sent
    Explain(explain::Arguments),
    /// Examine this host: can ringgate run, how well, and what would mend it
    Doctor(doctor::Arguments),
}

#[derive(Debug, clap::Args)]
struct Config {
    /// The configuration [default: ./ringgate.toml if it exists, else /etc/ringgate/ringgate.toml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The whole program.
pub fn main() -> ExitCode {
    match CommandLine::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(arguments.config.as_deref()),
        Command::Init { file } => init::init(file.as_deref()),
        Command::Import(arguments) => import::run(&arguments),
        Command::Proxy(arguments) => proxy::run(&arguments),
        Command::Tcp(arguments) => tcp::run(&arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Reload(arguments) => operate::reload(&arguments),
        Command::Reopen(arguments) => operate::reopen(&arguments),
        Command::Drain(arguments) => operate::drain(&arguments, false),
        Command::Undrain(arguments) => operate::drain(&arguments, true),
        Command::Weight(arguments) => operate::weight(&arguments),
        Command::Explain(arguments) => explain::run(arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    }
}

/// Prints to standard output. A reader that went away (`ringgate status | head`) is no error of ours.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Says on standard error why nothing comes of it.
fn fail(message: impl std::fmt::Display) -> ExitCode {
    tell(&format!("ringgate: {message}"));
    ExitCode::FAILURE
}

/// Runs until a signal; returns only if that cannot be, having said why and what mends it. `file` is what a
/// reload loads.
fn serve<D>(plan: Plan, file: Option<PathBuf>, least: Level, on_ready: impl FnOnce(&Workers) -> D) -> ExitCode
where
    D: FnOnce() + 'static,
{
    let workers = worker::count(&plan);
    fail(doctor::explain(control::run(Arc::new(plan), file, least, on_ready), workers))
}

/// `1 server`, `2 servers`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn commands_parse_as_documented() {
        let good = [
            "run",
            "run -c a.toml",
            "run --nginx nginx.conf --lossy --admin off",
            "check --config a.toml",
            "init",
            "init a.toml",
            "import nginx nginx.conf",
            "import nginx nginx.conf -o a.toml --lossy --prefix /usr/share/nginx",
            "run --nginx nginx.conf --lossy",
            "proxy --listen 127.0.0.1:8080 --to 127.0.0.1:1",
            "proxy --listen 8080 --to a:1 --to b:2 --balance least_conn",
            "tcp --listen 127.0.0.1:5432 --to 127.0.0.1:1",
            "tcp --listen 5432 --to a:1 --to b:2 --balance least_conn --workers 2 --admin off",
            "demo",
            "demo --listen 127.0.0.1:0 --no-load",
            "status",
            "status --json --admin /run/x.sock",
            "status -c a.toml",
            "reload",
            "reload -c a.toml",
            "reopen",
            "reopen --admin /run/x.sock",
            "drain app 127.0.0.1:1 --admin /run/x.sock",
            "undrain app 127.0.0.1:1",
            "weight app 127.0.0.1:1 5",
            "weight app 127.0.0.1:1 file -c a.toml",
            "explain http://a/",
            "explain POST https://a:8443/x -H X:1 --header Y:2 --from ::1 -c a.toml",
            "doctor",
            "doctor --json -c a.toml",
        ];
        let bad = [
            "",
            "fly",
            "proxy --listen 1",
            "proxy --to a",
            "tcp --listen 1",
            "tcp --to a:1",
            "proxy --listen 1 --to a --balance fair",
            "status --admin a -c b",
            "run a.toml",
            "run --admin off",
            "run -c a.toml --nginx nginx.conf",
            "import nginx",
            "import apache httpd.conf",
            "reload a.toml",
            "reopen a.log",
            "drain app",
            "weight app 127.0.0.1:1",
            "explain",
            "explain GET a b",
            "explain a --from b",
            "explain a -c b --admin c",
        ];
        let parse = |line: &str| CommandLine::try_parse_from(["ringgate"].into_iter().chain(line.split_whitespace()));
        good.iter().for_each(|line| drop(parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))));
        bad.iter().for_each(|line| assert!(parse(line).is_err(), "{line}"));
    }
}
