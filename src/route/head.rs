//! The head that a backend is sent.

use super::source::Source;
use super::uri;
use crate::config::plan::{Location, ProxyUri};
use crate::config::template::Template;
use crate::proto::request::RequestFacts;
use crate::proto::rewrite::{self, Forwarding, SetFields};
use crate::proto::writer::Writer;

/// A location's `proxy_set_header` for one request.
struct Set<'x, 's, 'h, 'b>(&'x [(String, Template)], &'x Source<'s, 'h, 'b>);

impl SetFields for Set<'_, '_, '_, '_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn name(&self, nth: usize) -> &str {
        &self.0[nth].0
    }

    fn value(&self, nth: usize, out: &mut dyn FnMut(&[u8])) {
        self.1.write(&self.0[nth].1, out);
    }
}

/// Writes the head of `source`'s request for a server of the group that `source.proxy_host` names. `trusted`: the peer is a proxy that
/// `set_real_ip_from` names.
pub fn write(
    writer: &mut Writer,
    location: &Location,
    uri: &ProxyUri,
    facts: &RequestFacts,
    trusted: bool,
    source: &Source,
) {
    let target = uri::proxied(uri, location, source);
    let set = Set(&location.set_headers, source);
    let forwarding = Forwarding {
        peer_ip: source.connection.peer_ip(),
        client_ip: source.client_ip,
        scheme: source.connection.scheme(),
        trusted,
        fallback_host: source.proxy_host,
        set: (!set.0.is_empty()).then_some(&set),
        method: source.course.as_get.then(|| source.method()),
        target: target.as_deref(),
    };
    rewrite::write_request(writer, source.request, facts, source.route, &forwarding);
}
