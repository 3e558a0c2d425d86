//! The servers that guides put behind: Flask under gunicorn, Python's http.server.

use super::support::server::{Server, free_port, open_folder};
use super::support::{Place, tools};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A Flask application under gunicorn, as `python -m gunicorn app:app`; it says its name to `GET /` and what it sees to `/seen/...`.
/// `None` without Flask or gunicorn.
#[track_caller]
pub fn flask(test: &str, name: &str) -> Option<Server> {
    // Looked for once: importing them takes a while.
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| tools::python(test, &["flask", "gunicorn"])).clone()?;
    let folder = open_folder("ringgate-flask-");
    std::fs::write(folder.path().join("app.py"), APP).expect("a file can be written");
    let mut command = Command::new(python);
    command.args(["-m", "gunicorn", "app:app", "--workers", "1", "--worker-class", "gthread", "--threads", "4"]);
    command.args(["--worker-tmp-dir", "/tmp", "--bind", "127.0.0.1:0"]);
    command.env("NAME", name).current_dir(folder.path());
    let place = |log: &str| log.contains("Booting worker").then(|| port_after(log, "http://127.0.0.1:")).flatten();
    // QUIT: at once; TERM would wait for what is idle.
    let mut server = Server::start(&mut command, place, folder);
    server.stop = "QUIT";
    Some(server)
}

const APP: &str = r#"
import os
from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.route("/")
def index():
    return os.environ["NAME"]


@app.route("/seen/", defaults={"path": ""})
@app.route("/seen/<path:path>")
def seen(path):
    return jsonify(name=os.environ["NAME"], path=request.full_path, **{k.lower(): v for k, v in request.headers.items()})


@app.route("/style.css")
def style():
    return Response("body { margin: 0 }\n" * 200, mimetype="text/css")


@app.route("/leave")
def leave():
    return "", 302, {"Location": "/seen/left"}
"#;

/// A threaded WSGI server of Python's own. It says its name; `GET /hold` makes the file `held` and waits for `go`. `None` without Python.
#[track_caller]
pub fn wsgi(test: &str, name: &str) -> Option<Server> {
    let python = tools::python(test, &[])?;
    let folder = open_folder("ringgate-wsgi-");
    let mut command = Command::new(python);
    command.args(["-u", "-c", WSGI, name]).current_dir(folder.path());
    Some(Server::start(&mut command, |log| port_after(log, "serving at "), folder))
}

const WSGI: &str = r#"
import os, sys, time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self):  # without asking for the name of its address
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        open("held", "w").close()
        for _ in range(2000):
            if os.path.exists("go"):
                break
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [sys.argv[1].encode()]


server = make_server("127.0.0.1", 0, app, Threaded, WSGIRequestHandler)
print(f"serving at {server.server_port}")
server.serve_forever()
"#;

/// Python's http.server on `port`, with `index.html` that holds `name`. `None` without Python.
#[track_caller]
pub fn http_server(test: &str, name: &str, port: u16) -> Option<Server> {
    let python = tools::python(test, &[])?;
    let folder = open_folder("ringgate-http-server-");
    std::fs::write(folder.path().join("index.html"), name).expect("a file can be written");
    let mut command = Command::new(python);
    command
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"])
        .arg(folder.path())
        .arg(port.to_string());
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    Some(Server::start(&mut command, move |log| log.contains("Serving HTTP").then(|| place.clone()), folder))
}

/// Servers that can be ended and begun again at the same address.
pub struct Group {
    test: &'static str,
    members: Vec<(&'static str, Place, Option<Server>)>,
}

impl Group {
    /// http.servers of these names. `None` without Python.
    #[track_caller]
    pub fn start(test: &'static str, names: &[&'static str]) -> Option<Group> {
        let mut members = Vec::new();
        for name in names {
            let server = http_server(test, name, free_port())?;
            members.push((*name, server.place.clone(), Some(server)));
        }
        Some(Group { test, members })
    }

    /// Where they listen.
    pub fn places(&self) -> Vec<&Place> {
        self.members.iter().map(|member| &member.1).collect()
    }

    /// Ends one.
    pub fn stop(&mut self, name: &str) {
        self.members.iter_mut().filter(|member| member.0 == name).for_each(|member| drop(member.2.take()));
    }

    /// Begins it again.
    pub fn begin(&mut self, name: &str) {
        for (own, place, server) in self.members.iter_mut().filter(|member| member.0 == name) {
            *server = http_server(self.test, own, place.port());
        }
    }
}

fn port_after(log: &str, words: &str) -> Option<Place> {
    let (_, rest) = log.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(Place::parse(&format!("127.0.0.1:{}", &rest[..end])))
}
