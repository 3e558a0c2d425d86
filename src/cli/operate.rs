//! `ringgate reload`, `reopen`, `drain`, `undrain` and `weight`: changing a running ringgate. The exit code tells whether it was done.

use super::ask::{LATER, SOON, Whom};
use super::{fail, print};
use crate::control::desk::encoded;
use std::process::ExitCode;

/// The options of `reload` and `reopen`.
#[derive(Debug, clap::Args)]
pub struct Reload {
    #[command(flatten)]
    whom: Whom,
}

/// The options of `drain` and `undrain`.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The group, as in [upstream.NAME]
    upstream: String,
    /// The server, as in the configuration, or by address
    server: String,
    #[command(flatten)]
    whom: Whom,
}

/// The options of `weight`.
#[derive(Debug, clap::Args)]
pub struct Weight {
    #[command(flatten)]
    one: One,
    /// A number, or `file` for the configured weight
    #[arg(value_name = "WEIGHT")]
    weight: String,
}

/// Loads the configuration again; all or nothing.
pub fn reload(arguments: &Reload) -> ExitCode {
    report(arguments.whom.ask("POST", "/reload", LATER))
}

/// Opens the logs again: they were moved away.
pub fn reopen(arguments: &Reload) -> ExitCode {
    report(arguments.whom.ask("POST", "/reopen", LATER))
}

/// Takes a server out of use, or in again.
pub fn drain(arguments: &One, back: bool) -> ExitCode {
    order(arguments, if back { "undrain" } else { "drain" }, "")
}

/// Gives a server another weight.
pub fn weight(arguments: &Weight) -> ExitCode {
    order(&arguments.one, "weight", &format!("&weight={}", encoded(&arguments.weight)))
}

fn order(One { upstream, server, whom }: &One, what: &str, more: &str) -> ExitCode {
    let target = format!("/{what}?upstream={}&server={}{more}", encoded(upstream), encoded(server));
    report(whom.ask("POST", &target, SOON))
}

fn report(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(said) => {
            print(&said);
            ExitCode::SUCCESS
        }
        Err(error) => fail(error),
    }
}
