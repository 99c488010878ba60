//! Error codes of the broker, named by what can be done about them.

use kafka_protocol::ResponseError;

use crate::{Error, ErrorKind, Result};

/// `Ok` for code 0, otherwise the error with the broker's own words where it gave some.
pub(crate) fn check(code: i16, message: Option<&str>) -> Result<()> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => Err(error_of(error, message)),
    }
}

/// The error of ours for one of the broker's.
pub(crate) fn error_of(error: ResponseError, message: Option<&str>) -> Error {
    let text = match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{message} ({error})"),
        None => format!("{error}"),
    };
    let java = crate::java::exception(error.code());
    let said = message.filter(|message| !message.is_empty()).map(str::to_owned);
    let failed = Error::new(kind_of(error), text);
    match (java, said) {
        (Some((class, _)), Some(said)) => failed.with_java(class, said),
        (Some((class, usual)), None) => failed.with_java(class, usual),
        (None, _) => failed,
    }
}

fn kind_of(error: ResponseError) -> ErrorKind {
    use ResponseError as Code;
    match error {
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => ErrorKind::Authorization,
        Code::SaslAuthenticationFailed | Code::UnsupportedSaslMechanism | Code::IllegalSaslState => {
            ErrorKind::Authentication
        }
        Code::TopicAlreadyExists => ErrorKind::AlreadyExists,
        // Retriable in the protocol, but to a user it is an answer; callers that know better say so.
        Code::UnknownTopicOrPartition | Code::GroupIdNotFound | Code::UnknownTopicId => ErrorKind::NotFound,
        Code::MessageTooLarge | Code::RecordListTooLarge => ErrorKind::TooLarge,
        Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => ErrorKind::Fenced,
        Code::UnsupportedVersion => ErrorKind::Unsupported,
        Code::RequestTimedOut => ErrorKind::Timeout,
        Code::NonEmptyGroup
        | Code::GroupSubscribedToTopic
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress => ErrorKind::GroupState,
        Code::ConcurrentTransactions | Code::BrokerNotAvailable => ErrorKind::Retriable,
        other if other.is_retriable() => ErrorKind::Retriable,
        _ => ErrorKind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_can_be_done() {
        for (code, kind) in [
            (29, ErrorKind::Authorization),
            (30, ErrorKind::Authorization),
            (36, ErrorKind::AlreadyExists),
            (3, ErrorKind::NotFound),
            (16, ErrorKind::Retriable),
            (14, ErrorKind::Retriable),
            (68, ErrorKind::GroupState),
            (58, ErrorKind::Authentication),
            (40, ErrorKind::Refused),
            (9999, ErrorKind::Refused),
        ] {
            assert_eq!(check(code, None).unwrap_err().kind(), kind, "code {code}");
        }
        assert!(check(0, None).is_ok());
    }

    #[test]
    fn the_brokers_words_come_first() {
        assert_eq!(check(40, Some("no such key")).unwrap_err().to_string(), "no such key (InvalidConfig)");
    }
}
