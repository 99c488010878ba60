//! How an answer counts, and how long it is waited after one that was no success.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;

/// The longest wait between two posts of the same notice, unless the receiver asks for more.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// The longest wait that a receiver may ask for.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// How often a notice is posted to a receiver that refuses it, before it is given up.
pub(super) const REFUSED_TRIES: u32 = 5;

/// What became of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    /// It may pass by itself: posted again for as long as the notice is kept.
    Failed {
        why: String,
        /// How long the receiver wants to be left alone.
        wait: Option<Duration>,
    },
    /// It will hardly pass by itself: posted [`REFUSED_TRIES`] times.
    Refused(String),
    /// Never posted again.
    Final(String),
}

/// How a status counts. Receivers say with 4xx that they don't want this notice, and often mean that they are being set up
/// or repaired; with 410 they say that they are gone for good.
pub(super) fn judge(status: StatusCode, retry_after: Option<&str>, now: SystemTime) -> Answer {
    let why = format!("it answered {status}");
    match status {
        _ if status.is_success() => Answer::Taken,
        StatusCode::GONE => Answer::Final(format!("{why}: it wants to be told nothing any more")),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Answer::Failed { why, wait: retry_after.and_then(|text| asked_wait(text, now)) }
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Answer::Failed { why, wait: None },
        _ if status.is_redirection() => {
            Answer::Refused(format!("{why}: redirects are never followed, so give the URL that it leads to"))
        }
        _ if status.is_client_error() => Answer::Refused(why),
        _ => Answer::Failed { why, wait: None },
    }
}

/// `Retry-After`: seconds or a date.
fn asked_wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// The wait after so many failures in a row: doubled with each, and shortened by up to half, so that the notices of many jobs
/// don't come back all at once. `jitter` is between 0 and 1.
pub(super) fn delay(initial: Duration, failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let full = initial.saturating_mul(1 << doublings).min(LONGEST);
    full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(status: u16, retry_after: Option<&str>) -> Answer {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_768_473_000);
        judge(StatusCode::from_u16(status).unwrap(), retry_after, now)
    }

    #[test]
    fn statuses_count_as_documented() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status, None), Answer::Taken);
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(judged(status, None), Answer::Failed { wait: None, .. }), "{status}");
        }
        for status in [301, 302, 303, 307, 308, 400, 401, 403, 404, 422] {
            assert!(matches!(judged(status, None), Answer::Refused(_)), "{status}");
        }
        assert!(matches!(judged(410, None), Answer::Final(_)));
        let Answer::Refused(why) = judged(302, None) else { panic!("a redirect is refused") };
        assert_eq!(why, "it answered 302 Found: redirects are never followed, so give the URL that it leads to");
    }

    #[test]
    fn a_receiver_may_ask_for_time() {
        let asked = |status, text| match judged(status, Some(text)) {
            Answer::Failed { wait, .. } => wait,
            other => panic!("{other:?}"),
        };
        let seconds = Duration::from_secs;
        assert_eq!(asked(503, "17"), Some(seconds(17)));
        assert_eq!(asked(429, " 0 "), Some(seconds(0)));
        assert_eq!(asked(429, "Thu, 15 Jan 2026 10:31:00 GMT"), Some(seconds(60)));
        assert_eq!(asked(429, "Thu, 15 Jan 2026 10:29:00 GMT"), Some(seconds(0)));
        assert_eq!(asked(429, "999999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked(429, "Fri, 15 Jan 2027 10:29:00 GMT"), Some(RETRY_AFTER_MAX));
        for nonsense in ["soon", "-1", "1e9", "99999999999999999999999", ""] {
            assert_eq!(asked(503, nonsense), None, "{nonsense}");
        }
        assert_eq!(asked(500, "17"), None);
    }

    #[test]
    fn waits_double_up_to_five_minutes() {
        let waits = (1..=12).map(|failures| delay(Duration::from_secs(1), failures, 0.0).as_secs()).collect::<Vec<_>>();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(delay(Duration::from_secs(1), 3, 1.0), Duration::from_secs(2));
    }

    proptest! {
        #[test]
        fn no_wait_is_out_of_bounds(initial in any::<u64>(), failures in any::<u32>(), jitter in 0.0_f64..1.0) {
            let initial = Duration::from_millis(initial);
            let wait = delay(initial, failures, jitter);
            prop_assert!(wait <= LONGEST);
            prop_assert!(wait >= initial.min(LONGEST).mul_f64(0.49));
        }
    }
}
