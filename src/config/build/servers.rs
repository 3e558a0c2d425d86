//! Servers and their locations.

use super::listening::of_no_use;
use super::locations::Tree;
use super::{Builder, Section};
use crate::config::address;
use crate::config::file::{self, Many, Word};
use crate::config::plan::{Action, Location, Matching, Root, Server, TryFiles};
use crate::config::report::{Place, Report};
use crate::config::returns::hsts;
use crate::config::settings::Settings;
use crate::config::settings::files::file;
use ahash::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
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
        self.types(&mut settings, &server.types, source);
        if let (Some(setting), Some((first, _))) = (&server.returns, server.location.0.first()) {
            let message = "`return` answers every request of this server: its locations are never reached";
            let report = Report::warning(Place::at(source, first.span()), message);
            self.reports.push(report.also(Place::at(source, setting.span()), "this answers"));
        }
        let rules = self.rules(&server.rewrite, &server.returns, source);
        let try_files = self.try_files(&server.try_files, source);
        let mut tree = Tree { source, locations: Vec::new(), named: HashMap::default(), wanted: Vec::new() };
        let level = self.locations(&mut tree, &server.location, None, &settings);
        let rest = self.rest(&settings, try_files);
        let access_log = rest.access_log.clone();
        let answers = rest.try_files.is_some() || rest.files.root != Root::None || !rest.error_pages.is_empty();
        let is_empty = server.location.0.is_empty() && server.rewrite.is_none() && server.returns.is_none();
        if is_empty && !answers {
            let help =
                "beneath this [[server]] write\n\n[server.location.\"/\"]\nproxy_pass = \"http://127.0.0.1:3000\"";
            let message = "this server has no location: it could answer nothing";
            self.reports.push(Report::error(place, message).help(help));
        }
        tree.want(&server.try_files, &server.error_page);
        self.warn_of_names(&tree);
        let Tree { mut locations, named, .. } = tree;
        let by_tls = locations.iter().any(|location| location.action.ssl().is_some());
        if let (false, Some((place, keys))) = (by_tls, of_no_use(&server.inherited(), "proxy_ssl_", source)) {
            let message = format!("no location here asks by TLS: {keys}; write proxy_pass = \"https://...\"");
            self.reports.push(Report::warning(place, message));
        }
        let is_prefix = |nth: &usize| locations[*nth].name == "/" || locations[*nth].name == "^~ /";
        let fallback = (!level.prefixes.iter().any(is_prefix) && (answers || !rules.is_empty() || says_more(&rest)))
            .then(|| {
                locations.push(rest);
                locations.len() - 1
            });
        let section = Section::Server(self.servers.len());
        self.offer(section, &settings.ssl, vec!["http/1.1".to_string()], &server.inherited(), source);
        let hsts = self.hsts(server, source);
        let acme_webroot = self.webroot(server, source);
        let rules = Arc::new(rules);
        let server = Server {
            hsts,
            acme_webroot,
            access_log,
            rules,
            locations,
            level,
            named,
            fallback,
            ..settings.server(names)
        };
        self.servers.push(server);
    }

    /// What holds where no location does.
    fn rest(&mut self, settings: &Settings, try_files: Option<TryFiles>) -> Location {
        let action = if settings.served.root == Root::None { Action::Nothing } else { Action::Files };
        let location = self.location(settings, String::new(), Matching::Rest, action);
        Location { try_files: try_files.map(Arc::new), ..location }
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
}

/// The settings of a server would say something of requests that no location takes.
fn says_more(rest: &Location) -> bool {
    !rest.access.is_open()
        || !rest.answers.is_empty()
        || !rest.limit_req.is_empty()
        || !rest.limit_conn.is_empty()
        || !rest.access_log.is_empty()
        || !rest.compression.is_off()
}
