//! Many herders in one thread: one log, one coordinator, a seeded clock; delays, crashes, lost sessions, restarts, and
//! clients that change things all the while. When the faults cease, the cluster has to come to what was asked of it.
//!
//! `SIM_SEEDS` sets the number of seeds, `SIM_SEED` runs one and names it in failures.

// A panic here is a failed test, which is what is wanted.
#![allow(clippy::unwrap_used)]

mod coordinator;
mod random;
mod world;

use connect_cluster::Target;
use world::World;

fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SIM_SEEDS").unwrap_or(default)).collect(),
    }
}

/// Runs a seed; a violation names the seed that shows it.
fn run(seed: u64, workers: usize, faults: bool) {
    let mut world = World::new(seed, workers);
    world.trouble(if faults { 60_000 } else { 0 }, faults);
    if let Err(violation) = world.settle() {
        panic!("SIM_SEED={seed} workers={workers} faults={faults}: {violation}\n{}", world.story());
    }
}

#[test]
fn one_worker_comes_to_what_was_asked() {
    for seed in seeds(400) {
        run(seed, 1, true);
    }
}

#[test]
fn two_workers_come_to_what_was_asked() {
    for seed in seeds(600) {
        run(seed, 2, true);
    }
}

#[test]
fn three_workers_come_to_what_was_asked() {
    for seed in seeds(600) {
        run(seed, 3, true);
    }
}

#[test]
fn five_workers_come_to_what_was_asked() {
    for seed in seeds(400) {
        run(seed, 5, true);
    }
}

#[test]
fn a_paused_and_a_stopped_connector_stay_so_through_the_loss_of_every_worker() {
    let mut world = World::plain(7, 2, 5_000);
    world.create("a", 2);
    world.create("b", 2);
    world.settle().unwrap();
    world.set_target("a", Target::Paused);
    world.set_target("b", Target::Stopped);
    world.settle().unwrap();
    for worker in 0..2 {
        world.crash(worker);
    }
    world.settle().unwrap();
    assert_eq!(world.target("a"), Target::Paused, "{}", world.story());
    assert_eq!(world.target("b"), Target::Stopped);
    assert_eq!(world.running(), Vec::<String>::new(), "nothing runs of what is to rest");
}

/// Two workers with half each of a connector and four tasks.
fn two_at_work(max_delay_ms: u64) -> World {
    let mut world = World::plain(11, 2, max_delay_ms);
    world.create("a", 4);
    world.settle().unwrap();
    assert_eq!(world.running().len(), 5, "{}", world.story());
    assert!(!world.running_on(0).is_empty() && !world.running_on(1).is_empty());
    world
}

#[test]
fn a_worker_that_is_cut_off_may_do_nothing_before_others_may_have_its_work() {
    for worker in 0..2 {
        let mut world = two_at_work(5_000);
        world.cut_off(worker, 60_000);
        world.run_for(5_750);
        assert!(!world.may_work(worker), "its lease ends within the session of 6 s");
        world.run_for(4_500);
        assert_eq!(world.running_on(worker), Vec::<String>::new(), "{}", world.story());
        world.settle().unwrap();
    }
}

#[test]
fn a_worker_that_was_frozen_wakes_without_any_right_to_work() {
    let mut world = two_at_work(5_000);
    world.freeze(0, 20_000);
    world.run_for(20_001);
    assert!(!world.may_work(0), "{}", world.story());
    world.settle().unwrap();
}

#[test]
fn a_clean_leave_moves_the_work_at_once() {
    for worker in 0..2 {
        let mut world = two_at_work(300_000);
        world.leave(worker, 1_000_000);
        // The longest stop there is, and two rounds.
        world.run_for(5_000 + 1_000);
        assert_eq!(world.running_on(1 - worker).len(), 5, "w{worker} left\n{}", world.story());
    }
}

#[test]
fn a_crash_is_waited_for() {
    let mut world = two_at_work(300_000);
    // The leader's memory goes with it, so it is the follower that crashes.
    let follower = usize::from(world.leads(0));
    world.crash_for_good(follower);
    world.run_for(60_000);
    assert!(world.running_on(1 - follower).len() < 5, "{}", world.story());
}
