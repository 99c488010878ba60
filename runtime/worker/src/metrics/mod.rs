//! What the worker measures, under the names of the JVM worker's MBeans (`ConnectMetricsRegistry`).
//!
//! Loops add to plain atomics and, once a batch, to Kafka's windows; everything else is looked up when somebody asks. A
//! scrape reads the snapshot of the cluster that the herder published last, and never asks the herder.

mod clients;
mod facts;
mod task;
mod worker;

pub use clients::ClientOf;
pub use facts::TaskFacts;
pub use task::TaskMetrics;
pub use worker::WorkerMetrics;

/// Milliseconds since 1970 by the system's clock.
pub fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
