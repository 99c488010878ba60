//! Debezium's times: texts in ISO 8601 to BSON's milliseconds, and times of day to texts.
//!
//! The proleptic Gregorian calendar, as in Java's `java.time`, with years of any length: what stands for an infinite
//! timestamp is far beyond the year 9999.

/// Milliseconds of a day.
pub const MILLIS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since the epoch of `2024-02-29T07:44:15.123456Z`. Without an offset it is UTC; digits beyond the
/// milliseconds are cut towards the past, as those of numbers are.
pub fn timestamp(text: &str) -> Option<i64> {
    let (date, rest) = date_part(text)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (millis, rest) = time_part(rest)?;
    let offset = if rest.is_empty() { 0 } else { offset_seconds(rest)? };
    date.checked_mul(MILLIS_PER_DAY)?.checked_add(millis)?.checked_sub(offset.checked_mul(1000)?)
}

/// Milliseconds since the epoch of the day's start in UTC: `2024-02-29Z`. An offset says where the date was read and
/// does not change which day it is.
pub fn date(text: &str) -> Option<i64> {
    let (date, rest) = date_part(text)?;
    if !rest.is_empty() {
        offset_seconds(rest)?;
    }
    date.checked_mul(MILLIS_PER_DAY)
}

/// `13:14:15.1235`: hours, minutes, seconds, and as many digits of the fraction as there are. MySQL's times may be
/// negative and longer than a day. `per_second` is a power of ten.
pub fn time_of_day(units: i64, per_second: u32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    let per_second = u64::from(per_second);
    let (seconds, fraction) = (units / per_second, units % per_second);
    let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        let width = usize::try_from(per_second.ilog10()).unwrap_or(0);
        let digits = format!("{fraction:0width$}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

/// Days since the epoch of a date in the Gregorian calendar; the year 0 is 1 BC.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March: then the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Reads so many digits.
fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (head, rest) = text.split_at_checked(count)?;
    if !head.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((head.parse().ok()?, rest))
}

/// `YYYY-MM-DD`; years beyond four digits and before 1 BC have a sign.
fn date_part(text: &str) -> Option<(i64, &str)> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(4..=9).contains(&length) {
        return None;
    }
    let (year, rest) = digits(rest, length)?;
    let year = sign * year;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    Some((days_from_civil(year, month, day), rest))
}

/// Milliseconds of `HH:MM[:SS[.fffffffff]]`.
fn time_part(text: &str) -> Option<(i64, &str)> {
    let (hour, rest) = digits(text, 2)?;
    let (minute, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    let mut second = 0;
    let mut millis = 0;
    if let Some(after) = rest.strip_prefix(':') {
        (second, rest) = digits(after, 2)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&length) {
                return None;
            }
            let kept = length.min(3);
            millis = digits(fraction, kept)?.0 * [1, 100, 10, 1][kept];
            rest = fraction.get(length..)?;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((((hour * 60 + minute) * 60 + second) * 1000 + millis, rest))
}

/// Seconds east of UTC of `Z` or `+HH:MM[:SS]`, the whole of a text.
fn offset_seconds(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'Z' | b'z' => return (text.len() == 1).then_some(0),
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, mut rest) = digits(rest, 2)?;
    let mut seconds = hours * 3600;
    for unit in [60, 1] {
        if rest.is_empty() {
            break;
        }
        let (value, after) = digits(rest.strip_prefix(':').unwrap_or(rest), 2)?;
        seconds += value * unit;
        rest = after;
    }
    rest.is_empty().then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_become_milliseconds() {
        for (text, millis) in [
            ("2024-02-29T07:44:15.123456Z", Some(1_709_192_655_123)),
            ("2024-02-29T13:14:15.123999999+05:30", Some(1_709_192_655_123)),
            ("2024-02-29T07:44:15", Some(1_709_192_655_000)),
            ("2024-02-29T07:44Z", Some(1_709_192_640_000)),
            ("1969-12-31T23:59:59.9999Z", Some(-1)),
            ("1970-01-01T00:00:00.5-00:00:01", Some(1500)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000)),
            ("-0001-01-01T00:00:00Z", Some(-62_198_755_200_000)),
            ("+10000-01-01T00:00:00Z", Some(253_402_300_800_000)),
            // What stands for infinity in Debezium's Postgres source.
            ("+294247-01-10T04:00:25.200Z", Some(9_223_372_036_825_200)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-02-29T24:00:00Z", None),
            ("2024-02-29", None),
            ("2024-02-29T00:00:00Zx", None),
            ("infinity", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text), millis, "{text}");
        }
    }

    #[test]
    fn dates_are_the_start_of_their_day_in_utc() {
        for text in ["2024-02-29Z", "2024-02-29", "2024-02-29+05:30"] {
            assert_eq!(date(text), Some(1_709_164_800_000), "{text}");
        }
        assert_eq!(date("2024-02-30Z"), None);
        assert_eq!(date("2024-02-29T"), None);
    }

    #[test]
    fn times_of_day_keep_every_digit() {
        for (units, per_second, text) in [
            (0, 1000, "00:00:00"),
            (47_655_123, 1000, "13:14:15.123"),
            (47_655_123_500, 1_000_000, "13:14:15.1235"),
            (86_400_000_000, 1_000_000, "24:00:00"),
            (1, 1_000_000_000, "00:00:00.000000001"),
            (-3_020_399_000_001, 1_000_000, "-838:59:59.000001"),
            (i64::MIN, 1_000_000_000, "-2562047:47:16.854775808"),
        ] {
            assert_eq!(time_of_day(units, per_second), text);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_driver(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
            let text = bson::DateTime::from_millis(millis).try_to_rfc3339_string().unwrap();
            prop_assert_eq!(timestamp(&text), Some(millis), "{}", text);
        }

        #[test]
        fn random_texts_never_panic(text in ".{0,40}") {
            let _ = (timestamp(&text), date(&text));
        }
    }
}
