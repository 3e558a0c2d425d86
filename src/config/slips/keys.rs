//! What may stand where, and an example of each: for suggestions. The mirror in `file` decides; a test compares the two.

/// A kind of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Above the first heading.
    Top,
    /// `[upstream.NAME]`.
    Upstream,
    /// `{ address = ... }` in an upstream's `server`.
    Backend,
    /// `[[server]]`.
    Server,
    /// `[server.location."/"]`.
    Location,
    /// `[[tcp]]`.
    Tcp,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A string or a whole number.
    Word,
    /// One or a list.
    Words,
    /// The same, and tables within.
    Backends,
    /// Further sections.
    Sections,
}

/// One known key.
#[derive(Debug)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// Where it may stand, outermost first.
    pub sections: &'static [Section],
    /// A line that shows it; for sections the heading.
    pub example: &'static str,
}

use Form::{Backends, Sections, Word, Words};
use Section::{Backend, Location, Server, Tcp, Top, Upstream};

const fn key(name: &'static str, form: Form, sections: &'static [Section], example: &'static str) -> Key {
    Key { name, form, sections, example }
}

/// All of them.
pub const KEYS: &[Key] = &[
    key("workers", Word, &[Top], "workers = 4"),
    key("worker_connections", Word, &[Top], "worker_connections = 65536"),
    key("handover", Word, &[Top], "handover = \"off\""),
    key("error_log", Word, &[Top], "error_log = \"/var/log/ringgate.log\""),
    key("admin", Word, &[Top], "admin = \"/run/ringgate.sock\""),
    key("shutdown_timeout", Word, &[Top], "shutdown_timeout = \"30s\""),
    key("splice_min", Word, &[Top], "splice_min = \"256k\""),
    key("include", Words, &[Top], "include = [\"conf.d/*.toml\"]"),
    key("upstream", Sections, &[Top], "[upstream.backend]"),
    key("server", Sections, &[Top], "[[server]]"),
    key("tcp", Sections, &[Top], "[[tcp]]"),
    key("server", Backends, &[Upstream], "server = [\"127.0.0.1:8000\", \"127.0.0.1:8001\"]"),
    key("balance", Word, &[Upstream], "balance = \"least_conn\""),
    key("keepalive", Word, &[Upstream], "keepalive = 512"),
    key("address", Word, &[Backend], "address = \"127.0.0.1:8000\""),
    key("weight", Word, &[Backend], "weight = 2"),
    key("listen", Words, &[Server], "listen = \"8080\""),
    key("server_name", Words, &[Server], "server_name = [\"example.org\", \"www.example.org\"]"),
    key("location", Sections, &[Server], "[server.location.\"/\"]"),
    key("proxy_pass", Word, &[Location], "proxy_pass = \"http://127.0.0.1:3000\""),
    key("listen", Words, &[Tcp], "listen = \"5432\""),
    key("proxy_pass", Word, &[Tcp], "proxy_pass = \"127.0.0.1:5432\""),
    key("proxy_timeout", Word, &[Tcp], "proxy_timeout = \"10m\""),
    key("client_header_timeout", Word, &[Top, Server], "client_header_timeout = \"30s\""),
    key("keepalive_timeout", Word, &[Top, Server, Upstream], "keepalive_timeout = \"75s\""),
    key("keepalive_requests", Word, &[Top, Server], "keepalive_requests = 1000"),
    key("client_max_body_size", Word, INHERITED, "client_max_body_size = \"100m\""),
    key("client_body_timeout", Word, INHERITED, "client_body_timeout = \"60s\""),
    key("send_timeout", Word, INHERITED, "send_timeout = \"60s\""),
    key("proxy_connect_timeout", Word, &[Top, Server, Location, Tcp], "proxy_connect_timeout = \"5s\""),
    key("proxy_first_byte_timeout", Word, INHERITED, "proxy_first_byte_timeout = \"60s\""),
    key("proxy_read_timeout", Word, INHERITED, "proxy_read_timeout = \"60s\""),
    key("proxy_send_timeout", Word, INHERITED, "proxy_send_timeout = \"60s\""),
    key("proxy_tunnel_timeout", Word, INHERITED, "proxy_tunnel_timeout = \"1h\""),
];

const INHERITED: &[Section] = &[Top, Server, Location];

impl Section {
    /// How a person finds it.
    pub fn title(self) -> &'static str {
        match self {
            Top => "at the top of the file, above the first section",
            Upstream => "in [upstream.NAME]",
            Backend => "in { address = \"127.0.0.1:8000\", weight = 2 }",
            Server => "in [[server]]",
            Location => "in [server.location.\"/\"]",
            Tcp => "in [[tcp]]",
        }
    }

    /// What may stand in it.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.sections.contains(&self))
    }

    /// One known key of it.
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// A key of any section, the innermost meaning of it first: `server` as people write it with a value.
pub fn anywhere(name: &str) -> Option<&'static Key> {
    let mut found: Vec<&Key> = KEYS.iter().filter(|key| key.name == name).collect();
    found.sort_by_key(|key| key.form == Sections);
    found.first().copied()
}
