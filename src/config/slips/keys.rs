//! What may stand where, and an example of each: for suggestions. The mirror in `file` decides; a test compares the two.

/// A kind of section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Above the first heading.
    Top,
    /// `[upstream.NAME]`.
    Upstream,
    /// `[upstream.NAME.health_check]`.
    HealthCheck,
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
use Section::{Backend, HealthCheck, Location, Server, Tcp, Top, Upstream};

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
    key("resolver", Words, &[Top], "resolver = \"127.0.0.53 valid=30s\""),
    key("include", Words, &[Top], "include = [\"conf.d/*.toml\"]"),
    key("upstream", Sections, &[Top], "[upstream.backend]"),
    key("server", Sections, &[Top], "[[server]]"),
    key("tcp", Sections, &[Top], "[[tcp]]"),
    key("server", Backends, &[Upstream], "server = [\"127.0.0.1:8000\", \"127.0.0.1:8001\"]"),
    key("balance", Word, &[Upstream], "balance = \"least_conn\""),
    key("sticky", Word, &[Upstream], "sticky = \"cookie route\""),
    key("keepalive", Word, &[Upstream], "keepalive = 512"),
    key("max_ejected", Word, &[Upstream], "max_ejected = \"90%\""),
    key("max_fail_rate", Word, &[Upstream], "max_fail_rate = \"50%\""),
    key("fail_open", Word, &[Upstream], "fail_open = \"off\""),
    key("retry_budget", Word, &[Upstream], "retry_budget = \"20%\""),
    key("queue", Word, &[Upstream], "queue = 1000"),
    key("queue_timeout", Word, &[Upstream], "queue_timeout = \"10s\""),
    key("on_down", Word, &[Upstream], "on_down = \"close\""),
    key("health_check", Sections, &[Upstream], "[upstream.backend.health_check]"),
    key("address", Word, &[Backend], "address = \"127.0.0.1:8000\""),
    key("weight", Word, &[Backend], "weight = 2"),
    key("backup", Word, &[Backend], "backup = \"on\""),
    key("down", Word, &[Backend], "down = \"on\""),
    key("max_conns", Word, &[Backend], "max_conns = 100"),
    key("max_fails", Word, &[Backend], "max_fails = 3"),
    key("fail_timeout", Word, &[Backend], "fail_timeout = \"10s\""),
    key("slow_start", Word, &[Backend], "slow_start = \"30s\""),
    key("resolve", Word, &[Backend], "resolve = \"on\""),
    key("type", Word, &[HealthCheck], "type = \"http\""),
    key("interval", Word, &[HealthCheck], "interval = \"5s\""),
    key("timeout", Word, &[HealthCheck], "timeout = \"3s\""),
    key("jitter", Word, &[HealthCheck], "jitter = \"10%\""),
    key("rise", Word, &[HealthCheck], "rise = 2"),
    key("fall", Word, &[HealthCheck], "fall = 3"),
    key("port", Word, &[HealthCheck], "port = 8080"),
    key("uri", Word, &[HealthCheck], "uri = \"/health\""),
    key("path", Word, &[HealthCheck], "path = \"/health\""),
    key("host", Word, &[HealthCheck], "host = \"example.org\""),
    key("status", Words, &[HealthCheck], "status = [\"200-399\"]"),
    key("body", Word, &[HealthCheck], "body = \"ok\""),
    key("user", Word, &[HealthCheck], "user = \"ringgate\""),
    key("send", Word, &[HealthCheck], "send = \"PING\\r\\n\""),
    key("expect", Word, &[HealthCheck], "expect = \"220\""),
    key("quit", Word, &[HealthCheck], "quit = \"QUIT\\r\\n\""),
    key("ssl_verify", Word, &[HealthCheck], "ssl_verify = \"off\""),
    key("ssl_name", Word, &[HealthCheck], "ssl_name = \"app.internal\""),
    key("ssl_trusted_certificate", Word, &[HealthCheck], "ssl_trusted_certificate = \"/etc/ssl/backends.pem\""),
    key("listen", Words, &[Server], "listen = \"8080\""),
    key("server_name", Words, &[Server], "server_name = [\"example.org\", \"www.example.org\"]"),
    key("hsts", Word, &[Server], "hsts = \"1y\""),
    key("acme_webroot", Word, &[Server], "acme_webroot = \"/var/www/certbot\""),
    key("return", Word, &[Server, Location], "return = \"301 https://$host$request_uri\""),
    key("location", Sections, &[Server], "[server.location.\"/\"]"),
    key("proxy_pass", Word, &[Location], "proxy_pass = \"http://127.0.0.1:3000\""),
    key("listen", Words, &[Tcp], "listen = \"5432\""),
    key("server_name", Words, &[Tcp], "server_name = [\"example.org\", \"*.example.org\"]"),
    key("proxy_pass", Word, &[Tcp], "proxy_pass = \"127.0.0.1:5432\""),
    key("proxy_ssl", Word, &[Tcp], "proxy_ssl = \"on\""),
    key("proxy_protocol", Word, &[Tcp], "proxy_protocol = \"on\""),
    key("ssl_preread", Word, &[Tcp], "ssl_preread = \"on\""),
    key("preread_timeout", Word, &[Tcp], "preread_timeout = \"30s\""),
    key("ssl_alpn", Words, &[Tcp], "ssl_alpn = \"imap\""),
    key("proxy_timeout", Word, &[Tcp], "proxy_timeout = \"10m\""),
    key("client_header_timeout", Word, &[Top, Server], "client_header_timeout = \"30s\""),
    key("keepalive_timeout", Word, &[Top, Server, Upstream], "keepalive_timeout = \"75s\""),
    key("keepalive_requests", Word, &[Top, Server], "keepalive_requests = 1000"),
    key("client_max_body_size", Word, INHERITED, "client_max_body_size = \"100m\""),
    key("client_body_timeout", Word, INHERITED, "client_body_timeout = \"60s\""),
    key("send_timeout", Word, INHERITED, "send_timeout = \"60s\""),
    key("proxy_connect_timeout", Word, PROXIED, "proxy_connect_timeout = \"5s\""),
    key("proxy_first_byte_timeout", Word, INHERITED, "proxy_first_byte_timeout = \"60s\""),
    key("proxy_read_timeout", Word, INHERITED, "proxy_read_timeout = \"60s\""),
    key("proxy_send_timeout", Word, INHERITED, "proxy_send_timeout = \"60s\""),
    key("proxy_tunnel_timeout", Word, INHERITED, "proxy_tunnel_timeout = \"1h\""),
    key("proxy_next_upstream", Words, INHERITED, "proxy_next_upstream = \"error timeout http_503\""),
    key("proxy_next_upstream", Word, &[Tcp], "proxy_next_upstream = \"off\""),
    key("proxy_next_upstream_tries", Word, PROXIED, "proxy_next_upstream_tries = 3"),
    key("proxy_next_upstream_timeout", Word, PROXIED, "proxy_next_upstream_timeout = \"10s\""),
    key("proxy_next_upstream_methods", Words, INHERITED, "proxy_next_upstream_methods = [\"POST\"]"),
    key("ssl_certificate", Words, TLS, "ssl_certificate = \"/etc/letsencrypt/live/example.org/fullchain.pem\""),
    key("ssl_certificate_key", Words, TLS, "ssl_certificate_key = \"/etc/letsencrypt/live/example.org/privkey.pem\""),
    key("ssl_protocols", Words, TLS, "ssl_protocols = \"TLSv1.2 TLSv1.3\""),
    key("ssl_ciphers", Word, TLS, "ssl_ciphers = \"HIGH:!aNULL:!MD5\""),
    key("ssl_prefer_server_ciphers", Word, TLS, "ssl_prefer_server_ciphers = \"off\""),
    key("ssl_session_timeout", Word, TLS, "ssl_session_timeout = \"2h\""),
    key("ssl_session_tickets", Word, TLS, "ssl_session_tickets = \"off\""),
    key("ssl_handshake_timeout", Word, TLS, "ssl_handshake_timeout = \"60s\""),
    key("ssl_client_certificate", Word, TLS, "ssl_client_certificate = \"/etc/ssl/clients.pem\""),
    key("ssl_trusted_certificate", Word, TLS, "ssl_trusted_certificate = \"/etc/ssl/clients.pem\""),
    key("ssl_verify_client", Word, TLS, "ssl_verify_client = \"on\""),
    key("ssl_crl", Word, TLS, "ssl_crl = \"/etc/ssl/revoked.pem\""),
    key("ssl_reject_handshake", Word, TLS, "ssl_reject_handshake = \"on\""),
    key("ssl_dhparam", Word, TLS, "ssl_dhparam = \"/etc/ssl/dhparam.pem\""),
    key("ssl_session_cache", Word, TLS, "ssl_session_cache = \"shared:SSL:10m\""),
    key("ssl_ecdh_curve", Word, TLS, "ssl_ecdh_curve = \"auto\""),
    key("ssl_verify_depth", Word, TLS, "ssl_verify_depth = 1"),
    key("ssl_stapling", Word, TLS, "ssl_stapling = \"off\""),
    key("ssl_stapling_verify", Word, TLS, "ssl_stapling_verify = \"off\""),
    key("ssl_buffer_size", Word, TLS, "ssl_buffer_size = \"16k\""),
    key("ssl_early_data", Word, TLS, "ssl_early_data = \"off\""),
    key("ssl_session_ticket_key", Word, TLS, "ssl_session_ticket_key = \"/etc/ssl/ticket.key\""),
    key("ssl_password_file", Word, TLS, "ssl_password_file = \"/etc/ssl/password\""),
    key("proxy_ssl_verify", Word, PROXIED, "proxy_ssl_verify = \"on\""),
    key("proxy_ssl_trusted_certificate", Word, PROXIED, "proxy_ssl_trusted_certificate = \"/etc/ssl/backends.pem\""),
    key("proxy_ssl_name", Word, PROXIED, "proxy_ssl_name = \"app.internal\""),
    key("proxy_ssl_server_name", Word, PROXIED, "proxy_ssl_server_name = \"on\""),
    key("proxy_ssl_certificate", Word, PROXIED, "proxy_ssl_certificate = \"/etc/ssl/ringgate.pem\""),
    key("proxy_ssl_certificate_key", Word, PROXIED, "proxy_ssl_certificate_key = \"/etc/ssl/ringgate.key\""),
    key("proxy_ssl_protocols", Words, PROXIED, "proxy_ssl_protocols = \"TLSv1.2 TLSv1.3\""),
    key("proxy_ssl_ciphers", Word, PROXIED, "proxy_ssl_ciphers = \"DEFAULT\""),
    key("proxy_ssl_session_reuse", Word, PROXIED, "proxy_ssl_session_reuse = \"on\""),
    key("proxy_ssl_crl", Word, PROXIED, "proxy_ssl_crl = \"/etc/ssl/revoked.pem\""),
    key("proxy_ssl_verify_depth", Word, PROXIED, "proxy_ssl_verify_depth = 1"),
    key("proxy_set_header", Words, INHERITED, "proxy_set_header = [\"X-Tenant $http_x_tenant\"]"),
    key("http2", Word, &[Top, Server], "http2 = \"off\""),
    key("set_real_ip_from", Words, &[Top, Server, Tcp], "set_real_ip_from = [\"10.0.0.0/8\"]"),
];

const INHERITED: &[Section] = &[Top, Server, Location];
const PROXIED: &[Section] = &[Top, Server, Location, Tcp];
const TLS: &[Section] = &[Top, Server, Tcp];

impl Key {
    /// It is `"on"` or `"off"`.
    pub fn is_switch(&self) -> bool {
        [" = \"on\"", " = \"off\""].iter().any(|end| self.example.ends_with(end))
    }
}

impl Section {
    /// How a person finds it.
    pub fn title(self) -> &'static str {
        match self {
            Top => "at the top of the file, above the first section",
            Upstream => "in [upstream.NAME]",
            HealthCheck => "in [upstream.NAME.health_check]",
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

    /// Its keys have common names (`host`, `port`, `user`) that elsewhere most often mean something else.
    pub fn is_shy(self) -> bool {
        self == HealthCheck
    }

    /// One known key of it.
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// A key of any section, the innermost meaning of it first: `server` as people write it with a value.
pub fn anywhere(name: &str) -> Option<&'static Key> {
    let mut found: Vec<&Key> = KEYS.iter().filter(|key| key.name == name).collect();
    found.sort_by_key(|key| (key.form == Sections, key.sections[0].is_shy()));
    found.first().copied()
}
