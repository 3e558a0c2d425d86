//! TCP passthrough for one client connection: a server is chosen, and bytes go both ways until both sides have ended.

use super::greet::{Greeted, greet};
use super::tries::Tries;
use super::tunnel::{self, Ended, Patience};
use super::{Context, Open, ms};
use crate::balance::Key;
use crate::balance::hash::{StableHasher, stable_hash};
use crate::config::plan::{Balance, ProxyProtocol, Tcp};
use crate::config::template::Part;
use crate::limits::{RESET_FLUSH_MAX, TICK};
use crate::log::Level;
use crate::proto::proxy_protocol::{self, Version};
use crate::proto::reason::Reason;
use crate::ring::{Descriptor, Driver, Owner, Timer};
use crate::tls::Stream;
use crate::upstream::{Failure, Live, Opening, Picked};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// Serves one client connection to its end. It is counted and owned from this call on.
pub fn serve<D: Driver>(cx: Rc<Context<D>>, descriptor: Descriptor, listener: usize) -> impl Future<Output = ()> {
    let (open, client) = (Open::count(cx.clone(), listener), cx.reactor.adopt(descriptor));
    async move {
        if let Some(greeted) = greet(&cx, client, listener).await {
            cx.listener_stats(listener).requests.add(1);
            cx.stats().requests.add(1);
            session(&cx, greeted).await;
        }
        drop(open);
    }
}

async fn session<D: Driver>(cx: &Context<D>, greeted: Greeted<D>) {
    let Greeted { stream: client, address, destination, section, live } = greeted;
    let tcp = &live.plan.tcps[section];
    let started = cx.reactor.now_ms();
    let owner = cx.next_owner();
    let peer = address.map_or("unix:".to_owned(), |address| address.to_string());
    client.set_owner(owner);
    // With no idle timeout by default, this is what finds peers that vanished without a word.
    client.keep_alive();
    let ip = address.map_or("unix:".to_owned(), |address| address.ip().to_canonical().to_string());
    let destination = || destination.or_else(|| client.local().ok().flatten());
    let greeting = tcp.proxy_protocol.map_or(Vec::new(), |version| proxy_header(version, address, destination()));
    let key = key(&live, tcp, &ip);
    let (picked, backend) = match connect(cx, &client, owner, &live, tcp, key, &greeting).await {
        Ok(connected) => connected,
        Err(reason) => {
            cx.stats().count_error(reason);
            let line = || format!("{}: tcp from {peer}: {}", reason.name(), reason.text());
            cx.log_thinned(Level::Error, reason, line);
            return;
        }
    };
    let patience = Patience { idle: tcp.idle_timeout, client: None, backend: None };
    let Ended { result, moved: [up, down] } =
        tunnel::run(cx, owner, [&client, &backend], Default::default(), patience, &picked).await;
    let ended = result.err().map_or("", Reason::name);
    let seconds = (cx.reactor.now_ms() - started) as f64 / 1000.0;
    let line = format!("tcp from {peer} to {}: {up} bytes up, {down} down, {seconds:.3} s {ended}", picked.name());
    cx.log(Level::Info, line.trim_end().to_owned());
    match result {
        // Nobody's fault: both sides get FIN behind what was sent.
        Ok(()) | Err(Reason::ClientTimeout) => {}
        Err(reason) => {
            cx.stats().count_error(reason);
            if reason != Reason::ClientGone {
                // Counted, not held against its health: a database ends sessions for reasons of its own.
                picked.stats().failures.add(1);
            }
            // A reset goes on to the other side as a reset, behind all that was read before it.
            let timer = cx.reactor.timer();
            let (gone, other) = if reason == Reason::ClientGone { (client, backend) } else { (backend, client) };
            gone.abort();
            pass_reset(other, &timer).await;
        }
    }
}

/// What a server is told of the client before its first byte.
fn proxy_header(version: ProxyProtocol, source: Option<SocketAddr>, destination: Option<SocketAddr>) -> Vec<u8> {
    let version = match version {
        ProxyProtocol::V1 => Version::V1,
        ProxyProtocol::V2 => Version::V2,
    };
    let mut header = vec![0; proxy_protocol::WRITTEN_MAX];
    let len = proxy_protocol::write(version, source, destination, &mut header);
    header.truncate(len);
    header
}

/// What `hash` and `ip_hash` go by: of a session only the address is known, so a hash's variables are all `$remote_addr`.
fn key<D: Driver>(live: &Live<D>, tcp: &Tcp, ip: &str) -> Key {
    let hash = match &live.plan.upstreams[tcp.upstream].balance {
        Balance::IpHash => stable_hash(ip.as_bytes()),
        Balance::Hash(template) => {
            let mut hasher = StableHasher::new();
            template.parts().iter().for_each(|part| match part {
                Part::Text(text) => hasher.write(text.as_bytes()),
                Part::Variable(_) => hasher.write(ip.as_bytes()),
            });
            hasher.finish()
        }
        _ => 0,
    };
    Key { hash, ..Key::default() }
}

/// Connects to the servers in turn; `greeting` goes before all else. A client that goes away meanwhile ends it.
async fn connect<D: Driver>(
    cx: &Context<D>,
    client: &Stream<D>,
    owner: Owner,
    live: &Live<D>,
    tcp: &Tcp,
    key: Key,
    greeting: &[u8],
) -> Result<(Picked<D>, Stream<D>), Reason> {
    let timer = cx.reactor.timer();
    let dialer = tcp.proxy_ssl.map(|dialer| &live.terms.dialers[dialer]);
    let opening = Opening { dialer, header: greeting, owner, held: None };
    let mut tries = Tries::new(cx, live, tcp.upstream, key, &tcp.retry);
    while let Some(picked) = tries.next(cx, client, &timer).await {
        let began = cx.reactor.now_us();
        let connected = {
            let mut connecting = pin!(picked.connect(&timer, ms(tcp.proxy_connect_timeout), &opening));
            poll_fn(|task| match connecting.as_mut().poll(task) {
                Poll::Pending => client.poll_failed(task).map(|()| Err(Reason::ClientGone.into())),
                ready => ready,
            })
            .await
        };
        match connected {
            Ok(socket) => {
                picked.took(cx.reactor.now_us() - began);
                picked.succeeded();
                socket.set_owner(owner);
                // The last word of the handshake: many servers speak first, and wait for it.
                let _ = timer.within(ms(tcp.proxy_connect_timeout), socket.send_out(None)).await;
                socket.keep_alive();
                return Ok((picked, socket));
            }
            Err(Failure { reason: Reason::ClientGone, .. }) => return Err(Reason::ClientGone),
            Err(failure) => tries.failed(cx, &picked, failure),
        }
    }
    Err(tries.failure.0)
}

/// Resets a connection once its peer has acknowledged what was sent: a reset throws away what the kernel still has.
async fn pass_reset<D: Driver>(socket: Stream<D>, timer: &Timer) {
    acknowledged(&socket, timer).await;
    socket.abort();
}

/// Waits until the peer has acknowledged what was sent, for so long.
pub(super) async fn acknowledged<D: Driver>(socket: &Stream<D>, timer: &Timer) {
    let mut waited = 0;
    while socket.unacknowledged() > 0 && !socket.has_failed() && waited < RESET_FLUSH_MAX {
        timer.sleep(TICK).await;
        waited += TICK;
    }
}
