//! `java.text.SimpleDateFormat` for the locale en_US in UTC, as far as patterns are concerned: writing all of its letters,
//! and reading all but the weeks.
//!
//! Reading is lenient: months and days may overflow, and what follows the pattern is not looked at.

use connect_api::java::display::civil;
use connect_api::values::temporal::{DAY_MS, days_of};

const LETTERS: &str = "GyMdkHmsSEDFwWahKzZYuXL";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Field(char, usize),
}

/// A pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// Reads a pattern; the error is Java's text.
    pub(crate) fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let literal = |parts: &mut Vec<Part>, c: char| match parts.last_mut() {
            Some(Part::Literal(text)) => text.push(c),
            _ => parts.push(Part::Literal(c.into())),
        };
        let mut rest = pattern.chars().peekable();
        let mut quoted = false;
        while let Some(c) = rest.next() {
            if c == '\'' {
                if rest.next_if_eq(&'\'').is_some() {
                    literal(&mut parts, '\'');
                } else {
                    quoted = !quoted;
                }
            } else if quoted || !c.is_ascii_alphabetic() {
                literal(&mut parts, c);
            } else {
                if !LETTERS.contains(c) {
                    return Err(format!("Illegal pattern character '{c}'"));
                }
                let mut count = 1;
                while rest.next_if_eq(&c).is_some() {
                    count += 1;
                }
                if c == 'X' && count > 3 {
                    return Err(format!("invalid ISO 8601 format: length={count}"));
                }
                parts.push(Part::Field(c, count));
            }
        }
        if quoted { Err("Unterminated quote".to_owned()) } else { Ok(Self { parts }) }
    }

    /// The text of milliseconds since the epoch.
    pub(crate) fn format(&self, millis: i64) -> String {
        let moment = Moment::of(millis);
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(letter, count) => moment.write(*letter, *count, &mut out),
            }
        }
        out
    }

    /// Milliseconds since the epoch of a text that begins as the pattern says.
    pub(crate) fn parse_text(&self, text: &str) -> Option<i64> {
        let mut found = Found::default();
        let mut rest = text;
        for (place, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Part::Field(letter, count) => {
                    let abutting = matches!(self.parts.get(place + 1), Some(Part::Field(..)));
                    rest = found.read(*letter, *count, abutting, rest)?;
                }
            }
        }
        if rest.len() == text.len() { None } else { found.millis() }
    }
}

/// A moment in the calendar.
struct Moment {
    /// Astronomical: 0 is 1 BC.
    year: i64,
    month: u32,
    day: u32,
    /// From 1.
    day_of_year: i64,
    /// From Sunday, 0.
    weekday: i64,
    of_day: i64,
}

impl Moment {
    fn of(millis: i64) -> Self {
        let days = millis.div_euclid(DAY_MS);
        let (year, month, day) = civil(days);
        let day_of_year = days - days_of(year, 1, 1).unwrap_or(days) + 1;
        Self { year, month, day, day_of_year, weekday: (days + 4).rem_euclid(7), of_day: millis.rem_euclid(DAY_MS) }
    }

    /// The week of the year and the year it belongs to: weeks start on Sunday, and the first has the first of January.
    fn week(&self) -> (i64, i64) {
        let first_weekday = (self.weekday - (self.day_of_year - 1)).rem_euclid(7);
        let week = (self.day_of_year - 1 + first_weekday) / 7 + 1;
        let last = days_of(self.year + 1, 1, 1).zip(days_of(self.year, 1, 1)).map_or(365, |(next, this)| next - this);
        let until_sunday = 7 - self.weekday;
        if self.day_of_year + until_sunday > last + 1 { (1, self.year + 1) } else { (week, self.year) }
    }

    /// The days of the month before this one. Ten days of October 1582 never were.
    fn of_month(&self) -> i64 {
        let skipped = if (self.year, self.month) == (1582, 10) && self.day >= 15 { 10 } else { 0 };
        i64::from(self.day) - 1 - skipped
    }

    fn write(&self, letter: char, count: usize, out: &mut String) {
        let era_year = |year: i64| if year > 0 { year } else { 1 - year };
        let name = |out: &mut String, name: &str| out.push_str(if count >= 4 { name } else { &name[..3] });
        let (hour, millis) = (self.of_day / 3_600_000, self.of_day % 1000);
        let number = match letter {
            'G' => return out.push_str(if self.year > 0 { "AD" } else { "BC" }),
            'y' if count == 2 => return pad(era_year(self.year) % 100, 2, out),
            'y' => era_year(self.year),
            'Y' if count == 2 => return pad(era_year(self.week().1) % 100, 2, out),
            'Y' => era_year(self.week().1),
            'M' | 'L' if count >= 3 => return name(out, MONTHS[self.month as usize - 1]),
            'M' | 'L' => i64::from(self.month),
            'w' => self.week().0,
            'W' => (self.of_month() + (self.weekday - self.of_month()).rem_euclid(7)) / 7 + 1,
            'D' => self.day_of_year,
            'd' => i64::from(self.day),
            'F' => self.of_month() / 7 + 1,
            'E' => return name(out, WEEKDAYS[self.weekday as usize]),
            'u' => (self.weekday + 6) % 7 + 1,
            'a' => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
            'H' => hour,
            'k' => (hour + 23) % 24 + 1,
            'K' => hour % 12,
            'h' => (hour + 11) % 12 + 1,
            'm' => self.of_day / 60_000 % 60,
            's' => self.of_day / 1000 % 60,
            'S' => millis,
            'z' if count >= 4 => return out.push_str("Coordinated Universal Time"),
            'z' => return out.push_str("UTC"),
            'Z' => return out.push_str("+0000"),
            _ => return out.push('Z'),
        };
        pad(number, count, out);
    }
}

fn pad(number: i64, width: usize, out: &mut String) {
    let text = number.to_string();
    out.extend(std::iter::repeat_n('0', width.saturating_sub(text.len())));
    out.push_str(&text);
}

/// What was read so far.
#[derive(Default)]
struct Found {
    before_christ: bool,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    /// Counts only when it came after the day of the month.
    day_of_year: Option<i64>,
    afternoon: Option<bool>,
    hour: Option<i64>,
    hour_of_half: Option<i64>,
    minute: i64,
    second: i64,
    millis: i64,
    offset_ms: i64,
}

impl Found {
    /// Reads a field; returns what is left.
    fn read<'a>(&mut self, letter: char, count: usize, abutting: bool, text: &'a str) -> Option<&'a str> {
        let text = text.trim_start_matches([' ', '\t']);
        match letter {
            'G' => {
                let (era, rest) = one_of(text, &["BC", "AD"], 2)?;
                self.before_christ = era == 0;
                return Some(rest);
            }
            'M' | 'L' if count >= 3 => {
                let (month, rest) = one_of(text, &MONTHS, 3)?;
                self.month = Some(month as i64 + 1);
                return Some(rest);
            }
            'E' => return one_of(text, &WEEKDAYS, 3).map(|(_, rest)| rest),
            'a' => {
                let (half, rest) = one_of(text, &["AM", "PM"], 2)?;
                self.afternoon = Some(half == 1);
                return Some(rest);
            }
            'z' | 'Z' | 'X' => {
                let (offset, rest) = zone(text, letter, count)?;
                self.offset_ms = offset;
                return Some(rest);
            }
            _ => {}
        }
        let (number, rest) = number(text, abutting.then_some(count))?;
        let digits = text.len() - rest.len();
        match letter {
            'y' | 'Y' if count <= 2 && digits == 2 && number >= 0 => self.year = Some(in_century(number)),
            'y' | 'Y' => self.year = Some(number),
            'M' | 'L' => self.month = Some(number),
            'd' => (self.day, self.day_of_year) = (Some(number), None),
            'D' => self.day_of_year = Some(number),
            'H' => self.hour = Some(number),
            'k' => self.hour = Some(if number == 24 { 0 } else { number }),
            'K' => self.hour_of_half = Some(number),
            'h' => self.hour_of_half = Some(if number == 12 { 0 } else { number }),
            'm' => self.minute = number,
            's' => self.second = number,
            'S' => self.millis = number,
            _ => {}
        }
        Some(rest)
    }

    fn millis(&self) -> Option<i64> {
        let year = match self.year {
            Some(year) if self.before_christ => 1i64.checked_sub(year)?,
            other => other.unwrap_or(1970),
        };
        let days = match self.day_of_year {
            Some(day) => days_of(year, 1, 1)?.checked_add(day)?.checked_sub(1)?,
            None => days_of(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let half_day = if self.afternoon == Some(true) { 12 } else { 0 };
        let half = self.hour_of_half.map(|hour| hour.saturating_add(half_day));
        let only_half = self.afternoon.map_or(0, |afternoon| if afternoon { 12 } else { 0 });
        let hour = half.or(self.hour).unwrap_or(only_half);
        let minutes = hour.checked_mul(60)?.checked_add(self.minute)?;
        let of_day = minutes.checked_mul(60)?.checked_add(self.second)?.checked_mul(1000)?.checked_add(self.millis)?;
        days.checked_mul(DAY_MS)?.checked_add(of_day)?.checked_sub(self.offset_ms)
    }
}

/// A two-digit year lies within 80 years before and 20 years after now.
fn in_century(year: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let start = civil((now / 86_400) as i64).0 - 80;
    start.div_euclid(100) * 100 + year + if year < start.rem_euclid(100) { 100 } else { 0 }
}

/// Which name a text starts with, in full or shortened, without regard to case. The longest counts.
fn one_of<'a>(text: &'a str, names: &[&str], short: usize) -> Option<(usize, &'a str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let full = names.iter().position(|name| starts(name)).map(|place| (place, names[place].len()));
    let place = full.or_else(|| names.iter().position(|name| starts(&name[..short])).map(|place| (place, short)))?;
    Some((place.0, &text[place.1..]))
}

/// An integer, of at most so many characters when another field follows at once.
fn number(text: &str, width: Option<usize>) -> Option<(i64, &str)> {
    let limited = match width {
        Some(width) => text.get(..width)?,
        None => text,
    };
    let unsigned = limited.strip_prefix('-').unwrap_or(limited);
    let digits = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    if digits == 0 {
        return None;
    }
    let end = limited.len() - unsigned.len() + digits;
    Some((limited[..end].parse().ok()?, &text[end..]))
}

/// Zones by the names that texts use, in minutes. Abbreviations that several zones share are those of America, as in Java.
const ZONES: [(&str, i64); 34] = [
    ("Coordinated Universal Time", 0),
    ("Greenwich Mean Time", 0),
    ("Eastern Standard Time", -300),
    ("Eastern Daylight Time", -240),
    ("Central Standard Time", -360),
    ("Central Daylight Time", -300),
    ("Mountain Standard Time", -420),
    ("Mountain Daylight Time", -360),
    ("Pacific Standard Time", -480),
    ("Pacific Daylight Time", -420),
    ("Alaska Standard Time", -540),
    ("Alaska Daylight Time", -480),
    ("Hawaii-Aleutian Standard Time", -600),
    ("Central European Standard Time", 60),
    ("Central European Summer Time", 120),
    ("AKST", -540),
    ("AKDT", -480),
    ("CEST", 120),
    ("EEST", 180),
    ("WEST", 60),
    ("UTC", 0),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("HST", -600),
    ("CET", 60),
    ("EET", 120),
    ("WET", 0),
    ("JST", 540),
];

/// An offset in milliseconds, by name or by hours and minutes.
fn zone(text: &str, letter: char, count: usize) -> Option<(i64, &str)> {
    if letter == 'X' {
        return match text.strip_prefix('Z') {
            Some(rest) => Some((0, rest)),
            None => offset(text, count, count == 3).filter(|_| count < 4),
        };
    }
    if text.starts_with(['+', '-']) {
        return offset(text, 0, false);
    }
    let after = |name: &str| {
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| &text[name.len()..])
    };
    if let Some(rest) = after("GMT") {
        return if rest.starts_with(['+', '-']) { offset(rest, 0, true) } else { Some((0, rest)) };
    }
    ZONES.iter().find_map(|(name, minutes)| after(name).map(|rest| (minutes * 60_000, rest)))
}

/// A sign, hours and minutes: `+0130`, with a colon between them, or with one `X` only the hours. Hours may be a single
/// digit where only a colon tells their end.
fn offset(text: &str, count: usize, colon: bool) -> Option<(i64, &str)> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let text = text.strip_prefix(['+', '-'])?;
    let digits = |text: &str, most: usize| text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let width = digits(text, 2);
    if width == 0 || width == 1 && (count > 0 || !colon) {
        return None;
    }
    let (hours, mut rest) = text.split_at(width);
    let mut minutes = "0";
    if count != 1 {
        rest = if colon { rest.strip_prefix(':')? } else { rest };
        if digits(rest, 2) < 2 {
            return None;
        }
        (minutes, rest) = rest.split_at(2);
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some((sign * (hours * 60 + minutes) * 60_000, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_java_writes() {
        let format = |pattern: &str| Pattern::parse(pattern).unwrap().format(1_577_934_245_123);
        assert_eq!(format("yyyyMMdd"), "20200102");
        assert_eq!(format("EEE, d MMM yyyy HH:mm:ss Z"), "Thu, 2 Jan 2020 03:04:05 +0000");
        assert_eq!(format("yy-M-d h:mm a 'o''clock' SSSS"), "20-1-2 3:04 AM o'clock 0123");
        assert_eq!(format("YYYY-'W'ww-u XXX"), "2020-W01-4 Z");
        // 15 October 1582, the day after the fourth.
        assert_eq!(Pattern::parse("F W w").unwrap().format(-12_219_292_800_000), "1 1 40");
    }

    #[test]
    fn reads_leniently() {
        let parse = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().parse_text(text);
        assert_eq!(parse("yyyy-MM-dd", "2020-01-02xyz"), Some(1_577_923_200_000));
        assert_eq!(parse("yyyyMMdd", "20200102"), Some(1_577_923_200_000));
        assert_eq!(parse("yyyy-MM-dd", "2020-13-45"), Some(1_613_260_800_000));
        assert_eq!(parse("yyyy-MM-dd'T'HH:mm:ss.SSSX", "2020-01-02T03:04:05.123+01"), Some(1_577_930_645_123));
        assert_eq!(parse("yyyy", "x"), None);
    }

    #[test]
    fn numbers_beyond_every_calendar_are_refused() {
        let (least, most) = (i64::MIN.to_string(), i64::MAX.to_string());
        for (pattern, text) in [
            ("G y", format!("BC {least}")),
            ("a h", format!("PM {most}")),
            ("K a", format!("{most} PM")),
            ("D", most.clone()),
            ("M", least.clone()),
            ("y H m s S", format!("1 {most} {most} {most} {most}")),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().parse_text(&text), None, "{pattern}");
        }
        for millis in [i64::MIN, i64::MAX] {
            assert!(!Pattern::parse("GyYMwWDdFEuaHkKhmsSzZXL").unwrap().format(millis).is_empty());
        }
    }

    #[test]
    fn zones_have_names_or_offsets() {
        let hours = |pattern: &str, text: &str| {
            let parsed = Pattern::parse(pattern).unwrap().parse_text(&format!("1970-01-02 {text}"));
            parsed.map(|millis| (DAY_MS - millis) as f64 / 3_600_000.0)
        };
        let cases = [
            ("PST", Some(-8.0)),
            ("pdt", Some(-7.0)),
            ("Pacific Standard Time", Some(-8.0)),
            ("CEST", Some(2.0)),
            ("CET", Some(1.0)),
            ("GMT", Some(0.0)),
            ("GMT+5:30", Some(5.5)),
            ("GMT+5", None),
            ("UTC+2", Some(0.0)),
            ("-0130", Some(-1.5)),
            ("+01:00", None),
            ("+01", None),
            ("Nowhere", None),
        ];
        for (text, expected) in cases {
            assert_eq!(hours("yyyy-MM-dd z", text), expected, "{text}");
        }
        assert_eq!(hours("yyyy-MM-dd X", "+0130"), Some(1.0));
        assert_eq!(hours("yyyy-MM-dd XX", "+0130"), Some(1.5));
        assert_eq!(hours("yyyy-MM-dd XXX", "+01:30"), Some(1.5));
        assert_eq!(hours("yyyy-MM-dd XXX", "+0130"), None);
        assert_eq!(hours("yyyy-MM-dd XXX", "+24:00"), None);
    }

    #[test]
    fn refuses_what_java_refuses() {
        assert_eq!(Pattern::parse("yyyyb").unwrap_err(), "Illegal pattern character 'b'");
        assert_eq!(Pattern::parse("'open").unwrap_err(), "Unterminated quote");
        assert_eq!(Pattern::parse("XXXX").unwrap_err(), "invalid ISO 8601 format: length=4");
    }
}
