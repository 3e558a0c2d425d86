//! The client's side of a connection: waiting, reading heads, error pages, closing.

use super::access::Standing;
use super::held::Held;
use super::parking::Parked;
use super::record::Record;
use super::returns::CLOSE;
use super::{Context, Next, report};
use crate::config::plan::Server;
use crate::limits;
use crate::proto::framing::Framing;
use crate::proto::page::{self, Manner};
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots, RequestFacts};
use crate::proto::rewrite::Lines;
use crate::proto::writer::Writer;
use crate::ring::{Driver, Elapsed, Lease, Owner, Reservation, Timer};
use crate::session::ms;
use crate::tls::Stream;
use bytes::{Buf, BytesMut};
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;

/// nginx's status for requests whose client did not wait for the answer.
const CLIENT_GONE: u16 = 499;

/// How a wait for the next request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// Bytes, or FIN.
    Readable,
    /// Idle long enough to be parked.
    Idle,
    /// Idle too long, or the balancer ends.
    Ended,
}

/// How reading a head ended.
pub(super) enum HeadRead {
    /// A whole head, or what the parser must judge, is in the input.
    Whole,
    /// The client ended without having begun another request.
    Closed,
    /// Nothing is there after all: readiness stood from before.
    Nothing,
    /// It will not come.
    Failed(Reason),
}

/// One client connection.
pub(super) struct Client<'a, D: Driver> {
    pub(super) cx: &'a Context<D>,
    pub(super) socket: Stream<D>,
    pub(super) owner: Owner,
    /// The address as text, for forwarded fields and logs; "unix:" for unix sockets.
    pub(super) ip: String,
    pub(super) address: Option<IpAddr>,
    /// 0 on unix sockets.
    pub(super) port: u16,
    /// Address and port are told by a PROXY protocol header.
    pub(super) told: bool,
    pub(super) listener: usize,
    /// "http", or "https" with TLS.
    pub(super) scheme: &'static str,
    /// When it has been idle for too long, in milliseconds.
    idle_until: u64,
    pub(super) timer: Timer,
    /// Requests so far.
    pub(super) requests: u32,
    /// The one at hand is among them.
    pub(super) is_counted: bool,
    /// What the configuration adds to the next page of ours.
    pub(super) page_fields: Lines,
    /// What limits and passwords said to it.
    pub(super) standing: Standing,
    /// Bytes of the request being read and of pipelined ones behind it: `input[start..end]`.
    pub(super) input: Option<Lease>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Bytes that came behind a streamed body: they come before what the socket has.
    pub(super) pushback: BytesMut,
    /// The body of the request at hand, where it was read before a server is asked.
    pub(super) held: Option<Box<Held>>,
    /// The right to buffers, held while an exchange runs.
    pub(super) reservation: Option<Reservation>,
    /// Of the exchange that runs.
    pub(super) record: Record,
}

impl<'a, D: Driver> Client<'a, D> {
    pub(super) fn new(cx: &'a Context<D>, parked: Parked<D>) -> Self {
        let Parked { socket, ip: address, port, told, listener, requests, until: idle_until } = parked;
        let owner = cx.next_owner();
        let scheme = if socket.is_tls() { "https" } else { "http" };
        socket.set_owner(owner);
        Self {
            cx,
            socket,
            owner,
            ip: address.map_or_else(|| "unix:".to_owned(), |ip| ip.to_string()),
            address,
            port,
            told,
            listener: listener as usize,
            scheme,
            idle_until,
            timer: cx.reactor.timer(),
            requests,
            is_counted: false,
            page_fields: Lines::default(),
            standing: Standing::default(),
            input: None,
            start: 0,
            end: 0,
            pushback: BytesMut::new(),
            held: None,
            reservation: None,
            record: Record::default(),
        }
    }

    /// Counts the request at hand, once.
    pub(super) fn count(&mut self) {
        if !std::mem::replace(&mut self.is_counted, true) {
            self.requests += 1;
            self.cx.stats().requests.add(1);
            self.cx.listener_stats(self.listener).requests.add(1);
        }
    }

    /// What is kept of an idle connection.
    pub(super) fn into_parked(self) -> Parked<D> {
        let Self { socket, address: ip, port, told, listener, requests, idle_until: until, .. } = self;
        Parked { socket, ip, port, told, listener: listener as u32, requests, until }
    }

    /// The value of Strict-Transport-Security, on connections with TLS only (RFC 6797 7.2).
    pub(super) fn hsts<'s>(&self, server: &'s Server) -> Option<&'s str> {
        if self.scheme == "https" { server.hsts.as_deref() } else { None }
    }

    /// The same for a page of ours: that of the server that the request in the input names.
    fn hsts_of_page(&self) -> Option<String> {
        if self.scheme != "https" {
            return None;
        }
        let mut slots = FieldSlots::new();
        let parsed = request::parse(self.bytes(), &mut slots).ok().flatten();
        let host = parsed.and_then(|request| request.inspect().ok().map(|(_, route)| route.host.into_owned()));
        let live = self.cx.live();
        let server = match host {
            Some(host) => live.plan.server_for(self.listener, &host),
            None => live.plan.default_server(self.listener),
        };
        server.hsts.clone()
    }

    /// What the server says that speaks before a name is known.
    fn of_default_server<T>(&self, read: impl FnOnce(&Server) -> T) -> T {
        read(self.cx.live().plan.default_server(self.listener))
    }

    fn has_input(&self) -> bool {
        self.start < self.end || !self.pushback.is_empty() || self.socket.is_mid_record()
    }

    /// The balancer ends, and the answer to the request in `input[..used]` is the last: nothing more has come. Pipelined requests
    /// that are here already are answered first, for their sender had not been told to stop.
    pub(super) fn should_leave(&self, used: usize) -> bool {
        let nothing_more = || {
            self.bytes().len() <= used
                && self.pushback.is_empty()
                && !self.socket.is_mid_record()
                && self.socket.is_quiet()
        };
        self.cx.draining().is_some() && nothing_more()
    }

    /// Waits, without a buffer, for the next request. A drain shortens the wait to its grace.
    pub(super) async fn wait_for_request(&mut self) -> Waited {
        if self.has_input() {
            return Waited::Readable;
        }
        self.input = None;
        self.reservation = None;
        self.pushback = BytesMut::new();
        let idle_ms = self.of_default_server(|server| match self.requests {
            0 => ms(server.client_header_timeout),
            _ => ms(server.keepalive_timeout),
        });
        self.idle_until = self.cx.reactor.now_ms() + idle_ms;
        self.timer.set(idle_ms.min(limits::PARK_AFTER));
        let mut hurried = false;
        let (cx, socket, timer, until) = (self.cx, &self.socket, &self.timer, self.idle_until);
        poll_fn(|task| {
            if socket.poll_readable(task).is_ready() {
                return Poll::Ready(Waited::Readable);
            }
            if let Some(since) = cx.draining()
                && !std::mem::replace(&mut hurried, true)
            {
                timer.set(idle_ms.min(limits::DRAIN_GRACE.saturating_sub(since)));
            }
            if !timer.poll_expired(task.waker()) {
                return Poll::Pending;
            }
            // A request may have arrived since the loop last looked: it is answered, not cut.
            if !socket.is_quiet() {
                return Poll::Ready(Waited::Readable);
            }
            if hurried || cx.reactor.now_ms() >= until {
                return Poll::Ready(Waited::Ended);
            }
            if socket.is_flushed() {
                return Poll::Ready(Waited::Idle);
            }
            // The last answer is still on its way to a slow reader.
            timer.set(limits::PARK_AFTER.min(until - cx.reactor.now_ms()));
            timer.poll_expired(task.waker());
            Poll::Pending
        })
        .await
    }

    /// Makes sure of the buffers that an exchange may need.
    pub(super) async fn reserve(&mut self) -> Result<(), Reason> {
        if self.reservation.is_none() {
            let reserve = self.cx.reactor.buffers().reserve(self.owner, limits::EXCHANGE_BUFFERS);
            let reserved = self.timer.within(limits::BUFFER_WAIT_MAX, reserve).await;
            self.reservation = Some(reserved.map_err(|Elapsed| Reason::Overloaded)?);
        }
        if self.input.is_none() {
            self.input = self.reservation.as_ref().map(Reservation::take);
            (self.start, self.end) = (0, 0);
        }
        Ok(())
    }

    /// The right to buffers. Panics outside an exchange: our bug.
    pub(super) fn reservation(&self) -> &Reservation {
        self.reservation.as_ref().expect("reserved while an exchange runs")
    }

    /// The bytes of the request being read.
    pub(super) fn bytes(&self) -> &[u8] {
        self.input.as_ref().map_or(&[], |input| &input[self.start..self.end])
    }

    /// Reads until the input may hold a whole head. `incomplete` judges what is there so far: an early refusal, or read on.
    pub(super) async fn read_head(&mut self, incomplete: impl Fn(&[u8]) -> Result<(), Reason>) -> HeadRead {
        let timeout = match self.cx.reactor.buffers().pressed() {
            true => limits::CLIENT_HEADER_TIMEOUT_PRESSED,
            false => self.of_default_server(|server| ms(server.client_header_timeout)),
        };
        self.timer.set(timeout);
        let mut searched = 0;
        loop {
            let bytes = self.bytes();
            // Empty lines before the request line do not end a head; the parser bounds them.
            let begin = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            let news = &bytes[searched.max(begin)..];
            // Nearly always it is the end of what came; making a searcher costs as much as parsing a field.
            if news.ends_with(b"\r\n\r\n") || memchr::memmem::find(news, b"\r\n\r\n").is_some() {
                return HeadRead::Whole;
            }
            searched = bytes.len().saturating_sub(3); // the empty line may have begun already
            if !bytes.is_empty()
                && let Err(reason) = incomplete(bytes)
            {
                return HeadRead::Failed(reason);
            }
            match self.read_more().await {
                Ok(Ok(Some(0))) if self.start == self.end => return HeadRead::Closed,
                Ok(Ok(Some(0))) => return HeadRead::Failed(Reason::ClientGone),
                // A part of a TLS record is a part of a head: the time for it runs.
                Ok(Ok(None)) if self.start == self.end && !self.socket.is_mid_record() => return HeadRead::Nothing,
                Ok(Ok(_)) => {}
                Ok(Err(_)) if self.start == self.end => return HeadRead::Closed,
                Ok(Err(_)) => return HeadRead::Failed(Reason::ClientGone),
                Err(Elapsed) if self.start == self.end => return HeadRead::Closed,
                Err(Elapsed) => return HeadRead::Failed(Reason::HeadTimeout),
            }
        }
    }

    async fn read_more(&mut self) -> Result<std::io::Result<Option<usize>>, Elapsed> {
        let input = self.input.as_mut().expect("reserved before reading");
        if self.start > 0 && (self.end == input.len() || self.start == self.end) {
            input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = &mut input[self.end..];
        debug_assert!(!room.is_empty(), "a buffer holds more than the largest head");
        if !self.pushback.is_empty() {
            let n = room.len().min(self.pushback.len());
            room[..n].copy_from_slice(&self.pushback[..n]);
            self.pushback.advance(n);
            self.end += n;
            return Ok(Ok(Some(n)));
        }
        self.timer.before_deadline(self.socket.readable()).await?;
        let received = self.socket.try_recv(room);
        if let Ok(Some(n)) = received {
            self.end += n;
            self.cx.stats().bytes_in.add(n as u64);
        }
        Ok(received)
    }

    /// Drops `n` bytes of the input: a request is done with them.
    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        debug_assert!(self.start <= self.end);
    }

    /// Takes the body behind a head of `head` bytes out of the input. `bytes`: where it ended there; the head moves up to what follows.
    /// `None`: all that came behind the head is the body's.
    pub(super) fn leave_out(&mut self, head: usize, bytes: Option<usize>) {
        let end = self.start + head;
        match (bytes, &mut self.input) {
            (Some(bytes), Some(input)) => {
                input.copy_within(self.start..end, self.start + bytes);
                self.start += bytes;
            }
            _ => self.end = end,
        }
    }

    /// What is known of the request without a body that is held: nothing of that is left in the input or in the connection.
    pub(super) fn without_held(&self, facts: RequestFacts) -> RequestFacts {
        match self.held {
            None => facts,
            Some(_) => RequestFacts { body: Framing::None, expect_continue: false, ..facts },
        }
    }

    /// Forgets the input and what stood behind it: their bytes went with a streamed body, and `spill` is what it left.
    pub(super) fn replace_input(&mut self, spill: BytesMut) {
        (self.start, self.end) = (0, 0);
        self.pushback = spill;
    }

    /// The first line of the request in the input, shortened, for the log.
    pub(super) fn request_line(&self) -> String {
        let bytes = self.bytes();
        let line = bytes.split(|&b| b == b'\r' || b == b'\n').find(|line| !line.is_empty()).unwrap_or(b"");
        let line = String::from_utf8_lossy(&line[..line.len().min(200)]);
        format!("\"{}\" from {}", line.escape_debug(), self.ip)
    }

    /// Answers with an error page; see [`Client::refuse_now`]. Boxed, as all that few requests need: a connection's task stays
    /// small.
    pub(super) async fn refuse(&mut self, reason: Reason, close: bool, head_only: bool, detail: &str) -> Next {
        self.refuse_as(reason.status(), reason, close, head_only, detail).await
    }

    /// The same with another status than the reason's own; 444 closes without a word.
    pub(super) async fn refuse_as(
        &mut self,
        status: u16,
        reason: Reason,
        close: bool,
        head_only: bool,
        detail: &str,
    ) -> Next {
        Box::pin(self.refuse_now(status, reason, close, head_only, detail)).await
    }

    /// Answers with an error page. `close`: the request was not read whole, or must not be trusted to have ended.
    async fn refuse_now(&mut self, status: u16, reason: Reason, close: bool, head_only: bool, detail: &str) -> Next {
        report(self.cx, reason, || format!("{}{detail}", self.request_line()));
        match reason {
            // In order, not by a reset: answers to earlier requests may still be on their way to a client that sent FIN.
            Reason::ClientGone => {
                self.record.breaks_with(CLIENT_GONE);
                return Next::Gone;
            }
            reason if reason.status() == 0 => {
                self.record.breaks_with(Reason::HeadTimeout.status()); // as nginx: it did not read in time
                return Next::Abort;
            }
            _ if status == CLOSE => {
                self.record.ends_with(CLOSE);
                return Next::Gone;
            }
            _ => self.record.ends_with(status),
        }
        let Some(mut lease) = self.reservation.as_ref().and_then(Reservation::try_take) else { return Next::Abort };
        let (hsts, mut writer) = (self.hsts_of_page(), Writer::new(&mut lease));
        let lines = std::mem::take(&mut self.page_fields);
        let connection = if close { page::Connection::Close } else { page::Connection::Stays };
        self.cx.with_date(|date| {
            let authenticate = self.standing.challenge.as_deref();
            let manner =
                Manner { date, connection, head_only, hsts: hsts.as_deref(), added: lines.as_edit(), authenticate };
            page::write_error_as(&mut writer, status, reason, &manner);
        });
        let Some(len) = writer.finish() else { return Next::Abort };
        self.cx.stats().bytes_out.add(len as u64);
        self.record.answer(&lease[..len]);
        let send_ms = limits::SEND_TIMEOUT_DEFAULT;
        match self.socket.while_taking(&self.timer, send_ms, self.socket.send(lease, 0..len)).await {
            Ok(Ok(())) => {
                self.record.is_whole();
                if close { Next::Linger } else { Next::Again }
            }
            _ => Next::Abort,
        }
    }

    /// Waits until the last answer has left.
    pub(super) async fn flush(&mut self) {
        let left = async {
            match self.socket.is_tls() {
                true => self.socket.finish().await, // whoever reads until the end knows it then
                false => self.socket.flushed().await,
            }
        };
        let _ = self.timer.within(limits::CLOSE_FLUSH_MAX, left).await;
        if self.has_input() || !self.socket.seems_quiet() {
            self.linger().await; // closing on unread bytes would reset
        }
    }

    /// Ends an idle connection: FIN at once after the look that found nothing. Closing takes a turn or two, and a request that
    /// came meanwhile would be lost although its client had been told nothing.
    pub(super) async fn part(&mut self) {
        let _ = self.timer.within(limits::CLOSE_FLUSH_MAX, self.socket.finish()).await;
    }

    /// Lingering close: FIN, then read and throw away until the client has seen it, within bounds.
    pub(super) async fn linger(&mut self) {
        let whole = self.cx.reactor.timer();
        whole.set(limits::LINGER_TIMEOUT);
        let _ = whole.before_deadline(self.discard()).await;
    }

    async fn discard(&mut self) {
        if !matches!(self.timer.within(limits::CLOSE_FLUSH_MAX, self.socket.finish()).await, Ok(Ok(()))) {
            return;
        }
        // One buffer is enough from here on; the others are for those who still have something to say.
        (self.start, self.end) = (0, 0);
        self.input = None;
        self.reservation = None;
        let reservation = self.cx.reactor.buffers().reserve(self.owner, 1).await;
        let mut discarded = 0;
        while discarded < limits::LINGER_BYTES_MAX {
            if self.timer.within(limits::LINGER_READ_TIMEOUT, self.socket.discardable()).await.is_err() {
                return;
            }
            let Some(mut lease) = reservation.try_take() else { return };
            match self.socket.try_discard(&mut lease) {
                Ok(Some(0)) | Err(_) => return,
                Ok(n) => discarded += n.unwrap_or(0) as u64,
            }
        }
    }

    /// Ends the connection with a reset: what was being answered is cut, and the client must be able to tell.
    pub(super) fn abort(self) {
        self.socket.abort();
    }
}
