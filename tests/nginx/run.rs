//! One theme: both servers, every request to both, and what they answered side by side.

use super::answer::Answer;
use super::differences::{self, Found};
use super::support::server::{Server, free_port, is_root, open_folder};
use super::support::{Client, Message, Place, Ringgate, tools};
use super::{THEMES, corpus, echo, tree};
use std::path::Path;
use std::process::Command;

/// What stands around a theme's own lines. Nothing in it is meant for one side only.
const FRAME: &str = r#"
{user}
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    access_log off;
    types {
        text/html html htm;
        text/css css;
        text/plain txt;
        application/javascript js;
        application/json json;
        image/png png;
        image/svg+xml svg;
        font/woff2 woff2;
        application/gzip gz;
    }
    default_type application/octet-stream;
    {theme}
}
"#;

/// A server of the two.
pub struct Side {
    pub name: &'static str,
    /// The ports of `{port}` and `{second}`.
    ports: [u16; 2],
    _running: Running,
}

/// Held only to end with its side.
#[allow(dead_code)] // nobody looks into it: dropping it ends the process
enum Running {
    Nginx(Server),
    Ringgate(Ringgate),
}

/// Both servers with one configuration, and what they share.
pub struct Sides {
    pub nginx: Side,
    pub ringgate: Side,
    echo: u16,
    _shared: tempfile::TempDir,
}

impl Sides {
    /// Starts them; `None` where there is no nginx.
    #[track_caller]
    pub fn start(name: &str, conf: &str, echo: &Place) -> Option<Sides> {
        let program = tools::find(name, "nginx")?;
        let shared = open_folder("ringgate-differ-");
        tree::plant(shared.path());
        let fill = |ports: [u16; 2], home: &Path| {
            FRAME
                .replace("{theme}", conf)
                .replace("{user}", if is_root() { "user root;" } else { "" })
                .replace("{home}", &home.to_string_lossy())
                .replace("{dir}", &shared.path().to_string_lossy())
                .replace("{port}", &ports[0].to_string())
                .replace("{second}", &ports[1].to_string())
                .replace("{echo}", &echo.port().to_string())
        };
        let ports = [free_port(), free_port()];
        let running = Running::Nginx(start_nginx(&program, ports[0], |home| fill(ports, home)));
        let nginx = Side { name: "nginx", ports, _running: running };
        let ports = [free_port(), free_port()];
        let running = Running::Ringgate(start_ringgate(|home| fill(ports, home)));
        let ringgate = Side { name: "ringgate", ports, _running: running };
        Some(Sides { nginx, ringgate, echo: echo.port(), _shared: shared })
    }

    /// Both.
    pub fn all(&self) -> [&Side; 2] {
        [&self.nginx, &self.ringgate]
    }

    fn ask(&self, side: &Side, request: &str) -> Result<Answer, String> {
        let [port, second] = side.ports;
        let to = if request.contains(" | To: second") { second } else { port };
        let text = request.replace(" | To: second", "").replace("{port}", &port.to_string());
        let bytes = corpus::bytes(&text.replace("{echo}", &self.echo.to_string()));
        let method = corpus::method(request);
        let message = exchange(to, method, &bytes).map_err(|e| format!("{}: {e}", side.name))?;
        Ok(Answer::new(method, &message, &[(port, "PORT"), (second, "SECOND"), (self.echo, "ECHO")]))
    }
}

impl Side {
    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&Place::parse(&format!("127.0.0.1:{}", self.ports[0])))
    }
}

/// Runs a theme by its name.
#[track_caller]
pub fn theme(name: &'static str) {
    let &(_, conf, list) = THEMES.iter().find(|theme| theme.0 == name).expect("a theme");
    let echo = echo::start();
    let Some(sides) = Sides::start(name, conf, echo.place()) else { return };
    let mut failures = Vec::new();
    let mut told = String::new();
    let mut found = Vec::new();
    let rows = corpus::rows(list);
    for row in &rows {
        let mut fail = |why: String| failures.push(format!("line {}: {}\n  {why}", row.line, row.request));
        let theirs = match sides.ask(&sides.nginx, row.request) {
            Ok(answer) => answer,
            Err(why) => {
                fail(why);
                continue;
            }
        };
        told += &format!("{} => {}\n", row.request, theirs.told(row.expected));
        if !theirs.is(row.expected) {
            fail(format!("expected {}\n  nginx    {}", row.expected, theirs.told(row.expected)));
        }
        match sides.ask(&sides.ringgate, row.request) {
            Ok(ours) => {
                for (what, nginx, ringgate) in theirs.differences(&ours) {
                    found.push(Found { request: row.request, what, nginx, ringgate });
                }
            }
            Err(why) => fail(why),
        }
    }
    // For whoever adds lines: what nginx answered to all of them, in files of that folder.
    if let Ok(folder) = std::env::var("TOLD") {
        std::fs::write(Path::new(&folder).join(name), told).expect("a file");
    }
    failures.extend(differences::unexplained(name, &found));
    assert!(failures.is_empty(), "{} of {} in {name}:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

fn exchange(port: u16, method: &str, bytes: &[u8]) -> std::io::Result<Message> {
    let mut client = Client::try_connect(&Place::parse(&format!("127.0.0.1:{port}")))?;
    client.try_send(bytes)?;
    client.try_response_to(method)
}

#[track_caller]
fn start_nginx(program: &Path, port: u16, text: impl Fn(&Path) -> String) -> Server {
    let home = open_folder("ringgate-differ-nginx-");
    let file = home.path().join("nginx.conf");
    std::fs::write(&file, text(home.path())).expect("a file can be written");
    let mut command = tools::bounded(program, 120);
    command.arg("-e").arg("stderr").arg("-p").arg(home.path()).arg("-c").arg(&file);
    let place = Place::parse(&format!("127.0.0.1:{port}"));
    Server::start(&mut command, move |_| Some(place.clone()), home)
}

/// With `--lossy`: what is lost shows in the answers. By way of a file, for its admin socket must not be everybody's.
#[track_caller]
fn start_ringgate(text: impl Fn(&Path) -> String) -> Ringgate {
    let home = open_folder("ringgate-differ-");
    let (file, toml) = (home.path().join("nginx.conf"), home.path().join("ringgate.toml"));
    std::fs::write(&file, text(home.path())).expect("a file can be written");
    let mut import = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    import.args(["import", "nginx", "--lossy"]).arg(&file).arg("-o").arg(&toml);
    let output = import.output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let translated = std::fs::read_to_string(&toml).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{translated}");
    let admin = home.path().join("admin.sock");
    std::fs::write(&toml, format!("admin = \"{}\"\n{translated}", admin.display())).expect("a file can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    command.arg("run").arg("-c").arg(&toml);
    Ringgate::launch(home, command)
}
