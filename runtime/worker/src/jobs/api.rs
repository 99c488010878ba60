//! The jobs as the REST API sees them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_cluster::jobs::record::Order;
use connect_cluster::jobs::{
    Action, Engine, JobEvent, JobEvents, JobSummary, JobView, Jobs, NewJob, Started, Validation,
};
use connect_cluster::{Herd, HerdError, Hop, RecoveryPolicy};
use futures_util::StreamExt;
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::create;
use super::drive::Input;
use crate::metrics::now_ms;

/// How long the end of a round of the group is waited for, and how often it is looked for.
const ROUND_LIMIT: Duration = Duration::from_secs(10);
const ROUND_LOOK: Duration = Duration::from_millis(20);

/// What answers requests about jobs.
#[derive(Clone)]
pub struct JobsApi {
    pub(super) worker_id: String,
    pub(super) engine: Arc<RwLock<Engine>>,
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) herd: Arc<dyn Herd>,
    pub(super) policy: RecoveryPolicy,
    pub(super) events: broadcast::Sender<JobEvent>,
    /// One job is made at a time, so that names can't be taken twice.
    pub(super) making: Arc<tokio::sync::Mutex<()>>,
}

impl JobsApi {
    /// Actions are the leader's. In a round of the group nobody leads: this worker waits for its end if it was the leader.
    async fn must_lead(&self) -> Result<(), HerdError> {
        let deadline = tokio::time::Instant::now() + ROUND_LIMIT;
        loop {
            let view = self.herd.view();
            if view.is_leader {
                return Ok(());
            }
            let authority = view.leader_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
            let ours = authority.is_none_or(|authority| authority.trim_end_matches('/') == self.worker_id);
            if !ours || tokio::time::Instant::now() >= deadline {
                return Err(HerdError::Elsewhere { url: view.leader_url.clone() });
            }
            tokio::time::sleep(ROUND_LOOK).await;
        }
    }

    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, HerdError> {
        let ended = || HerdError::Refused { status: 503, message: "The worker is shutting down.".to_owned() };
        let (answer, answered) = oneshot::channel();
        self.inbox.send(input(answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }

    fn order(action: Action, cleanup: bool, by: &str) -> Order {
        Order::new(uuid::Uuid::new_v4().to_string(), action, cleanup, now_ms(), by)
    }

    async fn begin(&self, name: &str, action: Action, cleanup: bool, by: &str) -> Result<(), HerdError> {
        let (order, job) = (Self::order(action, cleanup, by), name.to_owned());
        self.ask(|answer| Input::Act { order, job, answer }).await??;
        Ok(())
    }

    fn started(&self, name: &str, warning: Option<String>) -> Result<Started, HerdError> {
        let job = self.job(name).ok_or_else(|| HerdError::not_found(format!("Job {name} not found")))?;
        Ok(Started { job, warning })
    }

    /// Makes a job that was found to be sound.
    async fn make(&self, job: &NewJob) -> Result<(), HerdError> {
        let mut definition = create::definition(job, now_ms());
        let define = |definition| {
            let job = job.name.clone();
            self.ask(|answer| Input::Define { job, definition, answer })
        };
        define(Some(definition.clone())).await??;
        if let Err(error) = create::make(&*self.herd, job).await {
            define(None).await??;
            return Err(error);
        }
        definition.made = true;
        define(Some(definition)).await??;
        Ok(())
    }

    /// Checks a job and makes all of it, or nothing.
    async fn create_whole(&self, job: &NewJob, by: &str) -> Result<Started, HerdError> {
        let job = &create::with_defaults(&*self.herd, job);
        let _one_at_a_time = self.making.lock().await;
        if self.engine.read().shown(&job.name).is_some() {
            return Err(HerdError::conflict(format!("Job {} already exists", job.name)));
        }
        let (source, sinks) = create::connectors(job);
        let view = self.herd.view();
        let taken = source.iter().chain(&sinks).find(|planned| view.connectors.contains_key(planned.name.as_str()));
        if let Some(taken) = taken {
            return Err(HerdError::conflict(format!("Connector {} already exists", taken.name)));
        }
        if view.connectors.contains_key(job.name.as_str()) {
            return Err(HerdError::conflict(format!("Connector {} already exists, and with it its job", job.name)));
        }
        let validation = create::validate(&*self.herd, job, &self.policy).await?;
        if let Some(refused) = create::refusal(&validation) {
            return Err(refused);
        }
        self.make(job).await?;
        if job.start
            && let Err(error) = self.begin(&job.name, Action::Start, false, by).await
        {
            // The job is there, and goes on by itself: that is what was asked.
            tracing::warn!(job = job.name, %error, "a new job has not started yet");
        }
        self.started(&job.name, None)
    }
}

#[async_trait]
impl Jobs for JobsApi {
    fn list(&self) -> Vec<JobSummary> {
        self.engine.read().list()
    }

    fn job(&self, name: &str) -> Option<JobView> {
        self.engine.read().view_of(name, now_ms())
    }

    async fn create(&self, job: NewJob, by: &str, _hop: Hop) -> Result<Started, HerdError> {
        self.must_lead().await?;
        // A client that goes away does not leave half of a job.
        let (api, by) = (self.clone(), by.to_owned());
        let creating = tokio::spawn(async move { api.create_whole(&job, &by).await });
        creating.await.unwrap_or_else(|error| Err(HerdError::internal(format!("The creation broke off: {error}"))))
    }

    async fn act(&self, name: &str, action: Action, cleanup: bool, by: &str, _hop: Hop) -> Result<Started, HerdError> {
        self.must_lead().await?;
        // As it is before: a job that was deleted has no view any more.
        let before = self.job(name);
        let warning = if action == Action::Pause { self.engine.read().pause_warning(name) } else { None };
        self.begin(name, action, cleanup, by).await?;
        match self.started(name, warning) {
            Err(_) if action == Action::Delete => before
                .map(|job| Started { job, warning: None })
                .ok_or_else(|| HerdError::not_found(format!("Job {name} not found"))),
            started => started,
        }
    }

    async fn act_on_all(&self, action: Action, by: &str, _hop: Hop) -> Result<Vec<JobSummary>, HerdError> {
        self.must_lead().await?;
        let order = Self::order(action, false, by);
        let changed = self.ask(|answer| Input::ActOnAll { order, answer }).await??;
        let engine = self.engine.read();
        Ok(changed.iter().filter_map(|job| engine.summary_of(job)).collect())
    }

    async fn validate(&self, job: &NewJob) -> Result<Validation, HerdError> {
        create::validate(&*self.herd, &create::with_defaults(&*self.herd, job), &self.policy).await
    }

    fn events(&self, job: Option<&str>) -> JobEvents {
        let job = job.map(str::to_owned);
        let stream = futures_util::stream::unfold(self.events.subscribe(), |mut events| async move {
            loop {
                match events.recv().await {
                    Ok(event) => return Some((event, events)),
                    // Some were missed: what comes next says how things are now.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        Box::pin(stream.filter(move |event| {
            let wanted = job.as_deref().is_none_or(|job| job == &*event.job);
            std::future::ready(wanted)
        }))
    }
}
