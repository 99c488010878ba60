//! The decoder of `pgoutput` against a second one that was written from the manual, over generated messages, whole and broken.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

mod manual;
mod model;

use bytes::Bytes;
use connect_postgres::pgoutput::{
    self, Begin, Commit, InBlock, Message, Old, POSTGRES_EPOCH_US, Relation, RelationColumn, Tuple,
};
use proptest::prelude::*;

use crate::model::{Cell, Model, Row, model};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What there is to know of a message, comparable.
#[derive(Debug, PartialEq)]
enum Seen {
    Plain(Message),
    Insert(u32, Cells),
    Update(u32, Option<(bool, Cells)>, Cells),
    Delete(u32, bool, Cells),
}

/// The values of a row, and which of them were not sent.
type Cells = (Vec<Option<Vec<u8>>>, Vec<bool>);

fn of_row(row: &Row) -> Cells {
    let value = |cell: &Cell| match cell {
        Cell::Null | Cell::Unchanged => None,
        Cell::Text(bytes) | Cell::Binary(bytes) => Some(bytes.clone()),
    };
    (row.iter().map(value).collect(), row.iter().map(|cell| *cell == Cell::Unchanged).collect())
}

fn of_tuple(tuple: &Tuple) -> Cells {
    let cells: Vec<_> = tuple.cells().collect();
    assert_eq!(cells.len(), usize::from(tuple.count));
    let value = |cell: &pgoutput::Cell<'_>| match cell {
        pgoutput::Cell::Text(bytes) => Some(bytes.to_vec()),
        _ => None,
    };
    (cells.iter().map(value).collect(), cells.iter().map(|cell| *cell == pgoutput::Cell::Unchanged).collect())
}

/// What the connector has to make of a message.
fn expected(model: &Model) -> Seen {
    let us = |time: i64| time.wrapping_add(POSTGRES_EPOCH_US);
    Seen::Plain(match model {
        Model::Begin { lsn, time, xid } => Message::Begin(Begin { final_lsn: *lsn, commit_us: us(*time), xid: *xid }),
        Model::Commit { lsn, end, .. } => Message::Commit(Commit { commit_lsn: *lsn, end_lsn: *end }),
        Model::Origin { .. } | Model::Type { .. } => Message::Other,
        Model::Relation { oid, namespace, name, identity, columns } => Message::Relation(Relation {
            oid: *oid,
            schema: if namespace.is_empty() { "pg_catalog".to_owned() } else { text(namespace) },
            table: text(name),
            identity: *identity,
            columns: columns
                .iter()
                .map(|column| RelationColumn {
                    key: column.flags % 2 == 1,
                    name: text(&column.name),
                    type_oid: column.type_oid,
                    typmod: column.modifier,
                })
                .collect(),
        }),
        Model::Insert { relation, new } => return Seen::Insert(*relation, of_row(new)),
        Model::Update { relation, old, new } => {
            let old = old.as_ref().map(|(kind, row)| (*kind == b'O', of_row(row)));
            return Seen::Update(*relation, old, of_row(new));
        }
        Model::Delete { relation, old: (kind, row) } => return Seen::Delete(*relation, *kind == b'O', of_row(row)),
        Model::Truncate { relations, .. } => Message::Truncate { relations: relations.clone() },
        Model::Message { flags, lsn, prefix, content } => Message::Logical {
            transactional: flags % 2 == 1,
            lsn: *lsn,
            prefix: prefix.clone().into(),
            content: content.clone().into(),
        },
        Model::StreamStart { xid, first } => Message::StreamStart { xid: *xid, first: *first == 1 },
        Model::StreamStop => Message::StreamStop,
        Model::StreamCommit { xid, lsn, end, time, .. } => Message::StreamCommit {
            xid: *xid,
            commit: Commit { commit_lsn: *lsn, end_lsn: *end },
            commit_us: us(*time),
        },
        Model::StreamAbort { xid, subxid } => Message::StreamAbort { xid: *xid, part: *subxid },
    })
}

fn seen(message: Message) -> Seen {
    let old = |old: &Old| (matches!(old, Old::Full(_)), of_tuple(old.tuple()));
    match message {
        Message::Insert { relation, new } => Seen::Insert(relation, of_tuple(&new)),
        Message::Update { relation, old: before, new } => {
            Seen::Update(relation, before.as_ref().map(old), of_tuple(&new))
        }
        Message::Delete { relation, old: before } => {
            let (whole, row) = old(&before);
            Seen::Delete(relation, whole, row)
        }
        other => Seen::Plain(other),
    }
}

/// Both decoders say the same, or both refuse the message.
fn agree(bytes: &[u8]) {
    let manual = manual::decode(bytes, false).map(|(_, model)| expected(&model));
    assert_eq!(pgoutput::decode(&Bytes::copy_from_slice(bytes)).ok().map(seen), manual, "{bytes:?}");
}

fn agree_in_block(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    let manual = manual::decode(bytes, true);
    match pgoutput::in_block(&shared) {
        Ok(InBlock::Of(xid)) => {
            let decoded = pgoutput::decode_in_block(&shared).ok().map(seen);
            assert_eq!(decoded, manual.as_ref().map(|(_, model)| expected(model)), "{bytes:?}");
            assert!(manual.is_none_or(|(of, _)| of == Some(xid)), "{bytes:?}");
        }
        Ok(InBlock::Stop) => assert_eq!(manual, Some((None, Model::StreamStop))),
        Ok(InBlock::Other) => {}
        // What can't stand there, or has no whole id.
        Err(_) => assert!(manual.is_none_or(|(of, _)| of.is_none()), "{bytes:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_message_is_read_as_the_manual_has_it(model in model()) {
        let bytes = model.encode(None);
        prop_assert_eq!(manual::decode(&bytes, false), Some((None, model.clone())));
        let decoded = pgoutput::decode(&bytes.into());
        prop_assert_eq!(decoded.map(seen), Ok(expected(&model)));
    }

    #[test]
    fn a_message_in_a_block_is_that_of_its_transaction(model in model(), xid: u32) {
        let model = if model.is_part() { model } else { Model::StreamStop };
        let part = model.is_part();
        let bytes = model.encode(Some(xid));
        prop_assert_eq!(manual::decode(&bytes, true), Some((part.then_some(xid), model.clone())));
        agree_in_block(&bytes);
    }

    #[test]
    fn broken_messages_are_refused_or_read_alike(
        model in model(),
        xid in proptest::option::of(any::<u32>()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = model.encode(xid);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len() + 1));
        }
        agree(&bytes);
        agree_in_block(&bytes);
    }

    #[test]
    fn bytes_of_any_kind_are_refused_or_read_alike(bytes: Vec<u8>, tag in prop::sample::select(b"BCORYIUDTMSEcA".to_vec())) {
        agree(&bytes);
        agree_in_block(&bytes);
        let bytes = [&[tag], &bytes[..]].concat();
        agree(&bytes);
        agree_in_block(&bytes);
    }
}
