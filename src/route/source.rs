//! The texts of a configuration with a request's variables put in.

use super::course::Course;
use super::place::{document_root, request_filename};
use crate::balance::hash::StableHasher;
use crate::config::plan::{Location, Map, Plan, Server};
use crate::config::template::{Part, SslVariable, Template, Variable};
use crate::proto::authorization::basic;
use crate::proto::request::{Request, Route, Version};
use crate::proto::rewrite::forwarded_for;
use crate::proto::variables::{argument, cookie, field};
use std::borrow::Cow;
use std::net::IpAddr;

/// What variables are taken from.
pub struct Source<'x, 'h, 'b> {
    /// The head as it lies in the buffer.
    pub request: &'x Request<'h, 'b>,
    /// What `inspect` made of its target and Host.
    pub route: &'x Route<'b>,
    /// What is configured.
    pub plan: &'x Plan,
    /// The server that was chosen.
    pub server: &'x Server,
    /// The location that was chosen, once one is.
    pub location: Option<&'x Location>,
    /// What rewriting made of the request so far.
    pub course: &'x Course,
    /// The client's address; behind trusted proxies the one that they name.
    pub client_ip: &'x str,
    /// What it came on.
    pub connection: &'x dyn Connection,
    /// The port that was connected to; `None` on unix sockets.
    pub server_port: Option<u16>,
    /// The group that is asked; "" if none is.
    pub proxy_host: &'x str,
    /// Maps that may still be looked up within one another; `MAPS_DEPTH_MAX` at first.
    pub depth: usize,
}

/// What variables ask of a client's connection.
pub trait Connection {
    /// "http" or "https".
    fn scheme(&self) -> &'static str;
    /// The peer's address.
    fn peer_ip(&self) -> &str;
    /// The peer's port; `None` on unix sockets.
    fn peer_port(&self) -> Option<u16>;
    /// The client's address as the PROXY protocol's header has it.
    fn proxy_protocol_addr(&self) -> Option<IpAddr>;
    /// What TLS tells; "" without it.
    fn ssl(&self, variable: SslVariable) -> Cow<'_, str>;
    /// All other variables: of the connection, the time, the process, and the answer as far as it is there.
    fn other(&self, variable: &Variable, out: &mut dyn FnMut(&[u8]));
}

impl<'x> Source<'x, '_, '_> {
    /// The path as it is now: decoded and tidied, or rewritten.
    pub fn path(&self) -> &'x str {
        self.course.path().unwrap_or(&self.route.path)
    }

    /// The query as it is now, without `?`.
    pub fn args(&self) -> &'x str {
        self.course.args().unwrap_or_else(|| self.route.query())
    }

    /// The method as it is now.
    pub fn method(&self) -> &'x str {
        match self.course.as_get && self.request.method != "HEAD" {
            true => "GET",
            false => self.request.method,
        }
    }

    /// The first name of the server; "" if it has none.
    pub fn server_name(&self) -> &str {
        self.server.names.first().map_or("", String::as_str)
    }

    /// Hands out the text piece by piece. What a request does not have is empty, as in nginx.
    pub fn write(&self, template: &Template, mut out: impl FnMut(&[u8])) {
        self.write_parts(template, self.depth, &mut out);
    }

    /// The text as one.
    pub fn text(&self, template: &Template) -> Vec<u8> {
        let mut text = Vec::new();
        self.write(template, |piece| text.extend_from_slice(piece));
        text
    }

    /// The text as one, for what must be UTF-8: other bytes are replaced.
    pub fn string(&self, template: &Template) -> String {
        String::from_utf8(self.text(template)).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }

    /// The stable hash of the text, without writing it anywhere.
    pub fn hash(&self, template: &Template) -> u64 {
        let mut hasher = StableHasher::new();
        self.write(template, |piece| hasher.write(piece));
        hasher.finish()
    }

    /// `depth`: maps that may still be looked up within one another.
    fn write_parts(&self, template: &Template, depth: usize, out: &mut dyn FnMut(&[u8])) {
        for part in template.parts() {
            match part {
                Part::Text(text) => out(text.as_bytes()),
                Part::Variable(Variable::Custom(name)) => self.write_custom(name, depth, out),
                Part::Variable(variable) => self.write_variable(variable, out),
            }
        }
    }

    /// What rewriting set, else the map of that name.
    fn write_custom(&self, name: &str, depth: usize, out: &mut dyn FnMut(&[u8])) {
        if let Some(value) = self.course.value(name) {
            return out(value.as_bytes());
        }
        if let (Some(map), Some(depth)) = (self.plan.maps.iter().find(|map| *map.name == *name), depth.checked_sub(1)) {
            Source { depth, ..*self }.write_map(map, depth, out);
        }
    }

    fn write_map(&self, map: &Map, depth: usize, out: &mut dyn FnMut(&[u8])) {
        let mut source = Vec::new();
        self.write_parts(&map.source, depth, &mut |piece| source.extend_from_slice(piece));
        let source = String::from_utf8_lossy(&source);
        let (value, groups) = super::maps::find(map, &source);
        match groups {
            None => self.write_parts(value, depth, out),
            // The groups are those of the map's own expression here.
            Some((pattern, groups)) => {
                for part in value.parts() {
                    match part {
                        Part::Variable(Variable::Capture(nth)) => {
                            if let Some(Some(range)) = groups.get(*nth) {
                                out(source[range.clone()].as_bytes());
                            }
                        }
                        Part::Variable(Variable::Custom(name)) => match super::maps::group(pattern, &groups, name) {
                            Some(range) => out(source[range].as_bytes()),
                            None => self.write_custom(name, depth, out),
                        },
                        Part::Text(text) => out(text.as_bytes()),
                        Part::Variable(variable) => self.write_variable(variable, out),
                    }
                }
            }
        }
    }

    /// The value of one variable.
    pub fn write_one(&self, variable: &Variable, out: &mut dyn FnMut(&[u8])) {
        match variable {
            Variable::Custom(name) => self.write_custom(name, self.depth, out),
            variable => self.write_variable(variable, out),
        }
    }

    /// All but custom ones.
    fn write_variable(&self, variable: &Variable, out: &mut dyn FnMut(&[u8])) {
        let (request, route, connection) = (self.request, self.route, self.connection);
        let mut number = |port: Option<u16>| {
            if let Some(port) = port {
                out(itoa::Buffer::new().format(port).as_bytes());
            }
        };
        match variable {
            Variable::RemotePort => number(connection.peer_port()),
            Variable::ServerPort => number(self.server_port),
            Variable::RemoteAddr => out(self.client_ip.as_bytes()),
            Variable::RealipRemoteAddr => out(connection.peer_ip().as_bytes()),
            Variable::ProxyProtocolAddr => {
                out(connection.proxy_protocol_addr().map(|address| address.to_string()).unwrap_or_default().as_bytes())
            }
            // A client without Host gets the server's name, as in nginx.
            Variable::Host if route.host.is_empty() => out(self.server_name().as_bytes()),
            Variable::Host => out(route.host.as_bytes()),
            Variable::ServerName => out(self.server_name().as_bytes()),
            Variable::RequestUri => route.request_uri().map(str::as_bytes).into_iter().for_each(out),
            Variable::Uri => out(self.path().as_bytes()),
            Variable::Args => out(self.args().as_bytes()),
            Variable::IsArgs => out(if self.args().is_empty() { b"" } else { b"?" }),
            Variable::RequestMethod => out(self.method().as_bytes()),
            Variable::Scheme => out(connection.scheme().as_bytes()),
            Variable::Https => out(if connection.scheme() == "https" { b"on" } else { b"" }),
            Variable::ProxyHost => out(self.proxy_host.as_bytes()),
            Variable::ProxyPort => out(port(self.proxy_host).as_bytes()),
            Variable::ProxyAddXForwardedFor => forwarded_for(request.fields, connection.peer_ip(), out),
            Variable::Arg(name) => out(argument(self.args(), name).unwrap_or_default().as_bytes()),
            Variable::Http(name) => field(request.fields, name, out),
            Variable::Cookie(name) => out(cookie(request.fields, name).unwrap_or_default()),
            Variable::Ssl(variable) => out(connection.ssl(*variable).as_bytes()),
            Variable::RemoteUser => out(&basic(request.fields).map(|basic| basic.user).unwrap_or_default()),
            Variable::Capture(nth) => out(self.course.group(*nth).unwrap_or_default().as_bytes()),
            Variable::RequestLine => {
                let version = if request.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
                [request.method, " ", request.target, " ", version].map(str::as_bytes).into_iter().for_each(out);
            }
            Variable::ServerProtocol => out(if request.version == Version::Http10 { b"HTTP/1.0" } else { b"HTTP/1.1" }),
            Variable::RequestFilename => out(request_filename(self).as_bytes()),
            Variable::DocumentRoot => out(document_root(self).as_bytes()),
            Variable::Custom(name) => self.write_custom(name, self.depth, out),
            other => connection.other(other, out),
        }
    }
}

/// The port of an address as `proxy_pass` names it; 80 without one.
fn port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => port,
        _ => "80",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::hash::stable_hash;
    use crate::config::template::Known;
    use crate::limits::MAPS_DEPTH_MAX;
    use crate::proto::request::{FieldSlots, parse};

    /// A connection that says what it is asked for.
    struct Asked(bool);

    impl Connection for Asked {
        fn scheme(&self) -> &'static str {
            if self.0 { "https" } else { "http" }
        }
        fn peer_ip(&self) -> &str {
            "192.0.2.9"
        }
        fn peer_port(&self) -> Option<u16> {
            self.0.then_some(4711)
        }
        fn proxy_protocol_addr(&self) -> Option<IpAddr> {
            self.0.then(|| [192, 0, 2, 8].into())
        }
        fn ssl(&self, variable: SslVariable) -> Cow<'_, str> {
            if self.0 { Cow::Owned(format!("{variable:?}")) } else { Cow::Borrowed("") }
        }
        fn other(&self, variable: &Variable, out: &mut dyn FnMut(&[u8])) {
            out(format!("{variable:?}").as_bytes());
        }
    }

    #[track_caller]
    fn check(head: &str, rows: &[(&str, &str)]) {
        check_on(Asked(false), head, rows);
    }

    #[track_caller]
    fn check_on(connection: Asked, head: &str, rows: &[(&str, &str)]) {
        let mut slots = FieldSlots::new();
        let request = parse(head.as_bytes(), &mut slots).unwrap().unwrap();
        let (_, route) = request.inspect().unwrap();
        let plan =
            crate::config::load_str("t", "[[server]]\nlisten = 80\nserver_name = \"first.example\"\nreturn = 404\n")
                .unwrap()
                .plan;
        let source = Source {
            request: &request,
            route: &route,
            plan: &plan,
            server: &plan.servers[0],
            location: None,
            course: &Course::default(),
            client_ip: "192.0.2.1",
            connection: &connection,
            server_port: connection.0.then_some(8443),
            proxy_host: "group",
            depth: MAPS_DEPTH_MAX,
        };
        for (written, wanted) in rows {
            let template = Template::parse(written, &Known::default()).unwrap();
            let mut text = Vec::new();
            source.write(&template, |piece| text.extend_from_slice(piece));
            assert_eq!(str::from_utf8(&text).unwrap(), *wanted, "{written}");
            assert_eq!(source.hash(&template), stable_hash(wanted.as_bytes()), "{written}");
        }
    }

    #[test]
    fn texts_are_put_together() {
        check(
            "GET /a%20b/../c?id=%41&x=1&ID=2&flag&e= HTTP/1.1\r\nHost: Example.COM:80\r\nX-Tenant: t1\r\nx-tenant: t2\r\n\
             Cookie: Sid=\"q\"; odd; b=c d\r\ncookie: sid=2; z=\r\n\r\n",
            &[
                ("", ""),
                ("text", "text"),
                ("$remote_addr", "192.0.2.1"),
                ("$host", "example.com"),
                ("$request_uri", "/a%20b/../c?id=%41&x=1&ID=2&flag&e="),
                ("$uri", "/c"),
                ("$args", "id=%41&x=1&ID=2&flag&e="),
                ("$request_method $scheme", "GET http"),
                ("$arg_id|$arg_ID|$arg_x|$arg_flag|$arg_e|$arg_none", "%41|%41|1|||"),
                ("$http_x_tenant|$http_X_Tenant|$http_none|$http_host", "t1, t2|t1, t2||Example.COM:80"),
                ("$cookie_sid|$cookie_Sid|$cookie_b|$cookie_odd|$cookie_z|$cookie_none", "\"q\"|\"q\"|c d|||"),
                ("$http_cookie", "Sid=\"q\"; odd; b=c d; sid=2; z="),
                ("${host}${uri}-$scheme", "example.com/c-http"),
            ],
        );
    }

    #[test]
    fn connections_are_asked() {
        let head = "GET /?a HTTP/1.1\r\nHost: a:1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: b\r\n\r\n";
        check_on(
            Asked(true),
            head,
            &[
                ("$scheme $https $is_args", "https on ?"),
                ("$remote_port $server_port $server_name $proxy_host", "4711 8443 first.example group"),
                ("$remote_addr $realip_remote_addr $proxy_protocol_addr", "192.0.2.1 192.0.2.9 192.0.2.8"),
                ("$proxy_add_x_forwarded_for", "10.0.0.1, b, 192.0.2.9"),
                ("$ssl_protocol $ssl_cipher $ssl_server_name", "Protocol Cipher ServerName"),
                ("$ssl_session_reused $ssl_client_verify", "SessionReused ClientVerify"),
                ("$ssl_client_s_dn $ssl_client_i_dn $ssl_client_serial", "ClientSDn ClientIDn ClientSerial"),
                ("$ssl_client_fingerprint $ssl_client_v_start", "ClientFingerprint ClientVStart"),
                ("$ssl_client_v_end $ssl_client_escaped_cert", "ClientVEnd ClientEscapedCert"),
            ],
        );
        check(
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[
                ("$https|$is_args|$remote_port|$server_port|$proxy_protocol_addr|$ssl_protocol", "|||||"),
                ("$proxy_add_x_forwarded_for", "192.0.2.9"),
            ],
        );
    }

    #[test]
    fn what_is_not_there_is_empty() {
        check(
            "GET / HTTP/1.0\r\n\r\n",
            &[
                ("$host|$args|$arg_a|$http_a|$cookie_a|$uri|$request_uri", "first.example|||||/|/"),
                ("$arg_a$http_a$cookie_a", ""),
                ("$http_host", ""),
            ],
        );
        check("GET http://b?a=1 HTTP/1.1\r\nHost: c\r\n\r\n", &[("$host $uri $request_uri $arg_a", "b / /?a=1 1")]);
        check("OPTIONS * HTTP/1.1\r\nHost: c\r\n\r\n", &[("$uri $request_uri $request_method", "/ * OPTIONS")]);
    }
}
