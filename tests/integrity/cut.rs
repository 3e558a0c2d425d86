//! A connection that ends anywhere within a message never makes a whole message of another content.

use super::peers::{Body, Frames};
use super::support::{Backend, Client, Message, backend as answers, wait_until};
use super::{expect_idle, start};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the tests send is one of these lengths: within the first buffer, across several, far beyond.
const LENGTHS: [u64; 3] = [500, 70_000, 600_000];
const CUTS: u64 = 60;

/// Somewhere within `length`, near either end more often.
fn cut_point(number: u64, length: usize) -> usize {
    let anywhere = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize;
    match number % 4 {
        0 => anywhere % length.min(200),
        1 => length - 1 - anywhere % length.min(20),
        _ => anywhere % length,
    }
}

/// Which body message `number` has.
fn body(number: u64) -> Body {
    let frames = if number.is_multiple_of(2) { Frames::Length } else { Frames::Chunked };
    Body::new(number, LENGTHS[(number / 2 % 3) as usize], frames)
}

#[test]
fn cut_uploads_never_arrive_as_whole() {
    let whole: Arc<Mutex<Vec<Message>>> = Arc::default();
    let backend = Backend::answer({
        let whole = whole.clone();
        move |request| {
            whole.lock().expect("nobody panicked").push(request.clone());
            answers::ok("got it")
        }
    });
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    for number in 0..CUTS {
        let body = body(number);
        let mut message = format!("POST /{number} HTTP/1.1\r\nHost: test\r\n{}\r\n", body.field()).into_bytes();
        body.write(&mut message).expect("a vector takes all");
        let mut client = ringgate.client();
        client.send(&message[..cut_point(number, message.len())]);
        match number % 3 {
            0 => client.reset(),
            1 => drop(client),
            _ => {
                client.finish();
                client.read_to_end();
            }
        }
    }
    expect_idle(&ringgate, &backend, &before);
    backend.expect_all_ended();
    let whole = whole.lock().expect("nobody panicked");
    let targets: Vec<_> = whole.iter().map(|message| message.target().to_owned()).collect();
    assert!(targets.is_empty(), "cut by the client, whole at the backend: {targets:?}");
}

/// The backend's end cuts the answer: the client must be able to tell.
#[test]
fn cut_downloads_never_arrive_as_whole() {
    let backend = Backend::script(|conn| {
        let Some(head) = conn.head() else { return };
        let number: u64 = head.target().trim_start_matches('/').parse().expect("the client names a number");
        let frames = [Frames::Length, Frames::Chunked, Frames::Close][number as usize % 3];
        let body = Body { frames, ..body(number) };
        let mut message = format!("HTTP/1.1 200 OK\r\n{}\r\n", body.field()).into_bytes();
        body.write(&mut message).expect("a vector takes all");
        conn.send(&message[..cut_point(number, message.len())]);
        // Without framing only a reset tells the end from a cut.
        if frames == Frames::Close || number.is_multiple_of(2) {
            // A reset destroys what was not read yet: give it time, so that cuts anywhere are seen.
            std::thread::sleep(Duration::from_millis(number % 5));
            conn.reset();
        }
    });
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    let mut seen_cut = 0;
    for number in 0..CUTS * 2 {
        let mut client = ringgate.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: test\r\n\r\n"));
        match client.try_response_to("GET") {
            Err(_) => seen_cut += 1,
            Ok(answer) => {
                assert_eq!((answer.status(), answer.reason().is_some()), (502, true), "number {number}: {answer:?}")
            }
        }
    }
    assert!(seen_cut > CUTS / 2, "only {seen_cut} were cut within the body");
    expect_idle(&ringgate, &backend, &before);
}

/// Both sides cut at random while many others go on; the others are not touched.
#[test]
fn cuts_of_some_do_not_touch_others() {
    let backend = super::peers::backend();
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    let place = ringgate.place().clone();
    let cutters: Vec<_> = (0..4_u64)
        .map(|thread| {
            let place = place.clone();
            std::thread::spawn(move || {
                for round in 0..40_u64 {
                    let mut client = Client::connect(&place);
                    let body = Body::new(round, 300_000, Frames::Length);
                    client.send(format!("GET {} HTTP/1.1\r\nHost: test\r\n\r\n", body.target()));
                    let mut left = cut_point(thread * 100 + round, 300_000);
                    while let Ok(bytes @ [_, ..]) = client.reader.some().as_deref()
                        && bytes.len() < left
                    {
                        left -= bytes.len();
                    }
                    if round % 2 == 0 {
                        client.reset();
                    }
                }
            })
        })
        .collect();
    let mut steady = ringgate.client();
    let mut rounds = 0;
    wait_until("the cutters are done", || {
        rounds += 1;
        let body = Body::new(rounds, 200_000, Frames::Chunked);
        super::peers::download(&mut steady, body, super::peers::Pace::Fast);
        super::peers::upload(&mut steady, body, super::peers::Pace::Fast);
        cutters.iter().all(std::thread::JoinHandle::is_finished)
    });
    cutters.into_iter().for_each(|cutter| cutter.join().expect("a cutter only cuts"));
    drop(steady);
    expect_idle(&ringgate, &backend, &before);
}
