//! The texts of a configuration with a request's variables put in.

use crate::balance::hash::StableHasher;
use crate::config::template::{Part, Template, Variable};
use crate::proto::request::{Request, Route};
use crate::proto::variables::{argument, cookie, field};

/// What variables are taken from.
pub struct Source<'x, 'h, 'b> {
    /// The head as it lies in the buffer.
    pub request: &'x Request<'h, 'b>,
    /// What `inspect` made of its target and Host.
    pub route: &'x Route<'b>,
    /// The client's address; behind trusted proxies the one that they name.
    pub client_ip: &'x str,
    /// "http" or "https".
    pub scheme: &'x str,
}

impl Source<'_, '_, '_> {
    /// Hands out the text piece by piece. What a request does not have is empty, as in nginx.
    pub fn write(&self, template: &Template, mut out: impl FnMut(&[u8])) {
        for part in template.parts() {
            match part {
                Part::Text(text) => out(text.as_bytes()),
                Part::Variable(variable) => self.write_one(variable, &mut out),
            }
        }
    }

    /// The stable hash of the text, without writing it anywhere.
    pub fn hash(&self, template: &Template) -> u64 {
        let mut hasher = StableHasher::new();
        self.write(template, |piece| hasher.write(piece));
        hasher.finish()
    }

    fn write_one(&self, variable: &Variable, mut out: impl FnMut(&[u8])) {
        let (request, route) = (self.request, self.route);
        match variable {
            Variable::RemoteAddr => out(self.client_ip.as_bytes()),
            Variable::Host => out(route.host.as_bytes()),
            Variable::RequestUri => route.request_uri().map(str::as_bytes).into_iter().for_each(out),
            Variable::Uri => out(route.path.as_bytes()),
            Variable::Args => out(route.query().as_bytes()),
            Variable::RequestMethod => out(request.method.as_bytes()),
            Variable::Scheme => out(self.scheme.as_bytes()),
            Variable::Arg(name) => out(argument(route.query(), name).unwrap_or_default().as_bytes()),
            Variable::Http(name) => field(request.fields, name, out),
            Variable::Cookie(name) => out(cookie(request.fields, name).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::hash::stable_hash;
    use crate::proto::request::{FieldSlots, parse};

    #[track_caller]
    fn check(head: &str, rows: &[(&str, &str)]) {
        let mut slots = FieldSlots::new();
        let request = parse(head.as_bytes(), &mut slots).unwrap().unwrap();
        let (_, route) = request.inspect().unwrap();
        let source = Source { request: &request, route: &route, client_ip: "192.0.2.1", scheme: "http" };
        for (written, wanted) in rows {
            let template = Template::parse(written).unwrap();
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
    fn what_is_not_there_is_empty() {
        check(
            "GET / HTTP/1.0\r\n\r\n",
            &[
                ("$host|$args|$arg_a|$http_a|$cookie_a|$uri|$request_uri", "|||||/|/"),
                ("$arg_a$http_a$cookie_a", ""),
                ("$http_host", ""),
            ],
        );
        check("GET http://b?a=1 HTTP/1.1\r\nHost: c\r\n\r\n", &[("$host $uri $request_uri $arg_a", "b / /?a=1 1")]);
        check("OPTIONS * HTTP/1.1\r\nHost: c\r\n\r\n", &[("$uri $request_uri $request_method", "/ * OPTIONS")]);
    }
}
