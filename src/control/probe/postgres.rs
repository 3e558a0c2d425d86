//! PostgreSQL, without a line in its log. What its servers do (seen on 15, with and without TLS, `log_connections` on and off):
//!
//! - Connecting and closing leaves none, but a connection that the kernel accepted says nothing about the server.
//! - SSLRequest leaves "could not accept SSL connection: EOF detected" where TLS is on, unless a TLS handshake follows.
//! - CancelRequest leaves "PID 0 in cancel request did not match any process".
//! - **GSSENCRequest** leaves none, whether it is granted (`G`) or not (`N`): it names no user, asks for no line of pg_hba.conf and
//!   takes no place of `max_connections`. But it is answered by a server that is still starting, too.
//! - **A startup message** tells whether the server takes sessions. It leaves none if pg_hba.conf has a line for the user without
//!   TLS: where a password is asked for, closing is understood; Terminate would be an error there. Where none is asked for, the
//!   user must exist, and Terminate is the right end. While the server starts or stops, or is full, it logs each refusal.

use super::{Conn, words};
use crate::limits::CHECK_ANSWER_MAX;

const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
const PROTOCOL_3_0: [u8; 4] = [0, 3, 0, 0];
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];
/// Every cluster has it, and everybody may connect to it.
const DATABASE: &str = "postgres";
const NOT_POSTGRES: &str = "the answer is not PostgreSQL's";

/// Without a `user`: is there a server that answers? With one: does it take sessions?
pub(super) async fn ask(conn: &mut Conn, user: &str) -> Result<(), String> {
    if user.is_empty() { answers(conn).await } else { takes_sessions(conn, user).await }
}

async fn answers(conn: &mut Conn) -> Result<(), String> {
    conn.send(&GSSENC_REQUEST).await;
    match conn.take(1).await?[0] {
        b'G' | b'N' => {
            conn.leave_with(b"", true);
            Ok(())
        }
        // Before 12 it is unknown, and a server that says so answers; a server that cannot start a process says that, too.
        b'E' => {
            let text = old_error(conn).await?;
            if text.contains("unsupported frontend protocol") { Ok(()) } else { Err(text) }
        }
        _ => Err(NOT_POSTGRES.to_owned()),
    }
}

async fn takes_sessions(conn: &mut Conn, user: &str) -> Result<(), String> {
    conn.send(&startup(user)).await;
    loop {
        let kind = conn.take(1).await?[0];
        if !matches!(kind, b'R' | b'E' | b'S' | b'K' | b'N' | b'v' | b'Z') {
            return Err(NOT_POSTGRES.to_owned());
        }
        conn.want(4).await?;
        let len = u32::from_be_bytes([conn.read[0], conn.read[1], conn.read[2], conn.read[3]]) as usize;
        if kind == b'E' && len > CHECK_ANSWER_MAX {
            return Err(old_error(conn).await?);
        }
        if !(4..=CHECK_ANSWER_MAX).contains(&len) {
            return Err(NOT_POSTGRES.to_owned());
        }
        let message = conn.take(len).await?.split_off(4);
        match kind {
            b'E' => return judge(&message),
            // It wants to know who we are: it would take a session of somebody who can tell.
            b'R' if message.get(..4).ok_or(NOT_POSTGRES)? != [0; 4] => {
                conn.leave_with(b"", true);
                return Ok(());
            }
            b'Z' => {
                conn.leave_with(&TERMINATE, true);
                return Ok(());
            }
            _ => {}
        }
    }
}

/// Users are names of the configuration: no NUL is in them, or the message ends early and the server refuses it.
fn startup(user: &str) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend_from_slice(&PROTOCOL_3_0);
    for text in ["user", user, "database", DATABASE, "application_name", "ringgate-check"] {
        message.extend_from_slice(text.as_bytes());
        message.push(0);
    }
    message.push(0);
    let len = message.len() as u32;
    message[..4].copy_from_slice(&len.to_be_bytes());
    message
}

/// An ErrorResponse. Who we are (SQLSTATE classes 28 and 42) or that the database is missing (3D) is our affair: the server is well.
/// Starting up or shutting down (57P03), no connection left (53300) and everything else is not.
fn judge(message: &[u8]) -> Result<(), String> {
    let field = |name: u8| message.split(|&byte| byte == 0).find_map(|field| field.strip_prefix(&[name]));
    let (code, text) = (field(b'C').unwrap_or_default(), field(b'M').unwrap_or_default());
    match code.get(..2) {
        Some(b"28" | b"3D" | b"42") => Ok(()),
        Some(_) => Err(words(text)),
        None => Err(NOT_POSTGRES.to_owned()),
    }
}

/// An error in the form of protocol 2, behind its `E`: a text up to a NUL. The server speaks so before it knows our protocol.
async fn old_error(conn: &mut Conn) -> Result<String, String> {
    while !conn.read.contains(&0) {
        if !conn.more().await? {
            break;
        }
    }
    Ok(words(conn.read.split(|&byte| byte == 0).next().unwrap_or_default()))
}
