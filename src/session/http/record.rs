//! The record of an exchange: what variables of answers say, and the lines of access logs that are made of it when it ends.

use crate::config::plan::{AccessLog, Address, Location, Server};
use crate::config::template::{UpstreamVariable, Wants};
use crate::limits::ACCESS_DELAY;
use crate::ring::Driver;
use crate::session::Context;
use crate::stats::Counter;
use crate::upstream::Picked;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

mod escape;
mod lines;
mod variables;

/// What is known of the exchange that runs. Most of it is a few numbers; the rest is made when something wants it.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// When its first byte was there, on the loop's clock.
    began_us: Cell<u64>,
    /// Which one of its connection, from 1 on.
    nth: Cell<u32>,
    /// Where the request's head lies in the input, once it is whole.
    head_at: Cell<(u32, u32)>,
    /// Index into `Plan::servers`, once it is known.
    server: Cell<Option<u32>>,
    /// Index into `Plan::upstreams`, once one is asked.
    group: Cell<Option<u32>>,
    wants: Cell<Wants>,
    /// Of the answer; 0: none was begun.
    status: Cell<u16>,
    /// The answer was sent to its end.
    whole: Cell<bool>,
    /// Bytes of the answer's head.
    head_sent: Cell<u32>,
    /// Bytes of the answer.
    pub(super) sent: Counter,
    /// Bytes of the request behind its head.
    pub(super) body: Counter,
    details: RefCell<Option<Box<Details>>>,
    /// Bytes received from the server that is asked, and sent to it.
    pub(super) from_server: Counter,
    pub(super) to_server: Counter,
}

/// What few exchanges need.
#[derive(Debug, Default)]
struct Details {
    id: Option<[u64; 2]>,
    tries: Vec<Try>,
    /// The next try is the first of another round: an internal redirect came between.
    again: bool,
    server_head: Vec<u8>,
    sent_head: Vec<u8>,
    /// The request's head, where the input does not keep it.
    head: Vec<u8>,
    /// Bytes before compression and after.
    compressed: Option<(u64, u64)>,
}

/// One server that was asked.
#[derive(Debug, Default)]
struct Try {
    address: String,
    first_of_round: bool,
    began_us: u64,
    /// Microseconds from there on.
    connected: Option<u64>,
    headed: Option<u64>,
    ended: Option<u64>,
    /// 0: none came.
    status: u16,
    /// Bytes of the answer's head.
    head: u64,
    received: u64,
    sent: u64,
}

impl Record {
    /// Another exchange begins.
    pub(super) fn begin(&mut self, now_us: u64, nth: u32) {
        let mut details = self.details.take();
        // Its memory may be needed again, its contents not.
        details.iter_mut().for_each(|details| details.clear());
        *self = Record { details: RefCell::new(details), ..Record::default() };
        self.began_us.set(now_us);
        self.nth.set(nth);
    }

    /// The request's head is whole, and its server is this: index into `Plan::servers`.
    pub(super) fn request(&self, head: Range<usize>, server: usize) {
        self.head_at.set((head.start as u32, head.end as u32));
        self.server.set(Some(server as u32));
    }

    /// It came to this location, or to none yet.
    pub(super) fn follow(&self, server: &Server, location: Option<&Location>) {
        let logs = location.map_or(&server.access_log, |location| &location.access_log);
        let of_logs = logs.iter().map(AccessLog::wants).fold(Wants::NOTHING, Wants::and);
        let added = location.map_or(&[][..], |location| &location.answers.add);
        self.wants.set(added.iter().map(|add| add.value.wants()).fold(of_logs, Wants::and));
    }

    /// Nothing of it is wanted. What comes before a server is known is always noted.
    fn is_off(&self) -> bool {
        self.wants.get() == Wants::NOTHING && self.server.get().is_some()
    }

    fn with_details<T>(&self, act: impl FnOnce(&mut Details) -> T) -> T {
        act(self.details.borrow_mut().get_or_insert_default())
    }

    // ---- The answer. ----

    /// An answer goes to the client: `bytes` are its head, and perhaps the beginning of its body. Whatever follows is added to `sent`.
    pub(super) fn answer(&self, bytes: &[u8]) {
        self.head(bytes);
        self.sent.set(bytes.len() as u64);
    }

    /// The same, where all bytes are added to `sent`.
    pub(super) fn head(&self, bytes: &[u8]) {
        if self.is_off() {
            return;
        }
        let status = bytes.get(9..12).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        let head = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        self.status.set(status.unwrap_or(0));
        self.head_sent.set(head as u32);
        if self.wants.get().has(Wants::SENT_HEAD) {
            self.with_details(|details| {
                details.sent_head.clear();
                details.sent_head.extend_from_slice(&bytes[..head]);
            });
        }
    }

    /// It ends without an answer, or this is the answer's status whatever its head says.
    pub(super) fn ends_with(&self, status: u16) {
        self.status.set(status);
    }

    /// The same, unless bytes of an answer are on their way already (as nginx).
    pub(super) fn breaks_with(&self, status: u16) {
        if self.sent.get() == 0 {
            self.status.set(status);
        }
    }

    /// The answer was sent to its end.
    pub(super) fn is_whole(&self) {
        self.whole.set(true);
    }

    /// Its body was compressed: bytes before and after.
    pub(super) fn compressed(&self, before: u64, after: u64) {
        self.with_details(|details| details.compressed = Some((before, after)));
    }

    /// The input is about to forget the request.
    pub(super) fn keep_head(&self, input: &[u8]) {
        if !self.is_off() {
            let (begin, end) = self.head_at.get();
            let head = input.get(begin as usize..end as usize).unwrap_or_default();
            self.with_details(|details| details.head = head.to_vec());
        }
    }

    // ---- Servers. ----

    /// Servers of this group are to be asked: index into `Plan::upstreams`.
    pub(super) fn comes_to_group(&self, group: usize) {
        self.group.set(Some(group as u32));
    }

    /// Now they are.
    pub(super) fn begin_tries(&self) {
        if self.wants.get().has(Wants::SERVERS) {
            self.with_details(|details| details.again = !details.tries.is_empty());
        }
    }

    /// A server is asked.
    pub(super) fn asks<D: Driver>(&self, picked: &Picked<D>, now_us: u64) {
        if !self.wants.get().has(Wants::SERVERS) {
            return;
        }
        self.server_ended(now_us, 0);
        self.from_server.set(0);
        self.to_server.set(0);
        self.with_details(|details| {
            let first_of_round = std::mem::take(&mut details.again);
            let address = address(picked);
            details.tries.push(Try { address, first_of_round, began_us: now_us, ..Try::default() });
        });
    }

    /// There is a connection to it, new or pooled.
    pub(super) fn connected<D: Driver>(&self, picked: &Picked<D>, now_us: u64) {
        self.with_try(|try_| {
            try_.address = address(picked); // of several that its name has
            try_.connected = Some(now_us - try_.began_us);
        });
    }

    /// The head of its answer is there; `behind`: bytes that came behind it.
    pub(super) fn server_head(&self, head: &[u8], status: u16, behind: usize, now_us: u64) {
        if self.wants.get().has(Wants::SERVER_HEAD) {
            self.with_details(|details| {
                details.server_head.clear();
                details.server_head.extend_from_slice(head);
            });
        }
        self.with_try(|try_| {
            (try_.status, try_.headed) = (status, Some(now_us - try_.began_us));
            try_.head = self.from_server.get().saturating_sub(behind as u64);
        });
    }

    /// It is done with. `status`: what its failure counts as, if it gave no answer; 0: it is nobody's.
    pub(super) fn server_ended(&self, now_us: u64, status: u16) {
        self.with_try(|try_| {
            if try_.ended.is_none() {
                try_.ended = Some(now_us - try_.began_us);
                (try_.received, try_.sent) = (self.from_server.get(), self.to_server.get());
            }
            if try_.status == 0 {
                try_.status = status;
            }
        });
    }

    fn with_try(&self, act: impl FnOnce(&mut Try)) {
        if self.wants.get().has(Wants::SERVERS)
            && let Some(details) = self.details.borrow_mut().as_mut()
            && let Some(last) = details.tries.last_mut()
        {
            act(last);
        }
    }

    // ---- Variables. ----

    /// `$upstream_...`: the values of all tries.
    fn write_tries(&self, variable: UpstreamVariable, out: &mut dyn FnMut(&[u8])) {
        let details = self.details.borrow();
        let Some(details) = details.as_ref() else { return };
        for (nth, try_) in details.tries.iter().enumerate() {
            match (nth, try_.first_of_round) {
                (0, _) => {}
                (_, true) => out(b" : "),
                (_, false) => out(b", "),
            }
            let mut number = |number: u64| out(itoa::Buffer::new().format(number).as_bytes());
            match variable {
                UpstreamVariable::Status if try_.status > 0 => number(try_.status.into()),
                UpstreamVariable::Status => out(b"-"),
                UpstreamVariable::ResponseLength => number(try_.received.saturating_sub(try_.head)),
                UpstreamVariable::BytesReceived => number(try_.received),
                UpstreamVariable::BytesSent => number(try_.sent),
                UpstreamVariable::Addr => out(try_.address.as_bytes()),
                UpstreamVariable::ConnectTime => seconds_or_dash(try_.connected, out),
                UpstreamVariable::HeaderTime => seconds_or_dash(try_.headed, out),
                UpstreamVariable::ResponseTime => seconds_or_dash(try_.ended, out),
            }
        }
    }

    /// A field of a head that was kept.
    fn write_field(&self, of_server: bool, name: &str, out: &mut dyn FnMut(&[u8])) {
        let details = self.details.borrow();
        let Some(details) = details.as_ref() else { return };
        let head = if of_server { &details.server_head } else { &details.sent_head };
        for (nth, value) in fields_of(head, name).enumerate() {
            if nth > 0 {
                out(b", ");
            }
            out(value);
        }
    }

    /// A cookie that the server sets.
    fn write_cookie(&self, name: &str, out: &mut dyn FnMut(&[u8])) {
        let details = self.details.borrow();
        let Some(details) = details.as_ref() else { return };
        let value = fields_of(&details.server_head, "set-cookie").find_map(|value| {
            let pair = value.split(|&b| b == b';').next()?;
            let equals = memchr::memchr(b'=', pair)?;
            pair[..equals].trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
        });
        value.into_iter().for_each(out);
    }
}

impl Details {
    fn clear(&mut self) {
        let Details { tries, server_head, sent_head, .. } = self;
        let (mut tries, mut server_head) = (std::mem::take(tries), std::mem::take(server_head));
        let mut sent_head = std::mem::take(sent_head);
        tries.clear();
        server_head.clear();
        sent_head.clear();
        *self = Details { tries, server_head, sent_head, ..Details::default() };
    }
}

fn address<D: Driver>(picked: &Picked<D>) -> String {
    match picked.address() {
        Some(Address::Tcp(address)) => address.to_string(),
        Some(Address::Unix(path)) => format!("unix:{}", path.display()),
        None => picked.name().to_owned(),
    }
}

/// The values of a field in a head as it was received or is sent.
fn fields_of<'h>(head: &'h [u8], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    head.split(|&b| b == b'\n').skip(1).filter_map(move |line| {
        let colon = memchr::memchr(b':', line)?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
    })
}

fn seconds_or_dash(microseconds: Option<u64>, out: &mut dyn FnMut(&[u8])) {
    match microseconds {
        Some(microseconds) => seconds(microseconds / 1000, out),
        None => out(b"-"),
    }
}

/// Seconds with milliseconds.
fn seconds(ms: u64, out: &mut dyn FnMut(&[u8])) {
    out(itoa::Buffer::new().format(ms / 1000).as_bytes());
    let digit = |n: u64| b'0' + (n % 10) as u8;
    out(&[b'.', digit(ms / 100), digit(ms / 10), digit(ms)]);
}

/// Hands a worker's lines over when they are old enough; full batches go by themselves.
pub async fn tend<D: Driver>(cx: Rc<Context<D>>) {
    let timer = cx.reactor.timer();
    loop {
        std::future::poll_fn(|task| cx.poll_gathered(task)).await;
        timer.sleep(ACCESS_DELAY).await;
        cx.hand_over();
    }
}
