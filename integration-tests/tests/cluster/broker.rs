//! Kafka goes away, or the way to it: what runs heals by itself, nothing is lost, and who is cut off stops in time.

use std::time::Duration;

use integration_tests::testbed::proxy::Fault;
use integration_tests::testbed::{Kafka, Kind, Proxy, WorkerSetup, eventually_async, ports};

use crate::cluster::{Cluster, Rest};
use crate::flow::{Flow, SinkFiles};
use crate::gate;
use crate::sources::{Sources, by_others};
use crate::support::{ARRIVAL, file_sink, millis_now, sink_files, wait_records};

/// How long the broker is away.
const AWAY: Duration = Duration::from_secs(3);
/// Of everything that passes on a slow way, in each direction.
const SLOW: Duration = Duration::from_millis(150);
/// Records that show that a source goes on.
const PROGRESS: i64 = 50;
/// How long requests wait for an answer here; the defaults of 30 to 40 s would make the tests long.
const REQUEST_LIMIT_MS: &str = "4000";
/// How long a flush does: nothing is counted here.
const FLUSH_LIMIT_MS: &str = "5000";

fn impatient(setup: WorkerSetup) -> WorkerSetup {
    let setup =
        setup.with("request.timeout.ms", REQUEST_LIMIT_MS).with("producer.request.timeout.ms", REQUEST_LIMIT_MS);
    let setup = setup.with("consumer.request.timeout.ms", REQUEST_LIMIT_MS);
    setup.with("offset.flush.timeout.ms", FLUSH_LIMIT_MS).with("task.shutdown.graceful.timeout.ms", FLUSH_LIMIT_MS)
}

/// Two workers, of which the second reaches Kafka through a proxy, with sources and a sink under a load.
struct Scene {
    kafka: Kafka,
    proxy: Proxy,
    cluster: Cluster,
    sources: Sources,
    sink: String,
    files: SinkFiles,
}

impl Scene {
    async fn start(name: &str) -> Self {
        let port = ports::free().unwrap();
        let kafka = Kafka::start_behind(&format!("kafka-{name}"), &[port]).unwrap();
        let proxy = Proxy::start_at(port, &kafka.behind[0]).await.unwrap();
        let mut cluster = Cluster::start_on(&kafka.bootstrap, name, &[Kind::Tidegate], impatient).await;
        let through = format!("127.0.0.1:{port}");
        cluster.add_as(&[Kind::Tidegate], |setup| setup.with("bootstrap.servers", &through)).await;
        let sources = Sources::create(&cluster, 3).await;
        let sink = format!("{}_k", cluster.name);
        let files = sink_files(&sink);
        cluster.any().api().create(&sink, &file_sink(&files, &sources.names[0])).await.unwrap();
        let scene = Self { kafka, proxy, cluster, sources, sink, files };
        scene.at_rest().await;
        scene
    }

    async fn at_rest(&self) -> Rest {
        let mut connectors = self.sources.connectors();
        connectors.push((self.sink.as_str(), 1));
        self.cluster.at_rest(&connectors).await
    }

    /// Waits until all sources and the sink have moved on.
    async fn moves(&self) {
        for source in &self.sources.names {
            let end = self.cluster.topics.end(source).unwrap();
            wait_records(&self.cluster.topics, source, end + PROGRESS).await;
        }
        let size = self.files.size();
        eventually_async("the sink to go on", ARRIVAL, async || {
            if self.files.size() > size { Ok(()) } else { Err(format!("{size} bytes")) }
        })
        .await
        .unwrap();
    }

    async fn complete(self) {
        assert_eq!(self.cluster.generations().contested(), Vec::<String>::new());
        let fed = self.sources.names[0].clone();
        self.sources.complete(&self.cluster).await;
        let sent = Flow::read(&self.cluster.topics, &fed).numbers();
        eventually_async("the sink to have everything", ARRIVAL, async || {
            let missing = sent.difference(&self.files.numbers()).count();
            if missing == 0 { Ok(()) } else { Err(format!("{missing} lines are missing")) }
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_for_a_while_costs_nothing() {
    let _pass = gate::enter(gate::Kind::Patient).await;
    let mut scene = Scene::start("restarted").await;
    scene.moves().await;
    tokio::task::block_in_place(|| scene.kafka.stop()).unwrap();
    tokio::time::sleep(AWAY).await;
    tokio::task::block_in_place(|| scene.kafka.start_again()).unwrap();
    let back = millis_now();
    scene.at_rest().await;
    scene.moves().await;
    println!("everything moves {} ms after the broker was back", millis_now() - back);
    scene.complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_cut_off_from_kafka_stops_before_others_start() {
    let _pass = gate::enter(gate::Kind::Patient).await;
    let scene = Scene::start("stalled").await;
    for fault in [Fault::Stall, Fault::StallAnswers] {
        let rest = scene.at_rest().await;
        let name = scene.cluster.name_of(1).to_owned();
        let lost: Vec<String> =
            scene.sources.names.iter().filter(|source| rest.task_owner(source) == 1).cloned().collect();
        assert!(!lost.is_empty(), "the work is not balanced: {rest:?}");
        let cut = millis_now();
        scene.proxy.set(fault);
        let mut began = Vec::new();
        for source in &lost {
            let skip = Flow::read(&scene.cluster.topics, source).0.len();
            let first = by_others(&scene.cluster, source, &name, skip).await;
            println!("{fault:?}: {source} ran elsewhere after {} ms", first.at - cut);
            began.push((source, first.at));
        }
        scene.moves().await;
        let healed = millis_now();
        scene.proxy.set(Fault::None);
        scene.at_rest().await;
        scene.moves().await;
        println!("{fault:?}: everything moves {} ms after the way was free", millis_now() - healed);
        for (source, began) in began {
            let flow = Flow::read(&scene.cluster.topics, source);
            let own = |at: &i64| (cut..healed).contains(at);
            let last = flow.0.iter().filter(|step| step.worker == name).map(|step| step.at).filter(own).max();
            println!(
                "{fault:?}: {name} read {source} for the last time {:?} ms after the cut",
                last.map(|at| at - cut)
            );
            assert!(
                last.is_none_or(|last| last <= began),
                "{name} read {source} when it was another's: {:?}",
                flow.turns()
            );
        }
    }
    scene.complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_died_unnoticed_and_a_slow_way_heal() {
    let _pass = gate::enter(gate::Kind::Patient).await;
    let scene = Scene::start("forgotten").await;
    scene.moves().await;
    scene.proxy.forget();
    let forgotten = millis_now();
    scene.moves().await;
    scene.at_rest().await;
    println!("everything moves {} ms after the connections died", millis_now() - forgotten);
    scene.proxy.set(Fault::Delay(SLOW));
    scene.moves().await;
    scene.at_rest().await;
    scene.proxy.set(Fault::None);
    scene.moves().await;
    scene.complete().await;
}
