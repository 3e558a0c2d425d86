//! A name server that says what a test wants, by UDP and TCP, on a loopback address of its own. It knows the DNS only as bytes.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long it sleeps at most before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(5);

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const AAAA: u16 = 28;

/// What it says to a question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Those records that are of the type asked for, and all aliases; `NOERROR`.
    Records(Vec<Record>),
    /// No record, and this response code.
    Code(u8),
    Silence,
    /// By UDP cut off, by TCP as it is.
    CutOff(Box<Reply>),
    /// Another reply to questions of this type.
    For(u16, Box<Reply>, Box<Reply>),
    /// The identifier of the question, and these bytes.
    Raw(Vec<u8>),
    /// The reply as if another name had been asked for.
    AsIfAsked(&'static str, Box<Reply>),
}

pub const NXDOMAIN: Reply = Reply::Code(3);
pub const SERVFAIL: Reply = Reply::Code(2);
pub const REFUSED: Reply = Reply::Code(5);
pub const EMPTY: Reply = Reply::Code(0);

/// One record of an answer.
#[derive(Debug, Clone)]
pub struct Record {
    /// `None`: the name asked for.
    pub owner: Option<String>,
    pub ttl: u32,
    pub data: Data,
}

#[derive(Debug, Clone)]
pub enum Data {
    Address(IpAddr),
    Alias(String),
}

/// Addresses of the name asked for.
pub fn addresses(ttl: u32, addresses: &[&str]) -> Reply {
    let record = |text: &&str| Record { owner: None, ttl, data: Data::Address(text.parse().expect("an address")) };
    Reply::Records(addresses.iter().map(record).collect())
}

/// An address of another name.
pub fn address_of(owner: &str, ttl: u32, address: &str) -> Record {
    Record { owner: Some(owner.to_string()), ttl, data: Data::Address(address.parse().expect("an address")) }
}

/// `owner` (`""`: the name asked for) is an alias of `target`.
pub fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    let owner = (!owner.is_empty()).then(|| owner.to_string());
    Record { owner, ttl, data: Data::Alias(target.to_string()) }
}

/// A question that came: the name without its last dot, the type, and whether by TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub kind: u16,
    pub tcp: bool,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<HashMap<String, Reply>>,
    asked: Mutex<Vec<Question>>,
    ended: AtomicBool,
}

/// Ends when dropped; its address is then refused by the kernel, and free for another.
pub struct NameServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Knows no name.
    pub fn start() -> NameServer {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Nobody else of this machine is at this address, so the port is still free when a server ends and comes back.
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let (host, process) = (Ipv4Addr::new(127, 64, 0, 0).to_bits(), std::process::id() & 0x3fff);
        let ip = Ipv4Addr::from_bits(host | (process << 8) | (1 + n % 250));
        loop {
            let udp = UdpSocket::bind((ip, 0)).expect("a free port");
            let address = udp.local_addr().expect("bound");
            if let Ok(tcp) = TcpListener::bind(address) {
                return NameServer::run(address, udp, tcp);
            }
        }
    }

    /// Where another one was before.
    pub fn start_at(address: SocketAddr) -> NameServer {
        let udp = UdpSocket::bind(address).expect("it is free again");
        NameServer::run(address, udp, TcpListener::bind(address).expect("it is free again"))
    }

    fn run(address: SocketAddr, udp: UdpSocket, tcp: TcpListener) -> NameServer {
        let shared = Arc::new(Shared::default());
        udp.set_read_timeout(Some(LOOK)).expect("a socket option");
        tcp.set_nonblocking(true).expect("a socket option");
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || of_thread.serve(&udp, &tcp));
        NameServer { address, shared, thread: Some(thread) }
    }

    /// From now on.
    pub fn says(&self, name: &str, reply: Reply) {
        self.shared.replies.lock().expect("no panic").insert(name.to_string(), reply);
    }

    /// All questions until now.
    pub fn asked(&self) -> Vec<Question> {
        self.shared.asked.lock().expect("no panic").clone()
    }

    /// How many there were for this name.
    pub fn asked_for(&self, name: &str) -> usize {
        self.asked().iter().filter(|question| question.name == name).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, udp: &UdpSocket, tcp: &TcpListener) {
        let mut buffer = [0; 4096];
        let mut connections = Vec::new();
        while !self.ended.load(Ordering::Relaxed) {
            if let Ok((len, peer)) = udp.recv_from(&mut buffer)
                && let Some(reply) = self.reply(&buffer[..len], false)
            {
                let _ = udp.send_to(&reply, peer);
            }
            while let Ok((stream, _)) = tcp.accept() {
                let shared = self.clone();
                connections.push(std::thread::spawn(move || shared.serve_stream(stream)));
            }
        }
        connections.into_iter().for_each(|connection| drop(connection.join()));
    }

    fn serve_stream(&self, mut stream: TcpStream) {
        stream.set_nonblocking(false).expect("a socket option");
        stream.set_read_timeout(Some(LOOK)).expect("a socket option");
        let mut length = [0; 2];
        while self.read(&mut stream, &mut length) {
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            if !self.read(&mut stream, &mut question) {
                return;
            }
            if let Some(reply) = self.reply(&question, true) {
                let length = u16::try_from(reply.len()).expect("a short reply").to_be_bytes();
                let _ = stream.write_all(&[&length[..], &reply].concat());
            }
        }
    }

    /// Fills the buffer; false at the end of the stream, or of the server.
    fn read(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> bool {
        let mut filled = 0;
        while filled < buffer.len() {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) => return false,
                Ok(n) => filled += n,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return false,
            }
            if self.ended.load(Ordering::Relaxed) {
                return false;
            }
        }
        true
    }

    /// The bytes to send, if any. Names that nobody mentioned do not exist.
    fn reply(&self, question: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let (name, end) = name_at(question, 12)?;
        let kind = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
        let reply = self.replies.lock().expect("no panic").get(&name).cloned().unwrap_or(NXDOMAIN);
        self.asked.lock().expect("no panic").push(Question { name: name.clone(), kind, tcp });
        render(&reply, [question[0], question[1]], &name, kind, tcp)
    }
}

fn render(reply: &Reply, id: [u8; 2], name: &str, kind: u16, tcp: bool) -> Option<Vec<u8>> {
    let message = |code: u8, cut: bool, records: &[Record]| {
        let mut out = id.to_vec();
        out.extend([0x81 | u8::from(cut) << 1, 0x80 | code, 0, 1]);
        out.extend(u16::try_from(records.len()).expect("few records").to_be_bytes());
        out.extend([0; 4]);
        put_name(&mut out, name);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        records.iter().for_each(|record| put_record(&mut out, name, record));
        out
    };
    Some(match reply {
        Reply::Silence => return None,
        Reply::Code(code) => message(*code, false, &[]),
        Reply::CutOff(_) if !tcp => message(0, true, &[]),
        Reply::CutOff(reply) => return render(reply, id, name, kind, tcp),
        Reply::For(of, reply, _) if *of == kind => return render(reply, id, name, kind, tcp),
        Reply::For(_, _, reply) => return render(reply, id, name, kind, tcp),
        Reply::Raw(bytes) => [&id[..], bytes].concat(),
        Reply::AsIfAsked(other, reply) => return render(reply, id, other, kind, tcp),
        Reply::Records(records) => {
            let fits = |record: &&Record| matches!(type_of(record), CNAME) || type_of(record) == kind;
            let records: Vec<Record> = records.iter().filter(fits).cloned().collect();
            let whole = message(0, false, &records);
            // What a question without an OPT record may be answered by is 512 bytes; ours has one, but 1232 are the custom.
            if !tcp && whole.len() > 1232 { message(0, true, &[]) } else { whole }
        }
    })
}

fn type_of(record: &Record) -> u16 {
    match record.data {
        Data::Alias(_) => CNAME,
        Data::Address(IpAddr::V4(_)) => A,
        Data::Address(IpAddr::V6(_)) => AAAA,
    }
}

fn put_record(out: &mut Vec<u8>, name: &str, record: &Record) {
    put_name(out, record.owner.as_deref().unwrap_or(name));
    out.extend(type_of(record).to_be_bytes());
    out.extend([0, 1]);
    out.extend(record.ttl.to_be_bytes());
    let mut data = Vec::new();
    match &record.data {
        Data::Address(IpAddr::V4(address)) => data.extend(address.octets()),
        Data::Address(IpAddr::V6(address)) => data.extend(address.octets()),
        Data::Alias(target) => put_name(&mut data, target),
    }
    out.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
    out.extend(data);
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).expect("a short label"));
        out.extend(label.as_bytes());
    }
    out.push(0);
}

/// A name without compression, in lower case, and where it ends.
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + len)?).to_lowercase());
        at += len;
    }
}
