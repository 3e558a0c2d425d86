//! The head of an answer about a file: the one place where it is written.

use crate::proto::page::{Manner, begin, end};
use crate::proto::writer::Writer;

/// What it says, before anything else is added or changed.
#[derive(Debug, Default)]
pub(super) struct FileHead<'a> {
    pub(super) status: u16,
    /// "": none is said.
    pub(super) media_type: &'a str,
    /// Bytes of the body; `None`: there is none (304), or it is not known before its end.
    pub(super) length: Option<u64>,
    pub(super) last_modified: Option<&'a str>,
    pub(super) etag: Option<&'a str>,
    /// Ranges of it may be asked for.
    pub(super) accepts_ranges: bool,
    pub(super) content_range: Option<String>,
    pub(super) coding: Option<&'static str>,
    /// The body goes in chunks.
    pub(super) chunked: bool,
    /// What clients get depends on Accept-Encoding.
    pub(super) vary: bool,
}

/// Writes it.
pub(super) fn write(w: &mut Writer, head: &FileHead, manner: &Manner) {
    begin(w, head.status, manner);
    if !head.media_type.is_empty() {
        w.put_field("Content-Type", head.media_type.as_bytes());
    }
    if let Some(length) = head.length {
        w.put(b"Content-Length: ");
        w.put_u64(length);
        w.put(b"\r\n");
    }
    let texts = [
        ("Last-Modified", head.last_modified),
        ("ETag", head.etag),
        ("Accept-Ranges", head.accepts_ranges.then_some("bytes")),
        ("Content-Range", head.content_range.as_deref()),
        ("Content-Encoding", head.coding),
        ("Transfer-Encoding", head.chunked.then_some("chunked")),
        ("Vary", head.vary.then_some("Accept-Encoding")),
    ];
    let hides = |name| manner.added.is_some_and(|added| added.hides(name));
    for (name, value) in texts {
        if let Some(value) = value.filter(|_| !hides(name)) {
            w.put_field(name, value.as_bytes());
        }
    }
    end(w, head.status, manner);
}
