//! Transforms and predicates
