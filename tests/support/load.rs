//! Load by clients of our own: every answer and every failure is kept, so that nothing can go unnoticed.

use super::client::Client;
use super::message::Message;
use super::net::Place;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

/// Threads that send one request after another until told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<Result<Message, String>>>>,
}

impl Load {
    /// `clients` threads send `request` (whole bytes, with a method that `method` names) over kept connections.
    pub fn start(place: &Place, clients: usize, method: &'static str, request: &str) -> Load {
        let place = place.clone();
        Load::connected_by(move || Client::try_connect(&place), clients, method, request)
    }

    /// The same with connections that `connect` makes.
    pub fn connected_by(
        connect: impl Fn() -> io::Result<Client> + Send + Sync + 'static,
        clients: usize,
        method: &'static str,
        request: &str,
    ) -> Load {
        let connect: Arc<Connect> = Arc::new(connect);
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let threads = (0..clients).map(|_| {
            let (connect, request) = (connect.clone(), request.to_owned());
            let (stop, answered) = (stop.clone(), answered.clone());
            std::thread::spawn(move || run(&*connect, method, request.as_bytes(), &stop, &answered))
        });
        let threads = threads.collect();
        Load { stop, answered, threads }
    }

    /// Answers so far, good or bad.
    pub fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// Waits until so many more answers have come.
    #[track_caller]
    pub fn expect_more(&self, count: usize) {
        let goal = self.answered() + count;
        super::wait_until(&format!("{count} more answers"), || self.answered() >= goal);
    }

    /// Ends it (each client finishes its exchange); all answers and failures.
    pub fn stop(self) -> Vec<Result<Message, String>> {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().expect("no client panicked")).collect()
    }
}

type Connect = dyn Fn() -> io::Result<Client> + Send + Sync;

fn run(
    connect: &Connect,
    method: &str,
    request: &[u8],
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Vec<Result<Message, String>> {
    let mut outcomes = Vec::new();
    let mut client = None;
    while !stop.load(SeqCst) {
        let outcome = once(&mut client, connect, method, request);
        if !matches!(&outcome, Ok(answer) if !answer.connection_has("close")) {
            client = None;
        }
        let failed = outcome.is_err();
        outcomes.push(outcome);
        answered.fetch_add(1, SeqCst);
        if failed && outcomes.iter().filter(|o| o.is_err()).count() > 1000 {
            break; // It is broken for good; the test will say so.
        }
    }
    outcomes
}

fn once(client: &mut Option<Client>, connect: &Connect, method: &str, request: &[u8]) -> Result<Message, String> {
    let client = match client {
        Some(client) => client,
        None => client.insert(connect().map_err(|e| format!("connect: {e}"))?),
    };
    client.try_send(request).map_err(|e| format!("send: {e}"))?;
    client.try_response_to(method).map_err(|e| format!("read: {e}"))
}

/// How often each body came, and all that was no 200.
pub fn tally(outcomes: &[Result<Message, String>]) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut bodies = BTreeMap::new();
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(answer) if answer.status() == 200 => *bodies.entry(answer.text()).or_default() += 1,
            Ok(answer) => failures.push(format!("{} {:?}", answer.start, answer.reason())),
            Err(e) => failures.push(e.clone()),
        }
    }
    (bodies, failures)
}
