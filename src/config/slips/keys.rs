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
    /// `[map.NAME]`.
    Map,
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
    /// A section whose keys are the file's own.
    Table,
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

use Form::{Backends, Sections, Table, Word, Words};
use Section::{Backend, HealthCheck, Location, Map, Server, Tcp, Top, Upstream};

const fn key(name: &'static str, form: Form, sections: &'static [Section], example: &'static str) -> Key {
    Key { name, form, sections, example }
}

/// All of them.
pub const KEYS: &[Key] = &[
    key("workers", Word, &[Top], "workers = 4"),
    key("worker_connections", Word, &[Top], "worker_connections = 65536"),
    key("handover", Word, &[Top], "handover = \"off\""),
    key("error_log", Word, &[Top], "error_log = \"/var/log/ringgate.log warn\""),
    key("admin", Word, &[Top], "admin = \"/run/ringgate.sock\""),
    key("shutdown_timeout", Word, &[Top], "shutdown_timeout = \"30s\""),
    key("splice_min", Word, &[Top], "splice_min = \"256k\""),
    key("resolver", Words, &[Top], "resolver = \"127.0.0.53 valid=30s\""),
    key("include", Words, &[Top], "include = [\"conf.d/*.toml\"]"),
    key("upstream", Sections, &[Top], "[upstream.backend]"),
    key("server", Sections, &[Top], "[[server]]"),
    key("tcp", Sections, &[Top], "[[tcp]]"),
    key("map", Sections, &[Top], "[map.loggable]"),
    key("source", Word, &[Map], "source = \"$http_user_agent\""),
    key("default", Word, &[Map], "default = \"1\""),
    key("hostnames", Word, &[Map], "hostnames = \"on\""),
    key("values", Table, &[Map], "[map.loggable.values]"),
    key("log_format", Table, &[Top], "[log_format]"),
    key("limit_req_zone", Words, &[Top], "limit_req_zone = [\"$binary_remote_addr zone=one:10m rate=10r/s\"]"),
    key("limit_conn_zone", Words, &[Top], "limit_conn_zone = [\"$binary_remote_addr zone=addr:10m\"]"),
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
    key("rewrite", Words, &[Server, Location], "rewrite = [\"^/old/(.*)$ /new/$1 permanent\"]"),
    key("return", Word, &[Server, Location], "return = \"301 https://$host$request_uri\""),
    key("try_files", Words, &[Server, Location], "try_files = \"$uri $uri/ /index.html\""),
    key("alias", Word, &[Location], "alias = \"/var/www/static/\""),
    key("internal", Word, &[Location], "internal = \"on\""),
    key("location", Sections, &[Server, Location], "[server.location.\"/\"]"),
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
    key("client_body_buffer_size", Word, INHERITED, "client_body_buffer_size = \"64k\""),
    key("proxy_request_buffering", Word, INHERITED, "proxy_request_buffering = \"on\""),
    key("proxy_http_version", Word, INHERITED, "proxy_http_version = \"1.1\""),
    key("proxy_intercept_errors", Word, INHERITED, "proxy_intercept_errors = \"on\""),
    key("recursive_error_pages", Word, INHERITED, "recursive_error_pages = \"on\""),
    key("error_page", Words, INHERITED, "error_page = [\"404 /404.html\", \"500 502 503 504 /50x.html\"]"),
    key("add_header", Words, INHERITED, "add_header = [\"X-Frame-Options DENY always\"]"),
    key("expires", Word, INHERITED, "expires = \"7d\""),
    key("proxy_hide_header", Words, INHERITED, "proxy_hide_header = [\"X-Powered-By\"]"),
    key("proxy_pass_header", Words, INHERITED, "proxy_pass_header = [\"Server\"]"),
    key("proxy_redirect", Words, INHERITED, "proxy_redirect = [\"http://127.0.0.1:3000/ /\"]"),
    key("proxy_cookie_path", Words, INHERITED, "proxy_cookie_path = [\"/app/ /\"]"),
    key("proxy_cookie_domain", Words, INHERITED, "proxy_cookie_domain = [\"localhost example.org\"]"),
    key("proxy_cookie_flags", Words, INHERITED, "proxy_cookie_flags = [\"session secure httponly samesite=lax\"]"),
    key("root", Word, INHERITED, "root = \"/var/www/html\""),
    key("index", Words, INHERITED, "index = \"index.html index.htm\""),
    key("autoindex", Word, INHERITED, "autoindex = \"on\""),
    key("autoindex_exact_size", Word, INHERITED, "autoindex_exact_size = \"off\""),
    key("autoindex_localtime", Word, INHERITED, "autoindex_localtime = \"on\""),
    key("autoindex_format", Word, INHERITED, "autoindex_format = \"json\""),
    key("types", Table, INHERITED, "[types]"),
    key("default_type", Word, INHERITED, "default_type = \"application/octet-stream\""),
    key("etag", Word, INHERITED, "etag = \"off\""),
    key("if_modified_since", Word, INHERITED, "if_modified_since = \"before\""),
    key("max_ranges", Word, INHERITED, "max_ranges = 10"),
    key("symlinks", Word, INHERITED, "symlinks = \"inside\""),
    key("open_file_cache", Word, INHERITED, "open_file_cache = \"max=1000 inactive=20s\""),
    key("open_file_cache_valid", Word, INHERITED, "open_file_cache_valid = \"30s\""),
    key("open_file_cache_min_uses", Word, INHERITED, "open_file_cache_min_uses = 2"),
    key("open_file_cache_errors", Word, INHERITED, "open_file_cache_errors = \"on\""),
    key("gzip_static", Word, INHERITED, "gzip_static = \"on\""),
    key("brotli_static", Word, INHERITED, "brotli_static = \"on\""),
    key("zstd_static", Word, INHERITED, "zstd_static = \"on\""),
    key("log_not_found", Word, INHERITED, "log_not_found = \"off\""),
    key("absolute_redirect", Word, INHERITED, "absolute_redirect = \"off\""),
    key("port_in_redirect", Word, INHERITED, "port_in_redirect = \"off\""),
    key("server_name_in_redirect", Word, INHERITED, "server_name_in_redirect = \"off\""),
    key("server_tokens", Word, INHERITED, "server_tokens = \"off\""),
    key("gzip", Word, INHERITED, "gzip = \"on\""),
    key("gzip_types", Words, INHERITED, "gzip_types = \"text/css application/javascript application/json\""),
    key("gzip_min_length", Word, INHERITED, "gzip_min_length = \"1k\""),
    key("gzip_comp_level", Word, INHERITED, "gzip_comp_level = 5"),
    key("gzip_vary", Word, INHERITED, "gzip_vary = \"on\""),
    key("gzip_proxied", Words, INHERITED, "gzip_proxied = \"any\""),
    key("gzip_http_version", Word, INHERITED, "gzip_http_version = \"1.1\""),
    key("brotli", Word, INHERITED, "brotli = \"on\""),
    key("brotli_types", Words, INHERITED, "brotli_types = \"text/css application/javascript application/json\""),
    key("brotli_comp_level", Word, INHERITED, "brotli_comp_level = 5"),
    key("brotli_min_length", Word, INHERITED, "brotli_min_length = \"1k\""),
    key("zstd", Word, INHERITED, "zstd = \"on\""),
    key("zstd_types", Words, INHERITED, "zstd_types = \"text/css application/javascript application/json\""),
    key("zstd_comp_level", Word, INHERITED, "zstd_comp_level = 3"),
    key("zstd_min_length", Word, INHERITED, "zstd_min_length = \"1k\""),
    key("access", Words, INHERITED, "access = [\"allow 10.0.0.0/8\", \"deny all\"]"),
    key("satisfy", Word, INHERITED, "satisfy = \"any\""),
    key("auth_basic", Word, INHERITED, "auth_basic = \"Members only\""),
    key("auth_basic_user_file", Word, INHERITED, "auth_basic_user_file = \"/etc/ringgate/htpasswd\""),
    key("limit_req", Words, INHERITED, "limit_req = [\"zone=one burst=5 nodelay\"]"),
    key("limit_req_status", Word, INHERITED, "limit_req_status = 429"),
    key("limit_req_dry_run", Word, INHERITED, "limit_req_dry_run = \"on\""),
    key("limit_req_log_level", Word, INHERITED, "limit_req_log_level = \"warn\""),
    key("limit_conn", Words, INHERITED, "limit_conn = [\"addr 10\"]"),
    key("limit_conn_status", Word, INHERITED, "limit_conn_status = 429"),
    key("limit_conn_dry_run", Word, INHERITED, "limit_conn_dry_run = \"on\""),
    key("limit_conn_log_level", Word, INHERITED, "limit_conn_log_level = \"warn\""),
    key("access_log", Words, INHERITED, "access_log = \"/var/log/ringgate/access.log combined\""),
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
            Map => "in [map.NAME]",
        }
    }

    /// What may stand in it.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.sections.contains(&self))
    }

    /// Its keys have common names (`host`, `port`, `user`) that elsewhere most often mean something else.
    pub fn is_shy(self) -> bool {
        matches!(self, HealthCheck | Map)
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
