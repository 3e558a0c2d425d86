//! Workers: one thread per CPU, each with its ring, listeners, pools and counters.

mod accept;
mod handover;
mod listen;

use crate::config::plan::{Address, Plan};
use crate::limits;
use crate::log::access::AccessFile;
use crate::log::{Level, LogSender};
use crate::ring::executor::Mailbox;
use crate::ring::uring::Uring;
use crate::ring::{Descriptor, Driver, Reactor};
use crate::session::Context;
use crate::session::http::{parking, record};
use crate::site::Site;
use crate::stats::{Stats, WorkerStats};
use crate::tls::Terms;
use crate::upstream::Upstreams;
use core_affinity::CoreId;
use handover::Handover;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use listen::StartError;

/// What a worker is told from outside; the mailbox makes it look.
#[derive(Default)]
struct Orders {
    drain: AtomicBool,
    stop: AtomicBool,
    /// Another site lies in `site`.
    swap: AtomicBool,
    /// The lines of access logs that it has gathered are to be handed over.
    hand_over: AtomicBool,
    site: Mutex<Option<Arc<Site>>>,
}

struct Handle {
    orders: Arc<Orders>,
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<()>,
}

/// The running workers.
pub struct Workers {
    /// What is counted.
    pub stats: Arc<Stats>,
    site: Mutex<Arc<Site>>,
    handles: Vec<Handle>,
}

/// How many workers a plan gets: as configured, else as many as the CPUs that this process may use (its affinity mask, and
/// the CPU quota of its cgroup, v1 and v2).
pub fn count(plan: &Plan) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    plan.workers.unwrap_or_else(available).clamp(1, limits::WORKERS_MAX)
}

/// Binds the listeners and starts the workers; returns when all of them accept. On an error nothing stays behind. `access_logs` are those
/// of the plan.
pub fn start(
    plan: Arc<Plan>,
    terms: Arc<Terms>,
    access_logs: Vec<Arc<AccessFile>>,
    log: LogSender,
) -> Result<Workers, StartError> {
    let workers = count(&plan);
    let mut bound = (*plan).clone();
    let mut sockets = listen::bind(&mut bound, workers)?;
    let plan = Arc::new(bound);
    let site = Site::new(plan.clone(), terms, workers, &|_| None, None).with_access_logs(Arc::new(access_logs));
    let site = Arc::new(site);
    let stats = Arc::new(Stats::new(&plan, workers));
    let handover = Arc::new(Handover::new(stats.clone(), plan.handover));
    let cpus = core_affinity::get_core_ids().unwrap_or_default();
    let mut started = Workers { stats: stats.clone(), site: Mutex::new(site.clone()), handles: Vec::new() };
    for worker in 0..workers {
        let listeners: Vec<OwnedFd> = sockets.iter_mut().filter_map(Vec::pop).collect();
        let cpu = (!cpus.is_empty()).then(|| cpus[worker % cpus.len()]);
        let orders = Arc::new(Orders::default());
        let (ready, readiness) = mpsc::channel();
        let context = (site.clone(), stats.clone(), log.clone(), orders.clone(), handover.clone());
        let thread = std::thread::Builder::new().name(format!("ringgate-{worker}")).spawn(move || {
            let (site, stats, log, orders, handover) = context;
            run(worker, cpu, site, stats, log, orders, handover, listeners, ready);
        });
        let failed = |error: StartError| {
            listen::unlink(&plan);
            error
        };
        let thread = thread.map_err(|error| failed(StartError::Thread(error)))?;
        match readiness.recv() {
            Ok(Ok(mailbox)) => started.handles.push(Handle { orders, mailbox, thread }),
            Ok(Err(error)) => return Err(failed(error)), // dropping `started` stops the others
            Err(_) => return Err(failed(StartError::Died)),
        }
    }
    Ok(started)
}

impl Workers {
    /// What runs, with the addresses really bound.
    pub fn site(&self) -> Arc<Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes over to another site, whose listeners are the present one's. Each worker does so between two turns of its loop.
    pub fn swap(&self, site: Arc<Site>) {
        *self.site.lock().unwrap_or_else(PoisonError::into_inner) = site.clone();
        for Handle { orders, .. } in &self.handles {
            let mut next = orders.site.lock().unwrap_or_else(PoisonError::into_inner);
            *next = Some(site.clone());
            orders.swap.store(true, Ordering::Release);
        }
        self.order(|orders| &orders.swap);
    }

    /// No worker that still runs has a swap before it.
    pub fn have_swapped(&self) -> bool {
        let waits = |handle: &Handle| handle.orders.swap.load(Ordering::Acquire) && !handle.thread.is_finished();
        !self.handles.iter().any(waits)
    }

    /// Lines of access logs are handed over now, not only when a batch is full or old.
    pub fn hand_over(&self) {
        self.order(|orders| &orders.hand_over);
    }

    /// No worker that still runs has that before it.
    pub fn have_handed_over(&self) -> bool {
        let waits = |handle: &Handle| handle.orders.hand_over.load(Ordering::Acquire) && !handle.thread.is_finished();
        !self.handles.iter().any(waits)
    }

    /// The addresses really bound, one per listener (port 0 is resolved).
    pub fn addresses(&self) -> Vec<Address> {
        self.site().plan.listeners.iter().map(|listener| listener.address.clone()).collect()
    }

    /// Begins the drain: no new connections but those that wait already; what runs may finish.
    pub fn drain(&self) {
        listen::unlink(&self.site().plan);
        self.order(|orders| &orders.drain);
    }

    /// Ends at once: whatever still runs is cut.
    pub fn stop(&self) {
        self.order(|orders| &orders.stop);
    }

    fn order(&self, which: impl Fn(&Orders) -> &AtomicBool) {
        for handle in &self.handles {
            which(&handle.orders).store(true, Ordering::Release);
            handle.mailbox.nudge();
        }
    }

    /// Workers still alive.
    pub fn running(&self) -> usize {
        self.handles.iter().filter(|handle| !handle.thread.is_finished()).count()
    }

    /// Waits for the workers to end; false if some still run after `at_most`.
    pub fn join(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        while self.running() > 0 {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
        for handle in self.handles.drain(..) {
            let _ = handle.thread.join();
        }
    }
}

/// One worker's thread.
#[allow(clippy::too_many_arguments)] // a thread's whole world, given once
fn run(
    worker: usize,
    cpu: Option<CoreId>,
    site: Arc<Site>,
    stats: Arc<Stats>,
    log: LogSender,
    orders: Arc<Orders>,
    handover: Arc<Handover>,
    listeners: Vec<OwnedFd>,
    ready: mpsc::Sender<Result<Arc<Mailbox>, StartError>>,
) {
    if let Some(cpu) = cpu
        && core_affinity::set_for_current(cpu)
    {
        let _ = stats.workers[worker].cpu.set(cpu.id);
    }
    // The ring belongs to the thread that makes it.
    let driver = match Uring::new() {
        Ok(driver) => driver,
        Err(error) => {
            let _ = ready.send(Err(StartError::Ring(error)));
            return;
        }
    };
    let reactor = Reactor::new(driver, limits::BUFFERS_SMALL_MAX, limits::BUFFERS_LARGE_MAX);
    let upstreams = match Upstreams::new(reactor.clone(), &site, worker) {
        Ok(upstreams) => Rc::new(upstreams),
        Err(error) => {
            let _ = ready.send(Err(StartError::Upstream(error)));
            return;
        }
    };
    let cx = Rc::new(Context::new(reactor.clone(), upstreams.clone(), stats.clone(), worker, log.clone()));
    let accepting = Rc::new(std::cell::Cell::new(0));
    for (index, socket) in listeners.into_iter().enumerate() {
        let listener = reactor.listen(Descriptor(socket.into_raw_fd()));
        let accepting = accept::Accepting::new(&accepting);
        reactor.spawn(accept::run(cx.clone(), listener, index, handover.clone(), accepting));
    }
    reactor.spawn(handover::receive(cx.clone(), handover.clone(), accept::Accepting::new(&accepting)));
    reactor.spawn(upstreams.clone().tend());
    reactor.spawn(parking::tend(cx.clone()));
    reactor.spawn(record::tend(cx.clone()));
    reactor.spawn(reactor.clone().tidy());
    let _ = ready.send(Ok(reactor.mailbox()));
    let stats = &stats.workers[worker];
    let ended = turn_until_done(&reactor, &cx, stats, &orders, &accepting);
    if let Err(error) = ended {
        log.send(Level::Error, format!("worker {worker} ends: its ring failed: {error}"));
    }
    parking::close_all(&cx);
    upstreams.close_idle();
    // A generous bound: a close takes one turn, but a ring under load may take some more.
    let _ = reactor.finish(10_000);
    cx.hand_over();
    publish(&cx, stats);
    stats.drained.store(true, Ordering::Release);
}

fn turn_until_done<D: Driver>(
    reactor: &Reactor<D>,
    cx: &Context<D>,
    stats: &WorkerStats,
    orders: &Orders,
    accepting: &std::cell::Cell<usize>,
) -> std::io::Result<()> {
    loop {
        reactor.turn()?;
        let panics = stats.panics.get();
        publish(cx, stats);
        if stats.panics.get() != panics {
            for panic in reactor.take_panics() {
                let line =
                    format!("a task panicked and was ended, the worker goes on; this is a bug in ringgate: {panic}");
                cx.log(Level::Error, line);
            }
        }
        if orders.swap.load(Ordering::Acquire) {
            swap(cx, orders);
        }
        if orders.hand_over.swap(false, Ordering::AcqRel) {
            cx.hand_over();
        }
        if orders.stop.load(Ordering::Acquire) {
            return Ok(());
        }
        if orders.drain.load(Ordering::Acquire) {
            cx.drain();
            if accepting.get() == 0 && stats.connections.get() == 0 && !reactor.is_flushing() {
                return Ok(());
            }
        }
    }
}

/// Goes over to the site that was ordered. Requests under way keep the one that they began with.
fn swap<D: Driver>(cx: &Context<D>, orders: &Orders) {
    let mut orders_site = orders.site.lock().unwrap_or_else(PoisonError::into_inner);
    let site = orders_site.take();
    if let Some(Err(error)) = site.map(|site| cx.upstreams.swap(&site)) {
        cx.log(Level::Error, format!("worker {} goes on as before: {error}", cx.worker()));
    }
    // While nobody can put the next one there.
    orders.swap.store(false, Ordering::Release);
    drop(orders_site);
}

fn publish<D: Driver>(cx: &Context<D>, stats: &WorkerStats) {
    let gauges = cx.reactor.gauges();
    stats.parked.set(cx.parking.len() as u64);
    stats.turns.set(gauges.turns);
    stats.tasks.set(gauges.tasks as u64);
    stats.op_slots.set(gauges.op_slots as u64);
    stats.sockets.set(gauges.sockets as u64);
    stats.timers.set(gauges.timers as u64);
    stats.buffers_small_out.set(u64::from(gauges.buffers_small));
    stats.buffers_large_out.set(u64::from(gauges.buffers_large));
    stats.buffers_waiting.set(gauges.buffers_waiting as u64);
    stats.pipes.set(gauges.pipes_open as u64);
    stats.pipe_failures.set(gauges.pipe_failures);
    stats.pipes_shrunken.set(gauges.pipes_shrunken);
    stats.panics.set(gauges.panics);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::scripted::{Faults, Scripted};

    #[test]
    fn a_panic_is_counted_and_logged_and_the_worker_goes_on() {
        let text =
            "[[server]]\nlisten = \"127.0.0.1:8080\"\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:1\"\n";
        let plan = Arc::new(crate::config::load_str("test.toml", text).expect("a good configuration").plan);
        let reactor = Reactor::new(Scripted::new(1, Faults::default()), 8, 1);
        let stats = Arc::new(Stats::new(&plan, 1));
        let site = Site::plain(plan, 1, None);
        let upstreams = Upstreams::new(reactor.clone(), &site, 0).expect("plain addresses");
        let (log, lines) = crate::log::channel(Level::Info);
        let cx = Context::new(reactor.clone(), Rc::new(upstreams), stats.clone(), 0, log);
        let orders = Arc::new(Orders::default());
        let (late, stop) = (reactor.clone(), orders.clone());
        reactor.spawn(async { panic!("a task of the test") });
        reactor.spawn(async move {
            late.timer().sleep(1000).await; // long after the panic
            stop.stop.store(true, Ordering::Release);
        });
        turn_until_done(&reactor, &cx, &stats.workers[0], &orders, &std::cell::Cell::new(1)).expect("goes on");
        assert_eq!(stats.workers[0].panics.get(), 1);
        drop(cx);
        let mut written = Vec::new();
        lines.drain_to(&mut written);
        assert!(String::from_utf8(written).expect("text").contains("bug in ringgate: a task of the test"));
    }
}
