//! What the demo shows: an introduction, then a table that is drawn over itself on a terminal, and one line now and then elsewhere.

use super::backends::Backend;
use super::load;
use crate::cli::print;
use crate::cli::table::{Table, grouped, share};
use crate::config::plan::Plan;
use crate::control::status;
use crate::site::Site;
use crate::stats::Stats;
use crate::worker::Workers;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const REDRAW: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Characters of a bar that stands for all requests.
const BAR: usize = 30;

/// The running table.
#[derive(Debug)]
pub struct Shown {
    end: Sender<()>,
    over: Receiver<()>,
}

impl Shown {
    /// Lets the table be drawn a last time. Waits for it only so long: a terminal may be stopped (Ctrl-S).
    pub fn finish(self) {
        drop(self.end);
        let _ = self.over.recv_timeout(REDRAW);
    }
}

/// Prints the introduction and begins to draw.
pub fn start(workers: &Workers, backends: Vec<Backend>, load: bool) -> Shown {
    let site = workers.site();
    let urls: Vec<_> = site.plan.listeners.iter().map(status::url).collect();
    print(&introduction(&site.plan, workers.stats.workers.len(), &urls, load));
    let (end, ended) = channel();
    let (last, over) = channel::<()>();
    let view = View { stats: workers.stats.clone(), site, backends };
    let drawing = move || {
        let _last = last; // dropped with the thread's end
        if std::io::stdout().is_terminal() { view.redraw(&ended) } else { view.list(&ended) }
    };
    // Without the thread there is no table, but the balancing goes on.
    let _ = thread::Builder::new().name("demo table".to_owned()).spawn(drawing);
    Shown { end, over }
}

fn introduction(plan: &Plan, workers: usize, urls: &[String], load: bool) -> String {
    let (all, url) = (urls.join(", "), urls.first().map_or("", String::as_str));
    let method = plan.upstreams[0].balance.word();
    let (other, result) = match method {
        "least_conn" => ("round_robin", "the slow one then gets its full third, and visitors wait"),
        _ => ("least_conn", "the slow one then gets less, and visitors wait less"),
    };
    let admin = plan.admin.as_ref().map(|path| format!(" --admin {}", path.display())).unwrap_or_default();
    let visitors =
        if load { format!("\n{} requests a second come from the demo itself.", load::RATE) } else { String::new() };
    let workers = crate::cli::counted(workers, "worker");
    format!(
        "ringgate demo: {method} over three backends, one of them slow, on {workers}.{visitors}\n\n\
         \x20 Open      {all}   and reload\n\
         \x20 Try       for i in 1 2 3 4 5 6; do curl {url}/; done\n\
         \x20           ringgate status{admin}\n\
         \x20           ringgate demo --balance {other}   ({result})\n\
         \x20 End       Ctrl-C\n\n"
    )
}

/// What is looked at.
struct View {
    stats: Arc<Stats>,
    site: Arc<Site>,
    backends: Vec<Backend>,
}

/// One look.
#[derive(Debug, Clone, Default, PartialEq)]
struct Look {
    /// Requests and in flight, in the backends' order.
    servers: Vec<(u64, u32)>,
    failures: u64,
}

impl Look {
    fn requests(&self) -> u64 {
        self.servers.iter().map(|(requests, _)| requests).sum()
    }
}

impl View {
    fn look(&self) -> Look {
        let stats = &self.stats;
        let server = |i: usize| {
            let member = &self.site.groups[0].entries()[i].member;
            (member.all_stats().iter().map(|stats| stats.requests.get()).sum(), member.in_flight())
        };
        let failures = stats.workers.iter().flat_map(|worker| &worker.errors).map(|count| count.get()).sum();
        Look { servers: (0..self.backends.len()).map(server).collect(), failures }
    }

    /// On a terminal: the same lines again and again.
    fn redraw(&self, ended: &Receiver<()>) {
        let mut rate = Rate::new(self.look().requests());
        let mut drawn = 0;
        loop {
            let look = self.look();
            let text = table(&self.backends, &look, rate.update(look.requests()));
            let lines: String = text.lines().map(|line| format!("\x1b[2K{line}\n")).collect();
            // Up over the last drawing; lines that are too long for the terminal are cut, or they would count twice.
            let up = if drawn > 0 { format!("\x1b[{drawn}A") } else { String::new() };
            print(&format!("\x1b[?7l{up}{lines}\x1b[?7h"));
            drawn = text.lines().count();
            if over(ended, REDRAW) {
                return print("\nending: what has begun is finished first\n");
            }
        }
    }

    /// Elsewhere: a line now and then.
    fn list(&self, ended: &Receiver<()>) {
        let mut rate = Rate::new(self.look().requests());
        while !over(ended, LINE_EVERY) {
            let look = self.look();
            print(&line(&self.backends, &look, rate.update(look.requests())));
        }
        let look = self.look();
        print(&line(&self.backends, &look, rate.update(look.requests())));
        print("ending: what has begun is finished first\n");
    }
}

/// Waits; true if the end came.
fn over(ended: &Receiver<()>, wait: Duration) -> bool {
    !matches!(ended.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

/// Requests per second, smoothed over a few seconds.
struct Rate {
    last: (Instant, u64),
    per_second: Option<f64>,
}

impl Rate {
    fn new(requests: u64) -> Rate {
        Rate { last: (Instant::now(), requests), per_second: None }
    }

    fn update(&mut self, requests: u64) -> f64 {
        let (then, before) = self.last;
        let seconds = then.elapsed().as_secs_f64();
        if seconds >= 0.1 {
            let now = requests.saturating_sub(before) as f64 / seconds;
            self.per_second = Some(self.per_second.map_or(now, |smooth| 0.7 * smooth + 0.3 * now));
            self.last = (Instant::now(), requests);
        }
        self.per_second.unwrap_or(0.0)
    }
}

fn table(backends: &[Backend], look: &Look, rate: f64) -> String {
    let whole = look.requests();
    let mut table = Table::new(&["<BACKEND", "<ADDRESS", "ANSWERS IN", "REQUESTS", "IN FLIGHT", "SHARE", "<"]);
    for (backend, &(requests, in_flight)) in backends.iter().zip(&look.servers) {
        table.row([
            backend.name.to_owned(),
            backend.address.to_string(),
            format!("{} ms", backend.delay.as_millis()),
            grouped(requests),
            grouped(in_flight.into()),
            share(requests, whole),
            bar(requests, whole),
        ]);
    }
    format!("{}\n{} requests, {rate:.0} a second, {} failed\n", table.render(), grouped(whole), grouped(look.failures))
}

fn bar(part: u64, whole: u64) -> String {
    let length = (part as f64 / whole.max(1) as f64 * BAR as f64).round() as usize;
    "█".repeat(length.min(BAR))
}

fn line(backends: &[Backend], look: &Look, rate: f64) -> String {
    let whole = look.requests();
    let servers = backends.iter().zip(&look.servers);
    let servers: Vec<_> = servers
        .map(|(b, &(requests, in_flight))| {
            format!("{} {} ({}, {in_flight} in flight)", b.name, grouped(requests), share(requests, whole))
        })
        .collect();
    format!("{}   {rate:.0} a second, {} failed\n", servers.join("   "), look.failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends() -> Vec<Backend> {
        let backend = |name, port, delay| Backend {
            name,
            address: ([127, 0, 0, 1], port).into(),
            delay: Duration::from_millis(delay),
        };
        vec![backend("alder", 1001, 5), backend("cedar", 1002, 200)]
    }

    #[test]
    fn the_table_shows_who_got_how_much() {
        let look = Look { servers: vec![(1500, 0), (500, 3)], failures: 2 };
        let text = table(&backends(), &look, 19.7);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("alder") && lines[1].contains("1,500") && lines[1].contains("75 %"), "{text}");
        assert!(lines[2].contains("200 ms") && lines[2].contains("25 %"), "{text}");
        let bars: Vec<_> = lines.iter().map(|l| l.matches('█').count()).collect();
        assert_eq!(bars, [0, 23, 8, 0, 0]);
        assert_eq!(lines[4], "2,000 requests, 20 a second, 2 failed");
    }

    #[test]
    fn without_requests_there_are_no_shares() {
        let look = Look { servers: vec![(0, 0), (0, 0)], failures: 0 };
        assert!(table(&backends(), &look, 0.0).contains(" -"));
        assert_eq!(
            line(&backends(), &look, 0.0),
            "alder 0 (-, 0 in flight)   cedar 0 (-, 0 in flight)   0 a second, 0 failed\n"
        );
    }
}
