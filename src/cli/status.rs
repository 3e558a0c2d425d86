//! `ringgate status`: asks a running ringgate over its admin socket, and shows the answer to a person or, with `--json`, to a script.

use super::ask::{SOON, Whom};
use super::table::{Table, ago, bytes, grouped, share};
use super::{fail, print};
use crate::control::status::{Counts, ServerStatus, State, Status, UpstreamStatus};
use std::process::ExitCode;

/// The options of `status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
}

/// Asks, prints.
pub fn run(arguments: &Arguments) -> ExitCode {
    let json = match arguments.whom.ask("GET", "/status", SOON) {
        Ok(json) => json,
        Err(error) => return fail(error),
    };
    if arguments.json {
        print(&json);
        return ExitCode::SUCCESS;
    }
    match serde_json::from_str::<Status>(&json) {
        Ok(status) => print(&page(&status)),
        Err(error) => {
            return fail(format_args!("the answer is of another version of ringgate ({error}); see it with --json"));
        }
    }
    ExitCode::SUCCESS
}

/// The whole answer for a person.
fn page(status: &Status) -> String {
    let state = match status.state {
        State::Running => "running",
        State::Draining => "draining",
    };
    let mut text = format!(
        "ringgate {}, process {}, {state} for {}, {} of {} workers\n\n",
        status.version,
        status.pid,
        ago(status.uptime_s),
        status.workers_running,
        status.workers.len()
    );
    text.push_str(&listeners(status));
    text.push_str(&certificates(status));
    text.push_str(&upstreams(status));
    text.push('\n');
    text.push_str(&workers(status));
    text.push_str(&troubles(status));
    text
}

fn listeners(status: &Status) -> String {
    let mut table = Table::new(&["<LISTENER", "<KIND", "CONNECTIONS", "IN FLIGHT", "REQUESTS"]);
    for listener in &status.listeners {
        table.row([
            listener.address.clone(),
            listener.kind.word().to_owned(),
            grouped(listener.connections),
            grouped(listener.in_flight),
            grouped(listener.requests),
        ]);
    }
    table.render()
}

fn certificates(status: &Status) -> String {
    if status.certificates.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["<CERTIFICATE", "<STATE", "EXPIRES", "DAYS", "<KEY", "<NAMES", "<ISSUER", "<WHY"]);
    for certificate in &status.certificates {
        table.row([
            certificate.certificate.clone(),
            certificate.state.clone(),
            certificate.not_after.split('T').next().unwrap_or_default().to_owned(),
            certificate.days_left.to_string(),
            certificate.kind.clone(),
            some_of(&certificate.names),
            certificate.issuer.clone(),
            certificate.why.clone(),
        ]);
    }
    format!("\n{}", table.render())
}

/// The first names, and how many more there are.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0 => "-".to_owned(),
        1..=SHOWN => names.join(", "),
        all => format!("{} and {} more", names[..SHOWN].join(", "), all - SHOWN),
    }
}

fn upstreams(status: &Status) -> String {
    status.upstreams.iter().map(upstream).collect()
}

fn upstream(upstream: &UpstreamStatus) -> String {
    let whole = upstream.servers.iter().map(|server| server.requests).sum();
    let mut table = Table::new(&[
        "<SERVER",
        "<STATE",
        "WEIGHT",
        "IN FLIGHT",
        "REQUESTS",
        "SHARE",
        "FAILURES",
        "CONNECTS",
        "REUSED",
        "IDLE",
        "SENT",
        "RECEIVED",
        "<WHY",
    ]);
    for server in &upstream.servers {
        table.row([
            shown(server),
            state(server),
            weight(server),
            grouped(server.in_flight.into()),
            grouped(server.requests),
            share(server.requests, whole),
            grouped(server.failures),
            grouped(server.connects),
            grouped(server.reused),
            grouped(server.idle),
            bytes(server.bytes_out),
            bytes(server.bytes_in),
            why(server),
        ]);
    }
    let mut notes = vec![upstream.balance.clone()];
    if upstream.waiting > 0 {
        notes.push(format!("{} waiting", grouped(upstream.waiting)));
    }
    if upstream.fails_open {
        notes.push("no server is well: all are tried".to_owned());
    }
    if upstream.unusable {
        notes.push("no server can be used".to_owned());
    }
    format!("\nupstream {} ({})\n{}", upstream.name, notes.join(", "), table.render())
}

/// The configured name; with the address where a name stands for several servers.
fn shown(server: &ServerStatus) -> String {
    match &*server.addresses {
        [address] if *address != server.name => format!("{} ({address})", server.name),
        _ => server.name.clone(),
    }
}

fn state(server: &ServerStatus) -> String {
    match server.backup {
        true => format!("{} (backup)", server.state),
        false => server.state.clone(),
    }
}

/// With a star where it is not what the file says.
fn weight(server: &ServerStatus) -> String {
    format!("{}{}", server.weight, if server.weight != server.configured_weight { "*" } else { "" })
}

fn why(server: &ServerStatus) -> String {
    let mut parts: Vec<String> = Some(server.why.clone()).filter(|why| !why.is_empty()).into_iter().collect();
    if server.weight != server.configured_weight {
        parts.push(format!("the file says weight {}", server.configured_weight));
    }
    // Why a check failed stands there already.
    if server.last_check.starts_with("passed") || server.why.is_empty() && !server.last_check.is_empty() {
        parts.push(format!("check {}", server.last_check));
    }
    parts.join("; ")
}

fn workers(status: &Status) -> String {
    let mut table = Table::new(&[
        "<WORKER",
        "CPU",
        "CONNECTIONS",
        "IN FLIGHT",
        "REQUESTS",
        "RECEIVED",
        "SENT",
        "TASKS",
        "OP SLOTS",
        "BUFFERS",
        "ERRORS",
    ]);
    for worker in &status.workers {
        let name = format!("{}{}", worker.worker, if worker.drained { " drained" } else { "" });
        table.row(worker_row(name, worker.cpu, &worker.counts));
    }
    if status.workers.len() > 1 {
        table.row(worker_row("all".to_owned(), None, &status.totals));
    }
    table.render()
}

fn worker_row(name: String, cpu: Option<usize>, counts: &Counts) -> [String; 11] {
    [
        name,
        cpu.map_or("-".to_owned(), |cpu| cpu.to_string()),
        grouped(counts.connections),
        grouped(counts.in_flight),
        grouped(counts.requests),
        bytes(counts.bytes_in),
        bytes(counts.bytes_out),
        grouped(counts.tasks),
        grouped(counts.op_slots),
        grouped(counts.buffers_small_out + counts.buffers_large_out),
        grouped(counts.errors.values().sum()),
    ]
}

/// What went wrong, if anything did: one line each.
fn troubles(status: &Status) -> String {
    let totals = &status.totals;
    let counted = [
        ("connections_refused", totals.connections_refused),
        ("accept_errors", totals.accept_errors),
        ("panics", totals.panics),
        ("log_lines_dropped", status.log_lines_dropped),
    ];
    let errors = totals.errors.iter().map(|(reason, &count)| (reason.as_str(), count));
    let mut table = Table::new(&["<ERRORS", "COUNT"]);
    let mut any = false;
    for (name, count) in errors.chain(counted).filter(|&(_, count)| count > 0) {
        table.row([name.to_owned(), grouped(count)]);
        any = true;
    }
    if any { format!("\n{}", table.render()) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_servers_shares_and_troubles() {
        let json = r#"{"version":"0.1.0","pid":7,"state":"draining","started":"2026-11-21T05:06:07.123Z","uptime_s":125,
            "workers_running":1,"log_lines_dropped":0,
            "totals":{"requests":300,"panics":2,"errors":{"client_gone":1234}},
            "listeners":[{"address":"http://127.0.0.1:80","connections":3,"connections_total":9,"requests":300,"in_flight":1},
              {"kind":"tcp","address":"tcp://127.0.0.1:81","connections":2,"connections_total":2,"requests":0,"in_flight":2}],
            "certificates":[{"certificate":"/c.pem","key":"/k.pem","names":["a.test","b.test","c.test","d.test","e.test"],"state":"kept",
               "why":"/c.pem is empty","issuer":"CA","kind":"ECDSA","not_before":"2026-01-01T00:00:00.000Z","not_after":"2026-12-01T00:00:00.000Z",
               "days_left":9,"fingerprint":"00"}],
            "upstreams":[{"name":"app","balance":"least_conn","servers":[
              {"name":"a:1","addresses":[],"weight":1,"state":"ejected","why":"connection refused, 3 of 3, retry in 4 s","in_flight":1,"requests":200,"failures":0,"connects":1,"connect_failures":0,
               "reused":199,"idle":1,"bytes_in":2048,"bytes_out":10},
              {"name":"b:2","addresses":["10.0.0.1:2"],"weight":5,"configured_weight":1,"backup":true,"last_check":"passed 2 s ago","in_flight":0,"requests":100,"failures":0,"connects":1,"connect_failures":0,
               "reused":99,"idle":1,"bytes_in":0,"bytes_out":10}]}],
            "workers":[{"worker":0,"cpu":3,"drained":false,"requests":300},{"worker":1,"cpu":null,"drained":true}]}"#;
        let page = page(&serde_json::from_str(json).unwrap());
        let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
        let has = |row: &str| rows.contains(&row.split_whitespace().collect());
        assert!(page.starts_with("ringgate 0.1.0, process 7, draining for 2m 5s, 1 of 2 workers\n"), "{page}");
        assert!(has("http://127.0.0.1:80 http 3 1 300") && has("tcp://127.0.0.1:81 tcp 2 2 0"), "{page}");
        assert!(has("/c.pem kept 2026-12-01 9 ECDSA a.test, b.test, c.test and 2 more CA /c.pem is empty"), "{page}");
        assert!(page.contains("upstream app (least_conn)"), "{page}");
        assert!(
            has("a:1 ejected 1 1 200 67 % 0 1 199 1 10 B 2.0 KiB connection refused, 3 of 3, retry in 4 s"),
            "{page}"
        );
        assert!(
            has(
                "b:2 (10.0.0.1:2) up (backup) 5* 0 100 33 % 0 1 99 1 10 B 0 B the file says weight 1; check passed 2 s ago"
            ),
            "{page}"
        );
        assert!(has("1 drained - 0 0 0 0 B 0 B 0 0 0 0"), "{page}");
        assert!(has("client_gone 1,234") && has("panics 2") && !page.contains("accept_errors"), "{page}");
    }
}
