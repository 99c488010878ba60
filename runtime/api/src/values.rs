//! Conversions that need no schema registry and no converter (`org.apache.kafka.connect.data.Values`): text of values,
//! values from text, and from one type to another. Dates are read and written in the time zone of [`zone`].

pub mod convert;
pub mod infer;
pub mod object;
pub mod parse;
pub mod temporal;
pub mod text;
pub mod zone;

mod common;
mod known;
mod logical;
mod tokens;

#[cfg(test)]
mod properties;

pub use infer::infer_schema;
pub use object::{object, physical};
pub use parse::parse_string;
pub use text::convert_to_string;
