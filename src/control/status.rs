//! What `GET /status` answers: the counters of all workers under the names of the plan. Pure: it reads, adds up and names.

use super::certificates::CertificateStatus;
use crate::balance::health::{State as Health, Verdict};
use crate::balance::{Entry, Group, Override};
use crate::config::plan::{Address, Host, Listener, Service};
use crate::log;
use crate::proto::reason::Reason;
use crate::site::Site;
use crate::stats::{Counter, ServerStats, Stats, WorkerStats};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of ringgate.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// What the process is doing.
    pub state: State,
    /// RFC 3339, UTC.
    pub started: String,
    /// Seconds since then.
    pub uptime_s: u64,
    /// Workers that have not ended.
    pub workers_running: usize,
    /// Log lines that were lost because the log could not keep up.
    pub log_lines_dropped: u64,
    /// Lines of access logs that were lost: a full disk, or a pipe that nobody reads fast enough.
    #[serde(default)]
    pub access_log_lines_dropped: u64,
    /// All workers together.
    pub totals: Counts,
    /// In the plan's order.
    pub listeners: Vec<ListenerStatus>,
    /// By their files.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
    /// In the plan's order.
    pub upstreams: Vec<UpstreamStatus>,
    /// One per worker.
    pub workers: Vec<WorkerStatus>,
}

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It serves.
    Running,
    /// It finishes what it has begun and takes nothing new.
    Draining,
}

/// The counters of one worker, or of all together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names are those of `WorkerStats`, where they are explained
pub struct Counts {
    pub connections: u64,
    pub parked: u64,
    pub connections_total: u64,
    pub connections_refused: u64,
    pub handed_over: u64,
    pub accept_errors: u64,
    pub requests: u64,
    pub in_flight: u64,
    /// By reason name; those that never happened are left out.
    pub errors: BTreeMap<String, u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Body and stream bytes that went through pipes, and through buffers.
    pub bytes_spliced: u64,
    pub bytes_copied: u64,
    pub pipes: u64,
    pub pipe_failures: u64,
    pub pipes_shrunken: u64,
    pub buffers_small_out: u64,
    pub buffers_large_out: u64,
    pub buffers_waiting: u64,
    pub tasks: u64,
    pub op_slots: u64,
    pub sockets: u64,
    pub timers: u64,
    pub upstream_idle: u64,
    pub panics: u64,
    pub turns: u64,
}

/// One listener, over all workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ListenerStatus {
    /// What its connections get; absent in old answers.
    #[serde(default)]
    pub kind: Kind,
    /// `http://127.0.0.1:8080`, `tcp://127.0.0.1:5432`, `unix:/run/x.sock`.
    pub address: String,
    pub connections: u64,
    pub connections_total: u64,
    pub requests: u64,
    pub in_flight: u64,
}

/// What a listener does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It answers requests.
    #[default]
    Http,
    /// It passes bytes on.
    Tcp,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct UpstreamStatus {
    pub name: String,
    /// As in the configuration: `round_robin`.
    pub balance: String,
    /// Requests that wait for a server below its `max_conns`.
    #[serde(default)]
    pub waiting: u64,
    /// No server is well, and they are used all the same.
    #[serde(default)]
    pub fails_open: bool,
    /// No server at all can be used.
    #[serde(default)]
    pub unusable: bool,
    pub servers: Vec<ServerStatus>,
}

/// One server of a group, over all workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ServerStatus {
    /// As written in the configuration.
    pub name: String,
    /// As resolved.
    pub addresses: Vec<String>,
    /// `up`, `probation` (one request at a time), `ejected` (traffic failed), `down` (checks fail, or the file says so), `drained` (an
    /// operator said so), `unresolved` (its name has no address yet).
    #[serde(default = "up")]
    pub state: String,
    /// Why, for people; may be empty.
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub backup: bool,
    /// In force; `configured_weight` is the file's.
    pub weight: u32,
    #[serde(default = "one")]
    pub configured_weight: u32,
    /// An operator set something else than the file says.
    #[serde(default)]
    pub differs: bool,
    /// `passed 2 s ago`; empty if nothing was checked.
    #[serde(default)]
    pub last_check: String,
    pub in_flight: u32,
    pub requests: u64,
    pub failures: u64,
    pub connects: u64,
    pub connect_failures: u64,
    pub reused: u64,
    /// Pooled connections.
    pub idle: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

fn up() -> String {
    "up".to_owned()
}

fn one() -> u32 {
    1
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct WorkerStatus {
    pub worker: usize,
    /// The CPU it is pinned to.
    pub cpu: Option<usize>,
    pub drained: bool,
    #[serde(flatten)]
    pub counts: Counts,
}

/// What only the process knows, not its plan or counters.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Serving or draining.
    pub state: State,
    /// Workers that have not ended.
    pub workers_running: usize,
    /// See `Status`.
    pub log_lines_dropped: u64,
    /// See `Status`.
    pub access_log_lines_dropped: u64,
    /// The present.
    pub now: SystemTime,
    /// The present on the workers' clock, in milliseconds.
    pub now_ms: u64,
}

/// What is wrong with a name, if anything.
pub type Trouble<'a> = Box<dyn Fn(&Host) -> Option<String> + 'a>;

/// Reads everything. `site` is what runs: its plan has the addresses really bound (a port 0 has become another).
pub fn status(
    site: &Site,
    stats: &Stats,
    process: Process,
    trouble: &Trouble,
    certificates: Vec<CertificateStatus>,
) -> Status {
    let plan = &site.plan;
    let worker = |(i, worker)| worker_status(i, worker, site);
    let workers: Vec<_> = stats.workers.iter().enumerate().map(worker).collect();
    let mut totals = Counts::default();
    workers.iter().for_each(|worker| totals.add(&worker.counts));
    let listener = |(i, listener): (usize, &Listener)| {
        let sum = |counter: fn(&crate::stats::ListenerStats) -> &Counter| {
            stats.workers.iter().filter_map(|w| w.listeners.get(i)).map(|l| counter(l).get()).sum()
        };
        ListenerStatus {
            kind: Kind::of(&listener.service),
            address: url(listener),
            connections: sum(|l| &l.connections),
            connections_total: sum(|l| &l.connections_total),
            requests: sum(|l| &l.requests),
            in_flight: sum(|l| &l.in_flight),
        }
    };
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        state: process.state,
        started: log::timestamp(stats.started),
        uptime_s: process.now.duration_since(stats.started).unwrap_or_default().as_secs(),
        workers_running: process.workers_running,
        log_lines_dropped: process.log_lines_dropped,
        access_log_lines_dropped: process.access_log_lines_dropped,
        totals,
        listeners: plan.listeners.iter().enumerate().map(listener).collect(),
        certificates,
        upstreams: site.groups.iter().map(|group| upstream_status(group, process.now_ms, trouble)).collect(),
        workers,
    }
}

fn worker_status(index: usize, worker: &WorkerStats, site: &Site) -> WorkerStatus {
    let members = || site.groups.iter().flat_map(|group| group.entries()).map(|entry| &entry.member);
    let happened = Reason::ALL.iter().map(|reason| (reason.name().to_owned(), worker.errors[reason.index()].get()));
    let counts = Counts {
        connections: worker.connections.get(),
        parked: worker.parked.get(),
        connections_total: worker.connections_total.get(),
        connections_refused: worker.connections_refused.get(),
        handed_over: worker.handed_over.get(),
        accept_errors: worker.accept_errors.get(),
        requests: worker.requests.get(),
        in_flight: worker.in_flight.get(),
        errors: happened.filter(|&(_, count)| count > 0).collect(),
        bytes_in: worker.bytes_in.get(),
        bytes_out: worker.bytes_out.get(),
        bytes_spliced: worker.bytes_spliced.get(),
        bytes_copied: worker.bytes_copied.get(),
        pipes: worker.pipes.get(),
        pipe_failures: worker.pipe_failures.get(),
        pipes_shrunken: worker.pipes_shrunken.get(),
        buffers_small_out: worker.buffers_small_out.get(),
        buffers_large_out: worker.buffers_large_out.get(),
        buffers_waiting: worker.buffers_waiting.get(),
        tasks: worker.tasks.get(),
        op_slots: worker.op_slots.get(),
        sockets: worker.sockets.get(),
        timers: worker.timers.get(),
        upstream_idle: members().map(|member| member.stats(index).idle.get()).sum(),
        panics: worker.panics.get(),
        turns: worker.turns.get(),
    };
    WorkerStatus { worker: index, cpu: worker.cpu.get().copied(), drained: worker.drained.load(Relaxed), counts }
}

fn upstream_status(group: &Group, now: u64, trouble: &Trouble) -> UpstreamStatus {
    let view = group.view(now);
    let servers = group.entries().iter().map(|entry| {
        let member = &entry.member;
        let sum = |counter: fn(&ServerStats) -> &Counter| member.all_stats().iter().map(|s| counter(s).get()).sum();
        ServerStatus {
            name: member.name.clone(),
            addresses: member.addresses.iter().map(address).collect(),
            state: state(entry).to_owned(),
            why: why(entry, now, trouble),
            backup: entry.peer.backup,
            weight: entry.weight(),
            configured_weight: entry.peer.weight,
            differs: member.overridden() != Override::default(),
            last_check: member
                .look(|health| health.last_check().map(|check| last_check(check, now)))
                .unwrap_or_default(),
            in_flight: member.in_flight(),
            requests: sum(|s| &s.requests),
            failures: sum(|s| &s.failures),
            connects: sum(|s| &s.connects),
            connect_failures: sum(|s| &s.connect_failures),
            reused: sum(|s| &s.reused),
            idle: sum(|s| &s.idle),
            bytes_in: sum(|s| &s.bytes_in),
            bytes_out: sum(|s| &s.bytes_out),
        }
    });
    let upstream = group.upstream();
    UpstreamStatus {
        name: upstream.name.clone(),
        balance: upstream.balance.word().to_owned(),
        waiting: group.lineage().queue.len() as u64,
        fails_open: view.fails_open,
        unusable: view.is_empty(),
        servers: servers.collect(),
    }
}

fn state(entry: &Entry) -> &'static str {
    match entry.member.state() {
        _ if entry.peer.down => "down",
        _ if entry.member.overridden().drained => "drained",
        _ if entry.member.addresses.is_empty() => "unresolved",
        Health::Up => "up",
        Health::Probation => "probation",
        Health::Ejected => "ejected",
        Health::Down => "down",
    }
}

fn why(entry: &Entry, now: u64, trouble: &Trouble) -> String {
    let health = entry.member.look(|health| health.why(&entry.rules, now));
    let name = entry.peer.host.as_ref().and_then(trouble).map(|why| format!("its name cannot be looked up: {why}"));
    let by_file = entry.peer.down.then(|| "the file says so".to_owned());
    let operator = entry.member.overridden().drained.then(|| "an operator said so".to_owned());
    let parts = [by_file, operator, Some(health).filter(|why| !why.is_empty()), name];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn last_check((at, verdict): &(u64, Verdict), now: u64) -> String {
    let ago = now.saturating_sub(*at) / 1000;
    match verdict {
        Verdict::Passed => format!("passed {ago} s ago"),
        Verdict::Failed { why, .. } => format!("failed {ago} s ago: {why}"),
    }
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        // Taken apart, so that a counter added later cannot be forgotten here.
        let Counts {
            connections,
            parked,
            connections_total,
            connections_refused,
            handed_over,
            accept_errors,
            requests,
            in_flight,
            errors,
            bytes_in,
            bytes_out,
            bytes_spliced,
            bytes_copied,
            pipes,
            pipe_failures,
            pipes_shrunken,
            buffers_small_out,
            buffers_large_out,
            buffers_waiting,
            tasks,
            op_slots,
            sockets,
            timers,
            upstream_idle,
            panics,
            turns,
        } = other;
        self.connections += connections;
        self.parked += parked;
        self.connections_total += connections_total;
        self.connections_refused += connections_refused;
        self.handed_over += handed_over;
        self.accept_errors += accept_errors;
        self.requests += requests;
        self.in_flight += in_flight;
        for (reason, count) in errors {
            *self.errors.entry(reason.clone()).or_default() += count;
        }
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
        self.bytes_spliced += bytes_spliced;
        self.bytes_copied += bytes_copied;
        self.pipes += pipes;
        self.pipe_failures += pipe_failures;
        self.pipes_shrunken += pipes_shrunken;
        self.buffers_small_out += buffers_small_out;
        self.buffers_large_out += buffers_large_out;
        self.buffers_waiting += buffers_waiting;
        self.tasks += tasks;
        self.op_slots += op_slots;
        self.sockets += sockets;
        self.timers += timers;
        self.upstream_idle += upstream_idle;
        self.panics += panics;
        self.turns += turns;
    }
}

impl Kind {
    /// The kind of a service.
    pub fn of(service: &Service) -> Kind {
        match service {
            Service::Http(_) => Kind::Http,
            Service::Tcp(_) => Kind::Tcp,
        }
    }

    /// As in the JSON, and as a URL's scheme.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Tcp => "tcp",
        }
    }
}

/// A listener's address as one would type it into a browser, as far as that is possible.
pub fn url(listener: &Listener) -> String {
    match &listener.address {
        Address::Tcp(tcp) => match (Kind::of(&listener.service), listener.ssl) {
            (Kind::Http, true) => format!("https://{tcp}"),
            (kind, _) => format!("{}://{tcp}", kind.word()),
        },
        unix => address(unix),
    }
}

/// An address as the configuration writes it.
pub fn address(address: &Address) -> String {
    match address {
        Address::Tcp(tcp) => tcp.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests;
