//! The task against a server of a few lines that says what it is told to say: retries, failures, what is rejected.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, doc};
use connect_api::{Error, Origin, Rejected, SinkConnector, SinkContext, SinkRecord, SinkTask, TopicPartition};
use parking::Parked;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::MongoSinkConnector;
use crate::record_tests::{props, record};

#[path = "positions_tests.rs"]
mod positions;

/// What the server does with the next write command.
#[derive(Clone, Debug)]
enum Answer {
    Reply(Document),
    /// The connection goes, as in a crash.
    Close,
}

mod parking {
    //! What the server and the test share.
    use super::{Answer, Document, VecDeque};

    #[derive(Default)]
    pub(super) struct Parked {
        pub(super) answers: std::sync::Mutex<VecDeque<Answer>>,
        pub(super) commands: std::sync::Mutex<Vec<Document>>,
        /// What every search finds.
        pub(super) found: std::sync::Mutex<Vec<Document>>,
    }
}

const WRITES: [&str; 3] = ["insert", "update", "delete"];
/// What is remembered, too, but answered as it has to be.
const OTHERS: [&str; 3] = ["find", "commitTransaction", "abortTransaction"];

/// Serves connections until the test ends; gives the address.
async fn serve(shared: Arc<Parked>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let own = address.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (shared, address) = (shared.clone(), own.clone());
            tokio::spawn(async move {
                // A connection that ends is the client's business.
                connection(stream, &shared, &address).await.unwrap_or_default();
            });
        }
    });
    address
}

async fn connection(mut stream: TcpStream, shared: &Parked, address: &str) -> std::io::Result<()> {
    loop {
        let mut head = [0; 16];
        stream.read_exact(&mut head).await?;
        let word = |at: usize| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut body = vec![0; usize::try_from(word(0)).unwrap() - 16];
        stream.read_exact(&mut body).await?;
        let legacy = word(12) == 2004;
        let raw = if legacy {
            // OP_QUERY: flags, name, two numbers, document.
            let name = body[4..].iter().position(|byte| *byte == 0).unwrap() + 5 + 8;
            body[name..].to_vec()
        } else {
            // OP_MSG: flags, section kind 0, document.
            body[5..].to_vec()
        };
        let command = Document::try_from(&RawDocumentBuf::from_bytes(raw).unwrap()).unwrap();
        let name = command.keys().next().unwrap().clone();
        let reply = if WRITES.contains(&name.as_str()) {
            shared.commands.lock().unwrap().push(command);
            match shared.answers.lock().unwrap().pop_front() {
                Some(Answer::Close) => return Ok(()),
                Some(Answer::Reply(reply)) => reply,
                None => doc! {"ok": 1.0, "n": 1},
            }
        } else if OTHERS.contains(&name.as_str()) {
            shared.commands.lock().unwrap().push(command);
            let found = shared.found.lock().unwrap().clone();
            doc! {"ok": 1.0, "cursor": {"id": 0_i64, "ns": "db.c", "firstBatch": found}}
        } else {
            doc! {
                "ok": 1.0, "isWritablePrimary": true, "ismaster": true, "helloOk": true, "setName": "rs", "me": address, "primary": address,
                "hosts": [address], "setVersion": 1, "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000,
                "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21, "logicalSessionTimeoutMinutes": 30,
            }
        };
        let reply = RawDocumentBuf::try_from(&reply).unwrap();
        let prefix: &[u8] =
            if legacy { &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0] } else { &[0; 5] };
        let length = i32::try_from(16 + prefix.len() + reply.as_bytes().len()).unwrap();
        let opcode: i32 = if legacy { 1 } else { 2013 };
        let mut out = Vec::new();
        for part in [length, 0, word(4), opcode] {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend_from_slice(prefix);
        out.extend_from_slice(reply.as_bytes());
        stream.write_all(&out).await?;
    }
}

/// A task, the server's memory, and the server's address.
struct Rig {
    task: Box<dyn SinkTask>,
    shared: Arc<Parked>,
    address: String,
}

impl Rig {
    async fn new(settings: &[(&str, &str)], answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with_options("", settings, answers).await
    }

    /// With more options in the connection string.
    async fn with_options(options: &str, settings: &[(&str, &str)], answers: impl IntoIterator<Item = Answer>) -> Self {
        let shared = Arc::new(Parked::default());
        shared.answers.lock().unwrap().extend(answers);
        let address = serve(shared.clone()).await;
        let uri =
            format!("mongodb://{address}/?directConnection=true&w=majority&serverSelectionTimeoutMS=5000{options}");
        let mut props = props(&[
            ("document.id.strategy", "{sink}processor.id.strategy.ProvidedInValueStrategy"),
            ("writemodel.strategy", "{sink}writemodel.strategy.InsertOneDefaultStrategy"),
        ]);
        props.insert("connection.uri".to_owned(), Some(uri));
        props.extend(super::record_tests::props(settings));
        let context = SinkContext {
            connector: Arc::from("test"),
            task: 0,
            cancel: CancellationToken::new(),
            reports_errors: true,
            metrics: connect_api::Metrics::default(),
        };
        let task = MongoSinkConnector.start_task(props, context).await.unwrap();
        Self { task, shared, address }
    }

    async fn put(&mut self, ids: std::ops::Range<i64>) -> Result<Vec<Rejected>, Error> {
        let records: Vec<_> = ids.map(|id| at(id, json!({"_id": id}))).collect();
        self.task.put(&records).await
    }

    /// Expects that the records are to come again.
    async fn put_in_vain(&mut self, records: &[SinkRecord]) {
        let error = self.task.put(records).await.unwrap_err();
        assert!(error.kind().retriable(), "{}", error.trace());
    }

    fn commands(&self) -> Vec<Document> {
        self.shared.commands.lock().unwrap().clone()
    }

    /// The `_id`s of the documents of each insert.
    fn inserted(&self) -> Vec<Vec<Bson>> {
        let ids = |document: &Bson| document.as_document().unwrap().get("_id").unwrap().clone();
        self.commands()
            .iter()
            .map(|command| command.get_array("documents").unwrap().iter().map(ids).collect())
            .collect()
    }
}

/// A record at an offset of the first partition of topic `t`.
fn at(offset: i64, body: serde_json::Value) -> SinkRecord {
    at_topic("t", offset, body)
}

fn at_topic(topic: &str, offset: i64, body: serde_json::Value) -> SinkRecord {
    let mut record = record(json!(null), body);
    if let Origin::Sink(origin) = &mut record.record.origin {
        (origin.offset, origin.original_offset) = (offset, offset);
        origin.original_topic = Arc::from(topic);
    }
    record
}

fn longs(ids: &[&[i64]]) -> Vec<Vec<Bson>> {
    ids.iter().map(|ids| ids.iter().map(|id| Bson::Int64(*id)).collect()).collect()
}

const ALL: (&str, &str) = ("errors.tolerance", "all");
const RETRY: (&str, &str) = ("transient.errors.retry.timeout.ms", "60000");
const ISOLATE: (&str, &str) = ("errors.isolate.bad.records", "true");
const OWN_IDS: (&str, &str) = ("document.id.strategy", "{sink}processor.id.strategy.BsonOidStrategy");

fn not_primary() -> Answer {
    Answer::Reply(doc! {
        "ok": 0.0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary",
        "errorLabels": ["RetryableWriteError"],
    })
}

fn duplicate(index: i32) -> Answer {
    Answer::Reply(
        doc! {"ok": 1.0, "n": index, "writeErrors": [{"index": index, "code": 11000, "errmsg": "E11000 dup"}]},
    )
}

/// Places, classes and messages.
fn shown(rejected: &[Rejected]) -> Vec<(usize, &str, &str)> {
    let short = |class: &'static str| class.rsplit('.').next().unwrap_or(class);
    rejected.iter().map(|r| (r.index, short(r.error.java_class()), r.error.message())).collect()
}

#[tokio::test]
async fn a_batch_is_one_retryable_command_with_the_write_concern_of_the_uri() {
    let mut rig = Rig::new(&[], []).await;
    assert!(rig.put(0..3).await.unwrap().is_empty());
    let commands = rig.commands();
    assert_eq!(commands.len(), 1);
    let command = &commands[0];
    assert_eq!(command.get("writeConcern"), Some(&Bson::Document(doc! {"w": "majority"})));
    assert_eq!(command.get("documents"), Some(&bson::bson!([{"_id": 0_i64}, {"_id": 1_i64}, {"_id": 2_i64}])));
    assert!(command.contains_key("lsid") && command.contains_key("txnNumber"));
    rig.task.stop().await.unwrap();
}

#[tokio::test]
async fn a_retryable_error_is_tried_once_more_under_the_same_number() {
    for first in [not_primary(), Answer::Close] {
        let mut rig = Rig::new(&[], [first]).await;
        assert!(rig.put(0..2).await.unwrap().is_empty());
        let commands = rig.commands();
        assert_eq!(commands.len(), 2);
        assert_eq!(commands[0].get("txnNumber"), commands[1].get("txnNumber"));
        assert_eq!(commands[0].get("lsid"), commands[1].get("lsid"));
    }
}

#[tokio::test]
async fn an_error_that_stays_fails_the_task_or_rejects_the_batch() {
    let mut rig = Rig::new(&[], [not_primary(), not_primary()]).await;
    let error = rig.put(0..2).await.unwrap_err();
    assert!(!error.kind().retriable());
    assert!(error.message().starts_with("com.mongodb.MongoNotPrimaryException: Command failed with error 10107"));
    let mut rig = Rig::new(&[ALL], [not_primary(), not_primary()]).await;
    let rejected = rig.put(0..2).await.unwrap();
    let classes: Vec<_> = shown(&rejected).into_iter().map(|(index, class, _)| (index, class)).collect();
    assert_eq!(classes, [(0, "MongoNotPrimaryException"), (1, "MongoNotPrimaryException")]);
    let mut rig = Rig::new(&[ALL, ("mongo.errors.tolerance", "data")], [not_primary(), not_primary()]).await;
    assert_eq!(rig.put(0..2).await.unwrap_err().message(), "non Data Error, fail the connector.");
}

#[tokio::test]
async fn errors_that_pass_are_given_back_when_a_job_asks_for_it() {
    let mut rig = Rig::new(&[ALL, RETRY], [not_primary(), not_primary()]).await;
    let error = rig.put(0..2).await.unwrap_err();
    assert!(error.kind().retriable(), "{}", error.trace());
    assert!(rig.put(0..2).await.unwrap().is_empty());
    assert_eq!(rig.commands().len(), 3);
    // Errors of data are not waited out.
    let mut rig = Rig::new(&[RETRY], [duplicate(0)]).await;
    assert!(!rig.put(0..2).await.unwrap_err().kind().retriable());
}

#[tokio::test]
async fn an_ordered_bulk_skips_what_stands_behind_the_bad_record() {
    let mut rig = Rig::new(&[ALL], [duplicate(1)]).await;
    let rejected = rig.put(0..4).await.unwrap();
    let message = "v=1, code=11000, message=E11000 dup, details={}";
    assert_eq!(
        shown(&rejected),
        [(1, "WriteException", message), (2, "WriteSkippedException", ""), (3, "WriteSkippedException", "")]
    );
    let mut rig = Rig::new(&[ALL, ("bulk.write.ordered", "false")], [duplicate(1)]).await;
    assert_eq!(shown(&rig.put(0..4).await.unwrap()), [(1, "WriteException", message)]);
    let mut rig = Rig::new(&[], [duplicate(1)]).await;
    let error = rig.put(0..4).await.unwrap_err();
    let expected = format!(
        "com.mongodb.MongoBulkWriteException: Bulk write operation error on server {}. Write errors: \
         [BulkWriteError{{index=1, code=11000, message='E11000 dup', details={{}}}}]. ",
        rig.address
    );
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn a_write_concern_error_concerns_every_record() {
    let concern = doc! {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "slow", "errInfo": {"wtimeout": true}};
    let mut rig = Rig::new(&[ALL], [Answer::Reply(doc! {"ok": 1.0, "n": 2, "writeConcernError": concern})]).await;
    let message = "v=1, code=64, codeName=WriteConcernFailed, message=slow, details={\"wtimeout\": true}";
    assert_eq!(
        shown(&rig.put(0..2).await.unwrap()),
        [(0, "WriteConcernException", message), (1, "WriteConcernException", message)]
    );
}

#[tokio::test]
async fn a_bad_record_without_tolerance_writes_nothing_of_its_poll() {
    let mut rig = Rig::new(&[], []).await;
    let records = [at(1, json!({"_id": 1})), at(2, json!({"a": 1}))];
    assert!(rig.task.put(&records).await.is_err());
    assert!(rig.commands().is_empty());
    // Tolerated by the sink but not by the worker: the first report fails the task, and nothing is written either.
    let mut rig = Rig::new(&[("mongo.errors.tolerance", "all")], []).await;
    assert_eq!(rig.task.put(&records).await.unwrap().len(), 1);
    assert!(rig.commands().is_empty());
}

#[tokio::test]
async fn batches_are_cut_at_their_size() {
    let mut rig = Rig::new(&[("max.batch.size", "2")], []).await;
    assert!(rig.put(0..5).await.unwrap().is_empty());
    let sizes: Vec<_> = rig.commands().iter().map(|c| c.get_array("documents").unwrap().len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
}

#[tokio::test]
async fn ids_and_the_number_of_a_write_without_an_answer_stay_as_they_were() {
    let records: Vec<_> = (0..3).map(|offset| at(offset, json!({"v": offset}))).collect();
    let mut rig = Rig::new(&[RETRY, OWN_IDS], [Answer::Close, Answer::Close]).await;
    rig.put_in_vain(&records).await;
    assert!(rig.task.put(&records).await.unwrap().is_empty());
    let (inserted, commands) = (rig.inserted(), rig.commands());
    assert_eq!(inserted.len(), 3);
    assert!(inserted.iter().all(|ids| *ids == inserted[0]), "{inserted:?}");
    assert!(commands.iter().all(|command| command.get("txnNumber") == commands[0].get("txnNumber")));
    // The next records are another write.
    assert!(rig.task.put(&[at(3, json!({"v": 3}))]).await.unwrap().is_empty());
    assert_ne!(rig.commands()[3].get("txnNumber"), commands[0].get("txnNumber"));
}

#[tokio::test]
async fn nothing_acknowledged_is_written_twice() {
    let done = Answer::Reply(doc! {"ok": 1.0, "n": 2});
    let mut rig = Rig::new(&[RETRY, ("max.batch.size", "2")], [done, not_primary(), not_primary()]).await;
    let error = rig.put(0..5).await.unwrap_err();
    assert!(error.kind().retriable());
    assert!(rig.put(0..6).await.unwrap().is_empty());
    assert_eq!(rig.inserted(), longs(&[&[0, 1], &[2, 3], &[2, 3], &[2, 3], &[4, 5]]));
}

#[tokio::test]
async fn records_of_partitions_that_are_gone_are_not_written_and_those_behind_are() {
    let retry_off = "&retryWrites=false";
    let mut rig = Rig::with_options(retry_off, &[RETRY], [Answer::Close]).await;
    let given = [at_topic("a", 1, json!({"_id": 1})), at_topic("b", 1, json!({"_id": 2})), at(3, json!({"_id": 3}))];
    rig.put_in_vain(&given).await;
    rig.task.close(&[TopicPartition { topic: Arc::from("a"), partition: 1 }]).await.unwrap();
    let again = [given[1].clone(), given[2].clone(), at(4, json!({"_id": 4}))];
    assert!(rig.task.put(&again).await.unwrap().is_empty());
    assert_eq!(rig.inserted(), longs(&[&[1, 2, 3], &[2, 3, 4]]));
}

#[tokio::test]
async fn a_record_that_finds_its_own_document_is_written() {
    let taken = |index: i32, keys: Document| {
        let error = doc! {"index": index, "code": 11000, "errmsg": "E11000 dup", "keyPattern": keys};
        Answer::Reply(doc! {"ok": 1.0, "n": index, "writeErrors": [error]})
    };
    let records: Vec<_> = (0..4).map(|offset| at(offset, json!({"v": offset}))).collect();
    let retry_off = "&retryWrites=false";
    for strategy in ["BsonOidStrategy", "UuidStrategy", "KafkaMetaDataStrategy"] {
        let strategy = format!("{{sink}}processor.id.strategy.{strategy}");
        let settings = [RETRY, ALL, ("document.id.strategy", strategy.as_str())];
        let answers = [Answer::Close, taken(0, doc! {"_id": 1}), taken(1, doc! {"_id": 1})];
        let mut rig = Rig::with_options(retry_off, &settings, answers).await;
        rig.put_in_vain(&records).await;
        assert!(rig.task.put(&records).await.unwrap().is_empty());
        let sizes: Vec<_> = rig.inserted().iter().map(Vec::len).collect();
        assert_eq!(sizes, [4, 4, 3, 1], "{strategy}");
    }
    // Another index, an attempt that was answered, an id that is the record's: all of them are errors of the record.
    let mut rig = Rig::with_options(
        retry_off,
        &[RETRY, ALL, ISOLATE, OWN_IDS],
        [Answer::Close, taken(0, doc! {"u": 1}), taken(1, doc! {"_id": 1})],
    )
    .await;
    rig.put_in_vain(&records).await;
    let rejected = rig.task.put(&records).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
    let mut rig = Rig::new(&[RETRY, ALL, ISOLATE, OWN_IDS], [taken(2, doc! {"_id": 1})]).await;
    assert_eq!(rig.task.put(&records).await.unwrap().len(), 1);
    let mut rig =
        Rig::with_options(retry_off, &[RETRY, ALL, ISOLATE], [Answer::Close, taken(0, doc! {"_id": 1})]).await;
    let error = rig.put(0..2).await.unwrap_err();
    assert!(error.kind().retriable());
    assert_eq!(rig.put(0..2).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_was_not_confirmed_in_time_is_asked_for_again_under_its_number() {
    let late = || {
        let concern =
            doc! {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "slow", "errInfo": {"wtimeout": true}};
        Answer::Reply(doc! {"ok": 1.0, "n": 2, "writeConcernError": concern})
    };
    let mut rig = Rig::new(&[RETRY, ALL], [late(), late()]).await;
    for _ in 0..2 {
        let error = rig.put(0..2).await.unwrap_err();
        assert!(error.kind().retriable());
        assert!(error.message().contains("Write concern error"), "{}", error.trace());
    }
    assert!(rig.put(0..2).await.unwrap().is_empty());
    let commands = rig.commands();
    assert_eq!(commands.len(), 3);
    assert!(commands.iter().all(|command| command.get("txnNumber") == commands[0].get("txnNumber")));
    // Without numbers an insert under an id of the record could be done twice.
    let mut rig = Rig::with_options("&retryWrites=false", &[RETRY, ALL], [late()]).await;
    assert_eq!(rig.put(0..2).await.unwrap().len(), 2);
    let mut rig = Rig::with_options("&retryWrites=false", &[RETRY, ALL, OWN_IDS], [late()]).await;
    rig.put_in_vain(&[at(0, json!({"v": 0}))]).await;
}

#[tokio::test]
async fn retries_end_when_they_are_used_up() {
    let settings = [RETRY, ("max.num.retries", "1"), ("retries.defer.timeout", "1234")];
    let down = || std::iter::repeat_n(not_primary(), 4);
    let mut rig = Rig::new(&settings, down()).await;
    let error = rig.put(0..2).await.unwrap_err();
    assert!(error.kind().retriable());
    assert_eq!(error.retry_in(), Some(std::time::Duration::from_millis(1234)));
    assert!(rig.task.bounds_retries());
    let error = rig.put(0..2).await.unwrap_err();
    assert!(!error.kind().retriable());
    assert!(error.root().kind().retriable(), "whoever tries failed tasks again knows that it passes");
    let mut rig = Rig::new(&[settings[0], settings[1], ALL], down()).await;
    assert!(rig.put(0..2).await.unwrap_err().kind().retriable());
    assert_eq!(rig.put(0..2).await.unwrap().len(), 2, "as on the JVM");
    // Without the time nothing is tried again.
    let mut rig = Rig::new(&settings[1..], down()).await;
    assert!(!rig.put(0..2).await.unwrap_err().kind().retriable());
    assert!(!rig.task.bounds_retries());
}

#[tokio::test]
async fn only_the_bad_record_is_rejected_and_what_stands_behind_it_is_written() {
    let mut rig = Rig::new(&[ALL, ISOLATE], [duplicate(1), duplicate(1)]).await;
    let message = "v=1, code=11000, message=E11000 dup, details={}";
    let rejected = rig.put(0..6).await.unwrap();
    assert_eq!(shown(&rejected), [(1, "WriteException", message), (3, "WriteException", message)]);
    assert_eq!(rig.inserted(), longs(&[&[0, 1, 2, 3, 4, 5], &[2, 3, 4, 5], &[4, 5]]));
    // Without tolerance the first one fails the task.
    let mut rig = Rig::new(&[ISOLATE], [duplicate(1)]).await;
    assert!(!rig.put(0..4).await.unwrap_err().kind().retriable());
    assert_eq!(rig.commands().len(), 1);
}

#[tokio::test]
async fn a_record_that_cannot_be_encoded_is_rejected_alone() {
    let replace = ("writemodel.strategy", "{sink}writemodel.strategy.ReplaceOneDefaultStrategy");
    let records = [at(0, json!({"_id": 0})), at(1, json!({"_id": 1, "$bad": 1})), at(2, json!({"_id": 2}))];
    let mut rig = Rig::new(&[ALL, ISOLATE, replace], []).await;
    let rejected = rig.task.put(&records).await.unwrap();
    assert_eq!(shown(&rejected), [(1, "IllegalArgumentException", "Invalid BSON field name $bad")]);
    let commands = rig.commands();
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].get_array("updates").unwrap().len(), 2);
    let mut rig = Rig::new(&[ALL, replace], []).await;
    assert_eq!(rig.task.put(&records).await.unwrap().len(), 3, "as on the JVM");
    assert!(rig.commands().is_empty());
}

#[tokio::test]
async fn the_record_for_which_a_whole_command_is_refused_is_searched_for() {
    let refused = || Answer::Reply(doc! {"ok": 0.0, "errmsg": "too deep", "code": 15, "codeName": "Overflow"});
    let done = || Answer::Reply(doc! {"ok": 1.0, "n": 1});
    let mut rig = Rig::new(&[ALL, ISOLATE], [refused(), refused(), done(), refused(), done()]).await;
    let rejected = rig.put(0..4).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [1]);
    assert!(rejected[0].error.message().contains("too deep"));
    assert_eq!(rig.inserted(), longs(&[&[0, 1, 2, 3], &[0, 1], &[0], &[1], &[2, 3]]));
}

#[tokio::test]
async fn what_no_record_is_to_blame_for_rejects_none() {
    let forbidden = Answer::Reply(doc! {"ok": 0.0, "errmsg": "no", "code": 13, "codeName": "Unauthorized"});
    for answers in [vec![not_primary(), not_primary()], vec![forbidden]] {
        let mut rig = Rig::new(&[ALL, ISOLATE], answers).await;
        assert!(!rig.put(0..2).await.unwrap_err().kind().retriable());
    }
}

#[tokio::test]
async fn what_was_rejected_before_an_error_that_passes_is_reported_with_the_rest() {
    let errors = doc! {"ok": 1.0, "n": 1, "writeErrors": [
        {"index": 0, "code": 11000, "errmsg": "E11000 dup"}, {"index": 2, "code": 112, "errmsg": "conflict"},
    ]};
    let settings = [ALL, RETRY, ("bulk.write.ordered", "false")];
    let mut rig = Rig::new(&settings, [Answer::Reply(errors)]).await;
    assert!(rig.put(0..3).await.unwrap_err().kind().retriable());
    let rejected = rig.put(0..3).await.unwrap();
    assert_eq!(shown(&rejected), [(0, "WriteException", "v=1, code=11000, message=E11000 dup, details={}")]);
    assert_eq!(rig.inserted(), longs(&[&[0, 1, 2], &[2]]));
}
