//! HTTP/1.1 for one client connection: wait, read a head, exchange, again.

mod answer;
mod attempt;
mod client;
mod exchange;
#[cfg(test)]
mod tests;

use super::{Context, Open};
use crate::proto::reason::Reason;
use crate::ring::{Descriptor, Driver};
use client::{Client, Waited};
use std::rc::Rc;

/// What becomes of the client connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next request may come.
    Again,
    /// The answer said close and the request was read whole.
    Close,
    /// The answer said close, but the client may still be sending: read on for a while, or a reset destroys the answer.
    Linger,
    /// The client ended; nothing is left to say.
    Gone,
    /// The message was cut and the client must be able to tell, or the client is gone: reset.
    Abort,
}

/// Serves one client connection to its end. It is counted, and its descriptor owned, from this call on, not from the first poll:
/// a worker that drains must not overlook it.
pub fn serve<D: Driver>(cx: Rc<Context<D>>, descriptor: Descriptor, listener: usize) -> impl Future<Output = ()> {
    let (open, socket) = (Open::count(cx.clone(), listener), cx.reactor.adopt(descriptor));
    async move {
        converse(Client::new(&cx, socket, listener)).await;
        drop(open);
    }
}

async fn converse<D: Driver>(mut client: Client<'_, D>) {
    loop {
        match client.wait_for_request().await {
            Waited::Readable => {}
            Waited::Ended => {
                Box::pin(client.part()).await;
                break;
            }
        }
        match exchange::run(&mut client).await {
            Next::Again => {}
            Next::Gone => break,
            Next::Close => {
                Box::pin(client.flush()).await;
                break;
            }
            Next::Linger => {
                Box::pin(client.linger()).await;
                break;
            }
            Next::Abort => return client.abort(),
        }
    }
}

/// Exchanges that failed are counted and logged under one name.
fn report<D: Driver>(cx: &Context<D>, reason: Reason, what: impl FnOnce() -> String) {
    use crate::log::Level;
    cx.stats().count_error(reason);
    let level = match reason.status() {
        500.. => Level::Error,
        _ => Level::Info,
    };
    cx.log(level, format!("{}: {}", reason.name(), what()));
}
