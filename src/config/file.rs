//! The configuration file as serde sees it: names and shapes, every value with its place, and nothing else. What a value
//! means is decided in `build`.

use serde::Deserialize;
use std::ops::Range;
use toml::Spanned;

mod form;

pub use form::{Many, Named, Setting, Table, Word, Words};

/// The value of a setting that is inherited.
#[derive(Debug, Clone, Copy)]
pub enum Inherited<'a> {
    /// Of a key with one value.
    Word(&'a Spanned<Word>),
    /// Of a key with one or several.
    List(&'a Spanned<Many<Word>>),
}

impl Inherited<'_> {
    /// Its place as a whole.
    pub fn span(&self) -> Range<usize> {
        match self {
            Inherited::Word(word) => word.span(),
            Inherited::List(words) => words.span(),
        }
    }
}

/// Declares a section: keys of its own, and groups of settings that sections beneath it inherit.
macro_rules! section {
    // The groups, each written once: keys with one value, and keys with one or several.
    (@ [clients $($groups:ident)*] $head:tt { $($word:ident,)* } { $($list:ident,)* }) => {
        section! { @ [$($groups)*] $head {
            $($word,)*
            client_header_timeout, keepalive_timeout, keepalive_requests, http2,
        } { $($list,)* } }
    };
    (@ [trust $($groups:ident)*] $head:tt $words:tt { $($list:ident,)* }) => {
        section! { @ [$($groups)*] $head $words { $($list,)* set_real_ip_from, } }
    };
    (@ [requests $($groups:ident)*] $head:tt { $($word:ident,)* } { $($list:ident,)* }) => {
        section! { @ [$($groups)*] $head {
            $($word,)*
            client_max_body_size, client_body_timeout, client_body_buffer_size, send_timeout,
            proxy_first_byte_timeout, proxy_read_timeout, proxy_send_timeout, proxy_tunnel_timeout,
            proxy_request_buffering, proxy_http_version, proxy_intercept_errors, recursive_error_pages, expires,
            root, autoindex, autoindex_exact_size, autoindex_localtime, autoindex_format, default_type, etag,
            if_modified_since, max_ranges, symlinks, open_file_cache, open_file_cache_valid, open_file_cache_min_uses,
            open_file_cache_errors, gzip_static, brotli_static, zstd_static, log_not_found, absolute_redirect,
            port_in_redirect, server_name_in_redirect, server_tokens,
            gzip, gzip_min_length, gzip_comp_level, gzip_vary, gzip_http_version,
            brotli, brotli_comp_level, brotli_min_length, zstd, zstd_comp_level, zstd_min_length,
            satisfy, auth_basic, auth_basic_user_file,
            limit_req_status, limit_req_dry_run, limit_req_log_level,
            limit_conn_status, limit_conn_dry_run, limit_conn_log_level,
        } {
            $($list,)*
            index, proxy_next_upstream, proxy_next_upstream_methods, proxy_set_header, proxy_hide_header, proxy_pass_header,
            add_header, error_page, proxy_redirect, proxy_cookie_path, proxy_cookie_domain, proxy_cookie_flags,
            gzip_types, gzip_proxied, brotli_types, zstd_types, access, limit_req, limit_conn, access_log,
        } }
    };
    (@ [proxied $($groups:ident)*] $head:tt { $($word:ident,)* } { $($list:ident,)* }) => {
        section! { @ [$($groups)*] $head {
            $($word,)*
            proxy_connect_timeout, proxy_next_upstream_tries, proxy_next_upstream_timeout,
            proxy_ssl_verify, proxy_ssl_trusted_certificate, proxy_ssl_name, proxy_ssl_server_name,
            proxy_ssl_certificate, proxy_ssl_certificate_key, proxy_ssl_ciphers, proxy_ssl_session_reuse, proxy_ssl_crl,
            proxy_ssl_verify_depth,
        } { $($list,)* proxy_ssl_protocols, } }
    };
    (@ [tls $($groups:ident)*] $head:tt { $($word:ident,)* } { $($list:ident,)* }) => {
        section! { @ [$($groups)*] $head {
            $($word,)*
            ssl_ciphers, ssl_prefer_server_ciphers, ssl_session_timeout, ssl_session_tickets, ssl_handshake_timeout,
            ssl_client_certificate, ssl_trusted_certificate, ssl_verify_client, ssl_crl, ssl_reject_handshake,
            ssl_dhparam, ssl_session_cache, ssl_ecdh_curve, ssl_verify_depth, ssl_stapling, ssl_stapling_verify,
            ssl_buffer_size, ssl_early_data, ssl_session_ticket_key, ssl_password_file,
        } { $($list,)* ssl_certificate, ssl_certificate_key, ssl_protocols, } }
    };
    (
        @ []
        { $(#[$meta:meta])* $name:ident { $($(#[$own_meta:meta])* $own:ident: $type:ty,)* } }
        { $($setting:ident,)* } { $($list:ident,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$own_meta])* pub $own: $type,)*
            $(pub $setting: Setting,)*
            $(pub $list: Words,)*
        }

        impl $name {
            /// What is inherited downwards: every such key with its value, if it has one.
            pub fn inherited(&self) -> Vec<(&'static str, Inherited<'_>)> {
                let all: Vec<(&'static str, Option<Inherited>)> = vec![
                    $((stringify!($setting), self.$setting.as_ref().map(Inherited::Word)),)*
                    $((stringify!($list), self.$list.as_ref().map(Inherited::List)),)*
                ];
                all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } inherits $($groups:ident)*) => {
        section! { @ [$($groups)*] { $(#[$meta])* $name { $($own)* } } {} {} }
    };
}

section! {
    /// A whole file, main or included.
    File {
        /// `"auto"` or a number.
        workers: Setting,
        /// A number.
        worker_connections: Setting,
        /// `"on"` or `"off"`.
        handover: Setting,
        /// A path and a level, or `"stderr"`.
        error_log: Setting,
        /// A path, or `"off"`.
        admin: Setting,
        /// A duration.
        shutdown_timeout: Setting,
        /// A size, or `"off"`.
        splice_min: Setting,
        /// Addresses, and `valid=`.
        resolver: Words,
        /// Paths and patterns, relative to this file.
        include: Words,
        /// `[types]`.
        types: Option<Table>,
        /// `[log_format]`.
        log_format: Option<Table>,
        /// nginx's `limit_req_zone`.
        limit_req_zone: Words,
        /// nginx's `limit_conn_zone`.
        limit_conn_zone: Words,
        /// `[map.NAME]`.
        #[serde(default)]
        map: Named<Map>,
        /// `[upstream.NAME]`.
        #[serde(default)]
        upstream: Named<Upstream>,
        /// `[[server]]`.
        #[serde(default)]
        server: Vec<Spanned<Server>>,
        /// `[[tcp]]`.
        #[serde(default)]
        tcp: Vec<Spanned<Tcp>>,
    }
    inherits clients trust requests proxied tls
}

section! {
    /// `[[server]]`.
    Server {
        /// nginx's `listen`, one or several.
        listen: Words,
        /// Host names.
        server_name: Words,
        /// A duration and words, or the whole value.
        hsts: Setting,
        /// A path.
        acme_webroot: Setting,
        /// Statements of nginx's rewrite module.
        rewrite: Words,
        /// A status, a text or a URL.
        #[serde(rename = "return")]
        returns: Setting,
        /// Paths, and a last word.
        try_files: Words,
        /// `[server.types]`.
        types: Option<Table>,
        /// `[server.location."/prefix"]`.
        #[serde(default)]
        location: Named<Location>,
    }
    inherits clients trust requests proxied tls
}

section! {
    /// `[server.location."/prefix"]`.
    Location {
        /// `http://` or `https://`, a group or an address, and a URI perhaps.
        proxy_pass: Setting,
        /// As in a server.
        rewrite: Words,
        /// As in a server.
        #[serde(rename = "return")]
        returns: Setting,
        /// As in a server.
        try_files: Words,
        /// A path.
        alias: Setting,
        /// `"on"` or `"off"`.
        internal: Setting,
        /// `[server.location."/prefix".types]`.
        types: Option<Table>,
        /// `[server.location."/prefix".location."/prefix/within"]`.
        #[serde(default)]
        location: Named<Location>,
    }
    inherits requests proxied
}

section! {
    /// `[[tcp]]`.
    Tcp {
        /// nginx's `listen`, one or several.
        listen: Words,
        /// Names in the client's handshake.
        server_name: Words,
        /// A group or an address.
        proxy_pass: Setting,
        /// `"on"` or `"off"`.
        proxy_ssl: Setting,
        /// `"on"`, `"v1"`, `"v2"` or `"off"`.
        proxy_protocol: Setting,
        /// `"on"` or `"off"`.
        ssl_preread: Setting,
        /// A duration.
        preread_timeout: Setting,
        /// Names of protocols.
        ssl_alpn: Words,
        /// A duration, or `"off"`.
        proxy_timeout: Setting,
        /// `"on"` or `"off"`.
        proxy_next_upstream: Setting,
    }
    inherits trust proxied tls
}

/// `[map.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// What is looked up.
    pub source: Setting,
    /// For all else.
    pub default: Setting,
    /// `"on"` or `"off"`.
    pub hostnames: Setting,
    /// `[map.NAME.values]`.
    pub values: Option<Table>,
}

/// `[upstream.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The method of choosing.
    pub balance: Setting,
    /// `cookie NAME` and its attributes.
    pub sticky: Setting,
    /// Idle connections kept per server.
    pub keepalive: Setting,
    /// How long one may idle.
    pub keepalive_timeout: Setting,
    /// A percentage.
    pub max_ejected: Setting,
    /// A percentage, or `"off"`.
    pub max_fail_rate: Setting,
    /// `"on"` or `"off"`.
    pub fail_open: Setting,
    /// A percentage, or `"off"`.
    pub retry_budget: Setting,
    /// A number.
    pub queue: Setting,
    /// A duration.
    pub queue_timeout: Setting,
    /// `"keep"` or `"close"`.
    pub on_down: Setting,
    /// `[upstream.NAME.health_check]`.
    pub health_check: Option<Spanned<HealthCheck>>,
    /// The backends.
    pub server: Option<Spanned<Many<Backend>>>,
}

/// `[upstream.NAME.health_check]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: Setting,
    /// A duration.
    pub interval: Setting,
    /// A duration.
    pub timeout: Setting,
    /// A percentage.
    pub jitter: Setting,
    /// A number.
    pub rise: Setting,
    /// A number.
    pub fall: Setting,
    /// A port.
    pub port: Setting,
    /// The target of the request.
    pub uri: Setting,
    /// The same.
    pub path: Setting,
    /// The Host field.
    pub host: Setting,
    /// Statuses and ranges of them.
    pub status: Words,
    /// A text.
    pub body: Setting,
    /// A name.
    pub user: Setting,
    /// A text.
    pub send: Setting,
    /// A text.
    pub expect: Setting,
    /// A text.
    pub quit: Setting,
    /// `"on"` or `"off"`.
    pub ssl_verify: Setting,
    /// A name.
    pub ssl_name: Setting,
    /// A path.
    pub ssl_trusted_certificate: Setting,
}

impl HealthCheck {
    /// The keys that only some types have, those that are set.
    pub fn special(&self) -> Vec<(&'static str, Range<usize>)> {
        let words = [
            ("uri", &self.uri),
            ("path", &self.path),
            ("host", &self.host),
            ("body", &self.body),
            ("user", &self.user),
            ("send", &self.send),
            ("expect", &self.expect),
            ("quit", &self.quit),
            ("ssl_verify", &self.ssl_verify),
            ("ssl_name", &self.ssl_name),
            ("ssl_trusted_certificate", &self.ssl_trusted_certificate),
        ];
        let status = self.status.iter().map(|status| ("status", status.span()));
        words.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?.span()))).chain(status).collect()
    }
}

/// One entry of an upstream's `server`.
#[derive(Debug)]
pub enum Backend {
    /// `"127.0.0.1:8000"`, or with nginx's parameters after it.
    Word(Word),
    /// `{ address = "127.0.0.1:8000", weight = 2 }`.
    Table(Box<BackendTable>),
}

/// The long form of a backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendTable {
    /// Where it is.
    pub address: Setting,
    /// Its share.
    pub weight: Setting,
    /// `"on"` or `"off"`.
    pub backup: Setting,
    /// `"on"` or `"off"`.
    pub down: Setting,
    /// A number.
    pub max_conns: Setting,
    /// A number.
    pub max_fails: Setting,
    /// A duration.
    pub fail_timeout: Setting,
    /// A duration.
    pub slow_start: Setting,
    /// `"on"`.
    pub resolve: Setting,
}

impl BackendTable {
    /// All but the address, by the names that they have behind one too.
    pub fn parameters(&self) -> [(&'static str, &Setting); 8] {
        [
            ("weight", &self.weight),
            ("backup", &self.backup),
            ("down", &self.down),
            ("max_conns", &self.max_conns),
            ("max_fails", &self.max_fails),
            ("fail_timeout", &self.fail_timeout),
            ("slow_start", &self.slow_start),
            ("resolve", &self.resolve),
        ]
    }
}
