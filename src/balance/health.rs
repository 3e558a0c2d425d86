//! Whether a server is well, from what traffic and checks say. Pure: time and chance are arguments.
//!
//! Traffic: `max_fails` failures in a row, or too large a share of failures within `fail_timeout`, *eject* a server. When its time is
//! over (each time in a row twice as long) it is on *probation*: one request at a time, until one succeeds. Checks: `fall` failed
//! ones in a row put it *down*, `rise` passed ones *up*; unknown counts as up.

use crate::config::plan::{HealthCheck, Peer};
use crate::limits::{EJECTION_MAX, FAIL_RATE_REQUESTS_MIN};
use crate::proto::reason::Reason;
use std::fmt;

/// When failures count, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that eject; 0: none do.
    pub max_fails: u32,
    /// Within which they count, and the first ejection's length, in milliseconds.
    pub fail_timeout: u64,
    /// Percent of the requests within `fail_timeout` that eject when they fail.
    pub max_fail_rate: Option<u8>,
    /// Passed checks in a row that put it up.
    pub rise: u32,
    /// Failed checks in a row that put it down.
    pub fall: u32,
}

impl Rules {
    /// Those of one server.
    pub fn new(peer: &Peer, max_fail_rate: Option<u8>, check: Option<&HealthCheck>) -> Rules {
        Rules {
            max_fails: peer.max_fails,
            fail_timeout: peer.fail_timeout.as_millis() as u64,
            max_fail_rate,
            rise: check.map_or(1, |check| check.rise),
            fall: check.map_or(1, |check| check.fall),
        }
    }
}

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Usable.
    Up,
    /// Usable by one request at a time.
    Probation,
    /// Out of use for a while: its traffic failed.
    Ejected,
    /// Out of use: its checks fail.
    Down,
}

impl State {
    /// From its number; anything else is `Up`.
    pub fn from_u8(number: u8) -> State {
        [State::Up, State::Probation, State::Ejected, State::Down]
            .into_iter()
            .find(|s| *s as u8 == number)
            .unwrap_or(State::Up)
    }
}

/// Why traffic failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The exchange broke.
    Broken(Reason),
    /// The answer's status was one that counts as a failure.
    Status(u16),
}

impl Cause {
    /// What of an exchange's end is held against the server; `None`: the client's doing, or ours.
    pub fn of(reason: Reason) -> Option<Cause> {
        use Reason::*;
        let servers = matches!(
            reason,
            ConnectRefused
                | ConnectFailed
                | ConnectTimeout
                | BackendTlsFailed
                | BackendClosed
                | BackendReset
                | BackendReadTimeout
                | BackendSendTimeout
                | FirstByteTimeout
                | BadResponse
                | ResponseHeadTooLarge
        );
        servers.then_some(Cause::Broken(reason))
    }

    /// No connection could be made: looking from outside tells when it is over.
    pub fn is_connecting(self) -> bool {
        matches!(self, Cause::Broken(Reason::ConnectRefused | Reason::ConnectFailed | Reason::ConnectTimeout))
    }

    /// A connection broke.
    fn is_breaking(self) -> bool {
        matches!(self, Cause::Broken(Reason::BackendReset | Reason::BackendClosed))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words = match self {
            Cause::Status(status) => return write!(f, "status {status}"),
            Cause::Broken(Reason::ConnectRefused) => "connection refused",
            Cause::Broken(Reason::ConnectFailed) => "cannot be reached",
            Cause::Broken(Reason::ConnectTimeout) => "connecting took too long",
            Cause::Broken(Reason::BackendTlsFailed) => "the TLS handshake failed",
            Cause::Broken(Reason::BackendClosed) => "closed the connection early",
            Cause::Broken(Reason::BackendReset) => "connection reset",
            Cause::Broken(Reason::FirstByteTimeout) => "no answer in time",
            Cause::Broken(Reason::BackendReadTimeout) => "stopped in mid-answer",
            Cause::Broken(Reason::BackendSendTimeout) => "stopped reading",
            Cause::Broken(Reason::BadResponse | Reason::ResponseHeadTooLarge) => "a bad answer",
            Cause::Broken(other) => other.name(),
        };
        f.write_str(words)
    }
}

/// What a server's traffic came to, over all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Attempts.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All as expected.
    Passed,
    /// Why not.
    Failed {
        /// For people.
        why: String,
        /// It took too long, which also a busy server does.
        slow: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Ejection {
    cause: Cause,
    failures: u32,
    since: u64,
    until: u64,
}

/// One server's health.
#[derive(Debug, Default)]
pub struct Health {
    /// Failures in a row, and when the last was.
    in_a_row: u32,
    last_failure: u64,
    /// Where the present window of the failure rate began.
    window: Option<(u64, Totals)>,
    ejection: Option<Ejection>,
    probation: bool,
    /// When it began.
    probation_since: u64,
    /// Ejections in a row; the last one's length; when the server came back from it.
    ejections: u32,
    length: u64,
    back_since: u64,
    /// When it came back last, for slow start.
    up_since: Option<u64>,
    down: bool,
    passed_in_a_row: u32,
    failed_in_a_row: u32,
    last_check: Option<(u64, Verdict)>,
    last_failed_check: Option<u64>,
}

impl Health {
    /// The present state.
    pub fn state(&self) -> State {
        match (self.down, &self.ejection, self.probation) {
            (true, ..) => State::Down,
            (_, Some(_), _) => State::Ejected,
            (.., true) => State::Probation,
            _ => State::Up,
        }
    }

    /// A success of traffic would change something.
    pub fn wants_success(&self) -> bool {
        self.in_a_row > 0 || self.probation
    }

    /// When it came back last; `None`: it was never away.
    pub fn up_since(&self) -> Option<u64> {
        self.up_since
    }

    /// When time alone will change the state.
    pub fn next_change(&self) -> Option<u64> {
        // While it is down, that an ejection ends beneath changes nothing.
        self.ejection.as_ref().filter(|_| !self.down).map(|ejection| ejection.until)
    }

    /// The last check: when, and what it found.
    pub fn last_check(&self) -> Option<&(u64, Verdict)> {
        self.last_check.as_ref()
    }

    /// Time went on.
    pub fn tick(&mut self, now: u64) {
        if self.ejection.as_ref().is_some_and(|ejection| ejection.until <= now) {
            self.begin_probation(now);
        }
    }

    fn begin_probation(&mut self, now: u64) {
        self.ejection = None;
        (self.probation, self.probation_since) = (true, now);
    }

    /// A request that cannot be repeated is no trial of it yet: there may be others that can.
    pub fn spares_precious(&self, rules: &Rules, now: u64) -> bool {
        self.probation && now < self.probation_since + rules.fail_timeout
    }

    /// Traffic failed. `may_eject`: the group can do without it. `random`: for the back-off's jitter.
    pub fn failed(&mut self, rules: &Rules, cause: Cause, totals: Totals, now: u64, may_eject: bool, random: u64) {
        if now.saturating_sub(self.last_failure) > rules.fail_timeout {
            self.in_a_row = 0;
        }
        self.last_failure = now;
        self.in_a_row = self.in_a_row.saturating_add(1);
        let rate = self.is_rate_exceeded(rules, totals, now);
        if rules.max_fails == 0 && !rate || self.ejection.is_some() || !may_eject {
            return;
        }
        if rate || self.probation || self.in_a_row >= rules.max_fails {
            self.eject(rules, cause, now, random);
        }
    }

    fn is_rate_exceeded(&mut self, rules: &Rules, totals: Totals, now: u64) -> bool {
        let Some(most) = rules.max_fail_rate else { return false };
        match self.window {
            Some((begin, then)) if now.saturating_sub(begin) <= rules.fail_timeout => {
                let requests = totals.requests.saturating_sub(then.requests);
                let failures = totals.failures.saturating_sub(then.failures);
                requests >= u64::from(FAIL_RATE_REQUESTS_MIN) && failures * 100 >= requests * u64::from(most)
            }
            // This failure is the window's first request.
            _ => {
                let before =
                    Totals { requests: totals.requests.saturating_sub(1), failures: totals.failures.saturating_sub(1) };
                self.window = Some((now, before));
                false
            }
        }
    }

    fn eject(&mut self, rules: &Rules, cause: Cause, now: u64, random: u64) {
        if !self.probation && now.saturating_sub(self.back_since) > self.length {
            self.ejections = 0; // it was well for longer than it was out
        }
        let whole =
            rules.fail_timeout.saturating_mul(1 << self.ejections.min(20)).min(EJECTION_MAX.max(rules.fail_timeout));
        // Up to a tenth more or less, so that servers that failed together are not tried together.
        let length = whole - whole / 10 + random % (whole / 5 + 1);
        self.ejection = Some(Ejection { cause, failures: self.in_a_row, since: now, until: now + length });
        (self.probation, self.window) = (false, None);
        self.ejections = self.ejections.saturating_add(1);
        self.length = length;
    }

    /// Traffic went well.
    pub fn succeeded(&mut self, now: u64) {
        self.in_a_row = 0;
        if std::mem::take(&mut self.probation) {
            self.come_back(now);
        }
    }

    fn come_back(&mut self, now: u64) {
        (self.back_since, self.up_since) = (now, Some(now));
    }

    /// A check's verdict. `answered`: real traffic was answered since the check before. True if a passed check tells that an
    /// ejected server may be tried.
    pub fn checked(&mut self, rules: &Rules, verdict: Verdict, answered: bool, now: u64) {
        match &verdict {
            Verdict::Passed => {
                (self.failed_in_a_row, self.passed_in_a_row) = (0, self.passed_in_a_row.saturating_add(1));
                if self.down && self.passed_in_a_row >= rules.rise {
                    self.down = false;
                    self.come_back(now);
                }
                // What the checks saw, too, is over when they say so.
                let seen = |e: &Ejection| self.last_failed_check.is_some_and(|at| at + rules.fail_timeout >= e.since);
                // Whoever is killed breaks connections; whoever breaks them for another reason is tried in vain once.
                let killed = |e: &Ejection| e.cause.is_breaking() && self.ejections == 1;
                if self.ejection.as_ref().is_some_and(|e| e.cause.is_connecting() || killed(e) || seen(e)) {
                    self.begin_probation(now);
                }
            }
            // A busy server that answers real traffic is not put down for being slow to a check.
            Verdict::Failed { slow: true, .. } if answered && !self.down => {}
            Verdict::Failed { .. } => {
                (self.passed_in_a_row, self.failed_in_a_row) = (0, self.failed_in_a_row.saturating_add(1));
                self.last_failed_check = Some(now);
                self.down |= self.failed_in_a_row >= rules.fall;
            }
        }
        self.last_check = Some((now, verdict));
    }

    /// What checks said is forgotten: from now on others are made, or none.
    pub fn forget_checks(&mut self) {
        (self.down, self.passed_in_a_row, self.failed_in_a_row) = (false, 0, 0);
        (self.last_check, self.last_failed_check) = (None, None);
    }

    /// A look whether it can be connected to, besides any checks: it cannot.
    pub fn is_not_back(&mut self, now: u64) {
        self.last_failed_check = Some(now);
    }

    /// For people: `connection refused, 3 of 3, retry in 4 s`; empty if there is nothing to say.
    pub fn why(&self, rules: &Rules, now: u64) -> String {
        if let (true, Some((_, Verdict::Failed { why, .. }))) = (self.down, &self.last_check) {
            return format!("check: {why}, {} of {}", self.failed_in_a_row.min(rules.fall), rules.fall);
        }
        if self.down {
            return format!("check passed {} of {}", self.passed_in_a_row, rules.rise);
        }
        if let Some(Ejection { cause, failures, until, .. }) = &self.ejection {
            let left = until.saturating_sub(now).div_ceil(1000);
            let failures = match *failures >= rules.max_fails {
                true => format!("{failures} of {}", rules.max_fails.max(1)),
                false => "again".to_owned(), // on probation one is enough, and a rate of failures knows no row
            };
            return format!("{cause}, {failures}, retry in {left} s");
        }
        match (self.probation, self.in_a_row) {
            (true, _) => "one request at a time until one succeeds".to_owned(),
            (_, 0) => String::new(),
            (_, failures) if rules.max_fails == 0 => format!("failures in a row: {failures}"),
            (_, failures) if failures < rules.max_fails => format!("failures: {failures} of {}", rules.max_fails),
            (_, failures) => {
                format!("failures in a row: {failures}; kept in use, for `max_ejected` allows no more to go")
            }
        }
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
