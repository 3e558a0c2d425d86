//! Many bodies at the same time: none gets another's bytes.

use super::peers::{Body, Frames, Pace, backend, download, echoed, upload};
use super::support::Client;
use super::{expect_idle, start};

#[test]
fn bodies_of_many_clients_do_not_mix() {
    let backend = backend();
    let ringgate = start(&backend, 2);
    let before = ringgate.status();
    let clients: Vec<_> = (0..24_u64)
        .map(|number| {
            let place = ringgate.place().clone();
            let mut client = Client::connect(&place);
            std::thread::spawn(move || {
                for round in 0..12 {
                    let seed = number * 1000 + round;
                    let length = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> [44, 48, 52, 60][round as usize % 4];
                    let frames = if (number + round) % 2 == 0 { Frames::Length } else { Frames::Chunked };
                    let body = Body::new(seed, length, frames);
                    let kept = match (number + round / 2) % 3 {
                        0 => upload(&mut client, body, Pace::Fast),
                        1 => download(&mut client, body, Pace::Fast),
                        _ => echoed(&mut client, body, Pace::Fast),
                    };
                    if !kept {
                        client = Client::connect(&place);
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("each body arrives"));
    expect_idle(&ringgate, &backend, &before);
}
