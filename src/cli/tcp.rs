//! `ringgate tcp`: TCP balancing with no file at all.

use super::fileless::{self, Arguments, Form};
use std::process::ExitCode;

const FORM: Form = Form { scheme: "tcp://", section: "[[tcp]]\nproxy_pass = \"servers\"", by_tls: None };

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

    fn text(listen: &str, to: &str) -> String {
        let (listen, to) = (vec![listen.to_owned()], vec![to.to_owned(), "127.0.0.1:3001".to_owned()]);
        let balance = "least_conn".parse().unwrap();
        let arguments = Arguments { listen, to, balance, workers: None, admin: None };
        fileless::configuration(&arguments, FORM, Path::new("/run/own.sock"))
    }

    #[test]
    fn the_configuration_is_a_good_one() {
        let loaded = load_str("command line", &text("tcp://127.0.0.1:8080/", "tcp://localhost:3000")).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let plan = loaded.plan;
        assert!(matches!(plan.listeners[..], [ref listener] if matches!(listener.service, Service::Tcp(_))));
        let servers: Vec<_> = plan.upstreams[0].peers.iter().map(|peer| &*peer.name).collect();
        assert_eq!(servers, ["localhost:3000", "127.0.0.1:3001"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (listen, to, hint) in [
            ("127.0.0.1:5432", "http://127.0.0.1:3000", "write \"127.0.0.1:3000\""),
            ("http://127.0.0.1:5432", "127.0.0.1:3000", "write \"127.0.0.1:5432\""),
            ("127.0.0.1:5432", "localhost", "\"localhost:5432\""),
            ("127.0.0.1", "127.0.0.1:3000", "\"127.0.0.1:5432\""),
        ] {
            let error = load_str("command line", &text(listen, to)).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
