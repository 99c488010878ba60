//! Servers in recovery: the other one of a pair, met while the roles change, or before a name points to the new primary.
//!
//! A slot that is not on a standby is not lost: it is on the primary. What a standby refuses for being one passes with its
//! promotion, or when the name leads to the primary again. A slot that somebody made on the standby itself (Postgres 16 and
//! later) is read like any other.

use connect_api::{Error, ErrorKind};

use crate::error::{PgError, sqlstate_of};
use crate::settings::{Server, Settings};
use crate::slot::{self, SlotState};
use crate::wire::Wire;

const REMEDY: &str = "wait for its promotion, or let database.hostname name the primary, which may be one of a list; to read \
                      from a standby (Postgres 16 and later) make the slot there first";

/// Whether the server is in recovery.
pub async fn is_standby(sql: &mut Wire) -> Result<bool, PgError> {
    let rows = sql.query("SELECT pg_is_in_recovery()").await?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) == Some("t"))
}

/// Whether a slot, as a standby has it, is one to be read there. A copy of the primary's is not, before the promotion.
fn is_own(slot: Option<&SlotState>) -> bool {
    slot.is_some_and(|state| !state.synced)
}

/// The error that waits for the primary.
pub fn waits(server: &Server) -> Error {
    waits_because(server, None)
}

fn waits_because(server: &Server, refused: Option<&str>) -> Error {
    let why = refused.map(|why| format!(": {why}")).unwrap_or_default();
    let message = format!("{} is a standby (in recovery); waiting for the primary{why}", server.address());
    Error::new(ErrorKind::Unavailable, message).hint(REMEDY)
}

/// Refuses a standby, unless the slot is one that was made there.
pub async fn refuse_without_slot(sql: &mut Wire, settings: &Settings) -> Result<(), Error> {
    const WHAT: &str = "look for the slot on the standby";
    let slot = slot::state(sql, &settings.slot).await.map_err(|e| e.failed_to(WHAT))?;
    missing(slot.as_ref(), &settings.server).map_or(Ok(()), Err)
}

/// What a slot that is not there, or can't be used, says on a standby; `None` when it is one of its own.
pub fn missing(slot: Option<&SlotState>, server: &Server) -> Option<Error> {
    (!is_own(slot)).then(|| waits(server))
}

/// An error of a session with a standby: what it refuses because it is one, says so. The refusal itself stays in the words,
/// not as a cause: what can be done is told by the innermost error, and these are no errors of the configuration.
pub fn explained(error: Error, server: &Server) -> Error {
    // Not supported while in recovery; not allowed in a transaction that only reads.
    let refused = matches!(sqlstate_of(&error), Some("0A000" | "25006"));
    if refused { waits_because(server, Some(error.message())) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DbError;

    fn server() -> Server {
        let props =
            [("topic.prefix", "p"), ("database.hostname", "db"), ("database.user", "u"), ("database.dbname", "d")];
        let props = props.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        Settings::parse(&props).expect("valid settings").server
    }

    fn slot(synced: bool) -> SlotState {
        SlotState {
            plugin: "pgoutput".to_owned(),
            database: "d".to_owned(),
            active: false,
            restart_lsn: Some(1),
            confirmed_lsn: Some(1),
            lost: false,
            synced,
            failover: synced,
        }
    }

    #[test]
    fn a_slot_that_is_not_on_a_standby_waits_for_the_primary_and_one_of_its_own_does_not() {
        for not_own in [None, Some(slot(true))] {
            let error = missing(not_own.as_ref(), &server()).expect("it waits");
            assert_eq!(error.message(), "db:5432 is a standby (in recovery); waiting for the primary");
            assert!(error.kind().retriable() && error.remedy().is_some_and(|text| text.contains("promotion")));
        }
        assert!(missing(Some(&slot(false)), &server()).is_none());
    }

    #[test]
    fn what_a_standby_refuses_for_being_one_passes_and_the_rest_stays_as_it_is() {
        let refused = |sqlstate: &str| {
            let error = DbError { sqlstate: sqlstate.to_owned(), message: "no".to_owned(), ..DbError::default() };
            explained(PgError::Db(error).failed_to("make it"), &server())
        };
        for sqlstate in ["0A000", "25006"] {
            let error = refused(sqlstate);
            assert_eq!(error.root().kind(), ErrorKind::Unavailable, "{sqlstate}");
            assert!(error.message().contains("waiting for the primary: failed to make it"), "{error}");
        }
        assert_eq!(refused("28P01").kind(), ErrorKind::Auth);
    }
}
