//! The admin socket: HTTP/1.1 on a unix socket that only its owner may open.

use super::desk::{Answer, Question};
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_TIMEOUT};
use crate::log::LogSender;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A bound admin socket. Its file is removed when it is dropped or [`AdminSocket::remove`]d, if it is still ours.
#[derive(Debug)]
pub struct AdminSocket {
    listener: Option<UnixListener>,
    file: SocketFile,
}

/// The file of a bound socket: where it is and which it is.
#[derive(Debug, Clone)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl AdminSocket {
    /// Binds `path`. The leftover of a process that is gone is replaced; a socket that answers is an error.
    pub fn bind(path: &Path) -> Result<AdminSocket, String> {
        let failed = |error: io::Error| {
            format!("cannot listen on the admin socket {}: {error}; `off` does without one", path.display())
        };
        make_room(path)?;
        let listener = bind_private(path).map_err(failed)?;
        let metadata = std::fs::symlink_metadata(path).map_err(failed)?;
        let file = SocketFile { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
        Ok(AdminSocket { listener: Some(listener), file })
    }

    /// The socket's file, for whoever leaves by `exit`, which drops nothing.
    pub fn file(&self) -> SocketFile {
        self.file.clone()
    }

    /// Lets `answering` answer until dropped. Inside tokio-uring.
    pub async fn serve<F: Future<Output = Answer> + 'static>(
        mut self,
        answering: impl Fn(Question) -> F + 'static,
        log: LogSender,
    ) {
        let listener = self.listener.take().map(tokio::net::UnixListener::from_std);
        let listener = match listener {
            Some(Ok(listener)) => listener,
            Some(Err(error)) => return log.error(format!("the admin socket does not work: {error}")),
            None => return,
        };
        let (answering, room) = (Rc::new(answering), Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX)));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let answering = answering.clone();
                    tokio_uring::spawn(async move {
                        converse(stream, answering).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    log.warn(format!("accepting on the admin socket: {error}"));
                    tokio::time::sleep(Duration::from_millis(crate::limits::ACCEPT_PAUSE)).await;
                }
            }
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        self.file.remove();
    }
}

impl SocketFile {
    /// Removes it, unless another process has put its own in its place.
    pub fn remove(&self) {
        let ours = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino()) == self.identity;
        if std::fs::symlink_metadata(&self.path).is_ok_and(ours) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes what a process that is gone left at `path`; whatever else is there is an error.
fn make_room(path: &Path) -> Result<(), String> {
    let path_shown = path.display();
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(format!("cannot listen on the admin socket {path_shown}: there is something else of that name"));
    }
    match is_live(path) {
        Ok(true) => Err(format!(
            "another process answers on the admin socket {path_shown}: is ringgate running already? \
             A second one needs its own `admin = \"PATH\"`, or `admin = \"off\"`"
        )),
        Ok(false) => {
            std::fs::remove_file(path).map_err(|e| format!("cannot replace the old admin socket {path_shown}: {e}"))
        }
        Err(error) => Err(format!("cannot listen on the admin socket {path_shown}: {error}")),
    }
}

/// Whether somebody listens on a unix socket. Never blocks: a listener that does not come to accepting is one all the same.
pub fn is_live(path: &Path) -> io::Result<bool> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&socket2::SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error),
    }
}

/// A listening socket that was private from its first moment: Linux gives the file the mode that the unbound socket has.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    let file = std::fs::File::from(OwnedFd::from(socket));
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    let socket = socket2::Socket::from(OwnedFd::from(file));
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(128)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

/// One request, one answer: nobody needs more, and an idle connection would hold its place.
async fn converse<F: Future<Output = Answer> + 'static>(
    stream: tokio::net::UnixStream,
    answering: Rc<impl Fn(Question) -> F + 'static>,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let uri = request.uri();
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
        let answer = answering(Question { method: request.method().as_str().to_owned(), path, query });
        async move { Ok::<_, Infallible>(response(answer.await)) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(ADMIN_HEAD_TIMEOUT))
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong here is the client's affair: it sees it.
    let _ = connection.await;
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let kind = if answer.json { "application/json" } else { "text/plain; charset=utf-8" };
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if !answer.allow.is_empty() {
        headers.insert(header::ALLOW, header::HeaderValue::from_static(answer.allow));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn ask(path: &Path, request: &str) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Serves on a fresh path while `test` runs on another thread.
    fn serving(test: impl FnOnce(&Path) + Send + 'static) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        let (log, _receiver) = crate::log::channel(crate::log::Level::Info);
        tokio_uring::start(async {
            let server = tokio_uring::spawn(socket.serve(echo, log));
            let tested = path.clone();
            let (done, finished) = tokio::sync::oneshot::channel();
            let thread = std::thread::spawn(move || {
                test(&tested);
                let _ = done.send(());
            });
            let _ = finished.await;
            thread.join().unwrap();
            server.abort();
        });
        assert!(!path.exists(), "the socket is removed at the end");
    }

    /// Says what it was asked.
    async fn echo(question: Question) -> Answer {
        let body = format!("{} {} {}", question.method, question.path, question.query);
        match &*question.path {
            "/json" => Answer { code: 200, json: true, body, allow: "" },
            "/no" => Answer { code: 405, json: false, body, allow: "POST" },
            _ => Answer { code: 404, json: false, body, allow: "" },
        }
    }

    #[test]
    fn questions_come_in_and_answers_go_out() {
        serving(|path| {
            let table = [
                ("GET /json HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "content-type: application/json\r\n"),
                ("GET /json?x=y HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "GET /json x=y"),
                ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404", "content-type: text/plain"),
                ("POST /no?a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405", "allow: POST"),
                ("HEAD /json HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200", "content-length: 11\r\n"),
                ("nonsense\r\n\r\n", "HTTP/1.1 400", ""),
            ];
            for (request, start, part) in table {
                let answer = ask(path, request);
                assert!(answer.starts_with(start) && answer.contains(part), "{request}: {answer}");
            }
        });
    }

    #[test]
    fn idle_connections_do_not_shut_others_out() {
        serving(|path| {
            let idle: Vec<_> = (0..ADMIN_CONNECTIONS_MAX - 1).map(|_| UnixStream::connect(path).unwrap()).collect();
            assert!(ask(path, "GET /json HTTP/1.1\r\nHost: x\r\n\r\n").contains("200 OK"));
            drop(idle);
        });
    }

    #[test]
    fn only_its_owner_may_open_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap()); // its file stays
        assert!(path.exists());
        let live = AdminSocket::bind(&path).unwrap();
        let error = AdminSocket::bind(&path).unwrap_err();
        assert!(error.contains("running already") && error.contains("admin.sock"), "{error}");
        drop(live);
        AdminSocket::bind(&path).unwrap();
    }

    #[test]
    fn a_listener_that_never_accepts_is_live() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        assert!(is_live(&path).is_err());
        let listener = bind_private(&path).unwrap();
        let waiting: Vec<_> = std::iter::from_fn(|| {
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&socket2::SockAddr::unix(&path).unwrap()).ok().map(|()| socket)
        })
        .collect();
        assert!(is_live(&path).unwrap(), "behind {} others", waiting.len());
        drop(listener);
        assert!(!is_live(&path).unwrap());
    }

    #[test]
    fn what_is_no_socket_or_somebody_elses_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        std::fs::write(&path, "precious").unwrap();
        assert!(AdminSocket::bind(&path).unwrap_err().contains("something else"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(&path).unwrap();
        let socket = AdminSocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop(socket);
        assert!(path.exists());
        let missing = AdminSocket::bind(Path::new("/nonexistent/a.sock")).unwrap_err();
        assert!(missing.contains("/nonexistent/a.sock"), "{missing}");
    }
}
