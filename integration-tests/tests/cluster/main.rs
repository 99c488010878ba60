//! Workers that share a group: with one another and with Apache Kafka's workers, through crashes, freezes, restarts and a
//! bad network.
//!
//! What a test asserts is read from what is written: the records (each says which worker produced it), the files of sinks,
//! the status topic, replication slots, and the generations of the group as the coordinator wrote them down.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod broker;
mod cluster;
mod flow;
mod frozen;
mod gate;
mod killed;
mod leave;
mod load;
mod rolling;
mod sources;
mod support;
mod with_jvm;
