//! A worker that stands still for longer than its session (SIGSTOP) and goes on: by then its work belongs to others.
//!
//! What it still holds in its memory is harmless: positions, buffers, a replication slot, a consumer. The test looks at what
//! it *writes* once it goes on.

use integration_tests::testbed::{Kind, PostgresAddress, WorkerSetup, eventually_async};

use crate::cluster::{Cluster, Rest};
use crate::flow::{Flow, SinkFiles, numbers};
use crate::gate;
use crate::load::Rows;
use crate::sources::{Sources, arrived, by_others};
use crate::support::{ARRIVAL, database, file_sink, millis_now, sink_files, table_source, wait_records};

/// Records that each source goes on to deliver before everything is looked at.
const WATCHED_RECORDS: i64 = 100;
/// With the sources and the table six tasks: each worker has a sink.
const SINKS: usize = 3;

/// Two workers with two sources, a table and three sinks under a load; one of the workers is to be frozen.
struct Scene {
    cluster: Cluster,
    sources: Sources,
    table: String,
    address: PostgresAddress,
    rows: Rows,
    sinks: Vec<String>,
}

/// The worker that is frozen, and the sink that it runs.
struct Victim {
    index: usize,
    name: String,
    healthy: String,
    files: SinkFiles,
    frozen_at: i64,
}

impl Victim {
    /// Bytes of the sink's file that this worker has written.
    fn written(&self, worker: &str) -> u64 {
        std::fs::metadata(self.files.of(worker)).map_or(0, |file| file.len())
    }
}

impl Scene {
    async fn start() -> Self {
        let cluster = Cluster::start("frozen", &[Kind::Tidegate; 2], |setup: WorkerSetup| setup).await;
        // One after the other: what falls into one round is dealt in another way, and the table's worker is to have some of each.
        let mut sources = Sources::default();
        for _ in 0..2 {
            sources.add(&cluster).await;
            cluster.at_rest(&sources.connectors()).await;
        }
        let table = format!("{}_t", cluster.name);
        let (address, client) = database(&table).await;
        cluster.any().api().create(&table, &table_source(&address, &table)).await.unwrap();
        let mut connectors = sources.connectors();
        connectors.push((table.as_str(), 1));
        cluster.at_rest(&connectors).await;
        let rows = Rows::start(client);
        let sinks: Vec<String> = (0..SINKS).map(|index| format!("{}_k{index}", cluster.name)).collect();
        for (index, sink) in sinks.iter().enumerate() {
            let topic = &sources.names[index % sources.names.len()];
            cluster.any().api().create(sink, &file_sink(&sink_files(sink), topic)).await.unwrap();
            connectors.push((sink.as_str(), 1));
            cluster.at_rest(&connectors).await;
        }
        wait_records(&cluster.topics, &format!("{table}.public.t"), 1).await;
        // Without a stored offset the next owner begins with a snapshot of what the rows have become by then.
        eventually_async("an offset of the table to be stored", ARRIVAL, async || {
            let answer = cluster.any().api().get(&format!("/connectors/{table}/offsets")).await;
            let answer = answer.map_err(|failure| failure.to_string())?;
            let lsn = &answer.body["offsets"][0]["offset"]["lsn_commit"];
            if lsn.is_null() { Err(answer.text) } else { Ok(()) }
        })
        .await
        .unwrap();
        Self { cluster, sources, table, address, rows, sinks }
    }

    async fn at_rest(&self) -> Rest {
        let mut connectors = self.sources.connectors();
        connectors.extend(self.sinks.iter().chain([&self.table]).map(|name| (name.as_str(), 1)));
        self.cluster.at_rest(&connectors).await
    }

    /// Freezes the worker that holds the slot, and waits until the other one does its work.
    async fn freeze(&mut self) -> Victim {
        let before = self.at_rest().await;
        let index = before.task_owner(&self.table);
        let sink =
            self.sinks.iter().find(|sink| before.task_owner(sink) == index).expect("half of the tasks run there");
        let victim = Victim {
            index,
            name: self.cluster.name_of(index).to_owned(),
            healthy: self.cluster.name_of(1 - index).to_owned(),
            files: sink_files(sink),
            frozen_at: millis_now(),
        };
        println!("{} is frozen, and {sink} on it", victim.name);
        self.cluster.freeze(index);
        let lost: Vec<&String> = self.sources.names.iter().filter(|name| before.task_owner(name) == index).collect();
        assert!(!lost.is_empty(), "the work is not balanced: {before:?}");
        for source in lost {
            let skip = Flow::read(&self.cluster.topics, source).0.len();
            let first = by_others(&self.cluster, source, &victim.name, skip).await;
            println!("{source} ran elsewhere after {} ms", first.at - victim.frozen_at);
        }
        eventually_async("the sink to run elsewhere", ARRIVAL, async || {
            if victim.written(&victim.healthy) > 0 { Ok(()) } else { Err(String::new()) }
        })
        .await
        .unwrap();
        victim
    }

    /// Waits until the worker has its share again, somebody else holds the slot, and all sources have gone on for a while.
    async fn thaw(&mut self, victim: &Victim) {
        let observer = self.address.connect().await.unwrap();
        let held = slot_holder(&observer, &self.table).await;
        let woken_at = millis_now();
        self.cluster.thaw(victim.index);
        let after = self.at_rest().await;
        eventually_async("the slot to have another holder", ARRIVAL, async || {
            let holder = slot_holder(&observer, &self.table).await;
            if holder.is_some() && holder != held { Ok(()) } else { Err(format!("{holder:?}")) }
        })
        .await
        .unwrap();
        let owner = self.cluster.name_of(after.task_owner(&self.table));
        println!("at rest {} ms after it went on; {owner} runs the table", millis_now() - woken_at);
        for source in &self.sources.names {
            let end = self.cluster.topics.end(source).unwrap();
            wait_records(&self.cluster.topics, source, end + WATCHED_RECORDS).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_past_its_session_writes_nothing_when_it_wakes() {
    let _pass = gate::enter(gate::Kind::Patient).await;
    let mut scene = Scene::start().await;
    let victim = scene.freeze().await;
    let asleep = usize::try_from(victim.written(&victim.name)).unwrap();
    let woken_at = millis_now();
    scene.thaw(&victim).await;
    let Scene { cluster, sources, table, rows, .. } = scene;
    let generations = cluster.generations();
    assert_eq!(generations.contested(), Vec::<String>::new());

    // Nothing is the worker's before the group has given it something again.
    let rejoined = generations.0.iter().find(|generation| generation.timestamp > woken_at).unwrap().timestamp;
    for source in &sources.names {
        silent(source, &Flow::read(&cluster.topics, source), &victim.name, woken_at..rejoined);
    }
    let (topic, written) = (format!("{table}.public.t"), rows.stop().await);
    arrived(&cluster, &topic, written).await;
    let flow = Flow::read(&cluster.topics, &topic);
    flow.assert_complete(&table, written);
    silent(&table, &flow, &victim.name, woken_at..rejoined);

    // What the other worker wrote meanwhile is in no line that this one wrote when it was awake again.
    let meanwhile = numbers(&victim.files.of(&victim.healthy));
    let text = std::fs::read(victim.files.of(&victim.name)).unwrap();
    let awake = String::from_utf8(text[asleep..].to_vec()).unwrap();
    let again: Vec<i64> =
        awake.lines().filter_map(|line| line.parse().ok()).filter(|n| meanwhile.contains(n)).collect();
    assert!(again.is_empty(), "{} went on with its sink when it woke: {again:?}", victim.name);
    statuses_are_of_the_owners(&cluster, victim.index, victim.frozen_at, rejoined);
    sources.complete(&cluster).await;
}

/// Nothing was read or produced by this worker within the time.
fn silent(what: &str, flow: &Flow, worker: &str, time: std::ops::Range<i64>) {
    println!("{what} ran on {:?}; {} of {} came again", flow.turns(), flow.repeated(), flow.0.len());
    let late: Vec<i64> =
        flow.0.iter().filter(|step| step.worker == worker && time.contains(&step.at)).map(|step| step.number).collect();
    assert!(late.is_empty(), "{worker} read {what} on when it woke: {} records, {:?}...", late.len(), &late[..1]);
}

/// The process of the database that streams from a slot.
async fn slot_holder(client: &tokio_postgres::Client, slot: &str) -> Option<i32> {
    let query = "select active_pid from pg_replication_slots where slot_name = $1";
    client.query_opt(query, &[&slot]).await.unwrap().and_then(|row| row.get(0))
}

/// While it was frozen and until the group had it again, no status of the frozen worker was written.
fn statuses_are_of_the_owners(cluster: &Cluster, victim: usize, from: i64, until: i64) {
    let id = cluster.workers[victim].setup().worker_id();
    let records = cluster.topics.read(&format!("{}-status", cluster.name)).unwrap();
    let late: Vec<String> = records
        .iter()
        .filter(|record| (from..until).contains(&record.timestamp) && record.json()["worker_id"] == id.as_str())
        .map(|record| {
            format!("{}: {}", String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()), record.json())
        })
        .collect();
    assert!(late.is_empty(), "{id} wrote over the statuses of others: {late:#?}");
}
