//! Time zones by the names that Java knows, and their offsets at times far outside of the calendar that others can handle.

use connect_api::Result;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::debezium::envelope::java_error;

/// Four hundred years: the Gregorian calendar repeats itself, days of the week included.
const CYCLE_SECONDS: i64 = 146_097 * 86_400;
/// The years that are looked up as they are: from -9000 to 9000.
const FIRST: i64 = -346_180_000_000;
const LAST: i64 = 221_845_000_000;
/// The largest offset that Java has, in seconds.
const OFFSET_MAX: i32 = 18 * 3600;

/// Names that Java takes for short ones of other zones when it checks a setting, and then does not find.
const SHORT_IDS: [&str; 28] = [
    "ACT", "AET", "AGT", "ART", "AST", "BET", "BST", "CAT", "CNT", "CST", "CTT", "EAT", "ECT", "EST", "HST", "IET",
    "IST", "JST", "MIT", "MST", "NET", "NST", "PLT", "PNT", "PRT", "PST", "SST", "VST",
];
/// Zones of Unix System V, which Java has kept.
const SYSTEM_V: [(&str, &str); 13] = [
    ("AST4", "AST4"),
    ("AST4ADT", "AST4ADT,M4.5.0,M10.5.0"),
    ("CST6", "CST6"),
    ("CST6CDT", "CST6CDT,M4.5.0,M10.5.0"),
    ("EST5", "EST5"),
    ("EST5EDT", "EST5EDT,M4.5.0,M10.5.0"),
    ("HST10", "HST10"),
    ("MST7", "MST7"),
    ("MST7MDT", "MST7MDT,M4.5.0,M10.5.0"),
    ("PST8", "PST8"),
    ("PST8PDT", "PST8PDT,M4.5.0,M10.5.0"),
    ("YST9", "YST9"),
    ("YST9YDT", "YST9YDT,M4.5.0,M10.5.0"),
];
/// Zones of the database that Java does not offer.
const NOT_OFFERED: [&str; 3] = ["ROC", "Factory", "localtime"];

/// A zone that a setting may name.
pub(super) enum Zone {
    Known(TimeZone),
    Fixed(i32),
    /// The setting is accepted; the first timestamp finds out.
    Unknown(String),
}

impl Zone {
    /// The zone of a name or of an offset like `+08:00` or `-03:30:15`.
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some(offset) = fixed(name) {
            let in_range = offset.filter(|offset| offset.abs() <= OFFSET_MAX);
            return Some(in_range.map_or_else(|| Self::Unknown(name.to_owned()), Self::Fixed));
        }
        if SHORT_IDS.contains(&name) {
            return Some(Self::Unknown(name.to_owned()));
        }
        if let Some(rest) = name.strip_prefix("SystemV/") {
            let (_, rule) = SYSTEM_V.into_iter().find(|(name, _)| *name == rest)?;
            return TimeZone::posix(rule).ok().map(Self::Known);
        }
        let zone = TimeZone::get(name).ok().filter(|_| !NOT_OFFERED.contains(&name))?;
        // The database does not mind upper and lower case, Java does.
        (zone.iana_name() == Some(name)).then_some(Self::Known(zone))
    }

    fn unknown(name: &str) -> connect_api::Error {
        java_error("java.time.zone.ZoneRulesException", format!("Unknown time-zone ID: {name}"))
            .hint("name the zone by its place, like America/New_York")
    }

    /// The offset in seconds at an instant, in seconds since the epoch.
    pub(super) fn offset_at(&self, seconds: i64) -> Result<i32> {
        match self {
            Self::Fixed(offset) => Ok(*offset),
            Self::Unknown(name) => Err(Self::unknown(name)),
            Self::Known(zone) => Ok(zone.to_offset(instant(seconds)).seconds()),
        }
    }

    /// The offset now.
    pub(super) fn offset_now(&self) -> Result<i32> {
        self.offset_at(jiff::Timestamp::now().as_second())
    }

    /// The offset of a time of day, in seconds since the epoch as if it were UTC: in a gap, and where a time of day comes
    /// twice, the offset before.
    pub(super) fn offset_of_local(&self, seconds: i64) -> Result<i32> {
        let Self::Known(zone) = self else { return self.offset_at(seconds) };
        let local: DateTime = Offset::UTC.to_datetime(instant(seconds));
        Ok(match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before.seconds(),
        })
    }
}

/// An instant that can be looked up, with the same rules.
fn instant(seconds: i64) -> jiff::Timestamp {
    let seconds =
        if seconds > LAST { LAST - CYCLE_SECONDS + (seconds - LAST).rem_euclid(CYCLE_SECONDS) } else { seconds };
    jiff::Timestamp::from_second(seconds.max(FIRST)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// `+hh:mm` or `+hh:mm:ss` in seconds; the inner `None` for parts that are out of range.
fn fixed(text: &str) -> Option<Option<i32>> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let parts: Vec<&str> = text[1..].split(':').collect();
    let well_formed = matches!(parts.len(), 2 | 3)
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    let number = |place: usize| parts.get(place).and_then(|part| part.parse::<i32>().ok()).unwrap_or(0);
    let (hours, minutes, seconds) = (number(0), number(1), number(2));
    let in_range = hours <= 18 && minutes < 60 && seconds < 60;
    Some(in_range.then_some(sign * (hours * 3600 + minutes * 60 + seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::named(name).unwrap()
    }

    #[test]
    fn names_are_those_of_java() {
        for name in ["Europe/Paris", "UTC", "GMT0", "Zulu", "EST5EDT", "SystemV/EST5", "+05:30", "-18:00", "+01:02:03"]
        {
            assert!(Zone::named(name).is_some_and(|zone| zone.offset_at(0).is_ok()), "{name}");
        }
        for name in ["EST", "PST", "+19:00", "-18:30"] {
            assert!(Zone::named(name).is_some_and(|zone| zone.offset_at(0).is_err()), "{name}");
        }
        for name in ["Nowhere/City", "europe/paris", "+5:30", "+05", "Z", "UTC+2", "ROC", ""] {
            assert!(Zone::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn offsets_hold_far_away_too() {
        let paris = zone("Europe/Paris");
        // The first of July at noon, in 2019 and 400 years and more later.
        let summer = 1_561_982_400;
        for cycles in [0, 1, 20, 700_000] {
            assert_eq!(paris.offset_at(summer + cycles * CYCLE_SECONDS).unwrap(), 7200, "{cycles}");
        }
        assert_eq!(paris.offset_at(-3_000_000_000).unwrap(), 561);
        assert_eq!(paris.offset_of_local(i64::MIN / 1000).unwrap(), 561);
    }

    #[test]
    fn a_time_that_is_not_or_comes_twice_has_the_offset_before() {
        let paris = zone("Europe/Paris");
        assert_eq!(paris.offset_of_local(1_585_449_000).unwrap(), 3600);
        assert_eq!(paris.offset_of_local(1_603_593_000).unwrap(), 7200);
    }
}
