//! One error type for everything that crosses a contract of this crate.
//!
//! Kinds are named by what can be done about them, not by which side failed; the side is the stage that the worker
//! adds. Retry, HTTP status, code and hint are exhaustive matches in this file.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::Location;
use std::time::Duration;

/// A result of a contract.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration is wrong: change it.
    Config,
    /// Credentials were refused: replace them.
    Auth,
    /// A system is away: wait and try again.
    Unavailable,
    /// A system is there and can't serve for a while: it starts, stops, or its nodes elect a primary. Wait.
    NotReady,
    /// No answer in time: try again.
    Timeout,
    /// One record is bad: skip it, or mend it.
    Data,
    /// A schema does not fit.
    Schema,
    /// The stored position can't be continued from: choose how to start afresh.
    PositionLost,
    /// Something else has the resource: wait until it lets go.
    Conflict,
    /// Something named does not exist.
    NotFound,
    /// A permission is missing: grant it.
    Forbidden,
    /// Our own mistake: report it.
    Bug,
}

impl ErrorKind {
    /// True when the same attempt may succeed later without anyone's help (`RetriableException`).
    pub const fn retriable(self) -> bool {
        matches!(self, Self::Unavailable | Self::NotReady | Self::Timeout | Self::Conflict)
    }

    /// A stable name for logs, metrics and the job API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Auth => "auth",
            Self::Unavailable => "unavailable",
            Self::NotReady => "not_ready",
            Self::Timeout => "timeout",
            Self::Data => "data",
            Self::Schema => "schema",
            Self::PositionLost => "position_lost",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Bug => "bug",
        }
    }

    /// The Java class that operators' tools know for it: the first word of a trace, and a header of dead letters.
    pub const fn java_class(self) -> &'static str {
        match self {
            Self::Config => "org.apache.kafka.common.config.ConfigException",
            Self::Unavailable | Self::NotReady | Self::Timeout | Self::Conflict => {
                "org.apache.kafka.connect.errors.RetriableException"
            }
            Self::Data => "org.apache.kafka.connect.errors.DataException",
            Self::Schema => "org.apache.kafka.connect.errors.SchemaBuilderException",
            Self::NotFound => "org.apache.kafka.connect.errors.NotFoundException",
            Self::Auth | Self::PositionLost | Self::Forbidden | Self::Bug => {
                "org.apache.kafka.connect.errors.ConnectException"
            }
        }
    }
}

/// An error with its kind, what happened, what to do, and its cause. The text never contains the cause: the chain is
/// printed once, where the error is handled. It never contains a secret.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    class: Option<&'static str>,
    /// In milliseconds: an error is returned everywhere, and is to be small.
    retry_in: Option<NonZeroU32>,
    /// Where in this program it arose.
    at: &'static Location<'static>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a kind.
    #[track_caller]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let at = Location::caller();
        Self { kind, message: message.into(), hint: None, class: None, retry_in: None, at, source: None }
    }

    /// A record that can't be handled (`DataException`).
    #[track_caller]
    pub fn data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// A wrong configuration (`ConfigException`).
    #[track_caller]
    pub fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A general failure (`ConnectException`) that retrying does not mend.
    #[track_caller]
    pub fn connect(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Bug, message).class("org.apache.kafka.connect.errors.ConnectException")
    }

    /// The same with what to do about it, as a sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same under another Java class.
    #[must_use]
    pub fn class(mut self, class: &'static str) -> Self {
        self.class = Some(class);
        self
    }

    /// The same with when to try again, to the millisecond, where that is not left to whoever handles it (`SinkTaskContext.timeout`).
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_in = NonZeroU32::new(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1));
        self
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same once more, for several records that share a failure. Causes of other types become their text.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let source = self.source.as_ref().map(|source| match source.downcast_ref::<Self>() {
            Some(error) => error.duplicate().into(),
            None => source.to_string().into(),
        });
        Self { message: self.message.clone(), hint: self.hint.clone(), source, ..*self }
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How long to wait before another attempt, when it says so.
    pub fn retry_in(&self) -> Option<Duration> {
        self.retry_in.map(|millis| Duration::from_millis(millis.get().into()))
    }

    /// The innermost of its causes that is an error of this type: what went wrong first, beneath what the worker made of it
    /// ("Tolerance exceeded in error handler").
    pub fn root(&self) -> &Self {
        let mut root = self;
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(inner) = error.downcast_ref::<Self>() {
                root = inner;
            }
            cause = error.source();
        }
        root
    }

    /// What happened, without the cause. Empty stands for a Java exception without a message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do, when it is known.
    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The Java class that tools know for it.
    pub fn java_class(&self) -> &'static str {
        self.class.unwrap_or(self.kind.java_class())
    }

    /// `Throwable.toString`: class and message.
    pub fn to_java_text(&self) -> String {
        match self.message() {
            "" => self.java_class().to_owned(),
            message => format!("{}: {message}", self.java_class()),
        }
    }

    /// The trace as status records and logs carry it: a Java-like first line, then the causes.
    pub fn trace(&self) -> String {
        let mut text = self.java_class().to_owned();
        if !self.message.is_empty() {
            text.push_str(": ");
            text.push_str(&self.message);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\n\tremedy: ");
            text.push_str(hint);
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            let class = error.downcast_ref::<Error>().map(Error::java_class);
            text.push_str("\nCaused by: ");
            if let Some(class) = class {
                text.push_str(class);
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text.push('\n');
        text
    }

    /// The trace as `Throwable.printStackTrace` writes it, for dead letters and logs that tools parse: class and message,
    /// frames, then each cause in the same way. A frame is where in this program the error arose; that is all the frames
    /// there are, because errors here carry no stack.
    pub fn stack_trace(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str("Caused by: ");
            }
            text.push_str(class_of(error));
            let message = error.to_string();
            if !message.is_empty() {
                text.push_str(": ");
                text.push_str(&message);
            }
            text.push('\n');
            if let Some(frame) = error.downcast_ref::<Self>().and_then(|error| frame(error.at.file(), error.at.line()))
            {
                text.push_str("\tat ");
                text.push_str(&frame);
                text.push('\n');
            }
            next = error.source();
        }
        text
    }
}

/// The class that stands for a cause of another type.
fn class_of(cause: &(dyn StdError + 'static)) -> &'static str {
    match cause.downcast_ref::<Error>() {
        Some(error) => error.java_class(),
        None if cause.is::<std::io::Error>() => "java.io.IOException",
        None => "java.lang.Exception",
    }
}

/// A line of code as a frame of a Java stack trace: `connectors/formats/src/json.rs:12` is
/// `connectors.formats.json(json.rs:12)`. `None` for code that is not of this program, whose path would tell where it was
/// built.
fn frame(file: &str, line: u32) -> Option<String> {
    if file.starts_with(['/', '\\']) || file.contains(':') {
        return None;
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let parts = file.strip_suffix(".rs").unwrap_or(file).split('/').filter(|part| *part != "src");
    Some(format!("{}({name}:{line})", parts.collect::<Vec<_>>().join(".").replace('-', "_")))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<connect_config::ConfigError> for Error {
    fn from(error: connect_config::ConfigError) -> Self {
        Self::config(error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_trace_reads_as_javas() {
        let io = std::io::Error::other("broken pipe");
        let error = Error::connect("Tolerance exceeded in error handler").caused_by(Error::data("bad").caused_by(io));
        let text = error.stack_trace();
        let plain: Vec<&str> = text.lines().filter(|line| !line.starts_with('\t')).collect();
        assert_eq!(
            plain,
            [
                "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler",
                "Caused by: org.apache.kafka.connect.errors.DataException: bad",
                "Caused by: java.io.IOException: broken pipe",
            ]
        );
        let frames: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("\tat ")).collect();
        assert_eq!(frames.len(), 2, "{text}");
        assert!(frames.iter().all(|frame| frame.starts_with("runtime.api.error(error.rs:")), "{text}");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_duplicate_has_the_same_causes() {
        let error = Error::connect("a").hint("h").caused_by(Error::data("b").class("com.acme.B").caused_by("c"));
        let again = error.duplicate();
        assert_eq!((again.stack_trace(), again.trace()), (error.stack_trace(), error.trace()));
    }

    #[test]
    fn an_error_says_when_to_try_again() {
        let after = |wait| Error::new(ErrorKind::Unavailable, "busy").retry_after(wait).retry_in();
        assert_eq!(after(Duration::from_millis(1500)), Some(Duration::from_millis(1500)));
        assert_eq!(after(Duration::ZERO), Some(Duration::from_millis(1)));
        assert_eq!(Error::data("a").retry_in(), None);
    }

    #[test]
    fn an_exception_without_a_message_is_its_class() {
        let text = Error::new(ErrorKind::Bug, "").class("com.acme.Skipped").stack_trace();
        assert_eq!(text.lines().next(), Some("com.acme.Skipped"));
    }

    #[test]
    fn frames_never_tell_where_the_program_was_built() {
        assert_eq!(
            frame("connectors/file-x/src/json/read.rs", 7).as_deref(),
            Some("connectors.file_x.json.read(read.rs:7)")
        );
        assert_eq!(frame("/home/somebody/core/ops.rs", 7), None);
        assert_eq!(frame("C:\\build\\x.rs", 7), None);
    }
}
