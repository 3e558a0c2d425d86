//! What variables ask of a client's connection.

use super::client::Client;
use crate::config::template::{SslVariable, Variable};
use crate::ring::Driver;
use crate::route::Connection;
use std::borrow::Cow;
use std::net::IpAddr;

impl<D: Driver> Connection for Client<'_, D> {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn peer_ip(&self) -> &str {
        &self.ip
    }

    fn peer_port(&self) -> Option<u16> {
        Some(self.port).filter(|_| self.address.is_some())
    }

    fn proxy_protocol_addr(&self) -> Option<IpAddr> {
        self.address.filter(|_| self.told)
    }

    fn ssl(&self, variable: SslVariable) -> Cow<'_, str> {
        let Some(facts) = self.socket.facts() else { return Cow::Borrowed("") };
        let value: &str = match variable {
            SslVariable::Protocol => facts.ssl_protocol,
            SslVariable::Cipher => &facts.ssl_cipher,
            SslVariable::ServerName => &facts.ssl_server_name,
            SslVariable::SessionReused => facts.ssl_session_reused,
            SslVariable::ClientVerify => &facts.ssl_client_verify,
            SslVariable::ClientSDn => &facts.ssl_client_s_dn,
            SslVariable::ClientIDn => &facts.ssl_client_i_dn,
            SslVariable::ClientSerial => &facts.ssl_client_serial,
            SslVariable::ClientFingerprint => &facts.ssl_client_fingerprint,
            SslVariable::ClientVStart => &facts.ssl_client_v_start,
            SslVariable::ClientVEnd => &facts.ssl_client_v_end,
            SslVariable::ClientEscapedCert => &facts.ssl_client_escaped_cert,
        };
        value.to_owned().into()
    }

    fn other(&self, variable: &Variable, out: &mut dyn FnMut(&[u8])) {
        let status = match variable {
            Variable::LimitReqStatus => self.standing.req,
            Variable::LimitConnStatus => self.standing.conn,
            _ => None,
        };
        match status {
            Some(status) => out(status.name().as_bytes()),
            None => self.write_other(variable, out),
        }
    }
}
