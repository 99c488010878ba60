//! Projections: block lists and allow lists of field paths (`processor.field.projection`).

use bson::{Bson, Document};

use crate::statement::retain;

/// A list of field paths and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// These fields go.
    Block(Vec<String>),
    /// Only these stay; every parent of a named path is named too.
    Allow(Vec<String>),
}

impl Projection {
    /// A block list from its setting: paths between commas.
    pub fn block(list: &str) -> Self {
        Self::Block(paths(list))
    }

    /// An allow list from its setting.
    pub fn allow(list: &str) -> Self {
        let mut fields = Vec::new();
        for path in paths(list) {
            let mut parent = path.as_str();
            while let Some((head, _)) = parent.rsplit_once('.') {
                if !head.is_empty() && !fields.iter().any(|field| field == head) {
                    fields.push(head.to_owned());
                }
                parent = head;
            }
            if !fields.contains(&path) {
                fields.push(path);
            }
        }
        Self::Allow(fields)
    }

    /// Applies it.
    pub fn apply(&self, document: &mut Document) {
        match self {
            Self::Block(fields) => fields.iter().for_each(|field| block(field, document)),
            Self::Allow(fields) if fields.iter().any(|field| field == "**") => {}
            Self::Allow(fields) => allow(fields, "", document),
        }
    }
}

fn paths(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

fn block(path: &str, document: &mut Document) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    match (first, rest) {
        ("**", _) => document.clear(),
        ("*", rest) => retain(document, |_, value| match value {
            Bson::Document(inner) => {
                if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                    block(rest, inner);
                }
                true
            }
            _ => false,
        }),
        (first, Some(rest)) => match document.get_mut(first) {
            Some(Bson::Document(inner)) => block(rest, inner),
            Some(Bson::Array(elements)) => elements.iter_mut().for_each(|element| {
                if let Bson::Document(inner) = element {
                    block(rest, inner);
                }
            }),
            _ => {}
        },
        (name, None) => match name.strip_suffix('*') {
            Some(prefix) => retain(document, |name, _| !name.starts_with(prefix)),
            None => {
                document.remove(name);
            }
        },
    }
}

fn allow(fields: &[String], parent: &str, document: &mut Document) {
    retain(document, |name, value| {
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
        if !fields.contains(&path) && !wildcard_allows(fields, &path) {
            return false;
        }
        match value {
            Bson::Document(inner) if !fields.iter().any(|field| field.strip_suffix(".**") == Some(&path)) => {
                allow(fields, &path, inner);
            }
            Bson::Array(elements) => elements.iter_mut().for_each(|element| {
                if let Bson::Document(inner) = element {
                    allow(fields, &path, inner);
                }
            }),
            _ => {}
        }
        true
    });
}

/// True when a path matches an entry with stars: `name*` by its beginning, `a.*.c` part by part.
fn wildcard_allows(fields: &[String], path: &str) -> bool {
    fields.iter().any(|field| {
        let by_prefix = !field.contains('.')
            && field != "*"
            && field.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix));
        by_prefix || matches_parts(field, path)
    })
}

fn matches_parts(field: &str, path: &str) -> bool {
    let mut parts = path.split('.');
    let all = field.split('.').all(|expected| parts.next().is_some_and(|part| expected == "*" || expected == part));
    all && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn sample() -> Document {
        doc! {
            "_id": 1, "a": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}, "l": [{"x": 1, "y": 2}, {"y": 3}, 7],
            "name": "n", "names": "m", "z": null,
        }
    }

    fn blocked(list: &str) -> Document {
        let mut document = sample();
        Projection::block(list).apply(&mut document);
        document
    }

    fn allowed(list: &str) -> Document {
        let mut document = sample();
        Projection::allow(list).apply(&mut document);
        document
    }

    #[test]
    fn blocks_paths_and_wildcards() {
        assert_eq!(
            blocked("a,b.d.e,l.y,nosuch"),
            doc! {"_id": 1, "b": {"c": 2, "d": {"f": 4}}, "l": [{"x": 1}, {}, 7], "name": "n", "names": "m", "z": null}
        );
        assert_eq!(
            blocked("b.*.e,name*,l.**"),
            doc! {"_id": 1, "a": 1, "b": {"d": {"f": 4}}, "l": [{}, {}, 7], "z": null}
        );
    }

    #[test]
    fn allows_paths_and_wildcards() {
        assert_eq!(allowed("_id,a,b.d.e,l.x"), doc! {"_id": 1, "a": 1, "b": {"d": {"e": 3}}, "l": [{"x": 1}, {}, 7]});
        assert_eq!(
            allowed("_id, b.*, b.d.**, name*, l.*"),
            doc! {"_id": 1, "b": {"c": 2, "d": {"e": 3, "f": 4}}, "l": [{"x": 1, "y": 2}, {"y": 3}, 7], "name": "n", "names": "m"}
        );
        assert_eq!(allowed("**"), sample());
        assert_eq!(allowed("b"), doc! {"b": {}});
    }
}
