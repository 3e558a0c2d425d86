//! What health checks by TLS ask of servers: what traffic asks, but for the check's own keys. A check that asks for more than
//! traffic does would take servers out of use that are well.

use super::Builder;
use super::pass::NAMELESS;
use crate::config::file::HealthCheck as Section;
use crate::config::plan::{CheckKind, ProxySsl};
use crate::config::report::{Place, Report};
use crate::config::settings::files::file_or_off;
use crate::config::settings::proxy_ssl::{self, UNVERIFIED};
use crate::config::value::{is_number, switch};
use std::path::PathBuf;

/// A check's own keys; what traffic asks is known when all sections are.
pub(super) struct CheckSsl {
    /// Index into `Plan::upstreams`.
    upstream: usize,
    whole: Place,
    verify: Option<bool>,
    /// `Some(None)`: the name that each server has.
    name: Option<Option<String>>,
    /// `Some(None)`: the system's.
    trusted: Option<Option<PathBuf>>,
    /// From `host`: the site that is asked for is the one whose certificate should be there.
    of_host: Option<String>,
}

const ALPN: &str = "http/1.1";

impl Builder<'_> {
    /// Notes what the check of the group asks that will be pushed next. Its place in the plan follows in `check_as_traffic`.
    pub(super) fn check_ssl(&mut self, section: &Section, source: usize, whole: &Place) -> usize {
        let directory = self.directory(source);
        let of_host = section.host.as_ref().and_then(|host| {
            let host = &host.get_ref().0;
            let bare = host.rsplit_once(':').filter(|(_, port)| is_number(port)).map_or(&**host, |(name, _)| name);
            proxy_ssl::name(bare).ok().flatten()
        });
        let check = CheckSsl {
            upstream: self.upstreams.len(),
            whole: whole.clone(),
            verify: self.setting(source, &section.ssl_verify, None, |text| switch(text).map(Some)),
            name: self.setting(source, &section.ssl_name, None, |text| proxy_ssl::name(text).map(Some)),
            trusted: self.setting(source, &section.ssl_trusted_certificate, None, |text| {
                file_or_off(text, &directory).map(Some)
            }),
            of_host,
        };
        if let (Some(false), Some(setting)) = (check.verify, &section.ssl_verify) {
            self.reports.push(Report::warning(Place::at(source, setting.span()), UNVERIFIED));
        }
        self.checks.push(check);
        0
    }

    /// Completes every check by what leads to its group, or by the file's `settings` if nothing does or not all is alike.
    pub(super) fn check_as_traffic(&mut self, settings: &proxy_ssl::ProxySsl) {
        for check in std::mem::take(&mut self.checks) {
            let (traffic, of_host) = match self.asked_by_traffic(check.upstream) {
                // Who asks by TLS knows the name; `host` is for the request only.
                Some(traffic) => (traffic, None),
                None => match settings.asked(&[ALPN]) {
                    Ok(asked) => (asked, check.of_host),
                    Err(report) => {
                        self.report_once(*report);
                        continue;
                    }
                },
            };
            let trusted = check.trusted.unwrap_or_else(|| traffic.trusted.clone());
            let asked = ProxySsl {
                verify: check.verify.unwrap_or(traffic.verify),
                name: check.name.unwrap_or_else(|| traffic.name.clone().or(of_host)),
                // Lists of one authority say nothing of another's certificates, and what they do not know is refused.
                revoked: traffic.revoked.clone().filter(|_| trusted == traffic.trusted),
                trusted,
                alpn: vec![ALPN.to_string()],
                ..traffic
            };
            // A group with errors may be missing.
            let Some(upstream) = self.upstreams.get(check.upstream) else { continue };
            if asked.verify && asked.name.is_none() && upstream.peers.iter().any(|peer| peer.name.starts_with("unix:"))
            {
                self.error(check.whole, format!("{NAMELESS}; write `ssl_name`"));
            }
            let index = self.proxy_ssl_of(asked);
            let checked = self.upstreams[check.upstream].health_check.as_mut().map(|check| &mut check.kind);
            if let Some(CheckKind::Http { ssl, .. }) = checked {
                *ssl = Some(index);
            }
        }
    }

    /// What all those ask by TLS that lead to the group, if they ask for the same.
    fn asked_by_traffic(&self, upstream: usize) -> Option<ProxySsl> {
        let locations = self.servers.iter().flat_map(|server| &server.locations);
        let of_locations = locations.filter(|location| location.action.upstream() == Some(upstream));
        let of_tcps = self.tcps.iter().filter(|tcp| tcp.upstream == upstream).filter_map(|tcp| tcp.proxy_ssl);
        let mut all = of_locations
            .filter_map(|location| location.action.ssl())
            .chain(of_tcps)
            .map(|index| ProxySsl { alpn: Vec::new(), ..self.proxy_ssls[index].clone() });
        let first = all.next()?;
        all.all(|other| other == first).then_some(first)
    }
}
