//! What the stream has said of tables.
//!
//! A description that came within a transaction in progress is kept with it, and holds for its changes when they are delivered.
//! Meanwhile the server may have described the table anew for others: what counts for those is the newest description, in the
//! order in which they came.

use std::collections::HashMap;
use std::sync::Arc;

use crate::table::Table;

/// A description: its number, and the table, when that is captured.
type Described = (u64, Option<Arc<Table>>);

/// All descriptions that count.
#[derive(Debug, Default)]
pub(super) struct Tables {
    all: HashMap<u32, Described>,
    /// Those of the kept transaction that is delivered.
    kept: HashMap<u32, Described>,
    count: u64,
}

impl Tables {
    /// The number of a description that came now.
    pub(super) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// A description that counts from now on.
    pub(super) fn insert(&mut self, oid: u32, number: u64, table: Option<Arc<Table>>) {
        self.all.insert(oid, (number, table));
    }

    /// A description of the kept transaction that is delivered.
    pub(super) fn insert_kept(&mut self, oid: u32, number: u64, table: Option<Arc<Table>>) {
        self.kept.insert(oid, (number, table));
    }

    /// The kept transaction is delivered: what it said counts for others where nothing newer was said.
    pub(super) fn end_kept(&mut self) {
        for (oid, described) in self.kept.drain() {
            if self.all.get(&oid).is_none_or(|(number, _)| *number < described.0) {
                self.all.insert(oid, described);
            }
        }
    }

    /// The table of an id; `None` when it was never described.
    pub(super) fn get(&self, oid: u32) -> Option<&Option<Arc<Table>>> {
        self.kept.get(&oid).or_else(|| self.all.get(&oid)).map(|(_, table)| table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_description_of_a_kept_transaction_replaces_no_newer_one() {
        let mut tables = Tables::default();
        // Kept with the transaction.
        let kept = [tables.number(), tables.number()];
        let newer = tables.number();
        tables.insert(1, newer, None);
        tables.insert_kept(1, kept[0], None);
        tables.insert_kept(2, kept[1], None);
        assert_eq!(tables.kept.get(&1).map(|(number, _)| *number), Some(kept[0]), "its own changes are read by it");
        tables.end_kept();
        let number = |oid| tables.all.get(&oid).map(|(number, _)| *number);
        assert_eq!((number(1), number(2)), (Some(newer), Some(kept[1])));
        assert!(tables.get(3).is_none());
    }
}
