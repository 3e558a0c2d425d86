//! nginx's `allow` and `deny`.

use crate::config::plan::{AccessRule, Whom};
use std::net::IpAddr;

/// What the first rule that fits says to a client with this address (`None`: it came by a unix socket): may it ask? `None`: no rule fits.
pub fn judge(rules: &[AccessRule], address: Option<IpAddr>) -> Option<bool> {
    let address = address.map(|address| address.to_canonical());
    let fits = |rule: &&AccessRule| match (&rule.whom, address) {
        (Whom::All, _) | (Whom::Unix, None) => true,
        (Whom::Network(network), Some(address)) => network.contains(&address),
        (Whom::Unix, Some(_)) | (Whom::Network(_), None) => false,
    };
    rules.iter().find(fits).map(|rule| rule.allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<AccessRule> {
        let rule = |line: &str| {
            let (verb, whom) = line.split_once(' ').unwrap();
            let whom = match whom {
                "all" => Whom::All,
                "unix:" => Whom::Unix,
                network => Whom::Network(network.parse().unwrap()),
            };
            AccessRule { allow: verb == "allow", whom }
        };
        text.split(", ").filter(|line| !line.is_empty()).map(rule).collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let guide = "deny 192.168.1.1/32, allow 192.168.1.0/24, allow 10.1.1.0/16, allow 2001:db8::/32, deny all";
        let local = "allow unix:, deny all";
        let rows = [
            ("", "10.0.0.1", None),
            ("", "unix:", None),
            (guide, "192.168.1.1", Some(false)),
            (guide, "192.168.1.2", Some(true)),
            (guide, "10.1.9.9", Some(true)),
            (guide, "10.2.0.0", Some(false)),
            (guide, "2001:db8::1", Some(true)),
            (guide, "2001:db9::1", Some(false)),
            (guide, "::ffff:192.168.1.2", Some(true)),
            (guide, "::ffff:192.168.1.1", Some(false)),
            (guide, "unix:", Some(false)),
            (local, "unix:", Some(true)),
            (local, "127.0.0.1", Some(false)),
            ("deny unix:", "unix:", Some(false)),
            ("deny unix:", "::1", None),
            ("allow 127.0.0.0/8", "127.255.0.1", Some(true)),
            ("allow 127.0.0.0/8", "128.0.0.1", None),
            ("allow 127.0.0.0/8", "unix:", None),
            ("deny 0.0.0.0/0", "8.8.8.8", Some(false)),
            ("deny 0.0.0.0/0", "::1", None),
            ("allow all, deny all", "::1", Some(true)),
        ];
        for (text, address, wanted) in rows {
            assert_eq!(judge(&rules(text), address.parse().ok()), wanted, "{text}: {address}");
        }
    }
}
