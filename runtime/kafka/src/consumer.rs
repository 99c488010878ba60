//! The consumer of sink tasks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{ClientProps, Error, ErrorKind, Result, TopicPartition};

/// What to read.
#[derive(Clone, Debug)]
pub enum Subscription {
    Topics(Vec<String>),
    /// A regular expression that must match the whole topic name (`topics.regex`).
    Pattern(String),
}

/// Whose clock a record's timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    NoTimestamp,
    CreateTime,
    LogAppendTime,
}

/// A record read from a topic.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970; -1 with [`TimestampType::NoTimestamp`].
    pub timestamp_ms: i64,
    pub timestamp_type: TimestampType,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Arc<str>, Option<Bytes>)>,
}

/// What a poll gives, in the order it happened.
#[derive(Debug)]
pub enum ConsumerEvent {
    /// The group gave us these partitions (an eager rebalance: they are all we have now).
    Assigned(Vec<TopicPartition>),
    /// We are about to lose these partitions. Finish and commit what was read of them, then drop or answer `done`: the
    /// rebalance waits for it. With `lost` they are gone already and nothing can be committed.
    Revoked { partitions: Vec<TopicPartition>, lost: bool, done: oneshot::Sender<()> },
    /// Records, in order within each partition.
    Records(Vec<ConsumerRecord>),
    /// An error of the client that it does not get over by itself, or that the task should know of.
    Error(Error),
}

/// A member of a consumer group with a thread of its own.
pub struct Consumer {}

/// Offsets to commit: the next offset to be read of each partition.
pub type CommitOffsets = Vec<(TopicPartition, i64)>;

impl Consumer {
    /// Opens a consumer with Java client properties (with `group.id`) and subscribes.
    pub fn open(_props: &ClientProps, _subscription: Subscription) -> Result<Self> {
        Ok(Self {})
    }

    /// The next event, or `None` when nothing happened within `wait`. Safe to cancel. While all is paused go on polling: that
    /// is what keeps the member in its group.
    pub async fn poll(&mut self, _wait: Duration) -> Option<ConsumerEvent> {
        None
    }

    /// Stops fetching of these partitions; records already polled but not handed out are read again after `resume`.
    pub fn pause(&self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Fetches these partitions again.
    pub fn resume(&self, _partitions: &[TopicPartition]) -> Result<()> {
        Ok(())
    }

    /// Makes `offset` the next one to be read. Records of the partition that were read ahead are dropped.
    pub async fn seek(&mut self, _partition: &TopicPartition, _offset: i64) -> Result<()> {
        Ok(())
    }

    /// Commits and waits for the answer.
    pub async fn commit(&self, _offsets: CommitOffsets) -> Result<()> {
        Ok(())
    }

    /// Commits without waiting; the receiver gets the outcome.
    pub fn commit_async(&self, _offsets: CommitOffsets) -> oneshot::Receiver<Result<()>> {
        let (answer, outcome) = oneshot::channel();
        let _unused = answer.send(Err(Error::new(ErrorKind::Fatal, "not connected")));
        outcome
    }

    /// The partitions assigned now.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// The next offset that `poll` will hand out, once it has handed out any or a seek has been made.
    pub fn position(&self, _partition: &TopicPartition) -> Option<i64> {
        None
    }

    /// The committed offset of these partitions (`None`: none yet).
    pub async fn committed(
        &self,
        _partitions: &[TopicPartition],
        _timeout: Duration,
    ) -> Result<Vec<(TopicPartition, Option<i64>)>> {
        Ok(Vec::new())
    }

    /// Leaves the group and ends the thread. Commit before.
    pub async fn close(self, _timeout: Duration) -> Result<()> {
        Ok(())
    }
}
