//! What Postgres sends, and the positions that are stored of it.

use bytes::Bytes;
use connect_api::OffsetMap;
use connect_postgres::calendar::Calendar;
use connect_postgres::copy::{self, Column};
use connect_postgres::decode::{Decoder, Text, Unit};
use connect_postgres::offset::{Position, Resume};
use connect_postgres::pgoutput::{self, InBlock, Message, Old, Replicated, Tuple};
use connect_postgres::settings::{BinaryMode, DecimalMode};
use connect_postgres::signals::state::State;
use connect_postgres::transactions::Counted;
use connect_postgres::types::{point_schema, variable_decimal_schema};

fn row(tuple: &Tuple) {
    assert_eq!(tuple.cells().count(), usize::from(tuple.count), "a row has as many cells as it says");
}

fn message(message: &Message) {
    match message {
        Message::Insert { new, .. } => row(new),
        Message::Update { old, new, .. } => {
            old.as_ref().map(Old::tuple).into_iter().for_each(row);
            row(new);
        }
        Message::Delete { old, .. } => row(old.tuple()),
        _ => {}
    }
}

/// A frame of the replication stream, and a message within one.
pub fn pgoutput(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let payload = match pgoutput::replicated(&data) {
        Ok(Replicated::Data { payload, .. }) => payload,
        _ => data,
    };
    if let Ok(decoded) = pgoutput::decode(&payload) {
        message(&decoded);
    }
    let belongs = matches!(pgoutput::in_block(&payload), Ok(InBlock::Of(_)));
    if let Ok(decoded) = pgoutput::decode_in_block(&payload) {
        assert!(belongs, "what is decoded belongs to a transaction");
        assert!(!matches!(decoded, Message::Other | Message::Begin(_) | Message::StreamStop), "{decoded:?}");
        message(&decoded);
    }
}

/// A row of `COPY .. TO STDOUT`.
pub fn copy(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let mut columns = vec![Column::Null];
    copy::split(&data, &mut columns);
    assert!(!columns.is_empty());
    let mut last = 0;
    for column in &columns {
        match column {
            Column::Plain { start, end } => {
                assert!(last <= *start && start <= end && *end <= data.len(), "columns follow each other");
                assert!(!data[*start..*end].contains(&b'\t'));
                last = *end;
            }
            Column::Unescaped(bytes) => assert!(bytes.len() <= data.len(), "what had a backslash is no longer for it"),
            Column::Null => {}
        }
    }
}

fn decoders() -> Vec<Decoder> {
    let decimals = [DecimalMode::Precise, DecimalMode::Double, DecimalMode::String];
    let binaries = [BinaryMode::Bytes, BinaryMode::Base64, BinaryMode::Base64UrlSafe, BinaryMode::Hex];
    let calendars = [Calendar::Gregorian, Calendar::Hybrid, Calendar::HybridFields];
    let units = [Unit::Millis, Unit::Micros, Unit::Nanos, Unit::Iso];
    let mut all = vec![
        Decoder::Bool,
        Decoder::Int16,
        Decoder::Int32,
        Decoder::Int64,
        Decoder::Float32,
        Decoder::Float64,
        Decoder::VariableDecimal(variable_decimal_schema()),
        Decoder::DecimalDouble,
        Decoder::DecimalText,
        Decoder::Text,
        Decoder::Name,
        Decoder::Bit,
        Decoder::Bits,
        Decoder::ZonedTime,
        Decoder::IntervalMicros,
        Decoder::IntervalIso,
        Decoder::HstoreJson,
        Decoder::HstoreMap,
        Decoder::Point(point_schema()),
        Decoder::EmptyArray,
    ];
    all.extend([-2, 0, 2, 38].map(|scale| Decoder::Decimal { scale }));
    all.extend(units.map(Decoder::Time));
    for mode in decimals {
        all.extend([false, true].map(|double| Decoder::Money { mode, digits: 2, double }));
    }
    for mode in binaries {
        all.extend([Decoder::Binary(mode), Decoder::Raw(mode), Decoder::Geometry(mode)]);
    }
    for calendar in calendars {
        all.extend([false, true].map(|iso| Decoder::Date { iso, calendar }));
        all.extend(units.map(|unit| Decoder::Timestamp(unit, calendar)));
        all.extend([0, 3, 6].map(|digits| Decoder::ZonedTimestamp(digits, calendar)));
    }
    let arrays: Vec<_> = all.iter().cloned().map(|of| Decoder::Array(Box::new(of))).collect();
    let required = all.iter().cloned().map(|of| Decoder::ArrayOfRequired(Box::new(of)));
    all.iter().cloned().chain(required).chain(arrays).collect()
}

/// The text of a column: the first byte says of which type.
pub fn values(data: &[u8]) {
    thread_local!(static DECODERS: Vec<Decoder> = decoders());
    let Some((&kind, text)) = data.split_first() else { return };
    let text = Bytes::copy_from_slice(text);
    DECODERS.with(|decoders| {
        let decoder = &decoders[usize::from(kind) % decoders.len()];
        // What is not of the type is an error.
        drop(decoder.decode(&Text::whole(&text)));
    });
}

/// A stored offset, in JSON.
pub fn offsets(data: &[u8]) {
    let Ok(offset) = serde_json::from_slice::<OffsetMap>(data) else { return };
    // Keys in the serialized form of Java are in it.
    drop(State::from_offset(&offset));
    let counted = Counted::from_offset(&offset).with_more(&offset);
    let mut again = OffsetMap::new();
    counted.put_into(&mut again);
    let Ok(position) = Position::from_offset(&offset) else { return };
    let stored = position.to_offset();
    let same = Position::from_offset(&stored).expect("what was stored is readable");
    assert_eq!(same, position, "a position survives its stored form");
    let mut resume = Resume::from(&position);
    let commit = position.within.map_or(0, |within| within.commit);
    assert!(!resume.skips_transaction(u64::MAX));
    resume.take_event(commit);
}
