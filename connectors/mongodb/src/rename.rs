//! Renaming of fields (`processor.field.renaming`): by a list of paths, or by regular expressions.

use std::collections::HashSet;

use bson::{Bson, Document};
use connect_config::ConfigError;
use regex::Regex;

use crate::doc::extjson::parse_documents;

/// One rule of `field.renamer.regexp`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which paths it concerns, as a whole.
    path: Regex,
    pattern: Regex,
    /// In the syntax of the regex crate.
    replace: String,
}

/// A renamer.
#[derive(Clone, Debug)]
pub enum Renamer {
    /// Old path to new name.
    Mapping(Vec<(String, String)>),
    Rules(Vec<Rule>),
}

impl Renamer {
    /// `RenameByMapping` from its setting.
    pub fn mapping(setting: &str) -> Result<Self, ConfigError> {
        const KEY: &str = "field.renamer.mapping";
        let mut mapping = Vec::new();
        for rename in documents(KEY, setting)? {
            let (Ok(old), Ok(new)) = (rename.get_str("oldName"), rename.get_str("newName")) else {
                return Err(ConfigError::invalid(KEY, setting, "Both oldName and newName must be mapped"));
            };
            mapping.push((old.to_owned(), new.to_owned()));
        }
        Ok(Self::Mapping(mapping))
    }

    /// `RenameByRegExp` from its setting.
    pub fn rules(setting: &str) -> Result<Self, ConfigError> {
        const KEY: &str = "field.renamer.regexp";
        let mut rules = Vec::new();
        for rule in documents(KEY, setting)? {
            let part = |name: &str| {
                rule.get_str(name)
                    .map_err(|_| ConfigError::invalid(KEY, setting, "'regexp', 'pattern' and 'replace' must be mapped"))
            };
            let compile = |text: &str| {
                Regex::new(text).map_err(|error| ConfigError::invalid(KEY, setting, format!("Invalid regex: {error}")))
            };
            rules.push(Rule {
                path: compile(&format!("^(?:{})$", part("regexp")?))?,
                pattern: compile(part("pattern")?)?,
                replace: replacement(part("replace")?),
            });
        }
        Ok(Self::Rules(rules))
    }

    fn is_active(&self) -> bool {
        match self {
            Self::Mapping(mapping) => !mapping.is_empty(),
            Self::Rules(rules) => !rules.is_empty(),
        }
    }

    fn renamed(&self, parent: &str, name: &str) -> String {
        let path = format!("{parent}.{name}");
        match self {
            Self::Mapping(mapping) => {
                mapping.iter().rev().find(|(old, _)| *old == path).map_or(name, |(_, new)| new).to_owned()
            }
            Self::Rules(rules) => {
                rules.iter().filter(|rule| rule.path.is_match(&path)).fold(name.to_owned(), |name, rule| {
                    rule.pattern.replace_all(&name, rule.replace.as_str()).into_owned()
                })
            }
        }
    }

    /// Renames the fields of a document; `root` is `key` or `value`.
    pub fn apply(&self, root: &str, document: &mut Document) {
        if self.is_active() {
            self.rename(root, document);
        }
    }

    /// Renamed fields go to the end. A field whose new name is taken is dropped: overwriting would lose data
    /// silently, and so does the JVM's connector decide. Below a renamed field paths use the new name.
    fn rename(&self, parent: &str, document: &mut Document) {
        let entries = std::mem::take(document);
        let mut present: HashSet<String> = entries.keys().cloned().collect();
        let mut renamed = Document::new();
        for (old, mut value) in entries {
            let new = self.renamed(parent, &old);
            if let Bson::Document(inner) = &mut value {
                self.rename(&format!("{parent}.{new}"), inner);
            }
            if new == old {
                document.insert(old, value);
                continue;
            }
            if !present.contains(&new) && !renamed.contains_key(&new) {
                renamed.insert(new, value);
            }
            present.remove(&old);
        }
        document.extend(renamed);
    }
}

fn documents(key: &str, setting: &str) -> Result<Vec<Document>, ConfigError> {
    parse_documents(setting).map_err(|error| {
        let why = format!(
            "Invalid value {}: {} for configuration Not a valid JSON array",
            error.java_class(),
            error.message()
        );
        ConfigError::invalid(key, setting, why)
    })
}

/// Checks a setting of either renamer.
pub fn check_setting(key: &str, setting: &str) -> Result<(), ConfigError> {
    documents(key, setting).map(|_| ())
}

/// From Java's replacement syntax: `$1` is a group, a backslash takes what follows literally.
fn replacement(java: &str) -> String {
    let mut out = String::new();
    let mut chars = java.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(c) => out.push(c),
                None => {}
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    out.push(digit);
                }
                out.push('}');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn renames_by_mapping() {
        let renamer = Renamer::mapping(
            r#"[{"oldName":"value.a","newName":"aa"},{"oldName":"value.b.c","newName":"cc"},
                {"oldName":"value.b","newName":"bb"},{"oldName":"value.bb.c","newName":"c2"},{"oldName":"value.name","newName":"names"}]"#,
        )
        .unwrap();
        let mut document = doc! {"a": 1, "b": {"c": 2, "d": 3}, "name": "n", "names": "m", "z": null};
        renamer.apply("value", &mut document);
        let expected = doc! {"names": "m", "z": null, "aa": 1, "bb": {"d": 3, "c2": 2}};
        assert_eq!(document, expected);
        assert_eq!(document.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    }

    #[test]
    fn renames_by_rules_with_groups() {
        let renamer = Renamer::rules(
            r#"[{"regexp":"^value\\.(f|g)_.*","pattern":"^(\\w)_(\\w+)$","replace":"$2_$1"},{"regexp":"^value\\..*","pattern":"x","replace":""}]"#,
        )
        .unwrap();
        let mut document = doc! {"_id": 1, "f_ax": 1, "g_b": 2, "h_cx": {"f_dx": 1}};
        renamer.apply("value", &mut document);
        assert_eq!(document, doc! {"_id": 1, "a_f": 1, "b_g": 2, "h_c": {"f_d": 1}});
    }
}
