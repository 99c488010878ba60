//! The pure herder: what a cluster of workers knows and decides.
//!
//! Nothing here waits, locks, reads a clock or does I/O: state and an event go in, effects come out. The worker carries
//! them out.

pub mod assignor;
pub mod brief;
pub mod config_record;
pub mod config_state;
pub mod failure;
pub mod herd;
pub mod herder;
pub mod invariants;
pub mod jobs;
pub mod json;
pub mod offset_record;
pub mod protocol;
pub mod recovery;
pub mod status;
pub mod unit;

pub use brief::brief;
pub use failure::{Cure, Failure};
pub use herd::{
    ClusterView, Command, ConnectorId, ConnectorInfo, ConnectorStatus, ConnectorView, Herd, HerdError, Hop,
    OffsetEntry, PluginInfo, Reply, Signature, State, Target, TaskId, TaskInfo, TaskStatus,
};
pub use herder::{Effect, Event, Herder, HerderConfig, Now, PluginFacts};
pub use recovery::{Recovery, RecoveryOf, RecoveryPolicy};
pub use unit::UnitId;
