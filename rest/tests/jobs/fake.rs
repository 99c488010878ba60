//! A herd without connectors, and jobs that answer what a test tells them to.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use connect_cluster::jobs::{
    Action, JobEvent, JobEvents, JobState, JobSummary, JobView, Jobs, NewJob, Notice, Started, Validation,
};
use connect_cluster::{ClusterView, Command, Herd, HerdError, Hop, PluginInfo, Reply};
use connect_config::{ConfigDef, ConfigKey, Importance, Props, Type, Validated};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::views::plain;

/// A herd without connectors.
pub(crate) struct Idle;

#[async_trait]
impl Herd for Idle {
    fn view(&self) -> Arc<ClusterView> {
        Arc::new(ClusterView { loaded: true, ready: true, ..ClusterView::default() })
    }

    async fn ask(&self, _: Command, _: Hop) -> Result<Reply, HerdError> {
        Ok(Reply::Done)
    }

    async fn validate(&self, _: &str, config: &Props) -> Result<Validated, HerdError> {
        Ok(ConfigDef::new().validate(config))
    }

    fn plugins(&self) -> Vec<PluginInfo> {
        Vec::new()
    }

    fn plugin_config(&self, plugin: &str) -> Result<ConfigDef, HerdError> {
        Err(HerdError::not_found(plugin))
    }
}

/// Jobs that remember what they were asked.
pub(crate) struct Fake {
    pub(crate) jobs: Mutex<BTreeMap<String, JobView>>,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) events: broadcast::Sender<JobEvent>,
    /// Who does what is asked, when that is another worker.
    pub(crate) elsewhere: Mutex<Option<Option<String>>>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self {
            jobs: Mutex::default(),
            asked: Mutex::default(),
            events: broadcast::channel(64).0,
            elsewhere: Mutex::default(),
        }
    }

    pub(crate) fn put(&self, view: JobView) {
        self.jobs.lock().insert(view.name.clone(), view);
    }

    pub(crate) fn tell(&self, job: &str, at_ms: i64, notice: Notice) {
        self.events.send(JobEvent { job: job.into(), at_ms, notice }).unwrap();
    }

    fn here(&self, what: String) -> Result<(), HerdError> {
        self.asked.lock().push(what);
        match &*self.elsewhere.lock() {
            Some(url) => Err(HerdError::Elsewhere { url: url.clone() }),
            None => Ok(()),
        }
    }
}

fn line(view: &JobView) -> JobSummary {
    JobSummary {
        name: view.name.clone(),
        state: view.state,
        phase: view.phase,
        kind: view.kind,
        updated_ms: view.updated_ms,
    }
}

#[async_trait]
impl Jobs for Fake {
    fn list(&self) -> Vec<JobSummary> {
        self.jobs.lock().values().map(line).collect()
    }

    fn job(&self, name: &str) -> Option<JobView> {
        self.jobs.lock().get(name).cloned()
    }

    async fn create(&self, job: NewJob, by: &str, hop: Hop) -> Result<Started, HerdError> {
        self.here(format!("create {job:?} by {by} {hop:?}"))?;
        if self.job(&job.name).is_some() {
            return Err(HerdError::conflict(format!("Job {} already exists", job.name)));
        }
        let view = JobView { name: job.name, options: job.options, ..plain("", JobState::Pending) };
        self.put(view.clone());
        Ok(Started { job: view, warning: None })
    }

    async fn act(&self, name: &str, action: Action, cleanup: bool, by: &str, hop: Hop) -> Result<Started, HerdError> {
        self.here(format!("{} {name} cleanup={cleanup} by {by} {hop:?}", action.name()))?;
        let job = self.job(name).ok_or_else(|| HerdError::not_found(format!("Job {name} not found")))?;
        if !job.actions.contains(&action) {
            return Err(HerdError::conflict(format!(
                "Job {name} is {}: it can't {} now, but pause, stop",
                job.state.name(),
                action.name()
            )));
        }
        let warning = (name == "warned").then(|| "Resume within 6 hours".to_owned());
        Ok(Started { job, warning })
    }

    async fn act_on_all(&self, action: Action, by: &str, hop: Hop) -> Result<Vec<JobSummary>, HerdError> {
        self.here(format!("{} all by {by} {hop:?}", action.name()))?;
        Ok(self.list().into_iter().filter(|job| job.state == JobState::Running).collect())
    }

    async fn validate(&self, job: &NewJob) -> Result<Validation, HerdError> {
        let mut def = ConfigDef::new();
        def.define(ConfigKey::new("host", Type::String, "where it is").importance(Importance::High));
        Ok(Validation {
            problems: if job.name.is_empty() { vec!["A job needs a name".to_owned()] } else { Vec::new() },
            source: job.source.as_ref().map(|source| def.validate(&source.config)),
            sinks: job.sinks.iter().map(|sink| def.validate(&sink.config)).collect(),
        })
    }

    fn events(&self, job: Option<&str>) -> JobEvents {
        let wanted = job.map(str::to_owned);
        let receiver = self.events.subscribe();
        Box::pin(
            futures_util::stream::unfold(receiver, |mut receiver| async move {
                Some((receiver.recv().await.ok()?, receiver))
            })
            .filter(move |event| {
                let ours = wanted.as_deref().is_none_or(|wanted| wanted == &*event.job);
                async move { ours }
            }),
        )
    }
}
