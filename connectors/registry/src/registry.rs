//! The schema registry: requests, what is known of it already, and which schema a record is written with.

mod blocking;
mod bounded;
mod client;
#[cfg(test)]
mod client_tests;
mod credentials;
mod failure;
mod http;
mod kept;
mod missing;
mod schemas;
mod subject;
#[cfg(test)]
pub(crate) mod testing;
mod wire;
mod writing;

pub(crate) use client::{Definition, Format, Registry, Stored};
pub(crate) use failure::{Failure, Words};
pub(crate) use kept::Kept;
pub(crate) use schemas::Schemas;
pub(crate) use subject::Strategy;
pub(crate) use wire::{Frame, SchemaId, prefix};
