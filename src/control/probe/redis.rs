//! Redis and its relatives: `PING`. A server that wants a password first, or lets this user do little, is well.

use super::{Conn, words};
use crate::limits::CHECK_ANSWER_MAX;

pub(super) async fn ask(conn: &mut Conn) -> Result<(), String> {
    // Inline: every version takes it. The end of our side ends the session without a line in the log.
    conn.leave_with(b"", true);
    conn.send(b"PING\r\n").await;
    let line = loop {
        if let Some(end) = memchr::memchr(b'\n', &conn.read) {
            break &conn.read[..end];
        }
        if !matches!(conn.read.first(), None | Some(b'+' | b'-')) || conn.received >= CHECK_ANSWER_MAX {
            return Err("the answer is not Redis's".to_owned());
        }
        if !conn.more().await? {
            return Err(conn.ended());
        }
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line {
        b"+PONG" => Ok(()),
        // LOADING, MASTERDOWN, DENIED (protected mode), ERR max number of clients reached: nobody is served.
        [b'-', error @ ..] => match error.split(|&byte| byte == b' ').next() {
            Some(b"NOAUTH" | b"NOPERM") => Ok(()),
            _ => Err(words(error)),
        },
        _ => Err("the answer is not Redis's".to_owned()),
    }
}
