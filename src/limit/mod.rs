//! How often and how many at once (nginx's `limit_req` and `limit_conn`), exact over all cores: one table for all of them, cut into parts
//! each behind a lock of its own that is held for a few hundred nanoseconds. Time is an argument.

mod conn;
mod req;
mod table;

pub use conn::{ConnZone, Permit};
pub use req::{Ask, ReqZone, Verdict, ask};

use crate::config::plan::Plan;
use crate::config::template::Template;
use std::sync::Arc;

/// What became of a request at its limits: nginx's `$limit_req_status` and `$limit_conn_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Status {
    Passed,
    Delayed,
    Rejected,
    DelayedDryRun,
    RejectedDryRun,
}

impl Status {
    /// As the variables say it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Passed => "PASSED",
            Status::Delayed => "DELAYED",
            Status::Rejected => "REJECTED",
            Status::DelayedDryRun => "DELAYED_DRY_RUN",
            Status::RejectedDryRun => "REJECTED_DRY_RUN",
        }
    }
}

/// The zones of a plan.
#[derive(Debug, Default)]
pub struct Zones {
    /// One per `Plan::limit_req_zones`.
    pub req: Vec<Arc<ReqZone>>,
    /// One per `Plan::limit_conn_zones`.
    pub conn: Vec<Arc<ConnZone>>,
}

impl Zones {
    /// Those of `plan`. Zones that went by the same name, key and size in the plan of `before` go on as they are: a reload forgives nothing.
    pub fn new(plan: &Plan, before: Option<(&Plan, &Zones)>) -> Zones {
        let (old, kept) = before.unzip();
        let req = carried(
            plan.limit_req_zones.iter().map(|zone| (&zone.name, &zone.key, zone.bytes)),
            old.map(|old| old.limit_req_zones.iter().map(|zone| (&zone.name, &zone.key, zone.bytes))),
            kept.map_or(&[][..], |kept| &kept.req),
            ReqZone::new,
        );
        let conn = carried(
            plan.limit_conn_zones.iter().map(|zone| (&zone.name, &zone.key, zone.bytes)),
            old.map(|old| old.limit_conn_zones.iter().map(|zone| (&zone.name, &zone.key, zone.bytes))),
            kept.map_or(&[][..], |kept| &kept.conn),
            ConnZone::new,
        );
        Zones { req, conn }
    }
}

/// What makes a zone the same as before: name, key and bytes.
type Mark<'a> = (&'a String, &'a Template, u64);

fn carried<'a, T>(
    wanted: impl Iterator<Item = Mark<'a>>,
    old: Option<impl Iterator<Item = Mark<'a>> + Clone>,
    kept: &[Arc<T>],
    new: impl Fn(u64) -> T,
) -> Vec<Arc<T>> {
    let zone = |mark: Mark<'a>| {
        let same = old.clone().and_then(|mut old| old.position(|old| old == mark));
        same.map_or_else(|| Arc::new(new(mark.2)), |nth| kept[nth].clone())
    };
    wanted.map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::{LimitConnZone, LimitReqZone};
    use crate::config::template::Known;

    #[test]
    fn zones_go_on_by_name_key_and_size() {
        let text = "[[server]]\nlisten = 80\nreturn = 404\n";
        let empty = crate::config::load_str("t", text).unwrap().plan;
        let plan = |zones: &[(&str, &str, u64)]| {
            let key = |key: &str| Template::parse(key, &Known::default()).unwrap();
            let req = |&(name, text, bytes): &(&str, &str, u64)| LimitReqZone {
                name: name.into(),
                key: key(text),
                bytes,
                rate: bytes % 7 + 1,
            };
            let conn =
                |&(name, text, bytes): &(&str, &str, u64)| LimitConnZone { name: name.into(), key: key(text), bytes };
            let limit_req_zones = zones.iter().map(req).collect();
            Plan { limit_req_zones, limit_conn_zones: zones.iter().map(conn).collect(), ..empty.clone() }
        };
        let old = plan(&[("a", "$host", 1 << 20), ("b", "$host", 1 << 20), ("c", "$host", 1 << 20)]);
        let before = Zones::new(&old, None);
        let new =
            plan(&[("c", "$host", 1 << 21), ("b", "$uri", 1 << 20), ("a", "$host", 1 << 20), ("d", "x", 1 << 20)]);
        let after = Zones::new(&new, Some((&old, &before)));
        for nth in 0..4 {
            let is_kept = before.req.iter().any(|zone| Arc::ptr_eq(zone, &after.req[nth]));
            let is_kept_too = before.conn.iter().any(|zone| Arc::ptr_eq(zone, &after.conn[nth]));
            assert_eq!((is_kept, is_kept_too), (nth == 2, nth == 2), "{nth}");
        }
        assert!(Arc::ptr_eq(&before.req[0], &after.req[2]) && Arc::ptr_eq(&before.conn[0], &after.conn[2]));
    }
}
