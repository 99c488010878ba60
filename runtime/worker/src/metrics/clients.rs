//! The Kafka clients of a worker: bytes, requests and connections (`SelectorMetrics`, `KafkaConsumerMetrics` ...).

use std::sync::{Arc, Weak};

use connect_kafka::{ClientNumbers, ClientStats};
use connect_metrics::{Attributes, Group, Samples, Snapshot, Source, Windows};
use parking_lot::Mutex;

/// Whose client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOf {
    Producer,
    Consumer,
    Admin,
    /// The worker's membership in its group.
    Worker,
}

impl ClientOf {
    const fn group(self) -> Group {
        match self {
            Self::Producer => Group { domain: "kafka.producer", kind: "producer-metrics" },
            Self::Consumer => Group { domain: "kafka.consumer", kind: "consumer-metrics" },
            Self::Admin => Group { domain: "kafka.admin.client", kind: "admin-client-metrics" },
            Self::Worker => Group::connect("connect-metrics"),
        }
    }
}

/// A client, as long as it is open.
pub(super) struct Client {
    of: ClientOf,
    client_id: String,
    stats: Weak<ClientStats>,
    before: Mutex<ClientNumbers>,
    rates: Rates,
}

struct Rates {
    incoming: Samples,
    outgoing: Samples,
    requests: Samples,
    responses: Samples,
    authenticated: Samples,
    refused: Samples,
    records: Samples,
    record_bytes: Samples,
    busy_us: Samples,
    joins: Samples,
    syncs: Samples,
    heartbeats: Samples,
}

impl Client {
    pub(super) fn new(of: ClientOf, stats: &Arc<ClientStats>, windows: Windows) -> Self {
        let samples = || Samples::new(windows);
        Self {
            of,
            client_id: stats.client_id().to_owned(),
            stats: Arc::downgrade(stats),
            before: Mutex::default(),
            rates: Rates {
                incoming: samples(),
                outgoing: samples(),
                requests: samples(),
                responses: samples(),
                authenticated: samples(),
                refused: samples(),
                records: samples(),
                record_bytes: samples(),
                busy_us: samples(),
                joins: samples(),
                syncs: samples(),
                heartbeats: samples(),
            },
        }
    }

    /// Adds what came since the last look to the windows.
    fn look(&self, now_ms: i64) -> Option<ClientNumbers> {
        let now = self.stats.upgrade()?.numbers();
        let before = std::mem::replace(&mut *self.before.lock(), now);
        let rates = &self.rates;
        for (samples, new, old) in [
            (&rates.incoming, now.incoming_bytes, before.incoming_bytes),
            (&rates.outgoing, now.outgoing_bytes, before.outgoing_bytes),
            (&rates.requests, now.requests, before.requests),
            (&rates.responses, now.responses, before.responses),
            (&rates.authenticated, now.authenticated, before.authenticated),
            (&rates.refused, now.refused, before.refused),
            (&rates.records, now.records, before.records),
            (&rates.record_bytes, now.record_bytes, before.record_bytes),
            (&rates.busy_us, now.busy_us, before.busy_us),
            (&rates.joins, now.joins, before.joins),
            (&rates.syncs, now.syncs, before.syncs),
            (&rates.heartbeats, now.heartbeats, before.heartbeats),
        ] {
            samples.record(new.saturating_sub(old) as f64, now_ms);
        }
        Some(now)
    }

    fn coordinator(&self, numbers: &ClientNumbers, now: i64, group: &mut Attributes) {
        group
            .gauge("join-rate", self.rates.joins.rate(now))
            .count("join-total", numbers.joins)
            .gauge("sync-rate", self.rates.syncs.rate(now))
            .count("sync-total", numbers.syncs)
            .gauge("heartbeat-rate", self.rates.heartbeats.rate(now))
            .count("heartbeat-total", numbers.heartbeats);
    }
}

impl Source for Client {
    fn read(&self, now: i64, out: &mut Snapshot) {
        let Some(numbers) = self.look(now) else { return };
        let rates = &self.rates;
        let tags = [("client-id", self.client_id.as_str())];
        let group = out.group(self.of.group(), &tags);
        group
            .gauge("connection-count", numbers.connections as f64)
            .gauge("incoming-byte-rate", rates.incoming.rate(now))
            .count("incoming-byte-total", numbers.incoming_bytes)
            .gauge("outgoing-byte-rate", rates.outgoing.rate(now))
            .count("outgoing-byte-total", numbers.outgoing_bytes)
            .gauge("request-rate", rates.requests.rate(now))
            .count("request-total", numbers.requests)
            .gauge("response-rate", rates.responses.rate(now))
            .count("response-total", numbers.responses)
            .gauge("network-io-rate", rates.requests.rate(now) + rates.responses.rate(now))
            .count("network-io-total", numbers.requests + numbers.responses)
            .gauge("failed-authentication-rate", rates.refused.rate(now))
            .count("failed-authentication-total", numbers.refused);
        if matches!(self.of, ClientOf::Admin | ClientOf::Worker) {
            // librdkafka tells neither.
            group
                .gauge("successful-authentication-rate", rates.authenticated.rate(now))
                .count("successful-authentication-total", numbers.authenticated)
                .gauge("io-ratio", rates.busy_us.rate(now) / 1e6);
        }
        match self.of {
            ClientOf::Producer => {
                group.gauge("record-send-rate", rates.records.rate(now)).count("record-send-total", numbers.records);
            }
            ClientOf::Consumer => {
                let fetches = Group { domain: "kafka.consumer", kind: "consumer-fetch-manager-metrics" };
                out.group(fetches, &tags)
                    .gauge("records-consumed-rate", rates.records.rate(now))
                    .count("records-consumed-total", numbers.records)
                    .gauge("bytes-consumed-rate", rates.record_bytes.rate(now))
                    .count("bytes-consumed-total", numbers.record_bytes)
                    .gauge("records-lag-max", numbers.lag_max.map_or(f64::NAN, |lag| lag as f64));
            }
            ClientOf::Worker => {
                let group = out.group(Group::connect("connect-coordinator-metrics"), &tags);
                self.coordinator(&numbers, now, group);
            }
            ClientOf::Admin => {}
        }
    }

    fn tick(&self, now_ms: i64) {
        self.look(now_ms);
    }

    fn alive(&self) -> bool {
        self.stats.strong_count() > 0
    }
}
