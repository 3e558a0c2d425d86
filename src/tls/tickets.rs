//! Session tickets: keys that are shared by all workers and rotate, and the time that a session counts.

use crate::limits::{TICKET_LIFETIME_MAX, TICKET_MAX};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;
use std::sync::Arc;
use std::time::Duration;

/// Tickets of one realm. rustls' own keys are used for six hours and known for twelve; when a ticket was made stands in it, so
/// that it counts exactly as long as configured, within that.
#[derive(Debug)]
pub(super) struct Tickets {
    keys: Arc<dyn ProducesTickets>,
    /// Seconds.
    lifetime: u64,
    clock: fn() -> u64,
}

impl Tickets {
    /// New keys. `Err`: there is no randomness.
    pub(super) fn new(session_timeout: Duration) -> Result<Tickets, String> {
        let lifetime = session_timeout.as_secs().clamp(1, TICKET_LIFETIME_MAX);
        let keys = Ticketer::new();
        let keys = keys.map_err(|error| format!("keys for session tickets cannot be made: {error}"))?;
        Ok(Tickets { keys, lifetime, clock: || UnixTime::now().as_secs() })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        // Below seven days.
        self.lifetime.min(self.keys.lifetime().into()) as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        // The client's certificates are in it. One that does not fit into a ClientHello would only make connections fail.
        if plain.len() > TICKET_MAX {
            return None;
        }
        let made = (self.clock)().to_be_bytes();
        self.keys.encrypt(&[&made, plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.keys.decrypt(cipher)?;
        let made = u64::from_be_bytes(*plain.first_chunk()?);
        // One from the future: the clock was set back, and nobody knows how old it is.
        let age = (self.clock)().checked_sub(made)?;
        plain.drain(..8);
        (age < self.lifetime).then_some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });

    fn tickets(seconds: u64) -> Tickets {
        Tickets { clock: || NOW.get(), ..Tickets::new(Duration::from_secs(seconds)).unwrap() }
    }

    #[test]
    fn a_ticket_counts_as_long_as_configured() {
        let tickets = tickets(300);
        NOW.set(1_000_000);
        let ticket = tickets.encrypt(b"session").unwrap();
        for (at, wanted) in [(0, true), (299, true), (300, false), (90_000, false), (-1, false)] {
            NOW.set((1_000_000 + at) as u64);
            assert_eq!(tickets.decrypt(&ticket).as_deref(), wanted.then_some(&b"session"[..]), "{at}");
        }
    }

    #[test]
    fn what_others_made_is_no_ticket() {
        let (tickets, others) = (tickets(300), tickets(300));
        let ticket = tickets.encrypt(b"").unwrap();
        assert_eq!(tickets.decrypt(&ticket), Some(Vec::new()));
        assert_eq!(others.decrypt(&ticket), None);
        let short = tickets.keys.encrypt(b"1234567").unwrap();
        assert_eq!(tickets.decrypt(&short), None, "it does not say when it was made");
        for at in 0..ticket.len() {
            let mut wrong = ticket.clone();
            wrong[at] ^= 1;
            assert_eq!(tickets.decrypt(&wrong), None, "{at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "{at}");
        }
    }

    #[test]
    fn clients_are_told_no_longer_than_keys_live() {
        for (seconds, told) in [(0, 1), (1, 1), (300, 300), (7200, 7200), (86_400, 43_200), (u64::MAX, 43_200)] {
            assert_eq!(tickets(seconds).lifetime(), told);
        }
        assert!(tickets(300).enabled());
    }
}
