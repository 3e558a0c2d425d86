//! Which servers one request or session tries, in which order, and when it is enough: the policy's next server, the number of tries,
//! the time, the group's retry budget, and the queue where all are busy.

use super::{Context, ms};
use crate::balance::health::Cause;
use crate::balance::{Key, Tried};
use crate::config::plan::Retry;
use crate::log::Level;
use crate::proto::reason::Reason;
use crate::ring::{Driver, Elapsed, Timer};
use crate::tls::Stream;
use crate::upstream::{Failure, Live, Pick, Picked, Pools};
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// The tries of one request or session.
pub(super) struct Tries<'a, D: Driver> {
    live: &'a Live<D>,
    group: usize,
    key: Key,
    retry: &'a Retry,
    tried: Tried,
    count: u32,
    began: u64,
    /// Why the last one failed, and what the log says besides.
    pub(super) failure: (Reason, String),
    /// Chosen already, for an answer that is thrown away.
    next: RefCell<Option<Picked<D>>>,
}

impl<'a, D: Driver> Tries<'a, D> {
    pub(super) fn new(cx: &Context<D>, live: &'a Live<D>, group: usize, key: Key, retry: &'a Retry) -> Self {
        live.groups[group].count_request();
        Self {
            live,
            group,
            key,
            retry,
            tried: Tried::new(),
            count: 0,
            began: cx.reactor.now_ms(),
            failure: (Reason::NoServer, String::new()),
            next: RefCell::new(None),
        }
    }

    fn pools(&self) -> &'a Rc<Pools<D>> {
        &self.live.groups[self.group]
    }

    /// The next server to try; `None` when it is enough: `failure` says why. Waits only while all are busy; a client that goes
    /// away meanwhile is a failure, too.
    pub(super) async fn next(&mut self, cx: &Context<D>, client: &Stream<D>, timer: &Timer) -> Option<Picked<D>> {
        let chosen = self.next.take();
        let again = self.count > 0 && chosen.is_none();
        let picked = match chosen {
            Some(picked) => Some(picked),
            None if again && !self.may_go_on(cx, self.is_wanted_after(self.failure.0)) => None,
            None => match self.pick(cx) {
                Pick::Server(picked) => Some(picked),
                Pick::None => None,
                Pick::Busy => Box::pin(self.queue(cx, client, timer)).await,
            },
        }?;
        if again && !self.pools().may_retry() {
            return None;
        }
        self.tried.insert(picked.server);
        self.count += 1;
        Some(picked)
    }

    fn pick(&self, cx: &Context<D>) -> Pick<D> {
        // Whoever waited may find another plan: as long as it has tried nobody, its servers are the same to it.
        let newest = cx.live();
        let own = self.pools().group().lineage();
        if !std::ptr::eq(&*newest, self.live)
            && self.tried.is_empty()
            && let Some(group) = newest.groups.iter().position(|pools| Arc::ptr_eq(pools.group().lineage(), own))
        {
            return cx.upstreams.pick(&newest, group, &self.tried, self.key);
        }
        cx.upstreams.pick(self.live, self.group, &self.tried, self.key)
    }

    /// One more is allowed, but for the budget.
    fn may_go_on(&self, cx: &Context<D>, wanted: bool) -> bool {
        let Retry { tries, within, .. } = self.retry;
        let in_time = within.is_none_or(|within| cx.reactor.now_ms() < self.began + ms(within));
        wanted && (*tries == 0 || self.count < *tries) && in_time
    }

    /// The configuration wants another server to be tried after this.
    fn is_wanted_after(&self, reason: Reason) -> bool {
        match reason {
            Reason::ConnectTimeout
            | Reason::FirstByteTimeout
            | Reason::BackendReadTimeout
            | Reason::BackendSendTimeout => self.retry.timeout,
            Reason::BadResponse | Reason::ResponseHeadTooLarge => self.retry.invalid_header,
            _ => self.retry.error,
        }
    }

    /// An answer after which another server shall be tried, as far as its status goes.
    pub(super) fn is_wanted_after_status(&self, status: u16) -> bool {
        self.retry.statuses.contains(&status)
    }

    /// Chooses that other server now: without one the answer is better than none.
    pub(super) fn has_another(&self, cx: &Context<D>) -> bool {
        if !self.may_go_on(cx, true) {
            return false;
        }
        let Pick::Server(picked) = self.pick(cx) else { return false };
        let allowed = self.pools().may_retry();
        *self.next.borrow_mut() = allowed.then_some(picked);
        allowed
    }

    /// Holds a failure against the server. What fails on one server after the other says more about the request than about them:
    /// one bad URL could take a whole group out of use.
    pub(super) fn judge(&self, picked: &Picked<D>, cause: Cause) {
        match self.count <= 1 || cause.is_connecting() || cause == Cause::Broken(Reason::BackendTlsFailed) {
            true => picked.failed(cause),
            false => picked.failed_too(),
        }
    }

    /// A try failed.
    pub(super) fn failed(&mut self, cx: &Context<D>, picked: &Picked<D>, failure: impl Into<Failure>) {
        let Failure { reason, detail } = failure.into();
        let server = picked.name();
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        if reason == Reason::Overloaded {
            let hint = "descriptors, memory or local ports ran out (ulimit -n, net.ipv4.ip_local_port_range)";
            self.failure = (reason, format!(", connecting to {server}: {hint}"));
            return;
        }
        match Cause::of(reason) {
            Some(cause) => self.judge(picked, cause),
            None => {
                self.failure = (reason, String::new());
                return;
            }
        }
        cx.log_thinned(Level::Warn, reason, || {
            format!("server {server}: {} ({}){detail}", reason.text(), reason.name())
        });
        self.failure = (reason, format!(", server {server}{detail}"));
    }

    /// Waits in the group's queue until a server has room.
    async fn queue(&mut self, cx: &Context<D>, client: &Stream<D>, timer: &Timer) -> Option<Picked<D>> {
        let pools = self.pools();
        let upstream = pools.group().upstream();
        let queue = &pools.group().lineage().queue;
        timer.set(ms(upstream.queue_timeout));
        let mut turn = None;
        loop {
            let Some(place) = queue.join(upstream.queue as usize, turn) else {
                self.failure = (Reason::QueueFull, format!(", {} wait for {} already", queue.len(), upstream.name));
                return None;
            };
            turn = Some(place.turn());
            // A permit may have been given back just before.
            match self.pick(cx) {
                Pick::Busy => {}
                Pick::Server(picked) => return Some(picked),
                Pick::None => return None,
            }
            let waited = timer.before_deadline(poll_fn(|task| match place.poll_called(task) {
                Poll::Ready(()) => Poll::Ready(true),
                // A client that said FIN may still read an answer, but nobody knows: where places are short it makes room.
                Poll::Pending if client.has_ended() && queue.len() * 2 > upstream.queue as usize => Poll::Ready(false),
                Poll::Pending => client.poll_failed(task).map(|()| false),
            }));
            match waited.await {
                Ok(true) => {}
                Ok(false) => {
                    self.failure = (Reason::ClientGone, String::new());
                    return None;
                }
                Err(Elapsed) => {
                    self.failure = (Reason::QueueTimeout, format!(", waiting for {}", upstream.name));
                    return None;
                }
            }
            match self.pick(cx) {
                Pick::Server(picked) => {
                    place.used();
                    return Some(picked);
                }
                Pick::None => return None,
                // Another was faster, or what is free has failed this request already: it is for those behind, then.
                Pick::Busy => {}
            }
        }
    }
}
