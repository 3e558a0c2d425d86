//! Texts with variables, `$remote_addr$request_uri`: taken apart here, put together where a request is known.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// As written.
    text: String,
    parts: Vec<Part>,
    wants: Wants,
}

/// What must be noted while an exchange runs so that a text can be made at its end: a set, made once for each text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants(u8);

impl Wants {
    /// Only what is there anyway.
    pub const NOTHING: Wants = Wants(0);
    /// An exchange is written down at all.
    pub const LINE: Wants = Wants(1);
    /// Which servers were asked, and when.
    pub const SERVERS: Wants = Wants(2);
    /// The head of a server's answer.
    pub const SERVER_HEAD: Wants = Wants(4);
    /// The head of the answer to the client.
    pub const SENT_HEAD: Wants = Wants(8);

    /// Both.
    pub const fn and(self, more: Wants) -> Wants {
        Wants(self.0 | more.0)
    }

    /// At least one of `some` is in it.
    pub const fn has(self, some: Wants) -> bool {
        self.0 & some.0 != 0
    }

    fn of(parts: &[Part]) -> Wants {
        let of = |part: &Part| match part {
            Part::Variable(Variable::Upstream(_)) => Wants::SERVERS,
            Part::Variable(Variable::UpstreamHttp(_) | Variable::UpstreamCookie(_)) => Wants::SERVER_HEAD,
            Part::Variable(Variable::SentHttp(_)) => Wants::SENT_HEAD,
            // A map may ask for anything.
            Part::Variable(Variable::Custom(_)) => Wants::SERVERS.and(Wants::SERVER_HEAD).and(Wants::SENT_HEAD),
            _ => Wants::NOTHING,
        };
        parts.iter().map(of).fold(Wants::NOTHING, Wants::and)
    }
}

/// A piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// What a request says.
    Variable(Variable),
}

/// nginx's variables that a request or session has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `$remote_addr`: the client's address; behind trusted proxies the one that they name.
    RemoteAddr,
    /// `$remote_port`: of the connection.
    RemotePort,
    /// `$realip_remote_addr`: the peer's address, whomever it speaks for.
    RealipRemoteAddr,
    /// `$proxy_protocol_addr`: the address in the PROXY protocol's header.
    ProxyProtocolAddr,
    /// `$host`: lower case, without port.
    Host,
    /// `$server_name`: the first name of the server.
    ServerName,
    /// `$server_port`: the port that was connected to.
    ServerPort,
    /// `$request_uri`: as sent, with the query.
    RequestUri,
    /// `$uri`: the path, decoded and tidied.
    Uri,
    /// `$args`: the query, without `?`.
    Args,
    /// `$is_args`: `?` if there is a query.
    IsArgs,
    /// `$request_method`.
    RequestMethod,
    /// `$scheme`.
    Scheme,
    /// `$https`: `on` on connections with TLS.
    Https,
    /// `$proxy_host`: the group or address that `proxy_pass` names.
    ProxyHost,
    /// `$proxy_add_x_forwarded_for`: the chain that came, and the peer behind it.
    ProxyAddXForwardedFor,
    /// `$arg_NAME`: a parameter of the query.
    Arg(String),
    /// `$http_NAME`: a field, in lower case with dashes.
    Http(String),
    /// `$cookie_NAME`.
    Cookie(String),
    /// `$ssl_...`.
    Ssl(SslVariable),
    /// `$1` to `$9`: what the groups of the last match took.
    Capture(usize),
    /// A `map`, a `set`, or a named group of a regular expression.
    Custom(Arc<str>),
    /// `$request`: the request line as received.
    RequestLine,
    /// `$request_length`: bytes of the request, head and body.
    RequestLength,
    /// `$request_id`: 32 hexadecimal digits, of each request others.
    RequestId,
    /// `$request_time`: seconds since the request's first byte, with milliseconds.
    RequestTime,
    /// `$request_completion`: `OK` if the answer was sent whole.
    RequestCompletion,
    /// `$request_filename`: the path of the file that the URI stands for.
    RequestFilename,
    /// `$document_root`.
    DocumentRoot,
    /// `$server_protocol`: `HTTP/1.1`.
    ServerProtocol,
    /// `$server_addr`: the address that was connected to.
    ServerAddr,
    /// `$remote_user`: the name of basic authentication.
    RemoteUser,
    /// `$connection`: its number.
    Connection,
    /// `$connection_requests`: requests of the connection so far.
    ConnectionRequests,
    /// `$hostname`: of this machine.
    Hostname,
    /// `$pid`.
    Pid,
    /// `$nginx_version`: ours.
    Version,
    /// `$msec`: seconds since 1970, with milliseconds.
    Msec,
    /// `$time_local`: `21/Nov/2026:05:06:07 +0000`.
    TimeLocal,
    /// `$time_iso8601`: `2026-11-21T05:06:07+00:00`.
    TimeIso8601,
    /// `$proxy_port`: of the address that `proxy_pass` names.
    ProxyPort,
    /// `$status`: of the answer.
    Status,
    /// `$body_bytes_sent`: bytes of the answer without its head.
    BodyBytesSent,
    /// `$bytes_sent`: all of them.
    BytesSent,
    /// `$gzip_ratio`: how much smaller compression made the body.
    GzipRatio,
    /// `$limit_req_status`: PASSED, DELAYED, REJECTED and so on.
    LimitReqStatus,
    /// `$limit_conn_status`.
    LimitConnStatus,
    /// `$sent_http_NAME`: a field of the answer, in lower case with dashes.
    SentHttp(String),
    /// `$upstream_...`.
    Upstream(UpstreamVariable),
    /// `$upstream_http_NAME`: a field of the server's answer, in lower case with dashes.
    UpstreamHttp(String),
    /// `$upstream_cookie_NAME`: a cookie that the server sets.
    UpstreamCookie(String),
}

/// What is known of the servers that were asked, in turn, with commas between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamVariable {
    /// `$upstream_addr`.
    Addr,
    /// `$upstream_status`.
    Status,
    /// `$upstream_connect_time`: seconds, with milliseconds.
    ConnectTime,
    /// `$upstream_header_time`.
    HeaderTime,
    /// `$upstream_response_time`.
    ResponseTime,
    /// `$upstream_response_length`: bytes of the body.
    ResponseLength,
    /// `$upstream_bytes_received`.
    BytesReceived,
    /// `$upstream_bytes_sent`.
    BytesSent,
}

impl UpstreamVariable {
    /// All, with their names behind `$upstream_`.
    pub const ALL: [(&'static str, UpstreamVariable); 8] = [
        ("addr", UpstreamVariable::Addr),
        ("status", UpstreamVariable::Status),
        ("connect_time", UpstreamVariable::ConnectTime),
        ("header_time", UpstreamVariable::HeaderTime),
        ("response_time", UpstreamVariable::ResponseTime),
        ("response_length", UpstreamVariable::ResponseLength),
        ("bytes_received", UpstreamVariable::BytesReceived),
        ("bytes_sent", UpstreamVariable::BytesSent),
    ];
}

/// Names that the configuration gives to variables: of its `map`s, `set`s and named groups.
#[derive(Debug, Clone, Default)]
pub struct Known(HashSet<String>);

impl Known {
    /// One more name, without `$`.
    pub fn add(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// It is one of them.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// What a connection with TLS says of itself; all are empty on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslVariable {
    /// `$ssl_protocol`: `TLSv1.3`.
    Protocol,
    /// `$ssl_cipher`: the suite's name.
    Cipher,
    /// `$ssl_server_name`: what the client asked for (SNI).
    ServerName,
    /// `$ssl_session_reused`: `r` or `.`.
    SessionReused,
    /// `$ssl_client_verify`: `SUCCESS`, `NONE` or `FAILED:reason`.
    ClientVerify,
    /// `$ssl_client_s_dn`: the subject of the client's certificate.
    ClientSDn,
    /// `$ssl_client_i_dn`: its issuer.
    ClientIDn,
    /// `$ssl_client_serial`.
    ClientSerial,
    /// `$ssl_client_fingerprint`: SHA-1, as in nginx.
    ClientFingerprint,
    /// `$ssl_client_v_start`: the beginning of its validity.
    ClientVStart,
    /// `$ssl_client_v_end`: the end.
    ClientVEnd,
    /// `$ssl_client_escaped_cert`: PEM, percent-encoded.
    ClientEscapedCert,
}

impl SslVariable {
    /// All, with their names behind `$ssl_`.
    pub const ALL: [(&'static str, SslVariable); 12] = [
        ("protocol", SslVariable::Protocol),
        ("cipher", SslVariable::Cipher),
        ("server_name", SslVariable::ServerName),
        ("session_reused", SslVariable::SessionReused),
        ("client_verify", SslVariable::ClientVerify),
        ("client_s_dn", SslVariable::ClientSDn),
        ("client_i_dn", SslVariable::ClientIDn),
        ("client_serial", SslVariable::ClientSerial),
        ("client_fingerprint", SslVariable::ClientFingerprint),
        ("client_v_start", SslVariable::ClientVStart),
        ("client_v_end", SslVariable::ClientVEnd),
        ("client_escaped_cert", SslVariable::ClientEscapedCert),
    ];
}

impl Variable {
    /// Also a TCP session has it.
    pub fn is_of_sessions(&self) -> bool {
        matches!(self, Variable::RemoteAddr)
    }

    /// Only a connection with TLS knows it.
    pub fn is_of_tls(&self) -> bool {
        matches!(self, Variable::Ssl(_))
    }

    /// What an exchange's answer must be there for, at least in part.
    pub fn is_of_answers(&self) -> bool {
        use Variable::*;
        matches!(
            self,
            RequestCompletion
                | Status
                | BodyBytesSent
                | BytesSent
                | GzipRatio
                | SentHttp(_)
                | Upstream(_)
                | UpstreamHttp(_)
                | UpstreamCookie(_)
        )
    }

    /// nginx's own variable of that name, without `$`.
    pub fn named(name: &str) -> Option<Variable> {
        let lower = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        Some(match name {
            "remote_addr" | "binary_remote_addr" => Variable::RemoteAddr,
            "remote_port" => Variable::RemotePort,
            "realip_remote_addr" => Variable::RealipRemoteAddr,
            "proxy_protocol_addr" => Variable::ProxyProtocolAddr,
            "host" => Variable::Host,
            "server_name" => Variable::ServerName,
            "server_port" => Variable::ServerPort,
            "request_uri" => Variable::RequestUri,
            "uri" | "document_uri" => Variable::Uri,
            "args" | "query_string" => Variable::Args,
            "is_args" => Variable::IsArgs,
            "request_method" => Variable::RequestMethod,
            "scheme" => Variable::Scheme,
            "https" => Variable::Https,
            "proxy_host" => Variable::ProxyHost,
            "proxy_add_x_forwarded_for" => Variable::ProxyAddXForwardedFor,
            "content_type" => Variable::Http("content-type".to_string()),
            "content_length" => Variable::Http("content-length".to_string()),
            "request" => Variable::RequestLine,
            "request_length" => Variable::RequestLength,
            "request_id" => Variable::RequestId,
            "request_time" => Variable::RequestTime,
            "request_completion" => Variable::RequestCompletion,
            "request_filename" => Variable::RequestFilename,
            "document_root" | "realpath_root" => Variable::DocumentRoot,
            "server_protocol" => Variable::ServerProtocol,
            "server_addr" => Variable::ServerAddr,
            "remote_user" => Variable::RemoteUser,
            "connection" => Variable::Connection,
            "connection_requests" => Variable::ConnectionRequests,
            "hostname" => Variable::Hostname,
            "pid" => Variable::Pid,
            "nginx_version" => Variable::Version,
            "msec" => Variable::Msec,
            "time_local" => Variable::TimeLocal,
            "time_iso8601" => Variable::TimeIso8601,
            "proxy_port" => Variable::ProxyPort,
            "status" => Variable::Status,
            "body_bytes_sent" => Variable::BodyBytesSent,
            "bytes_sent" => Variable::BytesSent,
            "gzip_ratio" => Variable::GzipRatio,
            "limit_req_status" => Variable::LimitReqStatus,
            "limit_conn_status" => Variable::LimitConnStatus,
            digit if digit.len() == 1 && matches!(digit.as_bytes()[0], b'1'..=b'9') => {
                Variable::Capture(usize::from(digit.as_bytes()[0] - b'0'))
            }
            // There is no cache, and no field without a name.
            "upstream_cache_status" => Variable::UpstreamHttp(String::new()),
            _ if name.len() > "sent_http_".len() && name.starts_with("sent_http_") => {
                Variable::SentHttp(lower(&name["sent_http_".len()..]))
            }
            _ if name.len() > "upstream_http_".len() && name.starts_with("upstream_http_") => {
                Variable::UpstreamHttp(lower(&name["upstream_http_".len()..]))
            }
            _ if name.len() > "upstream_cookie_".len() && name.starts_with("upstream_cookie_") => {
                Variable::UpstreamCookie(name["upstream_cookie_".len()..].to_string())
            }
            _ => match name.split_once('_')? {
                ("upstream", name) => {
                    Variable::Upstream(UpstreamVariable::ALL.iter().find(|(known, _)| *known == name)?.1)
                }
                ("arg", name) if !name.is_empty() => Variable::Arg(name.to_string()),
                ("http", name) if !name.is_empty() => Variable::Http(lower(name)),
                ("cookie", name) if !name.is_empty() => Variable::Cookie(name.to_string()),
                ("ssl", name) => Variable::Ssl(SslVariable::ALL.iter().find(|(known, _)| *known == name)?.1),
                _ => return None,
            },
        })
    }
}

/// What nginx calls them, for messages.
const KNOWN: &str = "$remote_addr, $remote_port, $realip_remote_addr, $proxy_protocol_addr, $host, $server_name, $server_port, \
    $request_uri, $uri, $args, $is_args, $arg_NAME, $http_NAME, $cookie_NAME, $request_method, $scheme, $https, $proxy_host, \
    $proxy_add_x_forwarded_for, and $ssl_ with protocol, cipher, server_name, session_reused or client_ with verify, s_dn, i_dn, \
    serial, fingerprint, v_start, v_end, escaped_cert; $request, $request_length, $request_id, $request_time, $request_filename, \
    $document_root, $server_protocol, $server_addr, $remote_user, $content_type, $content_length, $connection, $connection_requests, \
    $hostname, $pid, $msec, $time_local, $time_iso8601, $proxy_port, $1 to $9; and of answers $status, $body_bytes_sent, $bytes_sent, \
    $request_completion, $sent_http_NAME, $upstream_http_NAME, $upstream_cookie_NAME, and $upstream_ with addr, status, connect_time, \
    header_time, response_time, response_length, bytes_received, bytes_sent";

/// What is said of a name that is none: those that look most like it.
fn unknown(name: &str, known: &Known) -> String {
    const NAMED: usize = 5;
    let plain =
        KNOWN.split([',', ' ', ';']).filter_map(|word| word.strip_prefix('$')).filter(|word| !word.ends_with('_'));
    let ssl = SslVariable::ALL.iter().map(|(name, _)| format!("ssl_{name}"));
    let upstream = UpstreamVariable::ALL.iter().map(|(name, _)| format!("upstream_{name}"));
    let all = plain.map(str::to_owned).chain(ssl).chain(upstream).chain(known.0.iter().cloned());
    let mut all: Vec<(usize, String)> = all.map(|other| (strsim::damerau_levenshtein(name, &other), other)).collect();
    all.sort();
    let near: Vec<String> = all.into_iter().take(NAMED).map(|(_, name)| format!("${name}")).collect();
    format!("unknown variable `${name}`; there are {} and others", near.join(", "))
}

impl Template {
    /// Takes a text apart. `$name` and `${name}` are variables; a dollar sign cannot be had otherwise, as in nginx.
    pub fn parse(text: &str, known: &Known) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_string()));
            }
            let behind = &rest[at + 1..];
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, left) = match behind.strip_prefix('{') {
                Some(inner) => inner.split_once('}').ok_or("a `${` without its `}`")?,
                None => behind.split_at(behind.find(|c| !is_name(c)).unwrap_or(behind.len())),
            };
            if name.is_empty() {
                return Err("a `$` without a name behind it".to_string());
            }
            let custom = || known.has(name).then(|| Variable::Custom(name.into()));
            let variable = Variable::named(name).or_else(custom);
            parts.push(Part::Variable(variable.ok_or_else(|| unknown(name, known))?));
            rest = left;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_string()));
        }
        Ok(Template { text: text.to_string(), wants: Wants::of(&parts), parts })
    }

    /// A text without variables: every dollar sign stands for itself.
    pub fn literal(text: &str) -> Template {
        let parts = if text.is_empty() { Vec::new() } else { vec![Part::Text(text.to_string())] };
        Template { text: text.to_string(), parts, wants: Wants::NOTHING }
    }

    /// The text, if it has no variables.
    pub fn as_literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What must be noted for it.
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// Its variables.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_messages_name_is_there() {
        let (plain, ssl) = KNOWN.split_once(", and $ssl_ with ").expect("two lists");
        for name in plain.split(", ") {
            assert!(Template::parse(&name.replace("NAME", "x"), &Known::default()).is_ok(), "{name}");
        }
        for (name, variable) in SslVariable::ALL {
            assert!(ssl.contains(name.trim_start_matches("client_")), "{name}");
            let template = Template::parse(&format!("${{ssl_{name}}}"), &Known::default()).expect(name);
            assert_eq!(template.parts(), [Part::Variable(Variable::Ssl(variable))]);
            assert!(template.variables().all(Variable::is_of_tls));
        }
    }

    #[test]
    fn texts_know_what_they_want() {
        let mut known = Known::default();
        known.add("mine");
        let all = Wants::SERVERS.and(Wants::SERVER_HEAD).and(Wants::SENT_HEAD);
        let table = [
            ("", Wants::NOTHING),
            ("$remote_addr [$time_local] $status", Wants::NOTHING),
            ("$upstream_addr", Wants::SERVERS),
            ("$upstream_http_x $sent_http_y", Wants::SERVER_HEAD.and(Wants::SENT_HEAD)),
            ("$upstream_cookie_x", Wants::SERVER_HEAD),
            ("$mine", all),
        ];
        for (written, wants) in table {
            assert_eq!(Template::parse(written, &known).expect(written).wants(), wants, "{written}");
        }
        assert_eq!(Template::literal("$upstream_addr").wants(), Wants::NOTHING);
        assert!(all.has(Wants::SENT_HEAD) && !all.has(Wants::LINE) && !Wants::NOTHING.has(all));
    }

    #[test]
    fn texts_come_apart_or_are_refused() {
        let variable = Part::Variable;
        let text = |text: &str| Part::Text(text.to_string());
        let good: [(&str, Vec<Part>); 8] = [
            ("$https$http_s", vec![variable(Variable::Https), variable(Variable::Http("s".into()))]),
            ("$ssl_client_s_dn", vec![variable(Variable::Ssl(SslVariable::ClientSDn))]),
            ("", vec![]),
            ("$remote_addr", vec![variable(Variable::RemoteAddr)]),
            ("a$uri?b", vec![text("a"), variable(Variable::Uri), text("?b")]),
            ("${host}x", vec![variable(Variable::Host), text("x")]),
            ("$cookie_Sid", vec![variable(Variable::Cookie("Sid".into()))]),
            (
                "$http_X_Tenant$arg_id",
                vec![variable(Variable::Http("x-tenant".into())), variable(Variable::Arg("id".into()))],
            ),
        ];
        for (written, parts) in good {
            let template =
                Template::parse(written, &Known::default()).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!(template.parts(), parts, "{written}");
            assert_eq!(template.to_string(), written);
        }
        for (written, part) in [
            ("$", "name"),
            ("a$ b", "name"),
            ("${host", "`}`"),
            ("$nope", "$nope"),
            ("$arg_", "$arg_"),
            ("$ssl_", "$ssl_"),
            ("$ssl_client_x", "$ssl_client_x"),
        ] {
            let error = Template::parse(written, &Known::default()).expect_err(written);
            assert!(error.contains(part) && error.len() < 200, "{written}: {error}");
        }
        let mut known = Known::default();
        known.add("mobile");
        for (written, near) in
            [("$remot_addr", "$remote_addr"), ("$mobil", "$mobile"), ("$upstream_adr", "$upstream_addr")]
        {
            let error = Template::parse(written, &known).expect_err(written);
            assert!(error.contains(&format!("there are {near},")), "{written}: {error}");
        }
    }
}
