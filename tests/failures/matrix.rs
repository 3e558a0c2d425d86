//! Each way in which one of three backends can fail, under load, with each policy. A GET may be sent again, so that no client sees a
//! failure, unless its answer has begun. A POST is never sent twice: it may fail if the backend could have acted on it, and only then.

use super::load::{Clients, Load, Outcome, failed};
use super::process::{Event, Process, times_got};
use super::support::Ringgate;
use super::{backends, before};

const CLIENTS: Clients = Clients { gets: 8, posts: 4 };
/// Requests of each client after the fault.
const MORE: usize = 40;
/// Where the victim is not the busiest one: enough that `ip_hash` sends it somebody.
const MANY: Clients = Clients { gets: 16, posts: 8 };
/// Failures in a row that eject a server, as by default.
const MAX_FAILS: usize = 3;
/// Short enough that a case ends soon, long enough for a busy machine.
const TIMEOUTS: &str = "proxy_connect_timeout = \"300ms\"\nproxy_first_byte_timeout = \"800ms\"";

/// What was seen of one case.
struct Case {
    policy: &'static str,
    backends: Vec<Process>,
    victim: usize,
    outcomes: Vec<Outcome>,
    ringgate: Ringgate,
}

/// Load on three backends with this policy; in the midst of it, the one that has most of the load meets the fault.
#[track_caller]
fn under_load(policy: &'static str, top: &str, fault: impl FnOnce(&Process)) -> Case {
    let backends = backends(3);
    let ringgate = before(&backends, policy, &format!("{TIMEOUTS}\n{top}"));
    let load = Load::start(ringgate.place(), CLIENTS);
    load.expect_more(200);
    let victim = (0..3).max_by_key(|&i| backends[i].got()).expect("three");
    fault(&backends[victim]);
    let outcomes = load.finish(MORE);
    Case { policy, backends, victim, outcomes, ringgate }
}

impl Case {
    fn victim(&self) -> &Process {
        &self.backends[self.victim]
    }

    /// Failures in words, for messages.
    fn shown(&self) -> String {
        let failures: Vec<_> = self.outcomes.iter().filter(|outcome| !outcome.is_good()).collect();
        let some: Vec<String> = failures.iter().take(5).map(|failure| format!("{failure:?}")).collect();
        let (policy, count, all) = (self.policy, failures.len(), self.outcomes.len());
        format!("{policy}: {count} of {all} failed:\n{}\nlog:\n{}", some.join("\n"), self.ringgate.log())
    }

    #[track_caller]
    fn no_get_failed(&self) {
        assert!(failed(&self.outcomes, "GET").is_empty(), "{}", self.shown());
    }

    #[track_caller]
    fn no_post_failed(&self) {
        assert!(failed(&self.outcomes, "POST").is_empty(), "{}", self.shown());
    }

    /// Each POST reached one backend at most, and one exactly if it was answered.
    #[track_caller]
    fn no_post_was_sent_twice(&self) {
        let times = times_got(&self.backends);
        for outcome in self.outcomes.iter().filter(|outcome| outcome.method == "POST") {
            let times = times.get(&outcome.target).copied().unwrap_or(0);
            assert!(
                times <= 1 && (times == 1 || !outcome.is_good()),
                "{outcome:?} was got {times} times; {}",
                self.shown()
            );
        }
    }

    /// The victim had some of the load, and others took it over.
    #[track_caller]
    fn load_went_over(&self) {
        let others: usize = self.backends.iter().map(Process::got).sum::<usize>() - self.victim().got();
        assert!(self.victim().got() > 0 && others > MORE, "{}: {others} at others", self.policy);
    }

    /// POSTs failed for these reasons only, and at most so many.
    #[track_caller]
    fn posts_failed_at_most(&self, count: usize, reasons: &[&str]) {
        let failures = self.outcomes.iter().filter(|outcome| outcome.method == "POST" && !outcome.is_good());
        for failure in failures.clone() {
            let reason = failure.answer.as_ref().ok().and_then(|answer| answer.reason.as_deref());
            assert!(reason.is_some_and(|reason| reasons.contains(&reason)), "{failure:?}; {}", self.shown());
        }
        assert!(failures.count() <= count, "more than {count} POSTs: {}", self.shown());
    }

    /// Exactly the requests failed that met this fate at the victim, which are some.
    #[track_caller]
    fn exactly_these_failed(&self, methods: &[&str], fate: impl Fn(&Event) -> Option<&String>) {
        let is_of = |target: &String| methods.iter().any(|method| target.starts_with(&format!("/{method}/")));
        let expected: Vec<String> = self.victim().targets(fate).into_iter().filter(is_of).collect();
        let mut seen: Vec<String> = methods.iter().flat_map(|method| failed(&self.outcomes, method)).collect();
        seen.sort();
        assert_eq!(seen, expected, "{}", self.shown());
    }

    /// The fault was met: a test without would prove nothing.
    #[track_caller]
    fn was_met(&self, fate: impl Fn(&Event) -> Option<&String>) {
        assert!(!self.victim().targets(fate).is_empty(), "{}: no request met the fault", self.policy);
    }
}

fn cut(event: &Event) -> Option<&String> {
    if let Event::Cut(target) = event { Some(target) } else { None }
}

fn dropped(event: &Event) -> Option<&String> {
    if let Event::Dropped(target) = event { Some(target) } else { None }
}

fn answered_500(event: &Event) -> Option<&String> {
    if let Event::Answered { status: 500, target } = event { Some(target) } else { None }
}

/// What was under way at the killed process: GETs go again, POSTs fail. A client may lose a second POST while the kernel closes the
/// dead process's connections one by one. What comes later is refused, and goes to another server whatever it is.
fn killed(policy: &'static str) {
    let case = under_load(policy, "", Process::kill);
    case.load_went_over();
    case.no_get_failed();
    case.no_post_was_sent_twice();
    case.posts_failed_at_most(2 * CLIENTS.posts, &["backend_reset", "backend_closed"]);
}

/// A stopped process still takes connections and bytes (its kernel does). GETs go on after the time-out; a POST that it has
/// taken fails, since it may act on it when it is continued. So fail those under way when it is ejected, those that led to the
/// ejection, and one for each trial since (two, while the test lasts).
fn stopped(policy: &'static str) {
    let case = under_load(policy, "", Process::stop);
    case.victim().go_on();
    case.load_went_over();
    case.no_get_failed();
    case.no_post_was_sent_twice();
    case.posts_failed_at_most(CLIENTS.posts + MAX_FAILS + 2, &["first_byte_timeout"]);
}

/// Slow is not broken.
fn slow(policy: &'static str) {
    let case = under_load(policy, "", |victim| victim.tell("delay 60"));
    case.load_went_over();
    case.no_get_failed();
    case.no_post_failed();
    case.no_post_was_sent_twice();
}

/// An answer is an answer: what the backend says goes to the client, and nothing else fails.
fn answering_500(policy: &'static str) {
    let case = under_load(policy, "", |victim| victim.tell("status 500"));
    case.was_met(answered_500);
    case.exactly_these_failed(&["GET", "POST"], answered_500);
    case.no_post_was_sent_twice();
}

/// Told to, the same goes on to the next server, unless it is a POST: the backend has acted on it.
fn answering_500_with_http_500(policy: &'static str) {
    let top = "proxy_next_upstream = \"error timeout http_500\"";
    let case = under_load(policy, top, |victim| victim.tell("status 500"));
    case.was_met(answered_500);
    case.no_get_failed();
    case.exactly_these_failed(&["POST"], answered_500);
    case.no_post_was_sent_twice();
}

/// The client has the beginning of the answer already: these are lost, and only these. None of them looks whole.
fn reset_in_mid_body(policy: &'static str) {
    let case = under_load(policy, "", |victim| victim.tell("cut"));
    case.was_met(cut);
    case.exactly_these_failed(&["GET", "POST"], cut);
    case.no_post_was_sent_twice();
}

/// The backend reads the request and closes: GETs go again, POSTs cannot.
fn closing_before_an_answer(policy: &'static str) {
    let case = under_load(policy, "", |victim| victim.tell("close"));
    case.was_met(dropped);
    case.no_get_failed();
    case.exactly_these_failed(&["POST"], dropped);
    case.no_post_was_sent_twice();
}

/// The same with a reset.
fn resetting_before_an_answer(policy: &'static str) {
    let case = under_load(policy, "", |victim| victim.tell("reset"));
    case.was_met(dropped);
    case.no_get_failed();
    case.exactly_these_failed(&["POST"], dropped);
    case.no_post_was_sent_twice();
}

/// Never there, from the start: a refused connection has brought nothing over, so that everything goes on.
fn refusing(policy: &'static str) {
    let backends = backends(3);
    backends[1].tell("refuse");
    let ringgate = before(&backends, policy, TIMEOUTS);
    let outcomes = Load::run(ringgate.place(), MANY, MORE / 2);
    let case = Case { policy, backends, victim: 1, outcomes, ringgate };
    case.no_get_failed();
    case.no_post_failed();
    case.no_post_was_sent_twice();
    assert_eq!(case.victim().got(), 0);
    assert!(
        case.ringgate.status().servers().any(|server| server["connect_failures"].as_u64() > Some(0)),
        "never tried"
    );
}

/// Its packets vanish from one moment on: what is sent on connections that exist is like with a stopped process; new ones
/// time out, have brought nothing over and go on.
fn black_holed(policy: &'static str) {
    let case = under_load(policy, "", |victim| victim.tell("hole"));
    case.load_went_over();
    case.no_get_failed();
    case.no_post_was_sent_twice();
    case.posts_failed_at_most(CLIENTS.posts + MAX_FAILS + 2, &["first_byte_timeout"]);
}

/// Black-holed before the first request: only connections time out, so that nothing at all is seen.
fn black_holed_from_the_start(policy: &'static str) {
    let backends = backends(3);
    backends[1].tell("hole");
    let ringgate = before(&backends, policy, TIMEOUTS);
    let outcomes = Load::run(ringgate.place(), MANY, MORE / 2);
    let case = Case { policy, backends, victim: 1, outcomes, ringgate };
    case.no_get_failed();
    case.no_post_failed();
    case.no_post_was_sent_twice();
    assert_eq!(case.victim().got(), 0);
    assert!(
        case.ringgate.status().servers().any(|server| server["connect_failures"].as_u64() > Some(0)),
        "never tried"
    );
}

macro_rules! with_each_policy {
    ($($fault:ident)*) => {
        $(mod $fault {
            #[test]
            fn round_robin() {
                super::$fault("balance = \"round_robin\"");
            }
            #[test]
            fn least_conn() {
                super::$fault("balance = \"least_conn\"");
            }
            #[test]
            fn ip_hash() {
                super::$fault("balance = \"ip_hash\"");
            }
            #[test]
            fn hash() {
                super::$fault("balance = \"hash $request_uri\"");
            }
            #[test]
            fn random() {
                super::$fault("balance = \"random\"");
            }
            #[test]
            fn least_time() {
                super::$fault("balance = \"least_time\"");
            }
            #[test]
            fn sticky() {
                super::$fault("sticky = \"cookie route\"");
            }
        })*
    };
}

with_each_policy! {
    killed stopped slow answering_500 answering_500_with_http_500 reset_in_mid_body closing_before_an_answer
    resetting_before_an_answer refusing black_holed black_holed_from_the_start
}
