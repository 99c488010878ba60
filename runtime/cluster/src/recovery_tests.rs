//! The policy of recovery: rows of failures, their delays and their ends.

use connect_api::ErrorKind;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A jitter that changes nothing.
const STEADY: u64 = JITTER_PERMILLE;

fn failure(kind: ErrorKind) -> Failure {
    Failure { code: kind.code().to_owned(), message: "broken".to_owned(), remedy: None, cure: Cure::of(kind) }
}

fn network() -> Failure {
    failure(ErrorKind::Unavailable)
}

fn options(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// Fails again as soon as each attempt is made; the delays until nothing more is tried, and why.
fn row(policy: &RecoveryPolicy, jitter: u64, mut fail: impl FnMut(usize) -> Failure) -> (Vec<i64>, Recovery) {
    let (mut delays, mut now, mut last): (Vec<i64>, i64, Option<Recovery>) = (Vec::new(), 1_000, None);
    loop {
        let next = policy.after(last.as_ref(), fail(delays.len()), 0, now, jitter);
        let Some(at) = next.next_attempt_ms else { return (delays, next) };
        delays.push(at - now);
        now = at;
        last = Some(next);
    }
}

#[test]
fn a_network_error_is_tried_again_at_once_three_times_and_then_with_growing_delays() {
    let (delays, end) = row(&RecoveryPolicy::default(), STEADY, |_| network());
    assert_eq!(delays, [0, 0, 0, 5_000, 15_000, 45_000, 135_000, 405_000, 1_215_000, 3_600_000]);
    assert_eq!((end.attempt, end.attempts_max, end.first_failure_ms), (10, 10, 1_000));
    assert_eq!(end.over.as_deref(), Some("10 restarts in a row have not cured it"));
}

#[test]
fn what_passes_with_time_is_given_time_at_once() {
    let (delays, _) = row(&RecoveryPolicy::default(), STEADY, |_| failure(ErrorKind::Conflict));
    assert_eq!(delays[..3], [5_000, 15_000, 45_000]);
    // Delays go on growing while kinds change, and what is left of the attempts at once is used.
    let kinds = [ErrorKind::Conflict, ErrorKind::Timeout, ErrorKind::Conflict];
    let (delays, _) = row(&RecoveryPolicy::default(), STEADY, |n| failure(kinds[n % 3]));
    assert_eq!(delays[..4], [5_000, 0, 15_000, 45_000]);
}

#[test]
fn what_somebody_has_to_see_to_is_not_tried_again() {
    for kind in [ErrorKind::Auth, ErrorKind::Config, ErrorKind::Bug, ErrorKind::PositionLost] {
        let end = RecoveryPolicy::default().after(None, failure(kind), 0, 5, STEADY);
        assert_eq!((end.attempt, end.next_attempt_ms, end.first_failure_ms), (0, None, 5));
        let expected = format!("an error of the kind \"{}\" is not cured by trying again", kind.code());
        assert_eq!(end.over, Some(expected));
    }
    // It ends a row of others, too, which stays to be seen.
    let first = RecoveryPolicy::default().after(None, network(), 0, 5, STEADY);
    let end = RecoveryPolicy::default().after(Some(&first), failure(ErrorKind::Auth), 0, 9, STEADY);
    assert_eq!((end.attempt, end.first_failure_ms, end.over.is_some()), (1, 5, true));
}

#[test]
fn a_run_that_was_healthy_for_long_enough_begins_a_new_row() {
    let policy = RecoveryPolicy::default();
    let (_, end) = row(&policy, STEADY, |_| network());
    let again = policy.after(Some(&end), network(), policy.healthy_ms - 1, 7_000_000, STEADY);
    assert!(again.over.is_some());
    let anew = policy.after(Some(&end), network(), policy.healthy_ms, 7_000_000, STEADY);
    assert_eq!((anew.attempt, anew.first_failure_ms, anew.next_attempt_ms), (1, 7_000_000, Some(7_000_000)));
}

#[test]
fn switched_off_nothing_is_tried_again() {
    let policy = RecoveryPolicy { enabled: false, ..RecoveryPolicy::default() };
    let end = policy.after(None, network(), 0, 5, STEADY);
    assert_eq!((end.attempt, end.next_attempt_ms), (0, None));
    assert!(end.over.expect("over").contains("job.recovery.enabled=false"));
}

#[test]
fn jitter_is_a_fifth_at_most_and_never_exceeds_the_cap() {
    let policy = RecoveryPolicy { immediate: 0, max_delay_ms: 6_000, ..RecoveryPolicy::default() };
    assert_eq!((policy.delay_ms(0, 0), policy.delay_ms(0, 2 * JITTER_PERMILLE)), (4_000, 6_000));
    assert_eq!((policy.delay_ms(9, 0), policy.delay_ms(9, 2 * JITTER_PERMILLE)), (4_800, 6_000));
    let longest = RecoveryPolicy { max_delay_ms: u64::MAX, first_delay_ms: u64::MAX, ..policy };
    assert_eq!(longest.delay_ms(5, 0), u64::MAX);
}

#[test]
fn a_job_says_otherwise_in_booleans_numbers_or_text() {
    let worker = RecoveryPolicy::default();
    let given = options(json!({
        "recovery.enabled": false, "recovery.attempts.max": 2, "recovery.backoff.initial.ms": "70", "webhooks": ["x"],
    }));
    let own = worker.with_options(&given).expect("valid");
    let expected = RecoveryPolicy { enabled: false, attempts_max: 2, first_delay_ms: 70, ..worker.clone() };
    assert_eq!(own, expected);
    assert_eq!(worker.with_options(&Map::new()).expect("valid"), worker);
}

#[test]
fn options_that_do_not_fit_are_told() {
    let refused = |value: Value| {
        let error = RecoveryPolicy::default().with_options(&options(value)).expect_err("refused");
        (error.key.unwrap_or_default(), error.message)
    };
    let (key, message) = refused(json!({"recovery.attempts.max": -1}));
    assert_eq!(
        (key.as_str(), message.as_str()),
        ("recovery.attempts.max", "Invalid value -1 for option recovery.attempts.max: Value must be at least 0")
    );
    assert!(refused(json!({"recovery.enabled": "perhaps"})).1.contains("option recovery.enabled"));
    assert!(refused(json!({"recovery.window.ms": [1]})).1.contains("a boolean, a number or a text"));
    let (key, message) = refused(json!({"recovery.attempts": 1}));
    assert_eq!(key, "recovery.attempts");
    assert!(message.contains("recovery.attempts.max, recovery.window.ms"), "{message}");
}

#[test]
fn the_workers_defaults_are_those_of_the_policy() {
    let config = JobsConfig::parse(&Props::new()).expect("valid");
    assert_eq!(RecoveryPolicy::from(&config), RecoveryPolicy::default());
}

fn policies() -> impl Strategy<Value = RecoveryPolicy> {
    (0..5_u32, 1..100_000_u64, 1..6_u32, 1..1_000_000_u64, 0..40_u32, 0..10_000_000_u64).prop_map(
        |(immediate, first_delay_ms, factor, max_delay_ms, attempts_max, window_ms)| RecoveryPolicy {
            enabled: true,
            immediate,
            first_delay_ms,
            factor,
            max_delay_ms,
            attempts_max,
            window_ms,
            healthy_ms: 600_000,
        },
    )
}

proptest! {
    #[test]
    fn a_row_has_its_bounds(
        policy in policies(),
        kinds in prop::collection::vec(prop::bool::ANY, 40),
        jitters in prop::collection::vec(any::<u64>(), 41),
        runs in prop::collection::vec(0..100_000_u64, 41),
    ) {
        let (mut now, mut last, mut steady) = (1_000_i64, None::<Recovery>, 0_i64);
        let mut attempts = 0;
        for n in 0..=40 {
            let kind = if kinds.get(n).copied().unwrap_or(true) { ErrorKind::Unavailable } else { ErrorKind::Conflict };
            let (after, unjittered) = (
                policy.after(last.as_ref(), failure(kind), runs[n], now, jitters[n]),
                policy.after(last.as_ref(), failure(kind), runs[n], now, STEADY),
            );
            let first = after.first_failure_ms;
            prop_assert_eq!(first, 1_000);
            let Some(next) = after.next_attempt_ms else { break };
            attempts += 1;
            prop_assert_eq!(after.attempt, attempts);
            prop_assert!(attempts <= policy.attempts_max && after.at_once <= policy.immediate);
            prop_assert!(next >= now && next - now <= i64::try_from(policy.max_delay_ms).expect("small"));
            prop_assert!(next - first <= i64::try_from(policy.window_ms).expect("small"));
            if let Some(planned) = unjittered.next_attempt_ms.filter(|_| after.at_once == last.as_ref().map_or(0, |row| row.at_once)) {
                prop_assert!(planned - now >= steady, "a delay is shorter than the one before it");
                steady = planned - now;
            }
            now = next + i64::try_from(runs[n]).expect("small");
            last = Some(after);
        }
        prop_assert!(attempts <= policy.attempts_max);
    }
}
