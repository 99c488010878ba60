//! Tells webhooks what happens to jobs.
//!
//! Whoever runs jobs decides which events there are, keeps them, and keeps what each webhook has got; [`Outbox::offer`] shows
//! all that, and [`Outbox`] posts what is missing: for each job and webhook one after the other, again and again until it is
//! taken or given up. Nothing that a receiver is sent twice differs: events have ids. `README.md` beside this file is the page
//! for users.
//!
//! Invariants: an event is never posted before the one before it is settled; nothing is given up without a line in the log and
//! [`Outbox::dropped`]; a worker that does not lead begins no post; an address that is not public is never connected to unless
//! the worker's owner allows it; neither secrets nor more of a URL than its host leave this module other than to the receiver.

mod address;
mod backoff;
mod event;
mod hook;
#[cfg(test)]
mod hook_tests;
mod http;
#[cfg(test)]
mod http_tests;
mod line;
mod lines;
#[cfg(test)]
mod lines_tests;
mod outbox;
#[cfg(test)]
mod outbox_tests;
#[cfg(test)]
mod testing;

pub use event::{EventFields, EventKind, OutboxEvent};
pub use hook::{HOOKS_MAX, Webhook};
pub use outbox::{Delivered, Outbox, OutboxSettings};
