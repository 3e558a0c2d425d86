//! What comes before the first request, or the first byte of a session: a PROXY protocol header, then the TLS handshake, whose first
//! message says which section of the listener is meant. It is answered here, or passed on as it is (`ssl_preread`).

use super::{Context, ms};
use crate::config::plan::{Plan, Service};
use crate::limits::{CLIENT_HELLO_WIRE_MAX, DRAIN_GRACE, LINGER_TIMEOUT, PROXY_V2_MAX, SSL_HANDSHAKE_TIMEOUT_DEFAULT};
use crate::log::Level;
use crate::proto::client_hello::{self, NotTls};
use crate::proto::page;
use crate::proto::proxy_protocol::{self, Header, Malformed};
use crate::proto::reason::Reason;
use crate::proto::writer::Writer;
use crate::ring::{Driver, Elapsed, Owner, Socket, Timer};
use crate::tls::Stream;
use crate::tls::words::{Peer, failure};
use crate::upstream::Live;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// A client connection that may begin.
pub(super) struct Greeted<D: Driver> {
    pub(super) stream: Stream<D>,
    /// The client, by a PROXY protocol header if there was one; `None` on unix sockets.
    pub(super) address: Option<SocketAddr>,
    /// Where it connected to, if a PROXY protocol header told.
    pub(super) destination: Option<SocketAddr>,
    /// Of `Plan::servers` or `Plan::tcps`: the one whose name the client's handshake had, else the listener's default.
    pub(super) section: usize,
    pub(super) live: Rc<Live<D>>,
}

/// Brings a new connection to where its first request or byte may come. `None`: it failed, and that was counted and logged.
pub(super) async fn greet<D: Driver>(cx: &Context<D>, socket: Socket<D>, listener: usize) -> Option<Greeted<D>> {
    let live = cx.live();
    let address = socket.peer().ok().flatten();
    let section = live.plan.names(listener).default;
    if is_plain(&live.plan, listener) {
        return Some(Greeted { stream: Stream::plain(socket), address, destination: None, section, live });
    }
    Box::pin(begin(cx, live, socket, listener, address)).await
}

fn is_plain(plan: &Plan, listener: usize) -> bool {
    !plan.listeners[listener].ssl && !plan.listeners[listener].proxy_protocol && !is_preread(plan, listener)
}

/// The sections of an address agree about that, as long as there are several.
fn is_preread(plan: &Plan, listener: usize) -> bool {
    match &plan.listeners[listener].service {
        Service::Http(_) => false,
        Service::Tcp(names) => plan.tcps[names.default].ssl_preread,
    }
}

/// For a PROXY protocol header, and for a hello that is passed on.
fn patience(plan: &Plan, listener: usize) -> u64 {
    match &plan.listeners[listener].service {
        Service::Http(names) => ms(plan.servers[names.default].client_header_timeout),
        Service::Tcp(names) => ms(plan.tcps[names.default].preread_timeout),
    }
}

/// Its PROXY protocol header is believed.
fn is_trusted(plan: &Plan, listener: usize, peer: Option<SocketAddr>) -> bool {
    let trusted = match &plan.listeners[listener].service {
        Service::Http(names) => &plan.servers[names.default].real_ip_from,
        Service::Tcp(names) => &plan.tcps[names.default].real_ip_from,
    };
    peer.is_some_and(|peer| trusted.iter().any(|network| network.contains(&peer.ip().to_canonical())))
}

/// A connection whose first bytes are being read.
struct Beginning<'a, D: Driver> {
    cx: &'a Context<D>,
    socket: Socket<D>,
    owner: Owner,
    timer: Timer,
    address: Option<SocketAddr>,
    destination: Option<SocketAddr>,
    /// What came so far, without a PROXY protocol header.
    came: Vec<u8>,
}

/// Why a connection never began.
enum Failed {
    /// Nobody said anything: a check, a scan, or a browser that wanted to be early.
    Silent,
    /// With what the log says besides.
    For(Reason, String),
    /// It began with something else than a ClientHello that can be read.
    Refused(NotTls),
}

async fn begin<D: Driver>(
    cx: &Context<D>,
    live: Rc<Live<D>>,
    socket: Socket<D>,
    listener: usize,
    address: Option<SocketAddr>,
) -> Option<Greeted<D>> {
    let owner = cx.next_owner();
    socket.set_owner(owner);
    let (timer, began) = (cx.reactor.timer(), cx.reactor.now_ms());
    let is_tcp = matches!(live.plan.listeners[listener].service, Service::Tcp(_));
    let offers = if is_tcp { &live.terms.tcps } else { &live.terms.servers };
    let ssl = live.plan.listeners[listener].ssl;
    let by_default = offers[live.plan.names(listener).default].as_ref();
    timer.set(match ssl {
        true => by_default.map_or(SSL_HANDSHAKE_TIMEOUT_DEFAULT, |offer| offer.handshake_ms),
        false => patience(&live.plan, listener),
    });
    let mut beginning = Beginning { cx, socket, owner, timer, address, destination: None, came: Vec::new() };
    let name = match beginning.read(&live.plan, listener).await {
        Ok(name) => name,
        Err(Failed::Silent) => return None,
        Err(Failed::Refused(NotTls::PlainHttp)) => {
            beginning.refuse_plain_http().await;
            return None;
        }
        Err(Failed::Refused(not_tls)) => {
            report(cx, beginning.address, Reason::TlsHandshakeFailed, &format!(" came {}", not_tls.text()));
            let code = if matches!(not_tls, NotTls::ContentType(_)) { UNEXPECTED_MESSAGE } else { DECODE_ERROR };
            let _ = in_time(cx, &beginning.timer, alert(&beginning.socket, owner, code)).await;
            return None;
        }
        Err(Failed::For(reason, detail)) => {
            report(cx, beginning.address, reason, &detail);
            return None;
        }
    };
    let Beginning { socket, timer, address, destination, came, .. } = beginning;
    let names = live.plan.names(listener);
    let section = name.as_deref().map_or(names.default, |name| names.find(name));
    if !ssl {
        let stream = Stream::with_early(socket, came.into());
        return Some(Greeted { stream, address, destination, section, live });
    }
    let Some(offer) = offers[section].clone() else {
        report(cx, address, Reason::TlsHandshakeFailed, ": there is no certificate for this name");
        return None;
    };
    timer.set((began + offer.handshake_ms).saturating_sub(cx.reactor.now_ms()));
    if offer.reject {
        report(cx, address, Reason::TlsHandshakeFailed, ": ssl_reject_handshake");
        let _ = in_time(cx, &timer, alert(&socket, owner, UNRECOGNIZED_NAME)).await;
        return None;
    }
    let shaken = match Stream::server(socket, offer, name, came) {
        Ok(stream) => in_time(cx, &timer, stream.handshake(None)).await.map(|result| result.map(|()| stream)),
        Err(error) => Ok(Err(error)),
    };
    match shaken {
        // What was good when the session began may be revoked since; a request would be answered with a page, but here comes none.
        Ok(Ok(stream)) if is_tcp && refuses(&stream) => {
            let detail = stream.facts().map_or(String::new(), |facts| format!(": {}", facts.ssl_client_verify));
            report(cx, address, Reason::TlsHandshakeFailed, &detail);
        }
        Ok(Ok(stream)) => return Some(Greeted { stream, address, destination, section, live }),
        Ok(Err(error)) => {
            report(cx, address, Reason::TlsHandshakeFailed, &format!(": {}", failure(&error, Peer::Client)));
        }
        Err(Elapsed) => report(cx, address, Reason::TlsHandshakeTimeout, ""),
    }
    None
}

/// Its certificate, or that it has none, is not good enough.
fn refuses<D: Driver>(stream: &Stream<D>) -> bool {
    stream.offer().is_some_and(|offer| offer.asks_clients())
        && stream.facts().is_some_and(|facts| facts.refusal.is_some())
}

/// Descriptions of alerts (RFC 8446 6, RFC 6066 3).
const UNEXPECTED_MESSAGE: u8 = 10;
const DECODE_ERROR: u8 = 50;
const UNRECOGNIZED_NAME: u8 = 112;

/// Says in the words of TLS why nothing can come of it, and ends.
async fn alert<D: Driver>(socket: &Socket<D>, owner: Owner, description: u8) -> io::Result<()> {
    let record = [21, 3, 3, 0, 2, 2, description];
    let reservation = socket.reactor().buffers().reserve(owner, 1).await;
    let mut lease = reservation.take();
    lease[..record.len()].copy_from_slice(&record);
    socket.send(lease, 0..record.len()).await?;
    socket.finish().await
}

fn report<D: Driver>(cx: &Context<D>, address: Option<SocketAddr>, reason: Reason, detail: &str) {
    cx.stats().count_error(reason);
    let peer = address.map_or_else(|| "unix:".to_owned(), |address| address.to_string());
    let level = match reason {
        // Most likely it is our side that is not configured as the proxies are.
        Reason::ProxyProtocolUntrusted | Reason::ProxyProtocolMalformed => Level::Warn,
        _ => Level::Info,
    };
    cx.log_thinned(level, reason, || format!("{}: from {peer}{detail}", reason.name()));
}

impl<D: Driver> Beginning<'_, D> {
    /// What stands before the first byte. The name is that of the client's hello, if there is one to be read.
    async fn read(&mut self, plan: &Plan, listener: usize) -> Result<Option<String>, Failed> {
        if plan.listeners[listener].proxy_protocol {
            if !is_trusted(plan, listener, self.address) {
                let detail = ", which set_real_ip_from does not name".to_owned();
                return Err(Failed::For(Reason::ProxyProtocolUntrusted, detail));
            }
            self.header().await?;
        }
        match plan.listeners[listener].ssl {
            true => self.hello().await,
            // Whatever it is, somebody behind us may know it.
            false if is_preread(plan, listener) => match self.hello().await {
                Err(Failed::Refused(_)) => Ok(None),
                read => read,
            },
            false => Ok(None),
        }
    }

    /// Reads a PROXY protocol header, and takes from it who the client is.
    async fn header(&mut self) -> Result<(), Failed> {
        let header = loop {
            match proxy_protocol::parse(&self.came) {
                Ok(Some(header)) => break header,
                Ok(None) => {}
                Err(Malformed) => return Err(Failed::For(Reason::ProxyProtocolMalformed, String::new())),
            }
            self.more([Reason::ProxyProtocolMalformed; 2], PROXY_V2_MAX).await?;
        };
        let Header { len, source, destination } = header;
        self.came.drain(..len);
        self.address = source.or(self.address);
        self.destination = destination;
        Ok(())
    }

    /// The name that the client's hello has. rustls never sees one that we cannot read: it might find another name in it.
    async fn hello(&mut self) -> Result<Option<String>, Failed> {
        loop {
            match client_hello::parse(&self.came) {
                Ok(Some(hello)) => return Ok(hello.server_name),
                Ok(None) => {}
                Err(not_tls) => return Err(Failed::Refused(not_tls)),
            }
            self.more([Reason::TlsHandshakeTimeout, Reason::TlsHandshakeFailed], CLIENT_HELLO_WIRE_MAX).await?;
        }
    }

    /// Waits for more of the first bytes, of which at most so many are kept; for these reasons they are late or cut.
    async fn more(&mut self, [late, cut]: [Reason; 2], most: usize) -> Result<(), Failed> {
        let silent = self.came.is_empty();
        if in_time(self.cx, &self.timer, self.socket.readable()).await.is_err() {
            return Err(if silent { Failed::Silent } else { Failed::For(late, ": it did not end in time".to_owned()) });
        }
        match read(&self.socket, &mut self.came, most) {
            Ok(None | Some(1..)) => Ok(()),
            Ok(Some(0)) | Err(_) if silent => Err(Failed::Silent),
            Ok(Some(0)) | Err(_) => Err(Failed::For(cut, ": closed in the middle of it".to_owned())),
        }
    }

    /// Someone wrote `http://` for `https://`: they get a page that says so.
    async fn refuse_plain_http(self) {
        let Self { cx, socket, timer, came, address, owner, .. } = self;
        report(cx, address, Reason::PlainHttpOnTls, "");
        let Some(reservation) = cx.reactor.buffers().spare(owner) else { return };
        let mut lease = reservation.take();
        let mut writer = Writer::new(&mut lease);
        cx.with_date(|date| page::write_plain_http(&mut writer, &came, date));
        let Some(len) = writer.finish() else { return };
        let parting = async {
            socket.send(lease, 0..len).await?;
            socket.finish().await?;
            let mut rest = Vec::new();
            // Closing on unread bytes would reset, and the page be lost.
            while !matches!(read(&socket, &mut rest, CLIENT_HELLO_WIRE_MAX), Ok(Some(0)) | Err(_)) {
                if rest.len() >= CLIENT_HELLO_WIRE_MAX {
                    break;
                }
                socket.readable().await;
            }
            io::Result::Ok(())
        };
        let _ = timer.within(LINGER_TIMEOUT, parting).await;
    }
}

/// Receives behind what is there, up to `most` bytes in all.
fn read<D: Driver>(socket: &Socket<D>, into: &mut Vec<u8>, most: usize) -> io::Result<Option<usize>> {
    let mut piece = [0; 4096];
    let room = most.saturating_sub(into.len()).min(piece.len());
    if room == 0 {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let received = socket.try_recv(&mut piece[..room])?;
    into.extend_from_slice(&piece[..received.unwrap_or(0)]);
    Ok(received)
}

/// Waits until the timer's deadline; a drain leaves its grace only.
async fn in_time<D: Driver, T>(cx: &Context<D>, timer: &Timer, wait: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut wait = pin!(wait);
    let mut hurried = false;
    poll_fn(|task| {
        if let Poll::Ready(value) = wait.as_mut().poll(task) {
            return Poll::Ready(Ok(value));
        }
        if let Some(since) = cx.draining()
            && !std::mem::replace(&mut hurried, true)
        {
            timer.set(DRAIN_GRACE.saturating_sub(since));
        }
        if timer.poll_expired(task.waker()) { Poll::Ready(Err(Elapsed)) } else { Poll::Pending }
    })
    .await
}
