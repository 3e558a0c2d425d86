//! Texts with variables, `$remote_addr$request_uri`: taken apart here, put together where a request is known.

use std::fmt;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// As written.
    text: String,
    parts: Vec<Part>,
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

    fn named(name: &str) -> Option<Variable> {
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
            _ => match name.split_once('_')? {
                ("arg", name) if !name.is_empty() => Variable::Arg(name.to_string()),
                ("http", name) if !name.is_empty() => Variable::Http(name.to_ascii_lowercase().replace('_', "-")),
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
    serial, fingerprint, v_start, v_end, escaped_cert";

impl Template {
    /// Takes a text apart. `$name` and `${name}` are variables; a dollar sign cannot be had otherwise, as in nginx.
    pub fn parse(text: &str) -> Result<Template, String> {
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
            let variable = Variable::named(name);
            parts.push(Part::Variable(
                variable.ok_or_else(|| format!("unknown variable `${name}`; there are {KNOWN}"))?,
            ));
            rest = left;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_string()));
        }
        Ok(Template { text: text.to_string(), parts })
    }

    /// Its pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
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
            assert!(Template::parse(&name.replace("NAME", "x")).is_ok(), "{name}");
        }
        for (name, variable) in SslVariable::ALL {
            assert!(ssl.contains(name.trim_start_matches("client_")), "{name}");
            let template = Template::parse(&format!("${{ssl_{name}}}")).expect(name);
            assert_eq!(template.parts(), [Part::Variable(Variable::Ssl(variable))]);
            assert!(template.variables().all(Variable::is_of_tls));
        }
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
            let template = Template::parse(written).unwrap_or_else(|error| panic!("{written}: {error}"));
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
            let error = Template::parse(written).expect_err(written);
            assert!(error.contains(part), "{written}: {error}");
        }
    }
}
