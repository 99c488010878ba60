//! Replays what the JVM's assignors decided, recorded round for round (`assignor.jsonl`): members join, leave, crash and
//! come back, connectors and tasks come and go, delays run out, generations are missed, assignments do not arrive.
//!
//! A line is a group's life: `max` is `scheduled.rebalance.max.delay.ms`; a round has the time, the leader's last completed
//! generation, the new one, the number of tasks of each connector, the members with what they claim (`a` a connector, `a:0`
//! a task), and for each member what the leader told it: new and revoked units; then the delay.
//! `ASSIGNOR_ROUNDS` names another file to replay.

// A panic here is a failed test, which is what is wanted.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use connect_cluster::assignor::{Cooperative, Member, Outcome, Round, Share, eager};
use connect_cluster::{TaskId, UnitId};
use serde::Deserialize;

#[derive(Deserialize)]
struct Life {
    seed: u64,
    eager: bool,
    max: u64,
    rounds: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    now: u64,
    last: i32,
    #[serde(rename = "gen")]
    generation: i32,
    conf: std::collections::BTreeMap<String, u32>,
    #[serde(rename = "in")]
    members: Vec<(String, Vec<String>)>,
    out: Vec<Vec<BTreeSet<String>>>,
    delay: u64,
}

fn unit(text: &str) -> UnitId {
    match text.rsplit_once(':') {
        Some((connector, task)) => {
            UnitId::Task(TaskId { connector: Arc::from(connector), task: task.parse().unwrap() })
        }
        None => UnitId::Connector(Arc::from(text)),
    }
}

fn texts(units: &[UnitId]) -> BTreeSet<String> {
    let text = |unit: &UnitId| match unit {
        UnitId::Connector(name) => name.to_string(),
        UnitId::Task(id) => format!("{}:{}", id.connector, id.task),
    };
    units.iter().map(text).collect()
}

/// What the leader decides, as the recording has it.
fn told(life: &Life, assignor: &mut Cooperative, round: &Recorded) -> (Vec<Vec<BTreeSet<String>>>, u64) {
    let connectors = round.conf.keys().map(|name| unit(name));
    let tasks =
        round.conf.iter().flat_map(|(name, count)| (0..*count).map(move |task| unit(&format!("{name}:{task}"))));
    let configured: BTreeSet<UnitId> = connectors.chain(tasks).collect();
    let member = |(id, running): &(String, Vec<String>)| Member {
        id: id.clone(),
        running: running.iter().map(|text| unit(text)).collect(),
        ..Member::default()
    };
    let members: Vec<Member> = round.members.iter().map(member).collect();
    let Outcome { shares, delay_ms } = if life.eager {
        Outcome { shares: eager(&configured, &members), delay_ms: 0 }
    } else {
        assignor.assign(Round {
            now_ms: round.now,
            last_generation: round.last,
            generation: round.generation,
            configured: &configured,
            members: &members,
            released: &BTreeSet::new(),
        })
    };
    let of = |Share { fresh, revoked, .. }: &Share| {
        if life.eager { vec![texts(fresh)] } else { vec![texts(fresh), texts(revoked)] }
    };
    (members.iter().map(|member| of(&shares[&member.id])).collect(), delay_ms)
}

#[test]
fn the_outcomes_are_the_jvms() {
    let recorded = match std::env::var("ASSIGNOR_ROUNDS") {
        Ok(path) => std::fs::read_to_string(path).unwrap(),
        Err(_) => include_str!("assignor.jsonl").to_owned(),
    };
    let mut lives = 0;
    for line in recorded.lines() {
        let life: Life = serde_json::from_str(line).unwrap();
        let mut assignor = Cooperative::new(life.max);
        for (at, round) in life.rounds.iter().enumerate() {
            let told = told(&life, &mut assignor, round);
            assert_eq!(told, (round.out.clone(), round.delay), "seed {} round {at}", life.seed);
        }
        lives += 1;
    }
    assert!(lives >= 300, "only {lives} lives were replayed");
}
