//! The schemas that `Values` gives, made once (`Schema.INT8_SCHEMA` and so on).

use std::sync::{Arc, LazyLock};

use super::temporal::Form;
use crate::schema::{Kind, Schema, SchemaRef, logical};

macro_rules! shared {
    ($($name:ident = $schema:expr;)*) => {
        $(static $name: LazyLock<SchemaRef> = LazyLock::new(|| $schema.shared());)*
    };
}

shared! {
    INT8 = Schema::of(Kind::Int8);
    INT16 = Schema::of(Kind::Int16);
    INT32 = Schema::of(Kind::Int32);
    INT64 = Schema::of(Kind::Int64);
    FLOAT32 = Schema::of(Kind::Float32);
    FLOAT64 = Schema::of(Kind::Float64);
    BOOLEAN = Schema::of(Kind::Boolean);
    STRING = Schema::of(Kind::String);
    BYTES = Schema::of(Kind::Bytes);
    DATE = Schema::of(Kind::Int32).named(logical::DATE).version(1);
    TIME = Schema::of(Kind::Int32).named(logical::TIME).version(1);
    TIMESTAMP = Schema::of(Kind::Int64).named(logical::TIMESTAMP).version(1);
}

/// The required schema of a kind, with nothing else.
pub(super) fn plain(kind: Kind) -> SchemaRef {
    Arc::clone(match kind {
        Kind::Int8 => &INT8,
        Kind::Int16 => &INT16,
        Kind::Int32 => &INT32,
        Kind::Int64 => &INT64,
        Kind::Float32 => &FLOAT32,
        Kind::Float64 => &FLOAT64,
        Kind::Boolean => &BOOLEAN,
        Kind::String => &STRING,
        Kind::Bytes => &BYTES,
        other => return Schema::of(other).shared(),
    })
}

/// The schema of what was read in a form.
pub(super) fn temporal(form: Form) -> SchemaRef {
    Arc::clone(match form {
        Form::Date => &DATE,
        Form::Time => &TIME,
        Form::Timestamp => &TIMESTAMP,
    })
}

/// The schema of a decimal.
pub(super) fn decimal(scale: i32) -> SchemaRef {
    Schema::of(Kind::Bytes).named(logical::DECIMAL).version(1).parameter("scale", scale.to_string()).shared()
}
