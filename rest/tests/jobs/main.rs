//! The job routes and the portal over a real socket, with jobs that answer what the test tells them to.

#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking.

mod acted;
mod api;
mod events;
mod fake;
mod made;
mod portal;
mod shown;
mod views;
