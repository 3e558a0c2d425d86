//! `[[tcp]]` sections.

use super::{Builder, Section};
use crate::config::address;
use crate::config::file;
use crate::config::report::{Place, Report};
use crate::config::settings::{Settings, idle};
use crate::config::value::switch;
use toml::Spanned;

impl Builder<'_> {
    pub(super) fn tcp(&mut self, tcp: &Spanned<file::Tcp>, source: usize, settings: &Settings) {
        let (place, tcp) = (Place::at(source, tcp.span()), tcp.get_ref());
        let mut settings = settings.clone();
        self.inherit(&mut settings, tcp.inherited(), source);
        let next = self.setting(source, &tcp.proxy_next_upstream, None, |text| next_upstream(text).map(Some));
        if let Some(on) = next {
            settings.set_tcp_retry(on);
        }
        let idle_timeout = self.setting(source, &tcp.proxy_timeout, None, idle);
        match &tcp.listen {
            Some(listen) => self.listen(Section::Tcp(self.tcps.len()), listen, source, address::tcp_listen),
            None => {
                let report = Report::error(place.clone(), "this tcp section has no `listen`: nobody could connect");
                self.reports.push(report.help("write\n\nlisten = \"5432\""));
            }
        }
        let upstream = match &tcp.proxy_pass {
            Some(pass) => self.tcp_pass(&pass.get_ref().0, &Place::at(source, pass.span())),
            None => {
                let report = Report::error(place, "this tcp section has no `proxy_pass`: it would lead nowhere");
                Err(Box::new(report.help("write\n\nproxy_pass = \"127.0.0.1:5432\"")))
            }
        };
        let upstream = upstream.unwrap_or_else(|report| {
            self.reports.push(*report);
            0
        });
        self.tcps.push(settings.tcp(upstream, idle_timeout));
    }
}

/// A connection that could not be made goes to the next server, or ends.
fn next_upstream(text: &str) -> Result<bool, String> {
    switch(text).map_err(|error| match text.split_ascii_whitespace().any(|word| word.starts_with("http_")) {
        true => format!("a [[tcp]] section sees no HTTP statuses; {error}"),
        false => error,
    })
}
