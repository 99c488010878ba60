//! Connectors: list, create, read, configure, delete.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use connect_cluster::{Command, ConnectorView, Reply};
use connect_config::Props;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Answer, App, Query, Segments, Table};
use crate::body::{CreateConnector, StringMap, bind, bind_object};
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::model::{ConnectorInfo, ConnectorStatus};

pub(super) fn routes(table: Table) -> Table {
    table
        .path("/connectors", "HEAD,POST,GET,OPTIONS", get(list).post(create))
        .path("/connectors/{name}", "HEAD,DELETE,GET,OPTIONS", get(info).delete(delete))
        .path(
            "/connectors/{name}/config",
            "HEAD,PUT,PATCH,GET,OPTIONS",
            get(config).put(put_config).patch(patch_config),
        )
        .path("/connectors/{name}/status", "HEAD,GET,OPTIONS", get(status))
}

/// What a segment of a path may show as it is (`pchar` of RFC 3986).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

#[derive(Serialize)]
struct Expanded<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ConnectorInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ConnectorStatus<'a>>,
}

async fn list(State(app): State<App>, query: Query) -> Response {
    let view = app.view();
    if query.first("expand").is_none() {
        return Json(view.connectors.keys().collect::<Vec<_>>()).into_response();
    }
    let wants = |what: &str| query.all("expand").any(|value| value == what);
    let (info, status) = (wants("info"), wants("status"));
    let expand = |connector: &'_ ConnectorView| -> Option<serde_json::Value> {
        let status_of = connector.status.as_ref().filter(|_| status);
        if status && status_of.is_none() {
            // Its status is about to come: the connector is left out until then, as by the JVM worker.
            return None;
        }
        let expanded = Expanded {
            info: info.then(|| ConnectorInfo::from(&connector.info)),
            status: status_of.map(ConnectorStatus::from),
        };
        serde_json::to_value(expanded).ok()
    };
    let map: BTreeMap<_, _> =
        view.connectors.iter().filter_map(|(name, connector)| Some((name, expand(connector)?))).collect();
    Json(map).into_response()
}

async fn create(State(app): State<App>, headers: HeaderMap, request: Incoming) -> RestResult {
    let body: CreateConnector = bind_object(&request.body)?;
    let target = body.target()?;
    let name = body.name.as_deref().unwrap_or_default().trim_matches(|c: char| c <= ' ').to_owned();
    let mut config = body.config.0;
    put_name(&mut config, &name)?;
    let answer = app.ask(Command::Create { name: name.clone(), config, target }, request).await?;
    connector_answer(&headers, &name, answer)
}

async fn put_config(State(app): State<App>, path: Segments, headers: HeaderMap, request: Incoming) -> RestResult {
    let StringMap(mut config) = bind(&request.body)?;
    let name = path.name().to_owned();
    put_name(&mut config, &name)?;
    let answer = app.ask(Command::PutConfig { name: name.clone(), config }, request).await?;
    connector_answer(&headers, &name, answer)
}

async fn patch_config(State(app): State<App>, path: Segments, headers: HeaderMap, request: Incoming) -> RestResult {
    let StringMap(patch) = bind(&request.body)?;
    let name = path.name().to_owned();
    let answer = app.ask(Command::PatchConfig { name: name.clone(), patch }, request).await?;
    connector_answer(&headers, &name, answer)
}

/// A configuration carries its connector's name; another one is refused.
fn put_name(config: &mut Props, name: &str) -> RestResult<()> {
    match config.get("name") {
        None => {
            config.insert("name".to_owned(), Some(name.to_owned()));
            Ok(())
        }
        Some(Some(given)) if given == name => Ok(()),
        Some(given) => Err(RestError::bad_request(format!(
            "Connector name configuration ({}) doesn't match connector name in the URL ({name})",
            given.as_deref().unwrap_or("null")
        ))),
    }
}

fn connector_answer(headers: &HeaderMap, name: &str, answer: Answer) -> RestResult {
    match answer {
        Answer::Here(Reply::Created(info)) => {
            let body = Json(ConnectorInfo::from(&info));
            Ok((StatusCode::CREATED, [(LOCATION, location(headers, name)?)], body).into_response())
        }
        Answer::Here(Reply::Updated(info)) => Ok(Json(ConnectorInfo::from(&info)).into_response()),
        Answer::Here(_) => Err(RestError::internal("the herder gave no connector back")),
        Answer::Elsewhere(mut response) => {
            if response.headers().contains_key(LOCATION) {
                response.headers_mut().insert(LOCATION, location(headers, name)?);
            }
            Ok(response)
        }
    }
}

/// The absolute URL of a connector under the host that the client asked.
fn location(headers: &HeaderMap, name: &str) -> RestResult<HeaderValue> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let url = format!("http://{host}/connectors/{}", utf8_percent_encode(name, SEGMENT));
    HeaderValue::from_str(&url).map_err(|_| RestError::bad_request("Illegal Host header"))
}

async fn info(State(app): State<App>, path: Segments) -> RestResult {
    Ok(Json(ConnectorInfo::from(&app.connector(path.name())?.info)).into_response())
}

async fn config(State(app): State<App>, path: Segments) -> RestResult {
    Ok(Json(&app.connector(path.name())?.info.config).into_response())
}

async fn status(State(app): State<App>, path: Segments) -> RestResult {
    let missing = || RestError::not_found(format!("No status found for connector {}", path.name()));
    let connector = app.connector(path.name()).map_err(|_| missing())?;
    let status = connector.status.as_ref().ok_or_else(missing)?;
    Ok(Json(ConnectorStatus::from(status)).into_response())
}

async fn delete(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    app.done(Command::Delete { name: path.name().to_owned() }, request, StatusCode::NO_CONTENT).await
}
