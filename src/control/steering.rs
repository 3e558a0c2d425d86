//! Changing what runs: reload, new addresses of names, and what an operator sets. One change at a time; each is a whole new site or
//! nothing.

use super::logs::level;
use super::reload::{difference, fit};
use super::{dns, now_ms};
use crate::balance::{Entry, Group, Override};
use crate::config;
use crate::config::plan::{Address, Host, Plan};
use crate::limits::{SWAP_TIMEOUT, WEIGHT_MAX};
use crate::log::LogSender;
use crate::log::access::{self, AccessFile, AccessWriters};
use crate::site::Site;
use crate::tls::{Store, Terms};
use crate::worker::Workers;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Whoever wants to know that another site runs.
type Listening = Box<dyn Fn(&Arc<Site>)>;

/// See the head of this file.
pub struct Steering {
    workers: Rc<Workers>,
    /// The file that is loaded again; `None`: this process has none.
    file: Option<PathBuf>,
    /// Certificates, through all reloads.
    store: Arc<Store>,
    access_logs: Rc<AccessWriters>,
    log: LogSender,
    changing: Mutex<()>,
    /// What the resolver knows of names: newer than the plan's addresses.
    names: RefCell<Known>,
    listening: RefCell<Vec<Listening>>,
}

/// The addresses of a name; `None`: not known.
type Known = Box<dyn Fn(&Host) -> Option<Vec<IpAddr>>>;

/// What is asked of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It gets nothing new; what runs there may finish.
    Drain,
    /// It is as configured again.
    Undrain,
    /// Another weight; `None`: the configured one.
    Weight(Option<u32>),
}

impl Steering {
    /// Of the running workers.
    pub fn new(
        workers: Rc<Workers>,
        file: Option<PathBuf>,
        store: Arc<Store>,
        access_logs: Rc<AccessWriters>,
        log: LogSender,
    ) -> Steering {
        let names: RefCell<Known> = RefCell::new(Box::new(|_| None));
        Steering {
            workers,
            file,
            store,
            access_logs,
            log,
            changing: Mutex::default(),
            names,
            listening: RefCell::default(),
        }
    }

    /// From now on `known` tells the addresses of names.
    pub fn ask_names(&self, known: impl Fn(&Host) -> Option<Vec<IpAddr>> + 'static) {
        *self.names.borrow_mut() = Box::new(known);
    }

    /// `heard` is called with each site that runs from now on.
    pub fn listen(&self, heard: impl Fn(&Arc<Site>) + 'static) {
        self.listening.borrow_mut().push(Box::new(heard));
    }

    /// What runs.
    pub fn site(&self) -> Arc<Site> {
        self.workers.site()
    }

    /// Loads the file again and goes over to it, or changes nothing. Returns when all workers have; what it says is for people.
    pub async fn reload(&self) -> Result<String, String> {
        let _one_at_a_time = self.changing.lock().await;
        let result = self.load_and_swap().await;
        match &result {
            // What is shown with the lines of the file is for a terminal.
            Ok(done) => self.log.info(format!("reload: {}", done.trim_end().lines().last().unwrap_or_default())),
            Err(error) => {
                let first = error.lines().next().unwrap_or_default();
                self.log.error(format!("reload failed: {first} (`ringgate check` says all)"));
            }
        }
        result
    }

    async fn load_and_swap(&self) -> Result<String, String> {
        let file =
            self.file.clone().ok_or("this process was started without a file: there is nothing to load again")?;
        let shown = file.display().to_string();
        // Names are looked up: that may take a while.
        let loading = tokio::task::spawn_blocking(move || config::load(&file));
        let loaded = loading.await.map_err(|error| format!("loading failed: {error}"))?;
        let loaded = loaded.map_err(|errors| format!("{errors}\n{shown} has errors; nothing was changed"))?;
        let before = self.site();
        let mut plan = fit(loaded.plan, &before.plan)
            .map_err(|why| format!("{shown} changes what only a restart can change: {why}; nothing was changed"))?;
        let unknown = self.look_up(&mut plan).await;
        let plan = Arc::new(plan);
        let (terms, remarks) = self.terms(&plan, &before).await.map_err(|errors| {
            format!("{}\n{shown}: the files of TLS have errors; nothing was changed", errors.join("\n"))
        })?;
        let files = self.open_logs(&plan).await.map_err(|error| format!("{error}; nothing was changed"))?;
        self.log.set_least(level(plan.error_log_level));
        let after = self.swap(plan, Arc::new(terms), files).await?;
        let remarks: String = remarks.iter().map(|remark| format!("warning: {remark}\n")).collect();
        let warnings: String = loaded.warnings.concat() + &unknown + &remarks;
        let connections = self.workers.stats.sum(|worker| &worker.connections);
        let kept = match connections {
            0 => String::new(),
            1 => "; 1 client connection kept".to_owned(),
            more => format!("; {more} client connections kept"),
        };
        Ok(format!("{warnings}{shown}: {}{kept}\n", difference(&before, &after)))
    }

    /// Reads the files that TLS needs.
    async fn terms(&self, plan: &Arc<Plan>, before: &Arc<Site>) -> Result<(Terms, Vec<String>), Vec<String>> {
        let (plan, store, before) = (plan.clone(), self.store.clone(), before.clone());
        let loading = tokio::task::spawn_blocking(move || Terms::load(&plan, &store, Some(&before.terms)));
        loading.await.unwrap_or_else(|error| Err(vec![format!("loading failed: {error}")]))
    }

    /// Opens the access logs that are not open yet.
    async fn open_logs(&self, plan: &Plan) -> Result<Arc<Vec<Arc<AccessFile>>>, String> {
        let missing = self.access_logs.missing(&plan.access_logs);
        let opening = tokio::task::spawn_blocking(move || access::open_all(missing));
        let opened = opening.await.map_err(|error| format!("opening logs failed: {error}"))??;
        let files = self.access_logs.files(&plan.access_logs, opened);
        self.access_logs.begin();
        Ok(Arc::new(files))
    }

    /// Finds the addresses of names that nobody has looked up yet, so that no request comes before they are known. What it says of
    /// those that are not found is for people.
    async fn look_up(&self, plan: &mut Plan) -> String {
        let known = |host: &Host| (self.names.borrow())(host).is_some();
        let new: BTreeSet<String> =
            unresolved(plan).filter(|host| !known(host)).map(|host| host.name.clone()).collect();
        let found = dns::first_look(&plan.resolver, new).await;
        fill_in(plan, &found);
        let missing = found.iter().filter(|(_, addresses)| addresses.is_empty());
        missing
            .map(|(name, _)| format!("warning: `{name}` cannot be found yet: its servers are out of use\n"))
            .collect()
    }

    /// A name has other addresses now.
    pub async fn resolved(&self, name: &str) {
        let _one_at_a_time = self.changing.lock().await;
        let before = self.site();
        match self.swap(before.plan.clone(), before.terms.clone(), before.access_logs.clone()).await {
            Ok(after) => self.log.info(format!("{name} has other addresses: {}", difference(&before, &after))),
            Err(error) => self.log.error(error),
        }
    }

    /// Makes the site of `plan` and waits until it runs everywhere.
    async fn swap(
        &self,
        plan: Arc<Plan>,
        terms: Arc<Terms>,
        access_logs: Arc<Vec<Arc<AccessFile>>>,
    ) -> Result<Arc<Site>, String> {
        let site = {
            let names = self.names.borrow();
            let site = Site::new(plan, terms, self.workers.stats.workers.len(), &**names, Some(&self.site()));
            Arc::new(site.with_access_logs(access_logs))
        };
        self.workers.swap(site.clone());
        self.listening.borrow().iter().for_each(|heard| heard(&site));
        let began = Instant::now();
        while !self.workers.have_swapped() {
            if began.elapsed() > Duration::from_millis(SWAP_TIMEOUT) {
                return Err(
                    "a worker is stuck and may still run what was there before; the others have changed".to_owned()
                );
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        site.groups.iter().for_each(|group| group.lineage().has_moved_on());
        Ok(site)
    }

    /// Does what an operator asks of a server, named as configured or by address. What it says is for people.
    pub fn order(&self, upstream: &str, server: &str, order: Order) -> Result<String, String> {
        let site = self.site();
        let group = find_group(&site, upstream)?;
        let entries = find_servers(group, server)?;
        let mut said = String::new();
        for entry in entries {
            let before = entry.member.overridden();
            let after = match order {
                Order::Drain => Override { drained: true, ..before },
                Order::Undrain => Override { drained: false, ..before },
                Order::Weight(weight) => {
                    Override { weight: weight.filter(|&weight| weight != entry.peer.weight), ..before }
                }
            };
            entry.member.set_override(after);
            if entry.member.name == server {
                group.lineage().set_override(server, after);
            }
            let name = entry.shown();
            let line = match order {
                Order::Drain => format!("{name} is drained: {} in flight may finish", entry.member.in_flight()),
                Order::Undrain if entry.peer.down => format!("{name} is not drained, but `down` in the file"),
                Order::Undrain if !before.drained => format!("{name} was not drained"),
                Order::Undrain => format!("{name} is in use again"),
                Order::Weight(_) => {
                    format!("{name} has weight {} (the file says {})", entry.weight(), entry.peer.weight)
                }
            };
            group.view(now_ms()); // made here rather than by a worker: a table for `hash` takes milliseconds
            self.log.info(format!("upstream {}: {line}", group.upstream().name));
            said += &format!("{line}\n");
        }
        Ok(said)
    }
}

fn find_group<'s>(site: &'s Site, upstream: &str) -> Result<&'s Group, String> {
    let names = || site.groups.iter().map(|group| &*group.upstream().name);
    let found = site.groups.iter().find(|group| group.upstream().name.eq_ignore_ascii_case(upstream));
    found.map(Arc::as_ref).ok_or_else(|| {
        let all: Vec<_> = names().collect();
        format!("there is no upstream `{upstream}`; there {}", listed(&all))
    })
}

fn find_servers<'g>(group: &'g Group, server: &str) -> Result<Vec<&'g Entry>, String> {
    let is_named = |entry: &&Entry| entry.member.name == server || entry.addresses().any(|address| address == server);
    let found: Vec<_> = group.entries().iter().filter(is_named).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut all: Vec<_> = group.entries().iter().map(|entry| &*entry.member.name).collect();
    all.dedup();
    Err(format!("there is no server `{server}` in upstream {}; there {}", group.upstream().name, listed(&all)))
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "are none".to_owned(),
        [only] => format!("is {only}"),
        [all @ .., last] => format!("are {} and {last}", all.join(", ")),
    }
}

/// Names without addresses.
pub fn unresolved(plan: &Plan) -> impl Iterator<Item = &Host> {
    let peers = plan.upstreams.iter().flat_map(|upstream| &upstream.peers);
    peers.filter(|peer| peer.addresses.is_empty()).filter_map(|peer| peer.host.as_ref())
}

/// Gives names without addresses those that were found.
pub fn fill_in(plan: &mut Plan, found: &BTreeMap<String, Vec<IpAddr>>) {
    for peer in plan.upstreams.iter_mut().flat_map(|upstream| &mut upstream.peers) {
        let Some(host) = peer.host.as_ref().filter(|_| peer.addresses.is_empty()) else { continue };
        let addresses = found.get(&host.name).into_iter().flatten();
        peer.addresses = addresses.map(|&ip| Address::Tcp((ip, host.port).into())).collect();
    }
}

/// A weight as an operator writes it: a number, or `file` for the configured one.
pub fn weight(text: &str) -> Result<Option<u32>, String> {
    match text {
        "file" => Ok(None),
        _ => match text.parse() {
            Ok(0) => Err("a weight of 0 would get nothing; `ringgate drain` does that".to_owned()),
            Ok(weight) if weight <= WEIGHT_MAX => Ok(Some(weight)),
            _ => Err(format!("`{text}` is not a weight: write a number from 1 to {WEIGHT_MAX}, or `file`")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_numbers_or_the_files() {
        assert_eq!((weight("1"), weight("1000"), weight("file")), (Ok(Some(1)), Ok(Some(1000)), Ok(None)));
        for (text, part) in [("0", "drain"), ("1001", "1 to 1000"), ("-1", "`-1`"), ("", "``"), ("x", "file")] {
            let error = weight(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_listed_as_people_do() {
        assert_eq!(
            (listed(&[]), listed(&["a"]), listed(&["a", "b", "c"])),
            ("are none".into(), "is a".into(), "are a, b and c".into())
        );
    }
}
