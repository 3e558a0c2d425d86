//! Why an exchange was refused or failed: one stable name shared by log, metric and error page.

/// Declares the reasons once: variant, stable name, status (0: no answer can be sent), one sentence for the page and the log.
macro_rules! reasons {
    ($($variant:ident $name:literal $status:literal $text:literal;)*) => {
        /// A stable cause. `Client*` and 4xx: the client's doing; 502 to 504: the backend's; the rest ours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Reason { $($variant),* }

        impl Reason {
            /// All of them, in the order of their indices.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            /// The stable name, as in logs, metrics and pages.
            pub fn name(self) -> &'static str { match self { $(Reason::$variant => $name),* } }
            /// The status of the answer; 0 where none can be sent.
            pub fn status(self) -> u16 { match self { $(Reason::$variant => $status),* } }
            /// One sentence for a person.
            pub fn text(self) -> &'static str { match self { $(Reason::$variant => $text),* } }
            /// Position in `ALL`, for arrays of counters.
            pub fn index(self) -> usize { self as usize }
        }
    };
}

reasons! {
    // The request itself.
    BadRequestLine "bad_request_line" 400 "The request line is not HTTP/1.1.";
    BadField "bad_field" 400 "A header field is malformed.";
    BadHost "bad_host" 400 "Host is missing, given twice or not a host name.";
    BadTarget "bad_target" 400 "The request target is malformed.";
    BadContentLength "bad_content_length" 400 "Content-Length is not one number.";
    AmbiguousFraming "ambiguous_framing" 400 "The end of the message could be read in two ways.";
    BadChunk "bad_chunk" 400 "The chunked body is malformed.";
    NoLocation "no_location" 404 "No location matches this path.";
    InternalLocation "internal_location" 404 "This location is for requests from within only.";
    FileMissing "file_missing" 404 "There is no such file.";
    FileForbidden "file_forbidden" 403 "The file may not be read by this process.";
    DirectoryForbidden "directory_forbidden" 403 "This is a directory without an index, and directories are not listed.";
    SymlinkOutside "symlink_outside" 403 "A symbolic link leads out of the root; the location does not say symlinks = \"follow\".";
    FileMethod "file_method" 405 "A file is there to be read: GET and HEAD.";
    PreconditionFailed "precondition_failed" 412 "A condition of the request is not met.";
    RangeUnsatisfiable "range_unsatisfiable" 416 "The range lies outside the file.";
    AccessDenied "access_denied" 403 "This address may not ask here.";
    AuthRequired "auth_required" 401 "A name and a password are needed.";
    PasswordsMissing "passwords_missing" 403 "The file of names and passwords is not there.";
    PasswordsUnreadable "passwords_unreadable" 500 "The file of names and passwords cannot be read.";
    RequestLimit "request_limit" 503 "Too many requests of this kind in too short a time.";
    ConnectionLimit "connection_limit" 503 "Too many requests of this kind at once.";
    ChallengeMissing "acme_challenge_missing" 404 "There is no answer to this ACME challenge.";
    ConnectMethod "connect_method" 405 "CONNECT is not offered here.";
    HeadTimeout "head_timeout" 408 "The request's head did not arrive in time.";
    BodyTimeout "body_timeout" 408 "The request's body did not arrive in time.";
    BodyTooLarge "body_too_large" 413 "The request's body is larger than this server allows.";
    TargetTooLong "target_too_long" 414 "The request target is too long.";
    ExpectationFailed "expectation_failed" 417 "Expect asks for something unknown.";
    HeadTooLarge "head_too_large" 431 "The request's head is too large.";
    PlainHttpOnTls "plain_http_on_tls" 400 "This port speaks HTTPS, and plain HTTP came.";
    ClientCertificateRequired "client_certificate_required" 400 "This server asks for a client certificate, and none was sent.";
    ClientCertificateBad "client_certificate_bad" 400 "The client's certificate is not one that this server trusts.";
    MisdirectedRequest "misdirected_request" 421 "This connection was made for another server name.";
    UnknownTransferCoding "unknown_transfer_coding" 501 "A transfer coding other than chunked is not understood.";
    UnknownVersion "unknown_version" 505 "This version of HTTP is not spoken here.";
    // Before a request could be read: nothing can be answered.
    TlsHandshakeFailed "tls_handshake_failed" 0 "The client's TLS handshake failed.";
    TlsHandshakeTimeout "tls_handshake_timeout" 0 "The client's TLS handshake did not end in time.";
    ProxyProtocolUntrusted "proxy_protocol_untrusted" 0 "A PROXY protocol header came from a peer that set_real_ip_from does not name.";
    ProxyProtocolMalformed "proxy_protocol_malformed" 0 "The connection does not begin with a PROXY protocol header.";
    // The client went away: nothing can be answered.
    ClientGone "client_gone" 0 "The client went away.";
    ClientTimeout "client_timeout" 0 "The client stopped reading.";
    // The backend.
    ConnectRefused "connect_refused" 502 "The backend refused the connection.";
    ConnectFailed "connect_failed" 502 "The backend could not be reached.";
    ConnectTimeout "connect_timeout" 504 "The backend did not accept the connection in time.";
    BackendTlsFailed "backend_tls_failed" 502 "The TLS handshake with the backend failed.";
    BackendClosed "backend_closed" 502 "The backend closed the connection before its answer was complete.";
    BackendReset "backend_reset" 502 "The backend reset the connection before its answer was complete.";
    BadResponse "bad_response" 502 "The backend's answer is not HTTP/1.1.";
    ResponseHeadTooLarge "response_head_too_large" 502 "The head of the backend's answer is too large.";
    FirstByteTimeout "first_byte_timeout" 504 "The backend did not begin its answer in time.";
    BackendReadTimeout "backend_read_timeout" 504 "The backend stopped in the middle of its answer.";
    BackendSendTimeout "backend_send_timeout" 504 "The backend stopped reading the request.";
    QueueFull "queue_full" 503 "All servers of this group are busy, and too many requests wait already.";
    QueueTimeout "queue_timeout" 503 "All servers of this group stayed busy for too long.";
    ServerDown "server_down" 0 "The server went down, and its sessions with it.";
    NoServer "no_server" 503 "No server of this group can be used.";
    // Ourselves.
    Overloaded "overloaded" 503 "The balancer has no room for another exchange.";
    TooManyConnections "too_many_connections" 0 "The balancer has no room for another connection.";
    ShuttingDown "shutting_down" 503 "The balancer ended before the exchange did.";
    Internal "internal_error" 500 "The balancer made a mistake.";
    BodyNotKept "body_not_kept" 500 "The request's body could not be kept until a server is asked.";
    NoNamedLocation "no_named_location" 500 "A named location is not there.";
    PatternTooHard "pattern_too_hard" 500 "A regular expression of the configuration takes too long for this request.";
    UriLoop "uri_loop" 500 "Rewrite rules or internal redirects changed the URI again and again.";
    NoGroup "no_group" 502 "proxy_pass came to a name that is no group of servers.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_indices_agree() {
        let names: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reason::COUNT);
        assert!(Reason::ALL.iter().enumerate().all(|(i, r)| r.index() == i));
    }
}
