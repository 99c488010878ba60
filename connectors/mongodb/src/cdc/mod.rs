//! Change-data handlers (`change.data.capture.handler`): from change events to statements.

pub mod change_stream;
pub mod debezium_mongodb;
pub mod qlik;
pub mod rdbms;

use connect_api::Error;

use crate::doc::{Side, Writer};
use crate::statement::Statement;

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
    /// Writes what an event asks for; `None` when it asks for nothing.
    pub fn handle(self, key: &Side<'_>, value: &Side<'_>, w: &mut Writer) -> Result<Option<Statement>, Error> {
        let model = match self {
            Self::Rdbms => return rdbms::handle(key, value, w),
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
