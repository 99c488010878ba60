//! Why a unit ended by itself: what people and the recovery need of an error, told apart by kind and never by text.

use connect_api::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::brief::brief;

/// Who can cure a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cure {
    /// The way to a system, or its answer, failed: trying again at once may do.
    Network,
    /// It passes by itself: a server that starts, a lock, too many connections.
    Time,
    /// Somebody has to do something.
    Person,
}

impl Cure {
    /// The name that the job API shows as `recovery.kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Time => "transient",
            Self::Person => "persistent",
        }
    }

    /// Of a kind of error.
    pub const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout => Self::Network,
            // Trying at once would meet the same.
            ErrorKind::NotReady | ErrorKind::Conflict => Self::Time,
            ErrorKind::Config
            | ErrorKind::Auth
            | ErrorKind::Data
            | ErrorKind::Schema
            | ErrorKind::PositionLost
            | ErrorKind::NotFound
            | ErrorKind::Forbidden
            | ErrorKind::Bug => Self::Person,
        }
    }
}

/// A failure of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable name ([`ErrorKind::code`]).
    pub code: String,
    /// What happened and where, in one sentence.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
    pub cure: Cure,
}

impl From<&Error> for Failure {
    /// What went wrong first decides: the worker wraps errors of connectors and clients in its own.
    fn from(error: &Error) -> Self {
        let root = error.root();
        let message = match root.message() {
            "" => root.to_java_text(),
            text => text.to_owned(),
        };
        let remedy = root.remedy().or_else(|| error.remedy()).map(|remedy| brief(remedy.to_owned()));
        // It is told to other workers, and kept.
        Self { code: root.kind().code().to_owned(), message: brief(message), remedy, cure: Cure::of(root.kind()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_first_decides() {
        let inner = Error::new(ErrorKind::Unavailable, "failed to connect to db:5432").hint("check that it is up");
        let wrapped = Error::connect("Unrecoverable exception").caused_by(inner);
        let failure = Failure::from(&wrapped);
        assert_eq!((failure.code.as_str(), failure.cure), ("unavailable", Cure::Network));
        assert_eq!(failure.message, "failed to connect to db:5432");
        assert_eq!(failure.remedy.as_deref(), Some("check that it is up"));
    }

    #[test]
    fn an_error_without_a_message_is_told_by_its_class() {
        let failure = Failure::from(&Error::new(ErrorKind::Bug, "").class("com.acme.Broken"));
        assert_eq!((failure.message.as_str(), failure.cure), ("com.acme.Broken", Cure::Person));
    }
}
