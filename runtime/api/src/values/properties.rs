//! What holds of `parse_string` for any text: it does not panic, and what it makes is no larger than the text.

use proptest::prelude::*;

use super::*;
use crate::java::text as numbers;
use crate::value::Value;

/// The number of values in a value, and the bytes of its texts and decimals.
fn size(value: &Value) -> (usize, usize) {
    let all = |parts: &mut dyn Iterator<Item = &Value>| {
        parts.map(size).fold((1, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    };
    match value {
        Value::String(text) => (1, text.len()),
        Value::Bytes(bytes) => (1, bytes.len()),
        Value::Decimal(decimal) => (1, decimal.unscaled.to_signed_bytes_be().len()),
        Value::Array(list) => all(&mut list.iter()),
        Value::Map(pairs) => all(&mut pairs.iter().flat_map(|(key, value)| [key, value])),
        _ => (1, 0),
    }
}

fn check(text: &str) {
    let Ok(datum) = parse_string(text) else {
        // Only depth is refused.
        assert!(text.matches(['[', '{']).count() > parse::DEPTH_MAX, "{text}");
        return;
    };
    let (values, bytes) = size(&datum.value);
    assert!(values <= text.len() + 1 && bytes <= text.len(), "{values} values and {bytes} bytes of {text:?}");
    let schema = datum.schema.as_ref();
    assert_eq!(datum.value.is_null(), schema.is_none(), "{text:?}");
    // What was read can be written, compared and described.
    assert_eq!(convert_to_string(schema, &datum.value).is_none(), datum.value.is_null());
    assert!(crate::java::equal::values(&datum.value, &datum.value.clone()));
    drop(infer_schema(&datum.value));
    let objects = object(schema.map(|schema| &**schema), datum.value.clone());
    if let Some(schema) = schema {
        assert_eq!(physical(schema, objects), datum.value, "{text:?}");
    }
}

/// Pieces of what has a meaning.
static PIECES: [&str; 40] = [
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    " ",
    "\t",
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "+",
    "-",
    ".",
    "1.5",
    "e",
    "E",
    "e5",
    "1e400",
    "1e-400",
    "300",
    "70000",
    "9223372036854775808",
    "2020-01-02",
    "10:11:12.345Z",
    "2020-01-02T10:11:12.345Z",
    "10\\:11\\:12.345Z",
    "T",
    "Z",
    "a",
    "\"a\"",
    "é",
    "\u{1f600}",
    "\u{661}",
    "\u{0}",
];

fn pieces() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60).prop_map(|pieces| pieces.concat())
}

/// Well-formed texts.
fn well_formed() -> impl Strategy<Value = String> {
    let scalar = proptest::sample::select(&PIECES[10..]).prop_map(str::to_owned);
    scalar.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(|list| format!("[{}]", list.join(","))),
            proptest::collection::vec((inner.clone(), inner), 0..6).prop_map(|pairs| {
                let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn pieces_in_any_order_can_be_read(text in pieces()) {
        check(&text);
    }

    #[test]
    fn lists_and_maps_can_be_read(text in well_formed()) {
        check(&text);
    }

    #[test]
    fn whole_numbers_are_what_was_written(number in any::<i64>()) {
        let value = parse_string(&number.to_string()).unwrap().value;
        prop_assert_eq!(crate::java::number::long_value(&value), Some(number));
    }

    #[test]
    fn numbers_are_read_as_floats_that_were_written_as_such(number in any::<f32>()) {
        let value = parse_string(&numbers::float(number)).unwrap().value;
        let same = match value {
            Value::Float32(found) => found.to_bits() == number.to_bits(),
            // A whole number, or none.
            Value::String(_) => !number.is_finite(),
            other => crate::java::number::float_value(&other) == Some(number),
        };
        prop_assert!(same, "{number}");
    }
}

/// Without a fuzzer: what has a meaning, with parts repeated, cut off and changed. The same on every run.
#[test]
fn changed_texts_can_be_read() {
    const ROUNDS: usize = 20_000;
    // xorshift64*.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |limit: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    };
    let seeds = [
        r#"{"a":[1,2.5,"x"],"b":{"c":null}}"#,
        "[2020-01-02,10:11:12.345Z,2020-01-02T10:11:12.345Z]",
        r#"{ 1 : "a\"b" , 2 : [ ] }"#,
        "[[[1]],[],[[\"\"]]]",
        "-123456789.0123456789e-12",
    ];
    for _ in 0..ROUNDS {
        let mut text: Vec<char> = seeds[below(seeds.len())].chars().collect();
        for _ in 0..=below(6) {
            let at = below(text.len() + 1);
            let until = (at + below(8)).min(text.len());
            match below(4) {
                0 => text.truncate(at),
                1 => {
                    let piece: Vec<char> = PIECES[below(PIECES.len())].chars().collect();
                    text.splice(at..at, piece);
                }
                2 => {
                    let part: Vec<char> = text[at..until].to_vec();
                    text.splice(at..at, part.into_iter().cycle().take(40));
                }
                _ => drop(text.drain(at..until)),
            }
        }
        check(&text.into_iter().collect::<String>());
    }
}

/// The time is not looked at: with a search for each key, or a walk back for each token, this would not end.
#[test]
fn large_texts_take_no_more_than_their_size() {
    const MANY: usize = 100_000;
    let pairs: Vec<String> = (0..MANY).map(|i| format!("\"key{i}\":{i}")).collect();
    check(&format!("{{{}}}", pairs.join(",")));
    // Keys whose hash codes are the same in Java.
    let twins = |i: usize| -> String { (0..17).map(|bit| if i >> bit & 1 == 0 { "Aa" } else { "BB" }).collect() };
    let pairs: Vec<String> = (0..MANY).map(|i| format!("\"{}\":1", twins(i))).collect();
    check(&format!("{{{}}}", pairs.join(",")));
    check(&format!("[{}1]", "1,".repeat(MANY)));
    check(&format!("[{}", "1:".repeat(MANY)));
    check(&"1".repeat(MANY));
    check(&format!("[1,{}", "\\".repeat(MANY)));
    check(&"[\"".repeat(MANY));
}
