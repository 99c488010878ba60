//! A second decoder, written from the manual alone: simple, slow, and it copies everything.

use crate::model::{Cell, Column, Model, Row};

/// What is left of a message; `None` is its end.
struct Rest(std::collections::VecDeque<u8>);

impl Rest {
    fn int8(&mut self) -> Option<u8> {
        self.0.pop_front()
    }

    /// A number in network byte order.
    fn number(&mut self, size: u32) -> Option<u64> {
        let mut value = 0;
        for _ in 0..size {
            value = value * 256 + u64::from(self.int8()?);
        }
        Some(value)
    }

    fn int16(&mut self) -> Option<u16> {
        self.number(2)?.try_into().ok()
    }

    fn int32(&mut self) -> Option<u32> {
        self.number(4)?.try_into().ok()
    }

    fn int64(&mut self) -> Option<u64> {
        self.number(8)
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            match self.int8()? {
                0 => return Some(text),
                byte => text.push(byte),
            }
        }
    }

    fn bytes(&mut self, count: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            bytes.push(self.int8()?);
        }
        Some(bytes)
    }

    /// `TupleData`.
    fn row(&mut self) -> Option<Row> {
        let mut row = Row::new();
        for _ in 0..self.int16()? {
            let kind = self.int8()?;
            row.push(match char::from(kind) {
                'n' => Cell::Null,
                'u' => Cell::Unchanged,
                't' => {
                    let length = self.int32()?;
                    Cell::Text(self.bytes(length)?)
                }
                'b' => {
                    let length = self.int32()?;
                    Cell::Binary(self.bytes(length)?)
                }
                _ => return None,
            });
        }
        Some(row)
    }
}

/// Reads a message; within a block also the id of its transaction. `None` for what the manual does not know.
pub(crate) fn decode(bytes: &[u8], in_block: bool) -> Option<(Option<u32>, Model)> {
    let mut rest = Rest(bytes.iter().copied().collect());
    let tag = char::from(rest.int8()?);
    // "This field is available since protocol version 2": of streamed transactions only.
    let part = "RYIUDTM".contains(tag);
    let xid = if in_block && part { Some(rest.int32()?) } else { None };
    let model = match tag {
        'B' => Model::Begin { lsn: rest.int64()?, time: rest.int64()?.cast_signed(), xid: rest.int32()? },
        'C' => Model::Commit {
            flags: rest.int8()?,
            lsn: rest.int64()?,
            end: rest.int64()?,
            time: rest.int64()?.cast_signed(),
        },
        'O' => Model::Origin { lsn: rest.int64()?, name: rest.string()? },
        'R' => {
            let (oid, namespace, name, identity) = (rest.int32()?, rest.string()?, rest.string()?, rest.int8()?);
            let mut columns = Vec::new();
            for _ in 0..rest.int16()? {
                let (flags, name) = (rest.int8()?, rest.string()?);
                columns.push(Column { flags, name, type_oid: rest.int32()?, modifier: rest.int32()?.cast_signed() });
            }
            Model::Relation { oid, namespace, name, identity, columns }
        }
        'Y' => Model::Type { oid: rest.int32()?, namespace: rest.string()?, name: rest.string()? },
        'I' => {
            let relation = rest.int32()?;
            if rest.int8()? != b'N' {
                return None;
            }
            Model::Insert { relation, new: rest.row()? }
        }
        'U' => {
            let relation = rest.int32()?;
            let old = match rest.int8()? {
                kind @ (b'K' | b'O') => {
                    let old = rest.row()?;
                    if rest.int8()? != b'N' {
                        return None;
                    }
                    Some((kind, old))
                }
                b'N' => None,
                _ => return None,
            };
            Model::Update { relation, old, new: rest.row()? }
        }
        'D' => {
            let (relation, kind) = (rest.int32()?, rest.int8()?);
            if kind != b'K' && kind != b'O' {
                return None;
            }
            Model::Delete { relation, old: (kind, rest.row()?) }
        }
        'T' => {
            let (count, options) = (rest.int32()?, rest.int8()?);
            let mut relations = Vec::new();
            for _ in 0..count {
                relations.push(rest.int32()?);
            }
            Model::Truncate { options, relations }
        }
        'M' => {
            let (flags, lsn, prefix, length) = (rest.int8()?, rest.int64()?, rest.string()?, rest.int32()?);
            Model::Message { flags, lsn, prefix, content: rest.bytes(length)? }
        }
        'S' => Model::StreamStart { xid: rest.int32()?, first: rest.int8()? },
        'E' => Model::StreamStop,
        'c' => Model::StreamCommit {
            xid: rest.int32()?,
            flags: rest.int8()?,
            lsn: rest.int64()?,
            end: rest.int64()?,
            time: rest.int64()?.cast_signed(),
        },
        'A' => Model::StreamAbort { xid: rest.int32()?, subxid: rest.int32()? },
        _ => return None,
    };
    Some((xid, model))
}
