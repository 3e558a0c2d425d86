//! What is known of a client's TLS connection, under the names of nginx's variables.

use super::verify::{Clients, Refusal, Verdict};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};
use std::fmt::Write;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// See the head of this file. What a connection does not have is empty, as in nginx.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are nginx's
pub struct Facts {
    pub ssl_protocol: &'static str,
    pub ssl_cipher: String,
    pub ssl_curve: String,
    pub ssl_server_name: String,
    pub ssl_alpn_protocol: String,
    /// `r`: resumed; `.`: not.
    pub ssl_session_reused: &'static str,
    /// `SUCCESS`, `NONE` or `FAILED:reason`; empty where no certificate is asked for.
    pub ssl_client_verify: String,
    pub ssl_client_s_dn: String,
    pub ssl_client_i_dn: String,
    /// Hex, upper case.
    pub ssl_client_serial: String,
    /// SHA-1, hex, lower case.
    pub ssl_client_fingerprint: String,
    pub ssl_client_v_start: String,
    pub ssl_client_v_end: String,
    /// Whole days until it expires.
    pub ssl_client_v_remain: String,
    /// PEM, percent-encoded.
    pub ssl_client_escaped_cert: String,
    /// Why its requests are not answered, if they are not.
    pub refusal: Option<Refusal>,
}

impl Facts {
    /// Of a connection whose handshake is done. `server_name`: as in its ClientHello.
    pub fn new(connection: &CommonState, server_name: Option<&str>, clients: Option<&Clients>, now: UnixTime) -> Facts {
        let mut facts = Facts {
            ssl_protocol: protocol(connection.protocol_version()),
            ssl_cipher: connection.negotiated_cipher_suite().map(|suite| cipher(suite.suite())).unwrap_or_default(),
            ssl_curve: connection.negotiated_key_exchange_group().map(|group| curve(group.name())).unwrap_or_default(),
            ssl_server_name: server_name.unwrap_or_default().to_ascii_lowercase(),
            ssl_alpn_protocol: String::from_utf8_lossy(connection.alpn_protocol().unwrap_or_default()).into_owned(),
            ssl_session_reused: match connection.handshake_kind() {
                Some(HandshakeKind::Resumed) => "r",
                _ => ".",
            },
            ..Facts::default()
        };
        if let Some(clients) = clients {
            facts.add_client(clients, connection.peer_certificates().unwrap_or_default(), now);
        }
        facts
    }

    fn add_client(&mut self, clients: &Clients, shown: &[CertificateDer], now: UnixTime) {
        let verdict = clients.verdict(shown, now);
        self.refusal = clients.admits(&verdict).err();
        self.ssl_client_verify = verdict.word();
        let Some(own) = shown.first().filter(|_| verdict != Verdict::None) else { return };
        let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, own);
        self.ssl_client_fingerprint = hex(sha1.as_ref());
        self.ssl_client_escaped_cert = escaped(&pem_of(own));
        let Ok((_, parsed)) = X509Certificate::from_der(own) else { return };
        self.ssl_client_s_dn = rfc2253(parsed.subject());
        self.ssl_client_i_dn = rfc2253(parsed.issuer());
        self.ssl_client_serial = serial(parsed.raw_serial());
        let validity = parsed.validity();
        self.ssl_client_v_start = openssl_time(validity.not_before.timestamp());
        self.ssl_client_v_end = openssl_time(validity.not_after.timestamp());
        let left = validity.not_after.timestamp() - now.as_secs() as i64;
        self.ssl_client_v_remain = (left / 86_400).max(0).to_string();
    }
}

fn protocol(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    }
}

/// OpenSSL's name of a suite.
fn cipher(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is ECDHE-RSA-AES128-GCM-SHA256.
    let name = name.strip_prefix("TLS_").unwrap_or(name).replace("_WITH_", "_").replace("AES_", "AES");
    name.strip_suffix("POLY1305_SHA256").map_or(name.clone(), |rest| format!("{rest}POLY1305")).replace('_', "-")
}

/// OpenSSL's name of a group.
fn curve(group: rustls::NamedGroup) -> String {
    match group {
        rustls::NamedGroup::secp256r1 => "prime256v1".to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// Hex, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A serial number as OpenSSL prints it: without the byte that keeps it positive.
fn serial(bytes: &[u8]) -> String {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    hex(bytes).to_uppercase()
}

/// `Nov 21 16:18:03 2026 GMT`
fn openssl_time(seconds: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Ok(time) = x509_parser::prelude::ASN1Time::from_timestamp(seconds) else { return String::new() };
    let time = time.to_datetime();
    let (hour, minute, second) = time.to_hms();
    let month = MONTHS[usize::from(u8::from(time.month())) - 1];
    format!("{month} {:2} {hour:02}:{minute:02}:{second:02} {} GMT", time.day(), time.year())
}

fn pem_of(certificate: &CertificateDer) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate.as_ref()), config)
}

/// Percent-encoded as a part of a URI: only letters, digits and `-._~` stay.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

/// A name as nginx writes it: RFC 2253, the last part first, OpenSSL's short names for attributes.
fn rfc2253(name: &X509Name) -> String {
    let part = |attribute: &AttributeTypeAndValue| {
        let (kind, known) = short_name(attribute);
        format!("{kind}={}", value(attribute, known))
    };
    let parts: Vec<String> = name.iter().map(|rdn| rdn.iter().map(part).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn short_name(attribute: &AttributeTypeAndValue) -> (String, bool) {
    let oid = attribute.attr_type().to_id_string();
    let known = match &*oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        _ => return (oid, false),
    };
    (known.to_owned(), true)
}

/// Text escaped; what is no text, or of an unknown attribute, as `#` and its DER in hex.
fn value(attribute: &AttributeTypeAndValue, known: bool) -> String {
    let any = attribute.attr_value();
    match text_of(any).filter(|_| known) {
        Some(text) => escaped_value(&text),
        None => {
            let mut der = Vec::new();
            use x509_parser::asn1_rs::ToDer;
            let _ = any.write_der(&mut der);
            format!("#{}", hex(&der).to_uppercase())
        }
    }
}

fn text_of(any: &x509_parser::asn1_rs::Any) -> Option<String> {
    use x509_parser::asn1_rs::Tag;
    let wide = |bytes: &[u8], size: usize| -> Option<String> {
        let whole = bytes.chunks_exact(size);
        if !whole.remainder().is_empty() {
            return None;
        }
        whole.map(|unit| char::from_u32(unit.iter().fold(0, |n, &byte| n << 8 | u32::from(byte)))).collect()
    };
    match any.tag() {
        Tag::Utf8String => Some(str::from_utf8(any.data).ok()?.to_owned()),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString | Tag::TeletexString => {
            Some(any.data.iter().map(|&byte| char::from(byte)).collect())
        }
        Tag::BmpString => wide(any.data, 2),
        Tag::UniversalString => wide(any.data, 4),
        _ => None,
    }
}

/// RFC 2253 2.4, with control characters and what is not ASCII as `\XX`: a value goes into a header field.
fn escaped_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let at_end = at + 1 == text.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(byte)]),
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if at == 0 || at_end => out.push_str("\\ "),
            0x20..=0x7e => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => _ = write!(out, "\\{byte:02X}"),
        }
    }
    out
}
