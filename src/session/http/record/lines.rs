//! Exchanges that have ended, as lines of access logs.

use super::escape::escape;
use crate::config::plan::{AccessLog, Escape, Location, Server};
use crate::config::template::{Part, Template, Variable};
use crate::limits::{ACCESS_RAW_LINE_MAX, MAPS_DEPTH_MAX};
use crate::proto::request::{self, FieldSlots, Request, Route, Version};
use crate::ring::Driver;
use crate::route::{Course, Source};
use crate::session::http::client::Client;
use crate::session::http::source::{real_address, server_port};
use crate::upstream::Live;

impl<D: Driver> Client<'_, D> {
    /// The exchange has ended: it is written down where the configuration says so. `course` is how far it came.
    pub(in crate::session::http) fn write_down(&self, live: &Live<D>, course: &Course) {
        let (record, plan) = (&self.record, &live.plan);
        if record.status.get() == 0 || record.is_off() {
            return;
        }
        let server = match record.server.get() {
            Some(server) => &plan.servers[server as usize],
            None => plan.default_server(self.listener),
        };
        let location = course.location.or(server.fallback).map(|nth| &server.locations[nth]);
        let logs = location.map_or(&server.access_log, |location| &location.access_log);
        if !logs.is_empty() {
            record.server_ended(self.cx.reactor.now_us(), 0);
            self.write_logs(live, (server, location), course, logs);
        }
    }

    fn write_logs(
        &self,
        live: &Live<D>,
        (server, location): (&Server, Option<&Location>),
        course: &Course,
        logs: &[AccessLog],
    ) {
        let record = &self.record;
        let input: &[u8] = self.input.as_ref().map_or(&[], |input| input);
        let kept = record.details.borrow_mut().as_mut().map(|details| std::mem::take(&mut details.head));
        let (begin, end) = record.head_at.get();
        let bytes = match &kept {
            Some(kept) if !kept.is_empty() => kept,
            _ if begin < end => input.get(begin as usize..end as usize).unwrap_or_default(),
            // What came of a request that was not understood.
            _ => self.bytes(),
        };
        if begin == end {
            record.head_at.set((0, bytes.len() as u32)); // for its length
        }
        let mut slots = FieldSlots::new();
        let parsed = request::parse(bytes, &mut slots).ok().flatten();
        let understood = parsed.as_ref().and_then(|request| request.inspect().ok());
        let raw = understood.is_none().then(|| first_line(bytes));
        let blank = Request { method: "", target: "", version: Version::Http11, fields: &[], len: 0 };
        let (request, route) = match (&parsed, understood) {
            (Some(parsed), Some((_, route))) => (parsed, route),
            (parsed, _) => (parsed.as_ref().unwrap_or(&blank), Route::default()),
        };
        let real_ip = real_address(self, server, request).map(|address| address.to_string());
        let group = record.group.get().and_then(|group| live.plan.upstreams.get(group as usize));
        let source = Source {
            request,
            route: &route,
            plan: &live.plan,
            server,
            location,
            course,
            client_ip: real_ip.as_deref().unwrap_or(&self.ip),
            connection: self,
            server_port: server_port(&live.plan, self.listener),
            proxy_host: group.map_or("", |group| &group.name),
            depth: MAPS_DEPTH_MAX,
        };
        for log in logs {
            let Some(file) = live.access_logs.get(log.file) else { continue };
            if log.condition.as_ref().is_none_or(|condition| holds(&source, condition)) {
                self.cx.write_line(file, |out| write_line(out, log, &source, raw));
            }
        }
    }
}

/// The text is neither empty nor "0".
fn holds(source: &Source, condition: &Template) -> bool {
    let (mut len, mut first) = (0, 0);
    source.write(condition, |piece| {
        if let (0, Some(&byte)) = (len, piece.first()) {
            first = byte;
        }
        len += piece.len();
    });
    len > 1 || len == 1 && first != b'0'
}

/// One line with its end. `raw` is the request line where it was not understood.
fn write_line(out: &mut Vec<u8>, log: &AccessLog, source: &Source, raw: Option<&[u8]>) {
    let kind = log.format.escape;
    for part in log.format.template.parts() {
        let variable = match part {
            Part::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                continue;
            }
            Part::Variable(variable) => variable,
        };
        let before = out.len();
        match (variable, raw) {
            (Variable::RequestLine, Some(line)) => escape(kind, line, out),
            (Variable::ServerProtocol | Variable::RequestUri | Variable::Uri, Some(_)) => {}
            _ => source.write_one(variable, &mut |piece| escape(kind, piece, out)),
        }
        if out.len() == before && kind == Escape::Default {
            out.push(b'-');
        }
    }
    out.push(b'\n');
}

/// What stands where a request line should; nothing else of such a request is known.
fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|&b| b == b'\r' || b == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
    &line[..line.len().min(ACCESS_RAW_LINE_MAX)]
}
