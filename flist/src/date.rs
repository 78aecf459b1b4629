//! Dates of the Gregorian calendar in UTC, from and to seconds since 1970: HTTP's, those of logs, and
//! those that people read.

use std::ops::Range;
use std::time::SystemTime;

const DAY: i64 = 86_400;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

struct Civil {
    year: i64,
    month: usize,
    day: i64,
}

/// Days since 1970 to a date, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = usize::try_from((from_march + 2) % 12).unwrap_or(0);
    Civil { year: year_of_era + era * 400 + i64::from(month < 2), month, day }
}

/// A date to days since 1970, `civil`'s inverse; `month` counts from 0.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month < 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

/// Seconds since 1970, now.
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|d| i64::try_from(d.as_secs()).ok())
        .unwrap_or(0)
}

fn clock(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(DAY);
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// As people write it: `1994-11-06 08:49:37 UTC`.
pub fn text(seconds: i64) -> String {
    let Civil { year, month, day } = civil(seconds.div_euclid(DAY));
    format!("{year:04}-{:02}-{day:02} {} UTC", month + 1, clock(seconds))
}

/// The form that HTTP's `Date` and `Last-Modified` have.
pub fn http(seconds: i64) -> String {
    let days = seconds.div_euclid(DAY);
    let Civil { year, month, day } = civil(days);
    let weekday = usize::try_from(days.rem_euclid(7)).unwrap_or(0);
    format!(
        "{}, {day:02} {} {year:04} {} GMT",
        DAYS.get(weekday).unwrap_or(&""),
        MONTHS.get(month).unwrap_or(&""),
        clock(seconds)
    )
}

/// RFC 3339, as log lines have it.
pub fn stamp(seconds: i64) -> String {
    let Civil { year, month, day } = civil(seconds.div_euclid(DAY));
    format!("{year:04}-{:02}-{day:02}T{}Z", month + 1, clock(seconds))
}

/// Seconds since 1970 of a time in the form of [`stamp`], and in no other.
pub fn parse_stamp(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-');
    let year = number(date.next(), 4, 0..10_000)?;
    let month = number(date.next(), 2, 1..13)?;
    let day = number(date.next(), 2, 1..32)?;
    let seconds = days(year, month - 1, day) * DAY + of_day(time)?;
    // There is no 31 April, and no second 60 here.
    (date.next().is_none() && stamp(seconds) == text).then_some(seconds)
}

/// Seconds since midnight of `08:49:37`.
fn of_day(text: &str) -> Option<i64> {
    let mut time = text.split(':');
    let hour = number(time.next(), 2, 0..24)?;
    let minute = number(time.next(), 2, 0..60)?;
    let second = number(time.next(), 2, 0..61)?;
    time.next().is_none().then_some(hour * 3600 + minute * 60 + second)
}

/// Seconds since 1970 of an HTTP date. The two obsolete forms are not read: a condition that
/// carries them is as if it was not there, which is always safe.
pub fn parse(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next(), 2, 1..32)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)?;
    let year = number(words.next(), 4, 0..10_000)?;
    let of_day = of_day(words.next()?)?;
    let ended = words.next() == Some("GMT") && words.next().is_none();
    let days = days(year, i64::try_from(month).ok()?, day);
    (ended && DAYS.contains(&weekday)).then_some(days * DAY + of_day)
}

fn number(word: Option<&str>, digits: usize, within: Range<i64>) -> Option<i64> {
    let word = word.filter(|w| w.len() == digits && w.bytes().all(|b| b.is_ascii_digit()))?;
    word.parse().ok().filter(|n| within.contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_9110() {
        assert_eq!(http(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
        assert_eq!(stamp(951_782_400), "2000-02-29T00:00:00Z");
        for (seconds, want) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_795_413_912, "2026-11-23 06:05:12 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(text(seconds), want);
        }
    }

    #[test]
    fn other_text_is_no_date() {
        for text in [
            "",
            "Sun, ",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn other_text_is_no_stamp() {
        assert_eq!(parse_stamp("2026-11-24T17:39:02Z"), Some(1_795_541_942));
        for text in [
            "",
            "2026-11-24",
            "2026-11-24 17:39:02Z",
            "2026-11-24T17:39:02",
            "2026-11-24T17:39:02+00:00",
            "2026-11-24T17:39:60Z",
            "2026-11-24T17:39:02.0Z",
            "2026-04-31T00:00:00Z",
            "2026-1-24T17:39:02Z",
            "2026-11-24-1T17:39:02Z",
            "10000-11-24T17:39:02Z",
        ] {
            assert_eq!(parse_stamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(seconds in -10_000_000_000_i64..200_000_000_000) {
            prop_assert_eq!(parse(&http(seconds)), Some(seconds));
            prop_assert_eq!(parse_stamp(&stamp(seconds)), Some(seconds));
        }

        #[test]
        fn garbage_never_panics(text: String) {
            let _ = (parse(&text), parse_stamp(&text));
        }
    }
}
