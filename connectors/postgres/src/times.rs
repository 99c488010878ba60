//! Dates, times, timestamps and intervals: from Postgres' ISO text to numbers, and to Debezium's texts.
//!
//! Plain integer arithmetic on the proleptic Gregorian calendar; no time zone data is needed, because sessions run in
//! UTC.

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;
/// Debezium's stand-ins for the infinite timestamps, in microseconds since the Unix epoch (pgjdbc's
/// `DATE_POSITIVE_INFINITY` and its opposite, in milliseconds, times 1000).
pub const INFINITY_US: i64 = 9_223_372_036_825_200_000;
/// The same, in milliseconds.
pub const INFINITY_MS: i64 = 9_223_372_036_825_200;
/// And for the other end.
pub const NEGATIVE_INFINITY_US: i64 = -9_223_372_036_832_400_000;
/// The same, in milliseconds.
pub const NEGATIVE_INFINITY_MS: i64 = -9_223_372_036_832_400;

/// A point in time, or one of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    /// Microseconds since the Unix epoch; for dates, days.
    At(i128),
    Infinity,
    NegativeInfinity,
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar; `year` is astronomical (0 is 1 BC).
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year (astronomical), month and day of a number of days since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * mp + 2) / 5 + 1)
}

fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    text.iter().try_fold(0, |n, &b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Days of `YYYY-MM-DD`, where the year may have more digits.
fn civil(text: &[u8], bc: bool) -> Option<i64> {
    let month_at = text.len().checked_sub(6)?;
    let (year, rest) = text.split_at(month_at);
    if rest[0] != b'-' || rest[3] != b'-' {
        return None;
    }
    let year = digits(year).filter(|&year| year < 10_000_000)?;
    let year = if bc { 1 - year } else { year };
    Some(days_from_civil(year, digits(&rest[1..3])?, digits(&rest[4..6])?))
}

/// A date as days since the epoch; `None` is not a date.
pub fn date(text: &[u8]) -> Option<Instant> {
    match text {
        b"infinity" => Some(Instant::Infinity),
        b"-infinity" => Some(Instant::NegativeInfinity),
        _ => match text.strip_suffix(b" BC") {
            Some(text) => civil(text, true).map(|days| Instant::At(days.into())),
            None => civil(text, false).map(|days| Instant::At(days.into())),
        },
    }
}

/// Microseconds of `HH:MM:SS[.ffffff]`; hours may be 24.
pub fn time_of_day(text: &[u8]) -> Option<i64> {
    if text.len() < 8 || text[2] != b':' || text[5] != b':' {
        return None;
    }
    let whole = digits(&text[..2])? * 3600 + digits(&text[3..5])? * 60 + digits(&text[6..8])?;
    let fraction = match text.get(8..) {
        Some([]) | None => 0,
        Some([b'.', fraction @ ..]) if fraction.len() <= 6 => {
            let scale = 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
            digits(fraction)? * scale
        }
        Some(_) => return None,
    };
    Some(whole * 1_000_000 + fraction)
}

/// Seconds east of UTC of `+HH[:MM[:SS]]`.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let mut parts = rest.split(|&b| b == b':').map(|part| digits(part).filter(|&n| n < 100));
    let hours = parts.next()??;
    let minutes = parts.next().unwrap_or(Some(0))?;
    let seconds = parts.next().unwrap_or(Some(0))?;
    Some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// A timestamp, with or without an offset from UTC.
pub fn timestamp(text: &[u8]) -> Option<Instant> {
    match text {
        b"infinity" => return Some(Instant::Infinity),
        b"-infinity" => return Some(Instant::NegativeInfinity),
        _ => {}
    }
    let (text, bc) = text.strip_suffix(b" BC").map_or((text, false), |text| (text, true));
    let space = memchr::memchr(b' ', text)?;
    let days = civil(&text[..space], bc)?;
    let rest = &text[space + 1..];
    let zone_at = rest.iter().position(|&b| b == b'+' || b == b'-').unwrap_or(rest.len());
    let us = time_of_day(&rest[..zone_at])?;
    let seconds = if zone_at == rest.len() { 0 } else { offset(&rest[zone_at..])? };
    Some(Instant::At(i128::from(days) * i128::from(DAY_US) + i128::from(us - seconds * 1_000_000)))
}

/// A time with an offset: microseconds of the day in UTC, wrapped into a day.
pub fn time_with_zone(text: &[u8]) -> Option<i64> {
    let zone_at = text.iter().position(|&b| b == b'+' || b == b'-')?;
    let us = time_of_day(&text[..zone_at])? - offset(&text[zone_at..])? * 1_000_000;
    Some(us.rem_euclid(DAY_US))
}

/// Writes a fraction of a second with at least `min` digits, without trailing zeros beyond.
fn fraction(out: &mut String, us: i64, min: usize) {
    let text = format!("{us:06}");
    let kept = text.trim_end_matches('0').len().max(min);
    if kept > 0 {
        out.push('.');
        out.push_str(&text[..kept.min(6)]);
    }
}

/// `HH:MM:SS[.f]Z` with as many digits as needed (`ZonedTime`).
pub fn zoned_time(us: i64) -> String {
    let seconds = us / 1_000_000;
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(&mut out, us % 1_000_000, 0);
    out.push('Z');
    out
}

/// `HH:MM:SS[.f]` of a plain time (`IsoTime`), with the zone that the reference writes.
pub fn iso_time(us: i64) -> String {
    zoned_time(us)
}

fn write_date(out: &mut String, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let sign = if year < 0 {
        "-"
    } else if year > 9999 {
        "+"
    } else {
        ""
    };
    out.push_str(&format!("{sign}{:04}-{month:02}-{day:02}", year.abs()));
}

/// `YYYY-MM-DDTHH:MM:SS[.f]Z` with at least `min_digits` digits of a second's fraction.
pub fn iso_timestamp(us: i128, min_digits: usize) -> String {
    let day = i128::from(DAY_US);
    // Both parts of any timestamp are far within 64 bits.
    let part = |n: i128| i64::try_from(n).unwrap_or(0);
    let mut out = String::with_capacity(28);
    write_date(&mut out, part(us.div_euclid(day)));
    let rest = part(us.rem_euclid(day));
    let seconds = rest / 1_000_000;
    out.push_str(&format!("T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    fraction(&mut out, rest % 1_000_000, min_digits);
    out.push('Z');
    out
}

/// `YYYY-MM-DDZ` (`IsoDate`).
pub fn iso_date(days: i64) -> String {
    let mut out = String::with_capacity(12);
    write_date(&mut out, days);
    out.push('Z');
    out
}

/// An interval in its fields, as Postgres' `postgres` style writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    pub years: i64,
    pub months: i64,
    pub days: i64,
    /// The time part, in microseconds.
    pub us: i64,
}

/// Parses `1 year -2 mons 3 days 04:05:06.7`.
pub fn interval(text: &[u8]) -> Option<Interval> {
    let text = std::str::from_utf8(text).ok()?;
    let mut interval = Interval::default();
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (negative, clock) = match word.as_bytes() {
                [b'-', clock @ ..] => (true, clock),
                [b'+', clock @ ..] => (false, clock),
                clock => (false, clock),
            };
            let colon = memchr::memchr(b':', clock)?;
            let hours = digits(&clock[..colon])?;
            let rest = [b"00", &clock[colon..]].concat();
            let us = hours.checked_mul(3_600_000_000)?.checked_add(time_of_day(&rest)?)?;
            interval.us = if negative { -us } else { us };
            continue;
        }
        let number: i64 = word.strip_prefix('+').unwrap_or(word).parse().ok()?;
        match words.next()? {
            "year" | "years" => interval.years = number,
            "mon" | "mons" => interval.months = number,
            "day" | "days" => interval.days = number,
            _ => return None,
        }
    }
    Some(interval)
}

impl Interval {
    /// Microseconds, a month as 30.4375 days (`MicroDuration`).
    pub fn approximate_us(&self) -> i64 {
        const MONTH_US: i128 = 2_629_800_000_000;
        let months = i128::from(self.years) * 12 + i128::from(self.months);
        let us = months * MONTH_US + i128::from(self.days) * i128::from(DAY_US) + i128::from(self.us);
        i64::try_from(us).unwrap_or(if us < 0 { i64::MIN } else { i64::MAX })
    }

    /// `P1Y2M3DT4H5M6.789S` (`io.debezium.time.Interval`).
    pub fn iso(&self) -> String {
        let seconds = self.us / 1_000_000;
        let mut out =
            format!("P{}Y{}M{}DT{}H{}M", self.years, self.months, self.days, seconds / 3600, seconds / 60 % 60);
        let (whole, rest) = (seconds % 60, self.us % 1_000_000);
        if whole == 0 && rest < 0 {
            out.push('-');
        }
        out.push_str(&format!("{whole}"));
        fraction(&mut out, rest.abs(), 0);
        out.push('S');
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_follow_the_recorded_values() {
        for (text, us) in [
            ("2024-02-29 13:14:15.123456", 1_709_212_455_123_456),
            ("1969-12-31 23:59:59.999999", -1),
            ("0001-01-01 00:00:00", -62_135_596_800_000_000),
            ("9999-12-31 23:59:59.999999", 253_402_300_799_999_999),
            ("2024-02-29 13:14:15.123456+05:30", 1_709_192_655_123_456),
            ("10000-01-01 00:00:00", 253_402_300_800_000_000),
        ] {
            assert_eq!(timestamp(text.as_bytes()), Some(Instant::At(us)), "{text}");
        }
        assert_eq!(timestamp(b"infinity"), Some(Instant::Infinity));
        assert_eq!(timestamp(b"2024-02-29"), None);
    }

    #[test]
    fn dates_and_times_follow_the_recorded_values() {
        assert_eq!(date(b"2024-02-29"), Some(Instant::At(19782)));
        assert_eq!(date(b"1969-12-31"), Some(Instant::At(-1)));
        assert_eq!(time_of_day(b"24:00:00"), Some(DAY_US));
        assert_eq!(time_of_day(b"13:14:15.1235"), Some(47_655_123_500));
        assert_eq!(zoned_time(time_with_zone(b"04:05:06.789-08:30").expect("a time")), "12:35:06.789Z");
        assert_eq!(iso_timestamp(1_709_192_655_123_456, 0), "2024-02-29T07:44:15.123456Z");
        assert_eq!(iso_date(19782), "2024-02-29Z");
    }

    #[test]
    fn intervals_follow_the_recorded_values() {
        for (text, us, iso) in [
            ("1 year 2 mons 3 days 04:05:06.789123", 37_091_106_789_123, "P1Y2M3DT4H5M6.789123S"),
            ("-1 years -2 days +03:00:00", -31_719_600_000_000, "P-1Y0M-2DT3H0M0S"),
            ("-00:00:00.001", -1000, "P0Y0M0DT0H0M-0.001S"),
            ("7 years 8 mons", 241_941_600_000_000, "P7Y8M0DT0H0M0S"),
            ("00:00:00", 0, "P0Y0M0DT0H0M0S"),
        ] {
            let interval = interval(text.as_bytes()).expect(text);
            assert_eq!((interval.approximate_us(), interval.iso().as_str()), (us, iso), "{text}");
        }
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -3_000_000_i64..3_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
        }

        #[test]
        fn random_text_never_panics(text: Vec<u8>) {
            let _ = (date(&text), time_of_day(&text), timestamp(&text), time_with_zone(&text), interval(&text));
        }
    }
}
