//! What a sink task takes from its consumer while a `put` is under way: the sink waits for its server then, and the next records
//! are decoded meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use connect_api::{SinkRecord, SinkTask};

use crate::convert::Converters;
use crate::io::{Consume, ConsumerEvent, ConsumerRecord};

/// An event that is to be handled, in the order in which they came.
pub(super) struct Coming {
    pub(super) event: ConsumerEvent,
    /// What became of its records, of the first ones at least, as far as they were decoded already; `None` for those that a
    /// transform drops.
    pub(super) decoded: Vec<Option<SinkRecord>>,
}

impl From<ConsumerEvent> for Coming {
    fn from(event: ConsumerEvent) -> Self {
        Self { event, decoded: Vec::new() }
    }
}

impl Coming {
    /// Whether it says no more than that a partition was read to its end. Such an event holds up no records.
    pub(super) fn is_an_end(&self) -> bool {
        matches!(self.event, ConsumerEvent::Reached(_))
    }

    /// Decodes its records up to one that something is wrong with: that is found again, and reported, when its turn has come.
    pub(super) fn decode(&mut self, converters: &Converters, looked_at: &LookedAt) {
        let ConsumerEvent::Records(raw) = &self.event else { return };
        self.decoded.reserve_exact(raw.len());
        for record in raw {
            let Some(fields) = looked_at.known(&record.topic) else { return };
            let Ok(record) = converters.decode(record, fields) else { return };
            self.decoded.push(record);
        }
    }
}

/// The next event: what came during a `put` first.
pub(super) async fn next_event(
    consumer: &mut dyn Consume,
    backlog: &mut VecDeque<Coming>,
    wait: Duration,
) -> Option<Coming> {
    match backlog.pop_front() {
        Some(coming) => Some(coming),
        None => consumer.poll(wait).await.map(Coming::from),
    }
}

/// The records of an event, each with what it was decoded to, if it was.
pub(super) fn each(
    raw: &[ConsumerRecord],
    decoded: Vec<Option<SinkRecord>>,
) -> impl Iterator<Item = (&ConsumerRecord, Option<Option<SinkRecord>>)> {
    let mut decoded = decoded.into_iter();
    raw.iter().map(move |record| (record, decoded.next()))
}

/// The fields of a value that are looked at, when these are not all.
pub(super) type Fields = Option<&'static [&'static str]>;

/// Which fields are looked at of the topic of the record before.
#[derive(Default)]
pub(super) struct LookedAt(Option<(Arc<str>, Fields)>);

impl LookedAt {
    pub(super) fn of(&mut self, topic: &Arc<str>, task: &mut dyn SinkTask, converters: &Converters) -> Fields {
        self.known(topic).unwrap_or_else(|| {
            // A transform may look at all of a record.
            let fields = (!converters.transforms()).then(|| task.value_fields(topic)).flatten();
            self.0 = Some((Arc::clone(topic), fields));
            fields
        })
    }

    fn known(&self, topic: &Arc<str>) -> Option<Fields> {
        self.0.as_ref().and_then(|(known, fields)| Arc::ptr_eq(known, topic).then_some(*fields))
    }
}
