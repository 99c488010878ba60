//! The task against a server of a few lines that says what it is told to say: retries, failures, what is rejected.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::{Bson, Document, RawDocumentBuf, doc};
use connect_api::{Error, Rejected, SinkConnector, SinkContext, SinkTask};
use parking::Parked;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::MongoSinkConnector;
use crate::record_tests::{props, record};

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
    }
}

const WRITES: [&str; 3] = ["insert", "update", "delete"];

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
        let shared = Arc::new(Parked::default());
        shared.answers.lock().unwrap().extend(answers);
        let address = serve(shared.clone()).await;
        let uri = format!("mongodb://{address}/?directConnection=true&w=majority&serverSelectionTimeoutMS=5000");
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
        let records: Vec<_> = ids.map(|id| record(json!(null), json!({"_id": id}))).collect();
        self.task.put(&records).await
    }

    fn commands(&self) -> Vec<Document> {
        self.shared.commands.lock().unwrap().clone()
    }
}

const ALL: (&str, &str) = ("errors.tolerance", "all");

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
    let retry = ("transient.errors.retry.timeout.ms", "60000");
    let mut rig = Rig::new(&[ALL, retry], [not_primary(), not_primary()]).await;
    let error = rig.put(0..2).await.unwrap_err();
    assert!(error.kind().retriable(), "{}", error.trace());
    assert!(rig.put(0..2).await.unwrap().is_empty());
    assert_eq!(rig.commands().len(), 3);
    // Errors of data are not waited out.
    let mut rig = Rig::new(&[retry], [duplicate(0)]).await;
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
    let records = [record(json!(null), json!({"_id": 1})), record(json!(null), json!({"a": 1}))];
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
