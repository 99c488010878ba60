//! File sources that always have something to read.

use integration_tests::testbed::eventually_async;

use crate::cluster::Cluster;
use crate::flow::{Flow, Step};
use crate::load::Lines;
use crate::support::{ARRIVAL, file_source, source_file, wait_records};

/// Records of a topic's end that are looked at for its last number.
const TAIL: i64 = 200;

/// Sources whose topics have their names.
#[derive(Default)]
pub(crate) struct Sources {
    pub(crate) names: Vec<String>,
    loads: Vec<Lines>,
}

impl Sources {
    /// Creates file sources under a load, whose topics have their names.
    pub(crate) async fn create(cluster: &Cluster, count: usize) -> Self {
        let mut sources = Self::default();
        for _ in 0..count {
            sources.add(cluster).await;
        }
        for name in &sources.names {
            wait_records(&cluster.topics, name, 1).await;
        }
        sources
    }

    /// Creates one more.
    pub(crate) async fn add(&mut self, cluster: &Cluster) {
        let name = format!("{}_s{}", cluster.name, self.names.len());
        let path = source_file(&name);
        self.loads.push(Lines::start(&path));
        cluster.topics.create(&name, 1).await.unwrap();
        cluster.any().api().create(&name, &file_source(&path, &name)).await.unwrap();
        self.names.push(name);
    }

    /// Each has one task.
    pub(crate) fn connectors(&self) -> Vec<(&str, usize)> {
        self.names.iter().map(|name| (name.as_str(), 1)).collect()
    }

    /// Ends the load, and panics unless everything arrives.
    pub(crate) async fn complete(self, cluster: &Cluster) {
        for (name, load) in self.names.iter().zip(self.loads) {
            let written = load.stop();
            arrived(cluster, name, written).await;
            Flow::read(&cluster.topics, name).assert_complete(name, written);
        }
    }
}

/// Waits until the topic of a source holds the number `last`.
pub(crate) async fn arrived(cluster: &Cluster, name: &str, last: i64) {
    eventually_async(&format!("{last} in {name}"), ARRIVAL, async || {
        let found = Flow::read_tail(&cluster.topics, name, TAIL).numbers().last().copied().unwrap_or_default();
        if found >= last { Ok(()) } else { Err(format!("{found}")) }
    })
    .await
    .unwrap();
}

/// Waits for the first record of a source that another worker than `worker` produced, after the topic's first `skip` records.
pub(crate) async fn by_others(cluster: &Cluster, name: &str, worker: &str, skip: usize) -> Step {
    let what = format!("{name} to run elsewhere");
    let first = eventually_async(&what, ARRIVAL, async || {
        let flow = Flow::read(&cluster.topics, name);
        flow.first_by_others(worker, skip).map(|(_, step)| step.clone()).ok_or_else(|| format!("{:?}", flow.turns()))
    });
    first.await.unwrap()
}
