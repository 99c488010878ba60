//! A worker that ends in order leaves nothing waiting: its work moves at once, whatever delay is configured for crashes.
//!
//! Ours only: under a JVM leader the work of a follower waits for `scheduled.rebalance.max.delay.ms`, five minutes by default.

use integration_tests::testbed::{Kind, WorkerSetup};

use crate::cluster::Cluster;
use crate::flow::Flow;
use crate::gate;
use crate::sources::{Sources, by_others};
use crate::support::millis_now;

/// From the worker's end to the first record that another one produced. Who waits for a session or for the delay takes longer.
const LIMIT_MS: i64 = 30_000;
const SESSION_MS: &str = "60000";

#[tokio::test(flavor = "multi_thread")]
async fn work_moves_at_once_when_a_worker_leaves() {
    let _pass = gate::enter(gate::Kind::Patient).await;
    let waiting =
        |setup: WorkerSetup| setup.without("scheduled.rebalance.max.delay.ms").with("session.timeout.ms", SESSION_MS);
    let mut cluster = Cluster::start("leave", &[Kind::Tidegate; 3], waiting).await;
    let sources = Sources::create(&cluster, 3).await;
    for leads in [false, true] {
        let rest = cluster.at_rest(&sources.connectors()).await;
        let leader = cluster.leader();
        let leaving = cluster.living().find(|worker| (*worker == leader) == leads).unwrap();
        let left: Vec<&String> = sources.names.iter().filter(|name| rest.task_owner(name) == leaving).collect();
        assert!(!left.is_empty(), "the work is not balanced: {rest:?}");
        let name = cluster.name_of(leaving).to_owned();
        cluster.stop(leaving);
        let ended = millis_now();
        for source in left {
            let before = Flow::read(&cluster.topics, source).0.len();
            let skip = Flow::read(&cluster.topics, source).0.iter().rposition(|step| step.worker == name);
            let first = by_others(&cluster, source, &name, skip.unwrap_or(before)).await;
            let took = first.at - ended;
            println!("{source}: {took} ms after a {} had ended", if leads { "leader" } else { "follower" });
            assert!(took <= LIMIT_MS, "{source} stood still for {took} ms");
        }
    }
    cluster.at_rest(&sources.connectors()).await;
    sources.complete(&cluster).await;
}
