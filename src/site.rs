//! Everything that runs, as one value: what a start makes, a reload replaces, and workers go over to between two turns.

use crate::balance::{Group, Names};
use crate::config::plan::{Plan, Upstream};
use crate::limit::Zones;
use crate::log::access::AccessFile;
use crate::tls::Terms;
use std::sync::Arc;

/// See the head of this file.
pub struct Site {
    /// What is configured, with the addresses really bound.
    pub plan: Arc<Plan>,
    /// One per `Plan::upstreams`.
    pub groups: Vec<Arc<Group>>,
    /// How TLS is spoken.
    pub terms: Arc<Terms>,
    /// One per `Plan::access_logs`.
    pub access_logs: Arc<Vec<Arc<AccessFile>>>,
    /// What `limit_req` and `limit_conn` count.
    pub zones: Arc<Zones>,
}

impl Site {
    /// The groups and zones of `plan`; those that `before` has by the same name go on. `terms` are those of the same plan.
    pub fn new(plan: Arc<Plan>, terms: Arc<Terms>, workers: usize, names: Names, before: Option<&Site>) -> Site {
        let group = |upstream: &Upstream| {
            let is_same = |group: &&Arc<Group>| group.upstream().name == upstream.name;
            let before = before.and_then(|site| site.groups.iter().find(is_same));
            Arc::new(Group::new(upstream, workers, names, before.map(Arc::as_ref)))
        };
        let groups = plan.upstreams.iter().map(group).collect();
        let zones = Arc::new(Zones::new(&plan, before.map(|site| (&*site.plan, &*site.zones))));
        Site { plan, groups, terms, zones, access_logs: Arc::default() }
    }

    /// With the files that its plan writes exchanges down in.
    pub fn with_access_logs(self, access_logs: Arc<Vec<Arc<AccessFile>>>) -> Site {
        Site { access_logs, ..self }
    }

    /// A site whose plan has no TLS.
    #[cfg(test)]
    pub fn plain(plan: Arc<Plan>, workers: usize, before: Option<&Site>) -> Site {
        let terms = Arc::new(Terms::none(&plan));
        Site::new(plan, terms, workers, &|_| None, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_carries_groups_over_by_name() {
        let plan = |names: &[&str]| {
            let text = names.iter().map(|n| format!("[upstream.{n}]\nserver = \"127.0.0.1:1\"\n")).collect::<String>();
            let text = format!("{text}[[tcp]]\nlisten = \"127.0.0.1:2\"\nproxy_pass = \"{}\"\n", names[0]);
            Arc::new(crate::config::load_str("test", &text).expect("a good configuration").plan)
        };
        let before = Site::plain(plan(&["a", "b"]), 1, None);
        let after = Site::plain(plan(&["b", "c"]), 1, Some(&before));
        assert!(Arc::ptr_eq(before.groups[1].lineage(), after.groups[0].lineage()));
        assert!(Arc::ptr_eq(&before.groups[1].entries()[0].member, &after.groups[0].entries()[0].member));
        assert!(before.groups.iter().all(|group| !Arc::ptr_eq(group.lineage(), after.groups[1].lineage())));
    }
}
