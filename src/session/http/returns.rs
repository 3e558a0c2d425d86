//! `return`: answers that the configuration has.

use super::client::Client;
use super::source::{Said, with_added};
use super::{Next, counted};
use crate::config::plan::{Return, Server};
use crate::handlers::files::mime::media_type;
use crate::limits::SEND_TIMEOUT_DEFAULT;
use crate::proto::framing::Framing;
use crate::proto::page::{Connection, Manner, write_status, write_text};
use crate::proto::request::{RequestFacts, Version};
use crate::proto::rewrite::EditFields;
use crate::proto::writer::Writer;
use crate::ring::{Driver, Elapsed, Lease};
use crate::route::Source;

/// nginx's way to end a connection without a word.
pub(super) const CLOSE: u16 = 444;

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
    /// Writes an answer into `out`. `None`: it does not fit. `write` gets the manner of answering. `added`: see `with_added`.
    pub(super) fn write<D: Driver>(
        client: &Client<'_, D>,
        server: &Server,
        (facts, head): (RequestFacts, usize),
        out: &mut [u8],
        added: Option<&dyn EditFields>,
        write: impl FnOnce(&mut Writer, &Manner),
    ) -> Option<Own> {
        // As a refusal: a body is not read past.
        let is_last = || {
            client.requests + u32::from(!client.is_counted) >= server.keepalive_requests || client.should_leave(head)
        };
        let close = facts.body != Framing::None || !facts.keep_alive || is_last();
        let connection = match (close, facts.version) {
            (true, _) => Connection::Close,
            (false, Version::Http10) => Connection::KeepAlive,
            (false, Version::Http11) => Connection::Stays,
        };
        let mut writer = Writer::new(out);
        let (head_only, hsts) = (facts.is_head, client.hsts(server));
        let authenticate = client.standing.challenge.as_deref();
        client
            .cx
            .with_date(|date| write(&mut writer, &Manner { date, connection, head_only, hsts, added, authenticate }));
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
        // A page's text has the error's status; a redirect, or another error, its own (nginx).
        let is_text = returns.text.is_some() && !matches!(returns.status, 301 | 302 | 303 | 307 | 308);
        let status = source.course.status.filter(|_| is_text).unwrap_or(returns.status);
        // By the URI's extension, as if it were a file (nginx).
        let media_type = source.location.map_or("text/plain", |at| media_type(&at.files.types, source.path()));
        let write = |writer: &mut Writer, manner: &Manner| match (status, &returns.text) {
            (CLOSE, _) => {}
            (status @ (301 | 302 | 303 | 307 | 308), Some(url)) => {
                write_status(writer, status, &location(source, source.text(url)), manner);
            }
            (status, None) => write_status(writer, status, b"", manner),
            (status, Some(text)) => {
                let mut length = 0;
                source.write(text, |piece| length += piece.len() as u64);
                write_text(writer, status, length, media_type, manner, |w| source.write(text, |piece| w.put(piece)));
            }
        };
        let said = Said { last_modified: None, media_type };
        with_added(client, source, status, said, |added| Own::write(client, server, known, out, added, write))
    }

    /// Writes a redirect to a URL, or to a path here.
    pub(super) fn redirect<D: Driver>(
        client: &Client<'_, D>,
        server: &Server,
        known: (RequestFacts, usize),
        out: &mut [u8],
        (status, url, source): (u16, Vec<u8>, &Source),
    ) -> Option<Own> {
        with_added(client, source, status, Said::default(), |added| {
            Own::write(client, server, known, out, added, |writer, manner| {
                write_status(writer, status, &location(source, url), manner);
            })
        })
    }

    /// Sends it.
    pub(super) async fn send<D: Driver>(self, client: &mut Client<'_, D>, out: Lease) -> Next {
        let _running = counted(client);
        if self.len == 0 {
            client.record.ends_with(CLOSE);
            return Next::Gone;
        }
        client.record.answer(&out[..self.len]);
        client.cx.stats().bytes_out.add(self.len as u64);
        let sending = client.socket.send(out, 0..self.len);
        let sent = client.socket.while_taking(&client.timer, SEND_TIMEOUT_DEFAULT, sending).await;
        self.end(client, sent.unwrap_or_else(|Elapsed| Err(std::io::ErrorKind::TimedOut.into())))
    }

    /// Bytes that lie ready.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What becomes of the connection once all is sent, or could not be.
    pub(super) fn end<D: Driver>(self, client: &mut Client<'_, D>, sent: std::io::Result<()>) -> Next {
        client.consume(self.head);
        if sent.is_ok() {
            client.record.is_whole();
        }
        match sent {
            Ok(()) if !self.close => Next::Again,
            Ok(()) if self.facts.body == Framing::None => Next::Close,
            Ok(()) => Next::Linger,
            Err(_) => Next::Abort,
        }
    }
}

/// The URL of a redirect. A path gets scheme and host before it, as the client knows them (nginx: `absolute_redirect`). `$uri` is
/// decoded, and a line end in it would begin a field: what no URL has is encoded.
pub(super) fn location(source: &Source, value: Vec<u8>) -> Vec<u8> {
    // Whoever names no host (HTTP/1.0) gets ours, if it is one.
    let host = match source.route.authority {
        "" if source.server_name().contains(['*', '~']) || source.server_name().starts_with('.') => "",
        "" => source.server_name(),
        authority => authority,
    };
    let host = match source.location {
        Some(location) if !location.absolute_redirect => "",
        Some(location) if !location.port_in_redirect => host
            .rsplit_once(':')
            .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
            .map_or(host, |(host, _)| host),
        _ => host,
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
