//! `ringgate doctor`: can ringgate run here, and how well? Each finding that is not good comes with the command that mends it. Where
//! another command cannot start, it says the same words.

mod cgroup;
mod cures;
mod host;
mod judge;
mod refusal;

use super::table::grouped;
use super::{counted, fail, locate, print, tell};
use crate::config::{self, plan::Address, plan::Plan};
use crate::control::{NotStarted, files};
use crate::limits::{PIPE_BYTES, PIPES_MAX};
use crate::ring::uring::trial;
use crate::worker;
use cures::Cure;
use host::Host;
use judge::{Demand, Finding, Level, Tried};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// The options of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Judge by what this configuration needs [default: as for `run`; if there is none, by the defaults]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The answer to `--json`.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    /// The configuration that was judged by.
    config: Option<PathBuf>,
    workers: usize,
    worker_connections: u32,
    can_run: bool,
    /// The worst of all findings.
    level: Level,
    findings: Vec<Finding>,
}

/// Looks, tries, judges, prints. Exit code 0: ringgate can run.
pub fn run(arguments: &Arguments) -> ExitCode {
    let given = arguments.config.is_some();
    let found = locate::find_config(arguments.config.as_deref()).ok();
    let (config, plan) = match found.map(|path| (config::load(&path), path)) {
        Some((Ok(loaded), path)) => (Some(path), loaded.plan),
        Some((Err(errors), path)) => {
            tell(errors.to_string().trim_end());
            if given {
                return fail(format_args!("{} has errors; nothing was judged", path.display()));
            }
            tell(&format!("ringgate: {} has errors; judging by the defaults", path.display()));
            (None, defaults())
        }
        None => (None, defaults()),
    };
    let report = examine(config, &plan);
    match arguments.json {
        true => print(&format!("{}\n", serde_json::to_string_pretty(&report).unwrap_or_default())),
        false => print(&page(&report)),
    }
    if report.can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The smallest plan: everything that counts here is left at its default.
fn defaults() -> Plan {
    const TEXT: &str = "[[tcp]]\nlisten = \"127.0.0.1:0\"\nproxy_pass = \"127.0.0.1:1\"\n";
    config::load_str("the defaults", TEXT).expect("a test loads it").plan
}

fn examine(config: Option<PathBuf>, plan: &Plan) -> Report {
    let host = Host::look();
    let workers = worker::count(plan);
    let port = |address: &Address| match address {
        Address::Tcp(address) => Some(address.port()),
        Address::Unix(_) => None,
    };
    let demand = Demand {
        workers,
        connections: workers as u64 * u64::from(plan.worker_connections),
        files: files::needed(plan, files::open_now()),
        ports: plan.listeners.iter().filter_map(|listener| port(&listener.address)).collect(),
    };
    let limit = files::raise_limit();
    let tried = limit.is_none_or(|limit| limit >= demand.files.to_start).then(|| try_for_real(workers));
    let findings = judge::findings(&host, &demand, tried.as_ref());
    let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    Report {
        version: env!("CARGO_PKG_VERSION"),
        config,
        workers,
        worker_connections: plan.worker_connections,
        can_run: level < Level::Problem,
        level,
        findings,
    }
}

/// One worker's pipes only: more, even for a moment, could leave a ringgate that runs with small ones.
fn try_for_real(workers: usize) -> Tried {
    let errno = |error: &std::io::Error| error.raw_os_error().unwrap_or(0);
    let rings = trial::rings(workers);
    let pipes = trial::pipes(PIPES_MAX as usize, PIPE_BYTES);
    Tried {
        rings: rings.made,
        error: rings.error.as_ref().map(errno),
        missing: rings.missing,
        pipe: pipes.map(|sizes| sizes.into_iter().min().unwrap_or(0) as u64).map_err(|error| errno(&error)),
    }
}

fn page(report: &Report) -> String {
    let by = match &report.config {
        Some(path) => format!("by {}", path.display()),
        None => "by the defaults".to_owned(),
    };
    let mut text = format!(
        "ringgate {}, judged {by}: {} of {} connections\n\n",
        report.version,
        counted(report.workers, "worker"),
        grouped(report.worker_connections.into())
    );
    let width = report.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for Finding { check, level, message, cures } in &report.findings {
        text.push_str(&format!("{:<7}  {check:<width$}  {message}\n", level.word()));
        cures.iter().for_each(|cure| text.push_str(&format!("{:9}> {}\n", "", line(cure))));
    }
    let count = |level: Level| report.findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    text.push_str(&match (problems, warnings) {
        (0, 0) => "\nringgate can run here.\n".to_owned(),
        (0, _) => format!("\nringgate can run here; {}.\n", counted(warnings, "warning")),
        _ => format!("\nringgate cannot run here: {}.\n", counted(problems, "problem")),
    });
    text
}

/// A command with its note, fit to be pasted into a shell.
fn line(cure: &Cure) -> String {
    if cure.note.is_empty() { cure.command.clone() } else { format!("{}   # {}", cure.command, cure.note) }
}

/// Why a command with so many workers could not start, with what mends it.
pub fn explain(error: NotStarted, workers: usize) -> String {
    let host = Host::look();
    let (message, mut cures) = match error {
        NotStarted::Ring(error) => refusal::tell(error.raw_os_error().unwrap_or(0), &host, workers),
        NotStarted::Files { limit, needed } => judge::too_few_files(&host, limit, needed),
        NotStarted::PortForbidden { message, port } => (message, cures::port_forbidden(&host, port.into())),
        NotStarted::Other(message) => return message,
    };
    cures.push(cures::cure("ringgate doctor", "examines the whole host"));
    cures.iter().fold(message, |text, cure| format!("{text}\n  > {}", line(cure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_load() {
        assert_eq!(defaults().worker_connections, crate::limits::WORKER_CONNECTIONS_DEFAULT);
    }
}
