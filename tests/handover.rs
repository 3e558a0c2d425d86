//! New connections go to the less loaded worker, though the kernel's hash gave them all to one.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use support::{Place, Ringgate, Setup, wait_until};

const WORKERS: usize = 2;
const CONNECTIONS: usize = 17;

/// A backend that sends back what it gets, on as many connections as come.
fn echo() -> Place {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let place = Place::Tcp(listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut reading = stream.try_clone().expect("a second handle");
                let _ = std::io::copy(&mut reading, &mut &stream);
            });
        }
    });
    place
}

fn start(backend: &Place, listen: &str, handover: &str) -> Ringgate {
    let tcp = format!("[[tcp]]\nlisten = \"{listen}\"\nproxy_pass = \"echo\"\n");
    let setup = Setup::new().workers(WORKERS).top(&format!("handover = \"{handover}\""));
    setup.upstream("echo", &[backend], &tcp).start()
}

/// A connection from this port, which decides the worker: the kernel hashes addresses and ports. Nothing waits when it closes.
fn connect_from(port: u16, ringgate: &Ringgate) -> Option<TcpStream> {
    let Place::Tcp(to) = ringgate.place() else { panic!("a tcp listener") };
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_linger(Some(Duration::ZERO)).expect("a socket option");
    let from = SocketAddr::new(to.ip(), port);
    socket.bind(&from.into()).ok()?; // somebody else's
    socket.connect(&(*to).into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a socket option");
    Some(stream)
}

fn greet(stream: &mut TcpStream) {
    stream.write_all(b"hello").expect("it takes bytes");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("they come back");
    assert_eq!(&answer, b"hello");
}

fn held(ringgate: &Ringgate) -> Vec<u64> {
    let status = ringgate.status();
    let workers = status.0["workers"].as_array().expect("workers");
    workers.iter().map(|worker| worker["connections"].as_u64().expect("a number")).collect()
}

/// Seventeen ports whose connections the kernel gives to the first worker, found by trying.
fn ports_of_one_worker(ringgate: &Ringgate) -> Vec<u16> {
    let mut found = Vec::new();
    for port in 20_000..21_000 {
        let Some(mut stream) = connect_from(port, ringgate) else { continue };
        greet(&mut stream);
        if held(ringgate)[0] == 1 {
            found.push(port);
        }
        drop(stream);
        wait_until("the connection is gone", || held(ringgate).iter().sum::<u64>() == 0);
        if found.len() == CONNECTIONS {
            return found;
        }
    }
    panic!("only {} of 1000 connections went to the first worker", found.len());
}

#[test]
fn no_worker_holds_more_than_its_share_of_long_connections() {
    let backend = echo();
    // An address that no other test uses, so that the port is still free for the second start.
    let off = start(&backend, "127.91.17.1:0", "off");
    let ports = ports_of_one_worker(&off);
    let mut streams: Vec<_> = ports.iter().map(|&port| connect_from(port, &off).expect("free before")).collect();
    streams.iter_mut().for_each(greet);
    assert_eq!(held(&off), [CONNECTIONS as u64, 0], "switched off, all stay where the kernel put them");
    assert_eq!(off.status().total("handed_over"), 0);
    let listen = off.place().to_string();
    drop((streams, off));

    let on = start(&backend, &listen, "on");
    let before = on.status();
    let mut streams: Vec<_> = ports.iter().map(|&port| connect_from(port, &on).expect("free before")).collect();
    streams.iter_mut().for_each(greet);
    let held = held(&on);
    assert_eq!(held.iter().sum::<u64>(), CONNECTIONS as u64);
    assert!(held.iter().all(|&count| count <= 11), "{held:?}");
    assert_eq!(on.status().total("handed_over"), held[1], "each was moved once");
    drop(streams);
    on.expect_clean(&before);
}
