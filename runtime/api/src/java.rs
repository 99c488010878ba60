//! What data looks like to Java, where users can see it: text of numbers, iteration order of hash maps, class names.

pub mod character;
pub mod class;
pub mod decimal;
pub mod display;
pub mod equal;
pub mod hash;
mod keys;
pub mod linked;
pub mod number;
pub mod text;
pub mod utf8;
