//! Asking a running ringgate over its admin socket: which one, and how.

use super::{locate, sockets};
use crate::config;
use crate::control::admin;
use crate::limits::ADMIN_ANSWER_MAX;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For what is answered at once.
pub const SOON: Duration = Duration::from_secs(5);
/// For what takes looking up names, and the slowest worker.
pub const LATER: Duration = Duration::from_secs(120);

/// Which of the running ones.
#[derive(Debug, clap::Args)]
pub struct Whom {
    /// The admin socket to ask [default: that of the configuration, or of the one ringgate that runs]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    admin: Option<PathBuf>,
    /// The configuration that names the admin socket
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// HTTP's status code.
    pub code: u16,
    /// The body.
    pub text: String,
}

impl Whom {
    /// The one that has this admin socket; `None`: the only one.
    pub fn of(admin: Option<PathBuf>) -> Whom {
        Whom { admin, config: None }
    }

    /// Asks and hears. An answer other than 200 is an error, in the other side's words.
    pub fn ask(&self, method: &str, target: &str, patience: Duration) -> Result<String, String> {
        let socket = self.socket(&format!("ringgate {}", command(target)))?;
        match ask(&socket, method, target, patience)? {
            Said { code: 200, text } => Ok(text),
            Said { code, text } if text.trim().is_empty() => Err(format!("refused with status {code}")),
            Said { text, .. } => Err(text.trim_end().to_owned()),
        }
    }

    /// The socket to ask: the one that was named, else the one that a configuration names, else the only one that answers.
    fn socket(&self, command: &str) -> Result<PathBuf, String> {
        if let Some(path) = &self.admin {
            return Ok(path.clone());
        }
        if let Some(file) = &self.config {
            if let Some(admin) = config::admin_named_in(file) {
                return Ok(admin);
            }
            return configured(file)?
                .ok_or_else(|| format!("{} has `admin = \"off\"`: there is nobody to ask", file.display()));
        }
        let of_default_file = locate::find_config(None).ok().and_then(|file| config::admin_named_in(&file));
        let mut candidates = sockets::found();
        candidates.extend(of_default_file);
        candidates.sort();
        candidates.dedup();
        candidates.retain(|path| admin::is_live(path).unwrap_or(false));
        match candidates.as_slice() {
            [] => Err("no running ringgate was found; name its admin socket with --admin PATH".to_owned()),
            [only] => Ok(only.clone()),
            several => {
                let list: Vec<_> =
                    several.iter().map(|path| format!("\n  {command} --admin {}", path.display())).collect();
                Err(format!("several are running; which one?{}", list.concat()))
            }
        }
    }
}

/// `/drain?upstream=a` is asked by `ringgate drain`.
fn command(target: &str) -> &str {
    target.trim_start_matches('/').split('?').next().unwrap_or_default()
}

fn configured(file: &Path) -> Result<Option<PathBuf>, String> {
    config::load(file).map(|loaded| loaded.plan.admin).map_err(|errors| errors.to_string())
}

fn ask(socket: &Path, method: &str, target: &str, patience: Duration) -> Result<Said, String> {
    let shown = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            format!("nobody answers on {shown}: is ringgate running? ({error})")
        }
        _ => format!("cannot ask on {shown}: {error}"),
    })?;
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: ringgate\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let exchange = stream
        .set_read_timeout(Some(patience))
        .and_then(|()| stream.set_write_timeout(Some(patience)))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| stream.take(ADMIN_ANSWER_MAX).read_to_end(&mut answer));
    exchange.map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => format!("{shown} does not answer within {} s", patience.as_secs()),
        _ => format!("{shown} does not answer: {error}"),
    })?;
    said(&answer).ok_or_else(|| format!("{shown} answers, but not as a ringgate would"))
}

/// A complete answer with Content-Length.
fn said(answer: &[u8]) -> Option<Said> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = head.parse(answer).ok()? else { return None };
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    let body = answer.get(len..len.checked_add(length)?)?;
    Some(Said { code: head.code?, text: String::from_utf8_lossy(body).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_answer_counts() {
        type Expected<'a> = Option<(u16, &'a str)>;
        let table: [(&[u8], Expected); 7] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some((200, "{}"))),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}more", Some((200, "{}"))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", None),
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", Some((404, "{}"))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n{}", None),
            (b"HTTP/1.1 200 OK\r\n", None),
            (b"", None),
        ];
        for (answer, expected) in table {
            let said = said(answer).map(|said| (said.code, said.text));
            let said = said.as_ref().map(|(code, text)| (*code, &**text));
            assert_eq!(said, expected, "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn a_socket_where_nobody_answers_is_explained() {
        let error = ask(Path::new("/nonexistent/x.sock"), "GET", "/status", SOON).unwrap_err();
        assert!(error.contains("/nonexistent/x.sock") && error.contains("is ringgate running?"), "{error}");
    }
}
