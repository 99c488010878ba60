//! Errors of the server and of the connection to it, as typed errors with a remedy.
//!
//! Kinds follow the SQLSTATE, which does not depend on the server's language, never its message.

use std::fmt;
use std::io;
use std::time::Duration;

use connect_api::{Error, ErrorKind};

/// What the server said (`ErrorResponse`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DbError {
    /// `ERROR`, `FATAL` or `PANIC`.
    pub severity: String,
    /// Five characters.
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl DbError {
    /// Reads the fields of an `ErrorResponse` body; unknown fields are left out.
    pub fn parse(body: &[u8]) -> Self {
        let mut error = Self::default();
        for field in body.split(|&b| b == 0).filter(|field| !field.is_empty()) {
            let text = String::from_utf8_lossy(&field[1..]).into_owned();
            match field[0] {
                b'S' if error.severity.is_empty() => error.severity = text,
                b'V' => error.severity = text,
                b'C' => error.sqlstate = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        error
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n  Detail: {detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DbError {}

/// What can go wrong between us and the server.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// The server refused.
    #[error("{0}")]
    Db(DbError),
    /// The connection could not be made, or broke.
    #[error("{message}")]
    Io {
        message: String,
        #[source]
        source: io::Error,
    },
    /// The host's name has no address; the words are those of the JVM's driver.
    #[error("The connection attempt failed.")]
    Lookup(#[source] io::Error),
    /// No answer within the time given.
    #[error("{0}")]
    Timeout(String),
    /// The server said something that the protocol does not allow here.
    #[error("unexpected answer of the server: {0}")]
    Protocol(String),
    /// TLS or authentication can't be done as configured.
    #[error("{0}")]
    Setup(String),
    /// No server of a list will do.
    #[error("{message}")]
    NoneOf { message: String, kind: ErrorKind, remedy: &'static str },
}

impl PgError {
    /// A broken connection.
    pub fn io(message: impl Into<String>, source: io::Error) -> Self {
        Self::Io { message: message.into(), source }
    }

    /// Nothing came from an address for so long.
    pub fn silent(address: &str, limit: Duration) -> Self {
        Self::Timeout(format!("no answer from {address} within {limit:?}"))
    }

    /// The SQLSTATE, when the server answered with an error.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Db(error) => Some(&error.sqlstate),
            _ => None,
        }
    }

    /// What can be done about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Db(error) => kind_of(&error.sqlstate),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::TimedOut => ErrorKind::Timeout,
            Self::Io { .. } | Self::Lookup(_) => ErrorKind::Unavailable,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Protocol(_) => ErrorKind::Bug,
            Self::Setup(_) => ErrorKind::Config,
            Self::NoneOf { kind, .. } => *kind,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Db(error) => remedy_of(&error.sqlstate),
            Self::Io { .. } => "check that the server is up and that database.hostname and database.port are right",
            Self::Lookup(_) => {
                "the name in database.hostname has no address: check it, and that the name service answers"
            }
            Self::Timeout(_) => "check the server's load, locks, and the network between",
            Self::Protocol(_) => {
                "check that database.hostname and database.port belong to a Postgres server; if so, report this"
            }
            Self::Setup(_) => "check the database.ssl* settings and the server's authentication method",
            Self::NoneOf { remedy, .. } => remedy,
        }
    }

    /// The error that crosses the contract: `failed to {what}`, with this one as its cause.
    pub fn failed_to(self, what: &str) -> Error {
        let remedy = match &self {
            Self::Db(DbError { hint: Some(hint), sqlstate, .. }) if remedy_of(sqlstate).is_empty() => hint.clone(),
            _ => self.remedy().to_owned(),
        };
        let error = Error::new(self.kind(), format!("failed to {what}: {self}"));
        let error = if remedy.is_empty() { error } else { error.hint(remedy) };
        let class = if self.kind().retriable() {
            "org.apache.kafka.connect.errors.RetriableException"
        } else {
            "org.apache.kafka.connect.errors.ConnectException"
        };
        error.class(class).caused_by(self)
    }
}

/// A refusal for want of a permission gets `grant` as its remedy, any other error its own.
pub fn forbidden(error: PgError, what: &str, grant: impl FnOnce() -> String) -> Error {
    let refused = error.kind() == ErrorKind::Forbidden;
    let error = error.failed_to(what);
    if refused { error.hint(grant()) } else { error }
}

/// What the work gives, or an error when it takes longer than a limit.
pub async fn within<T, E>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, E>>,
    late: impl FnOnce(Duration) -> E,
) -> Result<T, E> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(late(limit)))
}

/// The SQLSTATE of an error that came from the server.
pub fn sqlstate_of(error: &Error) -> Option<&str> {
    std::error::Error::source(error)?.downcast_ref::<PgError>()?.sqlstate()
}

/// What can be done about an error, by its SQLSTATE.
fn kind_of(sqlstate: &str) -> ErrorKind {
    match sqlstate {
        "28000" | "28P01" => ErrorKind::Auth,
        "3D000" | "42P01" | "42704" | "42703" | "3F000" | "57P04" => ErrorKind::NotFound,
        "42501" => ErrorKind::Forbidden,
        // In use, locked, serialization, deadlock, too many connections or slots: it passes when others let go.
        "55006" | "55P03" | "40001" | "40P01" | "53300" | "53400" => ErrorKind::Conflict,
        // A prerequisite is missing: wal_level. A slot that was invalidated has this state too; the stream tells them apart.
        "55000" => ErrorKind::Config,
        "57014" | "25P03" | "25P04" | "72000" => ErrorKind::Timeout,
        // A server that only reads: the other one of a pair that has changed roles, or is about to.
        "25006" => ErrorKind::Unavailable,
        code if ["08", "57P", "53", "58"].iter().any(|class| code.starts_with(class)) => ErrorKind::Unavailable,
        code if code.starts_with("22") => ErrorKind::Data,
        code if code.starts_with("42") => ErrorKind::Config,
        _ => ErrorKind::Bug,
    }
}

fn remedy_of(sqlstate: &str) -> &'static str {
    match sqlstate {
        "25006" => "the server is a standby: wait for its promotion, or let database.hostname name the primary",
        "28P01" => "check database.user and database.password",
        "28000" => "check that the role exists and that pg_hba.conf admits it from this host, for replication too",
        "3D000" | "57P04" => "check database.dbname",
        "42501" => {
            "grant what is missing: REPLICATION and LOGIN to the role, SELECT on the tables, CREATE on the database and ownership of the tables for a publication"
        }
        "42P01" | "3F000" => "check the names of tables and schemas",
        "42704" => "create what is missing, or let publication.autocreate.mode do it",
        "55006" => "give each connector its own slot.name, or stop what uses this slot",
        "55000" => "set wal_level=logical and restart the server, or read its log for why the slot can't be used",
        "25P03" => "raise idle_in_transaction_session_timeout for the connector's role",
        "25P04" => "raise transaction_timeout for the connector's role",
        "72000" => "raise old_snapshot_threshold, or take the snapshot when less is written",
        "57014" => "raise database.query.timeout.ms or statement_timeout, or look for locks",
        "57P01" | "57P02" | "57P03" => "the server stops, starts or ended the session: wait until it is up",
        "57P05" => "raise idle_session_timeout for this role",
        "53300" => "raise max_connections or max_wal_senders, or stop what is not needed",
        "53400" => "raise max_replication_slots, or drop slots that nobody reads",
        code if code.starts_with("08") => "check the network between here and the server",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response_gives_kind_and_remedy() {
        let error =
            DbError::parse(b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"x\"\0Fauth.c\0\0");
        assert_eq!(error.to_string(), "FATAL: password authentication failed for user \"x\"");
        let error = PgError::Db(error).failed_to("connect");
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert_eq!(error.remedy(), Some("check database.user and database.password"));
        assert!(error.message().starts_with("failed to connect: FATAL"));
    }

    #[test]
    fn what_can_be_done_follows_the_state() {
        use ErrorKind::{Auth, Bug, Config, Conflict, Data, Forbidden, NotFound, Timeout, Unavailable};
        for (code, kind) in [
            ("28P01", Auth),
            ("28000", Auth),
            ("3D000", NotFound),
            ("42P01", NotFound),
            ("42704", NotFound),
            ("57P04", NotFound),
            ("42501", Forbidden),
            ("55006", Conflict),
            ("40P01", Conflict),
            ("53300", Conflict),
            ("53400", Conflict),
            ("57014", Timeout),
            ("08006", Unavailable),
            ("25006", Unavailable),
            ("53100", Unavailable),
            ("57P01", Unavailable),
            ("57P02", Unavailable),
            ("57P03", Unavailable),
            ("58030", Unavailable),
            ("55000", Config),
            ("42601", Config),
            ("22P02", Data),
            ("XX000", Bug),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
            let retriable = matches!(kind, Conflict | Timeout | Unavailable);
            assert_eq!(kind.retriable(), retriable, "{code}");
        }
    }

    #[test]
    fn broken_connections_pass_and_say_what_to_check() {
        let refused = PgError::io("Connection to db:5432 refused.", io::ErrorKind::ConnectionRefused.into());
        let late = PgError::io("The connection attempt failed.", io::ErrorKind::TimedOut.into());
        let unknown = PgError::Lookup(io::Error::other("Name or service not known"));
        for (error, kind, remedy) in [
            (refused, ErrorKind::Unavailable, "database.port"),
            (late, ErrorKind::Timeout, "database.port"),
            (unknown, ErrorKind::Unavailable, "database.hostname has no address"),
        ] {
            let error = error.failed_to("connect to db:5432");
            assert_eq!(error.kind(), kind);
            assert!(error.remedy().is_some_and(|text| text.contains(remedy)), "{error:?}");
        }
    }

    #[test]
    fn a_missing_permission_names_its_grant() {
        let refused = |sqlstate: &str| {
            PgError::Db(DbError { sqlstate: sqlstate.to_owned(), message: "no".to_owned(), ..DbError::default() })
        };
        let error = forbidden(refused("42501"), "read t", || "GRANT SELECT ON t TO u".to_owned());
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Forbidden, Some("GRANT SELECT ON t TO u")));
        assert_eq!(sqlstate_of(&error), Some("42501"));
        let error = forbidden(refused("28P01"), "read t", || unreachable!("nothing is to be granted"));
        assert_eq!(error.remedy(), Some("check database.user and database.password"));
    }
}
