//! Decodes the messages of the `pgoutput` plugin (protocol versions 1 and 2), without copying: a tuple is a slice of the
//! frame, and its columns are ranges of that slice.
//!
//! In version 2 the server may send transactions that are not committed yet, in blocks between `StreamStart` and
//! `StreamStop`. What stands in a block carries the id of its transaction, or of the part of one that can be rolled back by
//! itself, behind its first byte ([`in_block`], [`decode_in_block`]).
//!
//! Everything is checked against the end of the message: bytes of any kind give an error, never a panic.

use bytes::Bytes;

/// Microseconds between the Unix epoch and that of Postgres (2000-01-01).
pub const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A message that is not as the protocol says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed pgoutput message {tag:?}: {what}")]
pub struct Malformed {
    /// The message's first byte.
    pub tag: char,
    pub what: &'static str,
}

/// A decoded message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Begin(Begin),
    Commit(Commit),
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple,
    },
    /// `old` holds the whole row (identity FULL) or the key, when it changed.
    Update {
        relation: u32,
        old: Option<Old>,
        new: Tuple,
    },
    Delete {
        relation: u32,
        old: Old,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// A logical message: prefix and content.
    Logical {
        transactional: bool,
        lsn: u64,
        prefix: Bytes,
        content: Bytes,
    },
    /// A block of a transaction that is not committed yet begins: the first one of it, or a later one.
    StreamStart {
        xid: u32,
        first: bool,
    },
    /// The block ends.
    StreamStop,
    /// A transaction that was sent in blocks is committed.
    StreamCommit {
        xid: u32,
        commit: Commit,
        /// Microseconds since the Unix epoch.
        commit_us: i64,
    },
    /// A transaction that was sent in blocks is rolled back, or a part of it, which has an id of its own.
    StreamAbort {
        xid: u32,
        part: u32,
    },
    /// Origins and types: they carry nothing that a record shows.
    Other,
}

/// What stands in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InBlock {
    /// Something that the transaction of this id, a whole one or a part, did.
    Of(u32),
    /// The block ends.
    Stop,
    /// Origins and types.
    Other,
}

/// The begin of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Where the commit record starts.
    pub final_lsn: u64,
    /// Microseconds since the Unix epoch.
    pub commit_us: i64,
    pub xid: u32,
}

/// The end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub commit_lsn: u64,
    /// Where the transaction ends: all before it is done.
    pub end_lsn: u64,
}

/// A table as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub table: String,
    /// `d`, `n`, `f` or `i`.
    pub identity: u8,
    pub columns: Vec<RelationColumn>,
}

/// A column as the stream describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    /// Part of the replica identity.
    pub key: bool,
    pub name: String,
    pub type_oid: u32,
    pub typmod: i32,
}

/// The old version of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Old {
    /// Only the identity's columns are there, the others are null.
    Key(Tuple),
    /// All columns.
    Full(Tuple),
}

impl Old {
    /// The columns.
    pub fn tuple(&self) -> &Tuple {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

/// A row: as many columns as counted, checked when it was cut out.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuple {
    pub count: u16,
    bytes: Bytes,
}

/// One column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Null,
    /// A large value that did not change and was not sent.
    Unchanged,
    Text(&'a [u8]),
}

impl Tuple {
    /// The buffer that the cells are slices of.
    pub fn buffer(&self) -> &Bytes {
        &self.bytes
    }

    /// The columns in order.
    pub fn cells(&self) -> Cells<'_> {
        Cells { rest: &self.bytes }
    }
}

/// Iterates over the columns of a [`Tuple`].
pub struct Cells<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    fn next(&mut self) -> Option<Cell<'a>> {
        let (&kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        match kind {
            b'n' => Some(Cell::Null),
            b'u' => Some(Cell::Unchanged),
            _ => {
                let length = self.rest.split_off(..4)?;
                let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
                Some(Cell::Text(self.rest.split_off(..length)?))
            }
        }
    }
}

/// A cursor over one message.
struct Reader<'a> {
    tag: u8,
    whole: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Behind the first byte.
    fn of(whole: &'a Bytes) -> Result<Self, Malformed> {
        let Some((&tag, rest)) = whole.split_first() else { return Err(Malformed { tag: ' ', what: "it is empty" }) };
        Ok(Self { tag, whole, rest })
    }

    fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { tag: self.tag as char, what }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let error = self.malformed("it ends too early");
        self.rest.split_off(..n).ok_or(error)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let error = self.malformed("it ends too early");
        self.take(N)?.try_into().map_err(|_| error)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    fn c_string(&mut self) -> Result<&'a [u8], Malformed> {
        let end = memchr::memchr(0, self.rest).ok_or_else(|| self.malformed("a name has no end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    fn name(&mut self) -> Result<String, Malformed> {
        self.c_string().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn tuple(&mut self) -> Result<Tuple, Malformed> {
        let count = self.u16()?;
        let start = self.rest;
        for _ in 0..count {
            match self.u8()? {
                b'n' | b'u' => {}
                b't' | b'b' => {
                    let length = self.u32()? as usize;
                    self.take(length)?;
                }
                _ => return Err(self.malformed("a column of an unknown kind")),
            }
        }
        let used = start.len() - self.rest.len();
        Ok(Tuple { count, bytes: self.whole.slice_ref(&start[..used]) })
    }

    fn old(&mut self, kind: u8) -> Result<Old, Malformed> {
        match kind {
            b'K' => self.tuple().map(Old::Key),
            b'O' => self.tuple().map(Old::Full),
            _ => Err(self.malformed("an old row of an unknown kind")),
        }
    }
}

/// Decodes one message that stands in no block.
pub fn decode(bytes: &Bytes) -> Result<Message, Malformed> {
    let mut reader = Reader::of(bytes)?;
    message(&mut reader)
}

/// Says what a message in a block belongs to.
pub fn in_block(bytes: &Bytes) -> Result<InBlock, Malformed> {
    let mut reader = Reader::of(bytes)?;
    match reader.tag {
        b'I' | b'U' | b'D' | b'T' | b'M' | b'R' => reader.u32().map(InBlock::Of),
        b'E' => Ok(InBlock::Stop),
        b'Y' | b'O' => Ok(InBlock::Other),
        _ => Err(reader.malformed("it can't stand in a block")),
    }
}

/// Decodes a message of a block that belongs to a transaction ([`InBlock::Of`]).
pub fn decode_in_block(bytes: &Bytes) -> Result<Message, Malformed> {
    let mut reader = Reader::of(bytes)?;
    if !matches!(reader.tag, b'I' | b'U' | b'D' | b'T' | b'M' | b'R') {
        return Err(reader.malformed("it belongs to no transaction"));
    }
    reader.u32()?;
    message(&mut reader)
}

fn message(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    match reader.tag {
        b'I' => {
            let relation = reader.u32()?;
            match reader.u8()? {
                b'N' => Ok(Message::Insert { relation, new: reader.tuple()? }),
                _ => Err(reader.malformed("an insert without a new row")),
            }
        }
        b'U' => update(reader),
        b'D' => {
            let relation = reader.u32()?;
            let kind = reader.u8()?;
            Ok(Message::Delete { relation, old: reader.old(kind)? })
        }
        b'B' => Ok(Message::Begin(Begin {
            final_lsn: reader.u64()?,
            commit_us: reader.i64()?.wrapping_add(POSTGRES_EPOCH_US),
            xid: reader.u32()?,
        })),
        b'C' => {
            reader.u8()?;
            let (commit_lsn, end_lsn, _commit_time) = (reader.u64()?, reader.u64()?, reader.i64()?);
            Ok(Message::Commit(Commit { commit_lsn, end_lsn }))
        }
        b'R' => relation(reader),
        b'T' => {
            let count = reader.u32()?;
            reader.u8()?;
            let relations = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
            Ok(Message::Truncate { relations })
        }
        b'M' => logical(reader),
        b'S' => Ok(Message::StreamStart { xid: reader.u32()?, first: reader.u8()? == 1 }),
        b'E' => Ok(Message::StreamStop),
        b'c' => {
            let xid = reader.u32()?;
            reader.u8()?;
            let (commit_lsn, end_lsn) = (reader.u64()?, reader.u64()?);
            let commit_us = reader.i64()?.wrapping_add(POSTGRES_EPOCH_US);
            Ok(Message::StreamCommit { xid, commit: Commit { commit_lsn, end_lsn }, commit_us })
        }
        b'A' => Ok(Message::StreamAbort { xid: reader.u32()?, part: reader.u32()? }),
        // Looked through, so that what is cut off is noticed.
        b'Y' => {
            let (_oid, _schema, _name) = (reader.u32()?, reader.c_string()?, reader.c_string()?);
            Ok(Message::Other)
        }
        b'O' => {
            let (_lsn, _name) = (reader.u64()?, reader.c_string()?);
            Ok(Message::Other)
        }
        _ => Err(reader.malformed("a message of an unknown kind")),
    }
}

fn update(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let relation = reader.u32()?;
    let mut kind = reader.u8()?;
    let mut old = None;
    if kind != b'N' {
        old = Some(reader.old(kind)?);
        kind = reader.u8()?;
    }
    if kind != b'N' {
        return Err(reader.malformed("an update without a new row"));
    }
    Ok(Message::Update { relation, old, new: reader.tuple()? })
}

fn relation(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let oid = reader.u32()?;
    let (schema, table) = (reader.name()?, reader.name()?);
    let identity = reader.u8()?;
    let count = reader.u16()?;
    let mut columns = Vec::with_capacity(count.min(1664).into());
    for _ in 0..count {
        let key = reader.u8()? & 1 == 1;
        let name = reader.name()?;
        columns.push(RelationColumn { key, name, type_oid: reader.u32()?, typmod: reader.i32()? });
    }
    // The empty name stands for pg_catalog.
    let schema = if schema.is_empty() { "pg_catalog".to_owned() } else { schema };
    Ok(Message::Relation(Relation { oid, schema, table, identity, columns }))
}

fn logical(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
    let transactional = reader.u8()? & 1 == 1;
    let lsn = reader.u64()?;
    let prefix = reader.c_string()?;
    let length = reader.u32()? as usize;
    let content = reader.take(length)?;
    Ok(Message::Logical {
        transactional,
        lsn,
        prefix: reader.whole.slice_ref(prefix),
        content: reader.whole.slice_ref(content),
    })
}

/// What a copy-data frame of a replication session holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Replicated {
    /// A piece of the plugin's output with its place in the log.
    Data { lsn: u64, payload: Bytes },
    /// The end of the server's log; `reply` asks for an answer now.
    KeepAlive { wal_end: u64, reply: bool },
}

/// Reads the header of a copy-data frame.
pub fn replicated(body: &Bytes) -> Result<Replicated, Malformed> {
    let mut reader = Reader::of(body)?;
    match reader.tag {
        b'w' => {
            let lsn = reader.u64()?;
            reader.take(16)?;
            Ok(Replicated::Data { lsn, payload: body.slice_ref(reader.rest) })
        }
        b'k' => {
            let wal_end = reader.u64()?;
            reader.u64()?;
            Ok(Replicated::KeepAlive { wal_end, reply: reader.u8()? == 1 })
        }
        _ => Err(reader.malformed("a frame of an unknown kind")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Recorded from Postgres 15: `UPDATE` of `(id int, v text)` under identity FULL, `(1, 'a')` to `(1, NULL)`.
    const UPDATE: &[u8] = b"U\0\0\x40\x01O\0\x02t\0\0\0\x011t\0\0\0\x01aN\0\x02t\0\0\0\x011n";

    #[test]
    fn an_update_is_decoded_without_copying() {
        let bytes = Bytes::from_static(UPDATE);
        let Message::Update { relation, old: Some(Old::Full(old)), new } = decode(&bytes).expect("decodes") else {
            panic!("not an update with its old row");
        };
        assert_eq!(relation, 16385);
        assert_eq!(old.cells().collect::<Vec<_>>(), vec![Cell::Text(b"1"), Cell::Text(b"a")]);
        assert_eq!(new.cells().collect::<Vec<_>>(), vec![Cell::Text(b"1"), Cell::Null]);
        assert!(bytes.as_ptr_range().contains(&new.buffer().as_ptr()), "a tuple is a slice of its frame");
    }

    #[test]
    fn begin_and_commit_carry_positions_and_time() {
        let mut bytes = vec![b'B'];
        bytes.extend(0x0123_4567_u64.to_be_bytes());
        bytes.extend(1_000_000_i64.to_be_bytes());
        bytes.extend(77_u32.to_be_bytes());
        let begin = Begin { final_lsn: 0x0123_4567, commit_us: POSTGRES_EPOCH_US + 1_000_000, xid: 77 };
        assert_eq!(decode(&bytes.into()), Ok(Message::Begin(begin)));
    }

    #[test]
    fn every_cut_message_is_an_error() {
        for end in 0..UPDATE.len() {
            assert!(decode(&Bytes::from_static(&UPDATE[..end])).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(tag in prop::sample::select(b"BCRIUDTMYOwk".to_vec()), body: Vec<u8>) {
            let mut bytes = vec![tag];
            bytes.extend(body);
            let bytes = Bytes::from(bytes);
            drop(replicated(&bytes));
            if let Ok(Message::Insert { new, .. }) = decode(&bytes) {
                prop_assert_eq!(new.cells().count(), usize::from(new.count));
            }
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0..UPDATE.len(), byte: u8) {
            let mut bytes = UPDATE.to_vec();
            bytes[at] = byte;
            drop(decode(&bytes.into()));
        }
    }
}
