//! Jobs: pipelines as one thing, on top of connectors.
//!
//! A job has at most one source and any number of sinks. It is told by records of one compacted topic ([`record`]), which
//! every worker reads and adds up in the same way ([`log`]); its state is derived from its connectors and the last command
//! in one function ([`derive`]); what takes several steps ([`plan`]) is done by the leader, one step at a time, so that the
//! next leader goes on where it stopped. [`engine`] puts it together, [`show`] makes what the API shows. All of it is pure.

pub mod actions;
mod conduct;
pub mod derive;
pub mod engine;
pub mod figures;
pub mod keep;
pub mod log;
pub mod members;
pub mod options;
pub mod plan;
pub mod record;
#[cfg(test)]
mod rig;
pub mod settle;
pub mod show;
pub mod view;

pub use engine::{Engine, JobsEffect, JobsEvent, Outcome, Work};
pub use figures::JobFigures;
pub use view::{
    Action, Checkpoint, ConnectorSummary, JobError, JobEvent, JobEvents, JobKind, JobState, JobSummary, JobTask,
    JobView, Jobs, NewConnector, NewJob, Notice, PartState, RateView, RecoveryView, RetentionView, SinkLag, Started,
    StreamingView, TableView, Transition, Validation,
};
