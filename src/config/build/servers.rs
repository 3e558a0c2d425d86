//! Servers and their locations.

use super::listening::of_no_use;
use super::{Builder, Section};
use crate::config::address;
use crate::config::file::{self, Many, Word};
use crate::config::plan::{Action, Server};
use crate::config::report::{Place, Report};
use crate::config::returns::{hsts, returns};
use crate::config::settings::Settings;
use crate::config::settings::files::file;
use std::path::PathBuf;
use toml::Spanned;

impl Builder<'_> {
    pub(super) fn server(&mut self, server: &Spanned<file::Server>, source: usize, settings: &Settings) {
        let (place, server) = (Place::at(source, server.span()), server.get_ref());
        let mut settings = settings.clone();
        self.inherit(&mut settings, server.inherited(), source);
        let names = self.server_names(&server.server_name, source);
        match &server.listen {
            Some(listen) => self.listen(Section::Server(self.servers.len()), listen, source, address::listen),
            None => self.listen_by_default(place.clone()),
        }
        let returns = self.setting(source, &server.returns, None, |text| returns(text).map(Some));
        if let (Some(setting), Some((first, _))) = (&server.returns, server.location.0.first()) {
            let message = "`return` answers every request of this server: its locations are never reached";
            let report = Report::warning(Place::at(source, first.span()), message);
            self.reports.push(report.also(Place::at(source, setting.span()), "this answers"));
        }
        if server.location.0.is_empty() && server.returns.is_none() {
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
            let action = self.action(location, &settings, source, place);
            if let (None, Some((place, keys))) = (action.ssl(), of_no_use(&location.inherited(), "proxy_ssl_", source))
            {
                let message = format!("no server is asked by TLS here: {keys}; write proxy_pass = \"https://...\"");
                self.reports.push(Report::warning(place, message));
            }
            locations.push(settings.location(prefix.get_ref().clone(), action));
        }
        let by_tls = locations.iter().any(|location| location.action.ssl().is_some());
        if let (false, Some((place, keys))) = (by_tls, of_no_use(&server.inherited(), "proxy_ssl_", source)) {
            let message = format!("no location here asks by TLS: {keys}; write proxy_pass = \"https://...\"");
            self.reports.push(Report::warning(place, message));
        }
        locations.sort_by_key(|location| std::cmp::Reverse(location.prefix.len()));
        let section = Section::Server(self.servers.len());
        self.offer(section, &settings.ssl, vec!["http/1.1".to_string()], &server.inherited(), source);
        let hsts = self.hsts(server, source);
        let acme_webroot = self.webroot(server, source);
        self.servers.push(Server { hsts, acme_webroot, returns, ..settings.server(names, locations) });
    }

    /// What a location does, given where it begins.
    fn action(&mut self, location: &file::Location, settings: &Settings, source: usize, place: Place) -> Action {
        let returned = self.setting(source, &location.returns, None, |text| returns(text).map(Some));
        match (returned, &location.returns, &location.proxy_pass) {
            (_, Some(returns), Some(pass)) => {
                let message = "`return` answers here: nothing would be passed on; leave one of them out";
                let report = Report::error(Place::at(source, pass.span()), message);
                self.reports.push(report.also(Place::at(source, returns.span()), "this answers"));
            }
            (Some(returned), ..) => return Action::Return(returned),
            (None, Some(_), None) => {}
            (None, None, Some(pass)) => {
                let place = Place::at(source, pass.span());
                match self.pass(&pass.get_ref().0, &place) {
                    Ok((upstream, https)) => {
                        let ssl = https.then(|| self.proxy_ssl(&settings.proxy_ssl, &["http/1.1"], upstream, &place));
                        return Action::Proxy { upstream, ssl };
                    }
                    Err(report) => self.reports.push(*report),
                }
            }
            (None, None, None) => {
                let message = "this location has no `proxy_pass` and no `return`: it could answer nothing";
                let report = Report::error(place, message);
                self.reports.push(report.help("write\n\nproxy_pass = \"http://127.0.0.1:3000\""));
            }
        }
        // With an error there is no plan.
        Action::Proxy { upstream: 0, ssl: None }
    }

    fn hsts(&mut self, server: &file::Server, source: usize) -> Option<String> {
        let (hsts, warning) = self.setting(source, &server.hsts, (None, None), hsts);
        let setting = server.hsts.as_ref()?;
        let place = Place::at(source, setting.span());
        self.reports.extend(warning.map(|message| Report::warning(place.clone(), message)));
        let message = "`hsts` is said on TLS only: nobody hears it without a `listen` with `ssl`";
        if hsts.is_some() {
            self.unheard.push((Section::Server(self.servers.len()), Report::warning(place, message)));
        }
        hsts
    }

    fn webroot(&mut self, server: &file::Server, source: usize) -> Option<PathBuf> {
        let directory = self.directory(source);
        let webroot = |text: &str| match text {
            "off" => Ok(None),
            _ if text.trim_end_matches('/').ends_with("/.well-known/acme-challenge") => {
                Err("write the folder above `.well-known`, as certbot's --webroot-path has it".to_string())
            }
            _ => file(text, &directory).map(Some),
        };
        self.setting(source, &server.acme_webroot, None, webroot)
    }

    /// What `server_name` lists.
    pub(super) fn server_names(&mut self, list: &Option<Spanned<Many<Word>>>, source: usize) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (Word(name), span) in list.as_ref().map(Many::items).unwrap_or_default() {
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
