//! kill -9 of a worker: its tasks run elsewhere.

use std::time::{Duration, Instant};

use integration_tests::testbed::{Kind, Worker, WorkerSetup, eventually_async};

use crate::cluster::Cluster;
use crate::flow::Flow;
use crate::gate;
use crate::sources::{Sources, by_others};
use crate::support::{ARRIVAL, millis_now, wait_records};

/// `session.timeout.ms` of the workers.
const SESSION_MS: i64 = 6_000;
/// What the others may take when the session is over.
const MARGIN_MS: i64 = 12_000;
/// The longest pause that may be between heartbeats on the average. A member learns of a rebalance by them: with those that are
/// configured here it would be too late.
const BEAT: Duration = Duration::from_secs(2);
const CONFIGURED_BEAT_MS: &str = "5000";

/// Kills a worker and measures, for each of its tasks, the milliseconds until another worker's first record.
async fn kill_and_measure(cluster: &mut Cluster, sources: &Sources, victim: usize) -> Vec<(String, i64)> {
    let rest = cluster.at_rest(&sources.connectors()).await;
    let worker = cluster.name_of(victim).to_owned();
    let lost: Vec<&String> = sources.names.iter().filter(|name| rest.task_owner(name) == victim).collect();
    assert!(!lost.is_empty(), "{worker} runs no task: {rest:?}");
    let (killed, began) = (millis_now(), Instant::now());
    cluster.kill(victim);
    let survivor = cluster.any();
    let before = heartbeats(survivor).await;
    let mut measured = Vec::new();
    for name in lost {
        let before = Flow::read(&cluster.topics, name).0.len();
        let first = by_others(cluster, name, &worker, before).await;
        measured.push((name.clone(), first.at - killed));
    }
    let (beats, time) = (heartbeats(survivor).await - before, began.elapsed());
    println!("{} sent {beats} heartbeats in {time:?}", survivor.setup().name);
    assert!(beats * BEAT.as_secs_f64() > time.as_secs_f64(), "{beats} heartbeats in {time:?}");
    measured
}

/// The heartbeats that a worker has sent so far.
async fn heartbeats(worker: &Worker) -> f64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client.get(format!("{}/metrics", worker.api().base())).header("accept", "text/plain");
    let text = asked.send().await.unwrap().text().await.unwrap();
    let sample = text.lines().find(|line| line.starts_with("kafka_connect_coordinator_heartbeat_total{"));
    sample.and_then(|line| line.rsplit_once(' ')).unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_killed_worker_run_elsewhere_soon_after_its_session() {
    let _pass = gate::enter(gate::Kind::Patient).await;
    let rare = |setup: WorkerSetup| setup.with("heartbeat.interval.ms", CONFIGURED_BEAT_MS);
    let mut cluster = Cluster::start("killed", &[Kind::Tidegate; 3], rare).await;
    let sources = Sources::create(&cluster, 3).await;
    for leads in [false, true] {
        cluster.at_rest(&sources.connectors()).await;
        let leader = cluster.leader();
        let victim = cluster.living().find(|worker| (*worker == leader) == leads).unwrap();
        let measured = kill_and_measure(&mut cluster, &sources, victim).await;
        println!("killed a {}: {measured:?} ms", if leads { "leader" } else { "follower" });
        for (name, took) in measured {
            assert!(took <= SESSION_MS + MARGIN_MS, "{name} stood still for {took} ms");
        }
    }
    cluster.at_rest(&sources.connectors()).await;
    assert_eq!(cluster.generations().contested(), Vec::<String>::new());
    sources.complete(&cluster).await;
}

/// As with JVM workers: the work waits for the worker to come back, and goes to it when the delay is over.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_delay_the_tasks_wait_for_the_worker_to_return() {
    /// Longer than a worker takes to start.
    const DELAY: Duration = Duration::from_secs(15);
    /// What the round and the task may take when the delay is over.
    const LATER_MS: i64 = 20_000;
    /// The leader counts from before the coordinator writes the generation down.
    const EARLIER_MS: i64 = 1_000;
    let _pass = gate::enter(gate::Kind::Patient).await;
    let delayed = |setup: WorkerSetup| setup.with("scheduled.rebalance.max.delay.ms", &DELAY.as_millis().to_string());
    let mut cluster = Cluster::start("delayed", &[Kind::Tidegate; 2], delayed).await;
    let sources = Sources::create(&cluster, 2).await;
    let before = cluster.at_rest(&sources.connectors()).await;
    let victim = 1 - cluster.leader();
    let name = sources.names.iter().find(|name| before.task_owner(name) == victim).unwrap().clone();
    let at_kill = Flow::read(&cluster.topics, &name).0.len();
    let killed = millis_now();
    cluster.kill(victim);
    cluster.start_again(victim).await;
    let delayed = eventually_async("a generation with a delay", ARRIVAL, async || {
        let generations = cluster.generations();
        // The worker may be back in it or not yet: the delay runs from here.
        let found = generations.0.iter().find(|generation| {
            let members = &generation.members;
            let delayed = !members.is_empty() && members.iter().all(|member| member.assignment.delay_ms > 0);
            delayed && generation.timestamp >= killed
        });
        found.cloned().ok_or_else(|| format!("{:?}", generations.last()))
    });
    let delayed = delayed.await.unwrap();
    let after = cluster.at_rest(&sources.connectors()).await;
    assert_eq!(after.owners, before.owners, "the worker has its work back, and the other one what it had");

    wait_records(&cluster.topics, &name, i64::try_from(at_kill).unwrap() + 1).await;
    let flow = Flow::read(&cluster.topics, &name);
    let waited = flow.0[at_kill..].iter().find(|step| step.at > delayed.timestamp).unwrap().at - delayed.timestamp;
    println!("the delay began {} ms after the kill; the task ran {waited} ms later", delayed.timestamp - killed);
    let delay = i64::try_from(DELAY.as_millis()).unwrap();
    assert!((delay - EARLIER_MS..=delay + LATER_MS).contains(&waited), "{waited} ms after the delay began");
    let other = sources.names.iter().find(|name| before.task_owner(name) != victim).unwrap();
    let undisturbed = Flow::read(&cluster.topics, other).largest_gap();
    assert!(undisturbed < delay, "the other task stood still for {undisturbed} ms, as if it had waited as well");
    sources.complete(&cluster).await;
}
