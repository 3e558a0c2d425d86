//! What the C library knows of this machine's time zone.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds that local time is ahead of UTC now.
pub fn utc_offset() -> i64 {
    utc_offset_at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Seconds that local time is ahead of UTC at this second since 1970. 0 if nobody can tell.
pub fn utc_offset_at(unix: u64) -> i64 {
    // SAFETY: `tm` is plain data, for which zeros are a value.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    let Ok(time) = libc::time_t::try_from(unix) else { return 0 };
    // SAFETY: both point to values that live through the call, and the second is written to only.
    if unsafe { libc::localtime_r(&time, &mut local) }.is_null() {
        return 0;
    }
    local.tm_gmtoff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_a_zone_on_earth() {
        for unix in [0, 1_795_237_567, u64::from(u32::MAX)] {
            assert!(utc_offset_at(unix).abs() <= 15 * 3600 && utc_offset_at(unix) % 60 == 0, "{}", utc_offset_at(unix));
        }
        assert_eq!(utc_offset_at(u64::MAX), 0);
    }
}
