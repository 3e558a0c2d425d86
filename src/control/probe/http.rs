//! `GET path`: the status, and a text in the body. Heads and bodies are read by the rules of the data plane: an answer that a
//! request could not pass on is not a good one here either.

use super::{Conn, holds};
use crate::config::plan::Address;
use crate::limits::{CHECK_ANSWER_MAX, INTERIM_MAX};
use crate::proto::body::Decoder;
use crate::proto::fields::FieldSlots;
use crate::proto::framing::Framing;
use crate::proto::reason::Reason;
use crate::proto::request::{RequestFacts, Version};
use crate::proto::response::{self, ResponseFacts};
use std::ops::RangeInclusive;

/// What is asked: nothing that would change how the answer is read.
const REQUEST: RequestFacts = RequestFacts {
    version: Version::Http11,
    is_head: false,
    idempotent: true,
    body: Framing::None,
    keep_alive: false,
    expect_continue: false,
    websocket: false,
};

/// The Host field for a server of which only the address is known.
pub(super) fn host_of(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}

pub(super) async fn ask(
    conn: &mut Conn,
    path: &str,
    host: &str,
    passing: &[RangeInclusive<u16>],
    text: Option<&str>,
) -> Result<(), String> {
    // `Connection: close` makes the server end it. Our side stays open: some servers take its end for a client that went away.
    conn.leave_with(b"", false);
    let agent = concat!("ringgate-check/", env!("CARGO_PKG_VERSION"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    conn.send(request.as_bytes()).await;
    let facts = head(conn).await?;
    if !passing.iter().any(|range| range.contains(&facts.status)) {
        return Err(format!("status {}, expected {}", facts.status, expected(passing)));
    }
    match text {
        Some(text) => body(conn, facts.body, text).await,
        None => Ok(()),
    }
}

/// The final answer's head; the bytes behind it are left in `conn`.
async fn head(conn: &mut Conn) -> Result<ResponseFacts, String> {
    let mut interim = 0;
    loop {
        let found = {
            let mut slots = FieldSlots::new();
            match response::parse(&conn.read, &mut slots) {
                Ok(Some(head)) => Some((head.len, head.inspect(&REQUEST).map_err(told)?)),
                Ok(None) => None,
                Err(reason) => return Err(told(reason)),
            }
        };
        match found {
            Some((len, facts)) => {
                conn.read.drain(..len);
                if !facts.is_interim() {
                    return Ok(facts);
                }
                interim += 1;
                if interim > INTERIM_MAX {
                    return Err("too many interim answers".to_owned());
                }
            }
            None => {
                if !conn.more().await? {
                    return Err(conn.ended());
                }
            }
        }
    }
}

/// Looks for a text in the body, as far as it is read.
async fn body(conn: &mut Conn, framing: Framing, text: &str) -> Result<(), String> {
    let mut decoder = Decoder::new(framing);
    let mut data = Vec::new();
    loop {
        let mut raw = std::mem::take(&mut conn.read);
        let decoded = decoder.decode(&mut raw).map_err(told)?;
        let searched = data.len();
        data.extend_from_slice(&raw[..decoded.data]);
        if holds(&data, text, searched) {
            return Ok(());
        }
        if decoder.is_done() {
            return Err(format!("the body lacks {text:?}"));
        }
        if conn.received >= CHECK_ANSWER_MAX {
            return Err(format!("the first {CHECK_ANSWER_MAX} bytes lack {text:?}"));
        }
        if !conn.more().await? && !decoder.end_of_input() {
            return Err(conn.ended());
        }
    }
}

fn told(reason: Reason) -> String {
    match reason {
        Reason::ResponseHeadTooLarge => "the answer's head is too large".to_owned(),
        Reason::BadChunk => "the answer's chunks are malformed".to_owned(),
        _ => "the answer is not valid HTTP".to_owned(),
    }
}

/// `200-399, 404`.
fn expected(passing: &[RangeInclusive<u16>]) -> String {
    let one = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    };
    passing.iter().map(one).collect::<Vec<_>>().join(", ")
}
