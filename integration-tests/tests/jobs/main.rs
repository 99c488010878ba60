//! Jobs against real servers: each behaviour that the documents behind them describe, named after it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod causes;
mod cluster;
mod ends;
mod failures;
mod lifecycle;
mod pause;
mod receiver;
mod retention;
mod support;
mod webhooks;
