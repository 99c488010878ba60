//! What was found of servers a moment ago, in this process: one that does not answer is not waited for by every session.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Host, Role, Target};

/// Most servers that are remembered: more than any cluster has.
const MAX: usize = 1024;

/// What was found of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It could not be reached, or is not to be read from.
    Failed,
    Is(Role),
}

/// By name and port, with when it was found.
type Known = HashMap<(String, u16), (Status, Instant)>;

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

/// Remembers it.
pub fn note(host: &Host, status: Status) {
    note_for(host, status, Duration::ZERO);
}

/// Remembers it for so much longer than other things.
pub fn note_for(host: &Host, status: Status, longer: Duration) {
    let mut known = KNOWN.lock();
    let known = known.get_or_insert_default();
    if known.len() >= MAX {
        known.clear();
    }
    known.insert((host.name.clone(), host.port), (status, Instant::now() + longer));
}

/// Whether the server would do, as far as that was found out in this time; `None` when it was not.
pub(super) fn would_do(host: &Host, target: Target, within: Duration) -> Option<bool> {
    let known = KNOWN.lock();
    let (status, at) = known.as_ref()?.get(&(host.name.clone(), host.port))?;
    let now = Instant::now();
    (*at > now || now.duration_since(*at) < within).then(|| match status {
        Status::Failed => false,
        Status::Is(role) => target.fits(*role),
    })
}
