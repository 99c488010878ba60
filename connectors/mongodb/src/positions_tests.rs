//! Lanes, collapsing and stored positions as the server sees them.

use std::collections::BTreeSet;

use connect_api::{ErrorKind, Origin, SinkRecord, TopicPartition};

use super::*;

const POSITIONS: (&str, &str) = ("exactly.once.positions.collection", "positions");
const REPLACE: (&str, &str) = ("writemodel.strategy", "{sink}writemodel.strategy.ReplaceOneDefaultStrategy");

fn at(offset: i64, id: i64) -> SinkRecord {
    let mut record = record(json!(null), json!({"_id": id, "offset": offset}));
    record.record.timestamp = Some(offset);
    if let Origin::Sink(origin) = &mut record.record.origin {
        origin.original_offset = offset;
    }
    record
}

fn records(offsets: std::ops::Range<i64>) -> Vec<SinkRecord> {
    offsets.map(|offset| at(offset, offset)).collect()
}

/// The names of commands, and of what they write to where that is not `t`.
fn names(commands: &[Document]) -> Vec<String> {
    let name = |command: &Document| {
        let (name, of) = command.iter().next().unwrap();
        match of.as_str() {
            Some("t") | None => name.clone(),
            Some(of) => format!("{name} {of}"),
        }
    };
    commands.iter().map(name).collect()
}

fn position(next: i64) -> Document {
    doc! {"_id": {"connector": "test", "topic": "t", "partition": 1}, "position": next, "timestamp": next - 1}
}

fn not_there() -> Answer {
    Answer::Reply(doc! {"ok": 1.0, "n": 0, "nModified": 0})
}

#[tokio::test]
async fn lanes_are_sessions_of_their_own() {
    let mut rig = Rig::new(&[("write.lanes", "4")], []).await;
    assert!(rig.put(0..40).await.unwrap().is_empty());
    let commands = rig.commands();
    let sessions: BTreeSet<String> = commands.iter().map(|c| c.get("lsid").unwrap().to_string()).collect();
    assert!(commands.len() > 1 && commands.len() <= 4 && sessions.len() == commands.len());
    let written: usize = commands.iter().map(|command| command.get_array("documents").unwrap().len()).sum();
    assert_eq!(written, 40);
    rig.task.stop().await.unwrap();
}

#[tokio::test]
async fn an_error_in_a_lane_is_tried_in_order_before_it_counts() {
    // Whichever lane gets it, its first statement is refused; then, written alone and in order, the one is not.
    let mut rig = Rig::new(&[("write.lanes", "4")], [duplicate(0)]).await;
    assert!(rig.put(0..40).await.unwrap().is_empty());
    let commands = rig.commands();
    let last = commands.last().unwrap().get_array("documents").unwrap();
    let first = commands.iter().find(|command| command.get_array("documents").unwrap() == last);
    assert!(first.is_some(), "what the lane had is written again");
    // Here it stays an error: what is behind it in its lane is skipped, what other lanes wrote is not.
    let mut rig = Rig::new(&[ALL, ("write.lanes", "4")], [duplicate(0)]).await;
    rig.shared.answers.lock().unwrap().extend((0..3).map(|_| Answer::Reply(doc! {"ok": 1.0})).chain([duplicate(0)]));
    let rejected = rig.put(0..40).await.unwrap();
    let commands = rig.commands();
    assert_eq!(commands.len(), 5, "with so many documents no lane is empty");
    let again = commands[4].get_array("documents").unwrap();
    assert_eq!(rejected.len(), again.len());
    let classes: BTreeSet<_> = shown(&rejected).into_iter().skip(1).map(|(_, class, _)| class).collect();
    assert_eq!(classes, BTreeSet::from(["WriteSkippedException"]));
}

#[tokio::test]
async fn what_a_later_replacement_makes_of_no_account_is_not_sent() {
    let records = [at(0, 1), at(1, 2), at(2, 1), at(3, 1)];
    let mut rig = Rig::new(&[REPLACE, ("write.collapse", "true")], []).await;
    assert!(rig.task.put(&records).await.unwrap().is_empty());
    let offsets = |command: &Document| -> Vec<i64> {
        let updates = command.get_array("updates").unwrap().iter().map(|update| update.as_document().unwrap());
        updates.map(|update| update.get_document("u").unwrap().get_i64("offset").unwrap()).collect()
    };
    assert_eq!(rig.commands().iter().map(offsets).collect::<Vec<_>>(), [[1, 3]]);
    // The last one is refused: those before it are written after all.
    let mut rig = Rig::new(&[ALL, REPLACE, ("write.collapse", "true")], [duplicate(1)]).await;
    let rejected = rig.task.put(&records).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [3]);
    assert_eq!(rig.commands().iter().map(offsets).collect::<Vec<_>>(), [[1, 3], [0, 2]]);
}

#[tokio::test]
async fn a_batch_and_its_position_are_one_transaction() {
    let mut rig = Rig::new(&[POSITIONS], []).await;
    assert!(rig.task.put(&records(5..8)).await.unwrap().is_empty());
    let commands = rig.commands();
    assert_eq!(names(&commands), ["find positions", "update positions", "insert", "commitTransaction"]);
    let [_, moved, insert, commit] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!(moved.get("startTransaction"), Some(&Bson::Boolean(true)));
    assert!(!insert.contains_key("startTransaction"));
    for command in [moved, insert, commit] {
        assert_eq!(command.get("autocommit"), Some(&Bson::Boolean(false)));
        assert_eq!(command.get("lsid"), moved.get("lsid"));
        assert_eq!(command.get("txnNumber"), moved.get("txnNumber"));
    }
    assert!(!moved.contains_key("writeConcern") && !insert.contains_key("writeConcern"));
    assert_eq!(commit.get_document("writeConcern").unwrap(), &doc! {"w": "majority"});
    let update = moved.get_array("updates").unwrap()[0].as_document().unwrap();
    let id = doc! {"connector": "test", "topic": "t", "partition": 1};
    assert_eq!(update.get_document("q").unwrap(), &doc! {"_id": id.clone(), "position": {"$exists": false}});
    assert_eq!(update.get_document("u").unwrap().get_document("$set").unwrap().get_i64("position").unwrap(), 8);
    // What comes again is not written again; the next position follows from this one.
    assert!(rig.task.put(&records(5..8)).await.unwrap().is_empty());
    assert_eq!(rig.commands().len(), 4);
    assert!(rig.task.put(&records(7..9)).await.unwrap().is_empty());
    let commands = rig.commands();
    assert_eq!(names(&commands[4..]), ["update positions", "insert", "commitTransaction"]);
    let update = commands[4].get_array("updates").unwrap()[0].as_document().unwrap();
    assert_eq!(update.get_document("q").unwrap(), &doc! {"_id": id, "position": 8_i64});
    assert_eq!(commands[5].get_array("documents").unwrap().len(), 1);
    rig.task.stop().await.unwrap();
}

#[tokio::test]
async fn positions_are_read_when_partitions_are_given() {
    let mut rig = Rig::new(&[POSITIONS], []).await;
    rig.shared.found.lock().unwrap().push(position(7));
    let partition = TopicPartition { topic: Arc::from("t"), partition: 1 };
    rig.task.open(std::slice::from_ref(&partition)).await.unwrap();
    assert!(rig.task.put(&records(5..9)).await.unwrap().is_empty());
    let commands = rig.commands();
    assert_eq!(names(&commands), ["find positions", "update positions", "insert", "commitTransaction"]);
    assert_eq!(commands[2].get_array("documents").unwrap().len(), 2);
    // They may have moved when the partition comes back.
    rig.task.close(std::slice::from_ref(&partition)).await.unwrap();
    assert!(rig.task.put(&records(5..7)).await.unwrap().is_empty());
    assert_eq!(names(&rig.commands()[4..]), ["find positions"]);
    // A topic that was made anew has other records there.
    let mut other = at(6, 6);
    other.record.timestamp = Some(99);
    let error = rig.task.put(&[other]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PositionLost);
}

#[tokio::test]
async fn a_task_that_lost_its_partitions_is_stopped_by_their_positions() {
    for answer in [not_there(), duplicate(0)] {
        let mut rig = Rig::new(&[ALL, POSITIONS], [answer]).await;
        let error = rig.task.put(&records(5..8)).await.unwrap_err();
        assert!(!error.kind().retriable(), "the same batch is not given to the same task again");
        let root = error.root();
        assert_eq!(root.kind(), ErrorKind::Conflict, "{}", error.trace());
        assert!(root.message().contains("t-1 at none") && root.remedy().is_some());
        assert_eq!(names(&rig.commands()), ["find positions", "update positions", "abortTransaction"]);
    }
}

#[tokio::test]
async fn a_transaction_that_runs_into_another_is_tried_again() {
    let conflict = Answer::Reply(doc! {
        "ok": 0.0, "errmsg": "write conflict", "code": 112, "codeName": "WriteConflict",
        "errorLabels": ["TransientTransactionError"],
    });
    let ok = Answer::Reply(doc! {"ok": 1.0, "n": 1});
    let mut rig = Rig::new(&[POSITIONS], [ok, conflict]).await;
    assert!(rig.task.put(&records(5..8)).await.unwrap().is_empty());
    let names = names(&rig.commands());
    let attempt = ["update positions", "insert"];
    assert_eq!(
        names,
        [&["find positions"], &attempt[..], &["abortTransaction"], &attempt, &["commitTransaction"]].concat()
    );
}

#[tokio::test]
async fn no_record_is_blamed_for_what_happens_to_positions() {
    let refused = |code: i32| Answer::Reply(doc! {"ok": 0.0, "errmsg": "no", "code": code, "codeName": "No"});
    let mut rig = Rig::new(&[ALL, POSITIONS], [refused(13)]).await;
    let error = rig.task.put(&records(5..8)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{}", error.trace());
    // Errors that pass are waited out: after a second attempt the batch is to be given again, and then it is written.
    let mut rig = Rig::new(&[ALL, POSITIONS], [not_primary(), Answer::Close]).await;
    let error = rig.task.put(&records(5..8)).await.unwrap_err();
    assert!(error.kind().retriable(), "{}", error.trace());
    assert!(rig.task.put(&records(5..8)).await.unwrap().is_empty());
    assert_eq!(names(&rig.commands()).last().unwrap(), "commitTransaction");
}

#[tokio::test]
async fn what_is_refused_is_passed_and_its_report_kept_until_it_is_stored() {
    let ok = Answer::Reply(doc! {"ok": 1.0, "n": 1});
    let mut rig = Rig::new(&[ALL, POSITIONS, ("bulk.write.ordered", "false")], [ok, duplicate(1)]).await;
    let records = records(5..8);
    let rejected = rig.task.put(&records).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [1]);
    let commands = rig.commands();
    let attempt = ["update positions", "insert"];
    let kept = ["update positions", "update positions", "insert"];
    assert_eq!(
        names(&commands),
        [&["find positions"], &attempt[..], &["abortTransaction"], &kept, &["commitTransaction"]].concat()
    );
    let refusal = commands[4].get_array("updates").unwrap()[0].as_document().unwrap();
    let id = doc! {"connector": "test", "topic": "t", "partition": 1, "offset": 6_i64};
    assert_eq!(refusal.get_document("q").unwrap(), &doc! {"_id": id.clone()});
    assert_eq!(commands[6].get_array("documents").unwrap().len(), 2);
    // Should the records come again, it is reported once more.
    let again = rig.task.put(&records).await.unwrap();
    assert_eq!(shown(&again), shown(&rejected));
    assert_eq!(rig.commands().len(), commands.len());
    // Until the worker has stored it.
    rig.task.flush().await.unwrap();
    let commands = rig.commands();
    let delete = commands.last().unwrap();
    assert_eq!(names(std::slice::from_ref(delete)), ["delete positions"]);
    let filter = delete.get_array("deletes").unwrap()[0].as_document().unwrap().get_document("q").unwrap();
    assert_eq!(filter, &doc! {"_id": {"$in": [id]}});
    assert!(rig.task.put(&records).await.unwrap().is_empty());
}

#[tokio::test]
async fn positions_do_not_go_where_documents_go() {
    let mut props = props(&[("exactly.once.positions.collection", "t")]);
    props.insert("connection.uri".to_owned(), Some("mongodb://127.0.0.1:1/?directConnection=true".to_owned()));
    let context = SinkContext {
        connector: Arc::from("test"),
        task: 0,
        cancel: CancellationToken::new(),
        reports_errors: false,
        metrics: connect_api::Metrics::default(),
    };
    let error = MongoSinkConnector.start_task(props, context).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("db.t"));
}

const MADE_IDS: (&str, &str) = ("document.id.strategy", "{sink}processor.id.strategy.KafkaMetaDataStrategy");

fn refused() -> Answer {
    Answer::Reply(doc! {"ok": 0.0, "errmsg": "too deep", "code": 15, "codeName": "Overflow"})
}

fn sizes(commands: &[Document]) -> Vec<usize> {
    commands.iter().map(|command| command.get_array("documents").unwrap().len()).collect()
}

fn without_ids() -> Vec<SinkRecord> {
    (0..40).map(|offset| super::at(offset, json!({"v": offset}))).collect()
}

#[tokio::test]
async fn what_lanes_got_no_answer_for_is_written_later_and_finds_itself() {
    let taken = doc! {"index": 0, "code": 11000, "errmsg": "E11000 dup", "keyPattern": {"_id": 1}};
    let taken = Answer::Reply(doc! {"ok": 1.0, "n": 0, "writeErrors": [taken]});
    let answers = (0..8).map(|_| not_primary()).chain([taken]);
    let mut rig = Rig::new(&[ALL, RETRY, MADE_IDS, ("write.lanes", "4")], answers).await;
    let records = without_ids();
    rig.put_in_vain(&records).await;
    assert_eq!(rig.commands().len(), 8, "each lane tried once more");
    assert!(rig.task.put(&records).await.unwrap().is_empty());
    let sizes = sizes(&rig.commands()[8..]);
    assert_eq!(sizes.len(), 5, "and one wrote what stands behind its own document");
    assert_eq!(sizes[..4].iter().sum::<usize>(), 40);
}

#[tokio::test]
async fn what_could_meet_itself_goes_over_one_connection_under_its_number() {
    let mut rig = Rig::new(&[RETRY, ("write.lanes", "4")], [Answer::Close, Answer::Close]).await;
    assert!(rig.put(0..40).await.unwrap_err().kind().retriable());
    assert!(rig.put(0..40).await.unwrap().is_empty());
    let commands = rig.commands();
    assert_eq!(sizes(&commands), [40, 40, 40]);
    assert!(commands.iter().all(|command| command.get("txnNumber") == commands[0].get("txnNumber")));
}

#[tokio::test]
async fn a_bad_record_is_searched_for_in_what_lanes_could_not_write() {
    let answers = (0..8).map(|_| refused());
    let mut rig = Rig::new(&[ALL, ISOLATE, MADE_IDS, ("write.lanes", "2")], answers).await;
    let rejected = rig.task.put(&without_ids()).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
    let sizes = sizes(&rig.commands());
    assert_eq!(sizes[2..8], [40, 20, 10, 5, 2, 1]);
    assert_eq!(sizes[8..].iter().sum::<usize>(), 39);
    assert_eq!(sizes.len(), 10, "the rest goes through lanes again");
}

#[tokio::test]
async fn a_bad_record_is_searched_for_in_transactions() {
    let ok = || Answer::Reply(doc! {"ok": 1.0, "n": 1});
    let answers = [ok(), refused(), ok(), refused(), ok(), refused()];
    let mut rig = Rig::new(&[ALL, ISOLATE, POSITIONS], answers).await;
    let rejected = rig.task.put(&records(5..9)).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
    let commands = rig.commands();
    let attempt = ["update positions", "insert", "abortTransaction"];
    let kept = ["update positions", "update positions", "insert", "commitTransaction"];
    assert_eq!(names(&commands), [&["find positions"], &attempt[..], &attempt, &attempt, &kept].concat());
    let inserts: Vec<_> = commands.into_iter().filter(|command| command.contains_key("documents")).collect();
    assert_eq!(sizes(&inserts), [4, 2, 1, 3]);
}

#[tokio::test]
async fn a_transaction_ends_with_the_first_statement_that_is_refused() {
    let ok = || Answer::Reply(doc! {"ok": 1.0, "n": 1});
    let settings = [
        ALL,
        POSITIONS,
        ("bulk.write.ordered", "false"),
        ("document.id.strategy", "{sink}processor.id.strategy.ProvidedInKeyStrategy"),
        ("delete.on.null.values", "true"),
    ];
    let mut rig = Rig::new(&settings, [ok(), duplicate(0)]).await;
    let of = |offset: i64, value: serde_json::Value| {
        let mut record = record(json!({"_id": offset}), value);
        if let Origin::Sink(origin) = &mut record.record.origin {
            origin.original_offset = offset;
        }
        record
    };
    let rejected = rig.task.put(&[of(5, json!({"a": 1})), of(6, json!(null)), of(7, json!({"a": 2}))]).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
    let first = ["find positions", "update positions", "insert", "abortTransaction"];
    let second = ["update positions", "update positions", "delete", "insert", "commitTransaction"];
    assert_eq!(names(&rig.commands()), [&first[..], &second].concat());
}

#[tokio::test]
async fn positions_are_waited_for_as_long_as_errors_are_waited_out() {
    let settings = [ALL, POSITIONS, RETRY, ("max.num.retries", "1")];
    let mut rig = Rig::new(&settings, (0..4).map(|_| not_primary())).await;
    rig.put_in_vain(&records(5..8)).await;
    let error = rig.task.put(&records(5..8)).await.unwrap_err();
    assert!(!error.kind().retriable() && error.root().kind().retriable(), "{}", error.trace());
    let mut rig = Rig::new(&settings, (0..2).map(|_| not_primary())).await;
    rig.put_in_vain(&records(5..8)).await;
    assert!(rig.task.put(&records(5..8)).await.unwrap().is_empty(), "nothing is remembered but the position");
    assert_eq!(names(&rig.commands()).last().unwrap(), "commitTransaction");
}
