//! TLS as clients and backends see it. Certificates are made here; the other side is rustls, or a program that people really use.

#[path = "../support/mod.rs"]
mod support;

mod acme;
mod backends;
mod bodies;
mod checks;
mod clients;
mod handshakes;
mod hello;
mod hostile;
mod offer;
mod programs;
mod reloads;
mod renewal;
mod resumption;
mod sites;
mod tcp;

use rustls::ClientConfig;
use std::path::Path;
use std::sync::Arc;
use support::certificates::{Authority, Pair};
use support::tls::Wish;
use support::{Backend, Client, Message, Place, Ringgate, Setup, backend};

/// A listener with TLS on a free port.
const LISTEN: &str = "127.0.0.1:0 ssl";
/// The name of a site that needs no other.
const SITE: &str = "site.test";

/// A new folder.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("ringgate-test-").tempdir().expect("a temporary folder")
}

/// A new folder with these pairs: `NAME.crt`, `NAME.key`.
fn folder_with(pairs: &[(&str, &Pair)]) -> tempfile::TempDir {
    let folder = folder();
    pairs.iter().for_each(|(name, pair)| pair.write(folder.path(), name));
    folder
}

/// Lines of a section that name those files.
fn offering(names: &[&str]) -> String {
    let list =
        |ending: &str| names.iter().map(|name| format!("\"{{dir}}/{name}.{ending}\"")).collect::<Vec<_>>().join(", ");
    format!("ssl_certificate = [{}]\nssl_certificate_key = [{}]\n", list("crt"), list("key"))
}

/// One site with TLS, and what its clients need.
struct Site {
    ringgate: Ringgate,
    authority: Authority,
}

impl Site {
    /// ringgate before this backend, with more lines for its section and above all sections.
    #[track_caller]
    fn start(backend: &Place, lines: &str, top: &str) -> Site {
        let authority = Authority::new("root");
        let pair = authority.server(&[SITE, "127.0.0.1"]);
        let folder = folder_with(&[("site", &pair)]);
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("a file can be written");
        let setup = Setup::new().top(top).upstream("app", &[backend], "").server(
            LISTEN,
            &(offering(&["site"]) + lines),
            &[("/", "http://app", "")],
        );
        Site { ringgate: setup.start_in(folder), authority }
    }

    /// A client's configuration that trusts this site's authority, with sessions of its own.
    fn config(&self) -> Arc<ClientConfig> {
        Arc::new(Wish { trusted: Some(&self.authority.pem()), ..Wish::default() }.config())
    }

    /// A new connection.
    #[track_caller]
    fn client(&self) -> Client {
        Client::secure(self.ringgate.place(), &self.config(), SITE)
    }

    /// `https://127.0.0.1:PORT`, which its certificate is also good for.
    fn url(&self) -> String {
        format!("https://{}", self.ringgate.place())
    }

    /// The authority's file.
    fn authority_file(&self) -> std::path::PathBuf {
        self.ringgate.folder().join("ca.pem")
    }
}

/// Answers with the method, target and body's length of each request, then all fields, a line each.
fn mirror() -> Backend {
    Backend::answer(mirrored)
}

fn mirrored(request: &Message) -> Vec<u8> {
    let fields: String = request.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    backend::ok(&format!("{} {} {}\n{fields}", request.method(), request.target(), request.body.len()))
}

/// The field that the backend got, as [`mirror`] says it.
fn mirrored_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

/// What the server shows a client that trusts everybody and asks for that name: its own certificate. An error is the handshake's.
fn shown(place: &Place, name: &str) -> Result<Vec<u8>, String> {
    let config = Arc::new(Wish::default().config());
    let client = Client::try_secure(place, &config, name).map_err(|e| e.to_string())?;
    Ok(client.tls().peer()[0].to_vec())
}

/// A pair's own certificate, as `shown` gives it.
fn certificate(pair: &Pair) -> Vec<u8> {
    pair.identity.der().0[0].to_vec()
}

/// No panic, and none of the errors that would be ringgate's fault.
#[track_caller]
fn expect_sound(ringgate: &Ringgate) {
    let status = ringgate.status();
    assert_eq!((status.total("panics"), status.errors("internal_error")), (0, 0), "{}", ringgate.log());
}

fn write(folder: &Path, name: &str, text: &str) {
    support::certificates::replace(&folder.join(name), text);
}
