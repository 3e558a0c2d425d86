//! Files: a location's `root` and `alias`, as nginx's static, index, autoindex and gzip_static modules serve them.

mod body;
mod coded;
mod head;

use super::client::Client;
use super::problem::redirect;
use super::returns::Own;
use super::source::{Said, with_added, with_source};
use super::{Next, counted};
use crate::config::plan::{Autoindex, FileKind, Files, Location, Root, Server};
use crate::handlers::compress::{Chosen, Coder};
use crate::handlers::files::autoindex;
use crate::handlers::files::coding::{self, Coding};
use crate::handlers::files::conditional::{Conditions, Verdict, Version};
use crate::handlers::files::listing::Directory;
use crate::handlers::files::mime::media_type;
use crate::handlers::files::range::{self, Multipart, Ranges, content_range};
use crate::handlers::files::shelf::{Miss, Opened};
use crate::limits::{BUFFER_SMALL, FILE_HEAD_ROOM};
use crate::log::Level;
use crate::proto::page::{Manner, write_unsatisfiable};
use crate::proto::reason::Reason;
use crate::proto::request::{self, RequestFacts};
use crate::proto::rewrite::EditFields;
use crate::proto::writer::Writer;
use crate::ring::{Driver, Kind, Lease};
use crate::route::place::{Place, place};
use crate::route::{Course, Source, pages, uri};
use crate::session::ms;
use crate::upstream::Live;
use body::Part;
use head::FileHead;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// What a request wants of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// GET or HEAD.
    Read,
    /// POST: an index may take it, a file does not.
    Post,
    Other,
}

/// A request for a file; its head is still in the client's input.
pub(super) struct Order<'a> {
    pub(super) server: &'a Server,
    pub(super) location: &'a Location,
    /// What is known of the request, and its head's bytes.
    pub(super) known: (RequestFacts, usize),
    method: Method,
    /// `None`: the location has no root.
    place: Option<Place>,
    path: String,
    args: String,
    /// Of a directory.
    indexes: Vec<String>,
    conditions: Conditions,
    codings: Vec<Coding>,
}

/// What became of it.
pub(super) enum Served {
    /// It was answered.
    Done(Next),
    /// Another path and query are to be looked for, as if they had been asked for: an index.
    Elsewhere(String, String),
    /// It gets an error page. The text is for the log.
    Failed(Reason, String),
}

impl<'a> Order<'a> {
    /// Takes all that matters from the request. `source` is that of the location.
    pub(super) fn new(
        server: &'a Server,
        location: &'a Location,
        known: (RequestFacts, usize),
        source: &Source,
    ) -> Order<'a> {
        let (path, files) = (source.path(), &location.files);
        let method = match source.request.method {
            _ if known.0.is_head || source.course.as_get => Method::Read,
            "GET" => Method::Read,
            "POST" => Method::Post,
            _ => Method::Other,
        };
        let indexes = match path.ends_with('/') {
            true => files.index.iter().map(|index| source.string(index)).collect(),
            false => Vec::new(),
        };
        let fields = source.request.fields;
        let negotiable = !location.compression.http11_only || known.0.version == request::Version::Http11;
        Order {
            server,
            location,
            known,
            method,
            place: place(location, source, path),
            path: path.to_owned(),
            args: source.args().to_owned(),
            indexes,
            conditions: Conditions::of(fields),
            codings: coding::candidates(&files.precompressed, fields, negotiable),
        }
    }
}

/// A request on its way to an answer.
struct Job<'x, 'a, D: Driver> {
    live: &'x Live<D>,
    order: &'x Order<'a>,
    course: &'x Course,
}

impl<D: Driver> Clone for Job<'_, '_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Driver> Copy for Job<'_, '_, D> {}

/// Answers with the file that the request's path stands for.
pub(super) async fn serve<D: Driver>(
    client: &mut Client<'_, D>,
    live: &Live<D>,
    order: &Order<'_>,
    course: &Course,
) -> Served {
    let _running = counted(client);
    let job = Job { live, order, course };
    if order.method == Method::Other {
        return Served::Failed(Reason::FileMethod, String::new());
    }
    let Some(place) = &order.place else {
        return Served::Failed(Reason::FileMissing, ", neither root nor alias is configured".to_owned());
    };
    if order.path.ends_with('/') {
        return directory(client, job, place).await;
    }
    let (opened, coding) = match open(client, order, place).await {
        Ok(found) => found,
        Err(miss) => return missed(client, &order.location.files, place, miss),
    };
    match opened.stat.kind {
        Kind::Directory => {
            let mut url = uri::escaped(&order.path) + "/";
            if !order.args.is_empty() {
                url.extend(["?", &order.args]);
            }
            Served::Done(redirect(client, live, course, (301, url.into_bytes())).await)
        }
        Kind::Other => {
            let detail = format!(", {} is not a regular file", place.path());
            client.cx.log_thinned(Level::Error, Reason::FileMissing, || format!("file_missing{detail}"));
            Served::Failed(Reason::FileMissing, detail)
        }
        Kind::File if order.method == Method::Post => Served::Failed(Reason::FileMethod, String::new()),
        Kind::File => answer(client, job, (&opened, coding)).await,
    }
}

/// Opens the file, or the compressed one beside it that the client likes better.
async fn open<D: Driver>(
    client: &Client<'_, D>,
    order: &Order<'_>,
    place: &Place,
) -> Result<(Rc<Opened>, Option<Coding>), Miss> {
    let (shelf, files) = (&client.cx.files, &*order.location.files);
    for &coding in &order.codings {
        let Place { base, relative } = with_suffix(place, coding.suffix());
        match shelf.open(&base, &relative, files).await {
            Ok(opened) if opened.stat.kind == Kind::File => return Ok((opened, Some(coding))),
            _ => {} // then as it is
        }
    }
    Ok((shelf.open(&place.base, &place.relative, files).await?, None))
}

fn with_suffix(Place { base, relative }: &Place, suffix: &str) -> Place {
    match relative.is_empty() {
        true => Place { base: format!("{base}{suffix}"), relative: String::new() },
        false => Place { base: base.clone(), relative: format!("{relative}{suffix}") },
    }
}

/// The file of that name in a directory's place. What is configured without a slash at its end as `alias` is put before it as it is.
fn within(Place { base, relative }: &Place, name: &str, root: &Root) -> Place {
    if !relative.is_empty() || base.ends_with('/') || matches!(root, Root::Root(_)) {
        return Place { base: base.clone(), relative: format!("{relative}{name}") };
    }
    let (base, begun) = base.split_at(base.rfind('/').map_or(0, |at| at + 1));
    Place { base: base.to_owned(), relative: format!("{begun}{name}") }
}

/// Why there is no file to send.
fn missed<D: Driver>(client: &Client<'_, D>, files: &Files, place: &Place, miss: Miss) -> Served {
    let path = place.path();
    let (reason, what) = match miss {
        Miss::Missing => (Reason::FileMissing, "is not there".to_owned()),
        Miss::Forbidden => (Reason::FileForbidden, "may not be read by this process".to_owned()),
        Miss::Link => {
            let what = "has a symbolic link on its way that leads out of its root, or is absolute; symlinks = \"follow\" allows it";
            (Reason::SymlinkOutside, what.to_owned())
        }
        Miss::Failed(errno) => {
            (Reason::Internal, format!("cannot be opened: {}", std::io::Error::from_raw_os_error(errno)))
        }
    };
    if reason != Reason::FileMissing || files.log_not_found {
        client.cx.log_thinned(Level::Error, reason, || {
            format!("{}: {}: {path} {what}", reason.name(), client.request_line())
        });
    }
    Served::Failed(reason, String::new())
}

/// A path that ends with a slash: its index, or its listing.
async fn directory<D: Driver>(client: &mut Client<'_, D>, job: Job<'_, '_, D>, place: &Place) -> Served {
    let order = job.order;
    let files = &*order.location.files;
    for index in &order.indexes {
        if index.starts_with('/') {
            return Served::Elsewhere(index.clone(), order.args.clone());
        }
        let file = within(place, index, &files.root);
        match client.cx.files.open(&file.base, &file.relative, files).await {
            Ok(_) => return Served::Elsewhere(format!("{}{index}", order.path), order.args.clone()),
            Err(Miss::Missing) => {}
            Err(miss) => return missed(client, files, &file, miss),
        }
    }
    match client.cx.files.open(&place.base, &place.relative, files).await {
        Ok(opened) if opened.stat.kind != Kind::Directory => missed(client, files, place, Miss::Missing),
        Ok(_) => match files.autoindex.filter(|_| order.method == Method::Read) {
            Some(settings) => listing(client, job, (place, settings)).await,
            None => {
                let detail = format!(", {}", place.path());
                Served::Failed(Reason::DirectoryForbidden, detail)
            }
        },
        Err(miss) => missed(client, files, place, miss),
    }
}

/// The names in a directory.
async fn listing<D: Driver>(
    client: &mut Client<'_, D>,
    job: Job<'_, '_, D>,
    (place, settings): (&Place, Autoindex),
) -> Served {
    let order = job.order;
    let directory = Directory {
        base: place.base.clone(),
        relative: place.relative.clone(),
        symlinks: order.location.files.symlinks,
        path: order.path.clone(),
        settings,
    };
    let asked = match client.cx.listings.ask(directory) {
        Ok(asked) => asked,
        Err(why) => return Served::Failed(Reason::Overloaded, format!(", {why}")),
    };
    let page = match body::unless_gone(client, asked).await {
        Some(Ok(Ok(page))) => page,
        Some(Ok(Err(error))) => return missed(client, &order.location.files, place, Miss::of(&error)),
        Some(Err(_)) => return Served::Failed(Reason::Internal, ", the reader of directories ended".to_owned()),
        None => return Served::Failed(Reason::ClientGone, String::new()),
    };
    let head = FileHead {
        status: job.course.status.unwrap_or(200),
        media_type: autoindex::media_type(settings),
        length: Some(page.len() as u64),
        ..FileHead::default()
    };
    send(client, job, &head, (None, &[Part::Text(page)])).await
}

/// The file, a part of it, or only that the client has it already.
async fn answer<D: Driver>(
    client: &mut Client<'_, D>,
    job: Job<'_, '_, D>,
    (opened, coding): (&Opened, Option<Coding>),
) -> Served {
    let Job { order, course, .. } = job;
    let files = &*order.location.files;
    let etag = files.etag.then_some(opened.etag.as_str());
    let version = Version { etag, mtime: opened.stat.mtime };
    // An error page is no version of what was asked for.
    let is_ok = course.status.is_none_or(|status| status == 200);
    let verdict = if is_ok { order.conditions.judge(version, files.if_modified_since) } else { Verdict::Send };
    let mut head = FileHead {
        status: course.status.unwrap_or(200),
        etag,
        last_modified: opened.last_modified.as_deref().filter(|_| is_ok),
        vary: coding::varies(&files.precompressed),
        ..FileHead::default()
    };
    match verdict {
        Verdict::Send => {}
        Verdict::NotModified => return send(client, job, &FileHead { status: 304, ..head }, (Some(opened), &[])).await,
        Verdict::Failed => return Served::Failed(Reason::PreconditionFailed, String::new()),
    }
    let size = opened.stat.size;
    head.media_type = media_type(&files.types, &order.path);
    head.coding = coding.map(Coding::name);
    let ranges = match order.conditions.ranges(version).filter(|_| is_ok) {
        Some(field) => range::parse(field, size, files.max_ranges),
        None => Ranges::Whole,
    };
    match ranges {
        Ranges::Whole => {
            head.accepts_ranges = is_ok && files.max_ranges != Some(0);
            head.length = Some(size);
            send(client, job, &head, (Some(opened), &[Part::File(0..size)])).await
        }
        Ranges::Unsatisfiable if pages::has_page(order.location, course, 416) => {
            Served::Failed(Reason::RangeUnsatisfiable, String::new())
        }
        Ranges::Unsatisfiable => unsatisfiable(client, job, size).await,
        Ranges::Parts(parts) => {
            head.status = 206;
            match &parts[..] {
                [part] => {
                    head.content_range = Some(content_range(part, size));
                    head.length = Some(part.end - part.start);
                    send(client, job, &head, (Some(opened), &[Part::File(part.clone())])).await
                }
                parts => {
                    let multipart = Multipart::new(client.cx.reactor.random(), head.media_type, size);
                    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
                    for part in parts {
                        pieces.push(Part::Text(multipart.before(part).into_bytes()));
                        pieces.push(Part::File(part.clone()));
                    }
                    pieces.push(Part::Text(multipart.end().into_bytes()));
                    let content_type = multipart.content_type();
                    let length = Some(pieces.iter().map(Part::len).sum());
                    let head = FileHead { media_type: &content_type, length, ..head };
                    send(client, job, &head, (Some(opened), &pieces)).await
                }
            }
        }
    }
}

/// 416, with the size that would have been right.
async fn unsatisfiable<D: Driver>(client: &mut Client<'_, D>, job: Job<'_, '_, D>, size: u64) -> Served {
    super::report(client.cx, Reason::RangeUnsatisfiable, || client.request_line());
    let mut out = client.reservation().take();
    let own =
        write(client, job, 416, Said::default(), &mut out, |writer, manner| write_unsatisfiable(writer, size, manner));
    match own {
        Some(own) => Served::Done(own.send(client, out).await),
        None => Served::Failed(Reason::HeadTooLarge, String::new()),
    }
}

/// Sends head and body.
async fn send<D: Driver>(
    client: &mut Client<'_, D>,
    job: Job<'_, '_, D>,
    head: &FileHead<'_>,
    (opened, parts): (Option<&Opened>, &[Part]),
) -> Served {
    let is_head = job.order.known.0.is_head;
    let verdict = coded::verdict(client, &job.order.location.compression, head);
    let mut coder: Option<Coder> = verdict.chosen.filter(|_| !is_head).and_then(Chosen::coder);
    // RFC 9110 9.3.2: HEAD is answered with what GET would get.
    let chosen = verdict.chosen.filter(|_| is_head || coder.is_some());
    let weak = head.etag.filter(|_| chosen.is_some()).map(|etag| format!("W/{etag}"));
    let mut head = FileHead { vary: head.vary || verdict.vary, content_range: head.content_range.clone(), ..*head };
    if let Some(chosen) = chosen {
        (head.coding, head.length, head.accepts_ranges) = (Some(chosen.coding.name()), None, false);
        (head.etag, head.chunked) = (weak.as_deref(), !is_head);
    }
    let parts = if is_head { &[] } else { parts };
    let length: u64 = parts.iter().map(Part::len).sum();
    // Head and body are one send where they fit into one buffer.
    let is_for_large = length > (BUFFER_SMALL - FILE_HEAD_ROOM) as u64 && !body::is_for_sendfile(client, length);
    let is_large = is_for_large && coder.is_none();
    let large = if is_large { client.reservation().try_take_large() } else { None };
    let mut out: Lease = large.unwrap_or_else(|| client.reservation().take());
    let changed = opened.and_then(|opened| u64::try_from(opened.stat.mtime).ok()).map(Duration::from_secs);
    let changed = changed.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let said = Said { last_modified: changed, media_type: head.media_type };
    let own = write(client, job, head.status, said, &mut out, |writer, manner| head::write(writer, &head, manner));
    let Some(own) = own else { return Served::Failed(Reason::HeadTooLarge, String::new()) };
    let send_ms = ms(job.order.location.send_timeout);
    let file = opened.map(|opened| &opened.file);
    let sent = body::send(client, (out, own.len()), file, parts, coder.as_mut(), send_ms).await;
    if let Some(coder) = &coder {
        let (before, after) = coder.totals();
        client.record.compressed(before, after);
    }
    if let Err(error) = &sent {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => Reason::ClientTimeout,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Reason::ClientGone,
            _ => Reason::Internal,
        };
        super::report(client.cx, reason, || format!("{}, {error}", client.request_line()));
    }
    Served::Done(own.end(client, sent))
}

/// Writes a head into `out`, with what the configuration adds to it.
fn write<D: Driver>(
    client: &Client<'_, D>,
    Job { live, order, course }: Job<'_, '_, D>,
    status: u16,
    said: Said,
    out: &mut Lease,
    write: impl FnOnce(&mut Writer, &Manner),
) -> Option<Own> {
    let own = |out: &mut Lease, added: Option<&dyn EditFields>| {
        Own::write(client, order.server, order.known, out, added, write)
    };
    if order.location.answers.is_empty() {
        return own(out, None);
    }
    with_source(client, &live.plan, course, |source, _| {
        with_added(client, source, status, said, |added| own(out, added))
    })?
}

/// Whether such a file is there, for `if (-f ...)` and `try_files`.
pub(super) async fn exists<D: Driver>(client: &Client<'_, D>, kind: FileKind, path: &str) -> bool {
    let Ok(stat) = client.cx.files.look(path).await else { return false };
    match kind {
        FileKind::File => stat.kind == Kind::File,
        FileKind::Directory => stat.kind == Kind::Directory,
        FileKind::Any => true,
        FileKind::Executable => stat.executable,
    }
}
