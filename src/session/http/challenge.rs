//! ACME challenges: answered from a file before `return` and locations, so that certificates can be had and renewed by a webroot.

use super::Next;
use super::client::Client;
use super::problem::Problem;
use super::returns::Own;
use crate::config::plan::Server;
use crate::handlers::acme;
use crate::proto::page::write_text;
use crate::proto::reason::Reason;
use crate::proto::request::{Request, RequestFacts, Route};
use crate::ring::{Driver, Lease};
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

/// A request that asks for the answer to a challenge.
pub(super) struct Challenge<'a> {
    server: &'a Server,
    root: &'a Path,
    token: String,
    /// What is known of the request, and its head's bytes.
    known: (RequestFacts, usize),
}

impl<'a> Challenge<'a> {
    /// `None`: the request asks for something else, or the server has no webroot.
    #[inline]
    pub(super) fn new(server: &'a Server, request: &Request, route: &Route, facts: RequestFacts) -> Option<Self> {
        let root = server.acme_webroot.as_deref()?;
        let token = acme::token(&route.path).filter(|_| matches!(request.method, "GET" | "HEAD"))?.to_owned();
        Some(Challenge { server, root, token, known: (facts, request.len) })
    }

    /// Answers it, by way of `out`.
    pub(super) async fn answer<D: Driver>(self, client: &mut Client<'_, D>, mut out: Lease) -> Result<Next, Problem> {
        let answer = match client.cx.challenges.ask(self.root, &self.token) {
            Ok(asked) => wait(client, asked).await,
            Err(why) => Err((Reason::Overloaded, why)),
        };
        let answered = answer.and_then(|text| {
            let too_long = (Reason::Internal, "the answer does not fit".to_owned()); // it does, by its limit
            let own = Own::write(client, self.server, self.known, &mut out, None, |writer, manner| {
                write_text(writer, 200, text.len() as u64, "text/plain", manner, |writer| writer.put(&text));
            });
            own.ok_or(too_long)
        });
        match answered {
            Ok(own) => Ok(own.send(client, out).await),
            Err((reason, why)) => Err(Problem { detail: format!(", {why}"), ..Problem::new(reason, self.known) }),
        }
    }
}

/// Waits for the file's reader. A disk that hangs keeps no connection whose client went away.
async fn wait<D: Driver>(
    client: &Client<'_, D>,
    asked: impl Future<Output = Result<acme::Answer, impl Sized>>,
) -> Result<Vec<u8>, (Reason, String)> {
    let mut asked = pin!(asked);
    poll_fn(|task| match asked.as_mut().poll(task) {
        Poll::Ready(Ok(answer)) => Poll::Ready(answer.map_err(|why| (Reason::ChallengeMissing, why))),
        Poll::Ready(Err(_)) => Poll::Ready(Err((Reason::Internal, "the reader of files ended".to_owned()))),
        Poll::Pending => client.socket.poll_failed(task).map(|()| Err((Reason::ClientGone, String::new()))),
    })
    .await
}
