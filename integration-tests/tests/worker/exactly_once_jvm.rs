//! An exactly-once group that Apache Kafka's worker and this one take over from each other and share: the same transactional
//! ids, the same records, each row seen once.

use integration_tests::testbed::worker::Kind;
use integration_tests::testbed::{Topics, Worker};
use serde_json::{Value, json};

use crate::exactly_once::{append, each_once, last, line, owner, setup};
use crate::support::{file_source, topics, unique};

/// The keys and values of a topic's records with these prefixes, as bytes, in order, each once in a row.
fn told(topics: &Topics, topic: &str, prefixes: &[&str]) -> Vec<(String, String)> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
    let records = topics.read(topic).unwrap().into_iter();
    let mut told: Vec<_> = records.map(|record| (text(record.key), text(record.value))).collect();
    told.retain(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)));
    told.dedup();
    told
}

/// Stops a connector, sets its offset, and lets it go on: every producer of it is fenced on the way.
async fn rewind(worker: &Worker, name: &str, partition: &Value, position: i64) {
    worker.api().change(name, "stop").await.unwrap();
    worker.api().wait_for(name, "STOPPED", &[]).await.unwrap();
    let offsets = json!({"offsets": [{"partition": partition, "offset": {"position": position}}]});
    worker.api().alter_offsets(name, &offsets).await.unwrap();
    worker.api().change(name, "resume").await.unwrap();
    worker.api().wait_for(name, "RUNNING", &["RUNNING"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_from_the_jvm_to_tidegate_and_back_and_every_line_is_seen_once() {
    let (topics, directory) = (topics(), tempfile::tempdir().unwrap());
    let ours = setup("eos_takeover").for_either().unwrap();
    let configs = ours.properties["config.storage.topic"].clone();
    let offsets = ours.properties["offset.storage.topic"].clone();
    let (name, topic, file) = (unique("eos_takeover_c"), unique("eos_takeover_t"), directory.path().join("lines"));
    topics.create(&topic, 1).await.unwrap();
    let partition = json!({"filename": file.display().to_string()});
    append(&file, 0, 0);
    let config = file_source(&file, &topic);
    let mut next = 0;
    let mut tales = Vec::new();
    for (round, kind) in [Kind::Jvm, Kind::Tidegate, Kind::Jvm].into_iter().enumerate() {
        let setup = ours.member(&unique("eos_takeover_member"), kind).unwrap();
        let mut worker = Worker::start(setup).await.unwrap();
        if round == 0 {
            worker.api().create(&name, &config).await.unwrap();
        }
        worker.api().wait_for(&name, "RUNNING", &["RUNNING"]).await.unwrap();
        append(&file, next, next + 100);
        next += 100;
        each_once(&topics, &topic, next, line).await;
        let before = (told(&topics, &configs, &["tasks-fencing-", "commit-"]), told(&topics, &offsets, &["["]));
        // To where it is already: nothing is read twice.
        let position =
            last(&topics, &offsets, &format!("[\"{name}\",{partition}]")).unwrap()["position"].as_i64().unwrap();
        rewind(&worker, &name, &partition, position).await;
        append(&file, next, next + 1);
        next += 1;
        each_once(&topics, &topic, next, line).await;
        let after = (told(&topics, &configs, &["tasks-fencing-", "commit-"]), told(&topics, &offsets, &["["]));
        let new = |before: Vec<_>, after: Vec<(String, String)>| after[before.len()..].to_vec();
        tales
            .push((new(before.0, after.0), new(before.1, after.1).into_iter().map(|(key, _)| key).collect::<Vec<_>>()));
        worker.stop().unwrap();
    }
    assert_eq!(tales[0], tales[1], "the records of a stop, a change of offsets and a resume are the JVM's");
    assert_eq!(tales[0], tales[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_either_kind_have_their_tasks_fenced_by_a_leader_of_the_other() {
    let (topics, directory) = (topics(), tempfile::tempdir().unwrap());
    for (first, second) in [(Kind::Jvm, Kind::Tidegate), (Kind::Tidegate, Kind::Jvm)] {
        let ours = setup("eos_mixed").for_either().unwrap();
        let members = [first, second].map(|kind| ours.member(&unique("eos_mixed_member"), kind).unwrap());
        let [leader, follower] = members;
        let workers = [Worker::start(leader).await.unwrap(), Worker::start(follower).await.unwrap()];
        let file = directory.path().join(unique("lines"));
        append(&file, 0, 10);
        let mut owners = std::collections::BTreeSet::new();
        for _ in 0..2 {
            let (name, topic) = (unique("eos_mixed_c"), unique("eos_mixed_t"));
            topics.create(&topic, 1).await.unwrap();
            workers[1].api().create(&name, &file_source(&file, &topic)).await.unwrap();
            each_once(&topics, &topic, 10, line).await;
            owners.insert(owner(&workers, 0, &name).await);
        }
        assert_eq!(owners.len(), 2, "{first:?} leads: a task on each worker");
    }
}
