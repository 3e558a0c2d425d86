//! Active checks by TLS: a certificate that clients would refuse takes a server out of use before they meet it.

use super::support::certificates::{Authority, Order};
use super::support::tls::server_config;
use super::support::{Backend, Setup, wait_until};
use super::{expect_sound, folder, mirrored};

#[test]
fn a_certificate_that_nobody_would_accept_takes_a_server_down() {
    let (authority, other) = (Authority::new("backends"), Authority::new("others"));
    let pairs = [
        authority.server(&["app.test"]),
        authority.server(&["elsewhere.test"]),
        authority.issue(&Order::server(&["app.test"]).expired()),
        other.server(&["app.test"]),
    ];
    let secure = |pair: &super::Pair| {
        Backend::secure(server_config(&pair.identity, None), super::support::backend::answering(mirrored))
    };
    let mut backends: Vec<Backend> = pairs.iter().map(secure).collect();
    // One that speaks no TLS, and says so in its own way.
    backends.push(Backend::script(|conn| {
        conn.some();
        conn.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    }));
    let states = |lines: &str, wanted: [&str; 5]| {
        let folder = folder();
        super::write(folder.path(), "ca.pem", &authority.pem());
        let places: Vec<_> = backends.iter().map(Backend::place).collect();
        let check = "[upstream.app.health_check]\ntype = \"https\"\nhost = \"app.test\"";
        let check = format!("{check}\ninterval = \"100ms\"\ntimeout = \"10s\"");
        let ringgate = Setup::new()
            .workers(1)
            .upstream("app", &places, &format!("max_ejected = \"100%\"\n{check}\n{lines}"))
            .server("127.0.0.1:0", "", &[("/", "http://app", "")])
            .start_in(folder);
        for (place, wanted) in places.iter().zip(wanted) {
            let server = || ringgate.status().server(&place.to_string()).clone();
            let last = || server()["last_check"].as_str().unwrap_or_default().to_owned();
            wait_until(&format!("{place} was checked and is {wanted:?}"), || {
                let state = ringgate.status().state(&place.to_string()).0;
                !last().is_empty() && last().contains(wanted) && (state == "up") == wanted.is_empty()
            });
        }
        expect_sound(&ringgate);
        ringgate
    };
    let trust = "ssl_trusted_certificate = \"{dir}/ca.pem\"";
    states(trust, ["", "not made out to", "expired", "no authority that is trusted", "does not speak TLS"]);
    // Nothing is verified, but TLS it must be.
    states("ssl_verify = \"off\"", ["", "", "", "", "does not speak TLS"]);
    assert!(backends[0].requests() > 0, "the one that is well is asked");
}
