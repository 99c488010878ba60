//! Batches (`MongoSinkRecordProcessor`): records in order, cut where topic or namespace change and at the batch size.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use connect_api::Error;

use crate::namespace::Namespace;
use crate::statement::{Kind, Statement};

/// How far a statement is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent {
    #[default]
    No,
    /// It was sent, and no answer said what became of it: it may have been written.
    Unsure,
    /// The server acknowledged it.
    Written,
    /// Its record was rejected.
    Rejected,
}

/// One statement of a batch.
#[derive(Debug)]
pub struct Op {
    /// Place of the record in what the worker gave.
    pub record: usize,
    pub kind: Kind,
    /// Where the statement stands in the buffer.
    pub bytes: Range<usize>,
    pub deferred: Option<Error>,
    /// See [`Statement::own_id`].
    pub own_id: bool,
    pub sent: Sent,
}

impl Op {
    /// True while it has to be sent.
    pub fn open(&self) -> bool {
        matches!(self.sent, Sent::No | Sent::Unsure)
    }
}

/// A command that was sent and not confirmed. Under its number the server does nothing twice, so it is sent again as it was.
#[derive(Debug)]
pub struct Unanswered {
    /// `txnNumber`; none where the deployment takes no retryable writes.
    pub number: Option<i64>,
    /// Its statements, by their places in the batch.
    pub ops: Vec<usize>,
}

/// Statements that go to the server as one bulk.
#[derive(Debug)]
pub struct Batch {
    /// Index of the topic's plan.
    pub plan: usize,
    pub namespace: Arc<Namespace>,
    /// None when nothing is left to do.
    pub ops: Vec<Op>,
    pub unanswered: Option<Unanswered>,
    /// The most statements of one command while a bad one is looked for; 0 is without a bound of its own.
    pub at_most: usize,
}

impl Batch {
    fn new(plan: usize, namespace: Arc<Namespace>, op: Op) -> Self {
        Self { plan, namespace, ops: vec![op], unanswered: None, at_most: 0 }
    }

    /// How many statements have to be sent.
    pub fn open(&self) -> usize {
        self.ops.iter().filter(|op| op.open()).count()
    }

    /// The commands to send: first the one that was not confirmed.
    pub fn open_runs(&self, ordered: bool) -> VecDeque<Vec<usize>> {
        let again = self.unanswered.as_ref().map(|unanswered| unanswered.ops.as_slice()).unwrap_or_default();
        let rest = |index: &usize| again.binary_search(index).is_err();
        let mut all = VecDeque::new();
        if !again.is_empty() {
            all.push_back(again.to_vec());
        }
        for run in runs(&self.ops, ordered, rest) {
            match self.at_most {
                0 => all.push_back(run),
                most => all.extend(run.chunks(most).map(<[usize]>::to_vec)),
            }
        }
        all
    }

    /// A command was sent, and nothing is known of it.
    pub fn left_unanswered(&mut self, ops: Vec<usize>, number: Option<i64>) {
        for index in &ops {
            self.ops[*index].sent = Sent::Unsure;
        }
        self.unanswered = Some(Unanswered { number, ops });
    }

    /// Nothing was done: the transaction that it was written in was given up.
    pub fn undo(&mut self) {
        for op in self.ops.iter_mut().filter(|op| op.sent != Sent::Rejected) {
            op.sent = Sent::No;
        }
    }

    /// Leaves out the statements of records that are gone, and says where the records of the others stand now. What was not
    /// confirmed can't be sent again as it was then.
    pub fn move_records(&mut self, moved: impl Fn(usize) -> Option<usize>) {
        let before = self.ops.len();
        self.ops.retain_mut(|op| match moved(op.record) {
            Some(index) => {
                op.record = index;
                true
            }
            None => false,
        });
        if self.ops.len() < before {
            self.unanswered = None;
        }
    }
}

/// Puts statements into batches as they come.
#[derive(Debug, Default)]
pub struct Batches {
    pub batches: Vec<Batch>,
}

impl Batches {
    /// Adds a statement to the last batch, or begins the next. `max` 0 is without a bound.
    pub fn push(
        &mut self,
        plan: usize,
        max: usize,
        namespace: Arc<Namespace>,
        statement: Statement,
        record: usize,
        bytes: Range<usize>,
    ) {
        let Statement { kind, deferred, own_id } = statement;
        let op = Op { record, kind, bytes, deferred, own_id, sent: Sent::No };
        if let Some(last) = self.batches.last_mut()
            && last.plan == plan
            && last.namespace == namespace
            // What was not confirmed stays as it is.
            && last.unanswered.is_none()
            && (max == 0 || last.ops.len() < max)
        {
            last.ops.push(op);
            return;
        }
        self.batches.push(Batch::new(plan, namespace, op));
    }
}

/// The most statements that one command takes.
const MAX_OPS: usize = 100_000;
/// The most bytes of statements that one command takes. They are an array in the command, which is a document: servers
/// take 16 MiB and, for what surrounds the statements, 16 KiB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Cuts what is open of a batch into commands: by kind, and by what a command takes. Ordered batches keep their order;
/// unordered ones are sorted by kind, in order of first use, as the driver does it.
fn runs(ops: &[Op], ordered: bool, wanted: impl Fn(&usize) -> bool) -> Vec<Vec<usize>> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, op) in ops.iter().enumerate().filter(|(index, op)| op.open() && wanted(index)) {
        let size = op.bytes.len() + 16;
        let open = if ordered {
            runs.last_mut().filter(|run| run.kind == op.kind)
        } else {
            runs.iter_mut().rev().find(|run| run.kind == op.kind)
        };
        match open {
            Some(run) if run.ops.len() < MAX_OPS && run.bytes + size <= MAX_BYTES => {
                run.ops.push(index);
                run.bytes += size;
            }
            _ => runs.push(Run { kind: op.kind, ops: vec![index], bytes: size }),
        }
    }
    if !ordered {
        // Commands of one kind follow each other.
        let mut kinds: Vec<Kind> = Vec::new();
        for run in &runs {
            if !kinds.contains(&run.kind) {
                kinds.push(run.kind);
            }
        }
        runs.sort_by_key(|run| kinds.iter().position(|kind| *kind == run.kind));
    }
    runs.into_iter().map(|run| run.ops).collect()
}

struct Run {
    kind: Kind,
    ops: Vec<usize>,
    bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(collection: &str) -> Arc<Namespace> {
        Arc::new(Namespace::new("db", collection).unwrap())
    }

    fn op(record: usize, kind: Kind, size: usize) -> Op {
        Op { record, kind, bytes: 0..size, deferred: None, own_id: false, sent: Sent::No }
    }

    fn batch(kinds: &[Kind], size: usize) -> Batch {
        let ops = kinds.iter().enumerate().map(|(record, kind)| op(record, *kind, size)).collect();
        Batch { plan: 0, namespace: namespace("a"), ops, unanswered: None, at_most: 0 }
    }

    #[test]
    fn ordered_runs_follow_the_order_and_unordered_ones_the_kind() {
        let batch = batch(&[Kind::Replace, Kind::Delete, Kind::Replace, Kind::Replace, Kind::Delete], 10);
        assert_eq!(batch.open_runs(true), [vec![0], vec![1], vec![2, 3], vec![4]]);
        assert_eq!(batch.open_runs(false), [vec![0, 2, 3], vec![1, 4]]);
    }

    #[test]
    fn a_command_is_never_larger_than_a_document_may_be() {
        let batch = batch(&[Kind::Insert; 5], 6 * 1024 * 1024);
        assert_eq!(batch.open_runs(true), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(batch.open_runs(false), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn what_was_not_confirmed_goes_first_and_as_it_was() {
        let mut batch = batch(&[Kind::Insert; 6], 10);
        batch.ops[0].sent = Sent::Written;
        batch.ops[5].sent = Sent::Rejected;
        batch.left_unanswered(vec![1, 2], Some(7));
        assert_eq!(batch.open_runs(true), [vec![1, 2], vec![3, 4]]);
        assert_eq!((batch.ops[1].sent, batch.ops[3].sent, batch.open()), (Sent::Unsure, Sent::No, 4));
        batch.at_most = 1;
        assert_eq!(batch.open_runs(true), [vec![1, 2], vec![3], vec![4]]);
    }

    #[test]
    fn records_that_are_gone_take_their_statements_along() {
        let mut batch = batch(&[Kind::Insert; 3], 10);
        batch.left_unanswered(vec![0, 1], Some(7));
        batch.move_records(|record| Some(record + 10));
        assert!(batch.unanswered.is_some());
        batch.move_records(|record| (record != 11).then(|| record - 10));
        assert!(batch.unanswered.is_none());
        assert_eq!(batch.ops.iter().map(|op| op.record).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(batch.open_runs(true), [vec![0, 1]]);
    }

    #[test]
    fn batches_are_cut_at_their_size_and_where_the_namespace_changes() {
        let (a, b) = (namespace("a"), namespace("b"));
        let mut batches = Batches::default();
        for (index, (plan, namespace)) in [(0, &a), (0, &a), (0, &a), (0, &b), (1, &b), (0, &a)].into_iter().enumerate()
        {
            batches.push(plan, 2, namespace.clone(), Statement::new(Kind::Insert), index, 0..1);
        }
        let sizes: Vec<_> = batches.batches.iter().map(|batch| batch.ops.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1]);
        batches.batches[4].left_unanswered(vec![0], None);
        batches.push(0, 2, a, Statement::new(Kind::Insert), 6, 0..1);
        assert_eq!(batches.batches.len(), 6, "what was not confirmed stays as it is");
    }
}
