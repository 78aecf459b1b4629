//! The time of day: never before this program was built, and set from the network where that is of
//! use.
//!
//! What the node runs never hangs on it: contents are known by their fingerprints. Certificates do.
//! So that no boot is slowed by a clock that is right, which is nearly every one, time servers are
//! asked only where `zimg.ntp=` names some or the clock was behind, and then beside the fetching of
//! the flist; and where a certificate is out of its time, which may be the clock's fault.

mod keeper;
mod ntp;

pub(crate) use keeper::Keeper;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use ntp::fuzz;

use flist::date;
use rustix::time::{ClockId, Timespec, clock_settime};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When this program was built, or its source committed: seconds since 1970. 0 where unknown.
const BUILT: &str = env!("ZIMG_BUILT");

/// The time now, as `2026-11-23 06:05:12 UTC`.
pub(crate) fn text() -> String {
    date::text(seconds(now()))
}

/// The time since 1970, now.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// The earliest time it can be: this program's, or `epoch` where that is later.
fn floor(epoch: Option<i64>) -> i64 {
    BUILT.parse().unwrap_or(0).max(epoch.unwrap_or(0))
}

fn set(time: Duration) -> io::Result<()> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    Ok(clock_settime(ClockId::Realtime, time)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_counts() {
        let built: i64 = BUILT.parse().unwrap();
        assert_eq!(floor(None), built);
        assert_eq!(floor(Some(built + 1)), built + 1);
        assert_eq!(floor(Some(5)), built.max(5));
    }
}
