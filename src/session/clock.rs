//! The time of day as a worker writes it: the loop's monotonic clock, set by the system's once a second.

use crate::log::civil;
use crate::ring::utc_offset_at;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The loop's clock in milliseconds when the system's was read, and what that said.
    set: Cell<Option<(u64, u64)>>,
    texts: RefCell<Texts>,
}

/// Of one second.
#[derive(Debug, Default)]
struct Texts {
    second: Option<u64>,
    local: Vec<u8>,
    iso: Vec<u8>,
}

impl Clock {
    /// Milliseconds since 1970. `now_ms` is the loop's clock.
    pub(super) fn unix_ms(&self, now_ms: u64) -> u64 {
        if let Some((then, unix)) = self.set.get()
            && now_ms - then < 1000
        {
            return unix + (now_ms - then);
        }
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        self.set.set(Some((now_ms, unix)));
        unix
    }

    /// `21/Nov/2026:05:06:07 +0000`.
    pub(super) fn local(&self, now_ms: u64, out: &mut dyn FnMut(&[u8])) {
        self.refresh(now_ms);
        out(&self.texts.borrow().local);
    }

    /// `2026-11-21T05:06:07+00:00`.
    pub(super) fn iso(&self, now_ms: u64, out: &mut dyn FnMut(&[u8])) {
        self.refresh(now_ms);
        out(&self.texts.borrow().iso);
    }

    fn refresh(&self, now_ms: u64) {
        let second = self.unix_ms(now_ms) / 1000;
        let mut texts = self.texts.borrow_mut();
        if texts.second != Some(second) {
            texts.second = Some(second);
            texts.write(second, utc_offset_at(second));
        }
    }
}

impl Texts {
    /// `offset`: seconds that local time is ahead of UTC.
    fn write(&mut self, second: u64, offset: i64) {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let local = second.saturating_add_signed(offset);
        let ((year, month, day), of_day) = (civil(local / 86_400), local % 86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let (sign, ahead) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
        let (hours, minutes) = (ahead / 3600, ahead / 60 % 60);
        self.local.clear();
        self.iso.clear();
        let name = MONTHS[month as usize - 1];
        // A vector takes all.
        let _ = write!(
            self.local,
            "{day:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} {sign}{hours:02}{minutes:02}"
        );
        let _ = write!(
            self.iso,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{hours:02}:{minutes:02}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_nginx_does() {
        let table = [
            (1_795_237_567, 0, "21/Nov/2026:05:06:07 +0000", "2026-11-21T05:06:07+00:00"),
            (1_795_237_567, 5 * 3600 + 1800, "21/Nov/2026:10:36:07 +0530", "2026-11-21T10:36:07+05:30"),
            (951_782_400, -8 * 3600, "28/Feb/2000:16:00:00 -0800", "2000-02-28T16:00:00-08:00"),
            (0, 0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00+00:00"),
        ];
        for (second, offset, local, iso) in table {
            let mut texts = Texts::default();
            texts.write(second, offset);
            assert_eq!((&texts.local[..], &texts.iso[..]), (local.as_bytes(), iso.as_bytes()));
        }
    }

    #[test]
    fn the_loops_clock_goes_on_between_two_looks_at_the_systems() {
        let clock = Clock::default();
        let first = clock.unix_ms(5000);
        assert_eq!((clock.unix_ms(5007), clock.unix_ms(5999)), (first + 7, first + 999));
        assert!(clock.unix_ms(6000) >= first, "it is read again");
        let mut text = Vec::new();
        clock.iso(6000, &mut |piece| text.extend_from_slice(piece));
        assert_eq!(text.len(), "2026-11-21T05:06:07+00:00".len());
    }
}
