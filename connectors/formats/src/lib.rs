//! Converters and header converters.

/// What this crate offers to the worker.
pub fn plugins() -> Vec<connect_api::Plugin> {
    Vec::new()
}
