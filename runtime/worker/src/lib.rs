//! Runs what the herder decided: source and sink loops, offsets, status, dead letters

pub mod unit;
