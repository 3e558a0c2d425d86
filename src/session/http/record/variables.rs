//! The variables that no request has in itself: of the connection, the time, the process, and the answer as far as it is there.

use super::seconds;
use crate::config::template::Variable;
use crate::ring::Driver;
use crate::session::http::client::Client;
use crate::session::http::plain_ip;
use std::fmt::Write as _;

impl<D: Driver> Client<'_, D> {
    /// See the head of this file.
    pub(in crate::session::http) fn write_other(&self, variable: &Variable, out: &mut dyn FnMut(&[u8])) {
        let (record, cx) = (&self.record, self.cx);
        let mut number = |number: u64| out(itoa::Buffer::new().format(number).as_bytes());
        let (head_begin, head_end) = record.head_at.get();
        match variable {
            Variable::Status => match record.status.get() {
                0 => out(b"000"),
                status => number(status.into()),
            },
            Variable::BytesSent => number(record.sent.get()),
            Variable::BodyBytesSent => number(record.sent.get().saturating_sub(record.head_sent.get().into())),
            Variable::RequestLength => number(u64::from(head_end - head_begin) + record.body.get()),
            Variable::Connection => number(u64::from(self.socket.id().number()) << 10 | cx.worker() as u64),
            Variable::ConnectionRequests => number(record.nth.get().into()),
            Variable::Pid => number(std::process::id().into()),
            Variable::RequestTime => seconds(cx.reactor.now_us().saturating_sub(record.began_us.get()) / 1000, out),
            Variable::Msec => seconds(cx.clock.unix_ms(cx.reactor.now_ms()), out),
            Variable::TimeLocal => cx.clock.local(cx.reactor.now_ms(), out),
            Variable::TimeIso8601 => cx.clock.iso(cx.reactor.now_ms(), out),
            Variable::RequestCompletion => out(if record.whole.get() { b"OK" } else { b"" }),
            Variable::RequestId => out(self.request_id().as_bytes()),
            Variable::Hostname => out(hostname().as_bytes()),
            Variable::Version => out(env!("CARGO_PKG_VERSION").as_bytes()),
            Variable::ServerAddr => match self.socket.local() {
                Ok(Some(address)) => out(plain_ip(address).to_string().as_bytes()),
                _ => out(b"unix:"),
            },
            Variable::GzipRatio => {
                let compressed = record.details.borrow().as_ref().and_then(|details| details.compressed);
                if let Some((before, after @ 1..)) = compressed {
                    let ratio = before * 100 / after;
                    out(format!("{}.{:02}", ratio / 100, ratio % 100).as_bytes());
                }
            }
            Variable::SentHttp(name) => record.write_field(false, name, out),
            Variable::UpstreamHttp(name) => record.write_field(true, name, out),
            Variable::UpstreamCookie(name) => record.write_cookie(name, out),
            Variable::Upstream(variable) => record.write_tries(*variable, out),
            _ => {} // the request's own: `Source` answers them
        }
    }

    /// 32 hexadecimal digits, of each request others.
    fn request_id(&self) -> String {
        self.record.with_details(|details| {
            let random = || self.cx.reactor.random();
            let [high, low] = *details.id.get_or_insert_with(|| [random(), random()]);
            let mut text = String::with_capacity(32);
            let _ = write!(text, "{high:016x}{low:016x}");
            text
        })
    }
}

/// This machine's name.
fn hostname() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned())
}
