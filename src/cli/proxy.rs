//! `ringgate proxy`: HTTP balancing with no file at all.

use super::fileless::{self, Arguments, Form};
use std::process::ExitCode;

const FORM: Form = Form {
    scheme: "http://",
    section: "[[server]]\nlocation.\"/\".proxy_pass = \"http://servers\"",
    by_tls: Some("[[server]]\nlocation.\"/\".proxy_pass = \"https://servers\""),
};

/// Runs until a signal.
pub fn run(arguments: &Arguments) -> ExitCode {
    fileless::run(arguments, FORM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_str;
    use crate::config::plan::Service;
    use std::path::Path;

    fn text(listen: &str, to: &[&str]) -> String {
        let (listen, to) = (vec![listen.to_owned()], to.iter().map(ToString::to_string).collect());
        let balance = "least_conn".parse().unwrap();
        let arguments = Arguments { listen, to, balance, workers: None, admin: None };
        fileless::configuration(&arguments, FORM, Path::new("/run/own.sock"))
    }

    #[test]
    fn the_configuration_is_a_good_one() {
        let loaded =
            load_str("command line", &text("http://127.0.0.1:8080/", &["http://localhost:3000", "127.0.0.1:3001"]))
                .unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let plan = loaded.plan;
        assert!(matches!(plan.listeners[..], [ref listener] if matches!(listener.service, Service::Http(_))));
        let servers: Vec<_> = plan.upstreams[0].peers.iter().map(|peer| &*peer.name).collect();
        assert_eq!(servers, ["localhost:3000", "127.0.0.1:3001"]);
        assert_eq!(plan.servers[0].locations[0].action.ssl(), None);
    }

    #[test]
    fn servers_may_speak_tls() {
        let to = ["https://localhost", "https://127.0.0.1:3443/", "https://3444", "https://[::1]"];
        let loaded = load_str("command line", &text("127.0.0.1:8080", &to)).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let plan = loaded.plan;
        let servers: Vec<_> = plan.upstreams[0].peers.iter().map(|peer| &*peer.name).collect();
        assert_eq!(servers, ["localhost:443", "127.0.0.1:3443", "127.0.0.1:3444", "[::1]:443"]);
        assert_eq!(plan.servers[0].locations[0].action.ssl(), Some(0));
        assert!(plan.proxy_ssls[0].verify, "against the system's authorities");
        let nameless = load_str("command line", &text("127.0.0.1:8080", &["https://unix:/run/a"])).unwrap_err();
        assert!(nameless.to_string().contains("`proxy_ssl_name`"), "{nameless}");
    }
}
