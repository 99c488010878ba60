//! A leader that claims, fences and starts tasks, driven by hand.

use bytes::Bytes;

use super::*;
use crate::config_record::ConfigRecord;
use crate::herd::{OffsetEntry, Reply, Signature, Target};
use crate::herder::{Event, HerderConfig, Now, PluginFacts};
use crate::protocol::{self, Assignment, Metadata, Protocol};
use crate::recovery::RecoveryPolicy;

struct Rig {
    herder: Herder,
    offset: i64,
    generation: i32,
    now_ms: u64,
}

fn config(exactly_once: ExactlyOnceSources) -> HerderConfig {
    HerderConfig {
        worker_id: "w".to_owned(),
        url: "http://w/".to_owned(),
        protocol: Protocol::Compatible,
        max_delay_ms: 0,
        unsync_backoff_ms: 1_000,
        key_ttl_ms: 0,
        key_algorithm: String::new(),
        key_bytes: 0,
        topic_tracking: true,
        exactly_once,
        kafka_cluster_id: String::new(),
        catalog: Arc::new(|class| match class {
            "Source" => Some(PluginFacts { kind: "source", version: String::new() }),
            _ => Some(PluginFacts { kind: "sink", version: String::new() }),
        }),
        recovery: RecoveryPolicy::default().for_all(),
    }
}

impl Rig {
    /// A worker that has read connector `c` with these many tasks.
    fn new(exactly_once: ExactlyOnceSources, class: &str, tasks: usize) -> Self {
        let mut rig = Self { herder: Herder::new(config(exactly_once)), offset: 0, generation: 0, now_ms: 1 };
        let props = [("connector.class".to_owned(), Some(class.to_owned()))].into_iter().collect();
        rig.read(&ConfigRecord::Connector { name: "c".to_owned(), config: Some(props) });
        rig.commit(tasks);
        rig.step(Event::Started);
        rig
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.herder.step(Now { mono_ms: self.now_ms, wall_ms: 0 }, event, &mut out);
        out
    }

    fn read(&mut self, record: &ConfigRecord) -> Vec<Effect> {
        let (key, value) = record.encode();
        self.offset += 1;
        self.step(Event::Config { offset: self.offset, key, value: value.map(Bytes::from) })
    }

    fn commit(&mut self, tasks: usize) {
        for record in crate::herder::turns::task_records(&"c".into(), &vec![indexmap::IndexMap::new(); tasks]) {
            self.read(&record);
        }
    }

    /// Joins as the leader, or as a follower of `l`.
    fn join(&mut self, leads: bool) -> Vec<Effect> {
        self.generation += 1;
        let protocol = Protocol::Compatible;
        let leader = if leads { "w" } else { "l" };
        self.step(Event::Prepare);
        if self.herder.state.offset > 0 {
            // A doubt of the leader's ends with a read.
            self.step(Event::ConfigRead);
        }
        let metadata =
            Metadata { url: "http://w/".to_owned(), config_offset: self.herder.state.offset, assignment: None };
        let mut tasks: Vec<TaskId> = Vec::new();
        if leads {
            let bytes = Bytes::from(protocol::encode_metadata(protocol, &metadata));
            let members = vec![("w".to_owned(), bytes)];
            let generation = self.generation;
            let protocol = protocol.name().to_owned();
            self.step(Event::Elected { generation, protocol, leader_id: "w".to_owned(), members });
            tasks = self.herder.state.all_tasks().collect();
        }
        let mut assignment = Assignment {
            leader: leader.to_owned(),
            leader_url: format!("http://{leader}/"),
            config_offset: self.herder.state.offset,
            ..Assignment::default()
        };
        let units: Vec<UnitId> = tasks.into_iter().map(UnitId::Task).collect();
        assignment.tasks = crate::assignor::split(&units).1;
        let bytes = protocol::encode_assignment(protocol, &assignment);
        self.step(Event::Joined {
            generation: self.generation,
            member_id: "w".to_owned(),
            leader_id: leader.to_owned(),
            protocol: protocol.name().to_owned(),
            assignment: Bytes::from(bytes),
        })
    }

    fn fence(&mut self, id: RequestId) -> Vec<Effect> {
        self.step(Event::Request {
            id,
            command: Command::Fence { name: "c".to_owned(), signature: Signature::default() },
        })
    }

    /// Carries out the one write that is wanted.
    fn write(&mut self, effects: &[Effect]) -> Vec<Effect> {
        let [Effect::Append(records)] = effects else { panic!("one write, not {effects:?}") };
        for record in records {
            self.read(record);
        }
        self.step(Event::Written(Ok(())))
    }
}

fn count(tasks: i32) -> Vec<Effect> {
    vec![Effect::Append(vec![ConfigRecord::TaskCount { name: "c".to_owned(), tasks }])]
}

fn done(id: RequestId) -> Vec<Effect> {
    vec![Effect::Reply(id, Ok(Reply::Done))]
}

fn leader(tasks: usize) -> Rig {
    let mut rig = Rig::new(ExactlyOnceSources::Enabled, "Source", tasks);
    assert!(rig.join(true).contains(&Effect::Claim), "a new leader claims");
    assert!(rig.step(Event::Claimed(true)).is_empty());
    rig
}

#[test]
fn a_leader_writes_nothing_before_it_has_claimed_the_topic() {
    let mut rig = Rig::new(ExactlyOnceSources::Preparing, "Source", 1);
    rig.join(true);
    assert_eq!(rig.fence(7), []);
    rig.step(Event::Claimed(false));
    rig.now_ms += CLAIM_RETRY_MS;
    assert_eq!(rig.step(Event::Tick), [Effect::Claim], "tried again");
    assert_eq!(rig.step(Event::Claimed(true)), count(1), "what waited goes on");
}

#[test]
fn a_worker_without_exactly_once_support_claims_nothing_and_fences_all_the_same() {
    let mut rig = Rig::new(ExactlyOnceSources::Disabled, "Source", 1);
    assert!(!rig.join(true).contains(&Effect::Claim));
    assert_eq!(rig.fence(1), count(1));
}

#[test]
fn a_failed_write_puts_leadership_in_doubt_until_the_next_round() {
    let mut rig = leader(1);
    assert_eq!(rig.fence(1), count(1));
    let after = rig.step(Event::Written(Err("fenced".to_owned())));
    assert!(after.contains(&Effect::Rejoin), "{after:?}");
    assert!(matches!(after[..], [.., Effect::Reply(1, Err(HerdError::Refused { status: 500, .. }))]), "{after:?}");
    assert!(!rig.herder.leads());
    assert_eq!(rig.fence(2), [], "nothing is done meanwhile");
    assert!(rig.join(true).contains(&Effect::Claim), "still the leader: claimed anew");
    assert_eq!(rig.step(Event::Claimed(true)), count(1));
}

#[test]
fn the_first_tasks_are_only_counted() {
    let mut rig = leader(3);
    let effects = rig.fence(1);
    assert_eq!(effects, count(3));
    assert_eq!(rig.write(&effects), done(1));
    assert_eq!(rig.fence(2), done(2), "nothing is left to be fenced");
}

#[test]
fn one_task_after_one_task_is_only_counted() {
    let mut rig = leader(1);
    rig.read(&ConfigRecord::TaskCount { name: "c".to_owned(), tasks: 1 });
    rig.commit(1);
    assert_eq!(rig.fence(1), count(1));
}

#[test]
fn old_producers_are_fenced_once_for_all_who_ask() {
    let mut rig = leader(2);
    rig.read(&ConfigRecord::TaskCount { name: "c".to_owned(), tasks: 2 });
    rig.commit(1);
    let effects = rig.fence(1);
    assert!(matches!(&effects[..], [Effect::FenceProducers { tasks: 2, .. }]), "{effects:?}");
    assert_eq!(rig.fence(2), []);
    let effects = rig.step(Event::Fenced { name: "c".into(), outcome: Ok(()) });
    assert_eq!(effects, count(1));
    let effects = rig.write(&effects);
    assert_eq!(effects, [Effect::Reply(1, Ok(Reply::Done)), Effect::Reply(2, Ok(Reply::Done))]);
}

#[test]
fn a_round_that_new_tasks_overtook_counts_for_nothing() {
    let mut rig = leader(2);
    rig.read(&ConfigRecord::TaskCount { name: "c".to_owned(), tasks: 2 });
    rig.commit(2);
    rig.fence(1);
    rig.commit(3);
    let effects = rig.step(Event::Fenced { name: "c".into(), outcome: Ok(()) });
    assert!(matches!(effects[..], [Effect::Reply(1, Err(HerdError::Refused { status: 409, .. }))]), "{effects:?}");
    assert!(matches!(rig.fence(2)[..], [Effect::FenceProducers { tasks: 2, .. }]));
    let effects = rig.step(Event::Fenced { name: "c".into(), outcome: Err("no broker".to_owned()) });
    assert!(matches!(effects[..], [Effect::Reply(2, Err(HerdError::Refused { status: 500, .. }))]), "{effects:?}");
}

#[test]
fn offsets_are_altered_only_when_the_old_producers_are_fenced() {
    let mut rig = leader(1);
    rig.read(&ConfigRecord::TaskCount { name: "c".to_owned(), tasks: 1 });
    rig.commit(0);
    rig.read(&ConfigRecord::TargetState { name: "c".to_owned(), target: Some(Target::Stopped) });
    let offsets = Some(vec![OffsetEntry { partition: None, offset: None }]);
    let command = Command::AlterOffsets { name: "c".to_owned(), offsets };
    let effects = rig.step(Event::Request { id: 1, command });
    assert!(matches!(effects[..], [Effect::FenceProducers { tasks: 1, .. }]), "{effects:?}");
    let effects = rig.step(Event::Fenced { name: "c".into(), outcome: Ok(()) });
    assert_eq!(effects, count(0));
    let effects = rig.write(&effects);
    assert!(matches!(effects[..], [Effect::AlterOffsets { id: 1, .. }]), "{effects:?}");
}

#[test]
fn sinks_and_unknown_connectors_are_not_fenced_and_followers_send_to_the_leader() {
    let mut rig = Rig::new(ExactlyOnceSources::Disabled, "Sink", 1);
    rig.join(true);
    let refused = |effects: Vec<Effect>| match effects.into_iter().next() {
        Some(Effect::Reply(_, Err(HerdError::Refused { status, message }))) => (status, message),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(rig.fence(1)), (400, "Connector c is not a source connector".to_owned()));
    let command = Command::Fence { name: "x".to_owned(), signature: Signature::default() };
    assert_eq!(refused(rig.step(Event::Request { id: 2, command })), (404, "Connector x not found".to_owned()));
    rig.join(false);
    let elsewhere = HerdError::Elsewhere { url: Some("http://l/".to_owned()) };
    assert_eq!(rig.fence(3), [Effect::Reply(3, Err(elsewhere))]);
}

#[test]
fn a_run_may_begin_while_it_starts_here_and_not_after_new_tasks_or_a_lost_place() {
    let mut rig = leader(1);
    let task = TaskId { connector: "c".into(), task: 0 };
    let run = rig.herder.units[&UnitId::Task(task.clone())].run;
    assert_eq!(rig.herder.may_begin(&task, run), Ok(()));
    assert!(rig.herder.may_begin(&task, run + 1).is_err());
    rig.step(Event::Rebalancing);
    assert_eq!(rig.herder.may_begin(&task, run), Err(HerdError::Elsewhere { url: None }), "not known yet");
    rig.commit(1);
    assert!(rig.herder.may_begin(&task, run).is_err(), "it is to start with its new configuration");
    rig.step(Event::Lost);
    assert!(rig.herder.may_begin(&task, run).is_err());
}

#[test]
fn a_worker_without_a_seat_wants_signatures_when_its_configuration_does() {
    let mut rig = Rig::new(ExactlyOnceSources::Disabled, "Source", 1);
    assert!(!rig.herder.signs_requests(), "compatible is configured");
    rig.herder.config.protocol = Protocol::Sessioned;
    assert!(rig.herder.signs_requests(), "before the first join");
    rig.step(Event::Lost);
    assert!(rig.herder.signs_requests(), "out of the group");
}
