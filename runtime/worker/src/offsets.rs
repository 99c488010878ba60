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
use connect_api::{Error, OffsetMap, OffsetReader, Result};
use connect_cluster::{OffsetEntry, offset_record};
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

/// The store.
pub struct OffsetStore {
    table: OffsetTable,
    log: Arc<dyn OffsetLog>,
}

impl OffsetStore {
    /// A store over a log that was opened with this table as its sink.
    pub fn new(table: OffsetTable, log: Arc<dyn OffsetLog>) -> Self {
        Self { table, log }
    }

    /// Writes offsets of a connector (`None` removes one) and waits until they are durable.
    pub async fn write(&self, connector: &str, offsets: &[(Partition, Option<OffsetMap>)]) -> Result<()> {
        let mut records = Vec::with_capacity(offsets.len());
        for (partition, offset) in offsets {
            let key = offset_record::encode_key(connector, partition.as_ref()).map_err(unstorable)?;
            let value = offset_record::encode_value(offset.as_ref()).map_err(unstorable)?;
            records.push((Some(Bytes::from(key)), value.map(Bytes::from)));
        }
        self.log.append_all(&records).await
    }

    /// All offsets of a connector, as the log has them at its end.
    pub async fn read_all(&self, connector: &str) -> Result<Vec<OffsetEntry>> {
        self.log.read_to_end().await?;
        Ok(self
            .table
            .all(connector)
            .into_iter()
            .map(|(partition, offset)| OffsetEntry { partition: Some(partition), offset: Some(offset) })
            .collect())
    }

    /// The offset of one partition, as the log has it at its end.
    pub async fn read(&self, connector: &str, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.log.read_to_end().await?;
        Ok(self.table.get(connector, partition))
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
    async fn a_partition_is_found_in_any_order_of_its_fields() {
        let (store, _log) = store();
        let written = map(r#"{"x":1,"y":2}"#);
        store.write("c", &[(Some(written), Some(map(r#"{"at":1}"#)))]).await.expect("written");
        assert_eq!(store.read("c", &map(r#"{"y":2,"x":1}"#)).await.expect("read"), Some(map(r#"{"at":1}"#)));
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
