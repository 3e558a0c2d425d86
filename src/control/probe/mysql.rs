//! MySQL and MariaDB. A connection that ends before its handshake counts against this host, and after `max_connect_errors` of them
//! (100) the server blocks it: for checks and for traffic. So the handshake is always finished, and the session ended with COM_QUIT.
//!
//! With a user that exists and has no password nothing is logged and `Aborted_connects` stays (seen on MariaDB 10.11). A user that is
//! denied never leads to blocking, and shows that the server is well, but each time is a warning in its log.

use super::{Conn, words};
use crate::limits::CHECK_ANSWER_MAX;

/// LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
const PACKET_MAX: u32 = 1 << 24;
const UTF8: u8 = 33;
const COM_QUIT: [u8; 5] = [1, 0, 0, 0, 1];
/// Times that a server may ask for other proofs of who we are.
const ROUNDS_MAX: usize = 4;
/// Errors, besides those of SQLSTATE class 28, that speak of who we are: no access to the database, old or missing authentication
/// methods, a password that has expired, locked accounts, TLS demanded.
const ABOUT_US: [u16; 7] = [1044, 1251, 1524, 1862, 3118, 3159, 4151];
const NOT_MYSQL: &str = "the answer is not MySQL's";

pub(super) async fn ask(conn: &mut Conn, user: &str) -> Result<(), String> {
    let (number, greeting) = packet(conn).await?;
    match greeting.first() {
        Some(10) => {}
        // Nobody gets in: blocked, too many connections, not from this host.
        Some(0xff) => return Err(Refusal::read(&greeting)?.text),
        _ => return Err(NOT_MYSQL.to_owned()),
    }
    conn.send(&framed(number.wrapping_add(1), &handshake(user))).await;
    for _ in 0..ROUNDS_MAX {
        let (number, answer) = packet(conn).await?;
        match answer.first() {
            Some(0) => {
                conn.leave_with(&COM_QUIT, true);
                return Ok(());
            }
            Some(0xff) => {
                conn.leave_with(b"", true);
                let refusal = Refusal::read(&answer)?;
                return if refusal.is_about_us() { Ok(()) } else { Err(refusal.text) };
            }
            // Another method of authentication, or more of it: for each, nothing is the proof of having no password.
            Some(1 | 0xfe) => conn.send(&framed(number.wrapping_add(1), b"")).await,
            _ => return Err(NOT_MYSQL.to_owned()),
        }
    }
    Err("it asks again and again who we are".to_owned())
}

/// HandshakeResponse41 without a password.
fn handshake(user: &str) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend_from_slice(&CAPABILITIES.to_le_bytes());
    packet.extend_from_slice(&PACKET_MAX.to_le_bytes());
    packet.push(UTF8);
    packet.extend_from_slice(&[0; 23]);
    packet.extend_from_slice(user.as_bytes());
    packet.extend_from_slice(b"\0\0mysql_native_password\0");
    packet
}

/// Behind its length and number. None of ours is near 2^24 bytes.
fn framed(number: u8, packet: &[u8]) -> Vec<u8> {
    let len = (packet.len() as u32).to_le_bytes();
    [&[len[0], len[1], len[2], number], packet].concat()
}

/// The next packet and its number.
async fn packet(conn: &mut Conn) -> Result<(u8, Vec<u8>), String> {
    conn.want(4).await?;
    let len = u32::from_le_bytes([conn.read[0], conn.read[1], conn.read[2], 0]) as usize;
    if len > CHECK_ANSWER_MAX {
        return Err(NOT_MYSQL.to_owned());
    }
    let mut packet = conn.take(4 + len).await?;
    let number = packet[3];
    Ok((number, packet.split_off(4)))
}

/// An error packet.
struct Refusal {
    code: u16,
    /// SQLSTATE; before the handshake there is none.
    state: Vec<u8>,
    text: String,
}

impl Refusal {
    /// Reads `0xff`, the code, perhaps `#` and the state, the text.
    fn read(packet: &[u8]) -> Result<Refusal, String> {
        let [_, low, high, rest @ ..] = packet else { return Err(NOT_MYSQL.to_owned()) };
        let (state, text) = match rest {
            [b'#', rest @ ..] if rest.len() >= 5 => rest.split_at(5),
            _ => rest.split_at(0),
        };
        Ok(Refusal { code: u16::from_le_bytes([*low, *high]), state: state.to_vec(), text: words(text) })
    }

    /// It denies this user, and not everybody.
    fn is_about_us(&self) -> bool {
        self.state.starts_with(b"28") || ABOUT_US.contains(&self.code)
    }
}
