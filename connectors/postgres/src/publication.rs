//! The publication: made or adapted, and dropped by whom it was made for.
//!
//! Others may have, or come to use, a publication of the same name: that is no matter of our configurations alone. One that is
//! made here therefore carries a comment with the connector's name, and is dropped only for that connector. One without a
//! comment may be from before there were comments.

use connect_api::{Error, ErrorKind};

use crate::error::forbidden;
use crate::settings::{PublicationMode, Settings};
use crate::slot::captured;
use crate::wire::{Wire, identifier, literal};

/// The comment on a publication that was made for a connector.
fn signature(connector: &str) -> String {
    format!("tidegate: made for connector {connector}")
}

/// Says on a publication that was made just now for whom. One without a signature works as well.
async fn sign(sql: &mut Wire, settings: &Settings, connector: &str) {
    let name = identifier(&settings.publication);
    let comment = format!("COMMENT ON PUBLICATION {name} IS {}", literal(&signature(connector)));
    if let Err(error) = sql.query(&comment).await {
        tracing::warn!(publication = %settings.publication, %error, "the publication does not say for whom it was made");
    }
}

/// Whether a publication with this comment may be dropped for a connector.
fn may_drop(comment: Option<&str>, connector: Option<&str>) -> bool {
    match comment {
        None => true,
        Some(comment) => connector.is_some_and(|connector| comment == signature(connector)),
    }
}

/// Drops the publication, when it is there and was not made by, or for, somebody else.
pub async fn drop_own(sql: &mut Wire, settings: &Settings, connector: Option<&str>) -> Result<(), Error> {
    let name = identifier(&settings.publication);
    let what = format!("drop publication {name}");
    let find = format!(
        "SELECT obj_description(oid, 'pg_publication') FROM pg_catalog.pg_publication WHERE pubname = {}",
        literal(&settings.publication)
    );
    let rows = sql.query(&find).await.map_err(|e| e.failed_to(&what))?;
    let Some(row) = rows.first() else { return Ok(()) };
    let comment = row.first().and_then(Option::as_deref);
    if !may_drop(comment, connector) {
        tracing::warn!(publication = %settings.publication, comment, "the publication was not made for this connector: it stays");
        return Ok(());
    }
    let grant = || format!("drop it as its owner: DROP PUBLICATION {name}");
    sql.query(&format!("DROP PUBLICATION IF EXISTS {name}")).await.map_err(|e| forbidden(e, &what, grant))?;
    tracing::info!(publication = %settings.publication, "publication dropped");
    Ok(())
}

/// Makes or adapts the publication, as `publication.autocreate.mode` says.
pub async fn ensure(sql: &mut Wire, settings: &Settings, connector: &str) -> Result<(), Error> {
    let name = &settings.publication;
    let rows = sql
        .query(&format!("SELECT puballtables FROM pg_catalog.pg_publication WHERE pubname = {}", literal(name)))
        .await
        .map_err(|e| e.failed_to("look for the publication"))?;
    let existing = rows.first().map(|row| row.first().and_then(Option::as_deref) == Some("t"));
    let via_root = if settings.publish_via_root { " WITH (publish_via_partition_root = true)" } else { "" };
    let quoted = identifier(name);
    let statement = match (settings.publication_mode, existing) {
        (PublicationMode::Disabled, None) => {
            return Err(Error::new(
                ErrorKind::NotFound,
                "Publication autocreation is disabled, please create one and restart the connector.",
            )
            .class("org.apache.kafka.connect.errors.ConnectException")
            .hint(format!("CREATE PUBLICATION {quoted} FOR TABLE ...; or change publication.autocreate.mode")));
        }
        (PublicationMode::Disabled | PublicationMode::NoTables, Some(_)) | (PublicationMode::AllTables, Some(_)) => {
            return Ok(());
        }
        (PublicationMode::Filtered, Some(true)) => {
            return Err(Error::config(format!(
                "Publication {quoted} is of all tables, so that it can't be narrowed to the captured ones"
            ))
            .class("org.apache.kafka.connect.errors.ConnectException")
            .hint("use another publication.name, or publication.autocreate.mode=disabled"));
        }
        (PublicationMode::AllTables, None) => format!("CREATE PUBLICATION {quoted} FOR ALL TABLES{via_root}"),
        (PublicationMode::NoTables, None) => format!("CREATE PUBLICATION {quoted}{via_root}"),
        (PublicationMode::Filtered, existing) => {
            let tables = filtered_tables(sql, settings).await?;
            match existing {
                None => format!("CREATE PUBLICATION {quoted} FOR TABLE {tables}{via_root}"),
                Some(_) => format!("ALTER PUBLICATION {quoted} SET TABLE {tables}"),
            }
        }
    };
    let what = format!("create or alter publication {quoted}");
    sql.query(&statement).await.map_err(|e| forbidden(e, &what, || may_publish(settings)))?;
    tracing::info!(publication = %name, "publication is in place");
    if existing.is_none() {
        sign(sql, settings, connector).await;
    }
    Ok(())
}

/// How to let the role make the publication.
fn may_publish(settings: &Settings) -> String {
    let (role, database) = (identifier(&settings.server.user), identifier(&settings.server.database));
    let name = identifier(&settings.publication);
    format!(
        "GRANT CREATE ON DATABASE {database} TO {role} and make it an owner of the tables, or create the publication {name} \
         as their owner and set publication.autocreate.mode=disabled"
    )
}

/// The list of tables of a filtered publication. A partitioned table and its partitions may both be in it.
async fn filtered_tables(sql: &mut Wire, settings: &Settings) -> Result<String, Error> {
    let tables = captured(sql, settings).await?;
    let mut list = String::new();
    for table in &tables {
        let separator = if list.is_empty() { "" } else { ", " };
        list.push_str(&format!("{separator}{}.{}", identifier(&table.name.schema), identifier(&table.name.table)));
    }
    if list.is_empty() {
        let name = &settings.publication;
        return Err(Error::config(format!("Unable to create filtered publication {name} for : no table is captured"))
            .class("org.apache.kafka.connect.errors.ConnectException")
            .hint("check table.include.list, schema.include.list and their counterparts"));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_dropped_for_the_connector_it_was_made_for_or_when_it_does_not_say() {
        let ours = "tidegate: made for connector shop";
        for (comment, connector, dropped) in [
            (None, Some("shop"), true),
            (None, None, true),
            (Some(ours), Some("shop"), true),
            (Some(ours), Some("shop2"), false),
            (Some(ours), None, false),
            (Some("tidegate: made for connector shop2"), Some("shop"), false),
            (Some("of the warehouse, do not touch"), Some("shop"), false),
        ] {
            assert_eq!(may_drop(comment, connector), dropped, "{comment:?} {connector:?}");
        }
    }
}
