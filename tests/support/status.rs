//! The admin socket's `GET /status`, and what a test wants to know from it.

use super::client::Client;
use super::net::Place;
use serde_json::Value;

/// Gauges of a worker that must be zero when no client is connected.
const ZERO_WHEN_IDLE: [&str; 6] =
    ["connections", "in_flight", "buffers_small_out", "buffers_large_out", "buffers_waiting", "pipes"];
/// Gauges that a worker at rest holds some of (its listeners, its mailbox): they must come back to where they were.
const STEADY_WHEN_IDLE: [&str; 4] = ["tasks", "op_slots", "sockets", "timers"];

/// One answer.
pub struct Status(pub Value);

impl Status {
    /// Asks the admin socket at `place`.
    #[track_caller]
    pub fn ask(place: &Place) -> Status {
        let mut client = Client::connect(place);
        client.send("GET /status HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        let answer = client.response();
        assert_eq!(answer.status(), 200, "GET /status: {}", answer.text());
        let value = serde_json::from_slice(&answer.body);
        Status(value.unwrap_or_else(|e| panic!("GET /status is no JSON: {e}\n{}", answer.text())))
    }

    /// For messages.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap_or_default()
    }

    /// The sum of one number over all workers.
    #[track_caller]
    pub fn total(&self, key: &str) -> u64 {
        let workers = self.0["workers"].as_array().unwrap_or_else(|| panic!("no workers in {}", self.text()));
        let number = |worker: &Value| worker[key].as_u64().unwrap_or_else(|| panic!("no {key} in {}", self.text()));
        workers.iter().map(number).sum()
    }

    /// What each worker holds when it has no clients.
    #[track_caller]
    pub fn at_rest(&self) -> Vec<Vec<u64>> {
        let workers = self.0["workers"].as_array().unwrap_or_else(|| panic!("no workers in {}", self.text()));
        let gauges = |worker: &Value| STEADY_WHEN_IDLE.iter().map(|key| worker[key].as_u64().unwrap_or(0)).collect();
        workers.iter().map(gauges).collect()
    }

    /// How often this reason was counted, over all workers.
    #[track_caller]
    pub fn errors(&self, reason: &str) -> u64 {
        let workers = self.0["workers"].as_array().unwrap_or_else(|| panic!("no workers in {}", self.text()));
        workers.iter().map(|worker| worker["errors"][reason].as_u64().unwrap_or(0)).sum()
    }

    /// Requests in flight, over all servers of all groups.
    #[track_caller]
    pub fn in_flight(&self) -> u64 {
        self.servers().map(|server| server["in_flight"].as_u64().unwrap_or_else(|| panic!("{}", self.text()))).sum()
    }

    /// One entry for each server of each group.
    #[track_caller]
    pub fn servers(&self) -> impl Iterator<Item = &Value> {
        let groups = self.0["upstreams"].as_array().unwrap_or_else(|| panic!("no upstreams in {}", self.text()));
        groups.iter().flat_map(|group| group["servers"].as_array().into_iter().flatten())
    }

    /// The server of that name (as configured).
    #[track_caller]
    pub fn server(&self, name: &str) -> &Value {
        self.servers().find(|server| server["name"] == name).unwrap_or_else(|| panic!("no {name} in {}", self.text()))
    }

    /// The state of a server, and why.
    #[track_caller]
    pub fn state(&self, name: &str) -> (String, String) {
        let server = self.server(name);
        let text = |key: &str| server[key].as_str().unwrap_or_default().to_owned();
        assert!(server["state"].is_string(), "no state in {}", self.text());
        (text("state"), text("why"))
    }

    /// What is in use although no client is connected any more; `before` was asked when none had come yet.
    /// Idle pooled connections count as sockets: give them a short `keepalive_timeout`, or end them at the backend.
    #[track_caller]
    pub fn leftovers(&self, before: &Status) -> Vec<String> {
        let mut leftovers: Vec<String> = Vec::new();
        let mut look = |key: &str, now: u64, allowed: u64| {
            if now > allowed {
                leftovers.push(format!("{key}: {now}, allowed {allowed}"));
            }
        };
        look("in_flight of all servers", self.in_flight(), 0);
        ZERO_WHEN_IDLE.iter().for_each(|key| look(key, self.total(key), 0));
        STEADY_WHEN_IDLE.iter().for_each(|key| look(key, self.total(key), before.total(key)));
        leftovers
    }
}
