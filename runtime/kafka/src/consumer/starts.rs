//! Where reading begins in partitions that were just assigned (Java: `KafkaConsumer.position` in a rebalance listener).

use std::time::Duration;

use rdkafka::consumer::Consumer as _;

use super::Consumer;
use crate::{Error, ErrorKind, Result, TopicPartition, context};

/// `auto.offset.reset`: where a group without a committed offset begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    Earliest,
    Latest,
    /// Nowhere: it is an error.
    Fail,
}

impl Reset {
    /// Of librdkafka's setting.
    pub(super) fn of(setting: Option<&str>) -> Self {
        match setting {
            Some("latest") => Self::Latest,
            Some("error") => Self::Fail,
            _ => Self::Earliest,
        }
    }
}

impl Consumer {
    /// The first offset to be read of each of these partitions, which were just assigned: what the group has committed, else
    /// what `auto.offset.reset` says now. Waits `timeout` at most for each request. With `none` a partition without a
    /// committed offset is an error, as in Java.
    pub async fn starts(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<(TopicPartition, i64)>> {
        let mut starts = Vec::with_capacity(partitions.len());
        let mut open = Vec::new();
        for (partition, committed) in self.committed(partitions, timeout).await? {
            match committed {
                Some(offset) => starts.push((partition, offset)),
                None => open.push(partition),
            }
        }
        if open.is_empty() {
            return Ok(starts);
        }
        if self.reset == Reset::Fail {
            return Err(undefined(&open));
        }
        let ends = self.ends(open, timeout).await?;
        for (partition, earliest, latest) in ends {
            if self.reset == Reset::Latest {
                // librdkafka would look the end up again, later: what comes in between would be passed over.
                self.seek(&partition, latest).await?;
                starts.push((partition, latest));
            } else {
                starts.push((partition, earliest));
            }
        }
        Ok(starts)
    }

    async fn ends(
        &self,
        partitions: Vec<TopicPartition>,
        timeout: Duration,
    ) -> Result<Vec<(TopicPartition, i64, i64)>> {
        let inner = std::sync::Arc::clone(&self.inner);
        let look_up = move || {
            let of = |partition: TopicPartition| {
                let (earliest, latest) =
                    inner.fetch_watermarks(&partition.topic, partition.partition, timeout).map_err(|error| {
                        context::error("look up the ends of", error).context(format_args!("{partition}"))
                    })?;
                Ok((partition, earliest, latest))
            };
            partitions.into_iter().map(of).collect()
        };
        self.runtime
            .spawn_blocking(look_up)
            .await
            .map_err(|error| Error::new(ErrorKind::Fatal, "a blocking call was cut off").with_source(error))?
    }
}

/// `NoOffsetForPartitionException`.
fn undefined(partitions: &[TopicPartition]) -> Error {
    let names: Vec<String> = partitions.iter().map(TopicPartition::to_string).collect();
    let said = format!("Undefined offset with no reset policy for partitions: [{}]", names.join(", "));
    Error::new(ErrorKind::Refused, said.clone())
        .with_java("org.apache.kafka.clients.consumer.NoOffsetForPartitionException", said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_offsets_and_without_a_reset_policy_is_told_as_in_java() {
        let error = undefined(&[TopicPartition::new("t", 0), TopicPartition::new("t", 1)]);
        let java = error.java().map(|java| (java.class, &*java.message));
        assert_eq!(
            java,
            Some((
                "org.apache.kafka.clients.consumer.NoOffsetForPartitionException",
                "Undefined offset with no reset policy for partitions: [t-0, t-1]"
            ))
        );
    }

    #[test]
    fn the_reset_policy_is_librdkafkas_setting() {
        assert_eq!(
            [Some("earliest"), Some("latest"), Some("error")].map(Reset::of),
            [Reset::Earliest, Reset::Latest, Reset::Fail]
        );
    }
}
