//! Where additional columns of an outbox table go: `column:header`, `column:envelope:name`, `column:partition`.

use crate::debezium::settings::Settings;

/// A part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    Header,
    Envelope,
    Partition,
}

/// A column, where it goes, and what it is called there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Additional {
    pub(super) field: String,
    /// `None` for a name of no placement, which is found out with the first event.
    pub(super) placement: Option<Placement>,
    pub(super) alias: String,
}

/// Splits at commas; empty texts at the end do not count, but an empty text is one element.
fn elements(text: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(',').collect();
    while parts.len() > 1 && parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

/// Splits at colons, without empty parts at the end.
fn parts(element: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = element.split(':').collect();
    while parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

/// What is wrong with a list.
pub(super) fn problem(_: &Settings<'_>, text: &str) -> Option<String> {
    let elements = elements(text);
    let good = elements.iter().all(|element| matches!(parts(element).len(), 2 | 3));
    let shown = elements.join(", ");
    (!good).then(|| format!("A comma-separated list of valid String pairs or trios is expected but got: [{shown}]"))
}

/// The additional columns of a list that has no problem.
pub(super) fn all(settings: &Settings<'_>, key: &str) -> Vec<Additional> {
    let Some(text) = settings.given(key) else { return Vec::new() };
    elements(text).into_iter().map(additional).collect()
}

fn additional(element: &str) -> Additional {
    let parts = parts(element);
    let part = |place: usize| parts.get(place).map(|part| part.trim().to_owned());
    let field = part(0).unwrap_or_default();
    let placement = match part(1).unwrap_or_default().to_ascii_lowercase().as_str() {
        "header" => Some(Placement::Header),
        "envelope" => Some(Placement::Envelope),
        "partition" => Some(Placement::Partition),
        _ => None,
    };
    Additional { alias: part(2).unwrap_or_else(|| field.clone()), placement, field }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_goes_where_its_element_says() {
        let column = |element: &str| {
            let Additional { field, placement, alias } = additional(element);
            (field, placement, alias)
        };
        let text = str::to_owned;
        assert_eq!(column(" a : HEADER : b "), (text("a"), Some(Placement::Header), text("b")));
        assert_eq!(column("a:envelope:"), (text("a"), Some(Placement::Envelope), text("a")));
        assert_eq!(column("a:nowhere"), (text("a"), None, text("a")));
    }

    #[test]
    fn an_element_has_two_or_three_parts() {
        assert_eq!(elements("a:b,"), ["a:b"]);
        assert_eq!(elements(""), [""]);
        assert_eq!(parts("::").len(), 0);
        assert_eq!(parts("a::x").len(), 3);
    }
}
