//! The backend's answer up to the end of its head.

use super::attempt::Upload;
use super::client::Client;
use super::prepare::Request;
use super::returns;
use super::source::{now, with_source};
use crate::handlers::compress::{Asked, Chosen, Coder, Offered, Verdict, choose, is_candidate, time};
use crate::limits::INTERIM_MAX;
use crate::proto::content::Content;
use crate::proto::framing::Framing;
use crate::proto::page;
use crate::proto::reason::Reason;
use crate::proto::request::{self, FieldSlots, Version};
use crate::proto::response::{self, Response, ResponseFacts};
use crate::proto::rewrite::{self, Added, EditFields};
use crate::proto::sticky::SetCookie;
use crate::proto::variables::fields_named;
use crate::proto::writer::Writer;
use crate::ring::{Driver, Elapsed, Lease};
use crate::route::Source;
use crate::route::edits::{Answered, Edits, Texts};
use crate::session::ms;
use crate::tls::Stream;
use crate::upstream::Picked;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

/// Reads one answer's head.
pub(super) struct Answer<'x, 's, 'a, D: Driver> {
    pub(super) client: &'x Client<'a, D>,
    pub(super) request: &'x Request<'a>,
    pub(super) picked: &'x Picked<D>,
    pub(super) backend: &'s Stream<D>,
    /// While the request is on its way, no time runs for the answer.
    pub(super) upload: &'s Cell<Upload>,
}

/// A final answer's head, rewritten.
pub(super) struct Head {
    /// The head for the client: `out[..len]`.
    pub(super) out: Lease,
    pub(super) len: usize,
    /// What came behind the backend's head: `back[start..end]`.
    pub(super) back: Lease,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) facts: ResponseFacts,
    /// How the body goes to the client.
    pub(super) framing: Framing,
    /// What it goes through before.
    pub(super) coder: Option<Box<Coder>>,
    /// The head says close.
    pub(super) close: bool,
    /// The client has had an interim answer of this server's.
    pub(super) interim: bool,
}

impl<D: Driver> Answer<'_, '_, '_, D> {
    /// Reads and rewrites the final head; interim ones are passed on. The client's timer holds the deadline. `close` is asked
    /// when the head is there. The error says whether the backend was silent: whether no byte of an answer came, or
    /// none that is HTTP.
    pub(super) async fn read_head(&self, close: impl Fn() -> bool) -> Result<Head, (Reason, bool)> {
        self.await_readable(true).await?; // no buffer is held while the backend thinks
        let mut back = self.client.reservation().take();
        let (mut start, mut end) = (0, 0);
        // Whether the backend has said nothing at all: an interim answer is an answer for the retry rule.
        let mut silent = true;
        let mut interims = 0;
        loop {
            match self.receive(&mut back, end) {
                Ok(Some(0)) => return Err((Reason::BackendClosed, silent)),
                Ok(Some(n)) => {
                    if std::mem::take(&mut silent) && self.upload.get() != Upload::Running {
                        // From now on it is the time between two reads. Not behind a 100 that the body still follows.
                        self.client.timer.set(ms(self.request.location.proxy_read_timeout));
                    }
                    end += n;
                }
                Ok(None) => {
                    self.await_readable(silent).await?;
                    continue;
                }
                Err(error) => return Err((io_reason(&error), silent)),
            }
            loop {
                match self.judge(&back[start..end], &close).map_err(|reason| (reason, interims == 0))? {
                    Judged::Partial => break,
                    Judged::Interim { used, out } => {
                        start += used;
                        interims += 1;
                        if interims > INTERIM_MAX {
                            return Err((Reason::BadResponse, false));
                        }
                        if let Some((out, len)) = out {
                            Box::pin(self.pass_on(out, len)).await?;
                        }
                    }
                    Judged::Final { used, out, len, facts, framing, coder, close } => {
                        start += used;
                        let interim = interims > 0;
                        return Ok(Head { out, len, back, start, end, facts, framing, coder, close, interim });
                    }
                }
            }
            if start > 0 {
                back.copy_within(start..end, 0);
                (start, end) = (0, end - start);
            }
            if end == back.len() {
                return Err((Reason::ResponseHeadTooLarge, interims == 0));
            }
        }
    }

    fn receive(&self, back: &mut Lease, end: usize) -> io::Result<Option<usize>> {
        let received = self.backend.try_recv(&mut back[end..]);
        if let Ok(Some(n)) = received {
            self.picked.stats().bytes_in.add(n as u64);
            self.client.record.from_server.add(n as u64);
        }
        received
    }

    /// Waits for the backend, and gives up early when the client's connection is gone.
    async fn await_readable(&self, silent: bool) -> Result<(), (Reason, bool)> {
        let late = if silent { Reason::FirstByteTimeout } else { Reason::BackendReadTimeout };
        let waited = self.client.timer.before_deadline(poll_fn(|task| {
            if self.backend.poll_readable(task).is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.client.socket.poll_failed(task).map(|()| Err((Reason::ClientGone, false)))
        }));
        waited.await.unwrap_or(Err((late, silent)))
    }

    fn judge(&self, bytes: &[u8], close: impl Fn() -> bool) -> Result<Judged, Reason> {
        let mut slots = FieldSlots::new();
        let Some(mut parsed) = response::parse(bytes, &mut slots)? else { return Ok(Judged::Partial) };
        let request = &self.request.facts;
        let facts = parsed.inspect(request)?;
        let used = parsed.len;
        if facts.is_interim() && request.version == Version::Http10 {
            return Ok(Judged::Interim { used, out: None }); // RFC 9110 15.2: never to an HTTP/1.0 client
        }
        if !facts.is_interim() {
            let now_us = self.client.cx.reactor.now_us();
            self.client.record.server_head(&bytes[..used], facts.status, bytes.len() - used, now_us);
        }
        let mut out = self.client.reservation().take();
        let mut writer = Writer::new(&mut out);
        let mut framing = facts.framing_to_client(request);
        let (mut coder, must_close) = (None, close());
        let hsts = self.client.hsts(self.request.server);
        let location = self.request.location;
        if facts.is_interim() {
            self.edited(&parsed, |edit| rewrite::write_interim(&mut writer, &parsed, edit));
        } else if facts.upgrade_websocket {
            self.edited(&parsed, |edit| {
                rewrite::write_switching(&mut writer, &parsed, Added { hsts, edit, ..Added::default() });
            });
        } else {
            // An answer without content keeps its status: another would promise some.
            if let Some(status) = self.request.course.status.filter(|_| !matches!(parsed.status, 204 | 205 | 304)) {
                (parsed.status, parsed.reason) = (status, page::phrase(status));
            }
            let cookie = self.cookie();
            let mut added = Added { cookie: cookie.as_ref(), hsts, ..Added::default() };
            if !location.compression.is_off() {
                let Verdict { chosen, vary } = self.verdict(&parsed, &facts);
                let has_body = facts.body != Framing::None;
                coder = chosen.filter(|_| has_body).and_then(Chosen::coder).map(Box::new);
                // RFC 9110 9.3.2: HEAD is answered with what GET would get.
                added.coding = chosen.filter(|_| coder.is_some() || !has_body).map(|chosen| chosen.coding);
                added.vary = vary;
                if coder.is_some() {
                    framing = if request.version == Version::Http10 { Framing::Close } else { Framing::Chunked };
                }
            }
            let close = must_close || framing == Framing::Close;
            self.edited(&parsed, |edit| {
                let added = Added { edit, ..added };
                rewrite::write_response(&mut writer, &parsed, &facts, request, framing, close, added);
            });
        }
        let close = !facts.upgrade_websocket && (must_close || framing == Framing::Close);
        let len = writer.finish().ok_or(Reason::ResponseHeadTooLarge)?;
        Ok(match facts.is_interim() {
            true => Judged::Interim { used, out: Some((out, len)) },
            false => Judged::Final { used, out, len, facts, framing, coder, close },
        })
    }

    /// Whether the body is compressed.
    fn verdict(&self, response: &Response, facts: &ResponseFacts) -> Verdict {
        let (client, compression) = (self.client, &*self.request.location.compression);
        let content = Content::of(response.fields);
        let offered = Offered { status: response.status, length: facts.content_length, content };
        let mut slots = FieldSlots::new();
        match is_candidate(compression, &offered).then(|| request::parse(client.bytes(), &mut slots)) {
            Some(Ok(Some(parsed))) => {
                let asked = Asked { version: parsed.version, fields: parsed.fields };
                choose(compression, &offered, &asked, now(client))
            }
            _ => Verdict::default(),
        }
    }

    /// Calls `write` with what the location changes in this answer, if it changes anything.
    fn edited(&self, response: &Response, mut write: impl FnMut(Option<&dyn EditFields>)) {
        let answers = &*self.request.location.answers;
        if answers.is_empty() || !Edits::concern(answers, response.fields) {
            return write(None);
        }
        let last_modified = fields_named(response.fields, "last-modified").next().and_then(time);
        let now = now(self.client);
        if !Edits::need_source(answers) {
            let edits = Edits::new(answers, Texts::Literal, response.status, last_modified, now, None);
            return write(Some(&edits));
        }
        let request = self.request;
        let proxy_host = &request.plan.upstreams[request.upstream].name;
        let written = with_source(self.client, request.plan, &request.course, |source, _| {
            let connection =
                Answered { connection: source.connection, status: response.status, fields: response.fields };
            let source = Source { connection: &connection, proxy_host, ..*source };
            let absolute = |url| returns::location(&source, url);
            let texts = Texts::Source(&source);
            write(Some(&Edits::new(answers, texts, response.status, last_modified, now, Some(&absolute))));
        });
        if written.is_none() {
            write(None); // its head was well formed when it came
        }
    }

    /// The cookie that names the server, unless the client's does already, or names one that is only full for a moment.
    fn cookie(&self) -> Option<SetCookie<'_>> {
        let (sticky, identity) = (self.request.sticky?, self.picked.identity());
        let cookie = SetCookie { name: &sticky.name, identity, attributes: &sticky.attributes };
        (self.request.key.named != Some(identity) && !self.picked.is_stand_in).then_some(cookie)
    }

    /// Sends an interim answer to the client.
    async fn pass_on(&self, out: Lease, len: usize) -> Result<(), (Reason, bool)> {
        let timer = self.client.cx.reactor.timer();
        let sent = async {
            self.client.socket.send(out, 0..len).await?;
            self.client.socket.flushed().await
        };
        match timer.within(ms(self.request.location.send_timeout), sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err((Reason::ClientGone, false)),
            Err(Elapsed) => Err((Reason::ClientTimeout, false)),
        }
    }
}

enum Judged {
    Partial,
    /// `out` is what the client gets, if it understands it.
    Interim {
        used: usize,
        out: Option<(Lease, usize)>,
    },
    Final {
        used: usize,
        out: Lease,
        len: usize,
        facts: ResponseFacts,
        framing: Framing,
        coder: Option<Box<Coder>>,
        close: bool,
    },
}

fn io_reason(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::TimedOut => Reason::FirstByteTimeout,
        _ => Reason::BackendReset,
    }
}
