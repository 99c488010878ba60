//! The offsets of source connectors: a map in memory, fed by the offsets topic, and one shared way to write.
//!
//! Invariant (number 5 of the architecture): a source position is confirmed upstream only after the produced records *and*
//! the offset record are durable. [`OffsetStore::write`] returns when the records are durable, and nothing else calls
//! `SourceTask::committed` than the code that awaited it.
//!
//! What is read is always what the topic says: a write changes the map only when it comes back through the log.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connect_api::java::hash;
use connect_api::{Error, OffsetMap, OffsetReader, Result, Value};
use connect_cluster::{OffsetEntry, offset_record};
use futures_util::FutureExt;
use indexmap::IndexMap;
use parking_lot::RwLock;

use crate::io::OffsetLog;

/// The partition of a source: an object, or null.
type Partition = Option<OffsetMap>;

/// The offsets of one connector, by the bytes of their keys, in the order in which they were first seen.
type ConnectorOffsets = IndexMap<Bytes, (OffsetMap, OffsetMap)>;

/// What the log said so far. Cheap to clone: all clones are one map.
#[derive(Clone, Default)]
pub struct OffsetTable {
    connectors: Arc<RwLock<HashMap<String, ConnectorOffsets>>>,
}

impl OffsetTable {
    /// Takes in one record of the log. A record that isn't an offset is left out, as the JVM does.
    pub fn apply(&self, key: Option<&[u8]>, value: Option<&[u8]>) {
        let Some(key) = key else { return };
        let Some((connector, partition)) = offset_record::decode_key(key) else {
            tracing::warn!(bytes = key.len(), "ignoring a record of the offsets topic whose key is not an offset's");
            return;
        };
        let offset = match value.map(offset_record::decode_value) {
            None => None,
            Some(Some(offset)) => Some(offset),
            Some(None) => {
                tracing::warn!(connector, "ignoring a record of the offsets topic whose value is not an offset");
                return;
            }
        };
        let mut connectors = self.connectors.write();
        match offset {
            Some(offset) => {
                connectors.entry(connector).or_default().insert(Bytes::copy_from_slice(key), (partition, offset));
            }
            None => {
                if let Some(offsets) = connectors.get_mut(&connector) {
                    offsets.shift_remove(key);
                }
            }
        }
    }

    /// The offset of a partition; by the exact bytes of the key first, then by its content in any order of fields.
    fn get(&self, connector: &str, partition: &OffsetMap) -> Option<OffsetMap> {
        let connectors = self.connectors.read();
        let offsets = connectors.get(connector)?;
        if let Ok(key) = offset_record::encode_key(connector, Some(partition))
            && let Some((_, offset)) = offsets.get(key.as_slice())
        {
            return Some(offset.clone());
        }
        offsets.values().find(|(p, _)| p == partition).map(|(_, offset)| offset.clone())
    }

    /// All offsets of a connector.
    fn all(&self, connector: &str) -> Vec<(OffsetMap, OffsetMap)> {
        self.connectors.read().get(connector).map(|offsets| offsets.values().cloned().collect()).unwrap_or_default()
    }
}

/// A record of the offsets topic.
pub(crate) type OffsetRecord = (Option<Bytes>, Option<Bytes>);

/// The store: the worker's, or that of one connector (`offsets.storage.topic`, `ConnectorOffsetBackingStore`), which falls
/// back on the worker's for partitions that it does not have.
pub struct OffsetStore {
    table: OffsetTable,
    log: Arc<dyn OffsetLog>,
    fallback: Option<Arc<Self>>,
}

impl OffsetStore {
    /// A store over a log that was opened with this table as its sink.
    pub fn new(table: OffsetTable, log: Arc<dyn OffsetLog>) -> Self {
        Self { table, log, fallback: None }
    }

    /// Makes it a connector's own store beside the worker's.
    #[must_use]
    pub fn falling_back_on(self, worker: Arc<Self>) -> Self {
        Self { fallback: Some(worker), ..self }
    }

    /// Offsets of a connector as records; `None` removes one.
    pub(crate) fn records(connector: &str, offsets: &[(Partition, Option<OffsetMap>)]) -> Result<Vec<OffsetRecord>> {
        let record = |(partition, offset): &(Partition, Option<OffsetMap>)| {
            let key = offset_record::encode_key(connector, partition.as_ref()).map_err(unstorable)?;
            let value = offset_record::encode_value(offset.as_ref()).map_err(unstorable)?;
            Ok((Some(Bytes::from(key)), value.map(Bytes::from)))
        };
        offsets.iter().map(record).collect()
    }

    /// Writes offsets of a connector (`None` removes one) and waits until they are durable.
    pub async fn write(&self, connector: &str, offsets: &[(Partition, Option<OffsetMap>)]) -> Result<()> {
        let records = Self::records(connector, offsets)?;
        self.remove_behind(&records).await?;
        self.log.append_all(&records).await?;
        self.copy_behind(&records);
        Ok(())
    }

    /// Removes offsets from the store behind this one, which has to come first: one that were left there would be read again.
    pub(crate) async fn remove_behind(&self, records: &[OffsetRecord]) -> Result<()> {
        let Some(worker) = &self.fallback else { return Ok(()) };
        let removed: Vec<OffsetRecord> = records.iter().filter(|(_, value)| value.is_none()).cloned().collect();
        if removed.is_empty() { Ok(()) } else { worker.log.append_all(&removed).await }
    }

    /// Writes offsets that are durable here to the store behind this one too. Nobody waits for that, and a failure is only
    /// logged; but the order of writes is kept.
    pub(crate) fn copy_behind(&self, records: &[OffsetRecord]) {
        let Some(worker) = &self.fallback else { return };
        let records: Vec<OffsetRecord> = records.iter().filter(|(_, value)| value.is_some()).cloned().collect();
        if records.is_empty() {
            return;
        }
        let worker = Arc::clone(worker);
        let mut copy = async move {
            if let Err(error) = worker.log.append_all(&records).await {
                tracing::warn!(trace = error.trace(), "failed to write offsets to the worker's offsets topic");
            }
        }
        .boxed();
        // The records are handed over here, before those of the next call.
        if copy.as_mut().now_or_never().is_none() {
            tokio::spawn(copy);
        }
    }

    async fn read_to_end(&self) -> Result<()> {
        match &self.fallback {
            None => self.log.read_to_end().await,
            Some(worker) => tokio::try_join!(self.log.read_to_end(), worker.log.read_to_end()).map(|_| ()),
        }
    }

    /// All offsets of a connector, as the log has them at its end.
    pub async fn read_all(&self, connector: &str) -> Result<Vec<OffsetEntry>> {
        self.read_to_end().await?;
        let mut offsets = self.table.all(connector);
        if let Some(worker) = &self.fallback {
            for (partition, offset) in worker.table.all(connector) {
                if offsets.iter().all(|(known, _)| *known != partition) {
                    offsets.push((partition, offset));
                }
            }
        }
        let entry = |(partition, offset)| OffsetEntry { partition: Some(partition), offset: Some(offset) };
        Ok(in_java_order(offsets).into_iter().map(entry).collect())
    }

    /// The offset of one partition, as the log has it at its end.
    pub async fn read(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.read_to_end().await?;
        let own = self.table.get(connector, partition);
        let behind = || self.fallback.as_ref().and_then(|worker| worker.table.get(connector, partition));
        Ok(own.or_else(behind))
    }
}

/// Brings offsets into the order in which the JVM worker, which keeps them in a hash map by partition, lists them.
fn in_java_order(offsets: Vec<(OffsetMap, OffsetMap)>) -> Vec<(OffsetMap, OffsetMap)> {
    let mut order: Vec<(Value, Value)> =
        (0_i64..).zip(&offsets).map(|(place, (partition, _))| (java_map(partition), Value::Int64(place))).collect();
    hash::order_with_capacity(order.len(), &mut order);
    let mut offsets: Vec<_> = offsets.into_iter().map(Some).collect();
    let place = |(_, place)| if let Value::Int64(place) = place { usize::try_from(place).ok() } else { None };
    order.into_iter().filter_map(place).filter_map(|place| offsets.get_mut(place)?.take()).collect()
}

/// A partition as the JVM reads it from JSON.
fn java_map(map: &OffsetMap) -> Value {
    Value::Map(map.iter().map(|(key, value)| (Value::string(key), java_value(value))).collect())
}

fn java_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int64(number),
            None => Value::Float64(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::string(text),
        serde_json::Value::Array(list) => Value::Array(list.iter().map(java_value).collect()),
        serde_json::Value::Object(map) => java_map(map),
    }
}

/// An offset of another form than Connect allows.
fn unstorable(error: offset_record::OffsetError) -> Error {
    Error::data(error.to_string())
}

/// What a task gets to read its offsets with.
pub struct TaskOffsets {
    pub store: Arc<OffsetStore>,
    pub connector: Arc<str>,
}

#[async_trait]
impl OffsetReader for TaskOffsets {
    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.store
            .read(&self.connector, partition)
            .await
            .map_err(|error| Error::new(error.kind(), "failed to read the offsets of the connector").caused_by(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryLog;

    fn map(json: &str) -> OffsetMap {
        serde_json::from_str(json).expect("an object")
    }

    fn store() -> (OffsetStore, MemoryLog) {
        let table = OffsetTable::default();
        let log = MemoryLog::new(table.clone());
        (OffsetStore::new(table, Arc::new(log.clone())), log)
    }

    #[tokio::test]
    async fn what_was_written_is_read_back_also_after_a_restart() {
        let (store, log) = store();
        let (a, b) = (map(r#"{"file":"a"}"#), map(r#"{"file":"b"}"#));
        let write = [(Some(a.clone()), Some(map(r#"{"at":1}"#))), (Some(b.clone()), Some(map(r#"{"at":2}"#)))];
        store.write("c", &write).await.expect("written");
        store.write("c", &[(Some(b.clone()), None)]).await.expect("removed");
        let (log, table) = log.reopen();
        for store in [store, OffsetStore::new(table, Arc::new(log))] {
            assert_eq!(store.read("c", &a).await.expect("read"), Some(map(r#"{"at":1}"#)));
            assert_eq!(store.read("c", &b).await.expect("read"), None);
            assert_eq!(store.read("other", &a).await.expect("read"), None);
            let all = store.read_all("c").await.expect("read");
            assert_eq!(all, [OffsetEntry { partition: Some(a.clone()), offset: Some(map(r#"{"at":1}"#)) }]);
        }
    }

    #[tokio::test]
    async fn all_offsets_are_listed_in_the_order_of_a_hash_map() {
        let (store, _log) = store();
        let at = || Some(map(r#"{"lsn":1}"#));
        let partitions = [r#"{"server":"wrong"}"#, r#"{"nope":"x"}"#].map(map);
        let write = partitions.clone().map(|partition| (Some(partition), at()));
        store.write("c", &write).await.expect("written");
        let all = store.read_all("c").await.expect("read");
        let found: Vec<_> = all.into_iter().filter_map(|entry| entry.partition).collect();
        let [server, nope] = partitions;
        assert_eq!(found, [nope, server]);
    }

    #[tokio::test]
    async fn a_partition_is_found_in_any_order_of_its_fields() {
        let (store, _log) = store();
        let written = map(r#"{"x":1,"y":2}"#);
        store.write("c", &[(Some(written), Some(map(r#"{"at":1}"#)))]).await.expect("written");
        assert_eq!(store.read("c", &map(r#"{"y":2,"x":1}"#)).await.expect("read"), Some(map(r#"{"at":1}"#)));
    }

    #[tokio::test]
    async fn a_connectors_own_store_comes_before_the_workers_and_removes_from_both() {
        let (worker, worker_log) = store();
        let worker = Arc::new(worker);
        let (own, own_log) = store();
        let own = own.falling_back_on(Arc::clone(&worker));
        let (a, b) = (map(r#"{"file":"a"}"#), map(r#"{"file":"b"}"#));
        let at = |n: i64| Some(map(&format!(r#"{{"at":{n}}}"#)));
        worker.write("c", &[(Some(a.clone()), at(1)), (Some(b.clone()), at(2))]).await.expect("written");
        own.write("c", &[(Some(a.clone()), at(3))]).await.expect("written");
        assert_eq!(own.read("c", &a).await.expect("read"), at(3));
        assert_eq!(own.read("c", &b).await.expect("read"), at(2), "the worker's where there is no other");
        let all = own.read_all("c").await.expect("read");
        let of = |partition: &OffsetMap, offset| OffsetEntry { partition: Some(partition.clone()), offset };
        assert_eq!(all, [of(&b, at(2)), of(&a, at(3))]);
        assert_eq!(worker.read("c", &a).await.expect("read"), at(3), "copied");
        own.write("c", &[(Some(a.clone()), None), (Some(b.clone()), None)]).await.expect("removed");
        assert_eq!(own.read_all("c").await.expect("read"), []);
        assert_eq!((own_log.len(), worker_log.len()), (3, 5));
        worker_log.set_failing(true);
        own.write("c", &[(Some(a.clone()), at(4))]).await.expect("a copy that fails is no failure");
        let removed = own.write("c", &[(Some(a.clone()), None)]).await;
        assert!(removed.is_err(), "what stayed behind would be read again");
        assert_eq!(own.read("c", &a).await.expect("read"), at(4));
    }

    #[test]
    fn records_that_are_no_offsets_are_left_out() {
        let table = OffsetTable::default();
        table.apply(None, Some(b"{}"));
        table.apply(Some(b"not json"), Some(b"{}"));
        table.apply(Some(br#"["c",{"p":1}]"#), Some(b"[]"));
        assert!(table.all("c").is_empty());
    }
}
