//! Who may ask, how often, and how many at once.

use crate::config::template::Template;
use ipnet::IpNet;
use std::path::PathBuf;

/// nginx's `allow`, `deny`, `auth_basic` and `satisfy`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// The first that fits decides; without any that fits it is allowed.
    pub rules: Vec<AccessRule>,
    /// A name and a password are asked for.
    pub basic: Option<Basic>,
    /// One of both suffices (`satisfy any`).
    pub any: bool,
}

impl Access {
    /// Everybody may.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty() && self.basic.is_none()
    }
}

/// One `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// `allow`.
    pub allow: bool,
    /// Whom it is about.
    pub whom: Whom,
}

/// Clients by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// `all`.
    All,
    /// `unix:`: those of unix sockets.
    Unix,
    /// A network.
    Network(IpNet),
}

/// nginx's `auth_basic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basic {
    /// What is asked for; a value of `off` asks for nothing.
    pub realm: Template,
    /// Names and hashed passwords (htpasswd).
    pub file: PathBuf,
}

/// nginx's `limit_req_zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReqZone {
    /// As named.
    pub name: String,
    /// Requests with the same text count together; those without one do not count.
    pub key: Template,
    /// Bytes of memory at most.
    pub bytes: u64,
    /// Requests in 1,000 seconds (10r/s is 10,000).
    pub rate: u64,
}

/// nginx's `limit_req`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReq {
    /// Index into `Plan::limit_req_zones`.
    pub zone: usize,
    /// Requests beyond the rate.
    pub burst: u32,
    /// So many of them at once; the others wait (`nodelay` is all of them).
    pub delay: u32,
    /// What the others get.
    pub status: u16,
    /// Only counted and logged.
    pub dry_run: bool,
}

/// nginx's `limit_conn_zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConnZone {
    /// As named.
    pub name: String,
    /// Exchanges with the same text count together.
    pub key: Template,
    /// Bytes of memory at most.
    pub bytes: u64,
}

/// nginx's `limit_conn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitConn {
    /// Index into `Plan::limit_conn_zones`.
    pub zone: usize,
    /// At once.
    pub most: u32,
    /// What the others get.
    pub status: u16,
    /// Only counted and logged.
    pub dry_run: bool,
}
