//! `LongConverter` and its kin: big-endian numbers of fixed width, and booleans of one byte.

use std::sync::Arc;

use connect_api::{
    Bytes, BytesMut, Converter, Datum, Error, HeaderConverter, Kind, Plugin, PluginKind, Result, Schema, SchemaRef,
    Value,
};

use crate::settings;

connect_config::config! {
    /// The keys of these converters.
    pub struct NumberConverterConfig {
        /// What the converter is used for: keys, values or headers.
        "converter.type" => converter_type: String { importance(Low), validator(settings::converter_types()) },
    }
}

/// The types that have a converter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
}

macro_rules! plugin {
    ($class:literal, $number:ident) => {
        Plugin {
            class: concat!("org.apache.kafka.connect.converters.", $class),
            version: crate::KAFKA_VERSION,
            kind: PluginKind::Converter(
                |_, _| Ok(Box::new(NumberConverter::new(Number::$number))),
                Some(|_| Ok(Box::new(NumberConverter::new(Number::$number)))),
            ),
            config_def: NumberConverterConfig::def,
        }
    };
}

/// The plugins.
pub(crate) fn plugins() -> [Plugin; 6] {
    [
        plugin!("ShortConverter", Short),
        plugin!("IntegerConverter", Integer),
        plugin!("LongConverter", Long),
        plugin!("FloatConverter", Float),
        plugin!("DoubleConverter", Double),
        plugin!("BooleanConverter", Boolean),
    ]
}

impl Number {
    /// The name in messages.
    const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Short => Kind::Int16,
            Self::Integer => Kind::Int32,
            Self::Long => Kind::Int64,
            Self::Float => Kind::Float32,
            Self::Double => Kind::Float64,
            Self::Boolean => Kind::Boolean,
        }
    }

    const fn width(self) -> usize {
        match self {
            Self::Short => 2,
            Self::Integer | Self::Float => 4,
            Self::Long | Self::Double => 8,
            Self::Boolean => 1,
        }
    }

    /// The class of Kafka's deserializer, which is nameless for floats.
    const fn deserializer(self) -> &'static str {
        match self {
            Self::Short => "ShortDeserializer",
            Self::Integer => "IntegerDeserializer",
            Self::Long => "LongDeserializer",
            Self::Float | Self::Double => "Deserializer",
            Self::Boolean => "BooleanDeserializer",
        }
    }
}

/// The converter of one type.
struct NumberConverter {
    number: Number,
    /// What is read has always this schema, an optional one.
    schema: SchemaRef,
}

impl NumberConverter {
    fn new(number: Number) -> Self {
        Self { number, schema: Schema::of(number.kind()).optional().shared() }
    }

    fn incompatible(&self, datum: &Datum) -> Error {
        let (name, class) = (self.number.name(), datum.value.java_class(datum.schema.as_deref()));
        if self.number == Number::Boolean {
            return Error::data(format!("BooleanConverter is not compatible with objects of type class {class}"));
        }
        let cause = Error::data(format!("class {class} cannot be cast to class java.lang.Number"));
        Error::data(format!("Failed to serialize to {name} (was class {class}): "))
            .caused_by(cause.class("java.lang.ClassCastException"))
    }

    fn malformed(&self, why: String) -> Error {
        Error::data(format!("Failed to deserialize {}: ", self.number.name()))
            .caused_by(Error::data(why).class("org.apache.kafka.common.errors.SerializationException"))
    }

    fn parse(&self, bytes: &[u8]) -> Option<Value> {
        Some(match self.number {
            Number::Short => Value::Int16(i16::from_be_bytes(bytes.try_into().ok()?)),
            Number::Integer => Value::Int32(i32::from_be_bytes(bytes.try_into().ok()?)),
            Number::Long => Value::Int64(i64::from_be_bytes(bytes.try_into().ok()?)),
            Number::Float => Value::Float32(f32::from_be_bytes(bytes.try_into().ok()?)),
            Number::Double => Value::Float64(f64::from_be_bytes(bytes.try_into().ok()?)),
            Number::Boolean => match bytes {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
        })
    }
}

impl Converter for NumberConverter {
    fn serialize(&self, _topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        if self.number == Number::Boolean
            && let Some(schema) = datum.schema.as_ref().filter(|schema| schema.kind != Kind::Boolean)
        {
            let kind = schema.kind.java_name();
            return Err(Error::data(format!("Invalid schema type for BooleanConverter: {kind}")));
        }
        match (self.number, &datum.value) {
            (_, Value::Null) => return Ok(false),
            (Number::Short, Value::Int16(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Integer, Value::Int32(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Long, Value::Int64(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Float, Value::Float32(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Double, Value::Float64(value)) => out.extend_from_slice(&value.to_be_bytes()),
            (Number::Boolean, Value::Bool(value)) => out.extend_from_slice(&[u8::from(*value)]),
            _ => return Err(self.incompatible(datum)),
        }
        Ok(true)
    }

    fn deserialize(&self, _topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let value = match &payload {
            None => Value::Null,
            Some(bytes) => match self.parse(bytes) {
                Some(value) => value,
                None if bytes.len() == self.number.width() => {
                    let byte = bytes.first().map_or(0, |byte| *byte as i8);
                    return Err(self.malformed(format!("Unexpected byte received by BooleanDeserializer: {byte}")));
                }
                None => {
                    let (deserializer, width) = (self.number.deserializer(), self.number.width());
                    return Err(self.malformed(format!("Size of data received by {deserializer} is not {width}")));
                }
            },
        };
        Ok(Datum::new(Arc::clone(&self.schema), value))
    }
}

impl HeaderConverter for NumberConverter {
    fn serialize(&self, topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        Converter::serialize(self, topic, datum, out)
    }

    fn deserialize(&self, topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        Converter::deserialize(self, topic, payload)
    }
}
