//! Messages as the manual describes them ("Logical Replication Message Formats"), and how they are written.

use proptest::prelude::*;

/// A message, with all that it carries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Model {
    Begin { lsn: u64, time: i64, xid: u32 },
    Commit { flags: u8, lsn: u64, end: u64, time: i64 },
    Origin { lsn: u64, name: Vec<u8> },
    Relation { oid: u32, namespace: Vec<u8>, name: Vec<u8>, identity: u8, columns: Vec<Column> },
    Type { oid: u32, namespace: Vec<u8>, name: Vec<u8> },
    Insert { relation: u32, new: Row },
    Update { relation: u32, old: Option<(u8, Row)>, new: Row },
    Delete { relation: u32, old: (u8, Row) },
    Truncate { options: u8, relations: Vec<u32> },
    Message { flags: u8, lsn: u64, prefix: Vec<u8>, content: Vec<u8> },
    StreamStart { xid: u32, first: u8 },
    StreamStop,
    StreamCommit { xid: u32, flags: u8, lsn: u64, end: u64, time: i64 },
    StreamAbort { xid: u32, subxid: u32 },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub flags: u8,
    pub name: Vec<u8>,
    pub type_oid: u32,
    pub modifier: i32,
}

pub(crate) type Row = Vec<Cell>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Unchanged,
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

/// Writes messages.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn string(self, text: &[u8]) -> Self {
        self.bytes(text).bytes(&[0])
    }

    fn counted(self, bytes: &[u8]) -> Self {
        self.bytes(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).bytes(bytes)
    }

    fn row(self, row: &Row) -> Self {
        let out = self.bytes(&u16::try_from(row.len()).unwrap().to_be_bytes());
        row.iter().fold(out, |out, cell| match cell {
            Cell::Null => out.bytes(b"n"),
            Cell::Unchanged => out.bytes(b"u"),
            Cell::Text(text) => out.bytes(b"t").counted(text),
            Cell::Binary(bytes) => out.bytes(b"b").counted(bytes),
        })
    }
}

impl Model {
    /// The message as the server sends it: within a block with the id of its transaction.
    pub(crate) fn encode(&self, xid: Option<u32>) -> Vec<u8> {
        let start = |tag: u8| Writer::default().bytes(&[tag]);
        let inside = |tag: u8| {
            let out = start(tag);
            match xid {
                Some(xid) => out.bytes(&xid.to_be_bytes()),
                None => out,
            }
        };
        let out = match self {
            Self::Begin { lsn, time, xid } => {
                start(b'B').bytes(&lsn.to_be_bytes()).bytes(&time.to_be_bytes()).bytes(&xid.to_be_bytes())
            }
            Self::Commit { flags, lsn, end, time } => start(b'C')
                .bytes(&[*flags])
                .bytes(&lsn.to_be_bytes())
                .bytes(&end.to_be_bytes())
                .bytes(&time.to_be_bytes()),
            Self::Origin { lsn, name } => start(b'O').bytes(&lsn.to_be_bytes()).string(name),
            Self::Relation { oid, namespace, name, identity, columns } => {
                let out = inside(b'R').bytes(&oid.to_be_bytes()).string(namespace).string(name).bytes(&[*identity]);
                let out = out.bytes(&u16::try_from(columns.len()).unwrap().to_be_bytes());
                columns.iter().fold(out, |out, column| {
                    out.bytes(&[column.flags])
                        .string(&column.name)
                        .bytes(&column.type_oid.to_be_bytes())
                        .bytes(&column.modifier.to_be_bytes())
                })
            }
            Self::Type { oid, namespace, name } => {
                inside(b'Y').bytes(&oid.to_be_bytes()).string(namespace).string(name)
            }
            Self::Insert { relation, new } => inside(b'I').bytes(&relation.to_be_bytes()).bytes(b"N").row(new),
            Self::Update { relation, old, new } => {
                let out = inside(b'U').bytes(&relation.to_be_bytes());
                let out = match old {
                    Some((kind, old)) => out.bytes(&[*kind]).row(old),
                    None => out,
                };
                out.bytes(b"N").row(new)
            }
            Self::Delete { relation, old: (kind, old) } => {
                inside(b'D').bytes(&relation.to_be_bytes()).bytes(&[*kind]).row(old)
            }
            Self::Truncate { options, relations } => {
                let out = inside(b'T').bytes(&u32::try_from(relations.len()).unwrap().to_be_bytes()).bytes(&[*options]);
                relations.iter().fold(out, |out, relation| out.bytes(&relation.to_be_bytes()))
            }
            Self::Message { flags, lsn, prefix, content } => {
                inside(b'M').bytes(&[*flags]).bytes(&lsn.to_be_bytes()).string(prefix).counted(content)
            }
            Self::StreamStart { xid, first } => start(b'S').bytes(&xid.to_be_bytes()).bytes(&[*first]),
            Self::StreamStop => start(b'E'),
            Self::StreamCommit { xid, flags, lsn, end, time } => start(b'c')
                .bytes(&xid.to_be_bytes())
                .bytes(&[*flags])
                .bytes(&lsn.to_be_bytes())
                .bytes(&end.to_be_bytes())
                .bytes(&time.to_be_bytes()),
            Self::StreamAbort { xid, subxid } => start(b'A').bytes(&xid.to_be_bytes()).bytes(&subxid.to_be_bytes()),
        };
        out.0
    }

    /// True for what carries the id of its transaction within a block.
    pub(crate) fn is_part(&self) -> bool {
        use Model::*;
        matches!(
            self,
            Relation { .. }
                | Type { .. }
                | Insert { .. }
                | Update { .. }
                | Delete { .. }
                | Truncate { .. }
                | Message { .. }
        )
    }
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z_]{0,20}".prop_map(String::into_bytes),
        any::<String>().prop_map(|text| text.replace('\0', "").into_bytes()),
        proptest::collection::vec(1..=255_u8, 0..12),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let cell = prop_oneof![
        Just(Cell::Null),
        Just(Cell::Unchanged),
        bytes().prop_map(Cell::Text),
        bytes().prop_map(Cell::Binary),
        proptest::collection::vec(any::<u8>(), 0..3_000).prop_map(Cell::Text),
    ];
    proptest::collection::vec(cell, 0..12)
}

fn column() -> impl Strategy<Value = Column> {
    (any::<u8>(), name(), any::<u32>(), any::<i32>()).prop_map(|(flags, name, type_oid, modifier)| Column {
        flags,
        name,
        type_oid,
        modifier,
    })
}

/// Any message that a server could send.
pub(crate) fn model() -> impl Strategy<Value = Model> {
    let old = || (prop::sample::select(b"KO".to_vec()), row());
    let columns = proptest::collection::vec(column(), 0..20);
    let relations = proptest::collection::vec(any::<u32>(), 0..12);
    let content = proptest::collection::vec(any::<u8>(), 0..100);
    prop_oneof![
        (any::<u64>(), any::<i64>(), any::<u32>()).prop_map(|(lsn, time, xid)| Model::Begin { lsn, time, xid }),
        (any::<u8>(), any::<u64>(), any::<u64>(), any::<i64>()).prop_map(|(flags, lsn, end, time)| Model::Commit {
            flags,
            lsn,
            end,
            time
        }),
        (any::<u64>(), name()).prop_map(|(lsn, name)| Model::Origin { lsn, name }),
        (any::<u32>(), name(), name(), any::<u8>(), columns).prop_map(|(oid, namespace, name, identity, columns)| {
            Model::Relation { oid, namespace, name, identity, columns }
        }),
        (any::<u32>(), name(), name()).prop_map(|(oid, namespace, name)| Model::Type { oid, namespace, name }),
        (any::<u32>(), row()).prop_map(|(relation, new)| Model::Insert { relation, new }),
        (any::<u32>(), proptest::option::of(old()), row()).prop_map(|(relation, old, new)| Model::Update {
            relation,
            old,
            new
        }),
        (any::<u32>(), old()).prop_map(|(relation, old)| Model::Delete { relation, old }),
        (any::<u8>(), relations).prop_map(|(options, relations)| Model::Truncate { options, relations }),
        (any::<u8>(), any::<u64>(), name(), content).prop_map(|(flags, lsn, prefix, content)| Model::Message {
            flags,
            lsn,
            prefix,
            content
        }),
        (any::<u32>(), any::<u8>()).prop_map(|(xid, first)| Model::StreamStart { xid, first }),
        Just(Model::StreamStop),
        (any::<u32>(), any::<u8>(), any::<u64>(), any::<u64>(), any::<i64>())
            .prop_map(|(xid, flags, lsn, end, time)| Model::StreamCommit { xid, flags, lsn, end, time }),
        (any::<u32>(), any::<u32>()).prop_map(|(xid, subxid)| Model::StreamAbort { xid, subxid }),
    ]
}
