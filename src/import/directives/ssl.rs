//! `ssl_...` of HTTP.

use super::Fate::{ConfPath, ConfPaths, Differs, Guard, Lost, Own, Same, Unneeded};
use super::Level::Server;
use super::{Rule, row};

/// In the order of their names.
pub(super) const ROWS: &[Rule] = &[
    row("ssl", "hs", "on", Own),
    row("ssl_buffer_size", "hs", "1", Unneeded("records have the size that fits")),
    row("ssl_certificate", "hs", "1", ConfPaths(Server)),
    row(
        "ssl_certificate_cache",
        "hs",
        "1-3",
        Unneeded("certificates are kept in memory, and read again when their files change"),
    ),
    row(
        "ssl_certificate_compression",
        "hs",
        "on",
        Unneeded("certificates are kept in memory, and read again when their files change"),
    ),
    row("ssl_certificate_key", "hs", "1", ConfPaths(Server)),
    row("ssl_ciphers", "hs", "1", Same(Server)),
    row("ssl_client_certificate", "hs", "1", ConfPath(Server)),
    row("ssl_conf_command", "hs", "2", Lost("OpenSSL's commands mean nothing to rustls")),
    row("ssl_crl", "hs", "1", ConfPath(Server)),
    row("ssl_dhparam", "hs", "1", Unneeded("TLS here uses elliptic curves only")),
    row("ssl_early_data", "hs", "on", Differs("early data is not taken: such a request costs one round trip more")),
    row("ssl_ecdh_curve", "hs", "1", Unneeded("the safe curves are offered, the best first")),
    row("ssl_ech_file", "hs", "1", Lost("encrypted hellos are not read")),
    row("ssl_ocsp", "hs", "1", Guard("revoked certificates are known by `ssl_crl` only")),
    row("ssl_ocsp_cache", "hs", "1", Unneeded("most authorities answer no OCSP any more")),
    row("ssl_ocsp_responder", "hs", "1", Guard("revoked certificates are known by `ssl_crl` only")),
    row("ssl_password_file", "hs", "1", Lost("keys behind a password cannot be read")),
    row("ssl_prefer_server_ciphers", "hs", "on", Same(Server)),
    row("ssl_protocols", "hs", "1+", Own),
    row("ssl_reject_handshake", "hs", "on", Same(Server)),
    row("ssl_session_cache", "hs", "1-2", Unneeded("sessions are resumed by tickets")),
    row("ssl_session_ticket_key", "hs", "1", Differs("keys of tickets are made by the process, and last six hours")),
    row("ssl_session_tickets", "hs", "on", Same(Server)),
    row("ssl_session_timeout", "hs", "1", Same(Server)),
    row("ssl_stapling", "hs", "on", Unneeded("most authorities answer no OCSP any more")),
    row("ssl_stapling_file", "hs", "1", Unneeded("most authorities answer no OCSP any more")),
    row("ssl_stapling_responder", "hs", "1", Unneeded("most authorities answer no OCSP any more")),
    row("ssl_stapling_verify", "hs", "on", Unneeded("most authorities answer no OCSP any more")),
    row("ssl_trusted_certificate", "hs", "1", ConfPath(Server)),
    row("ssl_verify_client", "hs", "1", Same(Server)),
    row(
        "ssl_verify_depth",
        "hs",
        "1",
        Unneeded("a chain counts if it leads to a trusted authority, whatever its length"),
    ),
];
