//! What can go wrong with the registry, and how a converter tells it: in the words and classes of the JVM's.

use connect_api::{Error, ErrorKind};

pub(crate) const SERIALIZATION: &str = "org.apache.kafka.common.errors.SerializationException";
pub(crate) const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
const REST_CLIENT: &str = "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException";
const DATA: &str = "org.apache.kafka.connect.errors.DataException";
const RETRIABLE: &str = "org.apache.kafka.connect.errors.RetriableException";
const TIMEOUT: &str = "org.apache.kafka.common.errors.TimeoutException";

const NOT_FOUND: u16 = 404;
/// The registry's codes for a subject, a version and a schema that it does not have.
const ABSENT: [i64; 3] = [40401, 40402, 40403];

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// No connection, or a broken one.
    Network,
    /// A connection, but no answer in time.
    Timeout,
    /// An answer with this status.
    Status(u16),
    /// Anything that asking again does not change.
    Other,
}

/// A request that failed. Its error names the registry's address without credentials, and says what the registry said.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) why: Why,
    pub(crate) error: Error,
    /// What the registry said, when it was that it does not have what was asked for.
    pub(crate) absence: Option<Box<Absence>>,
}

/// The code and the words of a registry that does not have a subject, a version or a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Absence {
    code: i64,
    message: String,
}

/// How many characters are remembered of what the registry said.
const REMEMBERED_MAX: usize = 1_000;

impl Absence {
    /// What is remembered of it: an answer may be as long as it likes.
    pub(crate) fn shortened(&self) -> Self {
        let message = match self.message.char_indices().nth(REMEMBERED_MAX) {
            Some((end, _)) => format!("{}...", &self.message[..end]),
            None => self.message.clone(),
        };
        Self { code: self.code, message }
    }
}

impl From<Absence> for Failure {
    fn from(absence: Absence) -> Self {
        Self::answer(NOT_FOUND, absence.code, &absence.message)
    }
}

impl Failure {
    /// A failure without an answer, or with one that makes no sense.
    pub(crate) fn new(why: Why, error: Error) -> Self {
        Self { why, error, absence: None }
    }

    /// A failure that has nothing to do with the network.
    pub(crate) fn other(error: Error) -> Self {
        Self::new(Why::Other, error)
    }

    /// An answer that is an error: the registry's own code and words.
    pub(crate) fn answer(status: u16, code: i64, message: &str) -> Self {
        let (kind, hint) = match status {
            401 => (ErrorKind::Auth, "check basic.auth.user.info or bearer.auth.token, and that their source is set"),
            403 => (ErrorKind::Forbidden, "give this user the right to the subject in the registry"),
            NOT_FOUND => (
                ErrorKind::NotFound,
                "the registry does not know this schema or subject: does schema.registry.url lead to the one that the writer \
                 used, and does the subject name strategy fit?",
            ),
            408 | 429 | 500 | 502 | 503 | 504 => {
                (ErrorKind::Unavailable, "look at the registry; the request can be repeated")
            }
            409 => (
                ErrorKind::Schema,
                "make the change compatible, or change the compatibility level of the subject in the registry",
            ),
            _ => (ErrorKind::Schema, "the registry does not take this schema"),
        };
        let error = Error::new(kind, format!("{message}; error code: {code}")).class(REST_CLIENT).hint(hint);
        // A proxy, or another server, has no such code.
        let is_absent = status == NOT_FOUND && ABSENT.contains(&code);
        let absence = is_absent.then(|| Box::new(Absence { code, message: message.to_owned() }));
        Self { why: Why::Status(status), error, absence }
    }

    /// True when another node, or the same one later, may answer.
    pub(crate) fn retriable(&self) -> bool {
        match self.why {
            Why::Network | Why::Timeout => true,
            Why::Status(status) => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Why::Other => false,
        }
    }

    /// What was being done, as the serializers of the registry say it, over what went wrong.
    fn doing(self, action: String) -> (Why, Error) {
        let (class, kind) = match self.why {
            Why::Status(401) => ("org.apache.kafka.common.errors.AuthenticationException", ErrorKind::Auth),
            Why::Status(403) => ("org.apache.kafka.common.errors.AuthorizationException", ErrorKind::Forbidden),
            Why::Status(429) => {
                ("org.apache.kafka.common.errors.ThrottlingQuotaExceededException", ErrorKind::Unavailable)
            }
            Why::Status(502) => ("org.apache.kafka.common.errors.DisconnectException", ErrorKind::Unavailable),
            Why::Timeout | Why::Status(408 | 500 | 503 | 504) => (TIMEOUT, ErrorKind::Timeout),
            Why::Network => (SERIALIZATION, ErrorKind::Unavailable),
            Why::Status(_) | Why::Other => (SERIALIZATION, ErrorKind::Data),
        };
        (self.why, Error::new(kind, action).class(class).caused_by(self.error))
    }
}

/// The words of a converter for failures, where the JVM's say them differently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// What fails when the registry is away or the data are bad; `{}` stands for the topic.
    pub(crate) failed: &'static str,
    /// The same when it may be repeated.
    pub(crate) failed_for_now: &'static str,
    /// The same when there is no connection; a colon and the reason follow.
    pub(crate) no_connection: &'static str,
}

impl Words {
    /// A request that failed, as the converter tells it. `action` says what was asked for.
    pub(crate) fn request(&self, topic: &str, action: String, failure: Failure) -> Error {
        let (why, error) = failure.doing(action);
        match why {
            Why::Network => {
                let reason = error.root().message().to_owned();
                let text = format!("{}: {reason}", self.no_connection.replace("{}", topic));
                Error::new(ErrorKind::Unavailable, text)
                    .class("org.apache.kafka.common.errors.NetworkException")
                    .caused_by(error)
            }
            Why::Timeout | Why::Status(408 | 500 | 503 | 504) => {
                Error::new(ErrorKind::Timeout, self.failed_for_now.replace("{}", topic))
                    .class(RETRIABLE)
                    .caused_by(error)
            }
            // These are no serialization exceptions on the JVM, and pass its converters as they are.
            Why::Status(401 | 403 | 429 | 502) => error,
            Why::Status(_) | Why::Other => self.data(topic, error),
        }
    }

    /// Data that can't be converted, over the reason.
    pub(crate) fn data(&self, topic: &str, cause: Error) -> Error {
        Error::data(self.failed.replace("{}", topic)).class(DATA).caused_by(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words {
        failed: "Failed to serialize Avro data from topic {}:",
        failed_for_now: "Failed to serialize Avro data from topic {} :",
        no_connection: "Network connection error while serializing Avro data for topic {}",
    };

    fn told(failure: Failure) -> Error {
        WORDS.request("t", "Error registering Avro schema for subject t-value".to_owned(), failure)
    }

    #[test]
    fn an_incompatible_schema_names_the_subject_and_what_the_registry_said() {
        let error = told(Failure::answer(409, 409, "Schema being registered is incompatible"));
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(
            error.stack_trace().lines().filter(|line| !line.starts_with('\t')).collect::<Vec<_>>(),
            [
                "org.apache.kafka.connect.errors.DataException: Failed to serialize Avro data from topic t:",
                "Caused by: org.apache.kafka.common.errors.SerializationException: Error registering Avro schema for subject \
                 t-value",
                "Caused by: io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException: Schema being \
                 registered is incompatible; error code: 409",
            ]
        );
        assert_eq!(error.root().kind(), ErrorKind::Schema);
        assert!(error.root().remedy().is_some());
    }

    #[test]
    fn what_may_pass_is_retriable() {
        for status in [408, 500, 503, 504] {
            let error = told(Failure::answer(status, 50001, "away"));
            assert!(error.kind().retriable());
            assert_eq!(error.java_class(), RETRIABLE);
        }
        for (status, class) in [
            (401, "AuthenticationException"),
            (403, "AuthorizationException"),
            (429, "ThrottlingQuotaExceededException"),
            (502, "DisconnectException"),
        ] {
            let error = told(Failure::answer(status, 0, "no"));
            assert_eq!(error.java_class(), format!("org.apache.kafka.common.errors.{class}"));
            assert_eq!(error.kind().retriable(), status > 403);
        }
        let away = Error::new(ErrorKind::Unavailable, "no connection to http://a:1: refused");
        let error = told(Failure::new(Why::Network, away));
        assert!(error.kind().retriable());
        assert_eq!(
            error.message(),
            "Network connection error while serializing Avro data for topic t: no connection to http://a:1: refused"
        );
    }
}
