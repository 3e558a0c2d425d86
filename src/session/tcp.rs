//! TCP passthrough for one client connection: a server is chosen, and bytes go both ways until both sides have ended.

use super::tries::Tries;
use super::tunnel::{self, Ended, Patience};
use super::{Context, Open, ms};
use crate::balance::Key;
use crate::balance::hash::{StableHasher, stable_hash};
use crate::config::plan::{Balance, Tcp};
use crate::config::template::Part;
use crate::limits::{RESET_FLUSH_MAX, TICK};
use crate::log::Level;
use crate::proto::reason::Reason;
use crate::ring::{Descriptor, Driver, Owner, Socket, Timer};
use crate::upstream::{Live, Picked};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// Serves one client connection to its end. It is counted and owned from this call on.
pub fn serve<D: Driver>(cx: Rc<Context<D>>, descriptor: Descriptor, listener: usize) -> impl Future<Output = ()> {
    let (open, client) = (Open::count(cx.clone(), listener), cx.reactor.adopt(descriptor));
    async move {
        let live = cx.live();
        cx.listener_stats(listener).requests.add(1);
        cx.stats().requests.add(1);
        session(&cx, client, &live, &live.plan.tcps[live.plan.names(listener).default]).await;
        drop(open);
    }
}

async fn session<D: Driver>(cx: &Context<D>, client: Socket<D>, live: &Live<D>, tcp: &Tcp) {
    let started = cx.reactor.now_ms();
    let owner = cx.next_owner();
    let address = client.peer().ok().flatten();
    let peer = address.map_or("unix:".to_owned(), |address| address.to_string());
    client.set_owner(owner);
    // With no idle timeout by default, this is what finds peers that vanished without a word.
    client.keep_alive();
    let ip = address.map_or("unix:".to_owned(), |address| address.ip().to_canonical().to_string());
    let (picked, backend) = match connect(cx, &client, owner, live, tcp, key(live, tcp, &ip)).await {
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

/// Connects to the servers in turn. A client that goes away meanwhile ends it.
async fn connect<D: Driver>(
    cx: &Context<D>,
    client: &Socket<D>,
    owner: Owner,
    live: &Live<D>,
    tcp: &Tcp,
    key: Key,
) -> Result<(Picked<D>, Socket<D>), Reason> {
    let timer = cx.reactor.timer();
    let mut tries = Tries::new(cx, live, tcp.upstream, key, &tcp.retry);
    while let Some(picked) = tries.next(cx, client, &timer).await {
        let began = cx.reactor.now_us();
        let connected = {
            let mut connecting = pin!(picked.connect(&timer, ms(tcp.proxy_connect_timeout)));
            poll_fn(|task| match connecting.as_mut().poll(task) {
                Poll::Pending => client.poll_failed(task).map(|()| Err(Reason::ClientGone)),
                ready => ready,
            })
            .await
        };
        match connected {
            Ok(socket) => {
                picked.took(cx.reactor.now_us() - began);
                picked.succeeded();
                socket.set_owner(owner);
                socket.keep_alive();
                return Ok((picked, socket));
            }
            Err(Reason::ClientGone) => return Err(Reason::ClientGone),
            Err(reason) => tries.failed(cx, &picked, reason),
        }
    }
    Err(tries.failure.0)
}

/// Resets a connection once its peer has acknowledged what was sent: a reset throws away what the kernel still has.
async fn pass_reset<D: Driver>(socket: Socket<D>, timer: &Timer) {
    let mut waited = 0;
    while socket.unacknowledged() > 0 && !socket.has_failed() && waited < RESET_FLUSH_MAX {
        timer.sleep(TICK).await;
        waited += TICK;
    }
    socket.abort();
}
