//! The inside of a backend process: an HTTP/1.1 server (or an echo) with a thread per connection, whose behaviour the test
//! switches by lines on standard input. It ends with its standard input, and with the thread that started it.
//!
//! What it does is appended to a file, a line and one write(2) for each step *before* the peer can see it, so that the record is
//! whole even if the process is killed:
//! `got METHOD TARGET`, then one of `answered STATUS TARGET`, `cut TARGET` (in mid-body), `dropped TARGET` (without an answer).

use super::support::message::{Head, Reader};
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The environment of the process: its name, where it listens, its record, and `http` or `echo`.
pub const ENVIRONMENT: [&str; 4] = ["FAILURES_NAME", "FAILURES_PLACE", "FAILURES_RECORD", "FAILURES_KIND"];

/// How long an acceptor waits before it looks whether its door is to change.
const LOOK: Duration = Duration::from_millis(10);

/// What becomes of those who connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// They are served.
    Open,
    /// Nothing listens: they are refused.
    Refuse,
    /// They are accepted and reset at once.
    Slam,
    /// Their SYNs are dropped, and on connections that exist nothing is read or answered any more.
    Hole,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Status(u16),
    /// Half of an answer, then a reset.
    Cut,
    /// The connection is closed instead of an answer.
    Close,
    /// The same with a reset.
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Behaviour {
    mode: Mode,
    door: Door,
    /// Before an answer.
    delay: Duration,
    /// A connection that idles so long is closed.
    idle: Option<Duration>,
    /// So long after `idle` has passed: what comes meanwhile stays unread, as with an event loop that is busy.
    lag: Duration,
    /// Seconds in `Keep-Alive: timeout=`.
    hint: Option<u32>,
    /// The status of /health, and the delay before it.
    health: (u16, Duration),
}

struct Shared {
    name: String,
    place: SocketAddr,
    echo: bool,
    behaviour: Mutex<Behaviour>,
    /// What the acceptor has made true.
    door: Mutex<Option<Door>>,
    record: File,
    connections: AtomicUsize,
    open: AtomicUsize,
    under_way: AtomicUsize,
    peak: AtomicUsize,
    /// Requests for /health.
    checks: AtomicUsize,
    /// So many of the next ones are answered with 503.
    sick: AtomicUsize,
}

impl Shared {
    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().expect("nobody panicked")
    }

    fn in_hole(&self) -> bool {
        self.behaviour().door == Door::Hole
    }

    fn note(&self, line: String) {
        (&self.record).write_all(line.as_bytes()).expect("the record can be written");
    }

    /// One command; the answer to it.
    fn obey(&self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ms = |text: &str| text.parse().map(Duration::from_millis).ok();
        let mut now = self.behaviour.lock().expect("nobody panicked");
        match words[..] {
            ["ok"] => (now.mode, now.door, now.delay) = (Mode::Status(200), Door::Open, Duration::ZERO),
            ["status", code] => now.mode = Mode::Status(code.parse().ok()?),
            ["cut"] => now.mode = Mode::Cut,
            ["close"] => now.mode = Mode::Close,
            ["reset"] => now.mode = Mode::Reset,
            ["refuse"] => now.door = Door::Refuse,
            ["slam"] => now.door = Door::Slam,
            ["hole"] => now.door = Door::Hole,
            ["delay", time] => now.delay = ms(time)?,
            ["idle", time] => now.idle = Some(ms(time)?),
            ["lag", time] => now.lag = ms(time)?,
            ["hint", seconds] => now.hint = Some(seconds.parse().ok()?),
            ["health", code, time] => now.health = (code.parse().ok()?, ms(time)?),
            ["sick", checks] => self.sick.store(checks.parse().ok()?, SeqCst),
            ["forget_peak"] => self.peak.store(self.under_way.load(SeqCst), SeqCst),
            ["report"] => {
                let counts = [&self.connections, &self.open, &self.under_way, &self.peak, &self.checks];
                return Some(counts.map(|count| count.load(SeqCst).to_string()).join(" "));
            }
            _ => return None,
        }
        let door = now.door;
        drop(now);
        while *self.door.lock().expect("nobody panicked") != Some(door) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Some("done".to_owned())
    }
}

/// The life of the process. Does not return before standard input ends.
pub fn live() {
    let [name, place, record, kind] = ENVIRONMENT.map(|name| std::env::var(name).expect("set by the test"));
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).expect("it can be set");
    let shared = Arc::new(Shared {
        name,
        place: place.parse().expect("an address"),
        echo: kind == "echo",
        behaviour: Mutex::new(Behaviour {
            mode: Mode::Status(200),
            door: Door::Open,
            delay: Duration::ZERO,
            idle: None,
            lag: Duration::ZERO,
            hint: None,
            health: (200, Duration::ZERO),
        }),
        door: Mutex::new(None),
        record: File::options().append(true).create(true).open(record).expect("the record can be opened"),
        connections: AtomicUsize::new(0),
        open: AtomicUsize::new(0),
        under_way: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
        checks: AtomicUsize::new(0),
        sick: AtomicUsize::new(0),
    });
    let listener = TcpListener::bind(shared.place);
    // Past the test harness, which writes to the same stream: a line of our own begins with @.
    let say = |text: &str| {
        let mut out = io::stdout();
        let _ = out.write_all(format!("\n@{text}\n").as_bytes()).and_then(|()| out.flush());
    };
    match listener {
        Err(e) => return say(&format!("cannot listen: {e}")),
        Ok(listener) => drop(std::thread::spawn({
            let shared = shared.clone();
            move || accept(listener, &shared)
        })),
    }
    say("ready");
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        say(&shared.obey(&line).unwrap_or_else(|| format!("not understood: {line}")));
    }
    std::process::exit(0);
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let mut listener = Some(listener);
    let mut fillers = Vec::new();
    loop {
        let door = shared.behaviour().door;
        let before = *shared.door.lock().expect("nobody panicked");
        if before != Some(door) {
            fillers.clear();
            match door {
                Door::Refuse => listener = None,
                Door::Hole => fillers = dig(open(&mut listener, shared.place), shared.place),
                Door::Open | Door::Slam => {
                    let socket = socket2::SockRef::from(open(&mut listener, shared.place));
                    socket.listen(1024).expect("a listener's backlog can be changed");
                    socket.set_read_timeout(Some(LOOK)).expect("accept(2) can be limited");
                }
            }
            *shared.door.lock().expect("nobody panicked") = Some(door);
        }
        let (Door::Open | Door::Slam, Some(listener)) = (door, &listener) else {
            std::thread::sleep(LOOK);
            continue;
        };
        let Ok((stream, _)) = listener.accept() else { continue };
        shared.connections.fetch_add(1, SeqCst);
        if door == Door::Slam {
            reset(&stream);
            continue;
        }
        let shared = shared.clone();
        std::thread::spawn(move || {
            shared.open.fetch_add(1, SeqCst);
            let _ = if shared.echo { echo_from_the_start(stream, &shared) } else { serve(stream, &shared) };
            shared.open.fetch_sub(1, SeqCst);
        });
    }
}

fn open(listener: &mut Option<TcpListener>, place: SocketAddr) -> &TcpListener {
    listener.get_or_insert_with(|| TcpListener::bind(place).expect("our own port is free"))
}

/// Makes the listener's queue as short as can be and fills it: from then on the kernel drops each SYN.
fn dig(listener: &TcpListener, place: SocketAddr) -> Vec<TcpStream> {
    socket2::SockRef::from(listener).listen(0).expect("a listener's backlog can be changed");
    std::iter::from_fn(|| TcpStream::connect_timeout(&place, Duration::from_millis(40)).ok()).collect()
}

/// Makes the coming close a reset.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn wait_in_hole(shared: &Shared) {
    while shared.in_hole() {
        std::thread::sleep(LOOK);
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = Reader::new(stream);
    loop {
        out.set_read_timeout(shared.behaviour().idle)?;
        let head = match reader.head() {
            Ok(Some(head)) => head,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                std::thread::sleep(shared.behaviour().lag);
                return Ok(());
            }
            other => return other.map(|_| ()),
        };
        if shared.in_hole() {
            wait_in_hole(shared);
            return Ok(());
        }
        if head.field("upgrade").is_some() {
            out.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
            return echo(&mut reader, &mut out, shared);
        }
        let framing = head.request_framing()?;
        out.set_read_timeout(None)?;
        reader.body(framing, &mut |_| {})?;
        if head.target() == "/health" {
            let (mut status, delay) = shared.behaviour().health;
            shared.checks.fetch_add(1, SeqCst);
            if shared.sick.fetch_update(SeqCst, SeqCst, |sick| sick.checked_sub(1)).is_ok() {
                status = 503;
            }
            std::thread::sleep(delay);
            out.write_all(format!("HTTP/1.1 {status} Health\r\nContent-Length: 5\r\n\r\nwell\n").as_bytes())?;
        } else if !answer(&head, &mut out, shared)? {
            return Ok(());
        }
    }
}

/// False: the connection is to end.
fn answer(head: &Head, out: &mut TcpStream, shared: &Shared) -> io::Result<bool> {
    let Behaviour { mode, delay, hint, .. } = shared.behaviour();
    let target = head.target();
    let under_way = shared.under_way.fetch_add(1, SeqCst) + 1;
    shared.peak.fetch_max(under_way, SeqCst);
    shared.note(format!("got {} {target}\n", head.method()));
    if !delay.is_zero() {
        std::thread::sleep(delay);
    }
    // Before the answer: the peer may send the next request as soon as it has this one's.
    shared.under_way.fetch_sub(1, SeqCst);
    if shared.in_hole() {
        wait_in_hole(shared);
        return Ok(false);
    }
    let body = format!("{} {target}", shared.name);
    let hint =
        hint.map_or(String::new(), |seconds| format!("Connection: keep-alive\r\nKeep-Alive: timeout={seconds}\r\n"));
    match mode {
        Mode::Status(status) => {
            shared.note(format!("answered {status} {target}\n"));
            let length = body.len();
            out.write_all(
                format!("HTTP/1.1 {status} Answer\r\n{hint}Content-Length: {length}\r\n\r\n{body}").as_bytes(),
            )?;
            return Ok(true);
        }
        Mode::Cut => {
            shared.note(format!("cut {target}\n"));
            out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", 2 * body.len()).as_bytes())?;
            // A reset that overtakes what was sent would be another fault.
            std::thread::sleep(Duration::from_millis(20));
            reset(out);
        }
        Mode::Close => shared.note(format!("dropped {target}\n")),
        Mode::Reset => {
            shared.note(format!("dropped {target}\n"));
            reset(out);
        }
    }
    Ok(false)
}

fn echo_from_the_start(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    out.write_all(format!("{}\n", shared.name).as_bytes())?;
    echo(&mut Reader::new(stream), &mut out, shared)
}

/// Whatever comes goes back, to the end.
fn echo(reader: &mut Reader<TcpStream>, out: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    out.set_read_timeout(None)?;
    loop {
        let bytes = reader.some()?;
        wait_in_hole(shared);
        if bytes.is_empty() {
            return out.shutdown(Shutdown::Write);
        }
        out.write_all(&bytes)?;
    }
}
