//! The loop that drives the herder: it feeds [`connect_cluster::Herder`] with what happens and carries out what it decides.
//!
//! Invariants: the loop itself never waits for Kafka, a connector or a client (what takes time runs beside it and comes
//! back as an event); everything reaches it through one bounded channel, in order, so that the records a write made are
//! taken in before the write is reported as done.

mod carry;
mod drive;
mod fencing;
mod file_log;
mod group;
mod java_map;
mod job_log;
mod latest;
mod leader_log;
mod log;
mod peers;
mod signature;
mod start;
mod topics;
mod worker;

pub use drive::SetLogLevel;
pub use file_log::FileOffsets;
pub use group::{Alone, Group, GroupHandle, KafkaGroup};
pub(crate) use latest::Latest;
pub use log::{KafkaLog, Log, MemoryLog, NotAppended, Sink};
pub use peers::{HttpPeers, NoPeers, Peers};
pub use start::{Running, StartError, Startup, knows, start_distributed, start_standalone};
pub(crate) use topics::prepare_offsets_topic;
pub use worker::Worker;
