//! The calendar of dates before 15 October 1582.
//!
//! Streams are read with `java.time`, which counts back by the rules of today. What the Java driver reads (snapshots, and
//! arrays on both ways) goes through `java.util`'s calendar, which is Julian before that day.

use crate::times::{DAY_US, INFINITY_US, Instant, NEGATIVE_INFINITY_US, civil_from_days, days_from_civil};

/// Milliseconds of a day.
const DAY_MS: i64 = DAY_US / 1000;
/// 15 October 1582, the first day of the Gregorian calendar.
const FIRST_GREGORIAN_DAY: i64 = -141_427;
/// Days that were left out before it.
const LEFT_OUT: i64 = 10;
/// The day of the driver's infinite date: to it, the number that stands for an infinite timestamp is one of milliseconds.
const INFINITY_DAY: i64 = INFINITY_US.div_euclid(DAY_MS);
/// The day of its other end: a date BC, whose era is lost on the way.
const NEGATIVE_INFINITY_DAY: i64 = 106_748_361_128;
/// The infinite days of the reference's streams, which it keeps as dates in the year -5877611.
const STREAMED_INFINITY_DAY: i64 = -2_147_472_692;
const STREAMED_NEGATIVE_INFINITY_DAY: i64 = -2_147_472_691;

/// How a date is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// By the rules of today.
    Gregorian,
    /// As the Java driver reads it: Julian before 1582.
    Hybrid,
    /// The same, then taken apart into fields, which loses the era.
    HybridFields,
}

/// Days since 1970-01-01 of a date in the Julian calendar.
fn days_from_julian(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    365 * y + y.div_euclid(4) + day_of_year - 719_470
}

/// The day that the driver's date shows, when its fields are read without their era; `None` when there is no such day.
fn without_era(days: i64) -> Option<i64> {
    if days >= FIRST_GREGORIAN_DAY {
        return Some(days);
    }
    if days >= FIRST_GREGORIAN_DAY - LEFT_OUT {
        return Some(days + LEFT_OUT);
    }
    let (year, month, day) = civil_from_days(days);
    if year > 0 {
        return Some(days);
    }
    let shown = days_from_civil(1 - year, month, day);
    // 29 February of a year that has none without its era.
    (civil_from_days(shown) == (1 - year, month, day)).then_some(shown)
}

impl Calendar {
    /// The day of a date, which stands for its ends too; `None` when there is no such day.
    pub fn day(self, date: Instant) -> Option<i64> {
        match (self, date) {
            (Self::Gregorian, Instant::At(days)) => i64::try_from(days).ok(),
            (Self::Gregorian, Instant::Infinity) => Some(STREAMED_INFINITY_DAY),
            (Self::Gregorian, Instant::NegativeInfinity) => Some(STREAMED_NEGATIVE_INFINITY_DAY),
            (_, Instant::At(days)) => without_era(i64::try_from(days).ok()?),
            (_, Instant::Infinity) => Some(INFINITY_DAY),
            (_, Instant::NegativeInfinity) => Some(NEGATIVE_INFINITY_DAY),
        }
    }

    /// The instant of a timestamp, or what stands for one of the ends; `None` when there is no such day.
    pub fn instant(self, timestamp: Instant) -> Option<Instant> {
        const FIRST_US: i128 = FIRST_GREGORIAN_DAY as i128 * DAY_US as i128;
        let day_us = i128::from(DAY_US);
        match timestamp {
            Instant::NegativeInfinity if self == Self::HybridFields => {
                let rest = NEGATIVE_INFINITY_US.rem_euclid(DAY_MS);
                Some(Instant::At(i128::from(NEGATIVE_INFINITY_DAY) * day_us + i128::from(rest) * 1000))
            }
            Instant::At(us) if us < FIRST_US && self != Self::Gregorian => {
                let (days, rest) = (i64::try_from(us.div_euclid(day_us)).ok()?, us.rem_euclid(day_us));
                let days = if self == Self::Hybrid {
                    let (year, month, day) = civil_from_days(days);
                    days_from_julian(year, month, day)
                } else {
                    without_era(days)?
                };
                Some(Instant::At(i128::from(days) * day_us + rest))
            }
            other => Some(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::{date, timestamp};

    #[test]
    fn dates_follow_the_recorded_values() {
        for (text, snapshot, stream) in [
            ("4713-01-01 BC", 1_001_860, -2_440_550),
            ("0044-03-15 BC", -703_383, -735_160),
            ("5874897-12-31", 2_145_042_905, 2_145_042_905),
            ("0001-01-01", -719_162, -719_162),
            ("1582-10-10", -141_422, -141_432),
            ("1582-10-15", -141_427, -141_427),
            ("infinity", 106_751_991_166, -2_147_472_692),
            ("-infinity", 106_748_361_128, -2_147_472_691),
        ] {
            let date = date(text.as_bytes()).expect(text);
            assert_eq!(Calendar::Hybrid.day(date), Some(snapshot), "{text}");
            assert_eq!(Calendar::Gregorian.day(date), Some(stream), "{text}");
        }
        let leap = date(b"0005-02-29 BC").expect("a date");
        assert_eq!(Calendar::Hybrid.day(leap), None, "year 5 of our era has no such day");
    }

    #[test]
    fn timestamps_follow_the_recorded_values() {
        for (text, snapshot_ms, stream_ms) in [
            ("4713-01-01 00:00:00 BC", -210_866_803_200_000, -210_863_520_000_000),
            ("0044-03-15 12:00:00 BC", -63_517_953_600_000, -63_517_780_800_000),
            ("1883-11-18 12:03:58", -2_717_668_562_000, -2_717_668_562_000),
        ] {
            let instant = timestamp(text.as_bytes()).expect(text);
            let at = |ms: i128| Some(Instant::At(ms * 1000));
            assert_eq!(Calendar::Hybrid.instant(instant), at(snapshot_ms), "{text}");
            assert_eq!(Calendar::Gregorian.instant(instant), at(stream_ms), "{text}");
        }
        assert_eq!(Calendar::Hybrid.instant(Instant::NegativeInfinity), Some(Instant::NegativeInfinity));
        let fields = Calendar::HybridFields.instant(timestamp(b"0044-03-15 12:00:00 BC").expect("a timestamp"));
        assert_eq!(fields, Some(timestamp(b"0044-03-15 12:00:00").expect("a timestamp")));
    }
}
