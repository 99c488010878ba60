//! Leaving out what a later statement of the same batch makes of no account (`write.collapse`).
//!
//! A replacement that may insert and a delete decide their document alone, so what was done to it before need not be done. An
//! insert fails when the document is there: it is never left out, and what comes before it is not either. Where the server has
//! to look for a document, anything may be meant, and nothing is left out across such a statement.

use std::collections::HashMap;

use crate::identity::{Effect, Identity, Targets};

/// For each statement the later one that is done in its place; `None` for those that are to be written.
///
/// An ordered batch ends with a statement that is refused. In another one its document's later statements are written all the
/// same, and what was left out in its favour could not be put before them any more: there only a document's last statement
/// stands for others.
pub fn plan(targets: &Targets, ordered: bool) -> Vec<Option<usize>> {
    let mut instead = vec![None; targets.len()];
    let mut last: HashMap<&[u8], usize> = HashMap::new();
    // What the next deciding statement on a document makes of no account.
    let mut open: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for index in 0..targets.len() {
        let Identity::Id(id) = targets.identity(index) else {
            open.clear();
            continue;
        };
        last.insert(id, index);
        match targets.effect(index) {
            Effect::Decides => {
                let before = open.entry(id).or_default();
                for before in before.drain(..) {
                    instead[before] = Some(index);
                }
                before.push(index);
            }
            Effect::Changes => open.entry(id).or_default().push(index),
            Effect::Inserts | Effect::Depends => {
                open.remove(id);
            }
        }
    }
    // The last of them is done, not one that is left out itself.
    for index in (0..instead.len()).rev() {
        if let Some(final_one) = instead[index].and_then(|by| instead[by]) {
            instead[index] = Some(final_one);
        }
    }
    if !ordered {
        let is_last = |index: &usize| match targets.identity(*index) {
            Identity::Id(id) => last.get(id) == Some(index),
            _ => false,
        };
        for by in &mut instead {
            *by = by.filter(is_last);
        }
    }
    instead
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::doc::{Unavailable, Writer};
    use crate::keep;
    use crate::statement::Model;

    /// `r1`: replaces 1, `u`: updates, `d`: deletes, `i`: inserts, `p`: replaces without inserting, `s`: deletes with a shard
    /// key, `k`: replaces but for a value that it keeps,
    /// `?`: deletes what the server finds.
    fn planned(statements: &str) -> Vec<Option<usize>> {
        plan(&targets(statements), true)
    }

    fn targets(statements: &str) -> Targets {
        let mut targets = Targets::default();
        for statement in statements.split(' ') {
            let (what, id) = statement.split_at(1);
            let filter = doc! {"_id": id};
            let model = match what {
                "r" => Model::Replace { filter, replacement: doc! {"_id": id}, upsert: true },
                "k" => Model::Replace { filter, replacement: doc! {"_id": id, "big": "gone"}, upsert: true },
                "p" => Model::Replace { filter, replacement: doc! {"_id": id}, upsert: false },
                "u" => Model::Update { filter, update: doc! {"$set": {"a": 1}}, upsert: true },
                "i" => Model::Insert(doc! {"_id": id}),
                "d" => Model::Delete { filter },
                "s" => Model::Delete { filter: doc! {"_id": id, "region": "eu"} },
                _ => Model::Delete { filter: doc! {"a": {"$gt": 1}} },
            };
            let mut w = Writer::new();
            let statement = keep::write(model, &Unavailable::new("gone"), &mut w).unwrap();
            targets.push(statement.kind, w.bytes());
        }
        targets
    }

    #[test]
    fn only_the_last_deciding_statement_on_a_document_stays() {
        assert_eq!(planned("r1 r2 r1 d2 r1"), [Some(4), Some(3), Some(4), None, None]);
        assert_eq!(planned("r1 d1 r1 d1"), [Some(3), Some(3), Some(3), None]);
        assert_eq!(planned("u1 p1 r1"), [Some(2), Some(2), None]);
    }

    #[test]
    fn what_depends_on_the_document_leaves_out_nothing() {
        assert_eq!(planned("r1 u1"), [None, None]);
        assert_eq!(planned("d1 p1"), [None, None]);
        assert_eq!(planned("r1 u1 r1 u1"), [Some(2), Some(2), None, None]);
    }

    #[test]
    fn a_replacement_that_keeps_a_stored_value_is_about_its_document_and_needs_what_comes_before_it() {
        let all = targets("r1 k1");
        assert_eq!((all.identity(0), all.effect(1)), (all.identity(1), Effect::Changes));
        assert_eq!(planned("r1 k1"), [None, None]);
        assert_eq!(planned("i1 k1 d1"), [None, Some(2), None]);
        assert_eq!(planned("r1 k1 r1 k1"), [Some(2), Some(2), None, None]);
    }

    #[test]
    fn inserts_stay_and_keep_what_comes_before_them() {
        assert_eq!(planned("i1 r1"), [None, None]);
        assert_eq!(planned("r1 d1 i1 r1 r1"), [Some(1), None, None, Some(4), None]);
    }

    #[test]
    fn without_order_only_the_last_statement_on_a_document_stands_for_others() {
        assert_eq!(plan(&targets("r1 r1 u1 r2 r2"), false), [None, None, None, Some(4), None]);
        assert_eq!(plan(&targets("r1 r1 ?0 u1"), false), [None, None, None, None]);
    }

    #[test]
    fn nothing_is_left_out_across_a_statement_that_the_server_has_to_find_a_document_for() {
        assert_eq!(planned("r1 ?0 r1"), [None, None, None]);
        assert_eq!(planned("r1 s1 r1"), [None, None, None]);
        assert_eq!(planned("r1 s2 r1"), [Some(2), None, None], "another document");
    }
}
