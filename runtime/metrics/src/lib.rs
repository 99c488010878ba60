//! Measurements of a worker and how Prometheus sees them.
//!
//! What is measured lives where it is measured, as atomics and [`Samples`]; a [`Source`] tells their values under the JVM's
//! names: group, tags, attribute. The [`Registry`] asks all sources for a [`Snapshot`], and [`render`] writes it in the
//! dialects that published dashboards query. Nothing here knows HTTP, Kafka or connectors.
//!
//! Invariants: a scrape takes no lock that a hot path holds for longer than one addition; every family comes once, with one
//! `HELP` and one `TYPE`; no two samples of a family have the same labels.

mod dialect;
mod family;
mod help;
mod process;
mod registry;
mod samples;
mod snapshot;
mod states;

pub use dialect::{Dialect, Dialects, UnknownDialect};
pub use family::Format;
pub use process::Process;
pub use registry::{Registry, Source, now_ms};
pub use samples::{Samples, Windows};
pub use snapshot::{Attributes, Group, Snapshot, Value};
pub use states::{RunState, States};

/// The text of a snapshot in these dialects.
pub fn render(snapshot: &Snapshot, dialects: Dialects, format: Format) -> String {
    let mut families = family::Families::default();
    for group in snapshot.groups() {
        dialect::add(group, dialects, &mut families);
    }
    families.text(format)
}
