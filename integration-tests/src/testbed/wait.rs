//! Waits that poll until something holds, with a limit.

use std::time::{Duration, Instant};

use super::failure::Failure;

/// How long a poll rests.
const PAUSE: Duration = Duration::from_millis(50);

/// Polls `check` until it answers; `what` completes "waited ... for".
pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = check() {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(Failure::new(format!("waited {limit:?} for {what}")));
        }
        std::thread::sleep(PAUSE);
    }
}

/// [`eventually`] for checks that await. A check that fails says how far it got: the last answer is in the failure.
pub async fn eventually_async<T>(
    what: &str,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, Failure> {
    let end = Instant::now() + limit;
    loop {
        match check().await {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() >= end => {
                return Err(Failure::new(format!("waited {limit:?} for {what}; last: {last}")));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
