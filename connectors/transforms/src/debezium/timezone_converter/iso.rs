//! Times with an offset as texts (`DateTimeFormatter.ISO_OFFSET_DATE_TIME` and `ISO_OFFSET_TIME`), for all years that
//! Java writes.

use std::fmt::Write;

const DAY: i64 = 86_400;

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// Seconds since the epoch.
    seconds: i64,
    nanos: u32,
    /// The offset in seconds that the text had.
    offset: i64,
}

/// A time of day with an offset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time {
    /// Seconds since midnight in UTC, which may be the day before or after.
    seconds: i64,
    nanos: u32,
}

impl Moment {
    /// Reads `2020-01-02T03:04:05.123+01:00`; the seconds may be missing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', 't'])?;
        let days = parse_date(date)?;
        let (second, nanos, offset) = parse_time(rest)?;
        Some(Self { seconds: days * DAY + second - offset, nanos, offset })
    }

    /// The date and time of day that the text shows, in seconds since the epoch as if it were UTC.
    pub(super) fn local(self) -> i64 {
        self.seconds + self.offset
    }

    /// The text at an offset in seconds.
    pub(super) fn write(self, offset: i32) -> String {
        let local = self.seconds + i64::from(offset);
        let (year, month, day) = civil(local.div_euclid(DAY));
        let mut out = String::with_capacity(32);
        write_year(year, &mut out);
        write!(out, "-{month:02}-{day:02}T").expect("writing to a string does not fail");
        write_time(local.rem_euclid(DAY), self.nanos, offset, &mut out);
        out
    }
}

impl Time {
    /// Reads `03:04:05.123+01:00`; the seconds may be missing.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (second, nanos, offset) = parse_time(text)?;
        Some(Self { seconds: second - offset, nanos })
    }

    /// The text at an offset in seconds.
    pub(super) fn write(self, offset: i32) -> String {
        let mut out = String::with_capacity(24);
        write_time((self.seconds + i64::from(offset)).rem_euclid(DAY), self.nanos, offset, &mut out);
        out
    }
}

fn write_year(year: i64, out: &mut String) {
    let sign = match year {
        10_000.. => "+",
        0.. => "",
        _ => "-",
    };
    write!(out, "{sign}{:04}", year.abs()).expect("writing to a string does not fail");
}

fn write_time(second: i64, nanos: u32, offset: i32, out: &mut String) {
    let clock = |seconds: i64| (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (hours, minutes, seconds) = clock(second);
    write!(out, "{hours:02}:{minutes:02}:{seconds:02}").expect("writing to a string does not fail");
    if nanos > 0 {
        out.push('.');
        out.push_str(format!("{nanos:09}").trim_end_matches('0'));
    }
    if offset == 0 {
        out.push('Z');
        return;
    }
    let (hours, minutes, seconds) = clock(i64::from(offset.abs()));
    let sign = if offset < 0 { '-' } else { '+' };
    write!(out, "{sign}{hours:02}:{minutes:02}").expect("writing to a string does not fail");
    if seconds > 0 {
        write!(out, ":{seconds:02}").expect("writing to a string does not fail");
    }
}

fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn two_digits(text: &str) -> Option<i64> {
    if text.len() == 2 { number(text) } else { None }
}

/// Days since the epoch. A year has four digits, or a sign and up to nine.
fn parse_date(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'+' => (Some(1), &text[1..]),
        b'-' => (Some(-1), &text[1..]),
        _ => (None, text),
    };
    let mut parts = unsigned.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let year_fits = matches!((sign, year.len()), (None | Some(-1), 4) | (Some(_), 5..=9));
    if parts.next().is_some() || !year_fits {
        return None;
    }
    let year = sign.unwrap_or(1) * number(year)?;
    let (month, day) = (two_digits(month)?, two_digits(day)?);
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    (1..=length).contains(&day).then(|| days(year, month, day))
}

/// The second of the day, nanoseconds, and the offset in seconds.
fn parse_time(text: &str) -> Option<(i64, u32, i64)> {
    let end = text.find(['Z', 'z', '+', '-'])?;
    let (clock, offset) = (&text[..end], parse_offset(&text[end..])?);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let mut parts = clock.split(':');
    let (hours, minutes) = (two_digits(parts.next()?)?, two_digits(parts.next()?)?);
    let seconds = match parts.next() {
        Some(seconds) => two_digits(seconds)?,
        None if fraction.is_some() => return None,
        None => 0,
    };
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let nanos = match fraction {
        Some(digits) if digits.len() <= 9 => {
            let scale = 10_u32.pow(u32::try_from(9 - digits.len()).ok()?);
            u32::try_from(if digits.is_empty() { 0 } else { number(digits)? }).ok()? * scale
        }
        Some(_) => return None,
        None => 0,
    };
    Some((hours * 3600 + minutes * 60 + seconds, nanos, offset))
}

/// `Z` or an offset of hours, minutes and seconds, with colons or without.
fn parse_offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let rest = &text[1..];
    let digits: String = match rest.contains(':') {
        true => {
            let parts: Vec<&str> = rest.split(':').collect();
            let good = parts.len() <= 3 && parts.iter().all(|part| part.len() == 2);
            if !good {
                return None;
            }
            parts.concat()
        }
        false => rest.to_owned(),
    };
    let digits = match digits.len() {
        1 => format!("0{digits}"),
        2 | 4 | 6 => digits,
        _ => return None,
    };
    number(&digits)?;
    let part = |place: usize| digits.get(place..place + 2).and_then(number).unwrap_or(0);
    let (hours, minutes, seconds) = (part(0), part(2), part(4));
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= 18 * 3600).then_some(sign * total)
}

/// Days since the epoch of a day of the Gregorian calendar, in all years.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of days since the epoch.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str, offset: i32) -> Option<String> {
        Moment::parse(text).map(|moment| moment.write(offset))
    }

    #[test]
    fn an_instant_is_shown_at_another_offset() {
        assert_eq!(at("2020-01-01T00:00:00.1+05:30", 3600).as_deref(), Some("2019-12-31T19:30:00.1+01:00"));
        assert_eq!(at("2020-01-01T00:00Z", 0).as_deref(), Some("2020-01-01T00:00:00Z"));
        assert_eq!(at("2020-01-01t00:00:00.120000z", 3723).as_deref(), Some("2020-01-01T01:02:03.12+01:02:03"));
        assert_eq!(at("+10000-01-01T00:00:00Z", 0).as_deref(), Some("+10000-01-01T00:00:00Z"));
        assert_eq!(at("-0044-03-15T00:00:00Z", -3600).as_deref(), Some("-0044-03-14T23:00:00-01:00"));
        assert_eq!(at("2020-01-01T00:00:00+01", 0).as_deref(), Some("2019-12-31T23:00:00Z"));
        let bad = [
            "2020-01-01T00:00:00",
            "2020-01-01 00:00:00Z",
            "infinity",
            "",
            "2020-02-30T00:00:00Z",
            "2020-01-01T24:00:00Z",
            "12020-01-01T00:00:00Z",
            "2020-01-01T00:00:00.1234567891Z",
            "2020-1-01T00:00:00Z",
        ];
        for text in bad {
            assert_eq!(at(text, 0), None, "{text}");
        }
    }

    #[test]
    fn a_time_of_day_goes_round() {
        let at = |text: &str, offset| Time::parse(text).map(|time| time.write(offset));
        assert_eq!(at("23:30:15.123456+02:00", 10_800).as_deref(), Some("00:30:15.123456+03:00"));
        assert_eq!(at("00:10:00+05:00", 0).as_deref(), Some("19:10:00Z"));
        assert_eq!(at("10:00:00", 0), None);
    }

    proptest! {
        #[test]
        fn every_day_is_written_and_read_again(days_since in -400_000_000_i64..400_000_000) {
            let (year, month, day) = civil(days_since);
            prop_assert_eq!(days(year, month, day), days_since);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TtZz:+\\-. é]{0,30}") {
            let read = (Moment::parse(&text), Time::parse(&text));
            prop_assert!(read.0.is_none() || read.1.is_none());
        }
    }
}
