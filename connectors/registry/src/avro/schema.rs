//! Schemas of Avro: a table of types that refer to each other by place, so that a type may hold itself.
//!
//! What Avro itself gives no meaning to is kept as properties, in their order: Connect's names, versions and parameters are
//! there.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value as Json;

/// The place of a type in the table of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// A type with the properties that it has besides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) props: Vec<(String, Json)>,
}

/// The types of Avro.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Record),
    Enum(Enum),
    Fixed(Fixed),
}

/// A name with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(Arc<str>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) schema: Id,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Json>,
    pub(crate) order: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) props: Vec<(String, Json)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Enum {
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) symbols: Vec<Arc<str>>,
    pub(crate) default: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fixed {
    pub(crate) name: Name,
    pub(crate) doc: Option<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) size: usize,
}

/// A schema that is complete.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) types: Types,
    pub(crate) root: Id,
}

/// A table of types, while it is filled and afterwards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Types {
    nodes: Vec<Node>,
    /// Records, enums and fixed by their full names.
    named: HashMap<Arc<str>, Id>,
}

impl Name {
    /// A name of a namespace; a name with dots brings its own.
    pub(crate) fn new(name: &str, space: Option<&str>) -> Self {
        match space {
            Some(space) if !name.contains('.') && !space.is_empty() => Self(format!("{space}.{name}").into()),
            // A dot in front says that there is no namespace.
            _ => Self(name.strip_prefix('.').unwrap_or(name).into()),
        }
    }

    pub(crate) fn full(&self) -> &Arc<str> {
        &self.0
    }

    pub(crate) fn space(&self) -> Option<&str> {
        self.0.rsplit_once('.').map(|(space, _)| space)
    }

    pub(crate) fn simple(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(_, name)| name)
    }
}

impl Shape {
    /// The name of the type in schemas and in messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum(_) => "enum",
            Self::Fixed(_) => "fixed",
        }
    }

    /// The primitive type of a name.
    pub(crate) fn primitive(name: &str) -> Option<Self> {
        let primitives =
            [Self::Null, Self::Boolean, Self::Int, Self::Long, Self::Float, Self::Double, Self::Bytes, Self::String];
        primitives.into_iter().find(|shape| shape.type_name() == name)
    }

    /// The name of a named type.
    pub(crate) fn name(&self) -> Option<&Name> {
        match self {
            Self::Record(record) => Some(&record.name),
            Self::Enum(of) => Some(&of.name),
            Self::Fixed(fixed) => Some(&fixed.name),
            _ => None,
        }
    }

    /// The other names of a named type.
    pub(crate) fn aliases(&self) -> &[String] {
        match self {
            Self::Record(record) => &record.aliases,
            Self::Enum(of) => &of.aliases,
            Self::Fixed(fixed) => &fixed.aliases,
            _ => &[],
        }
    }
}

impl Node {
    /// A type without properties.
    pub(crate) fn of(shape: Shape) -> Self {
        Self { shape, props: Vec::new() }
    }

    pub(crate) fn prop(&self, name: &str) -> Option<&Json> {
        prop(&self.props, name)
    }

    /// The text of a property.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.prop(name).and_then(Json::as_str)
    }
}

pub(crate) fn prop<'a>(props: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    props.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

impl Types {
    pub(crate) fn node(&self, id: Id) -> &Node {
        // Ids are given out by `add` alone.
        &self.nodes[id.0 as usize]
    }

    pub(crate) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    pub(crate) fn shape(&self, id: Id) -> &Shape {
        &self.node(id).shape
    }

    pub(crate) fn add(&mut self, shape: Shape) -> Id {
        let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node::of(shape));
        id
    }

    /// The named type of a full name.
    pub(crate) fn named(&self, full: &str) -> Option<Id> {
        self.named.get(full).copied()
    }

    /// Makes a named type known by its name; the one that had the name already, if there is one.
    pub(crate) fn name(&mut self, id: Id) -> Option<Id> {
        let name = Arc::clone(self.shape(id).name()?.full());
        let before = *self.named.entry(name).or_insert(id);
        (before != id).then_some(before)
    }

    /// Two types that are the same in everything but documentation (`Schema.equals`).
    pub(crate) fn same(&self, a: Id, b: Id) -> bool {
        self.same_types(a, b, &mut HashSet::new())
    }

    fn same_types(&self, a: Id, b: Id, seen: &mut HashSet<(Id, Id)>) -> bool {
        if a == b || !seen.insert((a, b)) {
            return true;
        }
        let (one, other) = (self.node(a), self.node(b));
        let shapes = match (&one.shape, &other.shape) {
            (Shape::Array(a), Shape::Array(b)) | (Shape::Map(a), Shape::Map(b)) => self.same_types(*a, *b, seen),
            (Shape::Union(a), Shape::Union(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.same_types(*a, *b, seen))
            }
            (Shape::Record(a), Shape::Record(b)) => {
                let fields = |a: &Field, b: &Field, seen: &mut _| {
                    a.name == b.name
                        && a.default == b.default
                        && a.order == b.order
                        && a.props == b.props
                        && self.same_types(a.schema, b.schema, seen)
                };
                a.name == b.name
                    && a.fields.len() == b.fields.len()
                    && a.fields.iter().zip(&b.fields).all(|(a, b)| fields(a, b, seen))
            }
            (Shape::Enum(a), Shape::Enum(b)) => a.name == b.name && a.symbols == b.symbols,
            (Shape::Fixed(a), Shape::Fixed(b)) => a.name == b.name && a.size == b.size,
            (a, b) => a == b,
        };
        shapes && one.props == other.props
    }
}

impl Schema {
    pub(crate) fn node(&self, id: Id) -> &Node {
        self.types.node(id)
    }

    pub(crate) fn shape(&self, id: Id) -> &Shape {
        self.types.shape(id)
    }

    /// The full name, where the schema is a record.
    pub(crate) fn record_name(&self) -> Option<&str> {
        match self.shape(self.root) {
            Shape::Record(record) => Some(record.name.full()),
            _ => None,
        }
    }

    /// The type besides null of a union of the two.
    pub(crate) fn nullable(&self, members: &[Id]) -> Option<Id> {
        let is_null = |id: &Id| *self.shape(*id) == Shape::Null;
        match members {
            [null, other] | [other, null] if is_null(null) && !is_null(other) => Some(*other),
            _ => None,
        }
    }
}
