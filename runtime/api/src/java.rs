//! What data looks like to Java, where users can see it: text of numbers, iteration order of hash maps, class names.

pub mod class;
pub mod display;
pub mod hash;
pub mod text;
pub mod utf8;
