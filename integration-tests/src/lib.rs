//! The testbed that starts real servers, and what the integration tests and the quickstart share.

pub mod quickstart;
pub mod testbed;
