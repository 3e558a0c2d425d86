use super::super::testing::{Random, written};
use super::*;
use crate::limits::{CHUNK_LINE_MAX, CHUNK_OVERHEAD_ALLOWANCE, CHUNK_OVERHEAD_FACTOR, FIELDS_MAX, TRAILERS_MAX};

/// Data, raw bytes used, trailers; `None` if the body did not end.
type Outcome = Result<Option<(Vec<u8>, usize, Vec<u8>)>, Reason>;

/// Feeds the pieces one after the other, until the body ends.
fn decode(framing: Framing, pieces: &[&[u8]]) -> Outcome {
    let mut decoder = Decoder::new(framing);
    let (mut data, mut used) = (Vec::new(), 0);
    for piece in pieces {
        let mut buf = piece.to_vec();
        let found = decoder.decode(&mut buf)?;
        assert!(found.data <= found.consumed && found.consumed <= buf.len());
        assert!(found.done || found.consumed == buf.len(), "input may be left over only behind the body");
        assert_eq!(buf[found.consumed..], piece[found.consumed..], "bytes of the next message changed");
        assert_eq!(found.done, decoder.is_done());
        data.extend_from_slice(&buf[..found.data]);
        used += found.consumed;
        if found.done {
            assert_eq!(decoder.decode(&mut buf), Ok(Decoded { data: 0, consumed: 0, done: true }));
            return Ok(Some((data, used, decoder.trailers().to_vec())));
        }
    }
    Ok(None)
}

/// Decodes in every way of cutting the input in two, byte by byte, and at once: all must agree.
fn decode_every_way(framing: Framing, bytes: &[u8]) -> Outcome {
    let whole = decode(framing, &[bytes]);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode(framing, &single), whole, "byte by byte: {:?}", String::from_utf8_lossy(bytes));
    for cut in 0..=bytes.len() {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(decode(framing, &[a, b]), whole, "cut at {cut}: {:?}", String::from_utf8_lossy(bytes));
    }
    whole
}

#[test]
fn right_chunks_are_decoded() {
    let rows: &[(&str, &str, &str)] = &[
        ("0\r\n\r\n", "", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc", ""),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", ""),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
        ("a\r\n0123456789\r\n000\r\n\r\n", "0123456789", ""),
        ("0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc", ""),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", ""),
        ("1;a\r\nx\r\n0;b\r\n\r\n", "x", ""),
        ("1;a=b;c=\"d e\"\r\nx\r\n0\r\n\r\n", "x", ""),
        ("1 \t ; a = b \r\nx\r\n0\r\n\r\n", "x", ""),
        ("1;\r\nx\r\n0\r\n\r\n", "x", ""),
        ("1;\u{e9}\r\nx\r\n0\r\n\r\n", "x", ""),
        ("1\r\nx\r\n0\r\nA: b\r\n\r\n", "x", "A: b\r\n"),
        ("1\r\nx\r\n0\r\nA: b\r\nC:\t\u{e9}\r\nD:\r\n\r\n", "x", "A: b\r\nC:\t\u{e9}\r\nD:\r\n"),
    ];
    for (raw, data, trailers) in rows {
        for next in ["", "GET / HTTP/1.1\r\n", "\r\n", "0\r\n\r\n"] {
            let found = decode_every_way(Framing::Chunked, format!("{raw}{next}").as_bytes());
            let expected = (data.as_bytes().to_vec(), raw.len(), trailers.as_bytes().to_vec());
            assert_eq!(found, Ok(Some(expected)), "{raw:?} before {next:?}");
        }
        for cut in 0..raw.len() {
            let mut decoder = Decoder::new(Framing::Chunked);
            assert!(!decoder.decode(&mut raw.as_bytes()[..cut].to_vec()).unwrap().done, "{raw:?} cut at {cut}");
            assert!(!decoder.end_of_input(), "{raw:?} cut at {cut}");
            assert_eq!(decoder.trailers(), b"", "trailers before the end");
        }
    }
}

#[test]
fn wrong_chunks_are_refused() {
    let rows = [
        "\r\n",
        "\n",
        " ",
        " 3\r\nabc\r\n",
        "\t3\r\n",
        "x\r\n",
        "g\r\n",
        "-1\r\n",
        "+3\r\n",
        "0x3\r\n",
        "0X3\r\n",
        ";a\r\n",
        "\0",
        "3_0\r\n",
        "3.0\r\n",
        "\"3\"\r\n",
        "3,3\r\n",
        "3\n",
        "3\nabc\r\n",
        "3\nabc\n0\n\n",
        "3\r",
        "3\rabc",
        "3\r\r\n",
        "3 \r\n",
        "3\t\r\n",
        "3 \n",
        "3 3\r\n",
        "3 a\r\n",
        "3;a\n",
        "3;a\nb\r\n",
        "3;\n",
        "3;a\rb\r\n",
        "3;a\r\r\n",
        "3;\0\r\n",
        "3;a\x7f\r\n",
        "3;a\x0b\r\n",
        "3 ;\n",
        "3 \x0b;\r\n",
        "3\x0b\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n",
        "3\r\nabc\r\r\n",
        "3\r\nabc0\r\n",
        "3\r\nabc\n0\r\n",
        "3\r\nabc\r0\r\n",
        "3\r\nabc \r\n",
        "3\r\nabc\0\n",
        "00000000000000003\r\n",
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "FFFFFFFFFFFFFFFF0\r\n",
        "10000000000000000\r\n",
        "8000000000000000;a\r\n",
        "ffffffffffffffff ;a\r\n",
        "0\n",
        "0\r\n\n",
        "0\r\n\r\r",
        "0\r\n\rx",
        "0\r\nA: b\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\r\n\n",
        "0\r\nA: b\r\n\rx",
        "0\r\nA\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nA: b\rc\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\nA b: c\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "0\r\n\u{e9}: c\r\n\r\n",
        "0\r\nA\r\r\n\r\n",
        "0 \r\n\r\n",
        "0;\n\r\n",
    ];
    for raw in rows {
        // What is wrong at the first chunk is wrong at a later one too; nothing behind it changes that.
        for before in ["", "1\r\nx\r\n", "1;a\r\nx\r\n"] {
            let bytes = format!("{before}{raw}");
            // "3\r" and the like are wrong only together with what follows here.
            let bytes = format!("{bytes}zz\r\n\r\n");
            assert_eq!(decode_every_way(Framing::Chunked, bytes.as_bytes()), Err(Reason::BadChunk), "{bytes:?}");
        }
    }
    let mut decoder = Decoder::new(Framing::Chunked);
    assert_eq!(decoder.decode(&mut b"x".to_vec()), Err(Reason::BadChunk));
    assert_eq!(decoder.decode(&mut b"0\r\n\r\n".to_vec()), Err(Reason::BadChunk), "an error is final");
    assert_eq!(decoder.decode(&mut []), Err(Reason::BadChunk));
    assert!(!decoder.end_of_input() && !decoder.is_done());
}

#[test]
fn limits_hold_to_the_byte() {
    let at_once = |bytes: &[u8]| decode(Framing::Chunked, &[bytes]).map(|found| found.is_some());
    // One size line.
    for before in [0, 1, 3] {
        let line = |len: usize| {
            format!("{}1;{}\r\nx\r\n0\r\n\r\n", "2\r\nxx\r\n".repeat(before), "a".repeat(len - 4)).into_bytes()
        };
        assert_eq!(at_once(&line(CHUNK_LINE_MAX)), Ok(true));
        assert_eq!(at_once(&line(CHUNK_LINE_MAX + 1)), Err(Reason::BadChunk));
        let blanks = |len: usize| format!("1{};\r\nx\r\n0\r\n\r\n", " ".repeat(len - 4)).into_bytes();
        assert_eq!(at_once(&blanks(CHUNK_LINE_MAX)), Ok(true));
        assert_eq!(at_once(&blanks(CHUNK_LINE_MAX + 1)), Err(Reason::BadChunk));
    }
    // The trailer section, by bytes and by fields.
    let trailers = |len: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(len - 4)).into_bytes();
    assert_eq!(at_once(&trailers(TRAILERS_MAX)), Ok(true));
    assert_eq!(at_once(&trailers(TRAILERS_MAX + 1)), Err(Reason::BadChunk));
    let fields = |count: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(count)).into_bytes();
    assert_eq!(at_once(&fields(FIELDS_MAX)), Ok(true));
    assert_eq!(at_once(&fields(FIELDS_MAX + 1)), Err(Reason::BadChunk));
    // The largest size.
    let mut decoder = Decoder::new(Framing::Chunked);
    decoder.decode(&mut b"7fffffffffffffff\r\nab".to_vec()).unwrap();
    assert_eq!(decoder.remaining_length(), Some(i64::MAX as u64 - 2));
}

#[test]
fn framing_cannot_outweigh_data_for_long() {
    // One byte a chunk is dear, but allowed for ever.
    let mut decoder = Decoder::new(Framing::Chunked);
    for _ in 0..100_000 {
        assert_eq!(decoder.decode(&mut b"1\r\nx\r\n".to_vec()).map(|d| d.data), Ok(1));
    }
    // Extensions on each are not. Every round costs `overhead` bytes of framing and brings one of data.
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(200));
    let overhead = chunk.len() as u64 - 1;
    let mut decoder = Decoder::new(Framing::Chunked);
    let rounds = (1..).find(|_| decoder.decode(&mut chunk.clone().into_bytes()).is_err()).unwrap();
    // The two bytes behind a chunk are counted when they come, so before the last size line.
    let allowed = |round: u64| round * overhead - 2 <= CHUNK_OVERHEAD_ALLOWANCE + CHUNK_OVERHEAD_FACTOR * round;
    assert!(allowed(rounds - 1) && !allowed(rounds), "refused in round {rounds}");
}

#[test]
fn lengths_are_counted_without_moving() {
    assert_eq!(decode_every_way(Framing::None, b"abc"), Ok(Some((vec![], 0, vec![]))));
    assert_eq!(decode_every_way(Framing::Length(0), b"abc"), Ok(Some((vec![], 0, vec![]))));
    assert_eq!(decode_every_way(Framing::Length(3), b"abcde"), Ok(Some((b"abc".to_vec(), 3, vec![]))));
    assert_eq!(decode_every_way(Framing::Length(3), b"abc"), Ok(Some((b"abc".to_vec(), 3, vec![]))));
    assert_eq!(decode_every_way(Framing::Length(3), b"ab"), Ok(None));
    assert_eq!(decode_every_way(Framing::Close, b"abc"), Ok(None));

    let mut decoder = Decoder::new(Framing::Length(u64::MAX));
    assert_eq!(decoder.decode(&mut [0; 10]), Ok(Decoded { data: 10, consumed: 10, done: false }));
    assert_eq!(decoder.remaining_length(), Some(u64::MAX - 10));
    assert_eq!(decoder.decode(&mut []), Ok(Decoded { data: 0, consumed: 0, done: false }));
}

#[test]
fn the_end_of_input_completes_only_what_it_may() {
    for (framing, complete) in [
        (Framing::None, true),
        (Framing::Length(0), true),
        (Framing::Close, true),
        (Framing::Length(1), false),
        (Framing::Chunked, false),
    ] {
        let mut decoder = Decoder::new(framing);
        assert_eq!(decoder.end_of_input(), complete, "{framing:?}");
        assert_eq!(decoder.is_done(), complete);
    }
    let mut decoder = Decoder::new(Framing::Close);
    assert_eq!(decoder.decode(&mut b"abc".to_vec()), Ok(Decoded { data: 3, consumed: 3, done: false }));
    assert!(decoder.end_of_input());
    assert_eq!(decoder.decode(&mut b"abc".to_vec()), Ok(Decoded { data: 0, consumed: 0, done: true }));
}

#[test]
fn data_may_pass_by_other_means() {
    let mut decoder = Decoder::new(Framing::Length(10));
    decoder.decode(&mut [0; 3]).unwrap();
    decoder.advance(6);
    assert_eq!((decoder.remaining_length(), decoder.is_done()), (Some(1), false));
    decoder.advance(1);
    assert_eq!((decoder.remaining_length(), decoder.is_done()), (None, true));

    let mut decoder = Decoder::new(Framing::Chunked);
    assert_eq!(decoder.remaining_length(), None);
    decoder.decode(&mut b"a\r\nxxx".to_vec()).unwrap();
    assert_eq!(decoder.remaining_length(), Some(7));
    decoder.advance(6);
    assert_eq!(decoder.remaining_length(), Some(1));
    decoder.advance(1);
    assert_eq!(decoder.remaining_length(), None);
    assert_eq!(decoder.decode(&mut b"\r\n0\r\n\r\n".to_vec()), Ok(Decoded { data: 0, consumed: 7, done: true }));
    decoder.advance(5);
    assert!(decoder.is_done());
}

/// Reads a whole chunked body with slices and searches: slow, simple, and written from the grammar, not from the decoder.
/// `None`: not complete.
fn reference(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        let line = &rest[..end];
        let (size, extension) = line.split_at(line.iter().position(|b| *b == b';').unwrap_or(line.len()));
        let size = if extension.is_empty() { size } else { size.trim_ascii_end() };
        if size.is_empty()
            || size.len() > 16
            || !size.iter().all(u8::is_ascii_hexdigit)
            || line.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
        {
            return Err(());
        }
        let size = u64::from_str_radix(str::from_utf8(size).unwrap(), 16).unwrap();
        at += end + 2;
        if size == 0 {
            break;
        }
        let size = i64::try_from(size).map_err(drop)? as usize;
        let Some(chunk) = bytes.get(at..at.saturating_add(size)) else { return Ok(None) };
        data.extend_from_slice(chunk);
        at += size;
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(()),
        }
    }
    // Trailers are judged as a whole, when they are complete.
    let mut right = true;
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.windows(2).position(|w| w == b"\r\n") else { return Ok(None) };
        at += end + 2;
        let line = &rest[..end];
        if line.is_empty() {
            return if right { Ok(Some((data, at))) } else { Err(()) };
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(0);
        right &= colon > 0 && line[..colon].iter().all(u8::is_ascii_alphanumeric);
        right &= !line[colon..].iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    }
}

#[test]
fn decoder_and_reference_agree() {
    let pieces: &[&[u8]] = &[
        b"1\r\nx\r\n",
        b"2\r\n\r\n\r\n",
        b"a;b\r\n0123456789\r\n",
        b"0\r\n",
        b"\r\n",
        b"A: b\r\n",
        b"GET",
        b"3 ;x=y\r\nabc\r\n",
        b"\n",
        b"\r",
        b"0",
        b"f",
        b";",
        b" ",
        b"\0",
        b"0\r\n\r\n",
        b"10\r\n0123456789abcdef\r\n",
        b"00000000000000001\r\n",
        b":",
    ];
    let mut random = Random(3);
    let (mut complete, mut refused) = (0, 0);
    for round in 0..150_000 {
        let mut bytes = Vec::new();
        // Mostly right bodies, with something wrong thrown in now and then.
        for _ in 0..random.below(6) {
            let wild = random.below(5) == 0;
            bytes.extend_from_slice(if wild {
                random.pick(pieces)
            } else {
                random.pick(&[pieces[0], pieces[1], pieces[2], pieces[7], pieces[16]])
            });
        }
        bytes.extend_from_slice(random.pick(&[&b"0\r\n\r\n"[..], b"0\r\nA: b\r\n\r\n", b"0\r\n", b""]));
        bytes.extend_from_slice(random.pick(&[&b""[..], b"next", b"\r\n"]));
        if random.below(4) == 0 && !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.pick(b"\r\n0a ;:x\0");
        }
        // Cut at random places.
        let mut cuts: Vec<usize> = (0..random.below(5)).map(|_| random.below(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();

        let found = decode(Framing::Chunked, &parts);
        let story = || format!("round {round}: {:?} -> {found:?}", String::from_utf8_lossy(&bytes));
        match reference(&bytes) {
            Ok(Some((data, used))) => {
                complete += 1;
                assert_eq!(found.clone().unwrap().map(|(d, u, _)| (d, u)), Some((data, used)), "{}", story());
            }
            // The decoder need not wait for the end of a line to see that it is wrong; that more would help is then moot.
            Ok(None) => assert!(matches!(found, Ok(None) | Err(Reason::BadChunk)), "{}", story()),
            Err(()) => {
                refused += 1;
                assert_eq!(found, Err(Reason::BadChunk), "{}", story());
            }
        }
    }
    assert!(complete > 10_000 && refused > 10_000, "{complete} complete, {refused} refused: one side is hardly tested");
}

/// Frames data in a buffer with the room that chunks need.
fn frame(encoder: Encoder, data: &[u8]) -> Vec<u8> {
    let mut buf = vec![b'.'; CHUNK_HEADROOM];
    buf.extend_from_slice(data);
    buf.extend_from_slice(&[b'.'; CHUNK_TAILROOM]);
    let range = encoder.frame(&mut buf, CHUNK_HEADROOM..CHUNK_HEADROOM + data.len());
    buf[range].to_vec()
}

#[test]
fn chunks_are_framed_around_the_data() {
    assert_eq!(frame(Encoder::Raw, b"abc"), b"abc");
    assert_eq!(frame(Encoder::Chunked, b"abc"), b"3\r\nabc\r\n");
    assert_eq!(frame(Encoder::Chunked, b""), b"");
    assert_eq!(frame(Encoder::Chunked, &[b'x'; 0x10abc])[..7], *b"10abc\r\n");
    let end = |encoder: Encoder, trailers: &str| written(|w| encoder.write_end(w, trailers.as_bytes()));
    assert_eq!(end(Encoder::Raw, "A: b\r\n"), "");
    assert_eq!(end(Encoder::Chunked, ""), "0\r\n\r\n");
    assert_eq!(end(Encoder::Chunked, "A: b\r\nContent-Length: 5\r\n"), "0\r\nA: b\r\n\r\n");
    assert_eq!(Encoder::new(Framing::Chunked), Encoder::Chunked);
    for framing in [Framing::None, Framing::Close, Framing::Length(3)] {
        assert_eq!(Encoder::new(framing), Encoder::Raw);
    }
}

#[test]
fn what_is_encoded_decodes_to_itself() {
    let mut random = Random(5);
    for _ in 0..200 {
        let (mut raw, mut data) = (Vec::new(), Vec::new());
        for _ in 0..random.below(20) {
            let part: Vec<u8> = (0..random.below(600)).map(|_| random.next() as u8).collect();
            raw.extend(frame(Encoder::Chunked, &part));
            data.extend(part);
        }
        raw.extend(written(|w| Encoder::Chunked.write_end(w, b"X-Sum: 1\r\n")).into_bytes());
        let expected = (data, raw.len(), b"X-Sum: 1\r\n".to_vec());
        let size = 1 + random.below(300);
        assert_eq!(decode(Framing::Chunked, &raw.chunks(size).collect::<Vec<_>>()), Ok(Some(expected)));
    }
}
