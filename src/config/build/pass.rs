//! Where each `proxy_pass` leads: to a group, or to an address that becomes one.

use super::Builder;
use super::backend::not_found_now;
use crate::config::address::{self, Asked, Pass, Passed, Target};
use crate::config::plan::{self, Peer, Upstream};
use crate::config::report::{Place, Report};
use crate::config::settings::proxy_ssl::ProxySsl;
use crate::config::slips::closest;
use crate::config::template::{Part, Template, Variable};

/// Why a server's certificate cannot be verified.
pub(super) const NAMELESS: &str = "a unix socket has no name to look for in the certificate";

impl Builder<'_> {
    /// Who a location's `proxy_pass` leads to.
    pub(super) fn pass(&mut self, passed: &Passed, place: &Place) -> Result<plan::Pass, Box<Report>> {
        match &passed.to {
            Asked::Fixed(name, pass) => self.fixed(name, pass, passed.https, place).map(plan::Pass::Upstream),
            Asked::Variable(text) => self.by_variable(text, passed.https, place),
        }
    }

    /// The upstream of a group, or of an address that is called `name`.
    fn fixed(&mut self, name: &str, pass: &Pass, https: bool, place: &Place) -> Result<usize, Box<Report>> {
        if let Some(group) = self.known_group(pass, place)? {
            if https {
                self.warn_port_80(group, place);
            }
            return Ok(group);
        }
        let target = match pass {
            Pass::Host(name) => {
                Target::Name(name.to_ascii_lowercase(), if https { address::HTTPS } else { address::HTTP })
            }
            Pass::Address(target) => target.clone(),
        };
        self.address(target, name, place)
    }

    /// A host that is known when a request is. What its variable can be is made ready as far as the file says it.
    fn by_variable(&mut self, text: &str, https: bool, place: &Place) -> Result<plan::Pass, Box<Report>> {
        let error = |message| Box::new(Report::error(place.clone(), message));
        let host = Template::parse(text, &self.known).map_err(error)?;
        let values = match host.parts() {
            [Part::Variable(Variable::Custom(name))] => self.values_of(name),
            _ => Vec::new(),
        };
        let literal: Vec<String> = values.iter().filter_map(|value| value.as_literal()).map(str::to_owned).collect();
        let is_sure = !values.is_empty() && literal.len() == values.len();
        for value in literal.iter().filter(|value| !value.is_empty()) {
            let url = format!("http://{value}");
            match address::pass(&url) {
                Ok(Passed { to: Asked::Fixed(name, pass), uri: "", .. }) => {
                    self.fixed(name, &pass, https, place)?;
                }
                _ => {
                    let message = format!("`{text}` can be \"{value}\", which is neither a group nor an address");
                    self.report_once(Report::warning(place.clone(), message));
                }
            }
        }
        if !is_sure {
            let message = format!(
                "`{text}` can only lead to a group of this file, or to an address that another `proxy_pass` names"
            );
            self.reports.push(Report::warning(place.clone(), message));
            self.groups.values_mut().for_each(|group| group.used = true);
        }
        Ok(plan::Pass::Named(host))
    }

    /// All that a variable of the file's own can be: by its map, and by `set`.
    fn values_of(&self, name: &str) -> Vec<Template> {
        let maps = self.maps.iter().filter(|map| *map.name == *name);
        let by_map = maps.flat_map(|map| {
            let tables = [&map.exact, &map.leading, &map.trailing].into_iter().flat_map(|table| table.values());
            tables.chain(map.regexes.iter().map(|(_, value)| value)).chain([&map.default])
        });
        let by_set = self.set.iter().filter(|(known, _)| **known == *name).map(|(_, value)| value);
        by_map.chain(by_set).cloned().collect()
    }

    /// Servers of a group without a port have nginx's, which seldom speaks TLS.
    fn warn_port_80(&mut self, group: usize, place: &Place) {
        let bare = |peer: &&Peer| !peer.name.starts_with("unix:") && address::target(&peer.name, None).is_err();
        let Some(peer) = self.upstreams[group].peers.iter().find(bare) else { return };
        let message =
            format!("`{0}` has no port, so it is asked at port 80; write \"{0}:443\" in the group", peer.name);
        self.reports.push(Report::warning(place.clone(), message));
    }

    /// What backends are asked for by `settings`: index into `Plan::proxy_ssls`. `upstream`: who they are.
    pub(super) fn proxy_ssl(
        &mut self,
        settings: &ProxySsl,
        alpn: &[&str],
        upstream: Option<usize>,
        place: &Place,
    ) -> usize {
        let asked = settings.asked(alpn).unwrap_or_else(|report| {
            self.report_once(*report);
            plan::ProxySsl::default()
        });
        let peers =
            upstream.and_then(|upstream| self.upstreams.get(upstream)).map_or(&[][..], |upstream| &upstream.peers);
        if asked.verify && asked.name.is_none() && peers.iter().any(|peer| peer.name.starts_with("unix:")) {
            self.error(place.clone(), format!("{NAMELESS}; write `proxy_ssl_name`"));
        }
        self.proxy_ssl_of(asked)
    }

    /// The place of these demands in the plan; equal ones have one.
    pub(super) fn proxy_ssl_of(&mut self, asked: plan::ProxySsl) -> usize {
        self.proxy_ssls.iter().position(|known| *known == asked).unwrap_or_else(|| {
            self.proxy_ssls.push(asked);
            self.proxy_ssls.len() - 1
        })
    }

    /// The upstream that the `proxy_pass` of a tcp section leads to.
    pub(super) fn tcp_pass(&mut self, text: &str, place: &Place) -> Result<usize, Box<Report>> {
        let pass = address::tcp_pass(text).map_err(|message| Box::new(Report::error(place.clone(), message)))?;
        if let Some(group) = self.known_group(&pass, place)? {
            for (there, message) in self.http_only.remove(&group).unwrap_or_default() {
                let report = Report::error(there, message).also(place.clone(), "this [[tcp]] section leads to it");
                self.reports.push(report);
            }
            return Ok(group);
        }
        match pass {
            Pass::Host(name) => {
                let message = address::no_port(&name);
                Err(Box::new(self.unknown_host(&Target::Name(name, 0), message, place)))
            }
            Pass::Address(target) => self.address(target, text.trim().trim_start_matches("tcp://"), place),
        }
    }

    /// The group of that name, if there is one.
    fn known_group(&mut self, pass: &Pass, place: &Place) -> Result<Option<usize>, Box<Report>> {
        let (host, port) = match pass {
            Pass::Host(name) => (name, None),
            Pass::Address(Target::Name(host, port)) => (host, Some(port)),
            Pass::Address(_) => return Ok(None),
        };
        let Some(group) = self.groups.get_mut(&host.to_ascii_lowercase()) else { return Ok(None) };
        group.used = true;
        let Some(port) = port else { return Ok(Some(group.index)) };
        let message = format!("`{host}` is a group, whose servers have ports of their own; leave out \":{port}\"");
        Err(Box::new(Report::error(place.clone(), message)))
    }

    /// The upstream of an address; each address has one.
    fn address(&mut self, target: Target, name: &str, place: &Place) -> Result<usize, Box<Report>> {
        if let Some(&index) = self.direct.get(&target) {
            return Ok(index);
        }
        let (peer, unresolved) = self.peer(&target, name);
        match (unresolved, self.near_group(&target)) {
            (Some(why), Some(_)) => return Err(Box::new(self.unknown_host(&target, why, place))),
            (Some(why), None) => self.warn_unresolved(&target, &why, place),
            (None, Some((host, near))) => {
                let message = format!("`{host}` is taken for a host, not for the group `{near}`");
                self.reports.push(Report::warning(place.clone(), message));
            }
            (None, None) => {}
        }
        self.upstreams.push(Upstream::new(name, vec![peer]));
        self.direct.insert(target, self.upstreams.len() - 1);
        Ok(self.upstreams.len() - 1)
    }

    /// The host, and a group whose name is almost the same.
    fn near_group(&self, target: &Target) -> Option<(String, String)> {
        let Target::Name(host, _) = target else { return None };
        let near = closest(host, self.groups.keys().map(String::as_str))?;
        Some((host.clone(), near.to_string()))
    }

    /// A name that is neither a group's nor a host's: most often a group's, misspelt.
    fn unknown_host(&mut self, target: &Target, message: String, place: &Place) -> Report {
        if let Some((host, near)) = self.near_group(target) {
            let message = format!("there is no group or host `{host}`; did you mean `{near}`?");
            // The group that was meant is not unused.
            self.groups.entry(near).and_modify(|group| group.used = true);
            return Report::error(place.clone(), message);
        }
        match target {
            Target::Name(host, _) if !host.contains('.') => {
                let message = format!("there is no group [upstream.{host}], and {message}");
                Report::error(place.clone(), message).help(self.groups_there_are(host))
            }
            _ => Report::error(place.clone(), message),
        }
    }

    /// A name that is no group's and cannot be found: it may be a host's that comes up later.
    fn warn_unresolved(&mut self, target: &Target, why: &str, place: &Place) {
        let Target::Name(host, _) = target else { return };
        let message = not_found_now(host, why);
        let report = match host.contains('.') {
            true => Report::warning(place.clone(), message),
            false => {
                let message = format!("there is no group [upstream.{host}], and the host {message}");
                Report::warning(place.clone(), message).help(self.groups_there_are(host))
            }
        };
        self.reports.push(report);
    }

    fn groups_there_are(&self, host: &str) -> String {
        let names: Vec<&str> = self.groups.values().map(|group| &*self.upstreams[group.index].name).collect();
        match names.is_empty() {
            true => format!("to make a group, write\n\n[upstream.{host}]\nserver = [\"127.0.0.1:3001\"]"),
            false => format!("the groups are `{}`", names.join("`, `")),
        }
    }
}
