use super::*;
use std::io::Read;

/// A small deterministic generator: a failing seed fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Text that can be compressed, with noise in it that cannot.
fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        match random.below(5) {
            0 => text.extend((0..random.below(40)).map(|_| random.below(256) as u8)),
            1 => text.extend(std::iter::repeat_n(b'.', random.below(300))),
            _ => text.extend_from_slice(b"<p>the quick brown fox</p>\n"),
        }
    }
    text.truncate(length);
    text
}

fn decoded(coding: ContentCoding, coded: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    match coding {
        ContentCoding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut data),
        ContentCoding::Brotli => brotli::Decompressor::new(coded, 4096).read_to_end(&mut data),
        ContentCoding::Zstd => zstd::Decoder::new(coded).and_then(|mut decoder| decoder.read_to_end(&mut data)),
    }
    .unwrap_or_else(|error| panic!("{coding:?}: {error}"));
    data
}

/// What can be read of a body that has not ended.
fn readable(coding: ContentCoding, coded: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read> = match coding {
        ContentCoding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
        ContentCoding::Brotli => Box::new(brotli::Decompressor::new(coded, 4096)),
        ContentCoding::Zstd => Box::new(zstd::Decoder::new(coded).unwrap()),
    };
    let (mut data, mut piece) = (Vec::new(), [0; 1000]);
    while let Ok(n @ 1..) = reader.read(&mut piece) {
        data.extend_from_slice(&piece[..n]);
    }
    data
}

/// One step after another until the goal is reached, with so much room each.
fn feed(coder: &mut Coder, mut input: &[u8], goal: Goal, room: usize, out: &mut Vec<u8>) {
    let mut buffer = vec![0; room];
    for _ in 0..1_000_000 {
        let step = coder.step(input, &mut buffer, goal).unwrap();
        out.extend_from_slice(&buffer[..step.written]);
        input = &input[step.consumed..];
        if step.done {
            assert!(input.is_empty());
            return;
        }
        assert!(step.consumed + step.written > 0, "it would never end");
    }
    panic!("no end of {goal:?}");
}

fn all(level: impl Fn(ContentCoding) -> u8, length: Option<u64>) -> impl Iterator<Item = (ContentCoding, Coder)> {
    ContentCoding::ALL.into_iter().map(move |coding| (coding, Coder::new(coding, level(coding), length).unwrap()))
}

fn usual(coding: ContentCoding) -> u8 {
    match coding {
        ContentCoding::Gzip => 1,
        ContentCoding::Brotli => 5,
        ContentCoding::Zstd => 3,
    }
}

#[test]
fn bodies_of_all_sizes_come_back() {
    let mut random = Random(1);
    for length in [0, 1, 2, 100, 1023, 1024, 1025, 16_384, 65_537, 700_000] {
        let body = text(&mut random, length);
        for known in [None, Some(length as u64)] {
            for (coding, mut coder) in all(usual, known) {
                let mut out = Vec::new();
                feed(&mut coder, &body, Goal::More, 18 * 1024, &mut out);
                feed(&mut coder, &[], Goal::End, 18 * 1024, &mut out);
                assert!(decoded(coding, &out) == body, "{coding:?} {length}");
                assert_eq!(coder.totals(), (length as u64, out.len() as u64));
                assert!(length < 1000 || out.len() < length / 2, "{coding:?} {length} {}", out.len());
            }
        }
    }
}

#[test]
fn all_levels_do() {
    let body = text(&mut Random(2), 30_000);
    for level in [0, 1, 2, 4, 6, 9, 10, 11, 15, 19, 22, 30] {
        for (coding, mut coder) in all(|_| level, None) {
            let mut out = Vec::new();
            feed(&mut coder, &body, Goal::End, 1000, &mut out);
            assert!(decoded(coding, &out) == body, "{coding:?} {level}");
        }
    }
}

#[test]
fn chunks_and_flushes_change_nothing() {
    let mut random = Random(3);
    for round in 0..60 {
        let length = random.below(60_000);
        let body = text(&mut random, length);
        let level = random.below(6) as u8;
        for (coding, mut coder) in all(|_| level, None) {
            let (mut out, mut rest) = (Vec::new(), &body[..]);
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((1 + random.below(9000)).min(rest.len()));
                let goal = if random.below(3) == 0 { Goal::Flush } else { Goal::More };
                feed(&mut coder, piece, goal, 256 + random.below(5000), &mut out);
                rest = behind;
                if goal == Goal::Flush {
                    let there = &body[..body.len() - rest.len()];
                    assert!(readable(coding, &out) == there, "{coding:?} {round}: {} bytes", there.len());
                }
            }
            feed(&mut coder, &[], Goal::End, 300, &mut out);
            assert!(decoded(coding, &out) == body, "{coding:?} {round}");
        }
    }
}

#[test]
fn a_second_flush_says_nothing() {
    for (coding, mut coder) in all(usual, None) {
        let mut out = Vec::new();
        feed(&mut coder, b"data: 1\n\n", Goal::Flush, 1000, &mut out);
        assert_eq!(readable(coding, &out), b"data: 1\n\n");
        let before = out.len();
        feed(&mut coder, &[], Goal::Flush, 1000, &mut out);
        assert!(out.len() - before < 16, "{coding:?}: {} bytes", out.len() - before);
    }
}

#[test]
fn only_so_many_at_a_time() {
    std::thread::spawn(|| {
        let mut coders: Vec<Coder> = Vec::new();
        for _ in 0..COMPRESSIONS_MAX {
            coders.push(Coder::new(ContentCoding::Gzip, 1, Some(1000)).unwrap());
        }
        assert!(Coder::new(ContentCoding::Zstd, 1, None).is_none());
        coders.pop();
        let more = Coder::new(ContentCoding::Zstd, 1, None);
        assert!(more.is_some() && Coder::new(ContentCoding::Gzip, 1, None).is_none());
        drop((more, coders));
        assert!(Coder::new(ContentCoding::Brotli, 1, None).is_some());
    })
    .join()
    .unwrap();
}

#[test]
fn windows_are_to_measure() {
    let rows = [
        (None, 19),
        (Some(0), 10),
        (Some(1), 10),
        (Some(1024), 10),
        (Some(1025), 11),
        (Some(65_536), 16),
        (Some(65_537), 17),
        (Some(1 << 19), 19),
        (Some(u64::MAX), 19),
    ];
    for (length, log) in rows {
        assert_eq!(window_log(length), log, "{length:?}");
    }
}
