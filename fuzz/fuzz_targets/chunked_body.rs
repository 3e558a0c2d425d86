//! A chunked body means the same however it is cut, and what we encode from it decodes to it. The first two bytes choose the
//! sizes of the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringgate::limits::{CHUNK_HEADROOM, CHUNK_TAILROOM, TRAILERS_MAX};
use ringgate::proto::body::{Decoder, Encoder};
use ringgate::proto::framing::Framing;
use ringgate::proto::writer::Writer;

/// Data and raw bytes used, if the body is complete.
type Outcome = Result<Option<(Vec<u8>, usize)>, ()>;

fn decode(decoder: &mut Decoder, bytes: &[u8], sizes: &[usize]) -> Outcome {
    let (mut data, mut at) = (Vec::new(), 0);
    for size in sizes.iter().cycle() {
        if at == bytes.len() {
            return Ok(None);
        }
        let piece = &bytes[at..bytes.len().min(at + size)];
        let mut buf = piece.to_vec();
        let found = decoder.decode(&mut buf).map_err(drop)?;
        assert!(found.data <= found.consumed);
        assert!(found.done || found.consumed == buf.len());
        assert_eq!(buf[found.consumed..], piece[found.consumed..]);
        data.extend_from_slice(&buf[..found.data]);
        at += found.consumed;
        if found.done {
            return Ok(Some((data, at)));
        }
    }
    unreachable!("sizes are never empty")
}

fuzz_target!(|bytes: &[u8]| {
    let [a, b, bytes @ ..] = bytes else { return };
    let mut decoder = Decoder::new(Framing::Chunked);
    let whole = decode(&mut decoder, bytes, &[bytes.len().max(1)]);
    let cut = decode(&mut Decoder::new(Framing::Chunked), bytes, &[usize::from(*a) + 1, usize::from(*b) + 1]);
    assert_eq!(whole, cut);
    assert_eq!(whole, decode(&mut Decoder::new(Framing::Chunked), bytes, &[1]));

    let Ok(Some((data, _))) = whole else { return };
    let mut buf = vec![0; CHUNK_HEADROOM];
    buf.extend_from_slice(&data);
    buf.resize(buf.len() + CHUNK_TAILROOM, 0);
    let range = Encoder::Chunked.frame(&mut buf, CHUNK_HEADROOM..CHUNK_HEADROOM + data.len());
    let mut raw = buf[range].to_vec();
    let mut end = vec![0; TRAILERS_MAX * 2];
    let mut w = Writer::new(&mut end);
    Encoder::Chunked.write_end(&mut w, decoder.trailers());
    let len = w.finish().expect("trailers fit");
    raw.extend_from_slice(&end[..len]);
    let again = decode(&mut Decoder::new(Framing::Chunked), &raw, &[raw.len()]);
    assert_eq!(again, Ok(Some((data, raw.len()))));
});
