//! How a plugin shows what it measures (KIP-877's purpose, in our terms).
//!
//! A plugin keeps its numbers where it makes them, as atomics, and registers something that tells them. The worker asks
//! when somebody looks, and forgets all of it when the run ends. Names are those of the JVM plugin's MBeans.

use std::sync::Arc;

/// A value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading<'a> {
    /// Only grows during a run.
    Count(u64),
    /// Goes up and down.
    Gauge(f64),
    /// Shown as 1 or 0.
    Flag(bool),
    /// A name. Never data of records, never a secret.
    Text(&'a str),
}

/// Takes what is told.
pub trait Readings {
    /// Begins a group of attributes that these tags tell from others of the same kind.
    fn group(&mut self, tags: &[(&'static str, &str)]);

    /// One attribute of the group that was begun last.
    fn put(&mut self, attribute: &'static str, reading: Reading<'_>);
}

/// Tells what was measured.
pub trait Measures: Send + Sync {
    /// Tells everything as it is now. Must not wait.
    fn read(&self, out: &mut dyn Readings);
}

/// Something that measures, with the domain and type of its MBean (`debezium.postgres`, `connector-metrics`).
#[derive(Clone)]
pub struct Measured {
    pub domain: &'static str,
    pub kind: &'static str,
    pub measures: Arc<dyn Measures>,
}

/// Takes what measures.
type Take = Arc<dyn Fn(Measured) + Send + Sync>;

/// Where a task registers what it measures. The default takes nothing, for tests.
#[derive(Clone, Default)]
pub struct Metrics(Option<Take>);

impl Metrics {
    /// Hands everything that is registered to `take`.
    pub fn new(take: impl Fn(Measured) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// Shows what this measures until the run of the task ends.
    pub fn register(&self, domain: &'static str, kind: &'static str, measures: Arc<dyn Measures>) {
        if let Some(take) = &self.0 {
            take(Measured { domain, kind, measures });
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}
