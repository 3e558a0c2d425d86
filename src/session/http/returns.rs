//! `return`: answers that the configuration has.

use super::client::Client;
use super::variables::Source;
use super::{Next, counted};
use crate::config::plan::{Return, Server};
use crate::config::template::Template;
use crate::limits::SEND_TIMEOUT_DEFAULT;
use crate::proto::framing::Framing;
use crate::proto::page::{Connection, Manner, write_status, write_text};
use crate::proto::request::{RequestFacts, Version};
use crate::proto::writer::Writer;
use crate::ring::{Driver, Lease};

/// nginx's way to end a connection without a word.
const CLOSE: u16 = 444;

/// An answer that lies ready.
pub(super) struct Own {
    facts: RequestFacts,
    /// Bytes of the request's head.
    head: usize,
    /// Bytes of the answer; none: the connection closes without one.
    len: usize,
    close: bool,
}

impl Own {
    /// Writes an answer into `out`. `None`: it does not fit. `write` gets the manner of answering.
    pub(super) fn write<D: Driver>(
        client: &Client<'_, D>,
        server: &Server,
        (facts, head): (RequestFacts, usize),
        out: &mut [u8],
        write: impl FnOnce(&mut Writer, &Manner),
    ) -> Option<Own> {
        // As a refusal: a body is not read past.
        let is_last = || client.requests + 1 >= server.keepalive_requests || client.should_leave(head);
        let close = facts.body != Framing::None || !facts.keep_alive || is_last();
        let connection = match (close, facts.version) {
            (true, _) => Connection::Close,
            (false, Version::Http10) => Connection::KeepAlive,
            (false, Version::Http11) => Connection::Stays,
        };
        let mut writer = Writer::new(out);
        let (head_only, hsts) = (facts.is_head, client.hsts(server));
        client.cx.with_date(|date| write(&mut writer, &Manner { date, connection, head_only, hsts }));
        Some(Own { facts, head, len: writer.finish()?, close })
    }

    /// Writes what `returns` says.
    pub(super) fn returned<D: Driver>(
        client: &Client<'_, D>,
        server: &Server,
        known: (RequestFacts, usize),
        out: &mut [u8],
        (returns, source): (&Return, &Source),
    ) -> Option<Own> {
        Own::write(client, server, known, out, |writer, manner| match (returns.status, &returns.text) {
            (CLOSE, _) => {}
            (status @ (301 | 302 | 303 | 307 | 308), Some(url)) => {
                write_status(writer, status, &location(source, url), manner);
            }
            (status, None) => write_status(writer, status, b"", manner),
            (status, Some(text)) => {
                let mut length = 0;
                source.write(text, |piece| length += piece.len() as u64);
                write_text(writer, status, length, manner, |w| source.write(text, |piece| w.put(piece)));
            }
        })
    }

    /// Sends it.
    pub(super) async fn send<D: Driver>(self, client: &mut Client<'_, D>, out: Lease) -> Next {
        let _running = counted(client);
        if self.len == 0 {
            return Next::Gone;
        }
        client.cx.stats().bytes_out.add(self.len as u64);
        let sending = client.socket.send(out, 0..self.len);
        let sent = client.socket.while_taking(&client.timer, SEND_TIMEOUT_DEFAULT, sending).await;
        client.consume(self.head);
        match sent {
            Ok(Ok(())) if !self.close => Next::Again,
            Ok(Ok(())) if self.facts.body == Framing::None => Next::Close,
            Ok(Ok(())) => Next::Linger,
            _ => Next::Abort,
        }
    }
}

/// The URL of a redirect. A path gets scheme and host before it, as the client knows them (nginx: `absolute_redirect`). `$uri` is
/// decoded, and a line end in it would begin a field: what no URL has is encoded.
fn location(source: &Source, url: &Template) -> Vec<u8> {
    let mut value = Vec::new();
    source.write(url, |piece| value.extend_from_slice(piece));
    // Whoever names no host (HTTP/1.0) gets ours, if it is one.
    let host = match source.route.authority {
        "" if source.server_name.contains('*') || source.server_name.starts_with('.') => "",
        "" => source.server_name,
        authority => authority,
    };
    let base = match value.first() {
        Some(b'/') if !host.is_empty() => format!("{}://{host}", source.connection.scheme()).into_bytes(),
        _ => Vec::new(),
    };
    base.into_iter().chain(value.into_iter().flat_map(encoded)).collect()
}

/// One byte of a URL.
fn encoded(byte: u8) -> impl Iterator<Item = u8> {
    let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
    let (bytes, len) = match byte {
        b'!'..=b'~' => ([byte, 0, 0], 1),
        _ => ([b'%', digit(byte >> 4), digit(byte & 15)], 3),
    };
    bytes.into_iter().take(len)
}
