//! Bounds of who may ask, and how often.

use super::{BUFFER_SMALL, HEAD_MAX};

/// Bytes that a key of `limit_req_zone` and `limit_conn_zone` takes beside its own: with an IPv4 address it is nginx's 128.
pub const LIMIT_ENTRY_BYTES: u64 = 112;
/// Parts of a zone, each behind its own lock.
pub const LIMIT_SHARDS_MAX: u64 = 16;
/// Bytes of such a part, if the zone has them: the longest key has its place, and few keys in it do not push one another out.
pub const LIMIT_SHARD_BYTES: u64 = 1024 * 1024;
/// Milliseconds of silence after which an empty bucket may be forgotten (nginx: 60 s).
pub const LIMIT_IDLE: u64 = 60_000;
/// Passwords of one worker that wait to be looked at; further ones are 503. At bcrypt's usual cost it is some seconds of work.
pub const AUTH_QUEUE_MAX: usize = 64;
/// Bytes of a file of names and passwords.
pub const AUTH_FILE_MAX: u64 = 8 * 1024 * 1024;
/// Such files that are kept read; with more of them all are read anew.
pub const AUTH_FILES_MAX: usize = 64;
/// Milliseconds between two looks whether such a file has changed.
pub const AUTH_LOOK_INTERVAL: u64 = 1_000;
/// Names with their password that a worker remembers to be right.
pub const AUTH_KNOWN_MAX: usize = 1024;
/// Milliseconds after which a password is hashed again although nothing has changed.
pub const AUTH_KNOWN_TIME: u64 = 300_000;
/// bcrypt's cost: 2^16 rounds take some seconds, and a slip of the pen (31) days.
pub const AUTH_BCRYPT_COST_MAX: u32 = 16;
/// Rounds of sha-crypt, for the same reason (5,000 if none are named).
pub const AUTH_SHA_ROUNDS_MAX: u32 = 5_000_000;
/// Bytes of a realm that are sent.
pub const AUTH_REALM_MAX: usize = 512;

const _: () = assert!(LIMIT_SHARD_BYTES > LIMIT_ENTRY_BYTES + 4 * HEAD_MAX as u64, "a part holds any key");
const _: () = assert!(BUFFER_SMALL > 2 * AUTH_REALM_MAX + 2048, "a page that asks for a password fits one buffer");
/// Requests of one worker that `limit_req` delays at a time: each holds an exchange's buffers, and these are a quarter of all. More are refused.
pub const DELAYED_MAX: u32 = 1024;
