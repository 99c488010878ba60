//! Date texts of a time series' time field (`FlexibleDateTimeParser`).
//!
//! Patterns of Java's `DateTimeFormatter`: the letters y, u, M, d, H, h, m, s, S, a, X, x, Z, V, quoted literals and
//! optional parts in brackets. A text without a time of day is the start of its day, without an offset it is UTC.

use bson::DateTime;

/// The pattern that stands as the default of `timeseries.timefield.auto.convert.date.format`.
pub const DEFAULT_PATTERN: &str = "yyyy-MM-dd[['T'][ ]][HH:mm:ss[[.][SSSSSS][SSS]][ ]VV[ ]'['VV']'][HH:mm:ss[[.][SSSSSS][SSS]][ ]X][HH:mm:ss[[.][SSSSSS][SSS]]]";

/// How deep optional parts may stand in each other: they are read by functions that call themselves.
const DEPTH_MAX: usize = 100;

/// One part of a pattern.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(char),
    /// A letter and how often it stands.
    Field(char, usize),
    Optional(Vec<Part>),
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeParser {
    parts: Vec<Part>,
}

/// What a text gave so far.
#[derive(Clone, Debug, Default)]
struct Found {
    year: Option<i32>,
    month: Option<u8>,
    day: Option<u8>,
    hour: Option<u8>,
    afternoon: Option<bool>,
    minute: Option<u8>,
    second: Option<u8>,
    nanos: Option<u32>,
    offset_seconds: Option<i32>,
}

const LETTERS: &str = "yuMdHhmsSaXxZV";
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTHS_LONG: [&str; 12] = [
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

impl TimeParser {
    /// Reads a pattern; the error is Java's wording where it is ours to know.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let mut chars = pattern.chars().peekable();
        let parts = parts(&mut chars, 0)?;
        if chars.next().is_some() {
            return Err("Pattern invalid as it contains ] without previous [".to_owned());
        }
        Ok(Self { parts })
    }

    /// Milliseconds since the epoch, `None` when the text does not fit.
    pub fn millis(&self, text: &str) -> Option<i64> {
        let mut found = Found::default();
        let rest = read(&self.parts, text, &mut found)?;
        if !rest.is_empty() {
            return None;
        }
        found.millis()
    }
}

fn parts(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, depth: usize) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    while let Some(&c) = chars.peek() {
        if c == ']' {
            if depth == 0 {
                return Err("Pattern invalid as it contains ] without previous [".to_owned());
            }
            break;
        }
        chars.next();
        match c {
            '[' if depth >= DEPTH_MAX => {
                return Err(format!("Pattern invalid as its optional parts nest more than {DEPTH_MAX} levels deep"));
            }
            '[' => {
                parts.push(Part::Optional(self::parts(chars, depth + 1)?));
                // An optional part that is not closed ends with the pattern.
                chars.next_if_eq(&']');
            }
            '\'' => quoted(chars, &mut parts)?,
            c if c.is_ascii_alphabetic() => {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                if !LETTERS.contains(c) {
                    return Err(match count {
                        6.. => format!("Too many pattern letters: {c}"),
                        _ => format!("Unknown pattern letter: {c}"),
                    });
                }
                parts.push(Part::Field(c, count));
            }
            '{' | '}' | '#' => return Err(format!("Pattern includes reserved character: '{c}'")),
            c => parts.push(Part::Literal(c)),
        }
    }
    Ok(parts)
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, parts: &mut Vec<Part>) -> Result<(), String> {
    if chars.next_if_eq(&'\'').is_some() {
        parts.push(Part::Literal('\''));
        return Ok(());
    }
    while let Some(c) = chars.next() {
        if c != '\'' {
            parts.push(Part::Literal(c));
        } else if chars.next_if_eq(&'\'').is_some() {
            parts.push(Part::Literal('\''));
        } else {
            return Ok(());
        }
    }
    Err("Pattern ends with an incomplete string literal".to_owned())
}

/// Reads parts in order; an optional part that does not fit is skipped.
fn read<'a>(parts: &[Part], text: &'a str, found: &mut Found) -> Option<&'a str> {
    let mut rest = text;
    for part in parts {
        match part {
            Part::Literal(c) => rest = rest.strip_prefix(*c)?,
            Part::Field(letter, count) => rest = field(*letter, *count, rest, found)?,
            Part::Optional(inner) => {
                let mut tried = found.clone();
                if let Some(after) = read(inner, rest, &mut tried) {
                    rest = after;
                    *found = tried;
                }
            }
        }
    }
    Some(rest)
}

fn field<'a>(letter: char, count: usize, text: &'a str, found: &mut Found) -> Option<&'a str> {
    let two = |text: &'a str| digits(text, if count == 1 { 1 } else { count }, count.max(2));
    match letter {
        'y' | 'u' => {
            let (year, rest) = digits(text, if count == 1 { 1 } else { count }, if count == 2 { 2 } else { 9 })?;
            let year = i32::try_from(year).ok()?;
            found.year = Some(if count == 2 { 2000 + year } else { year });
            Some(rest)
        }
        'M' if count >= 3 => {
            let names = if count == 3 { MONTHS } else { MONTHS_LONG };
            let index = names.iter().position(|name| text.starts_with(name))?;
            found.month = u8::try_from(index + 1).ok();
            text.strip_prefix(names[index])
        }
        'a' => {
            let (head, rest) = text.split_at_checked(2)?;
            found.afternoon = Some(match head.to_ascii_uppercase().as_str() {
                "AM" => false,
                "PM" => true,
                _ => return None,
            });
            Some(rest)
        }
        'S' => {
            let (value, rest) = digits(text, count, count)?;
            let scale = 10_u64.pow(u32::try_from(9_usize.checked_sub(count)?).ok()?);
            found.nanos = u32::try_from(value * scale).ok();
            Some(rest)
        }
        'X' | 'x' | 'Z' => offset(letter, count, text, found),
        'V' => zone(text, found),
        _ => {
            let (value, rest) = two(text)?;
            let value = u8::try_from(value).ok()?;
            match letter {
                'M' => found.month = Some(value),
                'd' => found.day = Some(value),
                'H' | 'h' => found.hour = Some(value),
                'm' => found.minute = Some(value),
                _ => found.second = Some(value),
            }
            Some(rest)
        }
    }
}

fn digits(text: &str, min: usize, max: usize) -> Option<(u64, &str)> {
    let count = text.bytes().take(max).take_while(u8::is_ascii_digit).count();
    if count < min {
        return None;
    }
    let (head, rest) = text.split_at_checked(count)?;
    Some((head.parse().ok()?, rest))
}

fn offset<'a>(letter: char, count: usize, text: &'a str, found: &mut Found) -> Option<&'a str> {
    if letter == 'X' && text.starts_with('Z') {
        found.offset_seconds = Some(0);
        return text.strip_prefix('Z');
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2, 2)?;
    let colon = count >= 3 && letter != 'Z';
    let after_hours = if colon { rest.strip_prefix(':') } else { Some(rest) };
    let (minutes, rest) = match after_hours.and_then(|rest| digits(rest, 2, 2)) {
        Some((minutes, rest)) => (minutes, rest),
        None if count == 1 => (0, rest),
        None => return None,
    };
    found.offset_seconds = Some(sign * i32::try_from(hours * 3600 + minutes * 60).ok()?);
    Some(rest)
}

/// A zone id. Only those that mean UTC are known here: other zones leave the text as it is.
fn zone<'a>(text: &'a str, found: &mut Found) -> Option<&'a str> {
    for name in ["UTC", "GMT", "UT", "Z"] {
        if let Some(rest) = text.strip_prefix(name) {
            found.offset_seconds = Some(0);
            return Some(rest);
        }
    }
    None
}

impl Found {
    fn millis(self) -> Option<i64> {
        let hour = match (self.hour, self.afternoon) {
            (Some(hour), Some(afternoon)) => Some(hour % 12 + if afternoon { 12 } else { 0 }),
            (hour, _) => hour,
        };
        let date = DateTime::builder()
            .year(self.year?)
            .month(self.month?)
            .day(self.day?)
            .hour(hour.unwrap_or(0))
            .minute(self.minute.unwrap_or(0))
            .second(self.second.unwrap_or(0))
            .build()
            .ok()?;
        let millis = i64::from(self.nanos.unwrap_or(0) / 1_000_000);
        Some(date.timestamp_millis() + millis - i64::from(self.offset_seconds.unwrap_or(0)) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_default_formats() {
        let parser = TimeParser::new(DEFAULT_PATTERN).unwrap();
        for (text, millis) in [
            ("2021-03-04", Some(1_614_816_000_000)),
            ("2021-03-04T05:06:07", Some(1_614_834_367_000)),
            ("2021-03-04 05:06:07.123", Some(1_614_834_367_123)),
            ("2021-03-04T05:06:07.123456", Some(1_614_834_367_123)),
            ("2021-03-04T05:06:07Z", Some(1_614_834_367_000)),
            ("2021-03-04T05:06:07+01", Some(1_614_830_767_000)),
            ("2021-03-04 05:06:07 +0130", Some(1_614_828_967_000)),
            ("2021-03-04T05:06:07.5Z", None),
            ("2021-03-04T05:06:07[Europe/Paris]", None),
            ("2021-03-04T05:06:07Z[UTC]", Some(1_614_834_367_000)),
            ("2021-13-04", None),
        ] {
            assert_eq!(parser.millis(text), millis, "{text}");
        }
    }

    #[test]
    fn reads_a_pattern_of_ones_own() {
        let parser = TimeParser::new("d MMM yyyy HH:mm:ss").unwrap();
        assert_eq!(parser.millis("4 Mar 2021 05:06:07"), Some(1_614_834_367_000));
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        assert_eq!(TimeParser::new("QQQQQQQQ{").unwrap_err(), "Too many pattern letters: Q");
        assert!(TimeParser::new("'open").is_err());
        assert!(TimeParser::new(&"[".repeat(DEPTH_MAX)).is_ok());
        assert!(TimeParser::new(&"[".repeat(100_000)).unwrap_err().contains("nest more than"));
    }
}
