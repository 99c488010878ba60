//! What the tests of this crate share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connect_api::{Converter, Datum, Error, HeaderConverter, Result, Value};
use connect_plugins::Pipeline;

use crate::convert::{ConverterClasses, Converters};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Text as it is; the text `POISON` does not convert, in either direction.
#[derive(Default)]
pub(crate) struct Text {
    /// How many were read.
    decoded: Arc<AtomicUsize>,
}

impl Converter for Text {
    fn serialize(&self, _topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        match datum.value.as_str() {
            Some("POISON") => Err(Error::data("poisoned")),
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn deserialize(&self, _topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        match payload {
            None => Ok(Datum::null()),
            Some(bytes) if &bytes[..] == b"POISON" => Err(Error::data("poisoned")),
            Some(bytes) => Ok(Datum::schemaless(Value::string(&String::from_utf8_lossy(&bytes)))),
        }
    }
}

impl HeaderConverter for Text {
    fn serialize(&self, topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        Converter::serialize(self, topic, datum, out)
    }

    fn deserialize(&self, topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        Converter::deserialize(self, topic, payload)
    }
}

/// Text converters without transforms.
pub(crate) fn converters() -> Converters {
    counted_converters(&Arc::default())
}

/// The same, which count the values that they read.
pub(crate) fn counted_converters(decoded: &Arc<AtomicUsize>) -> Converters {
    let pipeline = Pipeline {
        key_converter: Box::new(Text::default()),
        value_converter: Box::new(Text { decoded: Arc::clone(decoded) }),
        header_converter: Box::new(Text::default()),
        transforms: Vec::new(),
    };
    let class = |name: &str| Arc::from(format!("test.{name}").as_str());
    Converters::new(pipeline, ConverterClasses { key: class("Key"), value: class("Value"), header: class("Header") })
}

/// A recovery that is on, or off.
pub(crate) fn recovery(enabled: bool) -> connect_cluster::RecoveryOf {
    connect_cluster::RecoveryPolicy { enabled, ..connect_cluster::RecoveryPolicy::default() }.for_all()
}

/// The next news of a run, but for whether it works.
pub(crate) async fn news(events: &mut tokio::sync::mpsc::Receiver<crate::unit::UnitEvent>) -> crate::unit::UnitEvent {
    loop {
        let event = tokio::time::timeout(LIMIT, events.recv()).await.expect("in time");
        let event = event.expect("an event");
        if !matches!(event.what, crate::unit::UnitNews::Working(_)) {
            return event;
        }
    }
}

/// The next news of whether a run works.
pub(crate) async fn works(events: &mut tokio::sync::mpsc::Receiver<crate::unit::UnitEvent>) -> bool {
    loop {
        let event = tokio::time::timeout(LIMIT, events.recv()).await.expect("in time");
        if let crate::unit::UnitNews::Working(works) = event.expect("an event").what {
            return works;
        }
    }
}

/// A topic with one partition.
pub(crate) fn topic(name: &str) -> crate::io::NewTopic {
    crate::io::NewTopic {
        name: name.to_owned(),
        partitions: 1,
        replication_factor: 1,
        configs: std::collections::BTreeMap::new(),
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.expect("the condition holds in time");
}
