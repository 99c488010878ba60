//! Checks against the running server (`ConnectionValidator`): can it be reached, may the user write.

use std::time::Duration;

use bson::{Bson, Document, doc};
use connect_config::{Props, Validated};
use mongodb::Client;
use mongodb::options::ClientOptions;

use crate::client::{options, within};
use crate::namespace::Mapper;
use crate::settings::SinkConfig;
use crate::timeseries;
use crate::topic::Plan;

/// How long a connection may take when the connection string does not say: the drivers' own default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What the JVM's check waits beyond the connection's own time-out.
const GRACE: Duration = Duration::from_millis(500);
/// How long one question about rights may take.
const RIGHTS_TIMEOUT: Duration = Duration::from_secs(10);
/// What a user of the sink must be allowed.
const ACTIONS: [&str; 3] = ["insert", "remove", "update"];

/// Adds what a running server has to say. Bounded in time; everything that is wrong with the connection stands at
/// `connection.uri`.
pub async fn check(config: &SinkConfig, props: &Props, validated: &mut Validated) {
    const URI: &str = "connection.uri";
    let options = match options(config).await {
        Ok(options) => options,
        Err(error) => return validated.add_error(URI, error.message().to_owned()),
    };
    let Some(client) = connect(options.clone()).await else {
        return validated.add_error(URI, "Unable to connect to the server.");
    };
    for topic in &config.topics {
        let topic_props = crate::topic::properties(topic, props);
        let Ok(topic_config) = SinkConfig::parse(&topic_props) else { continue };
        if let Some(source) = auth_source(&options) {
            check_rights(&client, &source, &topic_config, validated).await;
        }
        check_timeseries(&client, topic, &topic_config, &topic_props, validated).await;
    }
    client.shutdown().await;
}

/// A client, when the deployment answers in time.
async fn connect(mut options: ClientOptions) -> Option<Client> {
    let limit = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT) + GRACE;
    // The check ends with the connection's time-out; the driver would go on looking for servers for long.
    options.server_selection_timeout = Some(limit);
    let client = Client::with_options(options).ok()?;
    let reply = within(limit, client.database("admin").run_command(doc! { "hello": 1 })).await;
    match reply {
        // Refused credentials are not a matter of the connection: the check of rights reports them.
        Some(Ok(_)) => Some(client),
        Some(Err(error)) if matches!(&*error.kind, mongodb::error::ErrorKind::Authentication { .. }) => Some(client),
        _ => None,
    }
}

fn auth_source(options: &ClientOptions) -> Option<String> {
    let credential = options.credential.as_ref()?;
    Some(credential.source.clone().unwrap_or_else(|| "admin".to_owned()))
}

async fn check_rights(client: &Client, source: &str, config: &SinkConfig, validated: &mut Validated) {
    let status = doc! { "connectionStatus": 1, "showPrivileges": true };
    let reply = match within(RIGHTS_TIMEOUT, client.database(source).run_command(status)).await {
        Some(Ok(reply)) => reply,
        Some(Err(error)) if matches!(&*error.kind, mongodb::error::ErrorKind::Authentication { .. }) => {
            let message = format!("Invalid user permissions authentication failed. {}", error.kind);
            return validated.add_error("connection.uri", message);
        }
        other => {
            let error = other.and_then(Result::err).map(|error| error.kind.to_string());
            tracing::warn!(error = error.as_deref().unwrap_or("no answer in time"), "the user's rights are unknown");
            return;
        }
    };
    let info = reply.get_document("authInfo").cloned().unwrap_or_default();
    let mut missing: Vec<&str> = ACTIONS.to_vec();
    remove_allowed(&mut missing, documents(&info, "authenticatedUserPrivileges"), source, config);
    for role in documents(&info, "authenticatedUserRoles") {
        if missing.is_empty() {
            return;
        }
        let (Ok(name), Ok(database)) = (role.get_str("role"), role.get_str("db")) else { continue };
        let question = doc! { "rolesInfo": name, "showPrivileges": true, "showBuiltinRoles": true };
        let Some(Ok(reply)) = within(RIGHTS_TIMEOUT, client.database(database).run_command(question)).await else {
            continue;
        };
        for role in documents(&reply, "roles") {
            remove_allowed(&mut missing, documents(role, "inheritedPrivileges"), source, config);
        }
    }
    if !missing.is_empty() {
        validated.add_error(
            "connection.uri",
            format!("Invalid user permissions. Missing the following action permissions: {}", missing.join(", ")),
        );
    }
}

fn documents<'a>(document: &'a Document, name: &str) -> impl Iterator<Item = &'a Document> {
    document.get_array(name).into_iter().flatten().filter_map(Bson::as_document)
}

/// Takes from `missing` what the privileges allow in the collection that is written to.
fn remove_allowed<'a>(
    missing: &mut Vec<&str>,
    privileges: impl Iterator<Item = &'a Document>,
    source: &str,
    config: &SinkConfig,
) {
    for privilege in privileges {
        let Ok(resource) = privilege.get_document("resource") else { continue };
        let here = if resource.get_bool("cluster").unwrap_or(false) {
            true
        } else if let (Ok(database), Ok(collection)) = (resource.get_str("db"), resource.get_str("collection")) {
            let same = collection.is_empty() || collection == config.collection;
            (database.is_empty() && same)
                || (database == source && collection.is_empty())
                || (database == config.database && same)
        } else {
            false
        };
        if here {
            let actions: Vec<_> =
                privilege.get_array("actions").into_iter().flatten().filter_map(Bson::as_str).collect();
            missing.retain(|action| !actions.contains(action));
        }
    }
}

/// A time series needs its time field, and a collection of its kind.
async fn check_timeseries(client: &Client, topic: &str, config: &SinkConfig, props: &Props, validated: &mut Validated) {
    if config.timeseries_timefield.trim().is_empty() {
        let missing = "Missing timeseries configuration: `timeseries.timefield`";
        if !config.timeseries_metafield.is_empty() {
            validated.add_error("timeseries.metafield", missing);
        }
        if config.timeseries_expire_after_seconds != 0 {
            validated.add_error("timeseries.expire.after.seconds", missing);
        }
        if !config.timeseries_granularity.is_empty() {
            validated.add_error("timeseries.granularity", missing);
        }
        return;
    }
    if validated.error_count() > 0 {
        return;
    }
    let Ok(plan) = Plan::from_config(topic, config, props) else { return };
    if let (Mapper::Fixed(namespace), Some(wanted)) = (&plan.mapper, &plan.timeseries)
        && let Err(error) = timeseries::ensure(client, namespace, wanted).await
    {
        validated.add_error("timeseries.timefield", error.message().to_owned());
    }
}
