//! Paths to fields (`SingleFieldPath`): version 1 takes the text as one name, version 2 splits it at dots, with backticks
//! around names that hold some.

use connect_api::{Error, Field, Kind, Result, Schema, SchemaRef, Struct, Value};

use crate::schemas::filled;
use crate::side::{Entries, entry, map_or_null, struct_or_null};

const PURPOSE: &str = "nested field access";

/// A path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldPath {
    steps: Vec<String>,
}

impl FieldPath {
    /// Reads a path of a version.
    pub(crate) fn parse(path: &str, nested: bool) -> Result<Self> {
        if !nested {
            return Ok(Self { steps: vec![path.to_owned()] });
        }
        let (mut steps, mut rest) = (Vec::new(), path);
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix('`') {
                let at = path.len() - rest.len();
                let (step, after) = quoted_step(quoted).ok_or_else(|| incomplete(path, at))?;
                steps.push(step);
                rest = after;
            } else {
                let (step, after) = rest.split_once('.').unwrap_or((rest, ""));
                steps.push(step.to_owned());
                rest = after;
            }
        }
        if path.ends_with('.') {
            steps.push(String::new());
        }
        Ok(Self { steps })
    }

    fn split(&self) -> Result<(&str, &[String])> {
        let (last, before) = self.steps.split_last().ok_or_else(empty)?;
        Ok((last, before))
    }

    /// The field of a schema, nothing when there is none.
    pub(crate) fn field<'a>(&self, schema: &'a Schema) -> Result<Option<&'a Field>> {
        let (last, before) = self.split()?;
        let mut current = schema;
        for step in before {
            match find(current, step)? {
                Some(field) => current = &field.schema,
                None => return Ok(None),
            }
        }
        find(current, last)
    }

    /// The value in a struct.
    pub(crate) fn in_struct(&self, value: &Struct, replace_null: bool) -> Result<Value> {
        let (last, before) = self.split()?;
        let mut current = value.clone();
        for step in before {
            let Some(index) = current.schema.index_of(step) else { return Ok(Value::Null) };
            let schema = SchemaRef::clone(&current.schema.fields()[index].schema);
            let value = filled(current.fields[index].clone(), &schema, replace_null);
            match struct_or_null(&value, Some(&schema), PURPOSE)? {
                Some(inner) => current = inner.clone(),
                None => return Ok(Value::Null),
            }
        }
        Ok(match current.schema.index_of(last) {
            Some(index) => filled(current.fields[index].clone(), &current.schema.fields()[index].schema, replace_null),
            None => Value::Null,
        })
    }

    /// The value in a map.
    pub(crate) fn in_map(&self, entries: &Entries) -> Result<Value> {
        let (last, before) = self.split()?;
        let mut current = entries;
        for step in before {
            match map_or_null(entry(current, step).unwrap_or(&Value::Null), PURPOSE)? {
                Some(inner) => current = inner,
                None => return Ok(Value::Null),
            }
        }
        Ok(entry(current, last).cloned().unwrap_or_default())
    }
}

fn find<'a>(schema: &'a Schema, name: &str) -> Result<Option<&'a Field>> {
    match &schema.kind {
        Kind::Struct(fields) => Ok(fields.iter().find(|field| *field.name == *name)),
        _ => Err(Error::data("Cannot look up fields on non-struct type")),
    }
}

fn empty() -> Error {
    Error::data("The path of the field is empty").class("java.lang.IllegalArgumentException")
}

fn incomplete(path: &str, at: usize) -> Error {
    Error::config(format!(
        "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {at} to escape it"
    ))
}

/// A name in backticks, behind the first of them, and what follows its dot. A backtick ends the name only before a dot or
/// at the end, and not behind a backslash.
fn quoted_step(text: &str) -> Option<(String, &str)> {
    let (mut step, mut start, mut from) = (String::new(), 0, 0);
    loop {
        let at = from + text[from..].find('`')?;
        let escaped = text[..at].ends_with('\\');
        let after = &text[at + 1..];
        if after.is_empty() {
            if escaped {
                return None;
            }
            step.push_str(&text[start..at]);
            return Some((step, after));
        }
        from = at + 1;
        let Some(next) = after.strip_prefix('.') else { continue };
        if !escaped {
            step.push_str(&text[start..at]);
            return Some((step, next));
        }
        step.push_str(&text[start..at - 1]);
        step.push('`');
        start = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<String> {
        FieldPath::parse(path, true).unwrap().steps
    }

    #[test]
    fn paths_split_at_dots_outside_of_backticks() {
        assert_eq!(steps("a.b"), ["a", "b"]);
        assert_eq!(steps("`a.b`.c"), ["a.b", "c"]);
        assert_eq!(steps("a."), ["a", ""]);
        assert_eq!(steps("`x`y`"), ["x`y"]);
        assert_eq!(steps("`a\\`.b`"), ["a`.b"]);
        let message = FieldPath::parse("a.`b", true).unwrap_err();
        assert!(message.message().contains("at position 2"), "{message}");
    }
}
