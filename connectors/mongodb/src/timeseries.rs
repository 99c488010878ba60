//! Time series collections: made when they are missing (`TimeseriesValidation`).

use bson::{Bson, Document, doc};
use connect_api::{Error, ErrorKind};
use mongodb::Client;
use mongodb::error::ErrorKind as DriverErrorKind;

use crate::kinds;
use crate::namespace::Namespace;
use crate::topic::Timeseries;

const NAMESPACE_EXISTS: i32 = 48;
const UNAUTHORIZED: i32 = 13;

/// Makes the collection unless it is there; an ordinary one of the name is an error.
pub async fn ensure(client: &Client, namespace: &Namespace, timeseries: &Timeseries) -> Result<(), Error> {
    let database = client.database(&namespace.database);
    let existing = || {
        Error::config(format!(
            "A collection already exists for: `{}` that is not a timeseries collection.",
            namespace.full_name()
        ))
    };
    let stats = collection_stats(client, namespace).await.map_err(|error| refused(namespace, &error))?;
    if stats.contains_key("timeseries") {
        return Ok(());
    }
    if count(stats.get("nindexes")) > 0 {
        return Err(existing());
    }
    match database.run_command(create_command(namespace, timeseries)).await {
        Ok(_) => Ok(()),
        Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => {
            let stats = collection_stats(client, namespace).await.map_err(|error| refused(namespace, &error))?;
            if stats.contains_key("timeseries") { Ok(()) } else { Err(existing()) }
        }
        Err(error) => Err(refused(namespace, &error)),
    }
}

async fn collection_stats(client: &Client, namespace: &Namespace) -> mongodb::error::Result<Document> {
    client.database(&namespace.database).run_command(doc! { "collStats": &namespace.collection }).await
}

fn create_command(namespace: &Namespace, timeseries: &Timeseries) -> Document {
    let mut options = doc! { "timeField": &timeseries.time_field };
    if let Some(meta) = &timeseries.meta_field {
        options.insert("metaField", meta);
    }
    if let Some(granularity) = &timeseries.granularity {
        options.insert("granularity", granularity);
    }
    let mut command = doc! { "create": &namespace.collection, "timeseries": options };
    if timeseries.expire_after_seconds > 0 {
        command.insert("expireAfterSeconds", timeseries.expire_after_seconds);
    }
    command
}

fn count(value: Option<&Bson>) -> i64 {
    match value {
        Some(Bson::Int32(n)) => (*n).into(),
        Some(Bson::Int64(n)) => *n,
        // Counts are whole numbers, also where a server sends them as doubles.
        #[allow(clippy::cast_possible_truncation)]
        Some(Bson::Double(n)) => *n as i64,
        _ => 0,
    }
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        DriverErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

fn refused(namespace: &Namespace, error: &mongodb::error::Error) -> Error {
    let name = namespace.full_name();
    let why = &error.kind;
    let refused = Error::config(if code(error) == Some(UNAUTHORIZED) {
        format!(
            "Failed to create collection for: `{name}`. Unauthorized, user does not have the correct permissions to \
             check for and create the collection. {why}"
        )
    } else {
        format!("Failed to create collection for: `{name}`. {why}")
    });
    match kinds::of_driver(error) {
        ErrorKind::Data => refused,
        // To the task it is a wrong configuration, as on the JVM; whether it passes is told by the cause.
        kind => {
            refused.caused_by(kinds::advised(Error::new(kind, format!("failed to look for collection {name}: {why}"))))
        }
    }
}
