//! One attempt at one server: the request out, the answer back, both at once where the body is long.

mod upload;

use super::answer::{Answer, Head};
use super::client::Client;
use super::held::Held;
use super::prepare::Request;
use super::problem::RequestBody;
use super::{Next, report};
use crate::balance::health::Cause;
use crate::proto::body::{Decoder, Encoder};
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::ring::{Driver, Elapsed, Lease, Timer};
use crate::route::pages;
use crate::session::ms;
use crate::session::relay::{self, Appended, Begun, Broken, Relay};
use crate::session::tries::Tries;
use crate::stats::{Counter, Tally};
use crate::tls::Stream;
use crate::upstream::Picked;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// How an attempt ended.
pub(super) enum Outcome<D: Driver> {
    /// The client has its answer, whole or cut.
    Answered(Next, BodyRead),
    /// The backend switched protocols and said `early` already.
    Upgraded { socket: Stream<D>, early: Bytes },
    /// The request's own fault, found while its body was read.
    Refused(Reason),
    /// The answer's status asks for another server, and one is chosen.
    Passed,
    /// The answer's status has a page of the configuration's (`proxy_intercept_errors`).
    Intercepted { status: u16, body_lost: bool },
    /// No byte of an answer reached the client.
    Failed {
        reason: Reason,
        /// The connection was closed before a byte came back: natural for a pooled one. Implies `retry`.
        stale: bool,
        /// It may be sent again, to another server.
        retry: bool,
        /// How far the request's body was read.
        body: RequestBody,
    },
}

/// How far the request's body was read, so that the next request is found.
pub(super) enum BodyRead {
    /// It lay in the input, and ends so many bytes behind the head.
    Input(usize),
    /// It was streamed; these bytes came behind it.
    Streamed(BytesMut),
    /// Not to its end: nothing can follow.
    Partly,
}

impl BodyRead {
    /// Leaves the client's input at the next request.
    pub(super) fn settle<D: Driver>(self, client: &mut Client<'_, D>, request: &Request<'_>) {
        match self {
            BodyRead::Input(bytes) => client.consume(request.head + bytes),
            BodyRead::Streamed(spill) => client.replace_input(spill),
            BodyRead::Partly => {}
        }
    }
}

/// How the upload stands; shared by the two halves of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upload {
    Running,
    Done,
    /// The backend takes no more; its answer may be there all the same.
    Refused,
    /// The client's fault, or ours to end.
    Broken(Reason),
}

pub(super) struct Attempt<'x, 'a, D: Driver> {
    client: &'x Client<'a, D>,
    request: &'x Request<'a>,
    picked: &'x Picked<D>,
    socket: Stream<D>,
    /// The server's health knows of this attempt already.
    judged: Cell<bool>,
    /// An answer's status that another page takes the place of.
    intercepted: Cell<Option<u16>>,
}

impl<'x, 'a, D: Driver> Attempt<'x, 'a, D> {
    pub(super) fn new(
        client: &'x Client<'a, D>,
        request: &'x Request<'a>,
        picked: &'x Picked<D>,
        socket: Stream<D>,
    ) -> Self {
        socket.set_owner(client.owner);
        Self { client, request, picked, socket, judged: Cell::new(false), intercepted: Cell::new(None) }
    }

    /// The answer to the client must say close, whatever the backend says. `used`: bytes of the input that are this request's.
    fn must_close(&self, used: usize) -> bool {
        let client = self.client;
        !self.request.facts.keep_alive
            || client.should_leave(used)
            || client.requests >= self.request.server.keepalive_requests
    }

    /// `silent`: no byte of an answer came, or none that is HTTP.
    fn failed(&self, (reason, silent): (Reason, bool), accepted_before: u64, body_read: bool) -> Outcome<D> {
        // RFC 9110 9.2.2: what is not idempotent is sent again only if the backend cannot have seen any of it.
        let unseen = || !self.socket.may_have_sent(accepted_before);
        let retry = silent && (self.request.repeatable || unseen());
        let stale = retry && matches!(reason, Reason::BackendClosed | Reason::BackendReset);
        // A send that it still holds would keep a buffer of the next attempt.
        self.socket.reset_when_dropped();
        Outcome::Failed { reason, stale, retry, body: RequestBody::read(body_read) }
    }

    /// Bytes of the request's body are gone: nobody else can be sent it.
    fn lost(&self, reason: Reason) -> Outcome<D> {
        // A send that it still holds would keep a buffer of whatever answers now.
        self.socket.reset_when_dropped();
        Outcome::Failed { reason, stale: false, retry: false, body: RequestBody::Lost }
    }

    /// Sends the request, whose head is `out[..len]`, and brings the answer back.
    pub(super) async fn run(self, mut out: Lease, len: usize, tries: &Tries<'_, D>) -> Outcome<D> {
        let Request { facts, head, location, .. } = self.request;
        let began = self.client.cx.reactor.now_us();
        let accepted_before = self.socket.accepted_bytes();
        let raw = &self.client.bytes()[*head..];
        let mut decoder = Decoder::new(facts.body);
        if !location.set_headers.is_empty() {
            decoder = decoder.without_trailers();
        }
        let encoder = Encoder::new(facts.body);
        let held = self.held();
        let joined = held.and_then(|held| held.append(&mut out, len));
        let first = match relay::append(&mut out, joined.unwrap_or(len), raw, &mut decoder, encoder) {
            Ok(first) => first,
            Err(reason) => return Outcome::Refused(reason),
        };
        let mut most = location.client_max_body_size;
        if let Some(most) = &mut most {
            match most.checked_sub(first.data as u64) {
                Some(left) => *most = left,
                None => return Outcome::Refused(Reason::BodyTooLarge),
            }
        }
        self.picked.stats().bytes_out.add(first.len as u64);
        self.client.record.to_server.add(first.len as u64);
        if held.is_none() {
            self.client.record.body.set(first.consumed as u64);
        }
        let sent = self.socket.send(out, 0..first.len);
        match self.client.timer.within(ms(location.proxy_send_timeout), sent).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return self.failed((Reason::BackendReset, true), accepted_before, true),
            Err(Elapsed) => return self.failed((Reason::BackendSendTimeout, true), accepted_before, true),
        }
        if let (Some(held), None) = (held, joined) {
            return Box::pin(self.replay(held, accepted_before, tries)).await;
        }
        if !decoder.is_done() || !first.ended {
            // Boxed, as all that few requests need: a connection's task stays small.
            return Box::pin(self.stream(decoder, first, most, accepted_before, tries)).await;
        }
        let upload = Cell::new(Upload::Done);
        self.client.timer.set(ms(location.proxy_first_byte_timeout));
        let used = head + first.consumed;
        let answer = self.answer(&upload).read_head(|| self.must_close(used)).await;
        let failure = match answer {
            Ok(head) => {
                self.picked.took(self.client.cx.reactor.now_us() - began);
                if let Some(outcome) = self.unwanted(&head, tries) {
                    return outcome;
                }
                let delivered = self.deliver(head, &upload, None).await;
                return self.conclude(delivered, BodyRead::Input(first.consumed));
            }
            Err(failure) => failure,
        };
        self.failed(failure, accepted_before, true)
    }

    /// The request's body, if it is held and this server is to have it.
    fn held(&self) -> Option<&'x Held> {
        self.client.held.as_deref().filter(|_| !self.request.course.as_get)
    }

    /// Another server is asked after this answer, or another page takes its place. The request can be sent again.
    fn unwanted(&self, head: &Head, tries: &Tries<'_, D>) -> Option<Outcome<D>> {
        let outcome = if self.judge(head, tries) && self.request.repeatable && tries.has_another(self.client.cx) {
            Outcome::Passed
        } else if self.intercepts(head) {
            Outcome::Intercepted { status: head.facts.status, body_lost: false }
        } else {
            return None;
        };
        self.socket.reset_when_dropped(); // the rest of that answer is not wanted
        Some(outcome)
    }

    fn answer<'s>(&'s self, upload: &'s Cell<Upload>) -> Answer<'x, 's, 'a, D> {
        Answer { client: self.client, request: self.request, picked: self.picked, backend: &self.socket, upload }
    }

    /// The body is longer than what came with the head: it is streamed while the answer is awaited.
    async fn stream(
        self,
        mut decoder: Decoder,
        first: Appended,
        most: Option<u64>,
        accepted_before: u64,
        tries: &Tries<'_, D>,
    ) -> Outcome<D> {
        let Request { facts, head, location, .. } = self.request;
        let raw = &self.client.bytes()[*head..];
        let upload = Cell::new(Upload::Running);
        // Bytes that came behind an earlier streamed body stand between the input and what the socket has.
        let carried = match (&raw[first.consumed..], &self.client.pushback[..]) {
            (rest, []) => Cow::Borrowed(rest),
            (rest, behind) => Cow::Owned([rest, behind].concat()),
        };
        let (timer, mut spill) = (self.client.cx.reactor.timer(), BytesMut::new());
        let (received, record) = (Counter::default(), &self.client.record);
        let of_server = self.picked.stats();
        let relay = Relay {
            from: &self.client.socket,
            to: &self.socket,
            decoder: &mut decoder,
            encoder: Encoder::new(facts.body),
            ended: first.ended,
            reservation: self.client.reservation(),
            timer: &timer,
            read_ms: ms(location.client_body_timeout),
            send_ms: ms(location.proxy_send_timeout),
            most,
            splice_min: self.request.splice_min,
            carried: &carried,
            spill: &mut spill,
            received: Tally { whole: &received, part: &record.body },
            sent: Tally { whole: &of_server.bytes_out, part: &record.to_server },
            stats: self.client.cx.stats(),
        };
        let delivered = self.exchange(&self.answer(&upload), &upload, pin!(relay.run()), tries).await;
        self.client.cx.stats().bytes_in.add(received.get());
        record.body.set((record.body.get() + carried.len() as u64).saturating_sub(spill.len() as u64));
        if let Some(status) = self.intercepted.get() {
            self.socket.reset_when_dropped();
            return Outcome::Intercepted { status, body_lost: true };
        }
        match delivered {
            Err(_) if matches!(upload.get(), Upload::Broken(_)) => {
                let Upload::Broken(reason) = upload.get() else { unreachable!("just matched") };
                match reason {
                    Reason::BackendSendTimeout => self.lost(reason),
                    reason => Outcome::Refused(reason),
                }
            }
            // Bytes that came after the head are gone: it cannot be sent again.
            Err((reason, _)) if received.get() > 0 => self.lost(reason),
            Err(failure) => self.failed(failure, accepted_before, false),
            Ok(delivered) if upload.get() == Upload::Done => self.conclude(delivered, BodyRead::Streamed(spill)),
            Ok(delivered) => self.conclude(delivered, BodyRead::Partly),
        }
    }

    /// Uploads and awaits the answer at once, then delivers it, still uploading if need be.
    async fn exchange(
        &self,
        answer: &Answer<'x, '_, 'a, D>,
        upload: &Cell<Upload>,
        mut uploading: Uploading<'_>,
        tries: &Tries<'_, D>,
    ) -> Result<Delivered, (Reason, bool)> {
        // What lay in the input was part of the body.
        let close = || upload.get() != Upload::Done || self.must_close(usize::MAX);
        let head = self.await_head(answer, upload, &mut uploading, close).await?;
        self.judge(&head, tries); // its body is gone: it cannot be sent again whatever the status
        if self.intercepts(&head) {
            self.intercepted.set(Some(head.facts.status));
            return Err((Reason::BadResponse, false)); // for whoever asks `intercepted` not
        }
        Ok(self.deliver(head, upload, Some(uploading)).await)
    }

    /// Tells the server's health of an answer; true if its status asks for another server.
    fn judge(&self, head: &Head, tries: &Tries<'_, D>) -> bool {
        let status = head.facts.status;
        let unwanted = tries.is_wanted_after_status(status);
        // The others of 4xx are about the request: a client could have servers ejected.
        if unwanted && matches!(status, 429 | 500..) {
            tries.judge(self.picked, Cause::Status(status));
            self.judged.set(true);
        } else {
            self.picked.answers();
        }
        unwanted && !head.interim
    }

    /// Another page takes the place of this answer.
    fn intercepts(&self, head: &Head) -> bool {
        let Request { location, course, .. } = self.request;
        location.intercept_errors && !head.interim && pages::has_page(location, course, head.facts.status)
    }

    /// Sends the answer to the client while the upload, if it still runs, goes on.
    async fn deliver(&self, head: Head, upload: &Cell<Upload>, mut uploading: Option<Uploading<'_>>) -> Delivered {
        let Head { mut out, len, back, start, end, facts, framing, mut coder, close, interim: _ } = head;
        let mut decoder = Decoder::new(facts.body);
        let encoder = Encoder::new(framing);
        let client = self.client;
        let send_ms = ms(self.request.location.send_timeout);
        let (mut spill, begun) = (BytesMut::new(), Cell::new(false));
        let early = if facts.upgrade_websocket { Some(Bytes::copy_from_slice(&back[start..end])) } else { None };
        let result = {
            let mut delivering = pin!(async {
                if facts.upgrade_websocket {
                    begun.set(true);
                    client.record.answer(&out[..len]);
                    return self.send_first(out, len, send_ms).await;
                }
                if let Some(coder) = &mut coder {
                    client.record.head(&out[..len]);
                    let sent = Begun { out, len, back, raw: start..end, coder, sent: &begun };
                    let delivered = Box::pin(self.deliver_coded(sent, &mut decoder, encoder, &mut spill)).await;
                    let (before, after) = coder.totals();
                    client.record.compressed(before, after);
                    return delivered;
                }
                let first = relay::append(&mut out, len, &back[start..end], &mut decoder, encoder);
                let first = first.map_err(Broken::Malformed)?;
                begun.set(true);
                client.record.answer(&out[..len]);
                client.record.sent.add((first.len - len) as u64);
                self.send_first(out, first.len, send_ms).await?;
                let carried = &back[start + first.consumed..end];
                if decoder.is_done() && first.ended {
                    spill.extend_from_slice(carried);
                    return Ok(());
                }
                let timer = client.cx.reactor.timer();
                let relay = self.relay(&timer, &mut decoder, encoder, &mut spill);
                Box::pin(Relay { ended: first.ended, carried, ..relay }.run()).await
            });
            poll_fn(|task| {
                if let Some(uploading) = &mut uploading {
                    self.poll_upload(uploading, upload, task);
                }
                if let Upload::Broken(reason) = upload.get() {
                    return Poll::Ready(Err(reason));
                }
                let delivered = delivering.as_mut().poll(task);
                // While the backend is silent nobody reads from or writes to the client.
                if delivered.is_pending() && client.socket.poll_failed(task).is_ready() {
                    return Poll::Ready(Err(Reason::ClientGone));
                }
                delivered.map_err(|broken| match broken {
                    Broken::Read(_) => Reason::BackendReset,
                    Broken::Cut => Reason::BackendClosed,
                    Broken::ReadTimeout => Reason::BackendReadTimeout,
                    Broken::Malformed(_) | Broken::TooLarge => Reason::BadResponse,
                    Broken::Write(_) => Reason::ClientGone,
                    Broken::WriteTimeout => Reason::ClientTimeout,
                })
            })
            .await
        };
        let reusable = facts.keep_alive && spill.is_empty() && upload.get() == Upload::Done;
        let (keeps_for, until_close) = (facts.keep_alive_timeout, framing == Framing::Close);
        Delivered { result, begun: begun.get(), early, close, reusable, keeps_for, until_close }
    }

    /// The answer's body on its way to the client, none of it sent yet.
    fn relay<'r>(
        &'r self,
        timer: &'r Timer,
        decoder: &'r mut Decoder,
        encoder: Encoder,
        spill: &'r mut BytesMut,
    ) -> Relay<'r, D> {
        let client = self.client;
        Relay {
            from: &self.socket,
            to: &client.socket,
            decoder,
            encoder,
            ended: false,
            reservation: client.reservation(),
            timer,
            read_ms: ms(self.request.location.proxy_read_timeout),
            send_ms: ms(self.request.location.send_timeout),
            most: None,
            splice_min: self.request.splice_min,
            carried: &[],
            spill,
            received: Tally { whole: &self.picked.stats().bytes_in, part: &client.record.from_server },
            sent: Tally { whole: &client.cx.stats().bytes_out, part: &client.record.sent },
            stats: client.cx.stats(),
        }
    }

    /// Sends head and body, which is compressed.
    async fn deliver_coded(
        &self,
        begun: Begun<'_>,
        decoder: &mut Decoder,
        encoder: Encoder,
        spill: &mut BytesMut,
    ) -> Result<(), Broken> {
        let timer = self.client.cx.reactor.timer();
        self.relay(&timer, decoder, encoder, spill).run_coded(begun).await
    }

    async fn send_first(&self, out: Lease, len: usize, send_ms: u64) -> Result<(), Broken> {
        self.client.cx.stats().bytes_out.add(len as u64);
        let client = &self.client.socket;
        let sent = client.while_taking(&self.client.timer, send_ms, client.send(out, 0..len)).await;
        sent.map_err(|Elapsed| Broken::WriteTimeout)?.map_err(Broken::Write)
    }

    /// What becomes of both connections.
    fn conclude(self, delivered: Delivered, body: BodyRead) -> Outcome<D> {
        let Delivered { result, begun, early, close, reusable, keeps_for, until_close } = delivered;
        let next = match result {
            Ok(()) => {
                self.client.record.is_whole();
                if !self.judged.get() {
                    self.picked.succeeded();
                }
                if let Some(early) = early {
                    return Outcome::Upgraded { socket: self.socket, early };
                }
                if reusable && self.client.cx.draining().is_none() {
                    self.picked.put_idle(self.socket, keeps_for);
                }
                match (close, &body) {
                    (_, BodyRead::Partly) => Next::Linger,
                    (true, _) => Next::Close,
                    (false, _) => Next::Again,
                }
            }
            Err(reason) if !begun => {
                let body = match body {
                    BodyRead::Input(_) => RequestBody::Read,
                    BodyRead::Streamed(_) | BodyRead::Partly => RequestBody::Lost,
                };
                return Outcome::Failed { reason, stale: false, retry: false, body };
            }
            Err(reason) => {
                match Cause::of(reason) {
                    _ if self.judged.get() => {}
                    Some(cause) => self.picked.failed(cause),
                    None => self.picked.succeeded(), // it did its part
                }
                report(self.client.cx, reason, || format!("{} was cut", self.client.request_line()));
                match reason {
                    // Without a length only a reset tells the client that there should have been more.
                    _ if until_close => Next::Abort,
                    Reason::ClientTimeout => Next::Abort,
                    Reason::ClientGone => Next::Gone,
                    _ => Next::Close,
                }
            }
        };
        Outcome::Answered(next, body)
    }
}

/// An upload in the background of an attempt.
type Uploading<'u> = Pin<&'u mut dyn Future<Output = Result<(), Broken>>>;

/// How an answer went to the client.
struct Delivered {
    result: Result<(), Reason>,
    /// Bytes of it may have reached the client.
    begun: bool,
    /// The backend switched protocols and said this already.
    early: Option<Bytes>,
    /// The answer said close.
    close: bool,
    /// The backend's connection may serve another request.
    reusable: bool,
    /// For so many seconds, by its own word.
    keeps_for: Option<u32>,
    /// The answer's end is the connection's end.
    until_close: bool,
}
