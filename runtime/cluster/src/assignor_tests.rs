//! The assignors alone: complete, balanced, sticky.

use super::*;
use crate::herd::TaskId;

fn tasks(connector: &str, count: u32) -> BTreeSet<UnitId> {
    let name: crate::herd::ConnectorId = Arc::from(connector);
    let mut units: BTreeSet<UnitId> =
        (0..count).map(|task| UnitId::Task(TaskId { connector: Arc::clone(&name), task })).collect();
    units.insert(UnitId::Connector(name));
    units
}

fn members(ids: &[&str]) -> Vec<Member> {
    ids.iter().map(|id| Member { id: (*id).to_owned(), ..Member::default() }).collect()
}

fn round(
    assignor: &mut Cooperative,
    now_ms: u64,
    last_generation: i32,
    generation: i32,
    configured: &BTreeSet<UnitId>,
    members: &[Member],
) -> Outcome {
    assignor.assign(Round { now_ms, last_generation, generation, configured, members, released: &BTreeSet::new() })
}

/// Runs rounds until nothing is revoked, as members rejoin with what they were told.
fn settle(
    assignor: &mut Cooperative,
    now_ms: u64,
    generation: &mut i32,
    configured: &BTreeSet<UnitId>,
    members: &mut [Member],
) -> u64 {
    for _ in 0..10 {
        let round = round(assignor, now_ms, *generation, *generation + 1, configured, members);
        *generation += 1;
        let mut revoked = false;
        for member in members.iter_mut() {
            let share = round.shares.get(&member.id).cloned().unwrap_or_default();
            revoked |= !share.revoked.is_empty();
            member.running = share.assigned;
        }
        if !revoked {
            return round.delay_ms;
        }
    }
    panic!("the rounds do not end");
}

fn check_complete(configured: &BTreeSet<UnitId>, members: &[Member]) {
    let all: Vec<&UnitId> = members.iter().flat_map(|member| &member.running).collect();
    assert_eq!(all.len(), configured.len(), "each unit has one owner: {members:?}");
    assert_eq!(all.into_iter().cloned().collect::<BTreeSet<_>>(), *configured);
    for is_task in [false, true] {
        let counts = members.iter().map(|m| m.running.iter().filter(|u| u.task().is_some() == is_task).count());
        let (min, max) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
        assert!(max - min <= 1, "balanced within one: {members:?}");
    }
}

#[test]
fn eager_deals_connectors_then_tasks_with_one_pointer() {
    let mut configured = tasks("a", 2);
    configured.extend(tasks("b", 1));
    configured.extend(tasks("c", 0));
    let shares = eager(&configured, &members(&["m2", "m1"]));
    let text = |id: &str| shares[id].fresh.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(text("m1"), ["a", "c", "a-1"]);
    assert_eq!(text("m2"), ["b", "a-0", "b-0"]);
}

#[test]
fn a_second_worker_takes_its_half_in_two_rounds() {
    let configured = tasks("c", 4);
    let mut group = members(&["a"]);
    let (mut assignor, mut generation) = (Cooperative::new(300_000), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    check_complete(&configured, &group);
    let before = group[0].running.clone();
    group.extend(members(&["b"]));
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    check_complete(&configured, &group);
    assert!(group[0].running.iter().all(|unit| before.contains(unit)), "nothing moves that need not");
}

#[test]
fn work_of_a_lost_worker_waits_for_its_return() {
    let configured = tasks("c", 4);
    let mut group = members(&["a", "b"]);
    let (mut assignor, mut generation) = (Cooperative::new(300_000), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    let mine = group[0].running.clone();
    let lost = group.pop().unwrap().running;
    let delay = settle(&mut assignor, 1_000, &mut generation, &configured, &mut group);
    assert_eq!(delay, 300_000);
    assert_eq!(group[0].running, mine, "nothing is given out while it is waited for");
    group.extend(members(&["b2"]));
    let delay = settle(&mut assignor, 101_000, &mut generation, &configured, &mut group);
    assert_eq!(delay, 200_000, "what is left of the delay");
    settle(&mut assignor, 301_000, &mut generation, &configured, &mut group);
    check_complete(&configured, &group);
    assert_eq!(group[1].running, lost, "the worker that came back has its work again");
}

#[test]
fn without_delay_lost_work_moves_at_once() {
    let configured = tasks("c", 5);
    let mut group = members(&["a", "b"]);
    let (mut assignor, mut generation) = (Cooperative::new(0), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    group.remove(0);
    assert_eq!(settle(&mut assignor, 5, &mut generation, &configured, &mut group), 0);
    check_complete(&configured, &group);
}

#[test]
fn a_unit_claimed_twice_is_taken_from_both_and_given_out_again() {
    let configured = tasks("c", 2);
    let mut group = members(&["a", "b"]);
    for member in &mut group {
        member.running = configured.iter().cloned().collect();
    }
    let (mut assignor, mut generation) = (Cooperative::new(300_000), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    check_complete(&configured, &group);
}

#[test]
fn what_was_deleted_is_revoked() {
    let configured = tasks("c", 2);
    let mut group = members(&["a"]);
    let (mut assignor, mut generation) = (Cooperative::new(300_000), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    let round = round(&mut assignor, 0, generation, generation + 1, &BTreeSet::new(), &group);
    let revoked = configured.into_iter().collect();
    assert_eq!(round.shares["a"], Share { revoked, ..Share::default() });
}

#[test]
fn a_leader_whose_memory_is_old_starts_afresh() {
    let configured = tasks("c", 2);
    let mut group = members(&["a", "b"]);
    let (mut assignor, mut generation) = (Cooperative::new(300_000), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    group.pop();
    let round = round(&mut assignor, 0, generation + 3, generation + 4, &configured, &group);
    let assigned: BTreeSet<UnitId> = round.shares["a"].assigned.iter().cloned().collect();
    assert_eq!((round.delay_ms, assigned), (0, configured));
}

/// Two members, of which the second goes; `released` of its units it gave back before.
fn after_leaving(released: impl Fn(&UnitId) -> bool) -> (Outcome, Vec<UnitId>) {
    let configured = tasks("c", 4);
    let mut group = members(&["a", "b"]);
    let (mut assignor, mut generation) = (Cooperative::new(300_000), 0);
    settle(&mut assignor, 0, &mut generation, &configured, &mut group);
    let gone = group.pop().unwrap().running;
    let released: BTreeSet<UnitId> = gone.iter().filter(|unit| released(unit)).cloned().collect();
    assert_eq!(assignor.lost(generation, &configured, &group), gone.iter().cloned().collect());
    let round = Round {
        now_ms: 9,
        last_generation: generation,
        generation: generation + 1,
        configured: &configured,
        members: &group,
        released: &released,
    };
    (assignor.assign(round), gone)
}

#[test]
fn work_that_was_given_back_moves_at_once() {
    let (round, gone) = after_leaving(|_| true);
    assert_eq!(round.delay_ms, 0);
    assert_eq!(round.shares["a"].assigned.len(), 5, "{round:?} has all of {gone:?}");
}

#[test]
fn of_a_crash_only_what_was_given_back_moves_at_once() {
    let (round, gone) = after_leaving(|unit| *unit == tasks("c", 4).into_iter().next_back().unwrap());
    assert_eq!(round.delay_ms, 300_000);
    assert!(round.shares["a"].assigned.len() < 5 && !gone.is_empty());
}
