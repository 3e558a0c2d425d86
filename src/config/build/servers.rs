//! Servers and their locations.

use super::{Builder, Section};
use crate::config::address;
use crate::config::file::{self, Many, Word};
use crate::config::plan::Action;
use crate::config::report::{Place, Report};
use crate::config::settings::Settings;
use toml::Spanned;

impl Builder<'_> {
    pub(super) fn server(&mut self, server: &Spanned<file::Server>, source: usize, settings: &Settings) {
        let (place, server) = (Place::at(source, server.span()), server.get_ref());
        let mut settings = settings.clone();
        self.inherit(&mut settings, server.inherited(), source);
        let names = self.server_names(server, source);
        match &server.listen {
            Some(listen) => self.listen(Section::Server(self.servers.len()), listen, source, address::listen),
            None => self.listen_by_default(place.clone()),
        }
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
            locations.push(settings.location(prefix.get_ref().clone(), Action::Proxy { upstream, ssl: None }));
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
}
