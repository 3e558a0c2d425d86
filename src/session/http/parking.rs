//! Idle keep-alive connections without buffer and without task: a row in a table, and the poll that the socket has anyway.
//!
//! A connection that was idle for [`PARK_AFTER`] is parked. Bytes begin a task anew; FIN, expiry and the drain close it without one.

use super::{Context, resume};
use crate::limits::{CLOSE_FLUSH_MAX, CLOSED_PER_STEP, DRAIN_GRACE, PARK_AFTER, PARKED_PER_STEP};
use crate::ring::executor::yield_now;
use crate::ring::{Driver, Reactor, Watched, Watcher};
use crate::session::Open;
use crate::tls::Stream;
use slab::Slab;
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;

/// What is kept of a connection between two requests.
pub(super) struct Parked<D: Driver> {
    pub(super) socket: Stream<D>,
    /// `None` on unix sockets.
    pub(super) ip: Option<IpAddr>,
    /// The client's port; 0 on unix sockets.
    pub(super) port: u16,
    /// Both are told by a PROXY protocol header.
    pub(super) told: bool,
    pub(super) listener: u32,
    /// Requests so far.
    pub(super) requests: u32,
    /// When it has been idle for too long, in milliseconds of the worker's clock.
    pub(super) until: u64,
}

/// A worker's parked connections. Each stays counted among its open ones.
pub struct Parking<D: Driver> {
    rows: RefCell<Slab<Parked<D>>>,
    watcher: Watcher,
}

impl<D: Driver> Parking<D> {
    /// Empty.
    pub fn new(reactor: &Reactor<D>) -> Self {
        Self { rows: RefCell::default(), watcher: reactor.watcher() }
    }

    /// Connections parked.
    pub fn len(&self) -> usize {
        self.rows.borrow().len()
    }

    /// None is parked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a connection that is quiet, with nothing in flight. It is counted open by `open`, and from here on by its row.
    pub(super) fn park(&self, parked: Parked<D>, open: Open<D>) {
        open.hand_on();
        let mut rows = self.rows.borrow_mut();
        let row = rows.vacant_entry();
        parked.socket.watch(self.watcher, row.key() as u32);
        row.insert(parked);
    }

    fn take(&self, key: usize) -> Option<Parked<D>> {
        let mut rows = self.rows.borrow_mut();
        let parked = rows.try_remove(key)?;
        parked.socket.unwatch();
        Some(parked)
    }

    /// Memory that a crowd once needed, if most of it is free.
    fn shrink(&self) {
        let mut rows = self.rows.borrow_mut();
        if rows.len() < rows.capacity() / 2 {
            rows.shrink_to_fit();
        }
    }
}

/// Tends a worker's parked connections as long as it runs.
pub async fn tend<D: Driver>(cx: Rc<Context<D>>) {
    let timer = cx.reactor.timer();
    let mut hurried = false;
    timer.set(PARK_AFTER);
    loop {
        let news = poll_fn(|task| {
            if let Poll::Ready(news) = cx.reactor.poll_watched(cx.parking.watcher, task) {
                return Poll::Ready(Some(news));
            }
            let hurry = cx.draining().is_some() && !std::mem::replace(&mut hurried, cx.draining().is_some());
            if hurry || timer.poll_expired(task.waker()) { Poll::Ready(None) } else { Poll::Pending }
        });
        match news.await {
            Some(news) => stir(&cx, news),
            None => {
                sweep(&cx).await;
                cx.parking.shrink();
                timer.set(match cx.draining() {
                    Some(since) if since < DRAIN_GRACE => DRAIN_GRACE - since,
                    _ => PARK_AFTER,
                });
            }
        }
    }
}

/// Something happened to a parked connection.
fn stir<D: Driver>(cx: &Rc<Context<D>>, news: Watched) {
    let key = news.tag as usize;
    if cx.parking.rows.borrow().get(key).is_none_or(|parked| parked.socket.id() != news.socket) {
        return; // it was taken before the news came
    }
    let Some(parked) = cx.parking.take(key) else { return };
    if parked.socket.has_ended() && !parked.socket.has_bytes() {
        drop(Open::resume(cx.clone(), parked.listener as usize));
        return;
    }
    cx.reactor.spawn(resume(cx.clone(), parked));
}

/// Ends what is due: all that was idle for too long, and in a drain whatever stood its grace.
async fn sweep<D: Driver>(cx: &Rc<Context<D>>) {
    let mut begin = 0;
    loop {
        let now = cx.reactor.now_ms();
        let over = cx.draining().is_some_and(|since| since >= DRAIN_GRACE);
        let (due, end): (Vec<usize>, usize) = {
            let rows = cx.parking.rows.borrow();
            let is_due = |&key: &usize| rows.get(key).is_some_and(|parked| over || parked.until <= now);
            let due: Vec<usize> =
                (begin..(begin + PARKED_PER_STEP).min(rows.capacity())).filter(is_due).take(CLOSED_PER_STEP).collect();
            let end = match due.last() {
                Some(&last) if due.len() == CLOSED_PER_STEP => last + 1,
                _ => begin + PARKED_PER_STEP,
            };
            (due, end)
        };
        for key in due {
            let Some(parked) = cx.parking.take(key) else { continue };
            // A request may have arrived since the loop last looked: it is answered, not cut.
            if !parked.socket.is_quiet() {
                cx.reactor.spawn(resume(cx.clone(), parked));
                continue;
            }
            // FIN at once after the look that found nothing; see `Client::part`.
            let open = Open::resume(cx.clone(), parked.listener as usize);
            match parked.socket.is_tls() {
                true => cx.reactor.spawn(part(open, parked)),
                false => drop(parked.socket.finish_now()),
            }
        }
        if end >= cx.parking.rows.borrow().capacity() {
            return;
        }
        begin = end;
        yield_now().await;
    }
}

/// Ends a connection under TLS, which says so itself before FIN.
async fn part<D: Driver>(open: Open<D>, parked: Parked<D>) {
    let timer = open.cx.reactor.timer();
    let _ = timer.within(CLOSE_FLUSH_MAX, parked.socket.finish()).await;
}

/// Closes every parked connection: the worker ends.
pub fn close_all<D: Driver>(cx: &Rc<Context<D>>) {
    let rows = cx.parking.rows.borrow().capacity();
    for key in 0..rows {
        if let Some(parked) = cx.parking.take(key) {
            drop(Open::resume(cx.clone(), parked.listener as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::uring::Uring;

    #[test]
    fn a_row_stays_small() {
        // What an idle client costs beside the socket's own row (128 bytes); the bar for both and all else is 600.
        assert!(size_of::<Parked<Uring>>() <= 64, "{}", size_of::<Parked<Uring>>());
    }
}
