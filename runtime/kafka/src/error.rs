//! What can go wrong with Kafka, named by what can be done about it.
//!
//! Text never holds passwords. The cause is kept as `source`.

use std::borrow::Cow;

/// The result of a Kafka operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The client properties are wrong or not supported; retrying is no use before they change.
    Config,
    /// The broker refused the credentials, or TLS failed.
    Authentication,
    /// The principal may not do this.
    Authorization,
    /// No broker could be reached, or the connection broke.
    Unreachable,
    /// No answer within the time allowed.
    Timeout,
    /// What was to be created exists already.
    AlreadyExists,
    /// The topic, partition or group does not exist.
    NotFound,
    /// The broker cannot do it just now (moving leader, loading coordinator); trying again may succeed.
    Retriable,
    /// The record is larger than the broker or the producer allows.
    TooLarge,
    /// Another producer with the same transactional id, or a newer generation of the group, has taken over.
    Fenced,
    /// The broker does not know the request (or not in a version we speak).
    Unsupported,
    /// The group does not allow it now: it has members, or the generation is over.
    GroupState,
    /// The client is unusable from now on; open a new one.
    Fatal,
    /// Any other refusal by the broker; trying again gives the same answer.
    Refused,
}

impl ErrorKind {
    /// Whether the same operation may succeed later without anybody changing anything.
    pub const fn is_retriable(self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout | Self::Retriable)
    }
}

/// A failed Kafka operation.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    java: Option<JavaError>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The exception that the Java client would have thrown, in its words: operators' tools and dead letters show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaError {
    /// Full class name.
    pub class: &'static str,
    pub message: Cow<'static, str>,
}

impl Error {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), java: None, source: None }
    }

    /// Says what the Java client would have thrown.
    #[must_use]
    pub fn with_java(mut self, class: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        self.java = Some(JavaError { class, message: message.into() });
        self
    }

    /// What the Java client would have thrown, where that is known.
    pub const fn java(&self) -> Option<&JavaError> {
        self.java.as_ref()
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts `context` before the text: `context: text`.
    #[must_use]
    pub fn context(mut self, context: impl std::fmt::Display) -> Self {
        self.message = Cow::Owned(format!("{context}: {}", self.message));
        self
    }

    /// What can be done about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same operation may succeed later.
    pub const fn is_retriable(&self) -> bool {
        self.kind.is_retriable()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
