//! What a newly loaded plan may change while the process runs, and what changed, for people. Pure.

use super::status;
use crate::balance::Group;
use crate::config::plan::{Listener, Peer, Plan, Service, Upstream};
use crate::site::Site;
use std::sync::Arc;

/// Fits a new plan to the listeners that are bound: their order, and the addresses that they really have. All or nothing: the error
/// names everything that takes a restart.
pub fn fit(mut new: Plan, running: &Plan) -> Result<Plan, String> {
    let mut restart: Vec<String> = [
        ("workers", new.workers != running.workers),
        ("handover", new.handover != running.handover),
        ("error_log", new.error_log != running.error_log),
        ("admin", new.admin != running.admin),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(key, _)| format!("`{key}` is another"))
    .collect();
    let mut listeners = std::mem::take(&mut new.listeners);
    for bound in &running.listeners {
        let same = |listener: &Listener| listener.configured == bound.configured && is_http(listener) == is_http(bound);
        match listeners.iter().position(same) {
            Some(at) => {
                let listener = Listener { address: bound.address.clone(), ..listeners.remove(at) };
                new.listeners.push(listener);
            }
            None => restart.push(format!("{} is gone", status::url(bound))),
        }
    }
    // Those that this machine lacked at the start, it still lacks.
    let added = listeners.iter().filter(|listener| !listener.optional);
    restart.extend(added.map(|listener| format!("{} is new", status::url(listener))));
    if restart.is_empty() { Ok(new) } else { Err(restart.join(", ")) }
}

fn is_http(listener: &Listener) -> bool {
    matches!(listener.service, Service::Http(_))
}

/// How two sites differ, in a few words: `1 server added, 2 removed, 1 weight changed`.
pub fn difference(before: &Site, after: &Site) -> String {
    let members = |site: &Site| -> Vec<_> {
        let entries = |group: &Arc<Group>| -> Vec<_> {
            group.entries().iter().map(|entry| (Arc::as_ptr(&entry.member), entry.peer.weight)).collect()
        };
        site.groups.iter().flat_map(entries).collect()
    };
    let (old, new) = (members(before), members(after));
    let is_in = |list: &[(_, u32)], member| list.iter().any(|&(other, _)| std::ptr::eq(other, member));
    let added = new.iter().filter(|(member, _)| !is_in(&old, *member)).count();
    let removed = old.iter().filter(|(member, _)| !is_in(&new, *member)).count();
    let weighed = |&&(member, weight): &&(_, u32)| old.iter().any(|&(m, w)| std::ptr::eq(m, member) && w != weight);
    let weights = new.iter().filter(weighed).count();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let settings = after.groups.iter().filter(|group| {
        let same = before.groups.iter().find(|old| Arc::ptr_eq(old.lineage(), group.lineage()));
        same.is_some_and(|old| differ(old.upstream(), group.upstream()))
    });
    let settings = settings.count();
    let parts = [
        (added, format!("{added} server{} added", plural(added))),
        (removed, format!("{removed} server{} removed", plural(removed))),
        (weights, format!("{weights} weight{} changed", plural(weights))),
        (settings, format!("other settings of {settings} upstream{}", plural(settings))),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    match parts.is_empty() {
        true => format!("the same {} server{}", new.len(), plural(new.len())),
        false => format!("{}, {} as before", parts.join(", "), new.len() - added),
    }
}

/// A group's section says something else, apart from who is in it and with what weight.
fn differ(before: &Upstream, after: &Upstream) -> bool {
    let bare = |upstream: &Upstream| Upstream { peers: Vec::new(), ..upstream.clone() };
    let settings = |peer: &Peer| Peer { addresses: Vec::new(), weight: 0, ..peer.clone() };
    let was = |peer: &Peer| before.peers.iter().find(|old| old.name == peer.name).map(settings);
    let is_other = |peer: &Peer| was(peer).is_some_and(|old| old != settings(peer));
    bare(before) != bare(after) || after.peers.iter().any(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_str;

    fn plan(text: &str) -> Plan {
        load_str("test", &format!("admin = \"off\"\n{text}")).unwrap_or_else(|error| panic!("{error}")).plan
    }

    fn tcp(port: u16, to: u16) -> String {
        format!("[[tcp]]\nlisten = \"127.0.0.1:{port}\"\nproxy_pass = \"127.0.0.1:{to}\"\n")
    }

    fn http(port: u16) -> String {
        format!("[[server]]\nlisten = \"127.0.0.1:{port}\"\nlocation.\"/\".proxy_pass = \"http://127.0.0.1:1\"\n")
    }

    #[test]
    fn listeners_keep_their_order_and_the_addresses_that_they_have() {
        let mut running = plan(&(tcp(0, 1) + &tcp(0, 2) + &tcp(5, 3)));
        for (listener, port) in running.listeners.iter_mut().zip([2001, 2002, 5]) {
            listener.address = crate::config::plan::Address::Tcp(([127, 0, 0, 1], port).into());
        }
        let new = fit(plan(&(tcp(5, 4) + &tcp(0, 5) + &tcp(0, 6))), &running).expect("it fits");
        let shown: Vec<_> = new.listeners.iter().map(status::url).collect();
        assert_eq!(shown, ["tcp://127.0.0.1:2001", "tcp://127.0.0.1:2002", "tcp://127.0.0.1:5"]);
        let leads = |listener: &Listener| match &listener.service {
            Service::Tcp(names) => new.upstreams[new.tcps[names.default].upstream].name.clone(),
            Service::Http(_) => panic!("they are tcp"),
        };
        let to: Vec<_> = new.listeners.iter().map(leads).collect();
        assert_eq!(to, ["127.0.0.1:5", "127.0.0.1:6", "127.0.0.1:4"]);
    }

    #[test]
    fn what_takes_a_restart_is_named() {
        let running = plan(&(tcp(5, 1) + &http(6)));
        let table = [
            (tcp(5, 1), "http://127.0.0.1:6 is gone"),
            (tcp(5, 1) + &http(6) + &tcp(7, 1), "tcp://127.0.0.1:7 is new"),
            (tcp(5, 1) + &tcp(6, 1), "http://127.0.0.1:6 is gone, tcp://127.0.0.1:6 is new"),
            ("workers = 3\n".to_owned() + &tcp(5, 1) + &http(6), "`workers` is another"),
            ("error_log = \"/x\"\nhandover = \"off\"\n".to_owned() + &tcp(5, 1), "`handover` is another, `error_log`"),
        ];
        for (text, part) in table {
            let error = fit(plan(&text), &running).expect_err(&text);
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(fit(plan(&(http(6) + &tcp(5, 2) + "[upstream.x]\nserver = \"127.0.0.1:1\"")), &running).is_ok());
    }

    #[test]
    fn the_difference_is_said_in_a_few_words() {
        let site = |servers: &str, before: Option<&Site>| {
            let text =
                format!("[upstream.a]\nserver = {servers}\n[[tcp]]\nlisten = \"127.0.0.1:1\"\nproxy_pass = \"a\"\n");
            Site::plain(Arc::new(plan(&text)), 1, before)
        };
        let first = site("[\"127.0.0.1:1\", \"127.0.0.1:2\"]", None);
        let table = [
            ("[\"127.0.0.1:2\", \"127.0.0.1:1\"]", "the same 2 servers"),
            ("[\"127.0.0.1:1\", \"127.0.0.1:3\"]", "1 server added, 1 server removed, 1 as before"),
            ("[\"127.0.0.1:1 weight=2\", \"127.0.0.1:2\"]", "1 weight changed, 2 as before"),
            ("[\"127.0.0.1:1 max_fails=1\", \"127.0.0.1:2\"]", "other settings of 1 upstream, 2 as before"),
            ("[\"127.0.0.1:8\", \"127.0.0.1:9\"]", "2 servers added, 2 servers removed, 0 as before"),
        ];
        for (servers, expected) in table {
            assert_eq!(difference(&first, &site(servers, Some(&first))), expected);
        }
    }
}
