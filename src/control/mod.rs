//! The control plane: one thread on tokio-uring that starts the workers, watches over them, answers on the admin socket, writes the
//! log and ends everything.
//!
//! An operation of tokio-uring cannot be cancelled, and dropping its runtime waits for the last of them (a write to a pipe that
//! nobody reads, say). So this process never leaves by dropping: it flushes the log for a bounded time and exits.

pub mod admin;
pub mod certificates;
pub mod desk;
pub mod dns;
pub mod explain;
pub mod files;
mod keeper;
pub mod logs;
pub mod probe;
pub mod prober;
mod reload;
pub mod signals;
pub mod status;
pub mod steering;

use crate::config::plan::{Address, Plan};
use crate::limits::CONTROL_RING_ENTRIES;
use crate::log::access::{self, AccessWriters};
use crate::log::{self, Level, LogReceiver, LogSender};
use crate::tls::{Store, Terms};
use crate::worker::{self, StartError, Workers};
use admin::{AdminSocket, SocketFile};
use desk::Desk;
use keeper::Keeper;
use logs::Logs;
use signals::{Asked, Signals};
use status::{Process, State};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use steering::Steering;

/// How often the workers are looked after while they serve, and while they drain.
const WATCH: Duration = Duration::from_millis(500);
const WATCH_DRAINING: Duration = Duration::from_millis(10);

/// Why nothing was started.
#[derive(Debug)]
pub enum NotStarted {
    /// There is no io_uring for us, or not for all workers: what the kernel said.
    Ring(std::io::Error),
    /// Too few descriptors may be open: how many may, and how many it takes.
    Files { limit: u64, needed: u64 },
    /// This port may not be listened on: it is a low one, or a security module forbids it.
    PortForbidden { message: String, port: u16 },
    /// Anything else, for a person.
    Other(String),
}

impl From<StartError> for NotStarted {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Ring(unavailable) => Self::Ring(unavailable.error),
            StartError::Listen(Address::Tcp(address), ref why) if why.kind() == ErrorKind::PermissionDenied => {
                Self::PortForbidden { message: error.to_string(), port: address.port() }
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<String> for NotStarted {
    fn from(error: String) -> Self {
        Self::Other(error)
    }
}

/// Runs `plan` until a signal ends it. Returns only if it could not start; otherwise the process ends here, with code 0 after a drain,
/// 1 after a second signal or when no worker is left.
///
/// `file` is what a reload loads. Lines that matter less than `least` are not logged. `on_ready` is called when all listeners listen; what it returns is called
/// when the drain begins.
pub fn run<D>(plan: Arc<Plan>, file: Option<PathBuf>, least: Level, on_ready: impl FnOnce(&Workers) -> D) -> NotStarted
where
    D: FnOnce() + 'static,
{
    let (log, lines) = log::channel(least);
    let store = Arc::new(Store::default());
    let access_logs = Rc::new(AccessWriters::new(log.clone()));
    let (target, admin, workers, runtime) = match start(&plan, &store, &access_logs, &log) {
        Ok(started) => started,
        Err(error) => {
            lines.drain_to(&mut std::io::stderr());
            return error;
        }
    };
    runtime.block_on(async move {
        let admin_file = admin.as_ref().map(AdminSocket::file);
        let workers = Rc::new(workers);
        let logs = Rc::new(Logs {
            log: log.clone(),
            error_log: plan.error_log.clone(),
            successor: Rc::default(),
            writers: access_logs.clone(),
            workers: workers.clone(),
        });
        let steering = Rc::new(Steering::new(workers.clone(), file, store.clone(), access_logs, log.clone()));
        let draining = Rc::new(Cell::new(false));
        let control = Control { log, workers: workers.clone(), steering, draining, store, logs: logs.clone() };
        // A task of its own, so that a panic in it comes back as a value and still ends the process in good order.
        let log = control.log.clone();
        let ready = ready(&control, lines, target, admin).map(|signals| (signals, on_ready(&control.workers)));
        let code = match ready {
            Ok((signals, on_drain)) => {
                tokio_uring::spawn(control.serve(signals, on_drain)).await.unwrap_or_else(|_| {
                    log::tell("ringgate: the control plane made a mistake; ending");
                    1
                })
            }
            Err(error) => {
                log.error(error);
                1
            }
        };
        // Here, and not in the task, is the last hold on the workers: dropping them would wait for their threads.
        let _workers = workers;
        leave(code, &logs, admin_file).await
    })
}

type Started = (std::fs::File, Option<AdminSocket>, Workers, tokio_uring::Runtime);

/// Everything that may fail before the first connection.
fn start(
    plan: &Arc<Plan>,
    store: &Arc<Store>,
    access_logs: &AccessWriters,
    log: &LogSender,
) -> Result<Started, NotStarted> {
    // Asked first: the libraries of the control plane panic when descriptors run out while they start.
    let needed = files::needed(plan, files::open_now()).to_start;
    if let Some(limit) = files::raise_limit().filter(|&limit| limit < needed) {
        return Err(NotStarted::Files { limit, needed });
    }
    let target = log::open(plan.error_log.as_deref())?;
    let opened = access::open_all(access_logs.missing(&plan.access_logs))?;
    let access_logs = access_logs.files(&plan.access_logs, opened);
    let admin = plan.admin.as_deref().map(AdminSocket::bind).transpose()?;
    let plan = look_up(plan)?;
    let (terms, warnings) = Terms::load(&plan, store, None).map_err(|errors| errors.join("\n"))?;
    warnings.into_iter().for_each(|warning| log.warn(warning));
    let workers = worker::start(plan, Arc::new(terms), access_logs, log.clone())?;
    let runtime = tokio_uring::Runtime::new(tokio_uring::builder().entries(CONTROL_RING_ENTRIES));
    let runtime = runtime.map_err(NotStarted::Ring)?;
    Ok((target, admin, workers, runtime))
}

/// With a `resolver` the names were not looked up when the file was read: they are now, before the first request comes.
fn look_up(plan: &Arc<Plan>) -> Result<Arc<Plan>, NotStarted> {
    let names: BTreeSet<String> = steering::unresolved(plan).map(|host| host.name.clone()).collect();
    if names.is_empty() || plan.resolver.servers.is_empty() {
        return Ok(plan.clone());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("names cannot be looked up: {error}"))?;
    let looking = dns::first_look(&plan.resolver, names);
    let found = tokio::task::LocalSet::new().block_on(&runtime, looking);
    let mut plan = (**plan).clone();
    steering::fill_in(&mut plan, &found);
    Ok(Arc::new(plan))
}

/// Starts what runs beside the workers.
fn ready(
    control: &Control,
    lines: LogReceiver,
    target: std::fs::File,
    admin: Option<AdminSocket>,
) -> Result<Signals, String> {
    tokio_uring::spawn(lines.write_to_last(target, control.logs.successor.clone()));
    control.logs.writers.begin();
    let keeper = Keeper::start(&control.steering, control.log.clone());
    tokio_uring::spawn(certificates::watch(control.store.clone(), control.log.clone()));
    let signals = Signals::new().map_err(|error| format!("signals cannot be received: {error}"))?;
    if let Some(admin) = admin {
        let desk = Rc::new(Desk {
            status: control.status(keeper),
            steering: control.steering.clone(),
            logs: control.logs.clone(),
        });
        let answering = move |question| {
            let desk = desk.clone();
            async move { desk.answer(question).await }
        };
        tokio_uring::spawn(admin.serve(answering, control.log.clone()));
    }
    let site = control.workers.site();
    let listening = site.plan.listeners.iter().map(|listener| format!("listening on {}", status::url(listener)));
    for line in listening.chain(["ready".to_owned()]) {
        if site.plan.error_log.is_some() {
            // Whoever started it looks at the terminal, not yet into the file.
            log::tell(&line);
        }
        control.log.info(line);
    }
    Ok(signals)
}

/// Ends the process. Nothing is dropped: see the head of this file.
async fn leave(code: i32, logs: &Logs, admin: Option<SocketFile>) -> ! {
    if let Some(file) = admin {
        file.remove();
    }
    logs.finish().await;
    std::process::exit(code)
}

struct Control {
    log: LogSender,
    workers: Rc<Workers>,
    steering: Rc<Steering>,
    draining: Rc<Cell<bool>>,
    /// The certificates that are served.
    store: Arc<Store>,
    logs: Rc<Logs>,
}

impl Control {
    /// What makes the body of `GET /status`.
    fn status(&self, keeper: Rc<Keeper>) -> impl Fn() -> String + 'static {
        let (log, draining) = (self.log.clone(), self.draining.clone());
        let (workers, store, writers) = (self.workers.clone(), self.store.clone(), self.logs.writers.clone());
        move || {
            let process = Process {
                state: if draining.get() { State::Draining } else { State::Running },
                workers_running: workers.running(),
                log_lines_dropped: log.dropped(),
                access_log_lines_dropped: writers.dropped(),
                now: SystemTime::now(),
                now_ms: now_ms(),
            };
            let certificates = certificates::status(&store, process.now);
            let trouble = keeper::unresolved(&keeper);
            let status = status::status(&workers.site(), &workers.stats, process, &trouble, certificates);
            serde_json::to_string_pretty(&status).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}")) + "\n"
        }
    }

    /// From ready to the end; the exit code.
    async fn serve(self, mut signals: Signals, on_drain: impl FnOnce()) -> i32 {
        let signal = match self.until_asked_to_end(&mut signals).await {
            Some(signal) => signal,
            None => return 1,
        };
        self.draining.set(true);
        on_drain();
        self.drain(signal, &mut signals).await
    }

    /// The signal that ends it; `None` when no worker is left to serve anything.
    async fn until_asked_to_end(&self, signals: &mut Signals) -> Option<&'static str> {
        let total = self.workers.stats.workers.len();
        let mut running = total;
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::End(signal) => return Some(signal),
                    Asked::Reload => {
                        let steering = self.steering.clone();
                        // Whether it went well is in the log.
                        tokio_uring::spawn(async move { drop(steering.reload().await) });
                    }
                    Asked::Reopen => {
                        let logs = self.logs.clone();
                        // Whether it went well is in the log.
                        tokio_uring::spawn(async move { drop(logs.reopen().await) });
                    }
                    Asked::Ignore(signal) => self.log.info(format!("{signal} is ignored: it has no meaning here")),
                },
                () = tokio::time::sleep(WATCH) => {}
            }
            self.logs.writers.tell();
            let now_running = self.workers.running();
            if now_running < running {
                self.log.error(format!("{} of {total} workers ended by themselves", total - now_running));
                running = now_running;
            }
            if running == 0 {
                self.log.error("no worker is left: ending");
                return None;
            }
        }
    }

    /// Lets the workers finish within `shutdown_timeout`. A second signal ends at once.
    async fn drain(self, signal: &str, signals: &mut Signals) -> i32 {
        let limit = self.workers.site().plan.shutdown_timeout;
        self.log.info(format!(
            "{signal}: draining {}, at most {}; a second signal ends at once",
            self.remaining(),
            shown(limit)
        ));
        let began = Instant::now();
        self.workers.drain();
        while self.workers.running() > 0 {
            let left = limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                self.log.warn(format!("shutdown_timeout of {} is over: cut off {}", shown(limit), self.remaining()));
                return 0;
            }
            tokio::select! {
                asked = signals.next() => if let Asked::End(signal) = asked {
                    self.log.warn(format!("{signal} again: cut off {}", self.remaining()));
                    return 1;
                },
                () = tokio::time::sleep(WATCH_DRAINING.min(left)) => {}
            }
        }
        let requests = self.workers.stats.sum(|worker| &worker.requests);
        self.log.info(format!("ended in good order after {requests} requests"));
        0
    }

    fn remaining(&self) -> String {
        let stats = &self.workers.stats;
        let (requests, connections) = (stats.sum(|worker| &worker.in_flight), stats.sum(|worker| &worker.connections));
        format!("{requests} requests in flight on {connections} connections")
    }
}

/// A duration as a person says it: `30s`, `1.5s`.
fn shown(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64())
}

/// The workers' clock: CLOCK_MONOTONIC in milliseconds.
fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}
