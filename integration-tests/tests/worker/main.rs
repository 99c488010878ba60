//! Integration tests with the real worker and real servers, which this process starts once.
//!
//! One binary, so that all of them share the servers. `TIDEGATE_BIN` runs another worker than the one of this
//! checkout: what is expected here is what Apache Kafka's worker does, except where a test says so.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod crash;
mod dead_letters;
mod exactly_once;
mod exactly_once_jvm;
mod half_open;
mod listeners;
mod metrics;
mod mongodb;
mod overrides;
mod pause;
mod postgres;
mod recovery;
mod rest;
mod side_by_side;
mod signals;
mod sink_group;
mod standby;
mod support;
mod testbed;
mod topic_creation;
mod upkeep;
mod upkeep_failures;
mod upkeep_rig;
