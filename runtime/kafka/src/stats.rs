//! What a client's connections carry: plain counters that whoever shows metrics reads.
//!
//! Clients of librdkafka take over its statistics every few seconds; the client for requests counts by itself. Reading never
//! waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use kafka_protocol::messages::ApiKey;
use rdkafka::Statistics;

/// How often librdkafka tells its statistics, in milliseconds, unless `statistics.interval.ms` is set.
pub(crate) const INTERVAL_MS: &str = "5000";
/// librdkafka's name for it.
pub(crate) const INTERVAL: &str = "statistics.interval.ms";

/// What kind of client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsOf {
    Producer,
    Consumer,
    /// Requests about topics and groups.
    Requests,
}

/// The counters of one client.
#[derive(Debug)]
pub struct ClientStats {
    kind: StatsOf,
    client_id: String,
    connections: AtomicI64,
    incoming_bytes: AtomicU64,
    outgoing_bytes: AtomicU64,
    requests: AtomicU64,
    responses: AtomicU64,
    authenticated: AtomicU64,
    refused: AtomicU64,
    busy_us: AtomicU64,
    records: AtomicU64,
    record_bytes: AtomicU64,
    lag_max: AtomicI64,
    lag: AtomicI64,
    joins: AtomicU64,
    syncs: AtomicU64,
    heartbeats: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientNumbers {
    /// Connections that are open.
    pub connections: u64,
    pub incoming_bytes: u64,
    pub outgoing_bytes: u64,
    pub requests: u64,
    pub responses: u64,
    /// Logins that succeeded, and that the broker refused.
    pub authenticated: u64,
    pub refused: u64,
    /// Time spent writing and reading, in microseconds (not for librdkafka, which does not tell).
    pub busy_us: u64,
    /// Records sent or read, and their bytes (librdkafka only).
    pub records: u64,
    pub record_bytes: u64,
    /// How far the partition that is farthest behind its end is, in records; `None` while that is unknown.
    pub lag_max: Option<u64>,
    /// How far all partitions together are behind their ends; `None` while that is unknown of one.
    pub lag: Option<u64>,
    /// JoinGroup, SyncGroup and Heartbeat requests.
    pub joins: u64,
    pub syncs: u64,
    pub heartbeats: u64,
}

impl ClientStats {
    /// A client that has done nothing yet.
    pub(crate) fn new(kind: StatsOf, client_id: &str) -> Arc<Self> {
        Arc::new(Self {
            kind,
            client_id: client_id.to_owned(),
            connections: AtomicI64::new(0),
            incoming_bytes: AtomicU64::new(0),
            outgoing_bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            responses: AtomicU64::new(0),
            authenticated: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            busy_us: AtomicU64::new(0),
            records: AtomicU64::new(0),
            record_bytes: AtomicU64::new(0),
            lag_max: AtomicI64::new(-1),
            lag: AtomicI64::new(-1),
            joins: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            heartbeats: AtomicU64::new(0),
        })
    }

    /// What kind of client it is.
    pub const fn kind(&self) -> StatsOf {
        self.kind
    }

    /// `client.id`.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// All counters.
    pub fn numbers(&self) -> ClientNumbers {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClientNumbers {
            connections: u64::try_from(self.connections.load(Ordering::Relaxed)).unwrap_or(0),
            incoming_bytes: get(&self.incoming_bytes),
            outgoing_bytes: get(&self.outgoing_bytes),
            requests: get(&self.requests),
            responses: get(&self.responses),
            authenticated: get(&self.authenticated),
            refused: get(&self.refused),
            busy_us: get(&self.busy_us),
            records: get(&self.records),
            record_bytes: get(&self.record_bytes),
            lag_max: u64::try_from(self.lag_max.load(Ordering::Relaxed)).ok(),
            lag: u64::try_from(self.lag.load(Ordering::Relaxed)).ok(),
            joins: get(&self.joins),
            syncs: get(&self.syncs),
            heartbeats: get(&self.heartbeats),
        }
    }

    /// Takes over what librdkafka tells.
    pub(crate) fn take(&self, told: &Statistics) {
        let set = |counter: &AtomicU64, value: i64| counter.store(u64::try_from(value).unwrap_or(0), Ordering::Relaxed);
        set(&self.outgoing_bytes, told.tx_bytes);
        set(&self.incoming_bytes, told.rx_bytes);
        set(&self.requests, told.tx);
        set(&self.responses, told.rx);
        let (records, bytes) = match self.kind {
            StatsOf::Consumer => (told.rxmsgs, told.rxmsg_bytes),
            StatsOf::Producer | StatsOf::Requests => (told.txmsgs, told.txmsg_bytes),
        };
        set(&self.records, records);
        set(&self.record_bytes, bytes);
        let open = told.brokers.values().filter(|broker| broker.state == "UP").count();
        self.connections.store(i64::try_from(open).unwrap_or(i64::MAX), Ordering::Relaxed);
        // Partition -1 is librdkafka's place for records without one; a lag of -1 is one that is not known. What is not fetched
        // belongs to another member.
        let partitions = told.topics.values().flat_map(|topic| topic.partitions.values());
        let read = partitions.filter(|partition| partition.partition >= 0 && partition.fetch_state != "none");
        let lags: Vec<i64> = read.map(|partition| partition.consumer_lag).collect();
        self.lag_max.store(lags.iter().copied().max().unwrap_or(-1), Ordering::Relaxed);
        let known = !lags.is_empty() && lags.iter().all(|lag| *lag >= 0);
        self.lag.store(if known { lags.iter().sum() } else { -1 }, Ordering::Relaxed);
    }

    /// A login was refused.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A login succeeded.
    pub(crate) fn authenticated(&self) {
        self.authenticated.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is sent: its key and size.
    pub(crate) fn sent(&self, key: i16, bytes: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.outgoing_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        // Those of a group's protocol are counted by themselves, too.
        let special = match ApiKey::try_from(key) {
            Ok(ApiKey::JoinGroup) => &self.joins,
            Ok(ApiKey::SyncGroup) => &self.syncs,
            Ok(ApiKey::Heartbeat) => &self.heartbeats,
            _ => return,
        };
        special.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer was read.
    pub(crate) fn received(&self, bytes: usize) {
        self.responses.fetch_add(1, Ordering::Relaxed);
        self.incoming_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Time was spent writing or reading.
    pub(crate) fn busy(&self, spent: Duration) {
        self.busy_us.fetch_add(u64::try_from(spent.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// A connection that is open as long as this lives.
#[derive(Debug)]
pub(crate) struct Open(Arc<ClientStats>);

impl Open {
    pub(crate) fn new(stats: &Arc<ClientStats>) -> Self {
        stats.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(stats))
    }

    pub(crate) fn stats(&self) -> &ClientStats {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_while_they_are_open() {
        let stats = ClientStats::new(StatsOf::Requests, "me");
        let (one, two) = (Open::new(&stats), Open::new(&stats));
        assert_eq!(stats.numbers().connections, 2);
        drop((one, two));
        assert_eq!(stats.numbers().connections, 0);
    }

    #[test]
    fn requests_of_a_group_are_counted_by_themselves() {
        let stats = ClientStats::new(StatsOf::Requests, "me");
        for key in [3, 11, 14, 12, 12] {
            stats.sent(key, 10);
        }
        stats.received(7);
        let numbers = stats.numbers();
        assert_eq!((numbers.requests, numbers.outgoing_bytes, numbers.incoming_bytes), (5, 50, 7));
        assert_eq!((numbers.joins, numbers.syncs, numbers.heartbeats, numbers.lag_max), (1, 1, 2, None));
    }
}
