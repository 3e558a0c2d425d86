//! A client that logs what became of each request, so that nothing can be lost unnoticed.

use super::support::{Client, Place};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// What became of one request.
#[allow(dead_code)] // some of it is only shown
#[derive(Debug, Clone)]
pub struct Logged {
    /// When the connection stood.
    pub connected: Instant,
    /// When its last byte was given to the kernel; `None`: that failed.
    pub sent: Option<Instant>,
    /// The answer's status.
    pub answer: Result<u16, String>,
    /// The answer said `Connection: close`.
    pub close: bool,
    /// Which request of its connection it was, from 0.
    pub nth: usize,
    /// When it was over.
    pub ended: Instant,
}

/// How a client behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Requests per connection at most.
    pub per_connection: usize,
    /// Milliseconds between connecting or an answer and the next request: up to this.
    pub think: u64,
    /// Milliseconds that the backend takes: up to this.
    pub work: u64,
}

/// xorshift: the tests need variety, not chance.
pub struct Variety(pub u64);

impl Variety {
    /// The next number below `end` (0 if that is 0).
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}

/// Sends requests until nobody listens any more, or for `at_most`. Returns the log.
pub fn run(place: &Place, manner: Manner, seed: u64, at_most: Duration) -> Vec<Logged> {
    let began = Instant::now();
    let mut variety = Variety(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut log = Vec::new();
    while began.elapsed() < at_most {
        // Refused, or not let in: it was never connected, so nothing was promised to it.
        let Ok(mut client) = Client::try_connect(place) else { break };
        let connected = Instant::now();
        for nth in 0..manner.per_connection {
            std::thread::sleep(Duration::from_millis(variety.below(manner.think)));
            if nth > 0 && saw_end(&client) {
                break;
            }
            let work = variety.below(manner.work);
            let logged = once(&mut client, connected, nth, work);
            let over = logged.close || logged.answer.is_err();
            log.push(logged);
            if over {
                break;
            }
        }
    }
    log
}

/// Whether FIN or a reset has arrived: then the client knows, and sends nothing more.
pub fn saw_end(client: &Client) -> bool {
    !matches!(client.writer().peek(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn once(client: &mut Client, connected: Instant, nth: usize, work: u64) -> Logged {
    let sent = client.try_send(format!("GET /{work} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
    let sent = sent.is_ok().then(Instant::now);
    let answer = client.try_response_to("GET");
    let close = answer.as_ref().is_ok_and(|answer| answer.connection_has("close"));
    let answer = answer.map(|answer| answer.status()).map_err(|error| error.to_string());
    Logged { connected, sent, answer, close, nth, ended: Instant::now() }
}

/// The requests whose bytes were all sent and that nobody answered well.
pub fn unanswered(log: &[Logged]) -> Vec<&Logged> {
    log.iter().filter(|logged| logged.sent.is_some() && logged.answer != Ok(200)).collect()
}

/// Those that could not even be sent, on a connection that had not been said to end.
pub fn unsent(log: &[Logged]) -> Vec<&Logged> {
    log.iter().filter(|logged| logged.sent.is_none()).collect()
}
