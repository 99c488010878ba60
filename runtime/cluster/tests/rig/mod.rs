//! One herder, driven by hand through what its worker would tell it.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::sync::Arc;

use bytes::Bytes;
use connect_cluster::config_record::ConfigRecord;
use connect_cluster::herder::ExactlyOnceSources;
use connect_cluster::protocol::{Assignment, Protocol, encode_assignment};
use connect_cluster::{
    Effect, Event, Herder, HerderConfig, Now, PluginFacts, RecoveryPolicy, TaskId, UnitId, assignor,
};
use connect_config::Props;
use indexmap::IndexMap;

pub(crate) struct Rig {
    pub(crate) herder: Herder,
    pub(crate) now_ms: u64,
    id: String,
    records: i64,
    generation: i32,
}

/// A task as a unit.
pub(crate) fn task(connector: &str, task: u32) -> UnitId {
    UnitId::Task(TaskId { connector: Arc::from(connector), task })
}

/// The configurations of so many tasks.
pub(crate) fn configs(tasks: usize) -> Vec<IndexMap<String, String>> {
    (0..tasks).map(|task| IndexMap::from([("task".to_owned(), task.to_string())])).collect()
}

impl Rig {
    /// A worker of this id, which speaks the protocol without session keys.
    pub(crate) fn new(id: &str) -> Self {
        let herder = Herder::new(HerderConfig {
            worker_id: id.to_owned(),
            url: format!("http://{id}/"),
            protocol: Protocol::Compatible,
            max_delay_ms: 0,
            unsync_backoff_ms: 1_000,
            key_ttl_ms: 0,
            key_algorithm: String::new(),
            key_bytes: 0,
            topic_tracking: true,
            exactly_once: ExactlyOnceSources::Disabled,
            kafka_cluster_id: String::new(),
            catalog: Arc::new(|_| Some(PluginFacts { kind: "source", version: String::new() })),
            recovery: RecoveryPolicy::default().for_all(),
        });
        Self { herder, now_ms: 1, id: id.to_owned(), records: 0, generation: 0 }
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        self.herder.step(Now { mono_ms: self.now_ms, wall_ms: i64::try_from(self.now_ms).unwrap() }, event, &mut out);
        out
    }

    /// Offset of the last record read plus one.
    pub(crate) fn offset(&self) -> i64 {
        self.records
    }

    pub(crate) fn read(&mut self, record: &ConfigRecord) -> Vec<Effect> {
        let (key, value) = record.encode();
        let offset = self.records;
        self.records += 1;
        self.step(Event::Config { offset, key, value: value.map(Bytes::from) })
    }

    /// A connector's configuration, and its tasks.
    pub(crate) fn create(&mut self, name: &str, tasks: usize) {
        let config = Props::from([("connector.class".to_owned(), Some("Source".to_owned()))]);
        self.read(&ConfigRecord::Connector { name: name.to_owned(), config: Some(config) });
        self.commit(name, tasks);
    }

    pub(crate) fn commit(&mut self, name: &str, tasks: usize) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (task, config) in (0..).zip(configs(tasks)) {
            let id = TaskId { connector: Arc::from(name), task };
            effects.extend(self.read(&ConfigRecord::Task { id, config }));
        }
        effects.extend(self.read(&ConfigRecord::Commit { name: name.to_owned(), tasks }));
        effects
    }

    /// The round ends with these units for this worker.
    pub(crate) fn joined(&mut self, leader: &str, config_offset: i64, units: &[UnitId]) -> Vec<Effect> {
        let (connectors, tasks) = assignor::split(units);
        let (leader, leader_url) = (leader.to_owned(), format!("http://{leader}/"));
        let assignment = Assignment { leader, leader_url, config_offset, connectors, tasks, ..Assignment::default() };
        let leader_id = assignment.leader.clone();
        self.joined_with(&leader_id, encode_assignment(Protocol::Compatible, &assignment))
    }

    pub(crate) fn joined_with(&mut self, leader: &str, assignment: Vec<u8>) -> Vec<Effect> {
        self.generation += 1;
        self.step(Event::Joined {
            generation: self.generation,
            member_id: self.id.clone(),
            leader_id: leader.to_owned(),
            protocol: Protocol::Compatible.name().to_owned(),
            assignment: Bytes::from(assignment),
        })
    }

    /// Leads the next round with these members and what they offer; answers with what each is told.
    pub(crate) fn elected(&mut self, members: Vec<(String, Bytes)>) -> Vec<(String, Vec<u8>)> {
        let (generation, protocol) = (self.generation + 1, Protocol::Compatible.name().to_owned());
        let effects = self.step(Event::Elected { generation, protocol, leader_id: self.id.clone(), members });
        let told = effects.into_iter().find_map(|effect| match effect {
            Effect::Assign(assignments) => Some(assignments),
            _ => None,
        });
        told.unwrap_or_default()
    }
}
