//! The schema that the elements of a list have in common, found as they are read.

use super::convert::convert_to;
use crate::error::Result;
use crate::schema::{Kind, Schema, SchemaRef};
use crate::value::Value;

/// What the elements so far have in common.
#[derive(Default)]
pub(super) struct Common {
    schema: Option<SchemaRef>,
    broken: bool,
}

impl Common {
    /// Adds the schema of one more element; null elements have none.
    pub(super) fn add(&mut self, latest: Option<SchemaRef>) {
        let Some(latest) = latest.filter(|_| !self.broken) else { return };
        self.schema = match self.schema.take() {
            None => Some(latest),
            Some(previous) => merged(previous, latest),
        };
        self.broken = self.schema.is_none();
    }

    /// The schema that all have in common.
    pub(super) fn schema(self) -> Option<SchemaRef> {
        self.schema
    }
}

/// The wider of two numbers, the latest of two of the same type.
fn merged(previous: SchemaRef, latest: SchemaRef) -> Option<SchemaRef> {
    match (width(&previous.kind), width(&latest.kind)) {
        (Some(before), Some(after)) => Some(if before > after { previous } else { latest }),
        _ if previous.kind.is_like(&latest.kind) => Some(latest),
        _ => None,
    }
}

/// Wider numbers have higher ranks.
fn width(kind: &Kind) -> Option<u8> {
    Some(match kind {
        Kind::Int8 => 0,
        Kind::Int16 => 1,
        Kind::Int32 => 2,
        Kind::Int64 => 3,
        Kind::Float32 => 4,
        Kind::Float64 => 5,
        _ => return None,
    })
}

/// Brings an element to the common schema. Null fits none.
pub(super) fn aligned(schema: &Schema, value: Value) -> Result<Value> {
    convert_to(schema, None, value)
}
