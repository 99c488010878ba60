//! What stands in a stream of Java's serialization, and which parts of keys it is.

use num_bigint::{BigInt, Sign};

use crate::signals::key::{Class, Part, timestamp_text};

/// Stands for the name of a field, for what a class writes beyond its fields.
pub(super) const OWN_DATA: &str = "(own data)";

/// A class that was described in the stream.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) flags: u8,
    pub(super) fields: Vec<(u8, String)>,
    pub(super) parent: Option<Box<Described>>,
}

impl Described {
    /// How many classes it is with those that it is of.
    pub(super) fn generations(&self) -> usize {
        1 + self.parent.as_ref().map_or(0, |parent| parent.generations())
    }

    fn size(&self) -> usize {
        let own: usize = self.fields.iter().map(|(_, name)| name.len()).sum();
        self.name.len() + own + self.parent.as_ref().map_or(0, |parent| parent.size())
    }
}

/// What stands in the stream.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Text(String),
    Array(Vec<Node>),
    Bytes(Vec<u8>),
    Object {
        class: String,
        fields: Vec<(String, Node)>,
    },
    Class(Described),
    /// A number of a field, in the bits of its type.
    Bits(u64),
    /// Not read to its end yet.
    Open,
}

impl Node {
    /// The bytes that a reference to it repeats; `None` where none may lead: nested, they would multiply.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Class(class) => Some(class.size()),
            Self::Object { fields, .. } => fields
                .iter()
                .map(|(name, node)| match node {
                    Self::Object { .. } | Self::Array(_) | Self::Class(_) | Self::Open => None,
                    node => Some(name.len() + node.size()?),
                })
                .sum(),
            Self::Null | Self::Bits(_) => Some(8),
            Self::Array(_) | Self::Open => None,
        }
    }

    fn field(fields: &[(String, Node)], name: &str) -> Option<Node> {
        fields.iter().find(|(field, _)| field == name).map(|(_, node)| node.clone())
    }

    /// What it is as a part of a key.
    pub(super) fn part(&self) -> Option<Part> {
        let of = |class, text| Some(Part { class, text: Some(text) });
        match self {
            Self::Null => Some(Part { class: Class::String, text: None }),
            Self::Text(text) => of(Class::String, text.clone()),
            Self::Object { class, fields } => {
                let bits = |name: &str| match Self::field(fields, name) {
                    Some(Self::Bits(bits)) => Some(bits),
                    _ => None,
                };
                match class.as_str() {
                    "java.lang.Boolean" => of(Class::Boolean, (bits("value")? != 0).to_string()),
                    "java.lang.Short" => of(Class::Short, (bits("value")? as i16).to_string()),
                    "java.lang.Integer" => of(Class::Integer, (bits("value")? as i32).to_string()),
                    "java.lang.Long" => of(Class::Long, bits("value")?.cast_signed().to_string()),
                    "java.lang.Float" => of(Class::Float, f32::from_bits(bits("value")? as u32).to_string()),
                    "java.lang.Double" => of(Class::Double, f64::from_bits(bits("value")?).to_string()),
                    "java.util.UUID" => {
                        let uuid = uuid::Uuid::from_u64_pair(bits("mostSigBits")?, bits("leastSigBits")?);
                        of(Class::Uuid, uuid.to_string())
                    }
                    "java.sql.Date" => {
                        let us = i128::from(bits(OWN_DATA)?.cast_signed()) * 1000;
                        of(Class::Date, timestamp_text(us).split_once(' ')?.0.to_owned())
                    }
                    "java.sql.Timestamp" => {
                        let us = i128::from(bits(OWN_DATA)?.cast_signed()) * 1000 + i128::from(bits("nanos")? / 1000);
                        of(Class::Timestamp, timestamp_text(us))
                    }
                    "java.math.BigDecimal" => {
                        let scale = bits("scale")? as i32;
                        let unscaled = Self::field(fields, "intVal")?.big_integer()?;
                        let mut text = String::new();
                        connect_api::java::text::write_decimal(&unscaled, scale, &mut text);
                        of(Class::Decimal, text)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn big_integer(&self) -> Option<BigInt> {
        let Self::Object { fields, .. } = self else { return None };
        let (Self::Bits(signum), Self::Bytes(magnitude)) =
            (Self::field(fields, "signum")?, Self::field(fields, "magnitude")?)
        else {
            return None;
        };
        let sign = match signum as i32 {
            0 => Sign::NoSign,
            1 => Sign::Plus,
            _ => Sign::Minus,
        };
        Some(BigInt::from_bytes_be(sign, &magnitude))
    }
}
