//! Servers and their locations, and where each `proxy_pass` leads.

use super::Builder;
use super::upstreams::group_of;
use crate::config::address::{self, Pass, Target};
use crate::config::file::{self, Many, Word};
use crate::config::report::{Place, Report};
use crate::config::settings::Settings;
use crate::config::slips::closest;
use toml::Spanned;

impl Builder<'_> {
    pub(super) fn server(&mut self, server: &Spanned<file::Server>, source: usize, settings: &Settings) {
        let (place, server) = (Place::at(source, server.span()), server.get_ref());
        let mut settings = settings.clone();
        self.inherit(&mut settings, server.inherited(), source);
        let names = self.server_names(server, source);
        self.listen(server, source, &place);
        if server.location.0.is_empty() {
            let help =
                "beneath this [[server]] write\n\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:3000\"";
            self.reports.push(Report::error(place, "this server has no location: it could answer nothing").help(help));
        }
        let mut locations = Vec::new();
        for (prefix, location) in &server.location.0 {
            let place = Place::at(source, prefix.span());
            if let Err(message) = self.prefix(prefix.get_ref(), &place) {
                self.error(place.clone(), message);
            }
            let mut settings = settings.clone();
            self.inherit(&mut settings, location.inherited(), source);
            let upstream = match &location.proxy_pass {
                Some(pass) => {
                    let place = Place::at(source, pass.span());
                    self.pass(&pass.get_ref().0, &place).unwrap_or_else(|report| {
                        self.reports.push(*report);
                        0
                    })
                }
                None => {
                    let report = Report::error(place, "this location has no `proxy_pass`: it could answer nothing");
                    self.reports.push(report.help("write\n\nproxy_pass = \"http://127.0.0.1:3000\""));
                    0
                }
            };
            locations.push(settings.location(prefix.get_ref().clone(), upstream));
        }
        locations.sort_by_key(|location| std::cmp::Reverse(location.prefix.len()));
        self.servers.push(settings.server(names, locations));
    }

    fn server_names(&mut self, server: &file::Server, source: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (Word(name), span) in server.server_name.as_ref().map(Many::items).unwrap_or_default() {
            let place = Place::at(source, span);
            match address::server_name(name) {
                Ok(name) if names.contains(&name) => {
                    self.reports.push(Report::warning(place, format!("`{name}` stands here twice")));
                }
                Ok(name) => names.push(name),
                Err(message) => self.error(place, message),
            }
        }
        names
    }

    fn prefix(&mut self, prefix: &str, place: &Place) -> Result<(), String> {
        let first = prefix.split_whitespace().next().unwrap_or("");
        if ["=", "~", "~*", "^~"].contains(&first) || prefix.starts_with(['=', '~', '^', '@']) {
            return Err(
                "only plain prefixes such as \"/app/\" are supported yet, not `=`, `~`, `^~` or `@`".to_string()
            );
        }
        if !prefix.starts_with('/') {
            return Err(format!("a location begins with a slash; write [server.location.\"/{prefix}\"]"));
        }
        if let Some((path, _)) = prefix.split_once(['?', '#']) {
            return Err(format!("a location is a path, without a query; write [server.location.\"{path}\"]"));
        }
        let strange = prefix.split('/').any(|segment| segment == "." || segment == "..");
        if strange || prefix.contains("//") || prefix.contains('%') {
            let message =
                "paths are decoded and tidied (`%20`, `//`, `/../`) before they are compared: this may never match";
            self.reports.push(Report::warning(place.clone(), message));
        }
        Ok(())
    }

    /// The upstream that a `proxy_pass` leads to.
    fn pass(&mut self, text: &str, place: &Place) -> Result<usize, Box<Report>> {
        let fail = |message: String| Box::new(Report::error(place.clone(), message));
        let target = match address::pass(text).map_err(fail)? {
            Pass::Host(name) => {
                if let Some(group) = self.groups.get_mut(&name.to_ascii_lowercase()) {
                    group.used = true;
                    return Ok(group.index);
                }
                Target::Name(name.to_ascii_lowercase(), 80)
            }
            Pass::Address(target) => target,
        };
        if let Target::Name(host, port) = &target
            && let Some(group) = self.groups.get_mut(host)
        {
            group.used = true;
            let message = format!("`{host}` is a group, whose servers have ports of their own; leave out \":{port}\"");
            return Err(fail(message));
        }
        if let Some(&index) = self.direct.get(&target) {
            return Ok(index);
        }
        let name = text.trim().trim_start_matches("http://");
        let peers = match self.peers(&target, name, 1) {
            Ok(peers) => peers,
            Err(message) => return Err(Box::new(self.unknown_host(&target, message, place))),
        };
        if let Some((host, near)) = self.near_group(&target) {
            let message = format!("`{host}` is taken for a host, not for the group `{near}`");
            self.reports.push(Report::warning(place.clone(), message));
        }
        self.upstreams.push(group_of(name, peers));
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
                let names: Vec<&str> = self.groups.values().map(|group| &*self.upstreams[group.index].name).collect();
                let help = match names.is_empty() {
                    true => format!("to make a group, write\n\n[upstream.{host}]\nserver = [\"127.0.0.1:3001\"]"),
                    false => format!("the groups are `{}`", names.join("`, `")),
                };
                Report::error(place.clone(), format!("there is no group [upstream.{host}], and {message}")).help(help)
            }
            _ => Report::error(place.clone(), message),
        }
    }
}
