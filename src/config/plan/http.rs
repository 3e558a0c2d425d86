//! What requests meet: servers, locations, the rewrite rules, and what is done with answers.

use super::{Access, AccessLog, Compression, Files, LimitConn, LimitReq, Retry, Ssl};
use crate::config::pattern::Pattern;
use crate::config::template::Template;
use ahash::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One virtual server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Lower case, without port; may be empty. A regular expression begins with `~`.
    pub names: Vec<String>,
    /// What is offered on listeners with `ssl`.
    pub ssl: Option<Ssl>,
    /// The value of Strict-Transport-Security, sent on connections with TLS.
    pub hsts: Option<String>,
    /// Where an ACME client puts its answers: GET /.well-known/acme-challenge/TOKEN is answered from the file of that path
    /// beneath this folder, before anything else.
    pub acme_webroot: Option<PathBuf>,
    /// The rewrite module's statements of the server, before a location is looked for.
    pub rules: Arc<Vec<Rule>>,
    /// All of them, nested ones too, in the order of the file.
    pub locations: Vec<Location>,
    /// Which of them are looked at first.
    pub level: Level,
    /// `@name`, without the sign: index into `locations`.
    pub named: HashMap<String, usize>,
    /// What holds where no location matches: index into `locations`; `None`: nothing is there (404).
    pub fallback: Option<usize>,
    /// Where exchanges are written down that come to no location; empty: nowhere.
    pub access_log: Arc<Vec<AccessLog>>,
    /// From the first byte of a request to the end of its head.
    pub client_header_timeout: Duration,
    /// An idle client connection; zero closes after each answer.
    pub keepalive_timeout: Duration,
    /// Requests on one client connection.
    pub keepalive_requests: u32,
    /// Peers whose X-Forwarded-For is believed (nginx's `set_real_ip_from`).
    pub real_ip_from: Vec<ipnet::IpNet>,
}

/// The locations of one level, as nginx looks through them: the exact one, then the longest prefix (and what is nested in it), then
/// regular expressions in their order unless the prefix has `^~`.
#[derive(Debug, Clone, Default)]
pub struct Level {
    /// `= /path`.
    pub exact: HashMap<String, usize>,
    /// `/prefix` and `^~ /prefix`, longest first.
    pub prefixes: Vec<usize>,
    /// `~` and `~*`, in the order of the file.
    pub regexes: Vec<usize>,
}

impl Level {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.regexes.is_empty()
    }
}

/// Which URIs a location takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// `= /path`.
    Exact(String),
    /// `/prefix`; with `^~` regular expressions are not looked at.
    Prefix {
        /// Begins with `/`.
        prefix: String,
        /// `^~`.
        is_final: bool,
    },
    /// `~` and `~*`.
    Regex(Pattern),
    /// `@name`, without the sign.
    Named(String),
    /// What no location takes: the server's own settings.
    Rest,
}

/// What happens to requests that match.
#[derive(Debug, Clone)]
pub struct Location {
    /// As written: `/app/`, `= /x`, `~ \.php$`, `@app`; "" for `Matching::Rest`.
    pub name: String,
    /// Which requests come here.
    pub matching: Matching,
    /// Locations within.
    pub nested: Level,
    /// Requests from outside get 404 (`internal`).
    pub internal: bool,
    /// The rewrite module's statements, `return` at the end.
    pub rules: Arc<Vec<Rule>>,
    /// What is looked for before the action.
    pub try_files: Option<Arc<TryFiles>>,
    /// What they get.
    pub action: Action,
    /// Where files are (`root`, `alias`), also for `$document_root`, `-f` and `try_files`.
    pub files: Arc<Files>,
    /// Pages in place of errors.
    pub error_pages: Arc<Vec<ErrorPage>>,
    /// Also where a backend answers so (`proxy_intercept_errors`).
    pub intercept_errors: bool,
    /// Also for what an error page itself meets (`recursive_error_pages`).
    pub recursive_error_pages: bool,
    /// Who may ask.
    pub access: Arc<Access>,
    /// How often (`limit_req`), in the order of the file.
    pub limit_req: Arc<Vec<LimitReq>>,
    /// How many at once (`limit_conn`).
    pub limit_conn: Arc<Vec<LimitConn>>,
    /// What is changed in heads of answers.
    pub answers: Arc<Answers>,
    /// Which bodies are compressed.
    pub compression: Arc<Compression>,
    /// Where exchanges are written down; empty: nowhere.
    pub access_log: Arc<Vec<AccessLog>>,
    /// Redirects of ours name scheme and host (`absolute_redirect`).
    pub absolute_redirect: bool,
    /// And the port (`port_in_redirect`).
    pub port_in_redirect: bool,
    /// Fields of requests to backends (`proxy_set_header`): name and value, which takes the place of what else would be sent; with
    /// an empty value the field is left out.
    pub set_headers: Arc<Vec<(String, Template)>>,
    /// The whole body is read before a server is asked (`proxy_request_buffering`).
    pub request_buffering: bool,
    /// Bytes of a body kept in memory then; more goes to a temporary file.
    pub client_body_buffer_size: u64,
    /// Bytes; `None`: unlimited (`client_max_body_size = 0`).
    pub client_max_body_size: Option<u64>,
    /// Between two reads of a request body.
    pub client_body_timeout: Duration,
    /// Between two successful writes to the client.
    pub send_timeout: Duration,
    /// Connecting to one server.
    pub proxy_connect_timeout: Duration,
    /// Request sent to first byte of the answer.
    pub proxy_first_byte_timeout: Duration,
    /// Between two reads of the answer.
    pub proxy_read_timeout: Duration,
    /// Between two successful writes to the server.
    pub proxy_send_timeout: Duration,
    /// A tunnel (WebSocket) with no byte either way.
    pub tunnel_timeout: Duration,
    /// When a request goes on to the next server. Behind an `Arc`: most locations share it.
    pub retry: Arc<Retry>,
}

/// What requests of a location get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A server's answer.
    Proxy(Proxy),
    /// A file beneath `Location::files`.
    Files,
    /// Nothing is configured: 404.
    Nothing,
}

/// nginx's `proxy_pass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Who is asked.
    pub to: Pass,
    /// By TLS: index into `Plan::proxy_ssls`.
    pub ssl: Option<usize>,
    /// What is asked for.
    pub uri: ProxyUri,
}

/// The host part of a `proxy_pass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// Index into `Plan::upstreams`.
    Upstream(usize),
    /// The text is the name of one of `Plan::upstreams`.
    Named(Template),
}

/// The URI part of a `proxy_pass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyUri {
    /// None: the request's, as it was sent unless rewritten.
    AsSent,
    /// Takes the place of the part of the path that the location matched; begins with `/`.
    Replace(String),
    /// With variables: the whole URI.
    Whole(Template),
}

impl Action {
    /// The group that is asked, if it is always the same.
    pub fn upstream(&self) -> Option<usize> {
        match self {
            Action::Proxy(Proxy { to: Pass::Upstream(upstream), .. }) => Some(*upstream),
            _ => None,
        }
    }

    /// What is asked of its servers by TLS: index into `Plan::proxy_ssls`.
    pub fn ssl(&self) -> Option<usize> {
        match self {
            Action::Proxy(proxy) => proxy.ssl,
            _ => None,
        }
    }
}

/// One statement of nginx's rewrite module.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// `rewrite regex replacement flag`.
    Rewrite {
        /// What the path must look like.
        pattern: Pattern,
        /// The new path, with a query perhaps.
        replacement: Template,
        /// The query of the request is not put behind it (the replacement ended with `?`).
        drops_args: bool,
        /// What follows.
        flag: Flag,
    },
    /// `return`.
    Return(Return),
    /// `break`.
    Break,
    /// `set $name value`.
    Set(Arc<str>, Template),
    /// `if (condition) { ... }`.
    If(Condition, Vec<Rule>),
}

/// What follows a `rewrite` that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// The next statement.
    None,
    /// Another look for a location.
    Last,
    /// No further statement.
    Break,
    /// 302.
    Redirect,
    /// 301.
    Permanent,
}

/// The condition of an `if`.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Neither empty nor "0".
    Is(Template),
    /// `=`, or `!=` if `negated`.
    Equals {
        /// Left.
        value: Template,
        /// Right.
        text: Template,
        /// `!=`.
        negated: bool,
    },
    /// `~`, `~*`; with `negated` `!~`, `!~*`.
    Matches {
        /// Left.
        value: Template,
        /// Right.
        pattern: Pattern,
        /// `!~`.
        negated: bool,
    },
    /// `-f`, `-d`, `-e`, `-x`; with `negated` `!-f` and so on.
    Exists {
        /// What must be there.
        kind: FileKind,
        /// The file.
        path: Template,
        /// `!-f`.
        negated: bool,
    },
}

/// What a test for a file wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `-f`: a regular file.
    File,
    /// `-d`: a directory.
    Directory,
    /// `-e`: anything.
    Any,
    /// `-x`: something that may be executed.
    Executable,
}

/// nginx's `return`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// 200 to 599; 444: the connection is closed without a word.
    pub status: u16,
    /// Of a redirect (301, 302, 303, 307, 308) the URL, of others the body.
    pub text: Option<Template>,
}

/// nginx's `try_files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryFiles {
    /// Paths beneath the root, and whether a directory is meant (they end with `/`).
    pub candidates: Vec<(Template, bool)>,
    /// What if none is there.
    pub last: Fallback,
}

/// The last word of a `try_files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// `=404`.
    Status(u16),
    /// `@name`, without the sign.
    Named(String),
    /// Another URI, with a query perhaps.
    Uri(Template),
}

/// nginx's `error_page`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// For which.
    pub statuses: Vec<u16>,
    /// `=200`: this status; `=`: the page's own (`Some(None)`); without: the error's (`None`).
    pub answer: Option<Option<u16>>,
    /// `/page`, `@name`, or a URL to redirect to.
    pub target: Template,
}

/// What is changed in the heads of answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// `add_header`.
    pub add: Vec<AddHeader>,
    /// `expires`.
    pub expires: Option<Expires>,
    /// `proxy_hide_header`: in lower case.
    pub hide: Vec<String>,
    /// `proxy_redirect`.
    pub redirects: Vec<ProxyRedirect>,
    /// `proxy_cookie_path`.
    pub cookie_paths: Vec<CookieChange>,
    /// `proxy_cookie_domain`.
    pub cookie_domains: Vec<CookieChange>,
    /// `proxy_cookie_flags`.
    pub cookie_flags: Vec<CookieFlags>,
}

impl Answers {
    /// Nothing is changed.
    pub fn is_empty(&self) -> bool {
        // Asked for each answer.
        let Answers { add, expires, hide, redirects, cookie_paths, cookie_domains, cookie_flags } = self;
        let cookies = [cookie_paths.len(), cookie_domains.len(), cookie_flags.len()];
        add.len() + hide.len() + redirects.len() + cookies.iter().sum::<usize>() == 0 && expires.is_none()
    }
}

/// nginx's `add_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddHeader {
    /// As written.
    pub name: String,
    /// Nothing is added if it is empty.
    pub value: Template,
    /// Whatever the status; else only with 200, 201, 204, 206, 301, 302, 303, 304, 307, 308.
    pub always: bool,
}

/// nginx's `expires`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expires {
    /// Seconds from now; negative: `no-cache`.
    In(i64),
    /// Seconds from Last-Modified.
    AfterModified(i64),
    /// `@15h30m`: a time of day (UTC... local in nginx), in seconds from midnight.
    At(u32),
    /// 1 January 1970, `no-cache`.
    Epoch,
    /// In ten years.
    Max,
    /// The text is one of the others, or `off`.
    Variable(Template),
}

/// nginx's `proxy_redirect`: what a Location begins with, and what takes its place.
#[derive(Debug, Clone, PartialEq)]
pub enum ProxyRedirect {
    /// A text at the beginning.
    Prefix(Template, Template),
    /// What matches.
    Regex(Pattern, Template),
}

/// nginx's `proxy_cookie_path` and `proxy_cookie_domain`.
#[derive(Debug, Clone, PartialEq)]
pub enum CookieChange {
    /// A path's beginning; the whole of a domain.
    Text(Template, Template),
    /// What matches.
    Regex(Pattern, Template),
}

/// nginx's `proxy_cookie_flags`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CookieFlags {
    /// Of which cookies; `None`: by `pattern`.
    pub name: Option<String>,
    /// Of which cookies; `None` as well: of all.
    pub pattern: Option<Pattern>,
    /// `Some(false)`: `nosecure`.
    pub secure: Option<bool>,
    /// `Some(false)`: `nohttponly`.
    pub httponly: Option<bool>,
    /// `Some(None)`: `nosamesite`.
    pub samesite: Option<Option<&'static str>>,
}

/// nginx's `map`: a variable made of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Without `$`.
    pub name: Arc<str>,
    /// What is looked up, without regard to ASCII case.
    pub source: Template,
    /// `*.example.org` and the like are names.
    pub hostnames: bool,
    /// In lower case.
    pub exact: HashMap<String, Template>,
    /// With `hostnames`: `.example.org` (from `*.example.org`).
    pub leading: HashMap<String, Template>,
    /// With `hostnames`: `mail.` (from `mail.*`).
    pub trailing: HashMap<String, Template>,
    /// In the order of the file.
    pub regexes: Vec<(Pattern, Template)>,
    /// For all else.
    pub default: Template,
}
