//! Files that are compressed as they are sent.

use super::body::{Part, Sending};
use super::head::FileHead;
use crate::config::plan::Compression;
use crate::handlers::compress::{Asked, Coder, Goal, Offered, Verdict, choose, is_candidate};
use crate::limits::{CHUNK_HEADROOM, CHUNK_TAILROOM};
use crate::proto::body::Encoder;
use crate::proto::content::Content;
use crate::proto::request::{self, FieldSlots, Version};
use crate::proto::writer::Writer;
use crate::ring::executor::yield_now;
use crate::ring::{Driver, File};
use crate::session::http::client::Client;
use crate::session::http::source::now;
use std::io;
use std::ops::Range;

/// Less room than this is not worth a step.
const ROOM_MIN: usize = 256;

/// Whether the answer with this head is compressed. Clients of HTTP/1.0 get files as they are: without chunks the connection would have to
/// close.
pub(super) fn verdict<D: Driver>(client: &Client<'_, D>, compression: &Compression, head: &FileHead<'_>) -> Verdict {
    let media_type = head.media_type.split(';').next().unwrap_or_default().trim();
    let content = Content {
        media_type: media_type.as_bytes(),
        is_encoded: head.coding.is_some(),
        is_partial: head.content_range.is_some(),
        varies: head.vary,
        has_etag: head.etag.is_some(),
        has_last_modified: head.last_modified.is_some(),
        ..Content::default()
    };
    let offered = Offered { status: head.status, length: head.length, content };
    let mut slots = FieldSlots::new();
    if compression.is_off() || head.length.is_none() || !is_candidate(compression, &offered) {
        return Verdict::default();
    }
    match request::parse(client.bytes(), &mut slots) {
        Ok(Some(parsed)) => {
            let asked = Asked { version: parsed.version, fields: parsed.fields };
            let Verdict { chosen, vary } = choose(compression, &offered, &asked, now(client));
            Verdict { chosen: chosen.filter(|_| parsed.version == Version::Http11), vary }
        }
        _ => Verdict::default(),
    }
}

impl<D: Driver> Sending<'_, '_, D> {
    /// Sends what lies in the buffer, and the parts behind it through the coder, in chunks.
    pub(super) async fn coded(mut self, file: Option<&File>, parts: &[Part], coder: &mut Coder) -> io::Result<()> {
        for part in parts {
            match (part, file) {
                (Part::Text(text), _) => self.code(coder, text, Goal::More).await?,
                (Part::File(range), Some(file)) => self.code_file(coder, file, range.clone()).await?,
                (Part::File(_), None) => {}
            }
        }
        self.code(coder, &[], Goal::End).await?;
        if self.out.as_ref().is_some_and(|out| self.filled + CHUNK_TAILROOM > out.len()) {
            self.flush().await?;
        }
        let mut out = self.out.take().unwrap_or_else(|| self.client.reservation().take());
        let mut writer = Writer::new(&mut out[self.filled..]);
        Encoder::Chunked.write_end(&mut writer, &[]);
        self.filled += writer.finish().unwrap_or(0); // there is room
        self.out = Some(out);
        self.flush().await
    }

    async fn code_file(&mut self, coder: &mut Coder, file: &File, mut range: Range<u64>) -> io::Result<()> {
        let (reactor, reservation) = (&self.client.cx.reactor, self.client.reservation());
        while range.start < range.end {
            let mut lease = reservation.take();
            let most = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(lease.len());
            let read = match reactor.try_read(file, &mut lease[..most], range.start)? {
                Some(n) => n,
                None => {
                    let (back, read) = reactor.read(file, lease, 0..most, range.start).await;
                    lease = back;
                    read?
                }
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into()); // it was cut since it was opened
            }
            self.code(coder, &lease[..read], Goal::More).await?;
            drop(lease);
            range.start += read as u64;
            yield_now().await; // others' turn: a buffer of data costs as much time as many small exchanges
        }
        Ok(())
    }

    async fn code(&mut self, coder: &mut Coder, input: &[u8], goal: Goal) -> io::Result<()> {
        let mut used = 0;
        loop {
            let needed = CHUNK_HEADROOM + ROOM_MIN + CHUNK_TAILROOM;
            if self.out.as_ref().is_some_and(|out| self.filled + needed > out.len()) {
                self.flush().await?;
            }
            let mut out = self.out.take().unwrap_or_else(|| self.client.reservation().take());
            let (start, end) = (self.filled + CHUNK_HEADROOM, out.len() - CHUNK_TAILROOM);
            let step = coder.step(&input[used..], &mut out[start..end], goal)?;
            used += step.consumed;
            let framed = Encoder::Chunked.frame(&mut out, start..start + step.written);
            let len = framed.len();
            out.copy_within(framed, self.filled);
            self.filled += len;
            self.out = Some(out);
            if step.done {
                return Ok(());
            }
            if step.consumed == 0 && step.written == 0 {
                return Err(io::Error::other("no way on")); // it would never end
            }
        }
    }
}
