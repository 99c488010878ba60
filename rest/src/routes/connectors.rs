//! Connectors: list, create, read, configure, delete.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, State};
use axum::http::header::{HOST, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use connect_cluster::{Command, ConnectorView, Reply};
use connect_config::Props;
use connect_config::worker::Scheme;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Answer, App, Query, Segments, Table};
use crate::body::{CreateConnector, StringMap, null_body};
use crate::error::{RestError, RestResult};
use crate::forward::Incoming;
use crate::json::Json;
use crate::model::{ConnectorInfo, ConnectorStatus};

pub(super) fn routes(table: Table) -> Table {
    table
        .path("/connectors", "HEAD,POST,GET,OPTIONS", get(list).post(create))
        .path("/connectors/{name}", "HEAD,DELETE,GET,OPTIONS", get(info).delete(delete))
        .path(
            "/connectors/{name}/config",
            "HEAD,GET,OPTIONS,PUT,PATCH",
            get(config).put(put_config).patch(patch_config),
        )
        .path("/connectors/{name}/status", "HEAD,GET,OPTIONS", get(status))
}

/// What a path may show as it is (`pchar` of RFC 3986 and the slash). The JVM worker's URI builder leaves slashes and what
/// looks like an escape as they are, although such a name can't be asked for under the URL then.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
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

async fn list(State(app): State<App>, query: Query) -> RestResult {
    let view = app.loaded().await?;
    if query.first("expand").is_none() {
        return Ok(Json(view.connectors.keys().collect::<Vec<_>>()).into_response());
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
    Ok(Json(map).into_response())
}

async fn create(State(app): State<App>, base: Base, request: Incoming) -> RestResult {
    let body: CreateConnector = request.read()?;
    let target = body.target()?;
    let name = body.name.as_deref().unwrap_or_default().trim_matches(|c: char| c <= ' ').to_owned();
    let mut config = body.config.0;
    put_name(&mut config, &name)?;
    let answer = app.ask(Command::Create { name: name.clone(), config, target }, request).await?;
    connector_answer(&base, &name, answer)
}

async fn put_config(State(app): State<App>, path: Segments, base: Base, request: Incoming) -> RestResult {
    let StringMap(mut config) = request.read()?;
    let name = path.name().to_owned();
    put_name(&mut config, &name)?;
    let answer = app.ask(Command::PutConfig { name: name.clone(), config }, request).await?;
    connector_answer(&base, &name, answer)
}

async fn patch_config(State(app): State<App>, path: Segments, base: Base, request: Incoming) -> RestResult {
    let name = path.name().to_owned();
    let Some(StringMap(patch)) = request.read_or_null()? else {
        // Whether there is such a connector comes first.
        app.connector(&name).await?;
        return Err(null_body());
    };
    let answer = app.ask(Command::PatchConfig { name: name.clone(), patch }, request).await?;
    connector_answer(&base, &name, answer)
}

/// A configuration carries its connector's name; another one is refused.
fn put_name(config: &mut Props, name: &str) -> RestResult<()> {
    match config.get("name") {
        // A null counts as none.
        None | Some(None) => {
            config.insert("name".to_owned(), Some(name.to_owned()));
            Ok(())
        }
        Some(Some(given)) if given == name => Ok(()),
        Some(Some(given)) => Err(RestError::bad_request(format!(
            "Connector name configuration ({given}) doesn't match connector name in the URL ({name})"
        ))),
    }
}

fn connector_answer(base: &Base, name: &str, answer: Answer) -> RestResult {
    match answer {
        Answer::Here(Reply::Created(info)) => {
            let body = Json(ConnectorInfo::from(&info));
            Ok((StatusCode::CREATED, [(LOCATION, location(base, "connectors", name)?)], body).into_response())
        }
        Answer::Here(Reply::Updated(info)) => Ok(Json(ConnectorInfo::from(&info)).into_response()),
        Answer::Here(_) => Err(RestError::internal("the herder gave no connector back")),
        Answer::Elsewhere(mut response) => {
            if response.headers().contains_key(LOCATION) {
                response.headers_mut().insert(LOCATION, location(base, "connectors", name)?);
            }
            Ok(response)
        }
    }
}

/// Protocol and host that the client asked.
pub(super) struct Base(String);

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        // What the listener speaks.
        let scheme = parts.extensions.get::<Scheme>().copied().unwrap_or(Scheme::Http);
        Ok(Self(format!("{scheme}://{host}")))
    }
}

/// The absolute URL of a connector or job under the host that the client asked.
pub(super) fn location(Base(base): &Base, kind: &str, name: &str) -> RestResult<HeaderValue> {
    let mut url = format!("{base}/{kind}/");
    for (at, piece) in name.split('%').enumerate() {
        let escape = piece.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        url.push_str(match (at, escape) {
            (0, _) => "",
            (_, true) => "%",
            (_, false) => "%25",
        });
        url.extend(utf8_percent_encode(piece, PATH));
    }
    HeaderValue::from_str(&url).map_err(|_| RestError::bad_request("Illegal Host header"))
}

async fn info(State(app): State<App>, path: Segments) -> RestResult {
    Ok(Json(ConnectorInfo::from(&app.connector(path.name()).await?.info)).into_response())
}

async fn config(State(app): State<App>, path: Segments) -> RestResult {
    Ok(Json(&app.connector(path.name()).await?.info.config).into_response())
}

async fn status(State(app): State<App>, path: Segments) -> RestResult {
    let missing = || RestError::not_found(format!("No status found for connector {}", path.name()));
    let connector = app.known(path.name()).await?.ok_or_else(missing)?;
    let status = connector.status.as_ref().ok_or_else(missing)?;
    Ok(Json(ConnectorStatus::from(status)).into_response())
}

async fn delete(State(app): State<App>, path: Segments, request: Incoming) -> RestResult {
    app.done(Command::Delete { name: path.name().to_owned() }, request, StatusCode::NO_CONTENT).await
}
