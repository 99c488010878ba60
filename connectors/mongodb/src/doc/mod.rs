//! Documents: reading Connect data as documents, and writing them as raw BSON.

pub mod decimal;
pub mod extjson;
mod extjson_lex;
mod extjson_types;
pub mod render;
#[cfg(test)]
mod tests;
pub mod value;
pub mod view;
pub mod write;

pub use view::{DocRef, NodeRef, Side, Which};
pub use write::Writer;
