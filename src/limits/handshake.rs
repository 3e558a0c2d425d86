//! Bounds of what comes before a request: TLS and the PROXY protocol.

/// Bytes of a TLS record's header.
pub const TLS_RECORD_HEADER: usize = 5;
/// Bytes in one TLS record (RFC 5246 6.2.3: 2^14 and what encryption adds; a plain one has less).
pub const TLS_RECORD_MAX: usize = (1 << 14) + 256;
/// Bytes of a ClientHello with its header. Chrome's, with keys against quantum computers and encrypted names, has less than 3 KiB.
pub const CLIENT_HELLO_MAX: usize = 16 * 1024;
/// Records of a ClientHello. Those who cut it up to get past censors use a handful.
pub const CLIENT_HELLO_RECORDS_MAX: usize = 64;
/// Bytes within which a ClientHello ends, with its records' headers.
pub const CLIENT_HELLO_WIRE_MAX: usize = CLIENT_HELLO_MAX + CLIENT_HELLO_RECORDS_MAX * TLS_RECORD_HEADER;
/// Protocols in a ClientHello's ALPN that are looked at; browsers name two or three.
pub const CLIENT_HELLO_ALPN_MAX: usize = 16;
/// Bytes of a PROXY protocol header of version 1, CRLF included: its own text says so.
pub const PROXY_V1_MAX: usize = 107;
/// Bytes of one of version 2. Addresses need 52; the rest are extensions, of which a client's certificate may be one.
pub const PROXY_V2_MAX: usize = 16 + 2048;
