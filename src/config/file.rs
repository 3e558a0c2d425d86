//! The configuration file as serde sees it: names and shapes, every value with its place, and nothing else. What a value
//! means is decided in `build`.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use toml::Spanned;

/// One word of the file: a string, or a whole number in decimal. `listen = 80` and `listen = "80"` are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub String);

/// A value that may be absent.
pub type Setting = Option<Spanned<Word>>;

/// One value or a list of them: `server = "a"` and `server = ["a", "b"]`.
#[derive(Debug)]
pub enum Many<T> {
    /// Without brackets; its place is that of the whole.
    One(T),
    /// With brackets.
    List(Vec<Spanned<T>>),
}

/// `[kind.NAME]` sections in the order of the file.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(Spanned<String>, T)>);

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

/// Declares a section that also takes settings which sections beneath it inherit.
macro_rules! section {
    (
        $(#[$meta:meta])* $name:ident { $($(#[$own_meta:meta])* $own:ident: $type:ty,)* }
        inherits { $($setting:ident,)* }
        and lists { $($list:ident,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$own_meta])* pub $own: $type,)*
            $(pub $setting: Setting,)*
            $(pub $list: Option<Spanned<Many<Word>>>,)*
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
        /// A path, or `"stderr"`.
        error_log: Setting,
        /// A path, or `"off"`.
        admin: Setting,
        /// A duration.
        shutdown_timeout: Setting,
        /// A size, or `"off"`.
        splice_min: Setting,
        /// Addresses, and `valid=`.
        resolver: Option<Spanned<Many<Word>>>,
        /// Paths and patterns, relative to this file.
        include: Option<Spanned<Many<Word>>>,
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
    inherits {
        client_header_timeout, keepalive_timeout, keepalive_requests,
        client_max_body_size, client_body_timeout, send_timeout,
        proxy_connect_timeout, proxy_first_byte_timeout, proxy_read_timeout, proxy_send_timeout, proxy_tunnel_timeout,
        proxy_next_upstream_tries, proxy_next_upstream_timeout,
    }
    and lists { proxy_next_upstream, proxy_next_upstream_methods, set_real_ip_from, }
}

section! {
    /// `[[server]]`.
    Server {
        /// nginx's `listen`, one or several.
        listen: Option<Spanned<Many<Word>>>,
        /// Host names.
        server_name: Option<Spanned<Many<Word>>>,
        /// `[server.location."/prefix"]`.
        #[serde(default)]
        location: Named<Location>,
    }
    inherits {
        client_header_timeout, keepalive_timeout, keepalive_requests,
        client_max_body_size, client_body_timeout, send_timeout,
        proxy_connect_timeout, proxy_first_byte_timeout, proxy_read_timeout, proxy_send_timeout, proxy_tunnel_timeout,
        proxy_next_upstream_tries, proxy_next_upstream_timeout,
    }
    and lists { proxy_next_upstream, proxy_next_upstream_methods, set_real_ip_from, }
}

section! {
    /// `[server.location."/prefix"]`.
    Location {
        /// `http://` and a group or an address.
        proxy_pass: Setting,
    }
    inherits {
        client_max_body_size, client_body_timeout, send_timeout,
        proxy_connect_timeout, proxy_first_byte_timeout, proxy_read_timeout, proxy_send_timeout, proxy_tunnel_timeout,
        proxy_next_upstream_tries, proxy_next_upstream_timeout,
    }
    and lists { proxy_next_upstream, proxy_next_upstream_methods, }
}

section! {
    /// `[[tcp]]`.
    Tcp {
        /// nginx's `listen`, one or several.
        listen: Option<Spanned<Many<Word>>>,
        /// A group or an address.
        proxy_pass: Setting,
        /// A duration, or `"off"`.
        proxy_timeout: Setting,
        /// `"on"` or `"off"`.
        proxy_next_upstream: Setting,
    }
    inherits {
        proxy_connect_timeout, proxy_next_upstream_tries, proxy_next_upstream_timeout,
    }
    and lists {}
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
    pub status: Option<Spanned<Many<Word>>>,
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

impl<T> Many<T> {
    /// Every value with its place, given the place of the whole.
    pub fn items(many: &Spanned<Many<T>>) -> Vec<(&T, Range<usize>)> {
        match many.get_ref() {
            Many::One(value) => vec![(value, many.span())],
            Many::List(values) => values.iter().map(|v| (v.get_ref(), v.span())).collect(),
        }
    }
}

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

struct WordVisitor;

impl Visitor<'_> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string in quotes or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    // Out of every range, but `build` says so better.
    fn visit_i128<E: Error>(self, number: i128) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct BackendVisitor;

impl<'de> Visitor<'de> for BackendVisitor {
    type Value = Backend;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an address in quotes or a table with `address` and `weight`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Backend, E> {
        WordVisitor.visit_str(text).map(Backend::Word)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Backend, E> {
        WordVisitor.visit_i64(number).map(Backend::Word)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Backend, A::Error> {
        Box::deserialize(MapAccessDeserializer::new(map)).map(Backend::Table)
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Backend, D::Error> {
        deserializer.deserialize_any(BackendVisitor)
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("one value or a list of values")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Many<T>, E> {
        T::deserialize(text.into_deserializer()).map(Many::One)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Many<T>, E> {
        T::deserialize(number.into_deserializer()).map(Many::One)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Many::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Many<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Many::List)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Many<T>, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("sections with names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut sections: Vec<(Spanned<String>, T)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            sections.push(entry);
        }
        // The parser hands tables out by name; people count from the top.
        sections.sort_by_key(|(name, _)| name.span().start);
        Ok(Named(sections))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}
