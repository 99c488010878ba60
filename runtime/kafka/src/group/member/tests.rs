use super::*;
use proptest::prelude::*;

const SESSION: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(3);

fn stable(now: Instant) -> Member {
    let mut member = Member::new(SESSION, INTERVAL);
    member.prepared();
    member.joined(now, "m-1", 4, false);
    member.synced(now);
    member
}

#[test]
fn a_first_join_gets_its_member_id_and_joins_again() {
    let now = Instant::now();
    let mut member = Member::new(SESSION, INTERVAL);
    assert_eq!(member.next(now), Next::Prepare);
    member.prepared();
    assert_eq!(member.next(now), Next::Join);
    assert_eq!(member.join_refused(ResponseError::MemberIdRequired, "m-1"), Verdict::default());
    assert_eq!((member.next(now), member.member_id.as_str()), (Next::Join, "m-1"));
    member.joined(now, "m-1", 1, true);
    assert_eq!(member.next(now), Next::Elect);
    member.assigned();
    assert_eq!(member.next(now), Next::Sync);
    member.synced(now);
    assert_eq!(member.next(now), Next::WaitUntil(now + INTERVAL));
    assert_eq!(member.next(now + INTERVAL), Next::Heartbeat);
}

#[test]
fn a_rebalance_keeps_the_member_and_its_work() {
    let now = Instant::now();
    let mut member = stable(now);
    let verdict = member.heartbeat_refused(now, ResponseError::RebalanceInProgress);
    assert_eq!(verdict.notices, [Notice::Rebalancing]);
    assert_eq!((member.next(now), member.generation, member.member_id.as_str()), (Next::Prepare, 4, "m-1"));
    // Heartbeats while the owner thinks say it again, but the owner knows.
    assert_eq!(member.heartbeat_refused(now, ResponseError::RebalanceInProgress).notices, []);
}

#[test]
fn an_unknown_member_has_lost_everything_and_says_so_once() {
    let now = Instant::now();
    let mut member = stable(now);
    let verdict = member.heartbeat_refused(now, ResponseError::UnknownMemberId);
    assert!(matches!(verdict.notices[..], [Notice::Lost(_)]), "{verdict:?}");
    assert_eq!((member.member_id.as_str(), member.generation, member.next(now)), ("", -1, Next::Prepare));
    member.prepared();
    assert_eq!(member.join_refused(ResponseError::UnknownMemberId, "").notices, []);
}

#[test]
fn an_old_generation_keeps_its_member_id() {
    let now = Instant::now();
    let mut member = stable(now);
    let verdict = member.heartbeat_refused(now, ResponseError::IllegalGeneration);
    assert!(matches!(verdict.notices[..], [Notice::Lost(_)]), "{verdict:?}");
    assert_eq!((member.member_id.as_str(), member.generation), ("m-1", -1));
}

#[test]
fn a_moved_coordinator_is_looked_for_without_losing_anything() {
    let now = Instant::now();
    let mut member = stable(now);
    let verdict = member.heartbeat_refused(now, ResponseError::NotCoordinator);
    assert!(verdict.find_coordinator && verdict.notices.is_empty());
    assert_eq!(member.phase, Phase::Stable);
}

#[test]
fn work_is_lost_when_the_coordinator_stays_away_for_a_session() {
    let now = Instant::now();
    let mut member = stable(now);
    assert_eq!(member.out_of_reach(now + SESSION / 2).notices, []);
    assert!(matches!(member.out_of_reach(now + SESSION).notices[..], [Notice::Lost(_)]));
    assert_eq!(member.out_of_reach(now + SESSION * 2).notices, []);
}

#[test]
fn work_given_up_for_silence_may_be_stopped_in_good_order_and_an_evicted_members_may_not() {
    let now = Instant::now();
    let mut member = stable(now);
    member.out_of_reach(now + SESSION);
    assert!(member.counted_out && !member.has_assignment);
    member.prepared();
    member.joined(now + SESSION, "m-1", 5, false);
    assert!(member.counted_out && !member.has_assignment, "a join that is not complete gives nothing");
    member.synced(now + SESSION);
    assert!(!member.counted_out && member.has_assignment);

    for error in [ResponseError::UnknownMemberId, ResponseError::IllegalGeneration] {
        let mut silent = stable(now);
        silent.out_of_reach(now + SESSION);
        silent.prepared();
        silent.join_refused(error, "");
        assert!(!silent.counted_out, "{error:?}");
        let mut evicted = stable(now);
        evicted.heartbeat_refused(now, error);
        assert!(!evicted.counted_out, "{error:?}");
    }
}

#[test]
fn heartbeats_during_a_long_join_keep_the_work() {
    let now = Instant::now();
    let mut member = stable(now);
    member.ask_rejoin();
    member.prepared();
    let later = now + SESSION * 3;
    member.heartbeat_refused(later - SESSION / 2, ResponseError::RebalanceInProgress);
    assert_eq!(member.out_of_reach(later).notices, []);
    assert_eq!(member.next(later), Next::Join);
    assert!(matches!(member.out_of_reach(later + SESSION / 2).notices[..], [Notice::Lost(_)]));
}

#[test]
fn the_session_counts_from_what_was_sent() {
    let now = Instant::now();
    let mut member = stable(now);
    member.beat(now + SESSION / 2);
    // An answer that comes late proves no more than it did when its request was sent.
    member.beat(now + SESSION / 4);
    assert_eq!(member.last_contact, Some(now + SESSION / 2));
    assert_eq!(member.out_of_reach(now + SESSION + SESSION / 4).notices, []);
    assert!(matches!(member.out_of_reach(now + SESSION * 2).notices[..], [Notice::Lost(_)]));
}

#[test]
fn an_owner_that_abstains_has_nothing_and_is_asked_again() {
    let now = Instant::now();
    let mut member = stable(now);
    assert!(matches!(member.abstained().notices[..], [Notice::Lost(_)]));
    assert_eq!((member.member_id.as_str(), member.next(now)), ("", Next::Prepare));
    assert_eq!(member.abstained().notices, []);
}

#[test]
fn a_wish_to_rejoin_during_a_join_is_kept_for_afterwards() {
    let now = Instant::now();
    let mut member = Member::new(SESSION, INTERVAL);
    member.prepared();
    member.ask_rejoin();
    member.joined(now, "m", 1, false);
    member.synced(now);
    assert_eq!(member.next(now), Next::Prepare);
    member.prepared();
    member.joined(now, "m", 2, false);
    member.synced(now);
    assert_eq!(member.phase, Phase::Stable);
}

#[test]
fn a_new_rebalance_makes_an_election_void() {
    let now = Instant::now();
    let mut member = Member::new(SESSION, INTERVAL);
    member.prepared();
    member.joined(now, "m", 1, true);
    member.heartbeat_refused(now, ResponseError::RebalanceInProgress);
    member.assigned();
    assert_eq!(member.next(now), Next::Prepare);
}

#[test]
fn refusals_that_need_a_user_are_told() {
    let now = Instant::now();
    let mut member = Member::new(SESSION, INTERVAL);
    member.prepared();
    let verdict = member.join_refused(ResponseError::GroupAuthorizationFailed, "");
    assert_eq!(verdict.notices, [Notice::Trouble(ResponseError::GroupAuthorizationFailed)]);
    assert!(verdict.pause);
    assert_eq!(member.next(now), Next::Join);
}

#[derive(Clone, Debug)]
enum Input {
    Prepared,
    Assigned,
    Rejoin,
    Joined(bool),
    Synced,
    Beat,
    JoinRefused(i16),
    SyncRefused(i16),
    BeatRefused(i16),
    OutOfReach,
    Time(u64),
}

fn input() -> impl Strategy<Value = Input> {
    let code = prop_oneof![Just(14_i16), Just(15), Just(16), Just(22), Just(25), Just(27), Just(30), Just(79)];
    prop_oneof![
        Just(Input::Prepared),
        Just(Input::Assigned),
        Just(Input::Rejoin),
        any::<bool>().prop_map(Input::Joined),
        Just(Input::Synced),
        Just(Input::Beat),
        code.clone().prop_map(Input::JoinRefused),
        code.clone().prop_map(Input::SyncRefused),
        code.prop_map(Input::BeatRefused),
        Just(Input::OutOfReach),
        (0_u64..8000).prop_map(Input::Time),
    ]
}

proptest! {
    /// Whatever happens: what is lost was held, and is not lost twice; and a member that is answered well becomes stable.
    #[test]
    fn lost_only_what_was_held(inputs in proptest::collection::vec(input(), 0..60)) {
        let mut now = Instant::now();
        let mut member = Member::new(SESSION, INTERVAL);
        let mut held = false;
        for input in inputs {
            let error = |code| ResponseError::try_from_code(code).unwrap();
            // Answers come only to what was sent.
            let verdict = match (input, member.phase) {
                (Input::Prepared, _) => { member.prepared(); None }
                (Input::Assigned, _) => { member.assigned(); None }
                (Input::Rejoin, _) => { member.ask_rejoin(); None }
                (Input::Joined(leads), Phase::Joining) => { member.joined(now, "m", 1, leads); None }
                (Input::Synced, Phase::Syncing) => { member.synced(now); held = true; None }
                (Input::Beat, _) => { member.beat(now); None }
                (Input::JoinRefused(code), Phase::Joining) => Some(member.join_refused(error(code), "m")),
                (Input::SyncRefused(code), Phase::Syncing) => Some(member.sync_refused(error(code))),
                (Input::BeatRefused(code), _) if member.needs_heartbeats() => Some(member.heartbeat_refused(now, error(code))),
                (Input::OutOfReach, _) => Some(member.out_of_reach(now)),
                (Input::Time(millis), _) => { now += Duration::from_millis(millis); None }
                _ => None,
            };
            for notice in verdict.iter().flat_map(|verdict| &verdict.notices) {
                if matches!(notice, Notice::Lost(_)) {
                    prop_assert!(held);
                    held = false;
                }
            }
            prop_assert!(member.phase != Phase::Stable || member.needs_heartbeats());
        }
        for _ in 0..8 {
            match member.next(now) {
                Next::Prepare => member.prepared(),
                Next::Join => member.joined(now, "m", 9, true),
                Next::Elect => member.assigned(),
                Next::Sync => member.synced(now),
                Next::Heartbeat => { member.heartbeat_sent(now); member.beat(now); }
                Next::WaitUntil(until) => prop_assert!(until > now),
            }
        }
        prop_assert_eq!(member.phase, Phase::Stable);
    }
}
