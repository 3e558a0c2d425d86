//! Before a location is entered: how often, how many at once, and who. nginx's order: limit_req, limit_conn, allow and deny, auth_basic.

use super::client::Client;
use super::problem::Problem;
use crate::config::plan::{LimitConn, LimitReq, Location};
use crate::handlers::access::judge;
use crate::handlers::auth::{Answer, Asked, Pending};
use crate::limit::{self, Permit, Status, Verdict};
use crate::limits::{AUTH_REALM_MAX, DELAYED_MAX};
use crate::log::Level;
use crate::proto::authorization::{Basic, basic};
use crate::proto::reason::Reason;
use crate::proto::request::RequestFacts;
use crate::ring::Driver;
use crate::route::Source;
use crate::upstream::Live;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;

/// What limits and passwords said to the request at hand.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// `$limit_req_status`; `None`: no limit was asked. Each is asked once for a request, whatever locations it comes to.
    pub(super) req: Option<Status>,
    /// `$limit_conn_status`.
    pub(super) conn: Option<Status>,
    /// It is counted as long as these are held: until the exchange's end, tunnels too.
    pub(super) permits: Vec<Permit>,
    /// The WWW-Authenticate of its answer.
    pub(super) challenge: Option<String>,
}

/// What a location has to ask of a request.
pub(super) struct Asking<'a> {
    location: &'a Location,
    /// What is known of the request, and its head's bytes.
    known: (RequestFacts, usize),
    /// The texts of the limits' keys. Those without text do not count.
    req: Vec<(&'a LimitReq, Vec<u8>)>,
    conn: Vec<(&'a LimitConn, Vec<u8>)>,
    /// What `allow` and `deny` say; `None`: nothing.
    allowed: Option<bool>,
    password: Option<Password<'a>>,
}

/// What `auth_basic` has to ask.
struct Password<'a> {
    realm: String,
    file: &'a Path,
    came: Option<Basic>,
}

impl<'a> Asking<'a> {
    /// `None`: the location is open to everybody.
    #[inline]
    pub(super) fn new(location: &'a Location, source: &Source, known: (RequestFacts, usize)) -> Option<Self> {
        if location.access.is_open() && location.limit_req.is_empty() && location.limit_conn.is_empty() {
            return None;
        }
        Some(Self::of(location, source, known))
    }

    fn of(location: &'a Location, source: &Source, known: (RequestFacts, usize)) -> Self {
        let plan = source.plan;
        let req = location.limit_req.iter().map(|limit| (limit, source.text(&plan.limit_req_zones[limit.zone].key)));
        let conn = location.limit_conn.iter().map(|limit| (limit, source.text(&plan.limit_conn_zones[limit.zone].key)));
        let password = location.access.basic.as_ref().and_then(|asked| {
            let realm = source.string(&asked.realm);
            let ask = |realm| Password { realm, file: &asked.file, came: basic(source.request.fields) };
            (realm != "off").then(|| ask(realm))
        });
        Asking {
            location,
            known,
            req: req.filter(|(_, key)| !key.is_empty()).collect(),
            conn: conn.filter(|(_, key)| !key.is_empty()).collect(),
            // Without an address it came by a unix socket.
            allowed: judge(&location.access.rules, source.client_ip.parse().ok()),
            password,
        }
    }

    fn problem(&self, reason: Reason, detail: String) -> Problem {
        Problem { detail, ..Problem::new(reason, self.known) }
    }
}

/// Lets a request in, perhaps after a while, or says why not.
pub(super) async fn admit<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    asking: Asking<'_>,
) -> Result<(), Problem> {
    limit_req(client, live, &asking).await?;
    limit_conn(client, live, &asking)?;
    let denied = || asking.problem(Reason::AccessDenied, String::new());
    match (asking.allowed, asking.location.access.any) {
        (Some(false), false) => return Err(denied()),
        (Some(true), true) => return Ok(()),
        _ => {}
    }
    match &asking.password {
        Some(password) => authenticate(client, &asking, password).await,
        None if asking.allowed == Some(false) => Err(denied()),
        None => Ok(()),
    }
}

async fn limit_req<D: Driver>(client: &mut Client<'_, D>, live: &Live<D>, asking: &Asking<'_>) -> Result<(), Problem> {
    if client.standing.req.is_some() || asking.req.is_empty() {
        return Ok(());
    }
    let ask = |limit: &LimitReq, key| {
        let rate = live.plan.limit_req_zones[limit.zone].rate;
        limit::Ask { zone: &live.zones.req[limit.zone], key, rate, burst: limit.burst, delay: limit.delay }
    };
    let asks: Vec<_> = asking.req.iter().map(|(limit, key)| ask(limit, key)).collect();
    let verdict = limit::ask(&asks, client.cx.reactor.now_ms());
    let about = |by: usize, excess: Option<u64>| {
        let zone = &live.plan.limit_req_zones[asking.req[by].0.zone].name;
        match excess {
            Some(excess) => format!(", excess {}.{:03} in zone {zone:?}", excess / 1000, excess % 1000),
            None => format!(", zone {zone:?} has no room for its key"),
        }
    };
    let note = |what: &str, detail: &str| {
        client
            .cx
            .log_thinned(Level::Warn, Reason::RequestLimit, || format!("{what} {}{detail}", client.request_line()));
    };
    let (status, wait) = match verdict {
        Verdict::Passed => (Status::Passed, 0),
        Verdict::Delayed { ms, by, excess } if asking.req[by].0.dry_run => {
            note(&format!("without limit_req_dry_run {ms} ms later:"), &about(by, Some(excess)));
            (Status::DelayedDryRun, 0)
        }
        // Whoever waits holds buffers, which others need.
        Verdict::Delayed { by, excess, .. } if client.cx.delayed.get() >= DELAYED_MAX => {
            client.standing.req = Some(Status::Rejected);
            let status = asking.req[by].0.status;
            return Err(Problem { status, ..asking.problem(Reason::RequestLimit, about(by, Some(excess))) });
        }
        Verdict::Delayed { ms, by, excess } => {
            note(&format!("{ms} ms later:"), &about(by, Some(excess)));
            (Status::Delayed, ms)
        }
        Verdict::Refused { by, excess } if asking.req[by].0.dry_run => {
            note("without limit_req_dry_run refused:", &about(by, excess));
            (Status::RejectedDryRun, 0)
        }
        Verdict::Refused { by, excess } => {
            client.standing.req = Some(Status::Rejected);
            let status = asking.req[by].0.status;
            return Err(Problem { status, ..asking.problem(Reason::RequestLimit, about(by, excess)) });
        }
    };
    client.standing.req = Some(status);
    if wait == 0 {
        return Ok(());
    }
    let _waiting = Waiting::new(&client.cx.delayed);
    client.timer.set(wait);
    poll_fn(|task| match client.timer.poll_expired(task.waker()) {
        true => Poll::Ready(Ok(())),
        // As in nginx a client that ended its side waits no more: its place is another's.
        false => client.socket.poll_ended(task).map(|()| Err(asking.problem(Reason::ClientGone, String::new()))),
    })
    .await
}

/// Counts a request that waits, until it is dropped.
struct Waiting<'a>(&'a Cell<u32>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn limit_conn<D: Driver>(client: &mut Client<'_, D>, live: &Live<D>, asking: &Asking<'_>) -> Result<(), Problem> {
    if client.standing.conn.is_some() {
        return Ok(());
    }
    for (limit, key) in &asking.conn {
        client.standing.conn = Some(Status::Passed);
        if let Some(permit) = live.zones.conn[limit.zone].take(key, limit.most) {
            client.standing.permits.push(permit);
            continue;
        }
        // Counted by all limits or by none.
        client.standing.permits.clear();
        let detail = format!(", {} at once in zone {:?}", limit.most, live.plan.limit_conn_zones[limit.zone].name);
        if limit.dry_run {
            client.standing.conn = Some(Status::RejectedDryRun);
            let line = || format!("without limit_conn_dry_run refused: {}{detail}", client.request_line());
            client.cx.log_thinned(Level::Warn, Reason::ConnectionLimit, line);
            return Ok(());
        }
        client.standing.conn = Some(Status::Rejected);
        return Err(Problem { status: limit.status, ..asking.problem(Reason::ConnectionLimit, detail) });
    }
    Ok(())
}

async fn authenticate<D: Driver>(
    client: &mut Client<'_, D>,
    asking: &Asking<'_>,
    password: &Password<'_>,
) -> Result<(), Problem> {
    let answer = match &password.came {
        None => Err((Reason::AuthRequired, "no name and password came".to_owned())),
        Some(basic) => match client.cx.passwords.ask(password.file, basic, client.cx.reactor.now_ms()) {
            Ok(Asked::Right) => return Ok(()),
            Ok(Asked::Waits(pending, answer)) => wait(client, pending, answer).await,
            Err(why) => Err((Reason::Overloaded, why)),
        },
    };
    let (reason, why) = match answer {
        Ok(Answer::Right(_)) => return Ok(()),
        Ok(Answer::Wrong(why)) => (Reason::AuthRequired, why),
        Ok(Answer::Unusable(why)) => {
            client.cx.log_thinned(Level::Error, Reason::AuthRequired, || format!("auth_basic_user_file: {why}"));
            (Reason::AuthRequired, why)
        }
        Ok(Answer::Missing(why)) => (Reason::PasswordsMissing, why),
        Ok(Answer::Unreadable(why)) => (Reason::PasswordsUnreadable, why),
        Err(failed) => failed,
    };
    if reason == Reason::AuthRequired {
        client.standing.challenge = Some(challenge(&password.realm));
    }
    Err(asking.problem(reason, if why.is_empty() { why } else { format!(", {why}") }))
}

/// Waits for the answer. Whoever goes away is not waited for, and what nobody waits for is not hashed.
async fn wait<D: Driver>(
    client: &Client<'_, D>,
    pending: Pending,
    answer: impl Future<Output = Result<Answer, impl Sized>>,
) -> Result<Answer, (Reason, String)> {
    let mut answer = pin!(answer);
    let answer = poll_fn(|task| match answer.as_mut().poll(task) {
        Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
        Poll::Ready(Err(_)) => Poll::Ready(Err((Reason::Internal, "the thread for passwords ended".to_owned()))),
        Poll::Pending => client.socket.poll_ended(task).map(|()| Err((Reason::ClientGone, String::new()))),
    })
    .await?;
    client.cx.passwords.remember(&pending, &answer, client.cx.reactor.now_ms());
    Ok(answer)
}

/// The value of WWW-Authenticate: a quoted string (RFC 9110 5.6.4) holds no control characters.
fn challenge(realm: &str) -> String {
    let mut value = String::from("Basic realm=\"");
    for c in realm.chars().filter(|c| !c.is_control()) {
        if value.len() + c.len_utf8() + 2 > AUTH_REALM_MAX {
            break;
        }
        if matches!(c, '"' | '\\') {
            value.push('\\');
        }
        value.push(c);
    }
    value.push('"');
    value
}
