//! Errors of the server and of the connection to it, as typed errors with a remedy.
//!
//! Kinds follow the SQLSTATE, which does not depend on the server's language, never its message.

use std::fmt;
use std::io;

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
    /// No answer within the time given.
    #[error("{0}")]
    Timeout(String),
    /// The server said something that the protocol does not allow here.
    #[error("unexpected answer of the server: {0}")]
    Protocol(String),
    /// TLS or authentication can't be done as configured.
    #[error("{0}")]
    Setup(String),
}

impl PgError {
    /// A broken connection.
    pub fn io(message: impl Into<String>, source: io::Error) -> Self {
        Self::Io { message: message.into(), source }
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
            Self::Io { .. } => ErrorKind::Unavailable,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Protocol(_) => ErrorKind::Bug,
            Self::Setup(_) => ErrorKind::Config,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Db(error) => remedy_of(&error.sqlstate),
            Self::Io { .. } => "check that the server is up and that database.hostname and database.port are right",
            Self::Timeout(_) => "check the server's load, locks, and the network between",
            Self::Protocol(_) => {
                "check that database.hostname and database.port belong to a Postgres server; if so, report this"
            }
            Self::Setup(_) => "check the database.ssl* settings and the server's authentication method",
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

fn kind_of(sqlstate: &str) -> ErrorKind {
    match sqlstate {
        "28000" | "28P01" => ErrorKind::Auth,
        "3D000" | "42P01" | "42704" | "42703" | "3F000" => ErrorKind::NotFound,
        "42501" => ErrorKind::Forbidden,
        "55006" | "55P03" | "40001" | "40P01" => ErrorKind::Conflict,
        "55000" => ErrorKind::PositionLost,
        "57014" => ErrorKind::Timeout,
        code if code.starts_with("08")
            || code.starts_with("57P")
            || code.starts_with("53")
            || code.starts_with("58") =>
        {
            ErrorKind::Unavailable
        }
        code if code.starts_with("22") => ErrorKind::Data,
        code if code.starts_with("42") => ErrorKind::Config,
        _ => ErrorKind::Bug,
    }
}

fn remedy_of(sqlstate: &str) -> &'static str {
    match sqlstate {
        "28P01" => "check database.user and database.password",
        "28000" => "check that the role exists and that pg_hba.conf admits it from this host, for replication too",
        "3D000" => "check database.dbname",
        "42501" => {
            "grant what is missing: REPLICATION and LOGIN to the role, SELECT on the tables, CREATE on the database and ownership of the tables for a publication"
        }
        "42P01" | "3F000" => "check the names of tables and schemas",
        "42704" => "create what is missing, or let publication.autocreate.mode do it",
        "55006" => "give each connector its own slot.name, or stop what uses this slot",
        "55000" => "set wal_level=logical and restart the server, or read its log for why the slot can't be used",
        "57014" => "raise database.query.timeout.ms or statement_timeout, or look for locks",
        "53300" => "raise max_connections or max_wal_senders, or stop what is not needed",
        "53400" => "raise max_replication_slots, or drop slots that nobody reads",
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
    fn outages_are_retriable_and_permissions_are_not() {
        for (code, retriable) in [("57P01", true), ("53300", true), ("42501", false), ("3D000", false), ("55006", true)]
        {
            assert_eq!(kind_of(code).retriable(), retriable, "{code}");
        }
    }
}
