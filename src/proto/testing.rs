//! What the tests of this room share.

use super::fields::FieldSlots;
use super::framing::Framing;
use super::reason::Reason;
use super::request::{self, Request, RequestFacts, Version};
use super::response::{self, Response, ResponseFacts};
use super::writer::Writer;
use crate::limits::BUFFER_SMALL;

/// A small deterministic generator (splitmix64): a failing seed fails again.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Parses a complete request head and hands it to `f`.
pub(super) fn with_request<T>(bytes: &[u8], f: impl FnOnce(&Request) -> T) -> Result<T, Reason> {
    let mut slots = FieldSlots::new();
    let request = request::parse(bytes, &mut slots)?.expect("the head is complete");
    Ok(f(&request))
}

/// Parses a complete response head and hands it to `f`.
pub(super) fn with_response<T>(bytes: &[u8], f: impl FnOnce(&Response) -> T) -> Result<T, Reason> {
    let mut slots = FieldSlots::new();
    let response = response::parse(bytes, &mut slots)?.expect("the head is complete");
    Ok(f(&response))
}

/// The facts of a request head.
pub(super) fn request_facts(bytes: &[u8]) -> Result<RequestFacts, Reason> {
    with_request(bytes, |request| request.inspect().map(|(facts, _)| facts))?
}

/// The facts of a response head to this request.
pub(super) fn response_facts(bytes: &[u8], request: &RequestFacts) -> Result<ResponseFacts, Reason> {
    with_response(bytes, |response| response.inspect(request))?
}

/// A plain GET.
pub(super) const GET: RequestFacts = RequestFacts {
    version: Version::Http11,
    is_head: false,
    idempotent: true,
    body: Framing::None,
    keep_alive: true,
    expect_continue: false,
    websocket: false,
};

/// What `f` writes.
pub(super) fn written(f: impl FnOnce(&mut Writer)) -> String {
    let mut buf = vec![0; BUFFER_SMALL];
    let mut w = Writer::new(&mut buf);
    f(&mut w);
    let len = w.finish().expect("a rewritten head fits");
    buf.truncate(len);
    String::from_utf8_lossy(&buf).into_owned()
}
