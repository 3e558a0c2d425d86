//! `ssl_protocols` and `proxy_ssl_protocols`.

use crate::config::plan::Protocols;
use crate::config::report::{Place, Report};

/// Sets which versions are spoken, or says why not. `whole`: the place of all values.
pub fn set(protocols: &mut Protocols, values: &[(&str, Place)], whole: &Place) -> Vec<Report> {
    let mut said = Protocols { tls12: false, tls13: false };
    let (mut old, mut reports) = (Vec::new(), Vec::new());
    for (text, place) in values {
        for word in text.split_ascii_whitespace().map(|word| word.trim_end_matches([';', ','])) {
            match word.to_ascii_lowercase().as_str() {
                "tlsv1.2" => said.tls12 = true,
                "tlsv1.3" => said.tls13 = true,
                "sslv2" | "sslv3" | "tlsv1" | "tlsv1.0" | "tlsv1.1" => old.push(word),
                other => {
                    let message = match other.contains("1.3") {
                        true => format!("unknown version `{word}`; did you mean \"TLSv1.3\"?"),
                        false if other.contains("1.2") => {
                            format!("unknown version `{word}`; did you mean \"TLSv1.2\"?")
                        }
                        false => format!("unknown version `{word}`; there are \"TLSv1.2\" and \"TLSv1.3\""),
                    };
                    reports.push(Report::error(place.clone(), message));
                }
            }
        }
    }
    if !reports.is_empty() {
        return reports;
    }
    match (said.tls12 || said.tls13, old.is_empty()) {
        (true, true) => {}
        (true, false) => {
            let message = format!("rustls does not speak {}, which are not safe any more: left out", old.join(", "));
            reports.push(Report::warning(whole.clone(), message));
        }
        (false, false) => {
            let message = format!("rustls does not speak {}; write \"TLSv1.2 TLSv1.3\"", old.join(", "));
            reports.push(Report::error(whole.clone(), message));
        }
        (false, true) => {
            reports.push(Report::error(whole.clone(), "write the versions to speak: \"TLSv1.2 TLSv1.3\""));
        }
    }
    if said.tls12 || said.tls13 {
        *protocols = said;
    }
    reports
}
