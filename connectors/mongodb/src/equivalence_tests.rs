//! However a batch is written, the documents are those of writing its statements one by one: with lanes, collapsed, with
//! refusals, over crashes, and with stored positions. The server is a model of a collection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bson::{Bson, Decimal128, Document, RawDocument, doc};
use connect_api::{Error, ErrorKind, Origin, SinkRecord};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::batch::{Batch, Batches, Sent};
use crate::collapse;
use crate::doc::Writer;
use crate::failure::{Failure, WriteError};
use crate::identity::Targets;
use crate::namespace::Namespace;
use crate::positions::{Positions, Seen};
use crate::record_tests::record;
use crate::spread::{Sends, Spread};
use crate::statement::{Kind, Model};

/// What is done to one of a few documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Insert,
    Replace,
    /// A replacement that the server refuses.
    Bad,
    /// A replacement that does not insert.
    ReplaceOnly,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    what: What,
    id: u8,
    /// Which type of number the id is written as.
    written: u8,
    value: i32,
}

impl Change {
    fn id(self) -> Bson {
        let number = match self.written % 4 {
            0 => Bson::Int32(self.id.into()),
            1 => Bson::Int64(self.id.into()),
            2 => Bson::Double(self.id.into()),
            _ => Bson::Decimal128(format!("{}.0", self.id).parse::<Decimal128>().unwrap()),
        };
        // As the change events of tables have them.
        Bson::Document(doc! {"id": number})
    }

    fn model(self) -> Model {
        let filter = doc! {"_id": self.id()};
        let replacement = doc! {"_id": self.id(), "a": self.value};
        match self.what {
            What::Insert => Model::Insert(replacement),
            What::Replace => Model::Replace { filter, replacement, upsert: true },
            What::Bad => Model::Replace { filter, replacement: doc! {"_id": self.id(), "bad": 1}, upsert: true },
            What::ReplaceOnly => Model::Replace { filter, replacement, upsert: false },
            What::Update => {
                let field = if self.value % 2 == 0 { "b" } else { "c" };
                Model::Update { filter, update: doc! {"$set": {field: self.value}}, upsert: true }
            }
            What::Delete => Model::Delete { filter },
        }
    }
}

fn changes(kinds: &'static [What]) -> impl Strategy<Value = Vec<Change>> {
    let change = (prop::sample::select(kinds), 0_u8..4, 0_u8..4, 0_i32..100);
    vec(change.prop_map(|(what, id, written, value)| Change { what, id, written, value }), 1..40)
}

const ALL: &[What] = &[What::Insert, What::Replace, What::Replace, What::ReplaceOnly, What::Update, What::Delete];
const WITH_BAD: &[What] =
    &[What::Insert, What::Replace, What::Replace, What::Bad, What::ReplaceOnly, What::Update, What::Delete];
/// What gives the same documents when a part of it is done again, as events that are delivered at least once are.
const REPEATABLE: &[What] = &[What::Replace, What::Replace, What::Update, What::Delete];

/// The collection.
#[derive(Clone, Debug, Default)]
struct Documents {
    documents: BTreeMap<i64, Document>,
    /// How many statements it takes until the connection breaks; `None` is without end.
    left: Option<usize>,
}

fn id_of(document: &Document) -> i64 {
    match document.get_document("_id").unwrap().get("id").unwrap() {
        Bson::Int32(n) => i64::from(*n),
        Bson::Int64(n) => *n,
        #[allow(clippy::cast_possible_truncation)]
        Bson::Double(n) => *n as i64,
        Bson::Decimal128(n) => n.to_string().trim_end_matches(".0").parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

impl Documents {
    /// Applies a statement; the code of the error when it is refused.
    fn apply(&mut self, kind: Kind, statement: &Document) -> Option<i32> {
        // Ids that are equal are one; what number they were written as does not matter afterwards.
        let plain = |document: &Document| {
            let mut document = document.clone();
            document.insert("_id", id_of(&document));
            document
        };
        if kind == Kind::Insert {
            let id = id_of(statement);
            if self.documents.contains_key(&id) {
                return Some(11000);
            }
            self.documents.insert(id, plain(statement));
            return None;
        }
        let id = id_of(statement.get_document("q").unwrap());
        let (there, upsert) = (self.documents.contains_key(&id), statement.get_bool("upsert").unwrap_or(false));
        match kind {
            Kind::Delete => drop(self.documents.remove(&id)),
            _ if !there && !upsert => {}
            Kind::Replace => {
                let document = statement.get_document("u").unwrap();
                if document.contains_key("bad") {
                    return Some(121);
                }
                self.documents.insert(id, plain(document));
            }
            _ => {
                let set = statement.get_document("u").unwrap().get_document("$set").unwrap();
                let document = self.documents.entry(id).or_insert_with(|| doc! {"_id": id});
                for (name, value) in set {
                    document.insert(name, value.clone());
                }
            }
        }
        None
    }

    /// The documents with their fields in the order of names.
    fn sorted(&self) -> Vec<BTreeMap<String, String>> {
        let fields =
            |document: &Document| document.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        self.documents.values().map(fields).collect()
    }
}

/// A connection to the model.
struct Lane {
    to: Arc<Mutex<Documents>>,
    random: u64,
}

impl Lane {
    fn new(to: &Arc<Mutex<Documents>>, seed: u64) -> Self {
        Self { to: Arc::clone(to), random: seed }
    }
}

impl Sends for Lane {
    async fn write(&mut self, batch: &mut Batch, buffer: &[u8], ordered: bool, _waits: bool) -> Result<(), Failure> {
        let (mut errors, mut command) = (Vec::new(), Vec::new());
        batch.unanswered = None;
        for index in (0..batch.ops.len()).filter(|index| batch.ops[*index].open()).collect::<Vec<_>>() {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for _ in 0..(self.random >> 33) % 3 {
                tokio::task::yield_now().await;
            }
            if (self.random >> 40).is_multiple_of(4) {
                acknowledge(batch, &mut command);
            }
            let op = &batch.ops[index];
            let statement = Document::try_from(RawDocument::from_bytes(&buffer[op.bytes.clone()]).unwrap()).unwrap();
            let mut documents = self.to.lock().unwrap();
            match &mut documents.left {
                Some(0) => {
                    // What was done of the command nobody says.
                    command.push(index);
                    batch.left_unanswered(command, None);
                    return Err(Failure::Whole(Error::new(ErrorKind::Unavailable, "the connection broke")));
                }
                Some(left) => *left -= 1,
                None => {}
            }
            if let Some(code) = documents.apply(op.kind, &statement) {
                let (message, details) = (String::new(), Document::new());
                errors.push(WriteError { index, code, message, details, id_taken: false });
                if ordered {
                    break;
                }
            } else {
                command.push(index);
            }
        }
        acknowledge(batch, &mut command);
        if errors.is_empty() { Ok(()) } else { Err(Failure::Bulk { errors, concern: None }) }
    }
}

fn acknowledge(batch: &mut Batch, command: &mut Vec<usize>) {
    for index in command.drain(..) {
        batch.ops[index].sent = Sent::Written;
    }
}

/// How batches are written.
#[derive(Clone, Debug)]
struct Way {
    cut: usize,
    lanes: usize,
    collapse: bool,
    ordered: bool,
    seed: u64,
}

fn ways(ordered: bool) -> impl Strategy<Value = Way> {
    (1_usize..15, 1_usize..6, any::<bool>(), any::<u64>()).prop_map(move |(cut, lanes, collapse, seed)| Way {
        cut,
        lanes,
        collapse,
        ordered,
        seed,
    })
}

fn batches(changes: &[Change], cut: usize) -> (Vec<Batch>, Writer) {
    let namespace = Arc::new(Namespace::new("db", "c").unwrap());
    let (mut batches, mut w) = (Batches::default(), Writer::new());
    for (index, change) in changes.iter().enumerate() {
        let start = w.len();
        let statement = change.model().write(&mut w).unwrap();
        batches.push(0, cut, namespace.clone(), statement, index, start..w.len());
    }
    (batches.batches, w)
}

/// Writes changes in some way; gives the batches with what became of each, until the first failure of a connection.
fn write(to: &Arc<Mutex<Documents>>, changes: &[Change], way: &Way) -> Vec<(Batch, Result<(), Failure>)> {
    let (batches, w) = batches(changes, way.cut);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut first = Lane::new(to, way.seed);
    let more = (1..way.lanes).map(|lane| Lane::new(to, way.seed ^ lane as u64)).collect();
    let mut spread = Spread { more, collapse: way.collapse, repeats: false };
    let mut done = Vec::new();
    runtime.block_on(async {
        for mut batch in batches {
            let outcome = spread.write(&mut first, &mut batch, w.bytes(), way.ordered, false).await;
            let broken = matches!(outcome, Err(Failure::Whole(_)));
            done.push((batch, outcome));
            if broken {
                break;
            }
        }
    });
    done
}

/// Inserts of documents that are there, one by one, become replacements.
fn without_collisions(changes: &mut [Change]) -> Documents {
    let mut documents = Documents::default();
    for change in changes {
        if change.what == What::Insert && documents.documents.contains_key(&change.id.into()) {
            change.what = What::Replace;
        }
        assert_eq!(one(&mut documents, *change), None);
    }
    documents
}

fn one(documents: &mut Documents, change: Change) -> Option<i32> {
    let mut w = Writer::new();
    let kind = change.model().write(&mut w).unwrap().kind;
    documents.apply(kind, &Document::try_from(RawDocument::from_bytes(w.bytes()).unwrap()).unwrap())
}

/// What is done in place of the changes of an ordered batch that are left out.
fn instead(changes: &[Change]) -> Vec<Option<usize>> {
    let (batches, w) = batches(changes, 0);
    let targets = Targets::of(&batches[0], w.bytes());
    collapse::plan(&targets, true)
}

fn fresh() -> Arc<Mutex<Documents>> {
    Arc::default()
}

/// The changes as records of a topic.
fn records(changes: &[Change]) -> Vec<SinkRecord> {
    let numbered = changes.iter().enumerate().map(|(offset, _)| {
        let mut record = record(json!(null), json!({"a": 1}));
        if let Origin::Sink(origin) = &mut record.record.origin {
            origin.original_offset = i64::try_from(offset).unwrap();
        }
        record.record.timestamp = Some(i64::try_from(offset).unwrap());
        record
    });
    numbered.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_way_of_writing_gives_the_documents_of_one_by_one(mut changes in changes(ALL), way in ways(true)) {
        let expected = without_collisions(&mut changes);
        let to = fresh();
        for (batch, outcome) in write(&to, &changes, &way) {
            prop_assert!(outcome.is_ok(), "{:?}", outcome);
            drop(batch);
        }
        prop_assert_eq!(to.lock().unwrap().sorted(), expected.sorted());
    }

    #[test]
    fn without_order_all_but_the_refused_is_written(changes in changes(WITH_BAD), way in ways(false)) {
        let mut expected = Documents::default();
        for change in &changes {
            one(&mut expected, *change);
        }
        let to = fresh();
        for (batch, outcome) in write(&to, &changes, &way) {
            let refused = match outcome {
                Err(Failure::Bulk { errors, .. }) => errors.iter().map(|error| error.index).collect(),
                Err(other) => panic!("{other:?}"),
                Ok(()) => BTreeSet::new(),
            };
            for (index, op) in batch.ops.iter().enumerate() {
                prop_assert!((op.sent == Sent::Written) != refused.contains(&index), "{}", index);
            }
        }
        prop_assert_eq!(to.lock().unwrap().sorted(), expected.sorted());
    }

    #[test]
    fn what_is_left_of_a_batch_can_be_written_later(
        mut changes in changes(REPEATABLE), way in ways(true), left in 0_usize..30,
    ) {
        let expected = without_collisions(&mut changes);
        let to = fresh();
        to.lock().unwrap().left = Some(left);
        let (mut batches, w) = batches(&changes, 0);
        let mut first = Lane::new(&to, way.seed);
        let more = (1..way.lanes).map(|lane| Lane::new(&to, way.seed ^ lane as u64)).collect();
        let mut spread = Spread { more, collapse: way.collapse, repeats: true };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let broken = runtime.block_on(spread.write(&mut first, &mut batches[0], w.bytes(), true, true)).is_err();
        to.lock().unwrap().left = None;
        let written = batches[0].ops.iter().filter(|op| !op.open()).count();
        if broken {
            prop_assert!(batches[0].ops.len() == 1 || written < batches[0].ops.len());
            let again = runtime.block_on(spread.write(&mut first, &mut batches[0], w.bytes(), true, true));
            prop_assert!(again.is_ok());
        }
        prop_assert_eq!(to.lock().unwrap().sorted(), expected.sorted());
    }

    #[test]
    fn an_ordered_batch_ends_where_one_by_one_does(
        mut changes in changes(ALL), at in any::<prop::sample::Index>(), id in 0_u8..4, seed in any::<u64>(),
        collapse in any::<bool>(),
    ) {
        let at = at.index(changes.len());
        changes.insert(at, Change { what: What::Bad, id, written: 0, value: 0 });
        let by = if collapse { instead(&changes)[at] } else { None };
        let mut expected = Documents::default();
        let mut stopped = None;
        for (index, change) in changes.iter().enumerate().filter(|(index, _)| by.is_none() || *index != at) {
            if one(&mut expected, *change).is_some() {
                stopped = Some(index);
                break;
            }
        }
        // Where what is done in its place is not done, it is tried after all; what was written by then stays.
        if by.is_some_and(|by| stopped.is_some_and(|stopped| stopped <= by)) {
            return Ok(());
        }
        let to = fresh();
        let way = Way { cut: 0, lanes: 1, collapse, ordered: true, seed };
        let first = match write(&to, &changes, &way).remove(0).1 {
            Err(Failure::Bulk { errors, .. }) => Some(errors[0].index),
            Err(other) => panic!("{other:?}"),
            Ok(()) => None,
        };
        prop_assert_eq!(first, stopped);
        prop_assert_eq!(to.lock().unwrap().sorted(), expected.sorted());
    }

    #[test]
    fn the_first_refused_record_is_the_one_that_counts(
        changes in changes(WITH_BAD), lanes in 2_usize..6, seed in any::<u64>(),
    ) {
        let mut one_by_one = Documents::default();
        let stopped = changes.iter().position(|change| one(&mut one_by_one, *change).is_some());
        let to = fresh();
        let way = Way { cut: 0, lanes, collapse: false, ordered: true, seed };
        let (batch, outcome) = write(&to, &changes, &way).remove(0);
        let refused = match outcome {
            Err(Failure::Bulk { errors, .. }) => errors.iter().map(|error| error.index).collect(),
            Err(other) => panic!("{other:?}"),
            Ok(()) => Vec::new(),
        };
        prop_assert_eq!(refused, Vec::from_iter(stopped));
        // Of each document a beginning of its statements is written, and all that comes before the first refusal.
        let mut expected = Documents::default();
        let mut ended = BTreeSet::new();
        for (index, (op, change)) in batch.ops.iter().zip(&changes).enumerate() {
            let written = op.sent == Sent::Written;
            prop_assert!(written || stopped.is_some_and(|stopped| index >= stopped));
            if written {
                prop_assert!(!ended.contains(&change.id));
                prop_assert_eq!(one(&mut expected, *change), None);
            } else {
                ended.insert(change.id);
            }
        }
        prop_assert_eq!(to.lock().unwrap().sorted(), expected.sorted());
    }

    #[test]
    fn crashes_and_what_is_given_again_do_not_show(
        mut changes in changes(REPEATABLE), way in ways(true), put in 1_usize..20, commit_every in 1_usize..4,
        crashes in vec(0_usize..30, 0..4),
    ) {
        let expected = without_collisions(&mut changes);
        let to = fresh();
        let mut committed = 0;
        for left in crashes.into_iter().map(Some).chain([None]) {
            to.lock().unwrap().left = left;
            let (mut position, mut puts) = (committed, 0);
            while position < changes.len() {
                let end = (position + put).min(changes.len());
                let outcomes = write(&to, &changes[position..end], &way);
                if outcomes.iter().any(|(_, outcome)| outcome.is_err()) {
                    break;
                }
                position = end;
                puts += 1;
                if puts % commit_every == 0 {
                    committed = position;
                }
            }
        }
        prop_assert_eq!(to.lock().unwrap().sorted(), expected.sorted());
    }

    #[test]
    fn with_positions_every_record_is_written_once(
        mut changes in changes(ALL), way in ways(true), put in 1_usize..20, ends in vec((0_usize..8, 0_usize..3), 0..5),
    ) {
        let expected = without_collisions(&mut changes);
        let records = records(&changes);
        let partition = connect_api::TopicPartition { topic: Arc::from("t"), partition: 1 };
        // What MongoDB has: documents and the position, which change together.
        let (mut documents, mut stored) = (Documents::default(), crate::positions::Stored::default());
        let mut times = vec![0; changes.len()];
        let mut older: Option<Positions> = None;
        for (end, back) in ends.into_iter().map(|(end, back)| (Some(end), back)).chain([(None, 0)]) {
            let mut positions = Positions::default();
            positions.learn(&partition, stored.clone());
            let mut written = 0;
            // What the group has committed may be anywhere before.
            let mut from = usize::try_from(stored.next.unwrap_or(0)).unwrap().saturating_sub(back * 5);
            'task: while from < changes.len() {
                let until = (from + put).min(changes.len());
                let new: Vec<usize> =
                    (from..until).filter(|index| matches!(positions.seen(&records[*index]), Seen::New)).collect();
                for chunk in new.chunks(way.cut) {
                    let range = chunk[0]..chunk[chunk.len() - 1] + 1;
                    // A task from before this one can't move what this one has moved.
                    if let Some(older) = older.as_ref().filter(|_| written > 0) {
                        let steps = older.steps(&records, range.clone(), &[]);
                        prop_assert!(steps.iter().all(|step| step.from != stored.next));
                    }
                    if Some(written) == end {
                        break 'task;
                    }
                    written += 1;
                    let steps = positions.steps(&records, range.clone(), &[]);
                    prop_assert_eq!((steps.len(), steps[0].from), (1, stored.next));
                    let to = Arc::new(Mutex::new(documents.clone()));
                    for (_, outcome) in write(&to, &changes[range.clone()], &Way { cut: 0, lanes: 1, ..way.clone() }) {
                        prop_assert!(outcome.is_ok(), "{:?}", outcome);
                    }
                    documents = to.lock().unwrap().clone();
                    stored.next = Some(steps[0].to);
                    stored.timestamp = steps[0].timestamp;
                    range.for_each(|index| times[index] += 1);
                    positions.moved(steps);
                }
                from = until;
            }
            older = Some(positions);
        }
        prop_assert!(times.iter().all(|times| *times == 1), "{times:?}");
        prop_assert_eq!(documents.sorted(), expected.sorted());
    }
}
