//! The slips of people in a hurry, one row each, and what a whole configuration becomes.

use super::build::Surroundings;
use super::plan::{Address, Plan, Service};
use super::{Errors, Loaded, finish, include};
use crate::limits;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod answers;
mod backends;
mod checks;
mod form;
mod groups;
mod includes;
mod locations;
mod names;
mod pasted;
mod retries;
mod servers;
mod shown;
mod sites;
mod sni;
mod ssl;
mod tcp;

/// A world with three names in it.
fn lookup(host: &str) -> io::Result<Vec<SocketAddr>> {
    let ips: &[&str] = match host {
        "localhost" => &["[::1]:0", "127.0.0.1:0", "127.0.0.1:0"],
        "app.internal" => &["10.0.0.1:0", "10.0.0.2:0"],
        "bakend" => &["10.0.0.9:0"],
        _ => return Err(io::Error::other("no such name")),
    };
    Ok(ips.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn world() -> Surroundings {
    Surroundings { uid: Some(0), runtime_dir: None }
}

fn load(text: &str) -> Result<Loaded, Errors> {
    finish(include::read_str("f", text), &world(), &lookup)
}

fn load_file(path: &Path) -> Result<Loaded, Errors> {
    finish(include::read(path), &world(), &lookup)
}

/// The first lines of all errors.
fn errors(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| error.lines().next().unwrap().to_string()).collect(),
    }
}

fn plan(text: &str) -> Plan {
    load(text).unwrap_or_else(|errors| panic!("{errors}")).plan
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.warnings.iter().map(|warning| warning.lines().next().unwrap().to_string()).collect()
}

/// Text of a file, and for each error `LINE:COLUMN: error: message`.
type Row = (&'static str, &'static [&'static str]);

/// `[upstream.backend]` on line 1, `[[server]]` on line 3, `[server.location."/"]` on line 5: rows change one line.
fn site(group: &str, server: &str, location: &str) -> String {
    format!("[upstream.backend]\n{group}\n[[server]]\n{server}\n[server.location.\"/\"]\n{location}\n")
}

const GROUP: &str = "server = [\"127.0.0.1:3001\", \"127.0.0.1:3002\"]";
const SERVER: &str = "listen = 8080";
const LOCATION: &str = "proxy_pass = \"http://backend\"";

fn assert_rows(rows: &[Row], whole: impl Fn(&str) -> String) {
    for (text, expected) in rows {
        let mut expected: Vec<String> = expected.iter().map(|error| format!("f:{error}")).collect();
        expected.sort_by_key(|error| error.split(':').nth(1).and_then(|line| line.parse::<usize>().ok()));
        assert_eq!(errors(&whole(text)), expected, "for\n{}", whole(text));
    }
}

const ONE_SERVER: &str = "[[server]]\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n";
