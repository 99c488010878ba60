//! Runs what the herder decided: connectors and tasks, their source and sink loops, offsets, errors and dead letters.
//!
//! [`units::WorkerUnits`] is what the herd loop drives. A source task runs in [`source`], a sink task in [`sink`]; both
//! know Kafka only through the traits in [`io`].
//!
//! The rule above all (invariant 5 of the architecture): a position is confirmed to where the data came from only after
//! everything up to it is durable where the data goes.

pub mod acks;
pub mod clients;
mod connector;
pub mod control;
pub mod convert;
pub mod dead_letters;
pub mod exactly_once;
pub mod failure;
pub mod herd;
pub mod io;
pub mod jobs;
mod known_headers;
pub mod memory;
pub mod memory_transactions;
pub mod metrics;
mod offset_changes;
pub mod offsets;
mod own_offsets;
mod pace;
pub mod positions;
pub mod report;
pub mod sink;
pub mod source;
mod stall;
mod task;
#[cfg(test)]
mod testing;
pub mod topic_creation;
pub mod transactional_source;
pub mod transactions;
pub mod unit;
pub mod units;
pub mod webhooks;

pub use clients::{Clients, KafkaClients};
pub use offsets::{OffsetStore, OffsetTable};
pub use units::{Resolve, Shared, UnitSettings, WorkerUnits};
