//! The Java classes of values, for messages.

use crate::schema::{Kind, Schema, logical};
use crate::value::Value;

impl Kind {
    /// The name of `Schema.Type`, as messages print it: `INT8`, `STRUCT`, ...
    pub fn java_name(&self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array(_) => "ARRAY",
            Self::Map(..) => "MAP",
            Self::Struct(_) => "STRUCT",
            Self::Unknown => "null",
        }
    }
}

impl Value {
    /// The class of an object that a conversion or its caller made, whose maps keep their order.
    pub fn object_class(&self) -> &'static str {
        match self {
            Self::Map(_) => "java.util.LinkedHashMap",
            other => other.java_class(None),
        }
    }

    /// The class that Java's worker would hold here. With a logical schema that is the logical class.
    pub fn java_class(&self, schema: Option<&Schema>) -> &'static str {
        let logical = schema.and_then(|schema| schema.name.as_deref());
        match (self, logical) {
            (Self::Int32(_), Some(logical::DATE | logical::TIME)) | (Self::Int64(_), Some(logical::TIMESTAMP)) => {
                "java.util.Date"
            }
            (Self::Bytes(_), Some(logical::DECIMAL)) => "java.math.BigDecimal",
            (Self::Null, _) => "null",
            (Self::Bool(_), _) => "java.lang.Boolean",
            (Self::Int8(_), _) => "java.lang.Byte",
            (Self::Int16(_), _) => "java.lang.Short",
            (Self::Int32(_), _) => "java.lang.Integer",
            (Self::Int64(_), _) => "java.lang.Long",
            (Self::Float32(_), _) => "java.lang.Float",
            (Self::Float64(_), _) => "java.lang.Double",
            (Self::String(_), _) => "java.lang.String",
            (Self::Bytes(_), _) => "[B",
            (Self::Array(_), _) => "java.util.ArrayList",
            (Self::Map(_), _) => "java.util.HashMap",
            (Self::Struct(_), _) => "org.apache.kafka.connect.data.Struct",
            (Self::Decimal(_), _) => "java.math.BigDecimal",
            (Self::Date(_), _) => "java.util.Date",
            (Self::BigInt(_), _) => "java.math.BigInteger",
        }
    }
}
