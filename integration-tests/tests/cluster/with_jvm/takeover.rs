//! The topics of a JVM worker are taken over, under continuous writes, and handed back: with the same properties file, each
//! connector goes on where it stood.

use std::ops::Range;

use integration_tests::testbed::agree::compare;
use integration_tests::testbed::{Kind, PostgresAddress, Servers, eventually_async};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::Cluster;
use crate::flow::Flow;
use crate::gate;
use crate::load::{Lines, Rows};
use crate::sources::arrived;
use crate::support::{
    ARRIVAL, database, file_sink, file_source, millis_now, sink_files, source_file, table_source, wait_records,
};

/// Rows that the snapshot finds.
const BEFORE: i64 = 30;
/// Lines in the files that nobody adds to.
const LINES: i64 = 20;
/// `offset.flush.interval.ms` is a second; what was delivered longer before a clean stop than this and the stop's own time does
/// not come again.
const WINDOW_MS: i64 = 3_000;
/// Records that have to come after a handover before the next one.
const PROGRESS: i64 = 50;

/// The connectors of the test.
struct Scene {
    cluster: Cluster,
    table: String,
    running: String,
    paused: String,
    stopped: String,
    file_sink: String,
    mongo_sink: String,
}

impl Scene {
    fn table_topic(&self) -> String {
        format!("{}.public.t", self.table)
    }

    fn connectors(&self) -> [&String; 6] {
        [&self.table, &self.running, &self.paused, &self.stopped, &self.file_sink, &self.mongo_sink]
    }

    async fn create(cluster: Cluster, address: &PostgresAddress, table: &str) -> Self {
        let named = |role: &str| format!("{}_{role}", cluster.name);
        let scene = Self {
            table: table.to_owned(),
            running: named("running"),
            paused: named("paused"),
            stopped: named("stopped"),
            file_sink: named("lines"),
            mongo_sink: named("documents"),
            cluster,
        };
        let api = scene.cluster.any().api();
        api.create(&scene.table, &table_source(address, &scene.table)).await.unwrap();
        for source in [&scene.running, &scene.paused, &scene.stopped] {
            scene.cluster.topics.create(source, 1).await.unwrap();
            api.create(source, &file_source(&source_file(source), source)).await.unwrap();
        }
        let topics = format!("{},{}", scene.running, scene.paused);
        let mut sink = file_sink(&sink_files(&scene.file_sink), &topics);
        sink["tasks.max"] = json!("2");
        api.create(&scene.file_sink, &sink).await.unwrap();
        api.create(&scene.mongo_sink, &mongo_sink(&scene.table)).await.unwrap();
        scene
    }

    /// The states, task configurations and configurations of all connectors, and the offsets of those that stand still.
    async fn seen(&self) -> Result<Value, String> {
        let mut seen = json!({});
        for name in self.connectors() {
            let get = async |path: &str| {
                let answer = self.cluster.any().api().get(&format!("/connectors/{name}{path}")).await;
                let answer = answer.and_then(|answer| answer.expect(&[200])).map_err(|failure| failure.to_string())?;
                Ok::<Value, String>(answer.body)
            };
            let status = get("/status").await?;
            let tasks = status["tasks"].as_array().into_iter().flatten().map(|task| task["state"].clone());
            seen[name] = json!({
                "connector": status["connector"]["state"],
                "tasks": tasks.collect::<Vec<_>>(),
                "type": status["type"],
                "info": get("").await?,
            });
            if name == &self.paused || name == &self.stopped {
                seen[name]["offsets"] = get("/offsets").await?;
            }
        }
        Ok(seen)
    }

    /// Ends the worker, and starts the other kind with the same file. Everything is as it was, and what runs goes on. Gives the
    /// time of what may come again.
    async fn hand_over(&mut self, kind: Kind) -> Range<i64> {
        // A source that was paused stores its last offset a little later.
        let before = eventually_async("the paused source to have stored its offset", ARRIVAL, async || {
            let seen = self.seen().await?;
            let stored = seen[&self.paused]["offsets"]["offsets"].as_array().is_some_and(|offsets| !offsets.is_empty());
            if stored { Ok(seen) } else { Err(seen[&self.paused].to_string()) }
        })
        .await
        .unwrap();
        let at = millis_now();
        let worker = &mut self.cluster.workers[0];
        tokio::task::block_in_place(|| worker.stop()).unwrap();
        let window = WINDOW_MS + millis_now() - at;
        worker.start_as(kind).await.unwrap();
        eventually_async("everything to be as it was", ARRIVAL, async || {
            let now = self.seen().await?;
            if now == before { Ok(()) } else { Err(differences(&before, &now)) }
        })
        .await
        .unwrap();
        for topic in [&self.table_topic(), &self.running] {
            let end = self.cluster.topics.end(topic).unwrap();
            wait_records(&self.cluster.topics, topic, end + PROGRESS).await;
        }
        println!("{kind:?} has taken over within {} ms", millis_now() - at);
        at - window..at + window
    }

    async fn change(&self, name: &str, verb: &str, connector: &str, tasks: &[&str]) {
        let api = self.cluster.any().api();
        api.change(name, verb).await.unwrap();
        api.wait_for(name, connector, tasks).await.unwrap();
    }
}

/// A MongoDB sink of Debezium's events of `prefix`.
fn mongo_sink(prefix: &str) -> Value {
    json!({
        "connector.class": "com.mongodb.kafka.connect.MongoSinkConnector",
        "tasks.max": "1",
        "topics": format!("{prefix}.public.t"),
        "connection.uri": Servers::shared().mongo.uri,
        "database": prefix,
        "change.data.capture.handler": "com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler",
    })
}

/// What differs, connector by connector.
fn differences(before: &Value, now: &Value) -> String {
    let connectors = before.as_object().into_iter().flatten();
    let differing = connectors.filter(|(name, was)| now[name.as_str()] != **was);
    differing.map(|(name, was)| format!("{name}: {was} became {}\n", now[name.as_str()])).collect()
}

/// Writes a file of some lines to its end, once and for all.
fn write_file(name: &str, until: i64) {
    let text: String = (1..=until).map(|number| format!("{number}\n")).collect();
    std::fs::write(source_file(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_worker_is_taken_over_and_handed_back_under_writes() {
    let _pass = gate::enter(gate::Kind::Heavy).await;
    let cluster = Cluster::start("takeover", &[Kind::Jvm], |setup| setup.for_either().unwrap()).await;
    let table = format!("{}_t", cluster.name);
    let (address, client) = database(&table).await;
    let fill = format!("insert into t select -i, 0 from generate_series(1, {BEFORE}) i");
    client.batch_execute(&fill).await.unwrap();
    let mut scene = Scene::create(cluster, &address, &table).await;
    for source in [&scene.paused, &scene.stopped] {
        write_file(source, LINES);
    }
    let lines = Lines::start(&source_file(&scene.running));
    // The snapshot comes first, so that what it read is known.
    wait_records(&scene.cluster.topics, &scene.table_topic(), BEFORE).await;
    let rows = Rows::start(address.connect().await.unwrap());
    for source in [&scene.paused, &scene.stopped] {
        wait_records(&scene.cluster.topics, source, LINES).await;
    }
    wait_records(&scene.cluster.topics, &scene.table_topic(), BEFORE + PROGRESS).await;
    scene.change(&scene.paused, "pause", "PAUSED", &["PAUSED"]).await;
    scene.change(&scene.stopped, "stop", "STOPPED", &[]).await;
    scene.cluster.any().api().wait_for(&scene.file_sink, "RUNNING", &["RUNNING"; 2]).await.unwrap();

    let mut handovers = vec![scene.hand_over(Kind::Tidegate).await];
    // The paused one goes on for a while and is paused anew; the other one stays stopped.
    write_file(&scene.paused, 2 * LINES);
    scene.change(&scene.paused, "resume", "RUNNING", &["RUNNING"]).await;
    arrived(&scene.cluster, &scene.paused, 2 * LINES).await;
    scene.change(&scene.paused, "pause", "PAUSED", &["PAUSED"]).await;
    handovers.push(scene.hand_over(Kind::Jvm).await);
    for source in [&scene.paused, &scene.stopped] {
        write_file(source, 3 * LINES);
        scene.change(source, "resume", "RUNNING", &["RUNNING"]).await;
        arrived(&scene.cluster, source, 3 * LINES).await;
    }

    let written = lines.stop();
    let rows = rows.stop().await;
    arrived(&scene.cluster, &scene.running, written).await;
    everything_once(&scene, &client, (written, rows), &handovers).await;
}

/// Nothing was lost on the way, and little came twice.
async fn everything_once(scene: &Scene, client: &Client, (lines, rows): (i64, i64), handovers: &[Range<i64>]) {
    let topics = &scene.cluster.topics;
    arrived(&scene.cluster, &scene.table_topic(), rows).await;
    for (topic, written) in [(&scene.running, lines), (&scene.paused, 3 * LINES), (&scene.stopped, 3 * LINES)] {
        let flow = Flow::read(topics, topic);
        println!("{topic} ran on {:?}, {} of {written} came again", flow.turns(), flow.repeated());
        flow.assert_complete(topic, written);
        flow.assert_repeated_within(topic, handovers);
    }
    let records = topics.read(&scene.table_topic()).unwrap();
    let snapshot: Vec<usize> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| {
            let event = record.json();
            event.get("payload").unwrap_or(&event)["op"] == "r"
        })
        .map(|(index, _)| index)
        .collect();
    let expected: Vec<usize> = (0..usize::try_from(BEFORE).unwrap()).collect();
    assert_eq!(snapshot, expected, "one snapshot, and first of all");
    let mut flow = Flow::read(topics, &scene.table_topic());
    flow.0.retain(|step| step.number > 0);
    println!("the table: {} of {rows} came again", flow.repeated());
    flow.assert_complete("the table", rows);
    flow.assert_repeated_within("the table", handovers);

    let files = sink_files(&scene.file_sink);
    let collection =
        Servers::shared().mongo.client().await.unwrap().database(&scene.table).collection(&scene.table_topic());
    eventually_async("the sinks to have everything", ARRIVAL, async || {
        let found = files.numbers();
        let missing = (1..=lines).filter(|number| !found.contains(number)).count();
        if missing > 0 {
            return Err(format!("{missing} lines are missing"));
        }
        let comparison = compare(client, "t", &collection).await.map_err(|failure| failure.to_string())?;
        if comparison.agrees() { Ok(()) } else { Err(comparison.to_string()) }
    })
    .await
    .unwrap();
}
