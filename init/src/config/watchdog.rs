//! `zimg.watchdog=`: whether and how a watchdog watches over the boot.

use super::{ConfigError, Sources, bad};

/// The shortest and the longest timeout taken, in seconds.
const SHORTEST: u32 = 5;
const LONGEST: u32 = 3600;

/// What `zimg.watchdog=` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watchdog {
    /// After how many seconds without a ping the machine is reset; `None`: never, nobody touches
    /// the watchdog.
    pub(crate) timeout: Option<u32>,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self { timeout: Some(60) }
    }
}

/// What `sources` say of it.
pub(crate) fn watchdog(sources: &Sources) -> Result<Watchdog, ConfigError> {
    let Some(value) = sources.last("zimg.watchdog") else { return Ok(Watchdog::default()) };
    if value == "off" {
        return Ok(Watchdog { timeout: None });
    }
    let timeout = value.parse().ok().filter(|seconds| (SHORTEST..=LONGEST).contains(seconds));
    timeout
        .map(|seconds| Watchdog { timeout: Some(seconds) })
        .ok_or_else(|| bad("zimg.watchdog", value, "off, or a number of seconds from 5 to 3600"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline;

    fn of(line: &str) -> Result<Option<u32>, ConfigError> {
        let line = cmdline::words(line.as_bytes());
        watchdog(&Sources { line, ..Sources::default() }).map(|watchdog| watchdog.timeout)
    }

    #[test]
    fn seconds_or_off() {
        for (line, want) in [
            ("", Some(60)),
            ("zimg.watchdog=off", None),
            ("zimg.watchdog=off zimg.watchdog=5", Some(5)),
            ("zimg.watchdog=3600", Some(3600)),
        ] {
            assert_eq!(of(line).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn what_no_watchdog_does_is_refused() {
        for value in ["", "4", "3601", "on", "0", "-1", "4294967300"] {
            let error = of(&format!("zimg.watchdog={value}")).unwrap_err();
            assert!(error.to_string().contains("from 5 to 3600"), "{error}");
        }
    }
}
