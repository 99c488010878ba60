//! Versions that a configuration asks for (`connector.plugin.version` and the like, KIP-891), in Maven's notation.
//!
//! Each plugin is there in one version, so a requirement fits or it does not.

use std::cmp::Ordering;

/// One end of an interval.
#[derive(Clone, Debug, PartialEq)]
struct Bound {
    version: String,
    included: bool,
}

/// Refuses a version that does not fit what is asked for. Nothing and `latest` ask for nothing; a single version asks
/// for just this one; `[1.0,2.0)` and unions of such intervals are ranges.
pub(crate) fn require(class: &str, asked: Option<&str>, version: &str) -> Result<(), String> {
    let Some(asked) = asked.filter(|asked| *asked != "latest").map(str::trim) else { return Ok(()) };
    let hard = if asked.contains(['[', '(']) { asked.to_owned() } else { format!("[{asked}]") };
    let Some(intervals) = parse(&hard) else { return Err(format!("Invalid version range {asked}")) };
    let fits = |(low, high): &(Option<Bound>, Option<Bound>)| {
        let above = low.as_ref().is_none_or(|low| match compare(version, &low.version) {
            Ordering::Greater => true,
            Ordering::Equal => low.included,
            Ordering::Less => false,
        });
        above
            && high.as_ref().is_none_or(|high| match compare(version, &high.version) {
                Ordering::Less => true,
                Ordering::Equal => high.included,
                Ordering::Greater => false,
            })
    };
    if intervals.iter().any(fits) {
        return Ok(());
    }
    let range = intervals.iter().map(show).collect::<Vec<_>>().join(",");
    Err(format!("Plugin {class} not found that matches the version range {range}, available versions: [{version}]"))
}

/// An interval as Maven prints it: both ends, even when they are the same.
fn show((low, high): &(Option<Bound>, Option<Bound>)) -> String {
    let opening = if low.as_ref().is_some_and(|low| low.included) { '[' } else { '(' };
    let closing = if high.as_ref().is_some_and(|high| high.included) { ']' } else { ')' };
    let text = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.version.clone()).unwrap_or_default();
    format!("{opening}{},{}{closing}", text(low), text(high))
}

/// The intervals of a range; `None` when it is malformed.
fn parse(text: &str) -> Option<Vec<(Option<Bound>, Option<Bound>)>> {
    let mut rest = text.trim();
    let mut intervals = Vec::new();
    while !rest.is_empty() {
        let low_included = match rest.chars().next()? {
            '[' => true,
            '(' => false,
            _ => return None,
        };
        let end = rest.find([']', ')'])?;
        let high_included = rest[end..].starts_with(']');
        let bound = |version: &str, included| {
            let version = version.trim().to_owned();
            Some(Bound { version, included }).filter(|bound| !bound.version.is_empty())
        };
        let body = &rest[1..end];
        intervals.push(match body.split_once(',') {
            Some((low, high)) if !high.contains(',') => (bound(low, low_included), bound(high, high_included)),
            None if low_included && high_included => {
                let only = bound(body, true)?;
                (Some(only.clone()), Some(only))
            }
            _ => return None,
        });
        rest = rest[end + 1..].trim_start().trim_start_matches(',').trim_start();
    }
    (!intervals.is_empty()).then_some(intervals)
}

/// Compares part by part: numbers by value, a missing part as 0, other words by their text and before nothing else
/// than themselves.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| text.split(['.', '-']).map(str::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (parts(a), parts(b));
    // Words that Maven takes as the release itself.
    let number = |part: &str| if matches!(part, "final" | "ga" | "release" | "") { Some(0) } else { part.parse().ok() };
    for at in 0..a.len().max(b.len()) {
        let (left, right) = (a.get(at).map_or("0", String::as_str), b.get(at).map_or("0", String::as_str));
        let order = match (number(left), number(right)) {
            (Some(left), Some(right)) => u64::cmp(&left, &right),
            // A word, as in `1.0-beta`, comes before the release.
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (None, None) => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_version_asks_for_just_this_one() {
        assert!(require("C", Some("4.1.1"), "4.1.1").is_ok());
        assert!(require("C", Some(" 3.3.1 "), "3.3.1.Final").is_ok());
        assert_eq!(
            require("C", Some("9"), "4.1.1"),
            Err("Plugin C not found that matches the version range [9,9], available versions: [4.1.1]".to_owned())
        );
    }

    #[test]
    fn ranges_have_open_and_closed_ends() {
        for (range, fits) in [
            ("[4.0,)", true),
            ("[4.0,4.1.1)", false),
            ("[4.0,4.1.1]", true),
            ("(4.1.1,)", false),
            ("(,4.0],[4.1,4.2)", true),
            ("(,4.10)", true),
            ("latest", true),
        ] {
            assert_eq!(require("C", Some(range), "4.1.1").is_ok(), fits, "{range}");
        }
        assert!(require("C", None, "4.1.1").is_ok());
        for malformed in ["[1", "[1,2,3]", "(1)", "1]["] {
            assert!(require("C", Some(malformed), "1").is_err(), "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(asked in "\\PC{0,20}", version in "[0-9.a-z-]{0,10}") {
            prop_assert!(require("C", Some(&asked), &version).err().is_none_or(|problem| !problem.is_empty()));
        }
    }
}
