//! Rolling restarts: no connector stands still for long.

use integration_tests::testbed::{Kind, WorkerSetup, eventually_async};

use crate::cluster::Cluster;
use crate::flow::{Flow, Watch};
use crate::gate;
use crate::load::Rows;
use crate::sources::Sources;
use crate::support::{ARRIVAL, database, file_sink, sink_files, table_source, wait_records};

/// How long no connector may stand still. Where a worker takes longer to start, it is so many of its starts: what is feared is
/// the delay of five minutes.
const STILL_MS: i64 = 3_000;
const STILL_STARTS: u32 = 3;
/// As an orchestrator does: the next worker goes when this one is healthy.
const WORKERS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_three_workers_stops_no_connector_for_long() {
    let _pass = gate::enter(gate::Kind::Timed).await;
    let default_delay = |setup: WorkerSetup| setup.without("scheduled.rebalance.max.delay.ms");
    let mut cluster = Cluster::start("rolling", &[Kind::Tidegate; WORKERS], default_delay).await;
    let sources = Sources::create(&cluster, 3).await;

    let table = format!("{}_t", cluster.name);
    let (address, client) = database(&table).await;
    cluster.any().api().create(&table, &table_source(&address, &table)).await.unwrap();
    cluster.any().api().wait_running(&table).await.unwrap();
    let rows = Rows::start(client);
    let table_topic = format!("{table}.public.t");
    wait_records(&cluster.topics, &table_topic, 1).await;

    let sink = format!("{}_k", cluster.name);
    let files = sink_files(&sink);
    cluster.any().api().create(&sink, &file_sink(&files, &sources.names[0])).await.unwrap();
    eventually_async(
        "the sink's first line",
        ARRIVAL,
        async || {
            if files.size() > 0 { Ok(()) } else { Err(String::new()) }
        },
    )
    .await
    .unwrap();

    let mut connectors = sources.connectors();
    connectors.extend([(table.as_str(), 1), (sink.as_str(), 1)]);
    let before = cluster.at_rest(&connectors).await.generation.number;
    let watch = Watch::start(files.clone());
    let mut taken = Vec::new();
    for worker in 0..WORKERS {
        cluster.stop(worker);
        cluster.start_again(worker).await;
        taken.push(cluster.workers[worker].started_in);
        cluster.at_rest(&connectors).await;
    }
    let after = cluster.at_rest(&connectors).await.generation.number;
    let sink_gap = watch.largest_gap();
    println!("{} generations; starts took {taken:?}", after - before);

    let mut gaps = vec![(sink.clone(), sink_gap)];
    let written = rows.stop().await;
    wait_records(&cluster.topics, &table_topic, written).await;
    let flow = Flow::read(&cluster.topics, &table_topic);
    gaps.push((table.clone(), flow.largest_gap()));
    println!("{table} ran on {:?}, {} of {written} came again", flow.turns(), flow.repeated());
    flow.assert_complete(&table, written);
    for name in &sources.names {
        let flow = Flow::read(&cluster.topics, name);
        println!("{name} ran on {:?}, {} of {} came again", flow.turns(), flow.repeated(), flow.0.len());
        gaps.push((name.clone(), flow.largest_gap()));
    }
    let fed = sources.names[0].clone();
    sources.complete(&cluster).await;
    let sent = Flow::read(&cluster.topics, &fed).numbers();
    eventually_async("the sink to have everything", ARRIVAL, async || {
        let missing = sent.difference(&files.numbers()).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing")) }
    })
    .await
    .unwrap();
    println!("the largest gaps, ms: {gaps:?}");
    let slowest = taken.into_iter().max().unwrap();
    let still = STILL_MS.max(i64::try_from((STILL_STARTS * slowest).as_millis()).unwrap());
    for (name, gap) in gaps {
        assert!(gap <= still, "{name} stood still for {gap} ms");
    }
    assert_eq!(cluster.generations().contested(), Vec::<String>::new());
}
