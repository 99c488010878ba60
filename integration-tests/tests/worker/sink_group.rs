//! Sink tasks as members of their consumer group: what is committed, who is a member when, and what comes of topics and offsets
//! that change under them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use connect_kafka::{Admin, TopicPartition};
use integration_tests::testbed::{Kind, Servers, Worker, WorkerSetup, eventually_async};
use serde_json::{Value, json};

use crate::support::{self, ARRIVAL, topics, unique, with};

/// How long a member must stay one.
const WATCHED: Duration = Duration::from_secs(9);

fn admin() -> Admin {
    let props = [("bootstrap.servers".to_owned(), Servers::shared().kafka.bootstrap.clone())].into_iter().collect();
    Admin::open(&props).unwrap()
}

/// A sink that writes each record's value as a line.
struct Sink {
    name: String,
    file: PathBuf,
}

impl Sink {
    fn new(base: &str) -> Self {
        let name = unique(base);
        let file = std::env::temp_dir().join(&name);
        Self { name, file }
    }

    fn config(&self, topic: &str) -> Value {
        json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "file": self.file.display().to_string(),
            "topics": topic,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        })
    }

    fn group(&self) -> String {
        format!("connect-{}", self.name)
    }

    /// Waits until these lines are in the file, in any order, and no others.
    async fn wait_lines(&self, expected: &[&str]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        eventually_async("the sink's lines", ARRIVAL, async || {
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            let mut found: Vec<&str> = text.lines().collect();
            found.sort_unstable();
            if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await
        .unwrap();
    }

    async fn members(&self) -> usize {
        let described = eventually_async("a description of the group", ARRIVAL, async || {
            admin().describe_group(&self.group()).await.map_err(|error| error.to_string())
        });
        described.await.unwrap().members.len()
    }

    async fn wait_members(&self, count: usize) {
        eventually_async(&format!("{count} members"), ARRIVAL, async || match self.members().await {
            found if found == count => Ok(()),
            found => Err(format!("{found}")),
        })
        .await
        .unwrap();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.file));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_without_records_are_committed_with_the_others() {
    let (worker, sink) = (support::worker("positions").await, Sink::new("positions_sink"));
    let (busy, empty) = (unique("positions_busy"), unique("positions_empty"));
    topics().create(&busy, 1).await.unwrap();
    topics().create(&empty, 2).await.unwrap();
    let config = with(sink.config(""), &json!({"topics": format!("{busy},{empty}")}));
    worker.api().create(&sink.name, &config).await.unwrap();
    sink.wait_members(1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(admin().group_offsets(&sink.group()).await.unwrap(), BTreeMap::new(), "nothing has moved");
    topics().produce(&busy, &["a", "b"]).await.unwrap();
    let expected: BTreeMap<TopicPartition, i64> = [
        (TopicPartition::new(busy.as_str(), 0), 2),
        (TopicPartition::new(empty.as_str(), 0), 0),
        (TopicPartition::new(empty.as_str(), 1), 0),
    ]
    .into();
    eventually_async("the committed offsets", ARRIVAL, async || {
        let found = admin().group_offsets(&sink.group()).await.map_err(|error| error.to_string())?;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await
    .unwrap();
    sink.wait_lines(&["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_sink_stays_a_member_and_one_that_starts_paused_is_none() {
    let (mut worker, sink, topic) = (support::worker("paused").await, Sink::new("paused_sink"), unique("paused_in"));
    topics().create(&topic, 1).await.unwrap();
    topics().produce(&topic, &["a"]).await.unwrap();
    worker.api().create(&sink.name, &sink.config(&topic)).await.unwrap();
    sink.wait_lines(&["a"]).await;
    worker.api().change(&sink.name, "pause").await.unwrap();
    worker.api().wait_for(&sink.name, "PAUSED", &["PAUSED"]).await.unwrap();
    topics().produce(&topic, &["b"]).await.unwrap();
    // Longer than the session's time-out: whoever does not poll is no member then.
    let began = Instant::now();
    while began.elapsed() < WATCHED {
        assert_eq!(sink.members().await, 1);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    sink.wait_lines(&["a"]).await;

    worker.stop().unwrap();
    sink.wait_members(0).await;
    worker.start_again().await.unwrap();
    worker.api().wait_for(&sink.name, "PAUSED", &["PAUSED"]).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(sink.members().await, 0, "a sink that starts paused subscribed");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    worker.api().change(&sink.name, "resume").await.unwrap();
    sink.wait_lines(&["a", "b"]).await;
    sink.wait_members(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_rebalance_cooperatively_share_the_partitions() {
    let (worker, sink, topic) = (support::worker("coop").await, Sink::new("coop_sink"), unique("coop_in"));
    topics().create(&topic, 4).await.unwrap();
    let values: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    topics().produce(&topic, &values).await.unwrap();
    let strategy = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    let changes = json!({"tasks.max": "1", "consumer.override.partition.assignment.strategy": strategy});
    let config = with(sink.config(&topic), &changes);
    worker.api().create(&sink.name, &config).await.unwrap();
    sink.wait_lines(&values).await;
    // A second task takes over some partitions; what was committed is not read again.
    let path = format!("/connectors/{}/config", sink.name);
    worker.api().put(&path, Some(&with(config, &json!({"tasks.max": "2"})))).await.unwrap().expect(&[200]).unwrap();
    sink.wait_members(2).await;
    let more: Vec<String> = (40..80).map(|number| number.to_string()).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    topics().produce(&topic, &more).await.unwrap();
    sink.wait_lines(&[values, more].concat()).await;
    // A group that rebalances names no protocol.
    eventually_async("a stable group with the strategy", ARRIVAL, async || {
        let group = admin().describe_group(&sink.group()).await.map_err(|error| error.to_string())?;
        match (group.state.as_str(), group.protocol.as_str()) {
            ("Stable", "cooperative-sticky") => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_appear_are_read_and_topics_that_vanish_do_no_harm() {
    let (worker, sink, base) = (support::worker("regex").await, Sink::new("regex_sink"), unique("regex_in"));
    let names = [format!("{base}.one"), format!("{base}.two")];
    topics().create(&names[0], 1).await.unwrap();
    topics().produce(&names[0], &["a"]).await.unwrap();
    let config = with(sink.config(""), &json!({"topics": null, "topics.regex": format!("{base}\\..*")}));
    worker.api().create(&sink.name, &config).await.unwrap();
    sink.wait_lines(&["a"]).await;
    topics().create(&names[1], 1).await.unwrap();
    topics().produce(&names[1], &["b"]).await.unwrap();
    sink.wait_lines(&["a", "b"]).await;
    topics().delete(&names[..1]).await.unwrap();
    topics().produce(&names[1], &["c"]).await.unwrap();
    sink.wait_lines(&["a", "b", "c"]).await;
    worker.api().wait_running(&sink.name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_out_of_range_goes_by_the_reset_policy() {
    let (worker, topic) = (support::worker("range").await, unique("range_in"));
    topics().create(&topic, 1).await.unwrap();
    topics().produce(&topic, &["a", "b"]).await.unwrap();
    let (heals, fails) = (Sink::new("range_earliest"), Sink::new("range_none"));
    let offsets = [(TopicPartition::new(topic.as_str(), 0), 1_000)].into();
    for sink in [&heals, &fails] {
        admin().alter_group_offsets(&sink.group(), &offsets).await.unwrap();
    }
    worker.api().create(&heals.name, &heals.config(&topic)).await.unwrap();
    heals.wait_lines(&["a", "b"]).await;
    let strict = with(fails.config(&topic), &json!({"consumer.override.auto.offset.reset": "none"}));
    worker.api().create(&fails.name, &strict).await.unwrap();
    let status = worker.api().wait_for(&fails.name, "RUNNING", &["FAILED"]).await.unwrap();
    let trace = status["tasks"][0]["trace"].as_str().unwrap();
    assert!(trace.starts_with("org.apache.kafka.clients.consumer.OffsetOutOfRangeException: "), "{trace}");
}

/// Two workers of different clusters run sinks of the same name: their consumers meet in one group.
#[tokio::test(flavor = "multi_thread")]
async fn a_jvm_sink_and_ours_share_a_consumer_group_whoever_comes_first() {
    let worker = |name: &str| WorkerSetup::new(&unique(name), &Servers::shared().kafka.bootstrap).unwrap();
    let jvm = worker("shared_jvm").for_either().unwrap().member("shared_jvm_worker", Kind::Jvm).unwrap();
    let (ours, jvm) = (support::worker("shared_ours").await, Worker::start(jvm).await.unwrap());
    for strategy in ["", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"] {
        for (first, second) in [(&ours, &jvm), (&jvm, &ours)] {
            let (sink, topic) = (Sink::new("shared_sink"), unique("shared_in"));
            topics().create(&topic, 4).await.unwrap();
            let files = [sink.file.with_extension("first"), sink.file.with_extension("second")];
            for (worker, file) in [first, second].into_iter().zip(&files) {
                let mut config = with(sink.config(&topic), &json!({"file": file.display().to_string()}));
                if !strategy.is_empty() {
                    config["consumer.override.partition.assignment.strategy"] = json!(strategy);
                }
                worker.api().create(&sink.name, &config).await.unwrap();
                worker.api().wait_running(&sink.name).await.unwrap();
                sink.wait_members(if file == &files[0] { 1 } else { 2 }).await;
            }
            settled(&sink).await;
            let values: Vec<String> = (0..200).map(|number| number.to_string()).collect();
            topics().produce(&topic, &values.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
            let lines = |file: &PathBuf| -> Vec<i32> {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                text.lines().map(|line| line.parse().unwrap()).collect()
            };
            eventually_async("both to have read all", ARRIVAL, async || {
                let (one, two) = (lines(&files[0]), lines(&files[1]));
                let mut all = [one.as_slice(), &two].concat();
                all.sort_unstable();
                if all == (0..200).collect::<Vec<_>>() && !one.is_empty() && !two.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{} and {} lines", one.len(), two.len()))
                }
            })
            .await
            .unwrap();
            for (worker, file) in [first, second].into_iter().zip(&files) {
                worker.api().remove(&sink.name).await.unwrap();
                drop(std::fs::remove_file(file));
            }
        }
    }
}

/// Waits until the group is stable.
async fn settled(sink: &Sink) {
    eventually_async("a stable group", ARRIVAL, async || {
        let group = admin().describe_group(&sink.group()).await.map_err(|error| error.to_string())?;
        if group.state == "Stable" { Ok(()) } else { Err(group.state) }
    })
    .await
    .unwrap();
}
