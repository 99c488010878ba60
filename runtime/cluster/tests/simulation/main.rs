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
    for seed in seeds(150) {
        run(seed, 1, true);
    }
}

#[test]
fn two_workers_come_to_what_was_asked() {
    for seed in seeds(150) {
        run(seed, 2, true);
    }
}

#[test]
fn three_workers_come_to_what_was_asked() {
    for seed in seeds(80) {
        run(seed, 3, true);
    }
}

#[test]
fn a_paused_and_a_stopped_connector_stay_so_through_the_loss_of_every_worker() {
    let mut world = World::new(7, 2);
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

#[test]
fn a_worker_that_lost_its_session_runs_nothing() {
    let mut world = World::new(11, 2);
    world.create("a", 4);
    world.settle().unwrap();
    world.lose_session(0);

    assert_eq!(world.running_on(0), Vec::<String>::new());
    world.settle().unwrap();
}
