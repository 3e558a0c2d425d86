//! `set_real_ip_from`: whose X-Forwarded-For is believed.

use ipnet::IpNet;
use std::net::IpAddr;

/// A network or a single address, and what is strange about it.
pub fn network(text: &str) -> Result<(IpNet, Option<String>), String> {
    let text = text.trim().trim_end_matches(';');
    if let Ok(net) = text.parse::<IpNet>() {
        let tidy = net.trunc();
        let warning = (tidy != net).then(|| format!("\"{text}\" is taken for the whole network \"{tidy}\""));
        return Ok((tidy, warning));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.into(), None));
    }
    Err(message(text))
}

fn message(text: &str) -> String {
    if text.is_empty() {
        return "write an address or a network, such as \"10.0.0.0/8\"".to_string();
    }
    if text.split_ascii_whitespace().count() > 1 || text.contains(',') {
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        let list: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
        return format!("several networks are a list; write [{}]", list.join(", "));
    }
    if ["*", "all", "any"].contains(&text) {
        return "write [\"0.0.0.0/0\", \"::/0\"] for everybody; then everybody can forge addresses".to_string();
    }
    if text.starts_with("unix:") {
        return "peers on unix sockets cannot be named here yet; write addresses or networks".to_string();
    }
    if let Some((address, bits)) = text.split_once('/') {
        return match address.parse::<IpAddr>() {
            Ok(address) => {
                let most = if address.is_ipv4() { 32 } else { 128 };
                format!("`/{bits}` is no length of a network; write a number from 0 to {most} behind the slash")
            }
            Err(_) => format!("`{address}` is not an IP address"),
        };
    }
    let bare = text.trim_start_matches('[').split(']').next().unwrap_or(text);
    if bare != text && bare.parse::<IpAddr>().is_ok() {
        return format!("no brackets and no port here; write \"{bare}\"");
    }
    match text.split_once(':') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
            format!("no port here; write \"{address}\"")
        }
        _ => format!("`{text}` is not an IP address; names are not looked up here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            (" 127.0.0.1; ", "127.0.0.1/32"),
        ] {
            assert_eq!(network(text), Ok((net.parse().unwrap(), None)), "{text}");
        }
        let (net, warning) = network("10.1.2.3/8").unwrap();
        assert_eq!(net.to_string(), "10.0.0.0/8");
        assert_eq!(warning.as_deref(), Some("\"10.1.2.3/8\" is taken for the whole network \"10.0.0.0/8\""));
        for (text, hint) in [
            ("", "such as \"10.0.0.0/8\""),
            ("10.0.0.0/8 ::1", "write [\"10.0.0.0/8\", \"::1\"]"),
            ("10.0.0.0/8, ::1", "write [\"10.0.0.0/8\", \"::1\"]"),
            ("*", "[\"0.0.0.0/0\", \"::/0\"]"),
            ("unix:", "unix sockets"),
            ("10.0.0.0/33", "0 to 32"),
            ("::1/129", "0 to 128"),
            ("10.0.0.0/255.0.0.0", "0 to 32"),
            ("10.0.0/8", "`10.0.0` is not an IP address"),
            ("[::1]", "write \"::1\""),
            ("[::1]:80", "write \"::1\""),
            ("10.0.0.1:80", "write \"10.0.0.1\""),
            ("proxy.internal", "names are not looked up"),
        ] {
            let message = network(text).expect_err(text);
            assert!(message.contains(hint), "{text}: {message}");
        }
    }
}
