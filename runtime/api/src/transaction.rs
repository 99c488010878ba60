//! Transactions whose ends a source connector chooses (`org.apache.kafka.connect.source.TransactionContext`).

use std::sync::{Arc, Mutex, PoisonError};

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    Commit,
    /// Its records are never seen. The positions of the task advance all the same.
    Abort,
}

/// What a task asks of its worker about the batch that it gives out next. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct TransactionContext {
    requests: Arc<Mutex<Requests>>,
}

#[derive(Debug, Default)]
struct Requests {
    inside: Vec<(usize, TransactionEnd)>,
    batch: Option<TransactionEnd>,
}

impl TransactionContext {
    /// Ends the transaction behind the first `records` records of the batch. Calls come in order of `records`.
    pub fn end_after(&self, records: usize, end: TransactionEnd) {
        self.lock().inside.push((records, end));
    }

    /// Ends the transaction behind the whole batch.
    pub fn end_batch(&self, end: TransactionEnd) {
        self.lock().batch = Some(end);
    }

    /// For the worker: takes what was asked of a batch of `length` records, in order; what lies beyond it is left out.
    pub fn take(&self, length: usize) -> Vec<(usize, TransactionEnd)> {
        let Requests { mut inside, batch } = std::mem::take(&mut *self.lock());
        inside.retain(|(records, _)| *records <= length);
        inside.extend(batch.map(|end| (length, end)));
        inside
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Requests> {
        // A task that panicked while it held the lock left whole requests behind.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_for_one_batch() {
        let context = TransactionContext::default();
        context.end_after(2, TransactionEnd::Commit);
        context.end_after(9, TransactionEnd::Commit);
        context.clone().end_batch(TransactionEnd::Abort);
        assert_eq!(context.take(5), [(2, TransactionEnd::Commit), (5, TransactionEnd::Abort)]);
        assert_eq!(context.take(5), []);
    }
}
