//! Bytes sent, bytes awaited: for SMTP and whatever else has a banner or an answer that can be known.

use super::{Conn, holds};
use crate::limits::CHECK_ANSWER_MAX;

pub(super) async fn ask(conn: &mut Conn, send: &str, expect: &str, quit: &str) -> Result<(), String> {
    // Whoever is told QUIT answers and closes; the end of our side before that might cut its answer off.
    conn.leave_with(quit.as_bytes(), quit.is_empty());
    conn.send(send.as_bytes()).await;
    let mut searched = 0;
    while !holds(&conn.read, expect, searched) {
        searched = conn.read.len();
        if conn.received >= CHECK_ANSWER_MAX {
            return Err(format!("the first {CHECK_ANSWER_MAX} bytes lack {expect:?}"));
        }
        if !conn.more().await? {
            return Err(match conn.received {
                0 => conn.ended(),
                _ => format!("the answer lacks {expect:?}: {}", super::words(&conn.read)),
            });
        }
    }
    Ok(())
}
