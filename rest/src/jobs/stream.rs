//! What happens to jobs, as server-sent events.
//!
//! A stream ends by itself when its job is deleted and when the server stops, so that nobody waits for it then. Where a
//! reader has missed something it finds out by asking for the job again: events are told once, and not kept.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use connect_cluster::jobs::{JobEvent, JobEvents, JobState, JobView, Notice};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::shown::{Job, Told, time};
use crate::json;

/// How often something is said where nothing happens, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Marks an answer that ends only with what it is about: nobody waits for its end when the server stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// The answer that tells events as they come, after how the job is now when `first` says so. `one` is the stream of one
/// job, which ends with it.
pub(crate) fn tell(events: JobEvents, first: Option<JobView>, one: bool, stop: CancellationToken) -> Response {
    let first = first.map(|job| JobEvent {
        job: job.name.as_str().into(),
        at_ms: now_ms(),
        notice: Notice::Progress(Box::new(job)),
    });
    let events = futures_util::stream::iter(first).chain(events).boxed();
    let told = futures_util::stream::unfold((events, 0_u64, false), move |(mut events, count, over)| {
        let stop = stop.clone();
        async move {
            if over {
                return None;
            }
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                event = events.next() => event,
            }?;
            let over = one && matches!(event.notice, Notice::StateChanged { to: JobState::Deleted, .. });
            Some((Ok::<_, Infallible>(written(&event, count)), (events, count + 1, over)))
        }
    });
    let hello = Event::default().retry(RETRY).comment("events of jobs follow");
    let told = futures_util::stream::iter([Ok(hello)]).chain(told);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    // A proxy that collects what it passes on would keep it all to itself.
    let unbuffered = ("X-Accel-Buffering", "no");
    let mut response = ([unbuffered], Sse::new(told).keep_alive(heartbeat)).into_response();
    response.extensions_mut().insert(Endless);
    response
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn written(event: &JobEvent, count: u64) -> Event {
    let id = format!("{}-{count}", event.at_ms);
    let told = Told { job_id: &event.job, timestamp: time(event.at_ms), id: &id, ..Told::default() };
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let (name, told) = match &event.notice {
        Notice::StateChanged { from, to, phase, error, cause } => {
            let what = BTreeMap::from([
                ("previous_state", from.map_or(Value::Null, |state| Value::from(state.name()))),
                ("new_state", Value::from(to.name())),
                ("phase", phase.map_or(Value::Null, |phase| Value::from(phase.name()))),
                ("error", text(error)),
                ("cause", Value::from(cause.as_str())),
            ]);
            ("state_changed", Told { event: "job.state_changed", what, ..told })
        }
        Notice::Warning { message } => {
            let what = BTreeMap::from([("message", Value::from(message.as_str()))]);
            ("warning", Told { event: "job.warning", what, ..told })
        }
        Notice::Failing { error, since_ms } => {
            let since = time(*since_ms).map_or(Value::Null, Value::from);
            let what = BTreeMap::from([("error", text(error)), ("since", since)]);
            ("failing", Told { event: "job.failing", what, ..told })
        }
        Notice::Flapping { failures, within_ms } => {
            let what = BTreeMap::from([("failures", Value::from(*failures)), ("within_ms", Value::from(*within_ms))]);
            ("flapping", Told { event: "job.flapping", what, ..told })
        }
        Notice::Progress(job) => ("progress", Told { event: "job.progress", job: Some(Job::figures(job)), ..told }),
    };
    let data = match json::to_vec(&told) {
        Ok(data) => String::from_utf8(data).unwrap_or_default(),
        Err(error) => {
            // Our shapes have texts for keys and write into memory: there is nothing to fail on.
            tracing::error!(%error, "an event could not be written as JSON");
            String::new()
        }
    };
    // JSON as we write it has no line breaks outside of texts, and those are escaped.
    Event::default().event(name).id(id).data(data)
}
