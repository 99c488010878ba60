//! Jobs on this worker: the loop around [`connect_cluster::jobs::Engine`], and what it needs of the world.
//!
//! [`drive`] feeds the engine with the topic of jobs, the cluster's newest snapshot, the reports of this worker's tasks and
//! users' requests, and carries its effects out: [`work`] does the steps of commands, [`report`] tells how far tasks are, [`retention`] watches what sources' systems keep, [`measure`] tells
//! metrics. [`create`] makes new jobs. [`api`] is what the REST API
//! sees of it all.

mod api;
mod create;
mod drive;
mod measure;
mod rates;
mod report;
mod retention;
mod start;
mod work;

pub use api::JobsApi;
pub use measure::{tell_job, tell_webhooks};
pub use start::JobsRunning;
pub(crate) use start::{JobsParts, Opening, World};
