//! Transforms and predicates. Synchronous, per record.

use crate::error::Result;
use crate::record::Record;

/// `org.apache.kafka.connect.transforms.Transformation`.
pub trait Transform: Send + Sync {
    /// The changed record; `None` drops it.
    fn apply(&self, record: Record) -> Result<Option<Record>>;
}

/// `org.apache.kafka.connect.transforms.predicates.Predicate`.
pub trait Predicate: Send + Sync {
    /// True when the record fits.
    fn test(&self, record: &Record) -> Result<bool>;
}
