//! `[[tcp]]` sections.

use super::listening::of_no_use;
use super::{Builder, Section};
use crate::config::address;
use crate::config::file::{self, Many, Word};
use crate::config::plan::{self, ProxyProtocol};
use crate::config::report::{Place, Report};
use crate::config::settings::{Settings, idle, wait};
use crate::config::value::switch;
use crate::limits;
use std::time::Duration;
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
                let report =
                    Report::error(place.clone(), "this tcp section has no `proxy_pass`: it would lead nowhere");
                Err(Box::new(report.help("write\n\nproxy_pass = \"127.0.0.1:5432\"")))
            }
        };
        let upstream = upstream.unwrap_or_else(|report| {
            self.reports.push(*report);
            0
        });
        let section = Section::Tcp(self.tcps.len());
        let alpn = self.alpn(tcp, source);
        self.offer(section, &settings.ssl, alpn, &tcp.inherited(), source);
        let preread = Duration::from_millis(limits::PREREAD_TIMEOUT_DEFAULT);
        let ssl_preread = self.setting(source, &tcp.ssl_preread, false, switch);
        let by_tls = self.setting(source, &tcp.proxy_ssl, false, switch);
        if let (true, true, Some(key)) = (ssl_preread, by_tls, &tcp.proxy_ssl) {
            let message = "with `ssl_preread` the client's TLS goes to the server as it is: leave `proxy_ssl` out";
            self.error(Place::at(source, key.span()), message);
        }
        if let (false, Some((place, keys))) = (by_tls, of_no_use(&tcp.inherited(), "proxy_ssl_", source)) {
            let message = format!("servers are not asked by TLS here: {keys}; write proxy_ssl = \"on\"");
            self.reports.push(Report::warning(place, message));
        }
        let place = tcp.proxy_ssl.as_ref().map_or(place, |key| Place::at(source, key.span()));
        let plan = plan::Tcp {
            names: self.server_names(&tcp.server_name, source),
            ssl_preread,
            preread_timeout: self.setting(source, &tcp.preread_timeout, preread, wait),
            proxy_ssl: by_tls.then(|| self.proxy_ssl(&settings.proxy_ssl, &[], Some(upstream), &place)),
            proxy_protocol: self.setting(source, &tcp.proxy_protocol, None, proxy_protocol),
            ..settings.tcp(upstream, idle_timeout)
        };
        self.tcps.push(plan);
    }

    /// What `ssl_alpn` lists; nginx's files have several words in one text.
    fn alpn(&mut self, tcp: &file::Tcp, source: usize) -> Vec<String> {
        let mut names = Vec::new();
        for (Word(text), span) in tcp.ssl_alpn.as_ref().map(Many::items).unwrap_or_default() {
            for name in text.split_ascii_whitespace().map(|name| name.trim_end_matches(';')) {
                match name.len() {
                    1..=255 => names.push(name.to_string()),
                    _ => self.error(Place::at(source, span.clone()), "the name of a protocol has 1 to 255 bytes"),
                }
            }
        }
        names
    }
}

/// Whether servers are told the client's address, and how; `on` is nginx's: version 1.
fn proxy_protocol(text: &str) -> Result<Option<ProxyProtocol>, String> {
    match text {
        "off" => Ok(None),
        "on" | "v1" => Ok(Some(ProxyProtocol::V1)),
        "v2" => Ok(Some(ProxyProtocol::V2)),
        _ => Err("write \"on\", \"v1\", \"v2\" or \"off\"".to_string()),
    }
}

/// A connection that could not be made goes to the next server, or ends.
fn next_upstream(text: &str) -> Result<bool, String> {
    switch(text).map_err(|error| match text.split_ascii_whitespace().any(|word| word.starts_with("http_")) {
        true => format!("a [[tcp]] section sees no HTTP statuses; {error}"),
        false => error,
    })
}
