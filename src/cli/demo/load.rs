//! A gentle load, so that the table moves: a few visitors who come again and again.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Requests per second of all visitors together.
pub const RATE: u32 = 20;
/// Visitors: enough that none still waits for a slow answer when its next turn comes.
const VISITORS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(10);

/// The running load; dropping it ends it.
#[derive(Debug)]
pub struct Load {
    _ends: Vec<Sender<()>>,
}

/// Begins to ask `balancer`, each time on a new connection, so that every worker sees some.
pub fn start(balancer: SocketAddr) -> Load {
    let (pause, offset) = (Duration::from_secs(1) * VISITORS / RATE, Duration::from_secs(1) / RATE);
    let began = Instant::now();
    let target = Arc::new(reachable(balancer));
    let visitor = |number: u32| {
        let (end, ended) = channel();
        let target = target.clone();
        let first = began + offset * number;
        // Without a thread there is one visitor less, and nothing else to say about it.
        let _ = thread::Builder::new().name("demo load".to_owned()).spawn(move || visit(&target, first, pause, &ended));
        end
    };
    Load { _ends: (0..VISITORS).map(visitor).collect() }
}

/// Who listens on all addresses is reached on this machine.
fn reachable(balancer: SocketAddr) -> SocketAddr {
    let ip = match balancer.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, balancer.port())
}

fn visit(target: &SocketAddr, first: Instant, pause: Duration, ended: &Receiver<()>) {
    let mut next = first;
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        if !matches!(ended.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
            return;
        }
        // What goes wrong shows in the table's failures.
        let _ = ask(target);
        next = (next + pause).max(Instant::now());
    }
}

fn ask(target: &SocketAddr) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request =
        format!("GET /demo HTTP/1.1\r\nHost: {target}\r\nUser-Agent: ringgate-demo\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn it_asks_at_its_rate_and_ends_when_dropped() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let load = start(listener.local_addr().unwrap());
        let began = Instant::now();
        for _ in 0..10 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let len = stream.read(&mut head).unwrap();
            assert!(head[..len].starts_with(b"GET /demo HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
        let took = began.elapsed();
        assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
        drop(load);
        thread::sleep(Duration::from_millis(200));
        listener.set_nonblocking(true).unwrap();
        while listener.accept().is_ok() {}
        thread::sleep(Duration::from_millis(600));
        assert!(listener.accept().is_err(), "nobody comes any more");
    }

    #[test]
    fn all_addresses_are_reached_on_this_one() {
        let table = [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("127.0.0.2:80", "127.0.0.2:80")];
        for (listen, target) in table {
            assert_eq!(reachable(listen.parse().unwrap()), target.parse().unwrap());
        }
    }
}
