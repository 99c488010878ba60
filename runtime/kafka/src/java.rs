//! The Java client's exception for an error code of the protocol (`org.apache.kafka.common.protocol.Errors`): its class and
//! what it says when the broker gives no words of its own.

/// Class and usual message of the exception for a code; `None` for a code that has none or is not listed.
pub(crate) fn exception(code: i16) -> Option<(&'static str, &'static str)> {
    EXCEPTIONS.iter().find(|(listed, ..)| *listed == code).map(|(_, class, usual)| (*class, *usual))
}

/// Codes that a connector's clients meet. Negative ones are librdkafka's own.
#[rustfmt::skip]
const EXCEPTIONS: &[(i16, &str, &str)] = &[
    (-192, "org.apache.kafka.common.errors.TimeoutException", "The record was not acknowledged in time."),
    (-185, "org.apache.kafka.common.errors.TimeoutException", "The request timed out."),
    (-169, "org.apache.kafka.common.errors.AuthenticationException", "Authentication failed."),
    (1, "org.apache.kafka.clients.consumer.OffsetOutOfRangeException", "The requested offset is not within the range of offsets maintained by the server."),
    (2, "org.apache.kafka.common.errors.CorruptRecordException", "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt."),
    (3, "org.apache.kafka.common.errors.UnknownTopicOrPartitionException", "This server does not host this topic-partition."),
    (7, "org.apache.kafka.common.errors.TimeoutException", "The request timed out."),
    (10, "org.apache.kafka.common.errors.RecordTooLargeException", "The request included a message larger than the max message size the server will accept."),
    (17, "org.apache.kafka.common.errors.InvalidTopicException", "The request attempted to perform an operation on an invalid topic."),
    (18, "org.apache.kafka.common.errors.RecordBatchTooLargeException", "The request included message batch larger than the configured segment size on the server."),
    (29, "org.apache.kafka.common.errors.TopicAuthorizationException", "Topic authorization failed."),
    (30, "org.apache.kafka.common.errors.GroupAuthorizationException", "Group authorization failed."),
    (31, "org.apache.kafka.common.errors.ClusterAuthorizationException", "Cluster authorization failed."),
    (35, "org.apache.kafka.common.errors.UnsupportedVersionException", "The version of API is not supported."),
    (36, "org.apache.kafka.common.errors.TopicExistsException", "Topic with this name already exists."),
    (37, "org.apache.kafka.common.errors.InvalidPartitionsException", "Number of partitions is below 1."),
    (38, "org.apache.kafka.common.errors.InvalidReplicationFactorException", "Replication factor is below 1 or larger than the number of available brokers."),
    (40, "org.apache.kafka.common.errors.InvalidConfigurationException", "Configuration is invalid."),
    (44, "org.apache.kafka.common.errors.PolicyViolationException", "Request parameters do not satisfy the configured policy."),
    (47, "org.apache.kafka.common.errors.InvalidProducerEpochException", "Producer attempted to produce with an old epoch."),
    (53, "org.apache.kafka.common.errors.TransactionalIdAuthorizationException", "Transactional Id authorization failed."),
    (58, "org.apache.kafka.common.errors.SaslAuthenticationException", "SASL Authentication failed."),
    (87, "org.apache.kafka.common.InvalidRecordException", "This record has failed the validation on broker and hence will be rejected."),
    (89, "org.apache.kafka.common.errors.ThrottlingQuotaExceededException", "The throttling quota has been exceeded."),
    (90, "org.apache.kafka.common.errors.ProducerFencedException", "There is a newer producer with the same transactionalId which fences the current one."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_exceptions_of_the_java_client() {
        let class = |code| exception(code).map(|(class, _)| class.rsplit('.').next().unwrap_or_default());
        assert_eq!(class(38), Some("InvalidReplicationFactorException"));
        assert_eq!(class(-192), Some("TimeoutException"));
        assert_eq!(class(0), None);
        let mut codes: Vec<_> = EXCEPTIONS.iter().map(|(code, ..)| *code).collect();
        codes.dedup();
        assert!(codes.is_sorted() && codes.len() == EXCEPTIONS.len(), "each once, in order");
    }
}
