//! Waits that poll until something holds, with a limit.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::notice;

/// How long a poll rests.
const PAUSE: Duration = Duration::from_millis(50);
/// How often something is fetched before that counts as failed, and the pause before the next attempt.
const FETCH_ATTEMPTS: usize = 4;
const FETCH_PAUSE: Duration = Duration::from_secs(10);

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

/// Polls `check` until it answers, for as long as it gets further: it fails when it says the same for all of `still`.
///
/// For work whose time depends on the machine. A check may slow down what it waits for, so it gets a fifth of the time.
pub async fn eventually_moving<T, P: PartialEq + Debug>(
    what: &str,
    still: Duration,
    mut check: impl AsyncFnMut() -> Result<T, P>,
) -> Result<T, Failure> {
    let mut last: Option<(P, Instant)> = None;
    loop {
        let asked = Instant::now();
        let now = match check().await {
            Ok(found) => return Ok(found),
            Err(now) => now,
        };
        match &last {
            Some((before, since)) if *before == now => {
                if since.elapsed() >= still {
                    return Err(Failure::new(format!("nothing moved for {still:?} while waiting for {what}: {now:?}")));
                }
            }
            _ => last = Some((now, Instant::now())),
        }
        tokio::time::sleep(PAUSE.max(4 * asked.elapsed())).await;
    }
}

/// Does what goes over the network, again when it fails: mirrors have their moments.
pub(crate) fn fetched<T>(fetch: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    tried(FETCH_ATTEMPTS, FETCH_PAUSE, fetch)
}

fn tried<T>(attempts: usize, pause: Duration, mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 1..attempts {
        match work() {
            Ok(done) => return Ok(done),
            Err(_) => notice::say(&format!("that failed; again in {pause:?}")),
        }
        std::thread::sleep(pause);
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Duration = Duration::from_millis(200);

    #[test]
    fn what_fails_at_first_is_tried_again_but_not_for_ever() {
        let mut left = 3;
        let mut work = || {
            left -= 1;
            if left == 0 { Ok("done") } else { Err(Failure::new(format!("{left} left"))) }
        };
        let failure = tried(2, Duration::ZERO, &mut work).unwrap_err().to_string();
        assert_eq!(failure, "1 left");
        assert_eq!(tried(2, Duration::ZERO, &mut work).ok(), Some("done"));
    }

    #[tokio::test]
    async fn what_moves_is_waited_for_longer_than_what_stands() {
        let mut left = 10;
        let moving = eventually_moving("the end", STILL, async || {
            left -= 1;
            if left == 0 { Ok(left) } else { Err(left) }
        });
        assert_eq!(moving.await.ok(), Some(0));
        let standing = eventually_moving("ever", STILL, async || Err::<(), _>("the same"));
        let failure = standing.await.unwrap_err().to_string();
        assert!(failure.contains("ever") && failure.contains("the same"), "{failure}");
    }
}
