//! Versions that a configuration asks for (`connector.plugin.version` and the like, KIP-891), in Maven's notation.
//!
//! Each plugin is there in one version, so a requirement fits or it does not.

use std::cmp::Ordering;
use std::fmt;

/// One end of an interval.
#[derive(Clone, Debug, PartialEq)]
struct Bound {
    version: String,
    included: bool,
}

/// Versions between two ends; a missing end is open.
#[derive(Clone, Debug, PartialEq)]
struct Interval {
    low: Option<Bound>,
    high: Option<Bound>,
}

/// Why a version that is asked for can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VersionProblem {
    /// It is no version and no range.
    #[error("{0}")]
    Malformed(String),
    /// There is no such version of the plugin.
    #[error(
        "Plugin {class} not found that matches the version range {range}, available versions: [{}]",
        available.join(", ")
    )]
    Missing {
        /// The plugin's full class name.
        class: String,
        range: String,
        /// Once for each kind of plugin that the class is.
        available: Vec<String>,
    },
}

/// Refuses a version that does not fit what is asked for. Nothing and `latest` ask for nothing; a single version asks
/// for just this one; `[1.0,2.0)` and unions of such intervals are ranges. `kinds` counts what the plugin is: the JVM lists
/// the version of a converter that converts headers too twice.
pub(crate) fn require(class: &str, asked: Option<&str>, version: &str, kinds: usize) -> Result<(), VersionProblem> {
    let Some(asked) = asked.filter(|asked| *asked != "latest").map(str::trim) else { return Ok(()) };
    let malformed = VersionProblem::Malformed;
    parse(asked).map_err(malformed)?;
    let hard = if asked.starts_with(['[', '(']) { asked.to_owned() } else { format!("[{asked}]") };
    let intervals = parse(&hard).map_err(malformed)?;
    let fits = |interval: &Interval| {
        let above = interval.low.as_ref().is_none_or(|low| match compare(version, &low.version) {
            Ordering::Greater => true,
            Ordering::Equal => low.included,
            Ordering::Less => false,
        });
        above
            && interval.high.as_ref().is_none_or(|high| match compare(version, &high.version) {
                Ordering::Less => true,
                Ordering::Equal => high.included,
                Ordering::Greater => false,
            })
    };
    if intervals.iter().any(fits) {
        return Ok(());
    }
    Err(VersionProblem::Missing {
        class: class.to_owned(),
        range: intervals.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        available: vec![version.to_owned(); kinds],
    })
}

impl fmt::Display for Interval {
    /// As Maven prints it: both ends, even when they are the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.version.clone()).unwrap_or_default();
        let included = |bound: &Option<Bound>| bound.as_ref().is_some_and(|bound| bound.included);
        let opening = if included(&self.low) { '[' } else { '(' };
        let closing = if included(&self.high) { ']' } else { ')' };
        write!(f, "{opening}{},{}{closing}", text(&self.low), text(&self.high))
    }
}

/// The intervals of a range, with the problems and words of Maven's `VersionRange.createFromVersionSpec`. A plain version
/// is a recommendation there: no interval at all.
fn parse(spec: &str) -> Result<Vec<Interval>, String> {
    let mut rest = spec;
    let mut intervals: Vec<Interval> = Vec::new();
    while rest.starts_with(['[', '(']) {
        let end = rest.find([']', ')']).ok_or_else(|| format!("Unbounded range: {spec}"))?;
        let interval = interval(&rest[..=end])?;
        let before = intervals.last().and_then(|last| last.high.as_ref());
        let overlaps = before.is_some_and(|high| {
            interval.low.as_ref().is_none_or(|low| compare(&low.version, &high.version) == Ordering::Less)
        });
        if overlaps {
            return Err(format!("Ranges overlap: {spec}"));
        }
        intervals.push(interval);
        rest = rest[end + 1..].trim();
        rest = rest.strip_prefix(',').map_or(rest, str::trim);
    }
    if !rest.is_empty() && !intervals.is_empty() {
        return Err(format!("Only fully-qualified sets allowed in multiple set scenario: {spec}"));
    }
    Ok(intervals)
}

/// One interval with its brackets.
fn interval(spec: &str) -> Result<Interval, String> {
    let (low_included, high_included) = (spec.starts_with('['), spec.ends_with(']'));
    let body = spec[1..spec.len() - 1].trim();
    let bound = |version: &str, included| Bound { version: version.to_owned(), included };
    let Some((low, high)) = body.split_once(',') else {
        if !low_included || !high_included {
            return Err(format!("Single version must be surrounded by []: {spec}"));
        }
        return Ok(Interval { low: Some(bound(body, true)), high: Some(bound(body, true)) });
    };
    let given = |version: &str, included| {
        let version = version.trim();
        (!version.is_empty()).then(|| bound(version, included))
    };
    let found = Interval { low: given(low, low_included), high: given(high, high_included) };
    if let (Some(low), Some(high)) = (&found.low, &found.high) {
        let order = compare(&high.version, &low.version);
        if order == Ordering::Less || (order == Ordering::Equal && !(low_included && high_included)) {
            return Err(format!("Range defies version ordering: {spec}"));
        }
    }
    Ok(found)
}

/// Compares part by part, as Maven's `ComparableVersion`: a part ends at a dot, at a hyphen and between digits and others.
/// Numbers go by value and come after words; words have their own order, see [`rank`]; a missing part is a release.
fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    for at in 0..a.len().max(b.len()) {
        let order = match (a.get(at), b.get(at)) {
            (Some(left), Some(right)) => match (number(left), number(right)) {
                (Some(left), Some(right)) => left.cmp(&right),
                (None, Some(_)) => Ordering::Less,
                (Some(_), None) => Ordering::Greater,
                (None, None) => rank(left).cmp(&rank(right)),
            },
            (Some(left), None) => against_release(left),
            (None, Some(right)) => against_release(right).reverse(),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn parts(version: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for word in version.to_lowercase().split(['.', '-']) {
        let mut part = String::new();
        for c in word.chars() {
            if part.chars().last().is_some_and(|last| last.is_ascii_digit() != c.is_ascii_digit()) {
                parts.push(std::mem::take(&mut part));
            }
            part.push(c);
        }
        if !part.is_empty() {
            parts.push(part);
        }
    }
    parts
}

fn number(part: &str) -> Option<u64> {
    part.parse().ok()
}

fn against_release(part: &str) -> Ordering {
    match number(part) {
        Some(number) => number.cmp(&0),
        None => rank(part).cmp(&rank("")),
    }
}

/// Words in the order of the stages of a release; words that name none come behind them, by their text.
fn rank(word: &str) -> (usize, &str) {
    let stages = [
        &["alpha", "a"][..],
        &["beta", "b"],
        &["milestone", "m"],
        &["rc", "cr"],
        &["snapshot"],
        &["", "ga", "final", "release"],
        &["sp"],
    ];
    match stages.iter().position(|names| names.contains(&word)) {
        Some(stage) => (stage, ""),
        None => (stages.len(), word),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_version_asks_for_just_this_one() {
        assert_eq!(require("C", Some("4.1.1"), "4.1.1", 1), Ok(()));
        assert_eq!(require("C", Some(" 3.3.1 "), "3.3.1.Final", 1), Ok(()));
        for (asked, range) in [("9", "[9,9]"), ("", "[,]"), ("latest ", "[latest,latest]")] {
            assert_eq!(
                require("C", Some(asked), "4.1.1", 2).unwrap_err().to_string(),
                format!(
                    "Plugin C not found that matches the version range {range}, available versions: [4.1.1, 4.1.1]"
                )
            );
        }
    }

    #[test]
    fn ranges_have_open_and_closed_ends() {
        for (range, fits) in [
            ("[4.0,)", true),
            ("[4.0,4.1.1)", false),
            ("[4.0,4.1.1]", true),
            ("(4.1.1,)", false),
            ("(,4.0],[4.1,4.2)", true),
            ("[1,2)(4,5)", true),
            ("(,4.10)", true),
            ("[4,5,6]", true),
            ("[4.1.1],", true),
            ("latest", true),
        ] {
            assert_eq!(require("C", Some(range), "4.1.1", 1).is_ok(), fits, "{range}");
        }
        assert_eq!(require("C", None, "4.1.1", 1), Ok(()));
    }

    #[test]
    fn versions_compare_as_mavens_do() {
        let ordered = ["1-alpha", "1-beta2", "1-rc1", "1-SNAPSHOT", "1", "1-sp", "1-foo", "1.0.1", "1.1", "1.10"];
        for (at, low) in ordered.iter().enumerate() {
            assert_eq!(compare(low, low), Ordering::Equal);
            for high in &ordered[at + 1..] {
                assert_eq!(compare(low, high), Ordering::Less, "{low} {high}");
            }
        }
        for same in ["1.0", "1.0.0.Final", "1-ga", "1.RELEASE"] {
            assert_eq!(compare("1", same), Ordering::Equal, "{same}");
        }
    }

    #[test]
    fn malformed_ranges_get_the_words_of_maven() {
        for (asked, message) in [
            ("[1", "Unbounded range: [1"),
            ("(1)", "Single version must be surrounded by []: (1)"),
            ("()", "Single version must be surrounded by []: ()"),
            ("[5,4]", "Range defies version ordering: [5,4]"),
            ("[4,4)", "Range defies version ordering: [4,4)"),
            ("[3,4],[1,2]", "Ranges overlap: [3,4],[1,2]"),
            ("[1,2]x", "Only fully-qualified sets allowed in multiple set scenario: [1,2]x"),
            ("4.1.1]", "Only fully-qualified sets allowed in multiple set scenario: [4.1.1]]"),
        ] {
            assert_eq!(
                require("C", Some(asked), "1", 1),
                Err(VersionProblem::Malformed(message.to_owned())),
                "{asked}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(asked in "\\PC{0,20}", version in "[0-9.a-z-]{0,10}") {
            prop_assert!(require("C", Some(&asked), &version, 1).err().is_none_or(|problem| !problem.to_string().is_empty()));
        }
    }
}
