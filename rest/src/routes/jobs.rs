//! Jobs: pipelines as one thing, see `connect_cluster::jobs`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use connect_cluster::jobs::{Action, Jobs, Started};
use std::sync::Arc;

use super::connectors::{Base, location};
use super::{Answer, App, Query, Segments, Table, events_of};
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::jobs::asked::{EVERY, check_name, new_job};
use crate::jobs::shown::{Job, Judged, Paused, Summary};
use crate::jobs::stream;
use crate::json::Json;

pub(super) fn routes(table: Table) -> Table {
    let table = table
        .path("/jobs", "HEAD,POST,GET,OPTIONS", get(list).post(create))
        .path("/jobs/validate", "POST,OPTIONS", post(validate))
        .path("/jobs/{name}", "HEAD,DELETE,GET,OPTIONS", get(info).delete(delete))
        .path("/jobs/-/pause", "OPTIONS,PUT", for_all(Action::Pause))
        .path("/jobs/-/resume", "OPTIONS,PUT", for_all(Action::Resume))
        .path_of("/jobs/-/events", "HEAD,GET,OPTIONS", events_of(get(all_events)))
        .path_of("/jobs/{name}/events", "HEAD,GET,OPTIONS", events_of(get(events)));
    Action::ALL.into_iter().filter(|action| *action != Action::Delete).fold(table, |table, action| {
        table.path(&format!("/jobs/{{name}}/{}", action.name()), "OPTIONS,PUT", for_one(action))
    })
}

impl App {
    /// The jobs, or 404 where there are none to be had.
    fn jobs(&self) -> RestResult<&Arc<dyn Jobs>> {
        self.jobs.as_ref().ok_or_else(|| RestError::plain(StatusCode::NOT_FOUND))
    }
}

fn unknown(name: &str) -> RestError {
    RestError::not_found(format!("Job {name} not found"))
}

async fn list(State(app): State<App>) -> RestResult {
    // A worker that starts knows of no job yet, and none is not what it should say.
    app.loaded().await?;
    let jobs = app.jobs()?.list();
    Ok(Json(jobs.iter().map(Summary::from).collect::<Vec<_>>()).into_response())
}

async fn info(State(app): State<App>, path: Segments) -> RestResult {
    app.loaded().await?;
    let job = app.jobs()?.job(path.name()).ok_or_else(|| unknown(path.name()))?;
    Ok(Json(Job::whole(&job)).into_response())
}

async fn create(State(app): State<App>, base: Base, request: Incoming) -> RestResult {
    let job = new_job(&request)?;
    check_name(&job.name).map_err(RestError::bad_request)?;
    let place = location(&base, "jobs", &job.name)?;
    let made = app.jobs()?.create(job, &request.by(), request.hop).await;
    match app.settle(made, request).await? {
        Answer::Here(Started { job, .. }) => {
            Ok((StatusCode::CREATED, [(LOCATION, place)], Json(Job::whole(&job))).into_response())
        }
        Answer::Elsewhere(mut response) => {
            if response.headers().contains_key(LOCATION) {
                response.headers_mut().insert(LOCATION, place);
            }
            Ok(response)
        }
    }
}

async fn validate(State(app): State<App>, request: Incoming) -> RestResult {
    let job = new_job(&request)?;
    let validated = app.jobs()?.validate(&job).await;
    match app.settle(validated, request).await? {
        Answer::Here(mut validation) => {
            // That there is no name, the jobs say themselves.
            if !job.name.is_empty()
                && let Err(problem) = check_name(&job.name)
            {
                validation.problems.insert(0, problem);
            }
            Ok(Json(Judged::new(&job, validation)).into_response())
        }
        Answer::Elsewhere(response) => Ok(response),
    }
}

/// What is asked of one job.
fn for_one(action: Action) -> MethodRouter<App> {
    put(move |State(app): State<App>, path: Segments, query: Query, request: Incoming| async move {
        let cleanup = action == Action::Stop && cleanup(&query)?;
        match act(&app, path.name(), action, cleanup, request).await? {
            Answer::Here(started) => Ok(accepted(action, &started)),
            Answer::Elsewhere(response) => RestResult::Ok(response),
        }
    })
}

/// Whether a stop takes away what was made for the job. What is neither yes nor no is refused: either could do harm.
fn cleanup(query: &Query) -> RestResult<bool> {
    match query.first("cleanup") {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) => Err(RestError::bad_request(format!("cleanup is true or false, not {text}"))),
    }
}

fn accepted(action: Action, Started { job, warning }: &Started) -> Response {
    let job = Job::whole(job);
    match action {
        Action::Pause => (StatusCode::ACCEPTED, Json(Paused { job, warning: warning.as_deref() })).into_response(),
        _ => (StatusCode::ACCEPTED, Json(job)).into_response(),
    }
}

async fn act(app: &App, name: &str, action: Action, cleanup: bool, request: Incoming) -> RestResult<Answer<Started>> {
    if name == EVERY {
        let action = action.name();
        return Err(RestError::bad_request(format!(
            "{EVERY} stands for every job, and every job at once can be paused and resumed only: there is no {action}"
        )));
    }
    let done = app.jobs()?.act(name, action, cleanup, &request.by(), request.hop).await;
    app.settle(done, request).await
}

async fn delete(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    match act(&app, path.name(), Action::Delete, false, request).await? {
        Answer::Here(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Answer::Elsewhere(response) => Ok(response),
    }
}

/// What is asked of every job.
fn for_all(action: Action) -> MethodRouter<App> {
    put(move |State(app): State<App>, request: Incoming| async move {
        let done = app.jobs()?.act_on_all(action, &request.by(), request.hop).await;
        match app.settle(done, request).await? {
            Answer::Here(jobs) => {
                let changed: Vec<_> = jobs.iter().map(Summary::from).collect();
                Ok((StatusCode::ACCEPTED, Json(changed)).into_response())
            }
            Answer::Elsewhere(response) => RestResult::Ok(response),
        }
    })
}

async fn events(State(app): State<App>, path: Segments) -> RestResult {
    app.loaded().await?;
    let jobs = app.jobs()?;
    // In this order nothing is lost between the two.
    let events = jobs.events(Some(path.name()));
    let job = jobs.job(path.name()).ok_or_else(|| unknown(path.name()))?;
    Ok(stream::tell(events, Some(job), true, app.stop.clone()))
}

async fn all_events(State(app): State<App>) -> RestResult {
    app.loaded().await?;
    Ok(stream::tell(app.jobs()?.events(None), None, false, app.stop.clone()))
}
