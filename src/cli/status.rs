//! `ringgate status`: asks a running ringgate over its admin socket, and shows the answer to a person or, with `--json`, to a script.

use super::table::{Table, ago, bytes, grouped, share};
use super::{fail, locate, print, sockets};
use crate::config;
use crate::control::admin;
use crate::control::status::{Counts, State, Status};
use crate::limits::ADMIN_ANSWER_MAX;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The options of `status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// The admin socket to ask [default: that of the configuration, or of the one ringgate that runs]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    admin: Option<PathBuf>,
    /// The configuration that names the admin socket
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Asks, prints.
pub fn run(arguments: &Arguments) -> ExitCode {
    let json = match socket(arguments).and_then(|socket| ask(&socket)) {
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

/// The socket to ask: the one that was named, else the one that a configuration names, else the only one that answers.
fn socket(arguments: &Arguments) -> Result<PathBuf, String> {
    if let Some(path) = &arguments.admin {
        return Ok(path.clone());
    }
    if let Some(file) = &arguments.config {
        return configured(file)?
            .ok_or_else(|| format!("{} has `admin = \"off\"`: there is nobody to ask", file.display()));
    }
    let of_default_file = locate::find_config(None).ok().and_then(|file| configured(&file).ok().flatten());
    let mut candidates = sockets::found();
    candidates.extend(of_default_file);
    candidates.sort();
    candidates.dedup();
    candidates.retain(|path| admin::is_live(path).unwrap_or(false));
    match candidates.as_slice() {
        [] => Err("no running ringgate was found; name its admin socket with --admin PATH".to_owned()),
        [only] => Ok(only.clone()),
        several => {
            let list: Vec<_> =
                several.iter().map(|path| format!("\n  ringgate status --admin {}", path.display())).collect();
            Err(format!("several are running; which one?{}", list.concat()))
        }
    }
}

fn configured(file: &Path) -> Result<Option<PathBuf>, String> {
    config::load(file).map(|loaded| loaded.plan.admin).map_err(|errors| errors.to_string())
}

/// The body of `GET /status`.
fn ask(socket: &Path) -> Result<String, String> {
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
    let shown = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            format!("nobody answers on {shown}: is ringgate running? ({error})")
        }
        _ => format!("cannot ask on {shown}: {error}"),
    })?;
    let mut answer = Vec::new();
    let exchange = stream
        .set_read_timeout(PATIENCE)
        .and_then(|()| stream.set_write_timeout(PATIENCE))
        .and_then(|()| stream.write_all(b"GET /status HTTP/1.1\r\nHost: ringgate\r\nConnection: close\r\n\r\n"))
        .and_then(|()| stream.take(ADMIN_ANSWER_MAX).read_to_end(&mut answer));
    exchange.map_err(|error| format!("{shown} does not answer: {error}"))?;
    body(&answer).ok_or_else(|| format!("{shown} answers, but not as a ringgate would"))
}

/// The body of a complete 200 answer with Content-Length.
fn body(answer: &[u8]) -> Option<String> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = head.parse(answer).ok()? else { return None };
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    let body = answer.get(len..len.checked_add(length)?)?;
    (head.code == Some(200)).then(|| String::from_utf8_lossy(body).into_owned())
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

fn upstreams(status: &Status) -> String {
    let mut text = String::new();
    for upstream in &status.upstreams {
        let whole = upstream.servers.iter().map(|server| server.requests).sum();
        let mut table = Table::new(&[
            "<SERVER",
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
        ]);
        for server in &upstream.servers {
            table.row([
                server.name.clone(),
                server.weight.to_string(),
                grouped(server.in_flight.into()),
                grouped(server.requests),
                share(server.requests, whole),
                grouped(server.failures),
                grouped(server.connects),
                grouped(server.reused),
                grouped(server.idle),
                bytes(server.bytes_out),
                bytes(server.bytes_in),
            ]);
        }
        text.push_str(&format!("\nupstream {} ({})\n{}", upstream.name, upstream.balance, table.render()));
    }
    text
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
    fn only_a_complete_answer_counts() {
        let table: [(&[u8], Option<&str>); 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some("{}")),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}more", Some("{}")),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", None),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{}", None),
            (b"HTTP/1.1 200 OK\r\n", None),
            (b"", None),
        ];
        for (answer, expected) in table {
            assert_eq!(body(answer).as_deref(), expected, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn the_page_shows_servers_shares_and_troubles() {
        let json = r#"{"version":"0.1.0","pid":7,"state":"draining","started":"2026-11-21T05:06:07.123Z","uptime_s":125,
            "workers_running":1,"log_lines_dropped":0,
            "totals":{"requests":300,"panics":2,"errors":{"client_gone":1234}},
            "listeners":[{"address":"http://127.0.0.1:80","connections":3,"connections_total":9,"requests":300,"in_flight":1},
              {"kind":"tcp","address":"tcp://127.0.0.1:81","connections":2,"connections_total":2,"requests":0,"in_flight":2}],
            "upstreams":[{"name":"app","balance":"least_conn","servers":[
              {"name":"a:1","addresses":[],"weight":1,"in_flight":1,"requests":200,"failures":0,"connects":1,"connect_failures":0,
               "reused":199,"idle":1,"bytes_in":2048,"bytes_out":10},
              {"name":"b:2","addresses":[],"weight":1,"in_flight":0,"requests":100,"failures":0,"connects":1,"connect_failures":0,
               "reused":99,"idle":1,"bytes_in":0,"bytes_out":10}]}],
            "workers":[{"worker":0,"cpu":3,"drained":false,"requests":300},{"worker":1,"cpu":null,"drained":true}]}"#;
        let page = page(&serde_json::from_str(json).unwrap());
        let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
        let has = |row: &str| rows.contains(&row.split_whitespace().collect());
        assert!(page.starts_with("ringgate 0.1.0, process 7, draining for 2m 5s, 1 of 2 workers\n"), "{page}");
        assert!(has("http://127.0.0.1:80 http 3 1 300") && has("tcp://127.0.0.1:81 tcp 2 2 0"), "{page}");
        assert!(page.contains("upstream app (least_conn)"), "{page}");
        assert!(has("a:1 1 1 200 67 % 0 1 199 1 10 B 2.0 KiB"), "{page}");
        assert!(has("1 drained - 0 0 0 0 B 0 B 0 0 0 0"), "{page}");
        assert!(has("client_gone 1,234") && has("panics 2") && !page.contains("accept_errors"), "{page}");
    }

    #[test]
    fn a_socket_where_nobody_answers_is_explained() {
        let error = ask(Path::new("/nonexistent/x.sock")).unwrap_err();
        assert!(error.contains("/nonexistent/x.sock") && error.contains("is ringgate running?"), "{error}");
    }
}
