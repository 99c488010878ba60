//! Which fields of which tables and topics: `source:table:field`, `topic:topic:field`, `name:field`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

/// What a list must look like, written with brackets around it and commas between its elements: a first name, then names
/// or pairs of names.
static FORM: LazyLock<Regex> = LazyLock::new(|| {
    let name = r#"[".A-Za-z0-9_\s]+"#;
    let form = format!(r"\A\[{name}:(?:{name}(?::{name})?(?:,|\]\z))+\z");
    Regex::new(&form).expect("the form is a regular expression")
});

/// True for a list that can be read.
pub(super) fn well_formed(list: &[String]) -> bool {
    FORM.is_match(&format!("[{}]", list.join(", ")))
}

type Fields = HashMap<String, HashSet<String>>;

/// A list that was read. No fields stand for all of them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rules {
    topics: Fields,
    tables: Fields,
    either: Fields,
}

/// What names of an element are about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Prefix {
    Source,
    Topic,
}

fn prefix(text: &str) -> Option<Prefix> {
    match text {
        "source" => Some(Prefix::Source),
        "topic" => Some(Prefix::Topic),
        _ => None,
    }
}

impl Rules {
    /// Reads a list. An element without a prefix has that of the element before it.
    pub(super) fn of(list: &[String]) -> Self {
        let mut rules = Self::default();
        let mut common = None;
        for element in list {
            let parts: Vec<&str> = element.split(':').map(str::trim).collect();
            let (own, name, field) = match parts.as_slice() {
                [first, name, field] => match prefix(first) {
                    Some(own) => (Some(own), *name, Some(*field)),
                    // A word that is no prefix makes an element that nothing matches.
                    None => continue,
                },
                [first, second] => match prefix(first) {
                    Some(own) => (Some(own), *second, None),
                    None => (None, *first, Some(*second)),
                },
                [name] => (None, *name, None),
                _ => continue,
            };
            common = own.or(common);
            let fields = match common {
                Some(Prefix::Topic) => &mut rules.topics,
                Some(Prefix::Source) => &mut rules.tables,
                None => &mut rules.either,
            };
            let fields = fields.entry(name.to_owned()).or_default();
            fields.extend(field.map(str::to_owned));
        }
        rules
    }

    /// The fields for a record, all when there are none in the set; `None` when the list does not name its topic or table.
    pub(super) fn fields_for(&self, topic: &str, table: Option<&str>) -> Option<&HashSet<String>> {
        let of_table = |fields: &'_ Fields| table.is_some_and(|table| fields.contains_key(table));
        if let Some(fields) = self.topics.get(topic) {
            return Some(fields);
        }
        if of_table(&self.tables) {
            return self.tables.get(table?);
        }
        if let Some(fields) = self.either.get(topic) {
            return Some(fields);
        }
        self.either.get(table?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debezium::settings::split_list;

    fn fields(list: &str, topic: &str, table: &str) -> Option<Vec<String>> {
        let list = split_list(list);
        assert!(well_formed(&list), "{list:?}");
        let rules = Rules::of(&list);
        let mut fields: Vec<String> = rules.fields_for(topic, Some(table))?.iter().cloned().collect();
        fields.sort();
        Some(fields)
    }

    #[test]
    fn a_list_has_one_prefix_and_pairs() {
        let good =
            ["source:a", "source:a:b,c", "topic:x.y:z", "a:b", "a:b,c:d", "a:b:c", "source:a b:c", "source:a:b,"];
        for list in good {
            assert!(well_formed(&split_list(list)), "{list}");
        }
        for list in ["", "x", "source:", "a:b;c", "a-b:c", "source:a:b,source:c:d", "source:.*:m", "a:b:c:d"] {
            assert!(!well_formed(&split_list(list)), "{list}");
        }
    }

    #[test]
    fn the_topic_goes_before_the_table() {
        let of = |list: &str| fields(list, "x.tbl", "tbl").map(|fields| fields.join(" "));
        assert_eq!(of("topic:x.tbl:us,source:tbl").as_deref(), Some("us"));
        assert_eq!(of("source:tbl:us,tbl:ms").as_deref(), Some("ms us"));
        assert_eq!(of("source:tbl:us,topic:x.tbl").as_deref(), Some(""));
        assert_eq!(of("tbl:ms,x.tbl:us").as_deref(), Some("us"));
        assert_eq!(of("topic:y:ms,tbl:us"), None);
        assert_eq!(of("a:b:c,tbl:ms").as_deref(), Some("ms"));
    }
}
