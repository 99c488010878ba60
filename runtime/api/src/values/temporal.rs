//! Dates, times and timestamps as text, in the three forms that `Values` knows, read as leniently as Java's
//! `SimpleDateFormat` reads them: month 13 is next year's January.

use std::fmt::Write;

use super::zone::Zone;
use crate::java::character;
use crate::java::display::civil;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// First day of the Gregorian calendar, in days since the epoch.
const GREGORIAN_FROM: i64 = -141_427;
/// The year of that day: earlier ones are Julian, however many months and days are added.
const GREGORIAN_YEAR: i64 = 1582;

/// A form of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `yyyy-MM-dd`.
    Date,
    /// `HH:mm:ss.SSS'Z'`.
    Time,
    /// `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`.
    Timestamp,
}

/// The form that a text has by its length, and the milliseconds it stands for in a zone. What follows them is not looked at.
pub fn parse(text: &str, zone: &Zone) -> Option<(Form, i64)> {
    // The longest form has 24 characters, of which an escaped colon takes two.
    const LONGEST: usize = 48;
    if text.chars().take(LONGEST + 1).count() > LONGEST {
        return None;
    }
    let text = text.replace("\\:", ":");
    let form = match text.encode_utf16().count() {
        10 => Form::Date,
        13 => Form::Time,
        24 => Form::Timestamp,
        _ => return None,
    };
    Some((form, parse_form(&text, form, zone)?))
}

/// Milliseconds since the epoch of a text in a form, read in a zone.
pub fn parse_form(text: &str, form: Form, zone: &Zone) -> Option<i64> {
    let mut fields = Fields { rest: text };
    let date = match form {
        Form::Time => [1970, 1, 1],
        Form::Date | Form::Timestamp => [fields.number("-")?, fields.number("-")?, fields.number("")?],
    };
    if form == Form::Timestamp {
        fields.literal("T")?;
    }
    let millis = match form {
        Form::Date => 0,
        Form::Time | Form::Timestamp => {
            let (hour, minute) = (fields.number(":")?, fields.number(":")?);
            let (second, millis) = (fields.number(".")?, fields.number("Z")?);
            (hour * 3600 + minute * 60 + second) * 1000 + millis
        }
    };
    let [year, month, day] = date;
    let days = days_in_java(year, month, day + millis.div_euclid(DAY_MS));
    // Years of nine digits are more than there are milliseconds for; Java's numbers wrap around too.
    Some(zone.instant(days.wrapping_mul(DAY_MS).wrapping_add(millis.rem_euclid(DAY_MS))))
}

struct Fields<'a> {
    rest: &'a str,
}

impl Fields<'_> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// A number, of as many digits as there are, and what must follow it. More than an `int` holds wraps around.
    fn number(&mut self, then: &str) -> Option<i64> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let unsigned = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = unsigned.find(|c: char| !character::is_digit(c)).unwrap_or(unsigned.len());
        if digits == 0 {
            return None;
        }
        let (digits, rest) = unsigned.split_at(digits);
        let number = digits
            .chars()
            .filter_map(character::digit)
            .fold(0i64, |number, digit| number.wrapping_mul(10).wrapping_add(i64::from(digit)));
        let negative = self.rest.starts_with('-');
        self.rest = rest;
        self.literal(then)?;
        Some(i64::from(if negative { number.wrapping_neg() } else { number } as i32))
    }
}

/// Days since the epoch in Java's calendar, Julian before 15 October 1582. Months and days may overflow.
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    const YEAR_MAX: u64 = 300_000_000;
    if [year, month, day].iter().any(|number| number.unsigned_abs() > YEAR_MAX) {
        return None;
    }
    let [gregorian, julian] = days_in_both(year, month, day);
    Some(if gregorian >= GREGORIAN_FROM { gregorian } else { julian })
}

/// The same as `GregorianCalendar` has it: which calendar counts is decided by the year that is written, when that is
/// before the change.
fn days_in_java(year: i64, month: i64, day: i64) -> i64 {
    let [gregorian, julian] = days_in_both(year, month, day);
    if year >= GREGORIAN_YEAR && gregorian >= GREGORIAN_FROM { gregorian } else { julian }
}

/// Days since the epoch in the Gregorian and in the Julian calendar.
fn days_in_both(year: i64, month: i64, day: i64) -> [i64; 2] {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // Years begin in March here, so that the leap day is the last.
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let julian = 365 * year + year.div_euclid(4) + day_of_year - 719_470;
    let gregorian =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468;
    [gregorian, julian]
}

/// Appends milliseconds since the epoch in the form that `Values` chooses by their size, as a clock in a zone shows them.
pub fn write(millis: i64, zone: &Zone, out: &mut String) {
    let form = if millis < DAY_MS {
        Form::Time
    } else if millis % DAY_MS == 0 {
        Form::Date
    } else {
        Form::Timestamp
    };
    write_form(zone.local(millis), form, out);
}

/// Appends milliseconds since the epoch in a form.
pub fn write_form(millis: i64, form: Form, out: &mut String) {
    let (year, month, day) = civil(millis.div_euclid(DAY_MS));
    let year = if year > 0 { year } else { 1 - year };
    let of_day = millis.rem_euclid(DAY_MS);
    let (hour, minute, second, milli) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60, of_day % 1000);
    let date = |out: &mut String| write!(out, "{year:04}-{month:02}-{day:02}");
    let time = |out: &mut String| write!(out, "{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
    let written = match form {
        Form::Date => date(out),
        Form::Time => time(out),
        Form::Timestamp => date(out).and_then(|()| out.write_char('T')).and_then(|()| time(out)),
    };
    written.expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_lenient_and_julian_before_1582() {
        let parse = |text| parse(text, &Zone::UTC);
        assert_eq!(parse("2020-01-02"), Some((Form::Date, 1_577_923_200_000)));
        assert_eq!(parse("2020-13-45"), Some((Form::Date, 1_613_260_800_000)));
        assert_eq!(parse("1582-10-10"), Some((Form::Date, -12_218_860_800_000)));
        assert_eq!(parse("10:11:12.345Z"), Some((Form::Time, 36_672_345)));
        assert_eq!(parse("2020-01-02T10:11:12.345Z"), Some((Form::Timestamp, 1_577_959_872_345)));
        assert_eq!(parse("2020-1-2"), None);
        // Both are 99 days after September 1582: in the calendar of the year that is written.
        let [julian, gregorian] = ["1581-22-99", "1582-10-99"].map(|text| parse(text).map(|(_, millis)| millis));
        assert_eq!(julian, gregorian.map(|millis| millis + 10 * DAY_MS));
        assert_eq!(parse("\u{662}\u{660}\u{662}\u{660}-01-02"), Some((Form::Date, 1_577_923_200_000)));
        // More than any clock shows: not a panic.
        assert!(parse("2147483647-99-99T1:1:1.1Z").is_none());
        assert!(parse("214748364-9-9T1:1:1.1000Z").is_none());
        assert!(parse("214748364-9-9T1:1:1.100Z").is_some());
    }

    #[test]
    fn texts_are_read_and_written_by_a_clock_of_the_zone() {
        let york = Zone::named("America/New_York").unwrap();
        assert_eq!(parse("1969-12-31", &york), Some((Form::Date, -68_400_000)));
        assert_eq!(parse("10:11:12.345Z", &york), Some((Form::Time, 54_672_345)));
        let mut text = String::new();
        write(1_577_934_245_123, &york, &mut text);
        assert_eq!(text, "2020-01-01T22:04:05.123Z");
        // The form goes by the instant, the digits by the clock.
        text.clear();
        write(1_577_923_200_000, &york, &mut text);
        assert_eq!(text, "2020-01-01");
    }

    #[test]
    fn days_and_dates_agree() {
        for far in [i64::MIN, i64::MAX] {
            assert_eq!((days_of(far, 1, 1), days_of(1, far, 1), days_of(1, 1, far)), (None, None, None));
        }
        for days in (-1_000_000..1_000_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, i64::from(month), i64::from(day)), Some(days));
        }
    }
}
