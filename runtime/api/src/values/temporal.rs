//! Dates, times and timestamps as text, in the three forms that `Values` knows, read as leniently as Java's
//! `SimpleDateFormat` reads them: month 13 is next year's January.

use std::fmt::Write;

use crate::java::display::civil;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// First day of the Gregorian calendar, in days since the epoch.
const GREGORIAN_FROM: i64 = -141_427;

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

/// The form that a text has by its length, and the milliseconds it stands for. What follows them is not looked at.
pub fn parse(text: &str) -> Option<(Form, i64)> {
    let text = text.replace("\\:", ":");
    let form = match text.encode_utf16().count() {
        10 => Form::Date,
        13 => Form::Time,
        24 => Form::Timestamp,
        _ => return None,
    };
    Some((form, parse_form(&text, form)?))
}

/// Milliseconds since the epoch of a text in a form.
pub fn parse_form(text: &str, form: Form) -> Option<i64> {
    let mut fields = Fields { rest: text };
    let days = if form == Form::Time {
        0
    } else {
        let (year, month, day) = (fields.number("-")?, fields.number("-")?, fields.number("")?);
        days_of(year, month, day)?
    };
    if form == Form::Date {
        return days.checked_mul(DAY_MS);
    }
    if form == Form::Timestamp {
        fields.literal("T")?;
    }
    let (hour, minute) = (fields.number(":")?, fields.number(":")?);
    let (second, millis) = (fields.number(".")?, fields.number("Z")?);
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    days.checked_mul(DAY_MS)?.checked_add(seconds.checked_mul(1000)?)?.checked_add(millis)
}

struct Fields<'a> {
    rest: &'a str,
}

impl Fields<'_> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// A number, of as many digits as there are, and what must follow it.
    fn number(&mut self, then: &str) -> Option<i64> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let unsigned = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        if digits == 0 {
            return None;
        }
        let end = self.rest.len() - unsigned.len() + digits;
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        self.literal(then)?;
        Some(number)
    }
}

/// Days since the epoch in Java's calendar, Julian before 15 October 1582. Months and days may overflow.
pub fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    const YEAR_MAX: i64 = 300_000_000;
    if year.abs() > YEAR_MAX || month.abs() > YEAR_MAX || day.abs() > YEAR_MAX {
        return None;
    }
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // Years begin in March here, so that the leap day is the last.
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let julian = 365 * year + year.div_euclid(4) + day_of_year - 719_470;
    let gregorian =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468;
    Some(if gregorian >= GREGORIAN_FROM { gregorian } else { julian })
}

/// Appends milliseconds since the epoch in the form that `Values` chooses by their size.
pub fn write(millis: i64, out: &mut String) {
    let form = if millis < DAY_MS {
        Form::Time
    } else if millis % DAY_MS == 0 {
        Form::Date
    } else {
        Form::Timestamp
    };
    write_form(millis, form, out);
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
        assert_eq!(parse("2020-01-02"), Some((Form::Date, 1_577_923_200_000)));
        assert_eq!(parse("2020-13-45"), Some((Form::Date, 1_613_260_800_000)));
        assert_eq!(parse("1582-10-10"), Some((Form::Date, -12_218_860_800_000)));
        assert_eq!(parse("10:11:12.345Z"), Some((Form::Time, 36_672_345)));
        assert_eq!(parse("2020-01-02T10:11:12.345Z"), Some((Form::Timestamp, 1_577_959_872_345)));
        assert_eq!(parse("2020-1-2"), None);
    }

    #[test]
    fn days_and_dates_agree() {
        for days in (-1_000_000..1_000_000).step_by(97) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of(year, i64::from(month), i64::from(day)), Some(days));
        }
    }
}
