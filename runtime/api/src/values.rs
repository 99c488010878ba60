//! Conversions that need no schema registry and no converter (`org.apache.kafka.connect.data.Values`): text of values, and
//! values from text. Dates are read and written in UTC.

pub mod parse;
pub mod temporal;
pub mod text;

pub use parse::parse_string;
pub use text::convert_to_string;
