//! Batches (`MongoSinkRecordProcessor`): records in order, cut where topic or namespace change and at the batch size.

use std::ops::Range;
use std::sync::Arc;

use connect_api::Error;

use crate::namespace::Namespace;
use crate::statement::{Kind, Statement};

/// One statement of a batch.
#[derive(Debug)]
pub struct Op {
    /// Place of the record in what the worker gave.
    pub record: usize,
    pub kind: Kind,
    /// Where the statement stands in the buffer.
    pub bytes: Range<usize>,
    pub deferred: Option<Error>,
}

/// Statements that go to the server as one bulk.
#[derive(Debug)]
pub struct Batch {
    /// Index of the topic's plan.
    pub plan: usize,
    pub namespace: Arc<Namespace>,
    pub ops: Vec<Op>,
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
        let op = Op { record, kind: statement.kind, bytes, deferred: statement.deferred };
        if let Some(last) = self.batches.last_mut()
            && last.plan == plan
            && last.namespace == namespace
            && (max == 0 || last.ops.len() < max)
        {
            last.ops.push(op);
            return;
        }
        self.batches.push(Batch { plan, namespace, ops: vec![op] });
    }
}

/// The most statements that one command takes.
const MAX_OPS: usize = 100_000;
/// The most bytes of statements that one command takes. They are an array in the command, which is a document: servers
/// take 16 MiB and, for what surrounds the statements, 16 KiB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Cuts a batch into commands: by kind, and by what a command takes. Ordered batches keep their order; unordered
/// ones are sorted by kind, in order of first use, as the driver does it.
pub fn runs(ops: &[Op], ordered: bool) -> Vec<Vec<usize>> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, op) in ops.iter().enumerate() {
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

    fn ops(kinds: &[Kind]) -> Vec<Op> {
        kinds.iter().map(|kind| Op { record: 0, kind: *kind, bytes: 0..10, deferred: None }).collect()
    }

    #[test]
    fn ordered_runs_follow_the_order_and_unordered_ones_the_kind() {
        let ops = ops(&[Kind::Replace, Kind::Delete, Kind::Replace, Kind::Replace, Kind::Delete]);
        assert_eq!(runs(&ops, true), [vec![0], vec![1], vec![2, 3], vec![4]]);
        assert_eq!(runs(&ops, false), [vec![0, 2, 3], vec![1, 4]]);
    }

    #[test]
    fn a_command_is_never_larger_than_a_document_may_be() {
        let large = |_| Op { record: 0, kind: Kind::Insert, bytes: 0..6 * 1024 * 1024, deferred: None };
        let ops: Vec<Op> = (0..5).map(large).collect();
        assert_eq!(runs(&ops, true), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(runs(&ops, false), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn batches_are_cut_at_their_size_and_where_the_namespace_changes() {
        let a = Arc::new(Namespace::new("db", "a").unwrap());
        let b = Arc::new(Namespace::new("db", "b").unwrap());
        let mut batches = Batches::default();
        for (index, (plan, namespace)) in [(0, &a), (0, &a), (0, &a), (0, &b), (1, &b), (0, &a)].into_iter().enumerate()
        {
            batches.push(plan, 2, namespace.clone(), Statement::new(Kind::Insert), index, 0..1);
        }
        let sizes: Vec<_> = batches.batches.iter().map(|batch| batch.ops.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1]);
    }
}
