//! Every reachable combination of a unit and a model of its run, with every input.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::*;

const INPUTS: [Input; 7] = [
    Input::Assigned,
    Input::Revoked,
    Input::Target(Target::Started),
    Input::Target(Target::Paused),
    Input::Target(Target::Stopped),
    Input::Restart,
    Input::RetryDue,
];

/// The run behind a unit, as the world sees it: what it was asked and has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Run {
    alive: bool,
    starting: bool,
    asked_pause: bool,
    asked_stop: bool,
    resting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    unit: Unit,
    run: Run,
}

impl World {
    /// Applies an input and carries out its steps, asserting what must hold on every edge.
    fn apply(mut self, input: Input) -> World {
        match input {
            Input::Started => self.run.starting = false,
            Input::Parked => {
                self.run.asked_pause = false;
                self.run.resting = true;
            }
            Input::Exited | Input::Crashed(_) => self.run = Run::default(),
            _ => {}
        }
        let (unit, steps) = self.unit.next(input);
        for step in &steps {
            match step {
                Step::Spawn => {
                    assert!(!self.run.alive, "a second run: {self:?} {input:?} {steps:?}");
                    self.run = Run { alive: true, starting: true, ..Run::default() };
                }
                Step::Pause | Step::Resume | Step::Stop => {
                    assert!(self.run.alive && !self.run.asked_stop, "nothing to ask: {self:?} {input:?} {steps:?}");
                    match step {
                        Step::Pause => self.run.asked_pause = true,
                        Step::Resume => {
                            self.run.asked_pause = false;
                            self.run.resting = false;
                        }
                        _ => self.run.asked_stop = true,
                    }
                }
                Step::ArmRetry | Step::Report => {}
            }
        }
        let seen = !matches!(unit.life, Life::Idle | Life::Stopping { .. } | Life::Starting { attempt: 1 });
        if seen && unit.state() != self.unit.state() {
            assert!(steps.contains(&Step::Report), "nobody is told: {self:?} {input:?} {steps:?}");
        }
        if matches!(unit.life, Life::Backoff { .. }) && unit.life != self.unit.life {
            assert!(steps.contains(&Step::ArmRetry), "nothing wakes it: {self:?} {input:?} {steps:?}");
        }
        self.unit = unit;
        assert_eq!(unit.life.has_run(), self.run.alive, "{input:?} {steps:?} {self:?}");
        self
    }

    /// What the run can answer now.
    fn answers(&self) -> Vec<Input> {
        let mut answers = Vec::new();
        if self.run.alive {
            answers.push(Input::Crashed(Retry::Never));
            answers.push(Input::Crashed(Retry::Backoff));
            if self.run.starting {
                answers.push(Input::Started);
            }
            if self.run.asked_pause && !self.run.starting {
                answers.push(Input::Parked);
            }
            if self.run.asked_stop {
                answers.push(Input::Exited);
            }
        }
        answers
    }

    /// The next answer that a healthy run gives.
    fn healthy(&self) -> Option<Input> {
        self.answers().into_iter().rfind(|answer| !matches!(answer, Input::Crashed(_)))
    }
}

/// Attempts only count: the exploration looks at the first few.
fn bounded(world: &World) -> bool {
    !matches!(world.unit.life, Life::Backoff { attempt } | Life::Starting { attempt } if attempt > 3)
}

fn reachable() -> HashSet<World> {
    let start = World { unit: Unit::new(Target::Started), run: Run::default() };
    let mut seen = HashSet::from([start]);
    let mut queue = VecDeque::from([start]);
    while let Some(world) = queue.pop_front() {
        for input in INPUTS.into_iter().chain(world.answers()) {
            let next = world.apply(input);
            if bounded(&next) && seen.insert(next) {
                queue.push_back(next);
            }
        }
    }
    seen
}

#[test]
fn every_edge_keeps_one_run_and_life_agrees_with_it() {
    let seen = reachable();
    assert!(seen.len() > 40, "the exploration reached only {} states", seen.len());
}

#[test]
fn once_inputs_cease_every_state_settles_to_what_is_wanted() {
    for start in reachable() {
        let mut world = start;
        for _ in 0..4 {
            match world.healthy() {
                Some(answer) => world = world.apply(answer),
                None => break,
            }
        }
        let Unit { assigned, target, life } = world.unit;
        let settled = match (assigned, target) {
            (false, _) => life == Life::Idle,
            (true, Target::Started) => matches!(life, Life::Running | Life::Failed | Life::Backoff { .. }),
            (true, Target::Paused) => matches!(life, Life::PausedWarm | Life::PausedCold | Life::Failed),
            (true, Target::Stopped) => life == Life::Stopped,
        };
        assert!(settled, "{start:?} ended as {world:?}");
    }
}

#[test]
fn stale_answers_change_nothing() {
    let stale = [Input::Started, Input::Parked, Input::Exited, Input::Crashed(Retry::Never), Input::RetryDue];
    let at_rest = [
        (false, Target::Started, Life::Idle),
        (true, Target::Started, Life::Failed),
        (true, Target::Paused, Life::PausedCold),
        (true, Target::Paused, Life::Failed),
        (true, Target::Stopped, Life::Stopped),
    ];
    for (assigned, target, life) in at_rest {
        for input in stale {
            let unit = Unit { assigned, target, life };
            assert_eq!(unit.next(input), (unit, vec![]), "{unit:?} {input:?}");
        }
    }
}

#[test]
fn a_failed_unit_stays_failed_through_pause_and_resume() {
    let failed = Unit { assigned: true, target: Target::Started, life: Life::Failed };
    let (paused, steps) = failed.next(Input::Target(Target::Paused));
    assert_eq!((paused.life, steps), (Life::Failed, vec![]));
    let (resumed, steps) = paused.next(Input::Target(Target::Started));
    assert_eq!((resumed.life, steps), (Life::Failed, vec![]));
    assert_eq!(resumed.next(Input::Restart).1, vec![Step::Spawn]);
}

#[test]
fn a_restart_of_a_running_unit_waits_for_its_end() {
    let running = Unit { assigned: true, target: Target::Started, life: Life::Running };
    let (stopping, steps) = running.next(Input::Restart);
    assert_eq!((stopping.life, steps), (Life::Stopping { then: Then::Park }, vec![Step::Stop]));
    let (starting, steps) = stopping.next(Input::Exited);
    assert_eq!((starting.life, steps), (Life::Starting { attempt: 1 }, vec![Step::Spawn]));
}

#[test]
fn a_unit_that_is_tried_again_is_failed_in_between_and_restarting_meanwhile() {
    let running = Unit { assigned: true, target: Target::Started, life: Life::Running };
    let (waiting, steps) = running.next(Input::Crashed(Retry::Backoff));
    assert_eq!((waiting.state(), steps), (State::Failed, vec![Step::ArmRetry, Step::Report]));
    let (trying, steps) = waiting.next(Input::RetryDue);
    assert_eq!((trying.state(), steps), (State::Restarting, vec![Step::Spawn, Step::Report]));
    let (running, steps) = trying.next(Input::Started);
    assert_eq!((running.state(), steps), (State::Running, vec![Step::Report]));
    let (waiting, _) = trying.next(Input::Crashed(Retry::Backoff));
    assert_eq!(waiting.life, Life::Backoff { attempt: 3 });
    let (restarted, _) = waiting.next(Input::Restart);
    assert_eq!(restarted.life, Life::Starting { attempt: 1 }, "somebody's restart is no attempt of ours");
}

#[test]
fn failures_are_forgotten_wherever_somebody_has_seen_to_them() {
    for world in reachable() {
        let before = world.unit;
        for input in [Input::Restart, Input::Revoked, Input::Target(Target::Stopped)] {
            let (after, _) = before.next(input);
            assert!(!after.life.in_row(), "{before:?} {input:?} {after:?}");
        }
    }
}

/// The table that reviewers read: what `settle` does from each state.
#[test]
fn the_table_is_as_documented() {
    let lives = [
        Life::Idle,
        Life::Starting { attempt: 1 },
        Life::Running,
        Life::Pausing,
        Life::PausedWarm,
        Life::PausedCold,
        Life::Stopping { then: Then::Park },
        Life::Backoff { attempt: 2 },
        Life::Failed,
        Life::Stopped,
    ];
    let mut lines = BTreeSet::new();
    for (assigned, target) in
        [(false, Target::Started), (true, Target::Started), (true, Target::Paused), (true, Target::Stopped)]
    {
        for life in lives {
            let mut steps = Vec::new();
            let after = Unit { assigned, target, life }.settle(&mut steps);
            let wanted = if assigned { format!("{target:?}") } else { "gone".to_owned() };
            if after.life != life {
                lines.insert(format!("{wanted}: {life:?} -> {:?} {steps:?}", after.life));
            }
        }
    }
    let table = lines.into_iter().collect::<Vec<_>>().join("\n");
    assert_eq!(table, include_str!("unit_table.txt").trim_end());
}
