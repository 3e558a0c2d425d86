//! Load by clients with addresses of their own (for `ip_hash`) that send a different target each time (for `hash`) and keep cookies
//! (for `sticky`). Every outcome is kept, and each answer is compared with what the backend must have said.

use super::support::{Client, PATIENCE, Place, Stream, wait_until, wait_until_within};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

/// Failures after which a client gives up: it is broken for good, and the test will say so.
const FAILURES_MAX: usize = 1000;

/// How many clients send what.
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    pub gets: usize,
    pub posts: usize,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Why ringgate made it itself.
    pub reason: Option<String>,
    /// The backend's name.
    pub from: String,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub method: &'static str,
    pub target: String,
    pub answer: Result<Answer, String>,
}

impl Outcome {
    /// Answered with 200.
    pub fn is_good(&self) -> bool {
        matches!(&self.answer, Ok(answer) if answer.status == 200)
    }

    /// The status; 0 for none.
    pub fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status)
    }
}

/// The targets of requests of this method that were not answered with 200, sorted.
pub fn failed(outcomes: &[Outcome], method: &str) -> Vec<String> {
    let failed = outcomes.iter().filter(|outcome| outcome.method == method && !outcome.is_good());
    let mut targets: Vec<String> = failed.map(|outcome| outcome.target.clone()).collect();
    targets.sort();
    targets
}

/// Asserts that all were answered with 200.
#[track_caller]
pub fn expect_good(outcomes: &[Outcome], when: &str) {
    let failures: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.is_good()).collect();
    assert!(
        failures.is_empty(),
        "{when}: {} of {} failed, the first: {:?}",
        failures.len(),
        outcomes.len(),
        failures[0]
    );
}

/// Threads that send one request after another.
pub struct Load {
    /// What each client still sends.
    left: Arc<[AtomicUsize]>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Load {
    /// Starts the clients, each on a connection that it keeps.
    pub fn start(place: &Place, clients: Clients) -> Load {
        Load::begin(place, clients, usize::MAX)
    }

    fn begin(place: &Place, clients: Clients, each: usize) -> Load {
        let count = clients.gets + clients.posts;
        let left: Arc<[AtomicUsize]> = (0..count).map(|_| AtomicUsize::new(each)).collect();
        let answered = Arc::new(AtomicUsize::new(0));
        let threads = (0..count).map(|i| {
            let (place, left, answered) = (place.clone(), left.clone(), answered.clone());
            let method = if i < clients.gets { "GET" } else { "POST" };
            std::thread::spawn(move || run(&place, i, method, &left[i], &answered))
        });
        let threads = threads.collect();
        Load { left, answered, threads }
    }

    /// The clients send so many requests each, and no more.
    pub fn run(place: &Place, clients: Clients, each: usize) -> Vec<Outcome> {
        Load::begin(place, clients, each).outcomes()
    }

    /// Answers and failures so far.
    pub fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// Waits until so many more have come.
    #[track_caller]
    pub fn expect_more(&self, count: usize) {
        let goal = self.answered() + count;
        wait_until(&format!("{count} more answers"), || self.answered() >= goal);
    }

    /// Each client sends so many more, then ends; all outcomes from the beginning on.
    #[track_caller]
    pub fn finish(self, more: usize) -> Vec<Outcome> {
        self.left.iter().for_each(|left| left.store(more, SeqCst));
        self.outcomes()
    }

    #[track_caller]
    fn outcomes(self) -> Vec<Outcome> {
        wait_until_within(PATIENCE * 3, "the load ends", || self.threads.iter().all(JoinHandle::is_finished));
        self.threads.into_iter().flat_map(|thread| thread.join().expect("no client panicked")).collect()
    }
}

/// A connection from 127.0.N.1.
pub fn connect_from(n: u8, place: &Place) -> io::Result<Client> {
    let Place::Tcp(address) = place else { panic!("{place} is no TCP address") };
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, n, 1)), 0).into())?;
    socket.connect_timeout(&(*address).into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    Client::over(Stream::Tcp(socket.into()))
}

struct Browser {
    place: Place,
    number: u8,
    client: Option<Client>,
    cookie: Option<String>,
}

impl Browser {
    fn ask(&mut self, method: &'static str, target: &str) -> Result<Answer, String> {
        let client = match self.client.take() {
            Some(client) => client,
            None => connect_from(self.number, &self.place).map_err(|e| format!("connect: {e}"))?,
        };
        let client = self.client.insert(client);
        let cookie = self.cookie.as_ref().map_or(String::new(), |cookie| format!("Cookie: {cookie}\r\n"));
        let body = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{cookie}{body}");
        let answer = client.try_send(request.as_bytes()).map_err(|e| format!("send: {e}"));
        let answer = answer.and_then(|()| client.try_response_to(method).map_err(|e| format!("read: {e}")));
        if !answer.as_ref().is_ok_and(|answer| !answer.connection_has("close")) {
            self.client = None;
        }
        let answer = answer?;
        if let Some(cookie) = answer.field("set-cookie").and_then(|field| field.split(';').next()) {
            self.cookie = Some(cookie.to_owned());
        }
        let (status, text) = (answer.status(), answer.text());
        let reason = answer.reason().map(str::to_owned);
        let Some((from, _)) = text.split_once(' ').filter(|(_, rest)| *rest == target) else {
            // A page of ringgate's own, or bytes that are not this request's.
            return if reason.is_some() && status != 200 {
                Ok(Answer { status, reason, from: String::new() })
            } else {
                Err(format!("{status} with another body than that of {target}: {text}"))
            };
        };
        Ok(Answer { status, reason, from: from.to_owned() })
    }
}

fn run(place: &Place, index: usize, method: &'static str, left: &AtomicUsize, answered: &AtomicUsize) -> Vec<Outcome> {
    let number = u8::try_from(index + 1).expect("fewer clients");
    let mut browser = Browser { place: place.clone(), number, client: None, cookie: None };
    let (mut outcomes, mut failures) = (Vec::new(), 0);
    while left.load(SeqCst) > 0 && failures < FAILURES_MAX {
        let target = format!("/{method}/{index}/{}", outcomes.len());
        let answer = browser.ask(method, &target);
        let outcome = Outcome { method, target, answer };
        failures += usize::from(!outcome.is_good());
        outcomes.push(outcome);
        answered.fetch_add(1, SeqCst);
        let _ = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
    }
    outcomes
}
