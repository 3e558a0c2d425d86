//! A guide's configuration, running.

use super::support::server::{Server, free_port, is_root, open_folder};
use super::support::tls::Wish;
use super::support::{Client, Message, Place, Ringgate, tools, wait_until};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// A configuration with its other files. What a guide names (ports, paths, hosts) is replaced by what the test has.
#[derive(Clone)]
pub struct Guide {
    name: &'static str,
    conf: String,
    files: Vec<(String, Vec<u8>)>,
    links: Vec<(&'static str, &'static str)>,
}

/// `guide!("name")`: that file of `conf/`.
#[macro_export]
macro_rules! guide {
    ($name:literal) => {
        $crate::site::Guide::new($name, include_str!(concat!("conf/", $name)))
    };
}

impl Guide {
    /// Use [`guide!`].
    pub fn new(name: &'static str, conf: &str) -> Guide {
        Guide { name, conf: conf.to_owned(), files: Vec::new(), links: Vec::new() }
    }

    /// Replaces a text, which must be there.
    #[track_caller]
    pub fn with(mut self, from: &str, to: impl AsRef<str>) -> Guide {
        assert!(self.conf.contains(from), "{} lacks {from}", self.name);
        self.conf = self.conf.replace(from, to.as_ref());
        self
    }

    /// `127.0.0.1:5000`, `:5001` and so on are these.
    #[track_caller]
    pub fn backends(mut self, first: u16, backends: &[&Place]) -> Guide {
        for (port, place) in (first..).zip(backends) {
            self = self.with(&format!(":{port}"), format!(":{}", place.port()));
        }
        self
    }

    /// One more file, in the folder that `{dir}` stands for.
    pub fn file(mut self, path: &str, bytes: impl AsRef<[u8]>) -> Guide {
        self.files.push((path.to_owned(), bytes.as_ref().to_vec()));
        self
    }

    /// One more symbolic link.
    pub fn link(mut self, path: &'static str, to: &'static str) -> Guide {
        self.links.push((path, to));
        self
    }

    /// Writes it all; the path of the configuration.
    fn write(&self, folder: &Path, ports: &Ports) -> PathBuf {
        let dir = folder.to_str().expect("temporary folders have plain names");
        let fill = |text: &str| {
            text.replace("{dir}", dir)
                .replace("listen 80;", &format!("listen 127.0.0.1:{};", ports.http))
                .replace("listen [::]:80;", &format!("listen [::1]:{};", ports.http))
                .replace("listen 443 ", &format!("listen 127.0.0.1:{} ", ports.https))
        };
        for (path, bytes) in &self.files {
            let file = folder.join(path);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder can be made");
            match std::str::from_utf8(bytes) {
                Ok(text) => std::fs::write(file, fill(text)),
                Err(_) => std::fs::write(file, bytes),
            }
            .expect("a file can be written");
        }
        for (path, to) in &self.links {
            let link = folder.join(path);
            std::fs::create_dir_all(link.parent().expect("a folder")).expect("a folder can be made");
            std::os::unix::fs::symlink(to, link).expect("a link can be made");
        }
        std::fs::create_dir_all(folder.join("logs")).expect("a folder can be made");
        let file = folder.join("nginx.conf");
        std::fs::write(&file, fill(&self.conf)).expect("a file can be written");
        file
    }

    /// Whether it is a whole nginx.conf; most guides show what goes into `http` only.
    fn is_whole(&self) -> bool {
        self.conf.contains("\nevents")
    }

    /// Runs it in ringgate, and in nginx if there is one.
    #[track_caller]
    pub fn run(&self) -> Vec<Site> {
        let mut sites = Vec::from_iter(self.run_in_nginx());
        sites.push(self.run_in_ringgate());
        sites
    }

    #[track_caller]
    fn run_in_nginx(&self) -> Option<Site> {
        let nginx = tools::find(self.name, "nginx")?;
        let (folder, ports) = (open_folder("ringgate-guide-nginx-"), Ports::new());
        let file = self.nginx_file(folder.path(), &ports);
        let mut command = tools::bounded(&nginx, 120);
        command.args(["-e", "stderr", "-g", "daemon off;", "-p"]).arg(folder.path()).arg("-c").arg(file);
        let place = Place::parse(&format!("127.0.0.1:{}", ports.first(&self.conf)));
        let server = Server::start(&mut command, move |_| Some(place.clone()), folder);
        Some(Site { name: "nginx", dir: server.folder().to_owned(), ports, _running: Running::Nginx(server) })
    }

    /// What nginx reads: the guide, with what it needs to run without root, or in a frame of that.
    fn nginx_file(&self, folder: &Path, ports: &Ports) -> PathBuf {
        let file = self.write(folder, ports);
        let dir = folder.display();
        let paths = format!(
            "client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; \
             scgi_temp_path {dir}/t5;"
        );
        let frame = folder.join("frame.conf");
        let text = match self.is_whole() {
            true => {
                std::fs::read_to_string(&file).expect("just written").replace("http {", &format!("http {{ {paths}"))
            }
            false => {
                let user = if is_root() { "user root;" } else { "" };
                format!(
                    "{user} worker_processes 1; pid {dir}/pid; error_log stderr; events {{}} http {{ {paths} access_log off; types {{ \
                     text/html html; text/css css; }} include {}; }}",
                    file.display()
                )
            }
        };
        std::fs::write(&frame, text).expect("a file can be written");
        frame
    }

    #[track_caller]
    fn run_in_ringgate(&self) -> Site {
        let (folder, ports) = (open_folder("ringgate-guide-"), Ports::new());
        let file = self.write(folder.path(), &ports);
        let toml = folder.path().join("ringgate.toml");
        let import = import(&file, &["-o", &toml.to_string_lossy()]);
        assert!(import.status.success(), "{}: {}", self.name, told(&import));
        let check = ringgate(&["check", "-c", &toml.to_string_lossy()]);
        assert!(check.status.success(), "{}: {}\n{}", self.name, told(&check), read(&toml));
        // Its admin socket must not be everybody's.
        let admin = format!("admin = \"{}\"\n", folder.path().join("admin.sock").display());
        std::fs::write(&toml, admin + &read(&toml)).expect("a file can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.arg("run").arg("-c").arg(&toml).current_dir(folder.path());
        let dir = folder.path().to_owned();
        let running = Ringgate::launch(folder, command);
        Site { name: "ringgate", dir, ports, _running: Running::Ringgate(running) }
    }

    /// What `nginx -t` says of it; `None` without nginx.
    #[track_caller]
    pub fn test_in_nginx(&self) -> Option<(bool, String)> {
        let nginx = tools::find(self.name, "nginx")?;
        let folder = open_folder("ringgate-guide-nginx-");
        let frame = self.nginx_file(folder.path(), &Ports::new());
        let mut command = tools::bounded(&nginx, 20);
        command.args(["-t", "-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(frame);
        let output = command.stdin(Stdio::null()).output().expect("nginx runs");
        Some((output.status.success(), told(&output)))
    }

    /// What `ringgate import nginx` says of it, and with which end.
    #[track_caller]
    pub fn import(&self) -> Output {
        let folder = open_folder("ringgate-guide-");
        let file = self.write(folder.path(), &Ports::new());
        import(&file, &[])
    }
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn import(file: &Path, more: &[&str]) -> Output {
    let file = file.to_string_lossy();
    ringgate(&[&["import", "nginx", &file][..], more].concat())
}

fn ringgate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
    command.args(arguments).stdin(Stdio::null()).output().expect("the program runs")
}

/// All that a program printed.
pub fn told(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// What stands for 80 and 443.
#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    https: u16,
}

impl Ports {
    fn new() -> Ports {
        Ports { http: free_port(), https: free_port() }
    }

    fn first(&self, conf: &str) -> u16 {
        if conf.contains("listen 80;") || !conf.contains("listen 443") { self.http } else { self.https }
    }
}

/// Held only to end with its site.
#[allow(dead_code)] // nobody looks into it: dropping it ends the process
enum Running {
    Nginx(Server),
    Ringgate(Ringgate),
}

/// A guide's configuration in one of the two servers.
pub struct Site {
    pub name: &'static str,
    dir: PathBuf,
    ports: Ports,
    _running: Running,
}

impl Site {
    /// A file below `{dir}`.
    pub fn read(&self, path: &str) -> String {
        read(&self.dir.join(path))
    }

    /// A connection to what stands for port 80.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&Place::parse(&format!("127.0.0.1:{}", self.ports.http)))
    }

    /// The same over IPv6.
    #[track_caller]
    pub fn client_v6(&self) -> Client {
        Client::connect(&Place::parse(&format!("[::1]:{}", self.ports.http)))
    }

    /// A connection to what stands for port 443; whoever answers must have a certificate of `root` (PEM) for that name.
    #[track_caller]
    pub fn secure(&self, root: &str, name: &str) -> Client {
        let config = Arc::new(Wish { trusted: Some(root), ..Wish::default() }.config());
        Client::secure(&self.https(), &config, name)
    }

    /// What stands for port 443.
    pub fn https(&self) -> Place {
        Place::parse(&format!("127.0.0.1:{}", self.ports.https))
    }

    /// GET at port 80 on a connection of its own.
    #[track_caller]
    pub fn get(&self, host: &str, target: &str) -> Message {
        self.client().get_from(host, target)
    }

    /// The bodies of so many GETs, all answered 200.
    #[track_caller]
    pub fn bodies(&self, host: &str, target: &str, count: usize) -> Vec<String> {
        let body = |_| {
            let answer = self.get(host, target);
            assert_eq!(answer.status(), 200, "{}: {}", self.name, answer.text());
            answer.text().trim().to_owned()
        };
        (0..count).map(body).collect()
    }

    /// Whether it looks at a failed server only after ten seconds (`fail_timeout`): nobody waits for nginx here.
    pub fn is_slow_to_forgive(&self) -> bool {
        self.name == "nginx"
    }

    /// Waits until a GET is answered with that status.
    #[track_caller]
    pub fn wait_for(&self, status: u16, host: &str, target: &str) {
        wait_until(&format!("{} answers {status}", self.name), || self.get(host, target).status() == status);
    }
}

/// Whether this machine has IPv6 on its loopback.
pub fn has_v6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}
