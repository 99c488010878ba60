//! What can be done about an error of MongoDB, by its code and labels, never by its text.

use connect_api::{Error, ErrorKind};
use mongodb::error::ErrorKind as DriverErrorKind;

/// Codes after which the same write may succeed on another attempt (the driver specifications' retryable writes).
const RETRYABLE_CODES: [i32; 13] = [6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436];
/// Codes that mean the node is on its way down or not yet up.
const RECOVERING_CODES: [i32; 5] = [91, 189, 11600, 11602, 13436];
/// Codes that mean the node is not the primary.
const NOT_PRIMARY_CODES: [i32; 3] = [10107, 13435, 10058];

/// The class that the JVM's driver throws for answers of the server that have no class of their own.
const COMMAND_EXCEPTION: &str = "com.mongodb.MongoCommandException";

/// True for codes of retryable writes.
pub fn retryable_code(code: i32) -> bool {
    RETRYABLE_CODES.contains(&code)
}

/// What can be done about an error that the server answered with.
pub fn kind_of(code: i32, has_label: impl Fn(&str) -> bool) -> ErrorKind {
    match code {
        // MaxTimeMSExpired, NetworkTimeout, NetworkInterfaceExceededTimeLimit, ExceededTimeLimit.
        50 | 89 | 202 | 262 => ErrorKind::Timeout,
        // WriteConcernTimeout: the other members are behind, and stay so for a while.
        64 => ErrorKind::NotReady,
        // LockTimeout, LockBusy, WriteConflict, IngressRequestRateLimitExceeded, and RequestRateTooLarge of Cosmos DB.
        24 | 46 | 112 | 462 | 16500 => ErrorKind::Conflict,
        // FailedToSatisfyReadPreference: there is no primary at the moment. UserWritesBlocked: a migration of the cluster.
        // OutOfDiskSpace: somebody has to make room.
        133 | 371 | 14031 => ErrorKind::NotReady,
        code if RECOVERING_CODES.contains(&code) || NOT_PRIMARY_CODES.contains(&code) => ErrorKind::NotReady,
        code if retryable_code(code) => ErrorKind::Unavailable,
        // Interrupted, ClientMarkedKilled: somebody ended the operation, which says nothing of the next one.
        11601 | 46841 => ErrorKind::Unavailable,
        // UserNotFound, AuthenticationFailed, ReauthenticationRequired, AtlasError.
        11 | 18 | 391 | 8000 => ErrorKind::Auth,
        // Unauthorized.
        13 => ErrorKind::Forbidden,
        // IllegalOperation, CommandNotFound, InvalidNamespace, InvalidOptions, CommandNotSupported, CommandNotSupportedOnView,
        // TransactionTooLargeForCache, OperationNotSupportedInTransaction: no record is to blame.
        20 | 59 | 72 | 73 | 115 | 166 | 257 | 263 => ErrorKind::Config,
        _ if has_label("TransientTransactionError") || has_label("SystemOverloadedError") => ErrorKind::Conflict,
        _ if has_label("RetryableWriteError") || has_label("RetryableError") => ErrorKind::Unavailable,
        _ => ErrorKind::Data,
    }
}

/// What can be done about an error of the driver.
pub fn of_driver(error: &mongodb::error::Error) -> ErrorKind {
    let has_label = |label: &str| error.contains_label(label);
    match &*error.kind {
        DriverErrorKind::Command(command) => kind_of(command.code, has_label),
        DriverErrorKind::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => ErrorKind::Timeout,
        // The driver has looked for a server for as long as it may.
        DriverErrorKind::ServerSelection { .. } => ErrorKind::NotReady,
        DriverErrorKind::Io(_) | DriverErrorKind::ConnectionPoolCleared { .. } | DriverErrorKind::DnsResolve { .. } => {
            ErrorKind::Unavailable
        }
        DriverErrorKind::Authentication { .. } => ErrorKind::Auth,
        DriverErrorKind::InvalidTlsConfig { .. } => ErrorKind::Config,
        _ => kind_of(0, has_label),
    }
}

/// The class that the JVM's driver throws for a code of the server.
pub fn command_class(code: i32) -> &'static str {
    match code {
        code if NOT_PRIMARY_CODES.contains(&code) => "com.mongodb.MongoNotPrimaryException",
        code if RECOVERING_CODES.contains(&code) => "com.mongodb.MongoNodeIsRecoveringException",
        _ => COMMAND_EXCEPTION,
    }
}

/// True for an error that the server answered a whole command with, and that does not concern the server itself.
pub fn is_answer(error: &Error) -> bool {
    error.java_class() == COMMAND_EXCEPTION
}

/// The class that the JVM's driver throws for what is not an answer of the server.
pub fn driver_class(kind: &DriverErrorKind) -> &'static str {
    match kind {
        DriverErrorKind::Io(_) => "com.mongodb.MongoSocketReadException",
        DriverErrorKind::ConnectionPoolCleared { .. } => "com.mongodb.MongoConnectionPoolClearedException",
        DriverErrorKind::ServerSelection { .. } | DriverErrorKind::DnsResolve { .. } => {
            "com.mongodb.MongoTimeoutException"
        }
        DriverErrorKind::Authentication { .. } => "com.mongodb.MongoSecurityException",
        _ => "com.mongodb.MongoException",
    }
}

/// The error with what to do about it.
pub fn advised(error: Error) -> Error {
    let remedy = match error.kind() {
        ErrorKind::Unavailable | ErrorKind::NotReady => {
            "check that the servers of connection.uri are up, have a primary and can be reached from here"
        }
        ErrorKind::Timeout => {
            "check the servers' load and the network between, or raise the time-outs in connection.uri"
        }
        ErrorKind::Conflict => "wait until other writers let go, or raise the limit of requests of the deployment",
        ErrorKind::Auth => "check the user, the password and authSource in connection.uri",
        ErrorKind::Forbidden => {
            "grant the user of connection.uri the role readWrite on the database that the sink writes to"
        }
        ErrorKind::Config => "check the tls options in connection.uri and the connection.ssl.* settings",
        _ => return error,
    };
    error.hint(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_can_be_done() {
        use ErrorKind::{Auth, Conflict, Data, Forbidden, NotReady, Timeout, Unavailable};
        for (codes, kind) in [
            (&[6, 7, 134, 9001, 11601, 46841][..], Unavailable),
            (&[64, 91, 133, 189, 10058, 10107, 11600, 11602, 13435, 13436][..], NotReady),
            (&[50, 89, 202, 262], Timeout),
            (&[24, 46, 112, 462, 16500], Conflict),
            (&[11, 18, 391, 8000], Auth),
            (&[13], Forbidden),
            (&[2, 26, 121, 11000], Data),
        ] {
            for code in codes {
                assert_eq!(kind_of(*code, |_| false), kind, "{code}");
            }
        }
    }

    #[test]
    fn labels_count_for_codes_that_nobody_knows() {
        let with = |code: i32, label: &'static str| kind_of(code, move |asked| asked == label);
        assert_eq!(with(251, "TransientTransactionError"), ErrorKind::Conflict);
        assert_eq!(with(1, "SystemOverloadedError"), ErrorKind::Conflict);
        assert_eq!(with(1, "RetryableWriteError"), ErrorKind::Unavailable);
        assert_eq!(with(1, "NoWritesPerformed"), ErrorKind::Data);
        assert_eq!(with(13, "RetryableWriteError"), ErrorKind::Forbidden, "a known code wins");
    }

    #[test]
    fn the_drivers_own_errors_are_of_a_kind_too() {
        let broken: mongodb::error::Error = std::io::Error::from(std::io::ErrorKind::ConnectionReset).into();
        assert_eq!(of_driver(&broken), ErrorKind::Unavailable);
        let late: mongodb::error::Error = std::io::Error::from(std::io::ErrorKind::TimedOut).into();
        assert_eq!(of_driver(&late), ErrorKind::Timeout);
        let odd = mongodb::error::Error::custom("odd");
        assert_eq!(of_driver(&odd), ErrorKind::Data);
    }

    #[test]
    fn every_kind_that_is_not_of_data_has_a_remedy() {
        for code in [91, 50, 112, 18, 13] {
            let error = advised(Error::new(kind_of(code, |_| false), "x"));
            assert!(error.remedy().is_some_and(|text| !text.is_empty()), "{code}");
        }
        assert_eq!(advised(Error::data("x")).remedy(), None);
    }
}
