//! TLS between connecting and asking.

use super::{Conn, Stream, words};
use crate::tls::words::{Peer, failure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// How a server is spoken to.
#[derive(Debug, Clone)]
pub struct Secured {
    /// The same `Arc` as long as nothing about it changes.
    pub config: Arc<ClientConfig>,
    /// Whom its certificate must name; `None`: what is configured is no name.
    pub name: Option<ServerName<'static>>,
}

impl PartialEq for Secured {
    fn eq(&self, other: &Secured) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

/// Shakes hands; everything else goes over the connection that comes back.
pub(super) async fn secure(conn: Conn, with: &Secured) -> Result<Conn, String> {
    let name = with.name.clone().ok_or("there is no name to verify; set ssl_name")?;
    let shaken = TlsConnector::from(with.config.clone()).connect(name, conn.stream).await;
    let stream: Box<dyn Stream> = Box::new(shaken.map_err(told)?);
    Ok(Conn::on(stream))
}

fn told(error: io::Error) -> String {
    match error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) || is_cut(&error) {
        true => words(failure(&error, Peer::Backend).as_bytes()),
        false => super::told(error),
    }
}

fn is_cut(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
#[path = "secured_tests.rs"]
mod tests;
