//! What librdkafka tells its owner besides records: log lines and errors of the client as a whole.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{Error, ErrorKind};

/// Writes a log line of librdkafka to `tracing`.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// Writes an error of a client as a whole to `tracing`: librdkafka goes on and mends most of them by itself. The end of a
/// partition is none.
pub(crate) fn client_error(client: &str, error: &KafkaError, reason: &str) {
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        tracing::trace!(target: "librdkafka", reason, "{client}: {error}");
    } else {
        tracing::warn!(target: "librdkafka", reason, "{client}: {error}");
    }
}

/// The error of ours for one of librdkafka's.
pub(crate) fn error(action: &str, error: KafkaError) -> Error {
    let kind = match error.rdkafka_error_code() {
        Some(code) => kind_of(code),
        None => match &error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => ErrorKind::Config,
            _ => ErrorKind::Fatal,
        },
    };
    let kind = match &error {
        KafkaError::MessageConsumptionFatal(_) => ErrorKind::Fatal,
        KafkaError::Transaction(cause) if cause.is_retriable() => ErrorKind::Retriable,
        _ => kind,
    };
    let failed = Error::new(kind, format!("failed to {action}: {}", describe(&error)));
    let code = error.rdkafka_error_code().and_then(|code| i16::try_from(code as i32).ok());
    match code.and_then(crate::java::exception) {
        Some((class, usual)) => failed.with_java(class, usual),
        None => failed,
    }
}

/// librdkafka's words without the wrapper of the Rust binding. A configuration error must not show the value.
fn describe(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, text, key, _) => format!("{key}: {text}"),
        KafkaError::ClientCreation(text) => text.clone(),
        other => other.rdkafka_error_code().map_or_else(|| other.to_string(), |code| code.to_string()),
    }
}

/// What can be done about an error code of librdkafka or the broker.
pub(crate) fn kind_of(code: RDKafkaErrorCode) -> ErrorKind {
    use RDKafkaErrorCode as Code;
    match code {
        Code::Authentication
        | Code::SSL
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => ErrorKind::Authentication,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => ErrorKind::Authorization,
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::NetworkException => {
            ErrorKind::Unreachable
        }
        Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            ErrorKind::Timeout
        }
        Code::TopicAlreadyExists => ErrorKind::AlreadyExists,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition | Code::GroupIdNotFound => {
            ErrorKind::NotFound
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => ErrorKind::TooLarge,
        Code::Fenced
        | Code::InvalidProducerEpoch
        | Code::ProducerFenced
        | Code::FencedInstanceId
        | Code::IllegalGeneration
        | Code::UnknownMemberId => ErrorKind::Fenced,
        Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::RebalanceInProgress
        | Code::KafkaStorageError
        | Code::ConcurrentTransactions
        | Code::OffsetNotAvailable
        | Code::WaitingForCoordinator
        | Code::Retry => ErrorKind::Retriable,
        Code::Fatal | Code::PurgeQueue | Code::PurgeInflight => ErrorKind::Fatal,
        Code::UnsupportedVersion | Code::UnsupportedFeature => ErrorKind::Unsupported,
        _ => ErrorKind::Refused,
    }
}
