//! Under which name a schema is kept (`SubjectNameStrategy`).

use connect_api::Error;

use super::failure::SERIALIZATION;

/// How the subject of a schema is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// `<topic>-key` or `<topic>-value`.
    Topic,
    /// The name of the record.
    Record,
    /// `<topic>-<name of the record>`.
    TopicRecord,
}

/// The strategies by their Java names.
pub(crate) const STRATEGIES: [(&str, Strategy); 3] = [
    ("io.confluent.kafka.serializers.subject.TopicNameStrategy", Strategy::Topic),
    ("io.confluent.kafka.serializers.subject.RecordNameStrategy", Strategy::Record),
    ("io.confluent.kafka.serializers.subject.TopicRecordNameStrategy", Strategy::TopicRecord),
];

impl Strategy {
    /// The strategy of a Java name.
    pub(crate) fn named(class: &str) -> Option<Self> {
        STRATEGIES.iter().find(|(name, _)| *name == class).map(|(_, strategy)| *strategy)
    }

    fn class(self) -> &'static str {
        STRATEGIES.iter().find(|(_, strategy)| *strategy == self).map_or("", |(name, _)| name)
    }

    /// Whether the subject depends on the schema.
    pub(crate) fn uses_schema(self) -> bool {
        self != Self::Topic
    }

    /// The subject of a schema; `record` is its name, where it is a record.
    pub(crate) fn subject(self, topic: &str, is_key: bool, record: Option<&str>) -> Result<String, Error> {
        let side = if is_key { "key" } else { "value" };
        match (self, record) {
            (Self::Topic, _) => Ok(format!("{topic}-{side}")),
            (Self::Record, Some(record)) => Ok(record.to_owned()),
            (Self::TopicRecord, Some(record)) => Ok(format!("{topic}-{record}")),
            (_, None) => Err(Error::data(format!(
                "In configuration {side}.subject.name.strategy = {}, the message {side} must only be a record schema",
                self.class()
            ))
            .class(SERIALIZATION)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_made_of_topics_and_records() {
        let subject = |strategy: Strategy, is_key| strategy.subject("t", is_key, Some("a.B")).unwrap();
        assert_eq!(subject(Strategy::Topic, true), "t-key");
        assert_eq!(subject(Strategy::Topic, false), "t-value");
        assert_eq!(subject(Strategy::Record, false), "a.B");
        assert_eq!(subject(Strategy::TopicRecord, true), "t-a.B");
        assert_eq!(Strategy::Topic.subject("t", false, None).unwrap(), "t-value");
        assert_eq!(
            Strategy::Record.subject("t", true, None).unwrap_err().message(),
            "In configuration key.subject.name.strategy = io.confluent.kafka.serializers.subject.RecordNameStrategy, the \
             message key must only be a record schema"
        );
    }
}
