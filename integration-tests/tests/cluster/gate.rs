//! A test that measures times closely runs alone, and none runs beside those that start JVM workers, which take a whole core
//! for seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a test does to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It measures how long something takes, with a narrow bound.
    Timed,
    /// Its bounds are wide, or it has none.
    Patient,
    /// It starts JVM workers.
    Heavy,
}

/// How many of one kind run now.
static RUNNING: Mutex<(Kind, usize)> = Mutex::new((Kind::Timed, 0));
const LOOK: Duration = Duration::from_millis(100);

/// Held while a test runs.
pub(crate) struct Pass(());

/// Waits until no test runs that it may not run beside.
pub(crate) async fn enter(kind: Kind) -> Pass {
    while !admitted(kind) {
        tokio::time::sleep(LOOK).await;
    }
    Pass(())
}

fn admitted(kind: Kind) -> bool {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let free = running.1 == 0 || (running.0 == kind && kind != Kind::Timed);
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
