//! Change-data handlers (`change.data.capture.handler`): from change events to statements.

pub mod change_stream;
pub mod debezium_mongodb;
pub mod qlik;
pub mod rdbms;

use connect_api::Error;

use crate::doc::{Side, Types, Unavailable, Writer};
use crate::statement::Statement;

/// What is done beyond what the JVM's connector does; nothing unless asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Debezium's types are converted.
    pub types: Option<&'a Types>,
    /// Values that were not read stay as they are stored.
    pub keep: Option<&'a Unavailable>,
}

/// The handlers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Debezium's relational sources; Postgres and MySQL behave alike.
    Rdbms,
    /// Debezium's MongoDB source in its old format.
    DebeziumOplog,
    /// Debezium's MongoDB source on change streams.
    DebeziumChangeStream,
    /// Change streams as MongoDB's own source publishes them.
    ChangeStream,
    /// Qlik Replicate (formerly Attunity).
    Qlik,
}

impl Handler {
    /// The fields at the top level of an event that are looked at, when they are all there: without an operation, others are.
    pub fn value_fields(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Rdbms => Some(&["op", "before", "after"]),
            _ => None,
        }
    }

    /// Writes what an event asks for; `None` when it asks for nothing.
    pub fn handle(
        self,
        key: &Side<'_>,
        value: &Side<'_>,
        extras: Extras<'_>,
        w: &mut Writer,
    ) -> Result<Option<Statement>, Error> {
        let model = match self {
            Self::Rdbms => return rdbms::handle(key, value, extras, w),
            Self::DebeziumOplog => debezium_mongodb::handle(key, value, debezium_mongodb::Format::Oplog)?,
            Self::DebeziumChangeStream => debezium_mongodb::handle(key, value, debezium_mongodb::Format::ChangeStream)?,
            Self::ChangeStream => change_stream::handle(value)?,
            Self::Qlik => qlik::handle(key, value)?,
        };
        model.map(|model| model.write(w)).transpose()
    }
}

/// An error in the frame of another of the same class, as `new DataException(cause)` makes it.
fn wrapped(error: Error) -> Error {
    Error::data(format!("{}: {}", error.java_class(), error.message())).caused_by(error)
}
