//! Errors of the server and the connection, under the names that the JVM's driver gives them.

use bson::{Bson, Document};
use connect_api::{Error, ErrorKind};

use crate::doc::render;
use crate::kinds::{self, kind_of, retryable_code};

/// A unique index refuses a value that it has.
const DUPLICATE_KEY: i32 = 11000;

/// An error of a single statement.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteError {
    /// Place in the batch.
    pub index: usize,
    pub code: i32,
    pub message: String,
    pub details: Document,
    /// There is a document of this `_id` already.
    pub id_taken: bool,
}

impl WriteError {
    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        kind_of(self.code, |_| false)
    }

    /// For the dead letter queue (`WriteException`).
    pub fn rejection(&self) -> Error {
        let details = render::json(&self.details);
        Error::data(format!("v=1, code={}, message={}, details={details}", self.code, self.message))
            .class("com.mongodb.kafka.connect.sink.dlq.WriteException")
    }
}

/// Writes were done, but not as far as the write concern asks.
#[derive(Clone, Debug, PartialEq)]
pub struct ConcernError {
    pub code: i32,
    pub code_name: String,
    pub message: String,
    pub details: Document,
    pub labels: Vec<String>,
}

impl ConcernError {
    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        kind_of(self.code, |label| self.labels.iter().any(|own| own == label))
    }

    /// For the dead letter queue (`WriteConcernException`).
    pub fn rejection(&self) -> Error {
        let details = render::json(&self.details);
        Error::data(format!(
            "v=1, code={}, codeName={}, message={}, details={details}",
            self.code, self.code_name, self.message
        ))
        .class("com.mongodb.kafka.connect.sink.dlq.WriteConcernException")
    }
}

/// The record was not tried, because one before it failed. The JVM's exception has no message.
pub fn skipped() -> Error {
    Error::data("").class("com.mongodb.kafka.connect.sink.dlq.WriteSkippedException")
}

/// What went wrong with a batch.
#[derive(Debug)]
pub enum Failure {
    /// The server answered for single statements, or for the write concern.
    Bulk { errors: Vec<WriteError>, concern: Option<Box<ConcernError>> },
    /// A command was done, and not confirmed in time as far as the write concern asks: asked again, it may be.
    Unconfirmed(Box<ConcernError>),
    /// A statement can't be sent. Places are those in the batch.
    Statement { index: usize, error: Error },
    /// The command or the connection failed.
    Whole(Error),
}

impl Failure {
    /// True when what is left of the batch may be written later without anyone's help.
    pub fn passes(&self) -> bool {
        match self {
            Self::Whole(error) => error.kind().retriable(),
            Self::Unconfirmed(_) => true,
            Self::Statement { .. } => false,
            // What the server did and could not confirm is reported.
            Self::Bulk { errors, concern } => concern.is_none() && errors.iter().any(|error| error.kind().retriable()),
        }
    }

    /// The error as the JVM's driver throws it.
    pub fn into_error(self, server: &str) -> Error {
        match self {
            Self::Whole(error) | Self::Statement { error, .. } => error,
            Self::Bulk { errors, concern } => bulk_error(&errors, concern.as_deref(), server),
            Self::Unconfirmed(concern) => bulk_error(&[], Some(&concern), server),
        }
    }
}

fn bulk_error(errors: &[WriteError], concern: Option<&ConcernError>, server: &str) -> Error {
    let mut message = format!("Bulk write operation error on server {server}. ");
    if !errors.is_empty() {
        let texts: Vec<_> = errors
            .iter()
            .map(|error| {
                format!(
                    "BulkWriteError{{index={}, code={}, message='{}', details={}}}",
                    error.index,
                    error.code,
                    error.message,
                    render::json(&error.details)
                )
            })
            .collect();
        message.push_str(&format!("Write errors: [{}]. ", texts.join(", ")));
    }
    if let Some(concern) = concern {
        message.push_str(&format!(
            "Write concern error: WriteConcernError{{code={}, codeName='{}', message='{}', details={}, errorLabels=[{}]}}. ",
            concern.code,
            concern.code_name,
            concern.message,
            render::json(&concern.details),
            concern.labels.join(", ")
        ));
    }
    // The first of them decides what can be done.
    let kind = match (errors.first(), concern) {
        (Some(error), _) => kind_of(error.code, |_| false),
        (None, Some(concern)) => concern.kind(),
        (None, None) => ErrorKind::Data,
    };
    kinds::advised(Error::new(kind, message).class("com.mongodb.MongoBulkWriteException"))
}

/// What a reply says of single statements.
pub fn read_reply(reply: &Document, indexes: &[usize]) -> (Vec<WriteError>, Option<ConcernError>) {
    let mut errors = Vec::new();
    for error in reply.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
        let place = int(error.get("index")).and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
        let code = int(error.get("code")).unwrap_or(0);
        let of_ids = |keys: &Document| keys.len() == 1 && keys.contains_key("_id");
        errors.push(WriteError {
            index: indexes.get(place).copied().unwrap_or(place),
            code,
            message: error.get_str("errmsg").unwrap_or_default().to_owned(),
            details: error.get_document("errInfo").cloned().unwrap_or_default(),
            id_taken: code == DUPLICATE_KEY && error.get_document("keyPattern").is_ok_and(of_ids),
        });
    }
    let concern = reply.get_document("writeConcernError").ok().map(|error| ConcernError {
        code: int(error.get("code")).unwrap_or(0),
        code_name: error.get_str("codeName").unwrap_or_default().to_owned(),
        message: error.get_str("errmsg").unwrap_or_default().to_owned(),
        details: error.get_document("errInfo").cloned().unwrap_or_default(),
        labels: labels(reply),
    });
    (errors, concern)
}

fn labels(reply: &Document) -> Vec<String> {
    let labels = reply.get_array("errorLabels").into_iter().flatten();
    labels.filter_map(|label| label.as_str().map(str::to_owned)).collect()
}

fn int(value: Option<&Bson>) -> Option<i32> {
    match value? {
        Bson::Int32(n) => Some(*n),
        Bson::Int64(n) => i32::try_from(*n).ok(),
        // Codes are whole numbers, also where a server sends them as doubles.
        #[allow(clippy::cast_possible_truncation)]
        Bson::Double(n) => Some(*n as i32),
        _ => None,
    }
}

/// True when the driver would try the write once more.
pub fn retryable(error: &mongodb::error::Error) -> bool {
    use mongodb::error::ErrorKind as Kind;
    if error.contains_label("RetryableWriteError") {
        return true;
    }
    match &*error.kind {
        Kind::Io(_) | Kind::ConnectionPoolCleared { .. } => true,
        Kind::Command(command) => retryable_code(command.code),
        _ => false,
    }
}

/// An error of the driver under its JVM name.
pub fn driver_error(error: mongodb::error::Error, server: &str) -> Failure {
    use mongodb::error::ErrorKind as Kind;
    let (class, message) = match &*error.kind {
        Kind::Command(command) => {
            let code = command.code;
            let full = error
                .server_response()
                .and_then(|raw| Document::try_from(raw).ok())
                .map(|document| render::json(&document))
                .unwrap_or_default();
            let name = if command.code_name.is_empty() { String::new() } else { format!(" ({})", command.code_name) };
            let message = format!(
                "Command failed with error {code}{name}: '{}' on server {server}. The full response is {full}",
                command.message
            );
            (kinds::command_class(code), message)
        }
        other => (kinds::driver_class(other), error.kind.to_string()),
    };
    tracing::debug!(error = %error, class, "the server or the connection failed");
    Failure::Whole(kinds::advised(Error::new(kinds::of_driver(&error), message).class(class)))
}
