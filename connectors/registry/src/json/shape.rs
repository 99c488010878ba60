//! JSON Schema as the reference's library understands it: what keywords make of a schema, and what references lead to.

use std::sync::Arc;

use connect_api::{Error, Result};
use serde_json::Value as Json;

/// The schemas that one may refer to, and that one itself first.
pub(crate) struct Documents {
    /// By the names under which they are referred to; the schema itself has none.
    all: Vec<(String, Arc<Json>)>,
}

/// What a schema is.
#[derive(Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// Anything, or nothing that Connect knows.
    Unknown(&'static str),
    Null,
    Boolean,
    Number {
        integer: bool,
    },
    Text {
        format: bool,
    },
    Const(&'a Json),
    Enum(&'a [Json]),
    Array,
    Object,
    Reference(&'a str),
    OneOf(&'a [Json]),
    AnyOf(&'a [Json]),
    AllOf(&'a [Json]),
    /// Any of several types, each with the same keywords.
    Types(&'a [Json]),
    /// All of several things that one schema says at a time.
    Several,
}

/// A schema, or one of several things that it says.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) json: &'a Json,
    pub(crate) shape: Shape<'a>,
    /// The document it is of: references within it start there.
    pub(crate) document: usize,
    /// Whether title, description, default and Connect's properties belong to it.
    pub(crate) whole: bool,
}

impl Documents {
    /// A schema and the named ones that it may refer to.
    pub(crate) fn new<'a>(text: &str, references: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut all = vec![(String::new(), parse(text)?)];
        for (name, text) in references {
            all.push((name.to_owned(), parse(text)?));
        }
        Ok(Self { all })
    }

    /// The schema itself.
    pub(crate) fn root(&self) -> Part<'_> {
        // `new` puts it there.
        static NOTHING: Json = Json::Bool(true);
        part(self.all.first().map_or(&NOTHING, |(_, json)| json), 0)
    }

    /// What a reference in a document leads to.
    pub(crate) fn resolve(&self, document: usize, reference: &str) -> Result<Part<'_>> {
        let missing = || Error::data(format!("the schema refers to {reference}, which there is not"));
        let (name, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let document = if name.is_empty() { document } else { self.named(document, name).ok_or_else(missing)? };
        let (_, root) = self.all.get(document).ok_or_else(missing)?;
        let found = match fragment {
            "" => Some(&**root),
            pointer if pointer.starts_with('/') => root.pointer(&decoded(pointer)),
            anchor => anchored(root, anchor),
        };
        found.map(|json| part(json, document)).ok_or_else(missing)
    }

    /// The document of a name: as it was registered, by its `$id`, or relative to the `$id` of the one that refers to it.
    fn named(&self, from: usize, name: &str) -> Option<usize> {
        let id = |place: usize| {
            let (_, json) = self.all.get(place)?;
            json.get("$id").or_else(|| json.get("id"))?.as_str().map(|id| id.trim_end_matches('#'))
        };
        let relative = id(from).and_then(|id| id.rsplit_once('/')).map(|(base, _)| format!("{base}/{name}"));
        let fits = |place: usize, known: &str| {
            let own = id(place);
            known == name
                || own == Some(name)
                || relative.as_deref().is_some_and(|relative| known == relative || own == Some(relative))
        };
        let exact = self.all.iter().enumerate().find(|(place, (known, _))| fits(*place, known));
        let last = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
        let by_file = || self.all.iter().enumerate().skip(1).find(|(_, (known, _))| last(known) == last(name));
        exact.or_else(by_file).map(|(place, _)| place)
    }
}

fn parse(text: &str) -> Result<Arc<Json>> {
    serde_json::from_str(text).map(Arc::new).map_err(|error| {
        Error::data("Invalid JSON schema").class("java.lang.IllegalArgumentException").caused_by(error)
    })
}

/// `%25` and the like in a pointer.
fn decoded(pointer: &str) -> String {
    let mut out = Vec::with_capacity(pointer.len());
    let bytes = pointer.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = pointer.get(at + 1..at + 3).filter(|_| *byte == b'%');
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The schema within a document that has this anchor or identifier.
fn anchored<'a>(json: &'a Json, anchor: &str) -> Option<&'a Json> {
    match json {
        Json::Object(object) => {
            let is = |key: &str, value: &str| object.get(key).and_then(Json::as_str) == Some(value);
            let id = format!("#{anchor}");
            if is("$anchor", anchor) || is("$id", &id) || is("id", &id) {
                return Some(json);
            }
            object.values().find_map(|inner| anchored(inner, anchor))
        }
        Json::Array(list) => list.iter().find_map(|inner| anchored(inner, anchor)),
        _ => None,
    }
}

/// A schema of a document.
pub(crate) fn part(json: &Json, document: usize) -> Part<'_> {
    let shapes = shapes(json);
    let shape = match shapes.as_slice() {
        [] => Shape::Unknown("EmptySchema"),
        [shape] => *shape,
        _ => Shape::Several,
    };
    Part { json, shape, document, whole: true }
}

impl<'a> Part<'a> {
    /// A keyword of the schema.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Json> {
        self.json.get(key)
    }

    /// A keyword that belongs to the part.
    pub(crate) fn own(&self, key: &str) -> Option<&'a Json> {
        self.get(key).filter(|_| self.whole)
    }

    /// A schema within this one.
    pub(crate) fn inner(&self, json: &'a Json) -> Self {
        part(json, self.document)
    }

    /// The schemas that a combination is of, however it is written.
    pub(crate) fn members(&self) -> Vec<Self> {
        let of = |shape| Self { shape, whole: false, ..*self };
        match self.shape {
            Shape::OneOf(list) | Shape::AnyOf(list) | Shape::AllOf(list) => {
                list.iter().map(|json| self.inner(json)).collect()
            }
            Shape::Types(list) => list.iter().map(|name| of(typed(self.json, name))).collect(),
            Shape::Several => shapes(self.json).into_iter().map(of).collect(),
            _ => Vec::new(),
        }
    }
}

const ARRAY_KEYWORDS: [&str; 6] = ["items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"];
const OBJECT_KEYWORDS: [&str; 8] = [
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "dependencies",
    "patternProperties",
    "propertyNames",
];
const NUMBER_KEYWORDS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const TEXT_KEYWORDS: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];

/// Everything that a schema says.
fn shapes(json: &Json) -> Vec<Shape<'_>> {
    let Some(object) = json.as_object() else {
        return vec![Shape::Unknown(if *json == Json::Bool(true) { "TrueSchema" } else { "FalseSchema" })];
    };
    if let Some(reference) = object.get("$ref").and_then(Json::as_str) {
        return vec![Shape::Reference(reference)];
    }
    let list = |key: &str| object.get(key).and_then(Json::as_array).map(Vec::as_slice);
    let any = |keys: &[&str]| keys.iter().any(|key| object.contains_key(*key));
    let mut shapes = Vec::new();
    shapes.extend(list("enum").map(Shape::Enum));
    shapes.extend(list("oneOf").map(Shape::OneOf));
    shapes.extend(list("anyOf").map(Shape::AnyOf));
    shapes.extend(list("allOf").map(Shape::AllOf));
    if object.contains_key("not") {
        shapes.push(Shape::Unknown("NotSchema"));
    }
    shapes.extend(object.get("const").map(Shape::Const));
    // What the type has said already is not said again by its keywords.
    let (mut array, mut structure, mut number, mut text) =
        (any(&ARRAY_KEYWORDS), any(&OBJECT_KEYWORDS), any(&NUMBER_KEYWORDS), any(&TEXT_KEYWORDS));
    let names: Vec<&Json> = match object.get("type") {
        Some(Json::Array(list)) => {
            shapes.push(Shape::Types(list));
            list.iter().collect()
        }
        Some(name) => {
            shapes.push(typed(json, name));
            vec![name]
        }
        None => Vec::new(),
    };
    for name in names.into_iter().filter_map(Json::as_str) {
        match name {
            "array" => array = false,
            "object" => structure = false,
            "number" | "integer" => number = false,
            "string" => text = false,
            _ => {}
        }
    }
    if array {
        shapes.push(Shape::Array);
    }
    if structure {
        shapes.push(Shape::Object);
    }
    if number {
        shapes.push(Shape::Number { integer: false });
    }
    if text {
        shapes.push(Shape::Text { format: object.contains_key("format") });
    }
    if any(&["if", "then", "else"]) {
        shapes.push(Shape::Unknown("ConditionalSchema"));
    }
    shapes
}

fn typed<'a>(json: &'a Json, name: &Json) -> Shape<'a> {
    match name.as_str() {
        Some("null") => Shape::Null,
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Number { integer: true },
        Some("number") => Shape::Number { integer: false },
        Some("string") => Shape::Text { format: json.get("format").is_some() },
        Some("array") => Shape::Array,
        Some("object") => Shape::Object,
        _ => Shape::Unknown("unknown type"),
    }
}
