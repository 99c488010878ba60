//! Several workers in one group, and when they are at rest.

use std::collections::BTreeMap;
use std::time::Duration;

use connect_cluster::{TaskId, UnitId};
use integration_tests::testbed::{
    Failure, Generation, Generations, Kind, Servers, Topics, Worker, WorkerSetup, eventually_async,
};

use crate::support::unique;

/// How long a group may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(240);

/// The workers of one group. Their places in `workers` stay, also of those that were stopped.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) base: WorkerSetup,
    pub(crate) workers: Vec<Worker>,
    pub(crate) topics: Topics,
    alive: Vec<bool>,
}

impl Cluster {
    /// Starts a worker of each kind at the same time, in a group of their own on the shared Kafka.
    pub(crate) async fn start(name: &str, kinds: &[Kind], change: impl Fn(WorkerSetup) -> WorkerSetup) -> Self {
        Self::start_on(&Servers::shared().kafka.bootstrap, name, kinds, change).await
    }

    /// The same on another Kafka.
    pub(crate) async fn start_on(
        bootstrap: &str,
        name: &str,
        kinds: &[Kind],
        change: impl Fn(WorkerSetup) -> WorkerSetup,
    ) -> Self {
        let name = unique(name);
        let base = change(setup(&name, bootstrap));
        let topics = Topics::new(bootstrap).unwrap();
        let mut cluster = Self { name, base, workers: Vec::new(), topics, alive: Vec::new() };
        cluster.add(kinds).await;
        cluster
    }

    /// Starts further workers; gives the place of the first.
    pub(crate) async fn add(&mut self, kinds: &[Kind]) -> usize {
        self.add_as(kinds, |setup| setup).await
    }

    /// The same with properties of their own.
    pub(crate) async fn add_as(&mut self, kinds: &[Kind], change: impl Fn(WorkerSetup) -> WorkerSetup) -> usize {
        let first = self.workers.len();
        let member = |(index, kind): (usize, &Kind)| {
            let setup = change(self.base.member(&format!("{}_w{}", self.name, first + index), *kind).unwrap());
            Worker::start(setup)
        };
        let started = futures_util::future::join_all(kinds.iter().enumerate().map(member)).await;
        for worker in started {
            self.workers.push(worker.unwrap());
            self.alive.push(true);
        }
        first
    }

    /// The name of a worker: what its records and files say.
    pub(crate) fn name_of(&self, index: usize) -> &str {
        &self.workers[index].setup().name
    }

    /// The worker with this advertised address or worker id.
    pub(crate) fn at(&self, address: &str) -> usize {
        let wanted = address.trim_start_matches("http://").trim_end_matches('/');
        let found = self.workers.iter().position(|worker| worker.setup().worker_id() == wanted);
        found.unwrap_or_else(|| panic!("no worker is at {address}"))
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, index: usize) {
        self.alive[index] = false;
        self.workers[index].kill().unwrap();
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(&mut self, index: usize) {
        self.alive[index] = false;
        let worker = &mut self.workers[index];
        tokio::task::block_in_place(|| worker.stop()).unwrap();
    }

    /// SIGSTOP: the group is to forget it.
    pub(crate) fn freeze(&mut self, index: usize) {
        self.alive[index] = false;
        self.workers[index].freeze().unwrap();
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self, index: usize) {
        self.workers[index].thaw().unwrap();
        self.alive[index] = true;
    }

    /// Starts a worker again that was killed or stopped.
    pub(crate) async fn start_again(&mut self, index: usize) {
        self.workers[index].start_again().await.unwrap();
        self.alive[index] = true;
    }

    /// The same with several at a time.
    pub(crate) async fn start_all_again(&mut self, which: &[usize]) {
        let stopped = self.workers.iter_mut().enumerate().filter(|(index, _)| which.contains(index));
        let started = futures_util::future::join_all(stopped.map(|(_, worker)| worker.start_again())).await;
        for outcome in started {
            outcome.unwrap();
        }
        for index in which {
            self.alive[*index] = true;
        }
    }

    /// The workers that should be members.
    pub(crate) fn living(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.workers.len()).filter(|index| self.alive[*index])
    }

    /// A worker that lives.
    pub(crate) fn any(&self) -> &Worker {
        &self.workers[self.living().next().unwrap()]
    }

    /// What the coordinator wrote of the group.
    pub(crate) fn generations(&self) -> Generations {
        Generations::read(&self.topics, &self.name).unwrap()
    }

    /// Who leads, as a place in `workers`.
    pub(crate) fn leader(&self) -> usize {
        let generations = self.generations();
        self.at(generations.last().unwrap().leader_url())
    }

    /// Waits until nothing is on its way: every living worker is a member and nobody else, each connector has one owner,
    /// and so has each of its tasks, and every worker says so and that it runs.
    pub(crate) async fn at_rest(&self, connectors: &[(&str, usize)]) -> Rest {
        let found = eventually_async("the group to be at rest", REST_LIMIT, async || {
            let rest = self.rest(connectors).map_err(|failure| failure.to_string())?;
            for worker in self.living() {
                self.agrees(worker, &rest).await?;
            }
            Ok(rest)
        });
        found.await.unwrap()
    }

    fn rest(&self, connectors: &[(&str, usize)]) -> Result<Rest, Failure> {
        let generations = Generations::read(&self.topics, &self.name)?;
        let last = generations.last()?;
        let mut members: Vec<usize> = last.members.iter().map(|member| self.at(&member.url)).collect();
        members.sort_unstable();
        if !last.at_rest() || members != self.living().collect::<Vec<_>>() {
            return Err(Failure::new(format!("generation {} of {members:?} is not at rest", last.number)));
        }
        let mut owners = BTreeMap::new();
        for (unit, found) in last.owners() {
            match found[..] {
                [one] => owners.insert(unit, self.at(one)),
                _ => return Err(Failure::new(format!("{unit:?} belongs to {found:?}"))),
            };
        }
        let wanted = units(connectors);
        if owners.keys().ne(wanted.iter()) {
            return Err(Failure::new(format!("{:?} are assigned, not {wanted:?}", owners.keys())));
        }
        Ok(Rest { generation: last.clone(), owners })
    }

    /// The worker shows every unit where it is, and running.
    async fn agrees(&self, worker: usize, rest: &Rest) -> Result<(), String> {
        let api = self.workers[worker].api();
        let answer = api.get("/connectors?expand=status").await.map_err(|failure| failure.to_string())?;
        for (unit, owner) in &rest.owners {
            let status = &answer.body[unit.connector().as_ref()]["status"];
            let shown = match unit {
                UnitId::Connector(_) => &status["connector"],
                UnitId::Task(task) => {
                    let tasks = status["tasks"].as_array().into_iter().flatten();
                    tasks.into_iter().find(|shown| shown["id"] == task.task).unwrap_or(&serde_json::Value::Null)
                }
            };
            if shown["worker_id"] != self.workers[*owner].setup().worker_id() || shown["state"] != "RUNNING" {
                return Err(format!("worker {worker} shows {unit:?} as {shown}"));
            }
        }
        Ok(())
    }
}

/// A group in which nothing is on its way.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) generation: Generation,
    pub(crate) owners: BTreeMap<UnitId, usize>,
}

impl Rest {
    /// The place of the worker that runs task 0 of a connector.
    pub(crate) fn task_owner(&self, connector: &str) -> usize {
        self.owners[&UnitId::Task(TaskId { connector: connector.into(), task: 0 })]
    }
}

fn units(connectors: &[(&str, usize)]) -> Vec<UnitId> {
    let mut units = Vec::new();
    for (connector, tasks) in connectors {
        units.push(UnitId::Connector((*connector).into()));
        for task in 0..*tasks {
            let task = u32::try_from(task).unwrap();
            units.push(UnitId::Task(TaskId { connector: (*connector).into(), task }));
        }
    }
    units.sort();
    units
}

/// The properties that the workers of a group have in common.
pub(crate) fn setup(name: &str, bootstrap: &str) -> WorkerSetup {
    WorkerSetup::new(name, bootstrap)
        .unwrap()
        .with("consumer.metadata.max.age.ms", "1000")
        .with("config.providers", "env")
        .with("config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider")
}
