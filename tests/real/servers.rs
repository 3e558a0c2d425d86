//! Real servers as backends, each in a folder and on an address of its own; they end with their owner.

use super::support::payload::Payload;
pub use super::support::server::Server;
use super::support::server::{free_port, is_root, open_folder};
use super::support::{Place, tools, wait_until};
use std::path::PathBuf;
use std::process::Command;

/// Bytes of `big.bin` in every server's folder.
pub const BIG: usize = 5_000_000;

/// A folder with `big.bin`, `small.txt` and these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = open_folder("ringgate-real-"); // nginx's worker is another user
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file can be written");
    write("big.bin", &Payload::bytes(1, BIG));
    write("small.txt", b"small\n");
    files.iter().for_each(|(name, text)| write(name, text.as_bytes()));
    folder
}

fn port_after(log: &str, words: &str) -> Option<Place> {
    let (_, rest) = log.split_once(words)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(Place::parse(&format!("127.0.0.1:{}", &rest[..end])))
}

/// Python's http.server with these files.
#[track_caller]
pub fn http_server(test: &str, protocol: &str) -> Option<Server> {
    let python = tools::python(test, &[])?;
    let folder = folder(&[]);
    let mut command = Command::new(python);
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--protocol", protocol, "0", "--directory"]);
    command.arg(folder.path());
    Some(Server::start(&mut command, |log| port_after(log, "127.0.0.1 port "), folder))
}

/// A Flask application under gunicorn, on a unix socket or a free port. Its workers are threads with keep-alive, or gunicorn's
/// default, which closes after each answer.
#[track_caller]
pub fn flask(test: &str, threads: bool, unix: bool) -> Option<Server> {
    let python = tools::python(test, &["flask", "gunicorn"])?;
    let folder = folder(&[("app.py", APP)]);
    let mut command = Command::new(python);
    command.args(["-m", "gunicorn", "app:app", "--workers", "1", "--worker-tmp-dir", "/tmp", "--bind"]);
    let socket = folder.path().join("app.sock");
    let bind = if unix { format!("unix:{}", socket.display()) } else { "127.0.0.1:0".to_owned() };
    command.arg(bind).current_dir(folder.path());
    if threads {
        command.args(["--worker-class", "gthread", "--threads", "8", "--keep-alive", "5"]);
    }
    let place = move |log: &str| match unix {
        true => (log.contains("Listening at") && log.contains("Booting worker")).then(|| Place::Unix(socket.clone())),
        false => log.contains("Booting worker").then(|| port_after(log, "Listening at: http://127.0.0.1:")).flatten(),
    };
    Some(Server::start(&mut command, place, folder))
}

const APP: &str = r#"
import hashlib
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@app.route("/", methods=METHODS)
def index():
    return f"{request.method} {request.full_path} {request.host}\n"


@app.route("/fields")
def fields():
    return jsonify(dict(request.headers))


@app.route("/form", methods=["POST"])
def form():
    file = request.files.get("file")
    return jsonify(form=request.form, size=len(file.read()) if file else 0)


@app.route("/app/sum", methods=["POST", "PUT"])
@app.route("/sum", methods=["POST", "PUT"])
def sum():
    digest, length = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        length += len(piece)
    return f"{length} {digest.hexdigest()}"


@app.route("/app/stream/<int:count>")
@app.route("/stream/<int:count>")
def stream(count):
    return Response((f"piece {i}\n" for i in range(count)), mimetype="text/plain")


@app.route("/none")
def none():
    return "", 204


@app.route("/app/greet", methods=["POST"])
@app.route("/greet", methods=["POST"])
def greet():
    return jsonify(greeting="hello " + request.json["name"])
"#;

/// nginx with static files, `/empty` (204) and `/tiny` (a few bytes without a file).
#[track_caller]
pub fn nginx(test: &str, files: &[(&str, &str)]) -> Option<Server> {
    let nginx = tools::find(test, "nginx")?;
    let folder = folder(files);
    let dir = folder.path().to_str().expect("temporary folders have plain names").to_owned();
    let socket = folder.path().join("nginx.sock");
    // On a port that was free a moment ago, and on a unix socket, which nobody can take away.
    let port = free_port();
    let user = if is_root() { "user root;" } else { "" };
    let conf = format!(
        "daemon off; master_process off; worker_processes 1; {user} pid {dir}/pid; error_log {dir}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; }}\n\
         client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;\n\
         uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5; keepalive_requests 1000000;\n\
         server {{ listen 127.0.0.1:{port}; listen unix:{dir}/nginx.sock; root {dir};\n\
         location = /tiny {{ return 200 \"tiny $request_method $http_x_forwarded_for\"; }}\n\
         location = /empty {{ return 204; }}\n\
         location = /moved {{ return 301 http://$host/tiny; }} }} }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), conf).expect("a file can be written");
    let mut command = Command::new(nginx);
    command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path());
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    let server = Server::start(&mut command, move |_| socket.exists().then(|| place.clone()), folder);
    wait_until("nginx answers", || super::support::Client::connect(&server.place).get("/tiny").status() == 200);
    Some(server)
}

/// The unix socket that [`nginx`] also listens on.
pub fn nginx_socket(server: &Server) -> Place {
    let path: PathBuf = server.folder().join("nginx.sock");
    Place::Unix(path)
}
