//! The source and the sink over real files.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail with them")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_api::source::OffsetMap;
use connect_api::{
    Datum, Kind, OffsetReader, Origin, Props, Record, Result, Schema, SinkConnector, SinkContext, SinkOrigin,
    SinkRecord, SourceBatch, SourceConnector, SourceContext, SourceTask, TimestampType, Value,
};
use connect_file::{FileStreamSinkConnector, FileStreamSourceConnector};
use serde_json::json;

struct Stored(Option<u64>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(self.0.map(|position| OffsetMap::from_iter([("position".to_owned(), json!(position))])))
    }
}

fn props(file: &Path, more: &[(&str, &str)]) -> Props {
    let mut props = Props::new();
    props.insert("topic".into(), Some("t".into()));
    props.insert("file".into(), Some(file.to_str().unwrap().into()));
    props.extend(more.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))));
    props
}

async fn source(file: &Path, stored: Option<u64>, more: &[(&str, &str)]) -> Box<dyn SourceTask> {
    let context = SourceContext {
        connector: "c".into(),
        task: 0,
        offsets: Arc::new(Stored(stored)),
        cancel: Default::default(),
        progress: Arc::new(|_| {}),
        metrics: Default::default(),
        transactions: None,
        recovers: true,
    };
    FileStreamSourceConnector.start_task(props(file, more), context).await.unwrap()
}

async fn poll(task: &mut Box<dyn SourceTask>) -> SourceBatch {
    tokio::time::timeout(Duration::from_secs(10), task.poll()).await.expect("a batch in time").unwrap()
}

fn texts(batch: &SourceBatch) -> Vec<&str> {
    batch.records.iter().map(|record| record.value.value.as_str().unwrap()).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn follows_a_file_that_comes_later_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.txt");
    let mut task = source(&path, None, &[]).await;
    // A poll that is dropped while it waits loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(20), task.poll()).await.is_err());
    append(&path, "one\ntw");
    let batch = poll(&mut task).await;
    assert_eq!(texts(&batch), ["one"]);
    assert_eq!(batch.checkpoints[0].offset["position"], json!(4));
    assert_eq!(batch.checkpoints[0].partition["filename"], json!(path.to_str().unwrap()));
    assert_eq!((batch.records[0].key.clone(), &*batch.records[0].topic), (Datum::null(), "t"));
    append(&path, "o\n");
    assert_eq!(texts(&poll(&mut task).await), ["two"]);
}

#[tokio::test]
async fn resumes_behind_what_was_read_in_batches() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.txt");
    append(&path, "é\nb\nc\nd\n");
    let mut task = source(&path, Some(2), &[("batch.size", "2")]).await;
    let batch = poll(&mut task).await;
    assert_eq!(texts(&batch), ["b", "c"]);
    assert_eq!((batch.checkpoints[0].after, &batch.checkpoints[0].offset["position"]), (2, &json!(6)));
    assert_eq!(texts(&poll(&mut task).await), ["d"]);
}

#[tokio::test]
async fn refuses_offsets_that_it_could_not_use() {
    let props = props(Path::new("/in"), &[]);
    let map = |value: serde_json::Value| value.as_object().cloned().unwrap();
    for (partition, offset, message) in [
        (
            json!({"filename": "f"}),
            json!({"position": "2"}),
            "The value for the 'position' key in the offset is expected to be a Long value",
        ),
        (
            json!({"filename": "f"}),
            json!({"position": -1}),
            "The value for the 'position' key in the offset should be a non-negative value",
        ),
        (
            json!({"filename": "f"}),
            json!({"pos": 2}),
            "Offset objects should either be null or contain the key 'position'",
        ),
        (json!({"x": 1}), json!({"position": 2}), "Partition objects should contain the key 'filename'"),
    ] {
        let error = FileStreamSourceConnector.alter_offsets(&props, &[(map(partition), Some(map(offset)))]).await;
        assert_eq!(error.unwrap_err().message(), message);
    }
    let reset = FileStreamSourceConnector.alter_offsets(&props, &[(map(json!({"x": 1})), None)]).await;
    assert!(reset.unwrap());
}

#[tokio::test]
async fn a_missing_topic_is_the_connectors_failure() {
    let error = FileStreamSourceConnector.task_configs(&Props::new(), 1).await.unwrap_err();
    assert_eq!(error.message(), "Missing required configuration \"topic\" which has no default value.");
}

#[tokio::test]
async fn the_sink_appends_a_line_for_each_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.txt");
    append(&path, "before\n");
    let context = SinkContext {
        connector: "c".into(),
        task: 0,
        cancel: Default::default(),
        reports_errors: false,
        metrics: Default::default(),
    };
    let mut task = FileStreamSinkConnector.start_task(props(&path, &[]), context.clone()).await.unwrap();
    let origin = SinkOrigin {
        offset: 0,
        timestamp_type: TimestampType::CreateTime,
        original_topic: "t".into(),
        original_partition: 0,
        original_offset: 0,
    };
    let record = |value: Datum| SinkRecord {
        record: Record { origin: Origin::Sink(origin.clone()), ..Record::source("t".into(), Datum::null(), value) },
        raw_key: None,
        raw_value: None,
    };
    let text = Schema::of(Kind::String).shared();
    let map = Value::Map(vec![("a".into(), 1.into())]);
    let batch = [record(Datum::new(text, "x".into())), record(Datum::schemaless(map)), record(Datum::null())];
    assert!(task.put(&batch).await.unwrap().is_empty());
    task.flush().await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\nx\n{a=1}\nnull\n");
    task.stop().await.unwrap();
    let missing = FileStreamSinkConnector.start_task(props(&dir.path().join("no/out"), &[]), context).await;
    assert!(missing.err().unwrap().message().starts_with("Couldn't find or create file"));
}
