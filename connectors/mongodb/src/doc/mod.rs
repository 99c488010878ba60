//! Documents: reading Connect data as documents, and writing them as raw BSON.

pub mod debezium;
#[cfg(test)]
mod debezium_tests;
pub mod decimal;
pub mod extjson;
mod extjson_lex;
mod extjson_types;
pub mod geometry;
pub mod json;
pub mod kept;
pub mod render;
#[cfg(test)]
mod tests;
pub mod time;
pub mod unavailable;
pub mod value;
pub mod view;
pub mod write;

pub use debezium::Types;
pub use unavailable::Unavailable;
pub use view::{DocRef, NodeRef, Side, Which};
pub use write::Writer;
