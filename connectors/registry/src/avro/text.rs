//! Schemas of Avro as JSON text: read as Java's parser reads it, and written as `Schema.toString` writes it, so that the
//! registry finds the schemas that JVM workers have registered.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::schema::{Enum, Field, Fixed, Id, Name, Node, Record, Schema, Shape, Types};

/// A text that is no schema; says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SchemaError(pub(crate) String);

type Result<T> = std::result::Result<T, SchemaError>;

fn wrong<T>(why: impl Into<String>) -> Result<T> {
    Err(SchemaError(why.into()))
}

/// What is no property of a type.
const RESERVED: [&str; 10] =
    ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];
/// What is no property of a field.
const FIELD_RESERVED: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

/// Reads a schema. `before` are the texts of schemas whose named types it may use.
pub(crate) fn parse<'a>(text: &str, before: impl IntoIterator<Item = &'a str>) -> Result<Schema> {
    let mut parser = Parser { types: Types::default() };
    for text in before {
        parser.text(text)?;
    }
    let root = parser.text(text)?;
    Ok(Schema { types: parser.types, root })
}

struct Parser {
    types: Types,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<Id> {
        match serde_json::from_str::<Json>(text) {
            Ok(json) => self.schema(&json, None),
            // The registry gives primitive types with or without quotes.
            Err(error) => match Shape::primitive(text.trim()) {
                Some(shape) => Ok(self.types.add(shape)),
                None => wrong(format!("it is no JSON: {error}")),
            },
        }
    }

    fn schema(&mut self, json: &Json, space: Option<&str>) -> Result<Id> {
        match json {
            Json::String(name) => self.reference(name, space),
            Json::Array(members) => {
                let ids = members.iter().map(|member| self.schema(member, space)).collect::<Result<Vec<_>>>()?;
                if ids.iter().any(|id| matches!(self.types.shape(*id), Shape::Union(_))) {
                    return wrong("Nested union");
                }
                Ok(self.types.add(Shape::Union(ids)))
            }
            Json::Object(object) => self.object(object, space),
            other => wrong(format!("Schema not yet supported: {other}")),
        }
    }

    fn reference(&mut self, name: &str, space: Option<&str>) -> Result<Id> {
        if let Some(shape) = Shape::primitive(name) {
            return Ok(self.types.add(shape));
        }
        let full = Name::new(name, space);
        // A name that its own namespace does not know may be one without any.
        let found = self.types.named(full.full()).or_else(|| self.types.named(name));
        found.map_or_else(|| wrong(format!("Undefined schema: {}", full.full())), Ok)
    }

    fn object(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<Id> {
        let kind = match object.get("type") {
            Some(Json::String(kind)) => kind.as_str(),
            // {"type": {"type": ...}}: what is inside is meant.
            Some(inner) => return self.schema(inner, space),
            None => return wrong(format!("No type: {}", Json::Object(object.clone()))),
        };
        let id = match kind {
            "record" | "error" => self.record(object, space)?,
            "enum" => self.enumeration(object, space)?,
            "fixed" => self.fixed(object, space)?,
            "array" => {
                let items = object.get("items").map_or_else(|| wrong("Array has no items type"), Ok)?;
                let items = self.schema(items, space)?;
                self.types.add(Shape::Array(items))
            }
            "map" => {
                let values = object.get("values").map_or_else(|| wrong("Map has no values type"), Ok)?;
                let values = self.schema(values, space)?;
                self.types.add(Shape::Map(values))
            }
            name => match Shape::primitive(name) {
                Some(shape) => self.types.add(shape),
                None => return self.reference(name, space),
            },
        };
        let is_enum = kind == "enum";
        let own = |key: &str| !(RESERVED.contains(&key) || is_enum && key == "default");
        self.types.node_mut(id).props = props(object, own);
        Ok(id)
    }

    fn name(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<Name> {
        let Some(name) = text(object, "name") else { return wrong("No name in schema") };
        let space = text(object, "namespace").or(space);
        let name = Name::new(name, space);
        match self.types.named(name.full()) {
            Some(_) => wrong(format!("Can't redefine: {}", name.full())),
            None => Ok(name),
        }
    }

    fn record(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<Id> {
        let name = self.name(object, space)?;
        let space = name.space().map(str::to_owned);
        let Some(Json::Array(list)) = object.get("fields") else { return wrong("Record has no fields") };
        let doc = text(object, "doc").map(str::to_owned);
        let aliases = aliases(object, name.space());
        let id = self.types.add(Shape::Record(Record { name, doc, aliases, fields: Vec::new() }));
        self.types.name(id);
        let mut fields: Vec<Field> = Vec::with_capacity(list.len());
        for json in list {
            let field = self.field(json, space.as_deref())?;
            if fields.iter().any(|other| other.name == field.name) {
                return wrong(format!("Duplicate field {} in record", field.name));
            }
            fields.push(field);
        }
        if let Shape::Record(record) = &mut self.types.node_mut(id).shape {
            record.fields = fields;
        }
        Ok(id)
    }

    fn field(&mut self, json: &Json, space: Option<&str>) -> Result<Field> {
        let Json::Object(object) = json else { return wrong("a field is no object") };
        let Some(name) = text(object, "name") else { return wrong("No field name") };
        let Some(schema) = object.get("type") else { return wrong(format!("No field type: {name}")) };
        Ok(Field {
            name: name.into(),
            schema: self.schema(schema, space)?,
            doc: text(object, "doc").map(str::to_owned),
            default: object.get("default").cloned(),
            order: text(object, "order").map(str::to_owned),
            aliases: list(object, "aliases").map(str::to_owned).collect(),
            props: props(object, |key| !FIELD_RESERVED.contains(&key)),
        })
    }

    fn enumeration(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<Id> {
        let name = self.name(object, space)?;
        if !matches!(object.get("symbols"), Some(Json::Array(_))) {
            return wrong(format!("Enum has no symbols: {}", name.full()));
        }
        let id = self.types.add(Shape::Enum(Enum {
            doc: text(object, "doc").map(str::to_owned),
            aliases: aliases(object, name.space()),
            symbols: list(object, "symbols").map(Arc::from).collect(),
            default: text(object, "default").map(str::to_owned),
            name,
        }));
        self.types.name(id);
        Ok(id)
    }

    fn fixed(&mut self, object: &Map<String, Json>, space: Option<&str>) -> Result<Id> {
        let name = self.name(object, space)?;
        let size = object.get("size").and_then(Json::as_u64).and_then(|size| usize::try_from(size).ok());
        let Some(size) = size else { return wrong(format!("Invalid or no size: {}", name.full())) };
        let id = self.types.add(Shape::Fixed(Fixed {
            doc: text(object, "doc").map(str::to_owned),
            aliases: aliases(object, name.space()),
            size,
            name,
        }));
        self.types.name(id);
        Ok(id)
    }
}

fn text<'a>(object: &'a Map<String, Json>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Json::as_str)
}

fn list<'a>(object: &'a Map<String, Json>, key: &str) -> impl Iterator<Item = &'a str> {
    object.get(key).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn aliases(object: &Map<String, Json>, space: Option<&str>) -> Vec<String> {
    list(object, "aliases").map(|alias| Name::new(alias, space).full().to_string()).collect()
}

fn props(object: &Map<String, Json>, own: impl Fn(&str) -> bool) -> Vec<(String, Json)> {
    object.iter().filter(|(key, _)| own(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl Schema {
    /// The text of the schema.
    pub(crate) fn text(&self) -> String {
        let mut writer = Writer { types: &self.types, known: Vec::new(), out: String::new() };
        writer.schema(self.root, None);
        writer.out
    }
}

struct Writer<'a> {
    types: &'a Types,
    /// Named types that are written already: their names stand for them.
    known: Vec<&'a Name>,
    out: String,
}

impl<'a> Writer<'a> {
    fn schema(&mut self, id: Id, space: Option<&str>) {
        let node = self.types.node(id);
        match &node.shape {
            Shape::Union(members) => {
                self.out.push('[');
                for (place, member) in members.iter().enumerate() {
                    self.comma(place);
                    self.schema(*member, space);
                }
                self.out.push(']');
            }
            Shape::Array(items) => self.around(node, "items", *items, space),
            Shape::Map(values) => self.around(node, "values", *values, space),
            shape => match shape.name() {
                Some(name) => self.named(node, name, space),
                None if node.props.is_empty() => self.string(shape.type_name()),
                None => {
                    self.open(shape.type_name());
                    self.props(&node.props);
                    self.out.push('}');
                }
            },
        }
    }

    fn around(&mut self, node: &'a Node, key: &str, inner: Id, space: Option<&str>) {
        self.open(node.shape.type_name());
        self.key(key);
        self.schema(inner, space);
        self.props(&node.props);
        self.out.push('}');
    }

    fn named(&mut self, node: &'a Node, name: &'a Name, space: Option<&str>) {
        if self.known.contains(&name) {
            let short = name.space().is_some() && name.space() == space && Shape::primitive(name.simple()).is_none();
            return self.string(if short { name.simple() } else { name.full() });
        }
        self.known.push(name);
        self.open(node.shape.type_name());
        self.member("name", name.simple());
        match name.space() {
            Some(own) if Some(own) != space => self.member("namespace", own),
            None if space.is_some() => self.member("namespace", ""),
            _ => {}
        }
        match &node.shape {
            Shape::Record(record) => {
                self.doc(record.doc.as_deref());
                self.key("fields");
                self.out.push('[');
                for (place, field) in record.fields.iter().enumerate() {
                    self.comma(place);
                    self.field(field, name.space());
                }
                self.out.push(']');
            }
            Shape::Enum(of) => {
                self.doc(of.doc.as_deref());
                self.key("symbols");
                self.strings(of.symbols.iter().map(|symbol| &**symbol));
                if let Some(default) = &of.default {
                    self.member("default", default);
                }
            }
            Shape::Fixed(fixed) => {
                self.doc(fixed.doc.as_deref());
                self.key("size");
                let written = write!(self.out, "{}", fixed.size);
                debug_assert!(written.is_ok(), "writing into a string can not fail");
            }
            _ => {}
        }
        self.props(&node.props);
        self.aliases(node.shape.aliases().iter().map(String::as_str));
        self.out.push('}');
    }

    fn field(&mut self, field: &'a Field, space: Option<&str>) {
        self.out.push_str("{\"name\":");
        self.string(&field.name);
        self.key("type");
        self.schema(field.schema, space);
        self.doc(field.doc.as_deref());
        if let Some(default) = &field.default {
            self.json("default", default);
        }
        if let Some(order) = field.order.as_deref().filter(|order| *order != "ascending") {
            self.member("order", order);
        }
        self.aliases(field.aliases.iter().map(String::as_str));
        self.props(&field.props);
        self.out.push('}');
    }

    fn open(&mut self, kind: &str) {
        self.out.push_str("{\"type\":");
        self.string(kind);
    }

    fn comma(&mut self, place: usize) {
        if place > 0 {
            self.out.push(',');
        }
    }

    /// A comma and a key.
    fn key(&mut self, key: &str) {
        self.out.push(',');
        self.string(key);
        self.out.push(':');
    }

    fn member(&mut self, key: &str, value: &str) {
        self.key(key);
        self.string(value);
    }

    fn json(&mut self, key: &str, value: &Json) {
        self.key(key);
        self.out.push_str(&value.to_string());
    }

    fn doc(&mut self, doc: Option<&str>) {
        if let Some(doc) = doc {
            self.member("doc", doc);
        }
    }

    fn props(&mut self, props: &[(String, Json)]) {
        for (key, value) in props {
            self.json(key, value);
        }
    }

    fn aliases<'b>(&mut self, aliases: impl ExactSizeIterator<Item = &'b str>) {
        if aliases.len() > 0 {
            self.key("aliases");
            self.strings(aliases);
        }
    }

    fn strings<'b>(&mut self, list: impl Iterator<Item = &'b str>) {
        self.out.push('[');
        for (place, text) in list.enumerate() {
            self.comma(place);
            self.string(text);
        }
        self.out.push(']');
    }

    fn string(&mut self, text: &str) {
        self.out.push_str(&Json::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        parse(text, []).unwrap().text()
    }

    #[test]
    fn schemas_are_written_as_they_are_read() {
        for text in [
            r#""int""#,
            r#"{"type":"int","logicalType":"date"}"#,
            r#"["null","string"]"#,
            r#"{"type":"array","items":{"type":"map","values":"long"},"connect.name":"x"}"#,
            r#"{"type":"record","name":"A","namespace":"a.b","doc":"d","fields":[{"name":"x","type":["null",{"type":"enum","name":"E","doc":"e","symbols":["P","Q"],"default":"P"}],"doc":"f","default":null,"order":"descending","aliases":["y"],"z":1},{"name":"again","type":["null","E"]},{"name":"self","type":["null","A"],"default":null},{"name":"f","type":{"type":"fixed","name":"F","namespace":"","size":4,"p":{"q":[1.5]}}}],"connect.name":"a.b.A","aliases":["a.b.Old"]}"#,
            r#"{"type":"record","name":"A","fields":[{"name":"x","type":{"type":"record","name":"B","namespace":"n","fields":[{"name":"a","type":"A"},{"name":"l","type":{"type":"fixed","name":"long","size":1}},{"name":"m","type":"n.long"}]}}]}"#,
        ] {
            assert_eq!(round(text), text);
        }
    }

    #[test]
    fn other_ways_to_write_a_schema_are_understood() {
        assert_eq!(round("string"), "\"string\"");
        assert_eq!(round(r#"{"type":{"type":"string"}}"#), "\"string\"");
        assert_eq!(
            round(r#"{"name":"a.b.A","type":"record","fields":[],"namespace":"ignored"}"#),
            r#"{"type":"record","name":"A","namespace":"a.b","fields":[]}"#
        );
        let other = r#"{"type":"enum","name":"E","namespace":"o","symbols":["A"]}"#;
        let schema = parse(r#"{"type":"array","items":"o.E"}"#, [other]).unwrap();
        assert_eq!(
            schema.text(),
            r#"{"type":"array","items":{"type":"enum","name":"E","namespace":"o","symbols":["A"]}}"#
        );
    }

    #[test]
    fn what_is_no_schema_says_why() {
        for (text, why) in [
            ("{", "it is no JSON"),
            (r#""a.B""#, "Undefined schema: a.B"),
            (r#"{"name":"x"}"#, "No type"),
            (r#"{"type":"record","name":"A"}"#, "Record has no fields"),
            (
                r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]}"#,
                "Duplicate field x",
            ),
            (r#"[{"type":"fixed","name":"A","size":1},{"type":"fixed","name":"A","size":2}]"#, "Can't redefine: A"),
            (r#"{"type":"fixed","name":"A","size":-1}"#, "Invalid or no size: A"),
            (r#"["int",["null"]]"#, "Nested union"),
            ("7", "Schema not yet supported: 7"),
        ] {
            let error = parse(text, []).err().unwrap().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
