//! Tests that measure times don't run beside those that start JVM workers, which take a whole core for seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a test does to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It measures how long something takes.
    Timed,
    /// It starts JVM workers.
    Heavy,
}

/// How many of one kind run now.
static RUNNING: Mutex<(Kind, usize)> = Mutex::new((Kind::Timed, 0));
const LOOK: Duration = Duration::from_millis(100);

/// Held while a test runs.
pub(crate) struct Pass(());

/// Waits until no test of the other kind runs.
pub(crate) async fn enter(kind: Kind) -> Pass {
    while !admitted(kind) {
        tokio::time::sleep(LOOK).await;
    }
    Pass(())
}

fn admitted(kind: Kind) -> bool {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let free = running.1 == 0 || running.0 == kind;
    if free {
        *running = (kind, running.1 + 1);
    }
    free
}

impl Drop for Pass {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).1 -= 1;
    }
}
