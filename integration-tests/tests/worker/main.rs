//! Integration tests with the real worker and real servers, which this process starts once.
//!
//! One binary, so that all of them share the servers. `TIDEGATE_BIN` runs another worker than the one of this
//! checkout: what is expected here is what Apache Kafka's worker does, except where a test says so.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod agreement;
mod crash;
mod crash_modes;
mod dead_letters;
mod exactly_once;
mod exactly_once_jvm;
mod failover;
mod failover_lost;
mod half_open;
mod large_requests;
mod listeners;
mod metrics;
mod mongo_documents;
mod mongo_faults;
mod mongo_lanes;
mod mongodb;
mod open_transactions;
mod overrides;
mod pause;
mod postgres;
mod recovery;
mod reselect;
mod rest;
mod scale;
mod secrets;
mod side_by_side;
mod signals;
mod signals_unseen;
mod sink_group;
mod snapshot_parts;
mod snapshot_resume;
mod snapshot_resume_rig;
mod standby;
mod support;
mod testbed;
mod tls_modes;
mod topic_creation;
mod transaction_memory;
mod upkeep;
mod upkeep_failures;
mod upkeep_rig;
