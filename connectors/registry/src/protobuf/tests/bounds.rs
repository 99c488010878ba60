//! Records and schemas that stand for much more than they have bytes.

use super::*;

/// A field of bytes, one byte of number and length each.
fn delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::from(&[number << 3 | 2][..]);
    super::super::varint(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out.to_vec()
}

/// Why a record is refused that has more in it than it has bytes for.
fn too_much(text: &str, record: &[u8], options: &Options) -> String {
    let message = first(text);
    let error = read(&message, record, options).unwrap_err().message().to_owned();
    assert!(error.contains("the record stands for more than"), "{error}");
    error
}

#[test]
fn fields_that_short_messages_lack_are_bounded_for_the_record_as_a_whole() {
    let fields: String = (1..=1_000).map(|n| format!("int32 f{n} = {n};")).collect();
    let oneof: String = (1..=1_000).map(|n| format!("int32 f{n} = {n};")).collect();
    let many = delimited(1, &[]).repeat(5_000);
    let list = format!(r#"syntax = "proto3"; message Top {{ repeated Wide all = 1; }} message Wide {{ {fields} }}"#);
    assert!(too_much(&list, &many, &options(&[])).ends_with(": Wide"));
    assert!(read(&first(&list), &many[..1_000], &options(&[])).is_ok());
    let map = format!(r#"syntax = "proto3"; message Top {{ map<int32, Wide> all = 1; }} message Wide {{ {fields} }}"#);
    let entry = delimited(1, &delimited(2, &[])).repeat(5_000);
    too_much(&map, &entry, &options(&[]));
    too_much(&map, &many, &options(&[("generate.struct.for.nulls", "true")]));
    // A oneof is a struct with a field for each of its members.
    let union = format!(
        r#"syntax = "proto3"; message Top {{ repeated One all = 1; }} message One {{ oneof of {{ {oneof} }} }}"#
    );
    let one = delimited(1, &[8, 1]).repeat(5_000);
    too_much(&union, &one, &options(&[]));
    too_much(&union, &one, &options(&[("flatten.unions", "true")]));
    assert!(read(&first(&union), &one[..1_000], &options(&[])).is_ok());
}

#[test]
fn messages_that_stand_for_others_that_are_not_there_are_bounded() {
    let nulls = options(&[("generate.struct.for.nulls", "true")]);
    // Each holds the one before twice.
    let inner: String = (1..=12).map(|n| format!("message M{n} {{ M{0} a = 1; M{0} b = 2; }} ", n - 1)).collect();
    let text =
        format!(r#"syntax = "proto3"; message Top {{ repeated M12 all = 1; }} {inner} message M0 {{ int32 n = 1; }}"#);
    let many = delimited(1, &[]).repeat(1_000);
    assert!(too_much(&text, &many, &nulls).ends_with(": M12"));
    assert!(read(&first(&text), &many, &options(&[])).is_ok());
    assert!(read(&first(&text), &many[..20], &nulls).is_ok());
    // Where the last one is wide, all that hold it are.
    let fields: String = (1..=6_000).map(|n| format!("int32 f{n} = {n};")).collect();
    let chain: String = (1..=180).map(|n| format!("message M{n} {{ M{} a = 1; }} ", n - 1)).collect();
    let text = format!(r#"syntax = "proto3"; message Top {{ M180 all = 1; }} {chain} message M0 {{ {fields} }}"#);
    let error = read(&first(&text), &[], &nulls).unwrap_err();
    assert!(error.message().starts_with("messages that are not there stand for more than"), "{error}");
    assert!(read(&first(&text), &[], &options(&[])).is_ok());
}

#[test]
fn symbols_that_nobody_knows_are_bounded_by_the_name_that_they_get() {
    let name = "E".repeat(100_000);
    let text = format!(r#"syntax = "proto3"; message Top {{ repeated {name} all = 1; }} enum {name} {{ A = 0; }}"#);
    assert!(too_much(&text, &delimited(1, &[1; 2_000]), &options(&[])).ends_with("EEE"));
    assert!(read(&first(&text), &delimited(1, &[0; 2_000]), &options(&[])).is_ok());
}

#[test]
fn a_map_of_a_message_that_is_there_many_times_is_not_ordered_as_often() {
    let text = r#"syntax = "proto3"; message Top { Inner of = 1; } message Inner { map<int32, int32> all = 1; }"#;
    let mut entries = BytesMut::new();
    for number in 0..5_000u64 {
        let mut key = BytesMut::from(&[8][..]);
        super::super::varint(number, &mut key);
        entries.extend_from_slice(&delimited(1, &key));
    }
    let mut record = delimited(1, &entries);
    assert!(read(&first(text), &record, &options(&[])).is_ok());
    record.extend(delimited(1, &[]).repeat(100_000));
    assert!(too_much(text, &record, &options(&[])).ends_with(": Inner"));
}

#[test]
fn enums_of_many_symbols_are_bounded_for_the_schema_as_a_whole() {
    let symbols: String = (0..3_000).map(|n| format!("S{n} = {n};")).collect();
    let text = |fields: usize| {
        let fields: String = (1..=fields).map(|n| format!("E f{n} = {n};")).collect();
        first(&format!(r#"syntax = "proto3"; message Top {{ {fields} }} enum E {{ {symbols} }}"#))
    };
    assert!(to_connect::convert(&text(20), None, &options(&[])).is_ok());
    let error = to_connect::convert(&text(700), None, &options(&[])).unwrap_err();
    assert!(error.message().starts_with("the schema is too large"), "{error}");
}
