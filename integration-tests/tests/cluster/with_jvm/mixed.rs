//! Two JVM workers and two of ours in one group: either leads, each answers every request, and kills harm nothing.

use std::time::{Duration, Instant};

use integration_tests::testbed::{Kind, WorkerSetup, eventually_async};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Rest};
use crate::flow::Flow;
use crate::gate;
use crate::sources::{Sources, arrived};
use crate::support::{ARRIVAL, file_sink, file_source, sink_files, source_file, wait_records};

/// How long the group has to stay as it is to count as settled.
const QUIET: Duration = Duration::from_secs(2);
/// The rounds that the group may need after something happened to it: with KIP-415 one that revokes and one that assigns, and
/// one more of each when members come one after the other.
const ROUNDS_MAX: i32 = 8;
/// The same for each connector that was created, reconfigured, stopped, resumed and deleted.
const ROUNDS_OF_A_LIFE_MAX: i32 = 8;
const PROGRESS: i64 = 25;
const SOURCES: usize = 4;
/// Two JVMs that begin on two cores may be silent for longer than the usual session, and each member that is lost by that is
/// another round. Ours keep the usual one.
const JVM_SESSION_MS: &str = "20000";
const OUR_SESSION_MS: &str = "6000";
const LOGGER: &str = "/admin/loggers/org.apache.kafka.connect.runtime.WorkerSourceTask";

/// The group under test and what happened to it.
struct Mix {
    cluster: Cluster,
    sources: Sources,
    sink: String,
    generation: i32,
    began: Instant,
}

impl Mix {
    fn connectors(&self) -> Vec<(&str, usize)> {
        let mut connectors = self.sources.connectors();
        connectors.push((self.sink.as_str(), SOURCES));
        connectors
    }

    /// Waits until the group is at rest and stays so, with one owner for each unit, by what the owners write.
    async fn settled(&mut self, what: &str) -> Rest {
        self.settled_within(ROUNDS_MAX, what).await
    }

    async fn settled_within(&mut self, rounds_max: i32, what: &str) -> Rest {
        let mut rest = self.cluster.at_rest(&self.connectors()).await;
        self.only_owners_write(&rest).await;
        let mut began = Instant::now();
        while began.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(250)).await;
            if self.cluster.generations().last().unwrap().number != rest.generation.number {
                // A leader may want one more round right behind another; how many there may be is checked below.
                rest = self.cluster.at_rest(&self.connectors()).await;
                self.only_owners_write(&rest).await;
                began = Instant::now();
            }
            let rounds = rest.generation.number - self.generation;
            assert!(rounds <= rounds_max, "{what}: the group rebalances without an end: {rounds} rounds");
        }
        let rounds = rest.generation.number - self.generation;
        self.generation = rest.generation.number;
        let leader = self.cluster.at(rest.generation.leader_url());
        let kind = self.cluster.workers[leader].setup().kind;
        let since = self.began.elapsed().as_secs();
        println!("{since} s: {what}: {rounds} rounds, {kind:?} leads, {}", rest.generation.protocol);
        assert!(rounds <= rounds_max, "{what}: {rounds} rounds");
        rest
    }

    /// What comes from now on comes from the owner of the task alone.
    async fn only_owners_write(&self, rest: &Rest) {
        for name in &self.sources.names {
            let from = self.cluster.topics.end(name).unwrap();
            wait_records(&self.cluster.topics, name, from + PROGRESS).await;
            let flow = Flow::read(&self.cluster.topics, name);
            let owner = self.cluster.name_of(rest.task_owner(name));
            // What the worker before had handed to its producer may have come just after the look.
            let late = flow.0.len() - usize::try_from(PROGRESS).unwrap() / 2;
            let strangers: Vec<_> = flow.0[late..].iter().filter(|step| step.worker != owner).collect();
            assert!(strangers.is_empty(), "{name} belongs to {owner}: {strangers:?}");
        }
    }

    fn leads(&self) -> Kind {
        self.cluster.workers[self.cluster.leader()].setup().kind
    }

    fn of_kind(&self, kind: Kind) -> Vec<usize> {
        self.cluster.living().filter(|worker| self.cluster.workers[*worker].setup().kind == kind).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jvm_workers_and_ours_share_a_group() {
    let _pass = gate::enter(gate::Kind::Heavy).await;
    let began = Instant::now();
    let patient = |setup: WorkerSetup| setup.for_either().unwrap().with("session.timeout.ms", JVM_SESSION_MS);
    let cluster = Cluster::start("mixed", &[Kind::Jvm; 2], patient).await;
    let sources = Sources::create(&cluster, SOURCES).await;
    let sink = format!("{}_k", cluster.name);
    let mut config = file_sink(&sink_files(&sink), &sources.names.join(","));
    config["tasks.max"] = json!(SOURCES.to_string());
    cluster.any().api().create(&sink, &config).await.unwrap();
    let generation = cluster.generations().last().unwrap().number;
    let mut mix = Mix { cluster, sources, sink, generation, began };
    mix.cluster.add_as(&[Kind::Tidegate; 2], |setup| setup.with("session.timeout.ms", OUR_SESSION_MS)).await;
    mix.settled("two of ours have joined").await;
    assert_eq!(mix.leads(), Kind::Jvm);
    every_worker_answers(&mut mix, "requests under a JVM leader").await;

    // kill -9 of the leader; its tasks and its leadership go elsewhere. Then without any JVM worker.
    let victim = mix.cluster.leader();
    mix.cluster.kill(victim);
    mix.settled("kill -9 of the leading JVM worker").await;
    let other = mix.of_kind(Kind::Jvm)[0];
    mix.cluster.stop(other);
    mix.settled("the other JVM worker has left").await;
    assert_eq!(mix.leads(), Kind::Tidegate);
    other_protocols(&mut mix).await;

    // Back again, under a leader of ours.
    mix.cluster.start_all_again(&[victim, other]).await;
    mix.settled("both JVM workers are back").await;
    assert_eq!(mix.leads(), Kind::Tidegate);
    every_worker_answers(&mut mix, "requests under a leader of ours").await;
    let leader = mix.cluster.leader();
    let follower = mix.of_kind(Kind::Tidegate).into_iter().find(|worker| *worker != leader).unwrap();
    mix.cluster.kill(follower);
    mix.settled("kill -9 of one of ours").await;
    complete(mix).await;
}

/// A member that speaks less pulls the group down to what it speaks; the group comes back when it leaves.
async fn other_protocols(mix: &mut Mix) {
    for (setting, protocol) in [("compatible", "compatible"), ("eager", "default")] {
        let guest = mix.cluster.add_as(&[Kind::Tidegate], |setup| setup.with("connect.protocol", setting)).await;
        let rest = mix.settled(&format!("a worker that speaks {setting} has joined")).await;
        assert_eq!(rest.generation.protocol, protocol);
        mix.cluster.stop(guest);
        let rest = mix.settled(&format!("the worker that speaks {setting} has left")).await;
        assert_eq!(rest.generation.protocol, "sessioned");
    }
}

/// Every kind of request, sent to each of the workers at the same time, does what it should, whoever has to do it in the end.
async fn every_worker_answers(mix: &mut Mix, what: &str) {
    let workers: Vec<usize> = mix.cluster.living().collect();
    futures_util::future::join_all(workers.iter().map(|worker| life_of_a_connector(mix, *worker))).await;
    for worker in &workers {
        log_levels(mix, *worker).await;
    }
    let rounds = ROUNDS_OF_A_LIFE_MAX * i32::try_from(workers.len()).unwrap();
    mix.settled_within(rounds, what).await;
}

async fn life_of_a_connector(mix: &Mix, worker: usize) {
    let api = mix.cluster.workers[worker].api();
    let name = format!("{}_life_{worker}_{}", mix.cluster.name, mix.generation);
    let file = source_file(&name);
    std::fs::write(&file, "1\n2\n3\n").unwrap();
    mix.cluster.topics.create(&name, 1).await.unwrap();
    let mut config = file_source(&file, &name);
    api.create(&name, &config).await.unwrap();
    api.wait_running(&name).await.unwrap();
    arrived(&mix.cluster, &name, 3).await;

    config["batch.size"] = json!("100");
    api.put(&format!("/connectors/{name}/config"), Some(&config)).await.unwrap().expect(&[200]).unwrap();
    // A JVM worker answers 500 while it expects a rebalance.
    eventually_async("the new configuration to be shown", ARRIVAL, async || {
        let seen = api.get(&format!("/connectors/{name}/config")).await.map_err(|failure| failure.to_string())?;
        if seen.body["batch.size"] == "100" { Ok(()) } else { Err(seen.text) }
    })
    .await
    .unwrap();
    api.change(&name, "pause").await.unwrap();
    api.wait_for(&name, "PAUSED", &["PAUSED"]).await.unwrap();
    api.change(&name, "resume").await.unwrap();
    api.wait_running(&name).await.unwrap();
    let restart = format!("/connectors/{name}/restart?includeTasks=true");
    api.post(&restart, &Value::Null).await.unwrap().expect(&[202]).unwrap();
    api.wait_running(&name).await.unwrap();
    api.post(&format!("/connectors/{name}/tasks/0/restart"), &Value::Null).await.unwrap().expect(&[204]).unwrap();
    api.wait_running(&name).await.unwrap();

    api.change(&name, "stop").await.unwrap();
    api.wait_for(&name, "STOPPED", &[]).await.unwrap();
    let path = format!("/connectors/{name}/offsets");
    let offsets = api.get(&path).await.unwrap().expect(&[200]).unwrap().body;
    assert_eq!(offsets["offsets"][0]["offset"]["position"], 6, "{offsets}");
    let back = json!({"offsets": [{"partition": {"filename": file.display().to_string()}, "offset": {"position": 4}}]});
    api.alter_offsets(&name, &back).await.unwrap();
    api.change(&name, "resume").await.unwrap();
    api.wait_running(&name).await.unwrap();
    let what = "the line that comes again after the offsets were altered";
    eventually_async(what, ARRIVAL, async || {
        let numbers: Vec<i64> = Flow::read(&mix.cluster.topics, &name).0.iter().map(|step| step.number).collect();
        if numbers == [1, 2, 3, 3] { Ok(()) } else { Err(format!("{numbers:?}")) }
    })
    .await
    .unwrap();
    api.remove(&name).await.unwrap();
    for other in mix.cluster.living() {
        let api = mix.cluster.workers[other].api();
        eventually_async("the connector to be gone", ARRIVAL, async || {
            let answer = api.get(&format!("/connectors/{name}")).await.map_err(|failure| failure.to_string())?;
            if answer.status == 404 { Ok(()) } else { Err(answer.text) }
        })
        .await
        .unwrap();
    }
}

/// A level that is set with `scope=cluster` reaches every worker.
async fn log_levels(mix: &Mix, worker: usize) {
    let level = if worker.is_multiple_of(2) { "WARN" } else { "ERROR" };
    let api = mix.cluster.workers[worker].api();
    let body = json!({"level": level});
    api.put(&format!("{LOGGER}?scope=cluster"), Some(&body)).await.unwrap().expect(&[204]).unwrap();
    for other in mix.cluster.living() {
        let api = mix.cluster.workers[other].api();
        let what = format!("{level} on {}, told by {}", mix.cluster.name_of(other), mix.cluster.name_of(worker));
        eventually_async(&what, ARRIVAL, async || {
            let answer = api.get(LOGGER).await.map_err(|failure| failure.to_string())?;
            if answer.body["level"] == level { Ok(()) } else { Err(answer.text) }
        })
        .await
        .unwrap();
    }
}

async fn complete(mix: Mix) {
    let Mix { cluster, sources, sink, .. } = mix;
    assert_eq!(cluster.generations().contested(), Vec::<String>::new());
    println!("{} generations altogether", cluster.generations().0.len());
    let names = sources.names.clone();
    sources.complete(&cluster).await;
    let sent: usize = names.iter().map(|name| Flow::read(&cluster.topics, name).0.len()).sum();
    let files = sink_files(&sink);
    eventually_async("the sink to have everything", ARRIVAL, async || {
        let lines = files.lines();
        if lines >= sent { Ok(()) } else { Err(format!("{lines} of {sent} lines")) }
    })
    .await
    .unwrap();
}
