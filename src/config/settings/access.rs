//! Who may ask, how often, and how many at once.

use super::Written;
use super::answers::each;
use super::files::file;
use crate::config::networks::network;
use crate::config::plan::{Access, AccessRule, Basic, LimitConn, LimitReq, Whom};
use crate::config::report::{Place, Report};
use crate::config::slips::closest;
use crate::config::template::Template;
use crate::config::value::{count, switch};
use std::collections::HashSet;
use std::path::PathBuf;

/// The values in force at one level.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    rules: Vec<AccessRule>,
    any: bool,
    realm: Option<(Template, Place)>,
    user_file: Option<PathBuf>,
    limit_req: Vec<LimitReq>,
    limit_req_status: u16,
    limit_req_dry_run: bool,
    limit_conn: Vec<LimitConn>,
    limit_conn_status: u16,
    limit_conn_dry_run: bool,
}

impl Default for AccessSettings {
    fn default() -> AccessSettings {
        AccessSettings {
            rules: Vec::new(),
            any: false,
            realm: None,
            user_file: None,
            limit_req: Vec::new(),
            limit_req_status: 503,
            limit_req_dry_run: false,
            limit_conn: Vec::new(),
            limit_conn_status: 503,
            limit_conn_dry_run: false,
        }
    }
}

impl AccessSettings {
    /// Sets one key; false: it is none of these.
    pub fn set(&mut self, key: &str, text: &str, at: &Written) -> Result<bool, String> {
        let text = text.trim_end_matches(';');
        match key {
            "satisfy" => {
                self.any = match text {
                    "all" => false,
                    "any" => true,
                    _ => return Err("write \"all\" or \"any\"".to_string()),
                }
            }
            "auth_basic" => {
                self.realm = match text {
                    "off" => None,
                    "" => return Err("write what is asked for, such as \"Members only\", or \"off\"".to_string()),
                    _ if text.contains(char::is_control) => {
                        return Err("control characters cannot stand here".to_string());
                    }
                    _ => Some((Template::parse(text, at.known)?, at.place.clone())),
                }
            }
            "auth_basic_user_file" => self.user_file = Some(file(text, at.directory)?),
            "limit_req_status" => self.limit_req_status = count(text, 400, 599)? as u16,
            "limit_req_dry_run" => self.limit_req_dry_run = switch(text)?,
            "limit_conn_status" => self.limit_conn_status = count(text, 400, 599)? as u16,
            "limit_conn_dry_run" => self.limit_conn_dry_run = switch(text)?,
            "limit_req_log_level" | "limit_conn_log_level" => match text {
                "info" | "notice" | "warn" | "error" => {}
                _ => return Err("write \"info\", \"notice\", \"warn\" or \"error\"".to_string()),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Sets one list; `None`: it is none of these.
    pub fn set_list(&mut self, key: &str, values: &[(&str, Place)], whole: &Written) -> Option<Vec<Report>> {
        let mut reports = Vec::new();
        match key {
            "access" => self.rules = rules(values, &mut reports),
            "limit_req" if off(values) => self.limit_req.clear(),
            "limit_conn" if off(values) => self.limit_conn.clear(),
            "limit_req" => {
                let zones = &whole.defined.req_zones;
                self.limit_req = each(values, &mut reports, |text, _| limit_req(text, zones));
                once(self.limit_req.iter().map(|limit| limit.zone), values, &mut reports);
            }
            "limit_conn" => {
                let zones = &whole.defined.conn_zones;
                self.limit_conn = each(values, &mut reports, |text, _| limit_conn(text, zones));
                once(self.limit_conn.iter().map(|limit| limit.zone), values, &mut reports);
            }
            _ => return None,
        }
        Some(reports)
    }

    /// Who may ask, or what is missing.
    pub fn access(&self) -> Result<Access, Box<Report>> {
        let basic = match (&self.realm, &self.user_file) {
            (None, _) => None,
            (Some((realm, _)), Some(file)) => Some(Basic { realm: realm.clone(), file: file.clone() }),
            (Some((_, place)), None) => {
                let message = "`auth_basic` needs the file with names and passwords; write `auth_basic_user_file`";
                return Err(Box::new(Report::error(place.clone(), message)));
            }
        };
        Ok(Access { rules: self.rules.clone(), basic, any: self.any })
    }

    /// How often.
    pub fn limit_req(&self) -> Vec<LimitReq> {
        let (status, dry_run) = (self.limit_req_status, self.limit_req_dry_run);
        self.limit_req.iter().map(|limit| LimitReq { status, dry_run, ..limit.clone() }).collect()
    }

    /// How many at once.
    pub fn limit_conn(&self) -> Vec<LimitConn> {
        let (status, dry_run) = (self.limit_conn_status, self.limit_conn_dry_run);
        self.limit_conn.iter().map(|limit| LimitConn { status, dry_run, ..limit.clone() }).collect()
    }
}

/// A zone that stands in a list twice would count each request twice.
fn once(zones: impl Iterator<Item = usize>, values: &[(&str, Place)], reports: &mut Vec<Report>) {
    let mut seen = HashSet::new();
    for (zone, (_, place)) in zones.zip(values) {
        if !seen.insert(zone) && reports.is_empty() {
            reports.push(Report::error(place.clone(), "this zone stands above already; leave one of them out"));
        }
    }
}

/// `"off"` alone: what is inherited does not hold.
fn off(values: &[(&str, Place)]) -> bool {
    matches!(values, [("off", _)] | [])
}

/// `allow 10.0.0.0/8`, `deny all`.
fn rules(values: &[(&str, Place)], reports: &mut Vec<Report>) -> Vec<AccessRule> {
    let mut warnings = Vec::new();
    let mut all: Option<Place> = None;
    let rules = each(values, reports, |text, place| {
        let words: Vec<&str> = text.trim().trim_end_matches(';').split_ascii_whitespace().collect();
        let (allow, whom) = match words[..] {
            ["allow", whom] => (true, whom),
            ["deny", whom] => (false, whom),
            [word, _] if let Some(near) = closest(word, ["allow", "deny"]) => {
                return Err(format!("unknown word `{word}`; did you mean `{near}`?"));
            }
            ["allow" | "deny", _, _, ..] => {
                return Err(
                    "one address or network each; write a list: [\"allow 10.0.0.0/8\", \"allow ::1\", \"deny all\"]"
                        .to_string(),
                );
            }
            _ => return Err("write \"allow\" or \"deny\" and an address, a network or \"all\"".to_string()),
        };
        if let Some(all) = all.clone() {
            let message = "`all` is above: this is never looked at";
            warnings.push(Report::warning(place.clone(), message).also(all, "this decides"));
        }
        let whom = match whom {
            "all" => {
                all = Some(place.clone());
                Whom::All
            }
            "unix:" => Whom::Unix,
            _ => {
                let (network, warning) = network(whom)?;
                warnings.extend(warning.map(|message| Report::warning(place.clone(), message)));
                Whom::Network(network)
            }
        };
        Ok(AccessRule { allow, whom })
    });
    reports.extend(warnings);
    rules
}

/// The place of a zone of that name.
fn zone(name: &str, zones: &[String], key: &str) -> Result<usize, String> {
    if let Some(nth) = zones.iter().position(|zone| zone == name) {
        return Ok(nth);
    }
    let near = closest(name, zones.iter().map(String::as_str));
    Err(match near {
        Some(near) => format!("there is no zone `{name}`; did you mean `{near}`?"),
        None => format!("there is no zone `{name}`; at the top of the file write {key}"),
    })
}

fn limit_req(text: &str, zones: &[String]) -> Result<LimitReq, String> {
    let (mut name, mut burst, mut delay) = (None, 0, Some(0));
    for word in text.trim_end_matches(';').split_ascii_whitespace() {
        match word.split_once('=') {
            Some(("zone", zone)) => name = Some(zone),
            Some(("burst", number)) => burst = count(number, 0, 1_000_000)? as u32,
            Some(("delay", number)) => delay = Some(count(number, 0, 1_000_000)? as u32),
            None if word == "nodelay" => delay = None,
            _ => return Err(format!("unknown word `{word}`; write \"zone=NAME burst=5 nodelay\"")),
        }
    }
    let name = name.ok_or("which zone? write \"zone=NAME burst=5 nodelay\"")?;
    let example = format!("limit_req_zone = [\"$binary_remote_addr zone={name}:10m rate=10r/s\"]");
    let zone = zone(name, zones, &example)?;
    // All that is in the burst goes at once.
    Ok(LimitReq { zone, burst, delay: delay.unwrap_or(burst), status: 503, dry_run: false })
}

fn limit_conn(text: &str, zones: &[String]) -> Result<LimitConn, String> {
    let words: Vec<&str> = text.trim_end_matches(';').split_ascii_whitespace().collect();
    let [name, most] = words[..] else {
        return Err("write a zone and a number, such as \"addr 10\"".to_string());
    };
    let example = format!("limit_conn_zone = [\"$binary_remote_addr zone={name}:10m\"]");
    let zone = zone(name, zones, &example)?;
    Ok(LimitConn { zone, most: count(most, 1, 65_535)? as u32, status: 503, dry_run: false })
}
