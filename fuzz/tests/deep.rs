//! What nests a hundred thousand levels deep is refused by every target, with the stack that threads of the worker have.

use tidegate_fuzz::TARGETS;

const LEVELS: usize = 100_000;
/// Says that a schema follows.
const OWN_SCHEMA: u8 = 0x80;

fn nested(open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(LEVELS), close.repeat(LEVELS))
}

fn behind(kind: u8, text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut data = vec![kind];
    data.extend_from_slice(text.as_ref());
    data
}

/// A schema with a record of it.
fn own(schema: &str, record: &[u8]) -> Vec<u8> {
    let mut data = behind(OWN_SCHEMA, schema);
    data.push(0);
    data.extend_from_slice(record);
    data
}

fn json() -> Vec<Vec<u8>> {
    let lists = [nested("[", "1", "]"), nested(r#"{"op":"#, "1", "}"), "[".repeat(LEVELS), r#"{"a":"#.repeat(LEVELS)];
    let schemas = [
        nested(r#"{"type":"array","items":"#, r#"{"type":"int8"}"#, "}"),
        nested(r#"{"type":"map","keys":{"type":"string"},"values":"#, r#"{"type":"int8"}"#, "}"),
        format!("{{{}}}", nested(r#""type":"struct","fields":[{"field":"f","#, r#""type":"int8""#, "}]")),
    ];
    let plain = lists.iter().map(|list| behind(0, list));
    let in_envelope = lists.iter().map(|list| behind(1, format!(r#"{{"schema":null,"payload":{list}}}"#)));
    let schemas = schemas.iter().map(|schema| behind(1, format!(r#"{{"schema":{schema},"payload":null}}"#)));
    plain.chain(in_envelope).chain(schemas).collect()
}

fn avro() -> Vec<Vec<u8>> {
    let named = |n: usize| {
        let field = if n == 0 { "\"int\"".to_owned() } else { format!("\"R{}\"", n - 1) };
        format!(r#"{{"type":"record","name":"R{n}","fields":[{{"name":"f","type":{field}}}]}}"#)
    };
    let chain: Vec<String> = (0..20_000).map(named).collect();
    vec![
        own(&nested(r#"{"type":"array","items":"#, "\"int\"", "}"), &[]),
        own(&nested(r#"["null",{"type":"array","items":"#, "\"int\"", "}]"), &[]),
        own(&nested(r#"{"type":"record","name":"R","fields":[{"name":"f","type":"#, "\"int\"", "}]}"), &[]),
        own(&format!("[{}]", chain.join(",")), &[0xbe, 0xb8, 2, 5]),
        own(
            r#"{"type":"array","items":{"type":"record","name":"R","fields":[{"name":"l","type":{"type":"array","items":"R"}}]}}"#,
            &[2; LEVELS],
        ),
        behind(1, [2u8; LEVELS]),
        behind(5, [0u8, 0, 0, 0, 0, 0, 0, 2, 2].repeat(LEVELS)),
        behind(5, [0u8, 0, 0, 0, 0, 0, 0, 0, 2, 2].repeat(LEVELS)),
    ]
}

fn protobuf() -> Vec<Vec<u8>> {
    let options = |option: &str| {
        own(
            &format!(
                r#"syntax = "proto2"; import "google/protobuf/descriptor.proto"; message M {{ optional M m = 1; }}
                extend google.protobuf.FileOptions {{ optional M x = 50000; }} option {option};"#
            ),
            &[0],
        )
    };
    // Each level has the length of those within in front.
    let mut node = Vec::new();
    for _ in 0..5_000 {
        let length = node.len();
        let mut outer = vec![0x0a];
        outer.extend(match length {
            0..0x80 => vec![length as u8],
            _ => vec![length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8],
        });
        outer.append(&mut node);
        node = outer;
    }
    vec![
        own(&nested("message A {", "", "}"), &[0]),
        own(&nested("message A { oneof o { group G = 1 {", "", "}}}"), &[0]),
        options(&format!("(x) = {{ {} }}", nested("m: {", "", "}"))),
        options(&format!("(x) = {{ {} }}", nested("m <", "", ">"))),
        options(&format!("(x){} = {{ }}", ".m".repeat(LEVELS))),
        behind(2, node),
        behind(3, vec![0x4bu8; LEVELS]),
    ]
}

fn json_schema() -> Vec<Vec<u8>> {
    let chain: Vec<String> =
        (0..20_000).map(|n| format!(r##""d{n}":{{"$ref":"#/definitions/d{}"}}"##, n + 1)).collect();
    vec![
        own(&nested(r#"{"type":"array","items":"#, r#"{"type":"string"}"#, "}"), b"[]"),
        own(&nested(r#"{"oneOf":[{"type":"string"},"#, r#"{"type":"integer"}"#, "]}"), b"[]"),
        own(&nested(r#"{"type":"object","properties":{"a":"#, r#"{"type":"string"}"#, "}}"), b"{}"),
        own(&format!(r##"{{"definitions":{{{}}},"$ref":"#/definitions/d0"}}"##, chain.join(",")), b"{}"),
        behind(0, nested(r#"{"name":"#, "1", "}")),
        behind(0, nested(r#"{"unknown":["#, "1", "]}")),
        behind(1, nested(r#"{"left":"#, "null", "}")),
        behind(1, nested(r#"{"list":["#, "null", "]}")),
        behind(2, nested("[", "1", "]")),
    ]
}

fn date_patterns() -> Vec<Vec<u8>> {
    let patterns = [
        "[".repeat(LEVELS),
        nested("[", "yyyy", "]"),
        nested("yyyy[", "M", "]"),
        "y".repeat(LEVELS),
        "'".repeat(LEVELS),
    ];
    let with =
        |kind: u8| patterns.iter().map(move |pattern| behind(kind, format!("{pattern}\0{}", "1".repeat(LEVELS))));
    [0, 2, 3].into_iter().flat_map(with).collect()
}

fn extjson() -> Vec<Vec<u8>> {
    let texts = [
        nested("{a:", "1", "}"),
        nested("[", "1", "]"),
        format!("{{a: {}}}", nested("[", "1", "]")),
        nested(r#"{"$code": "", "$scope": "#, "{}", "}"),
        format!("{{a: {}}}", nested("new ", "Date()", "")),
        format!("{{a: {}}}", nested("Date(", "", ")")),
    ];
    texts.map(String::into_bytes).into()
}

fn parse_string() -> Vec<Vec<u8>> {
    ["[", "{1:", "{\"a\":[", "\""].map(|open| open.repeat(LEVELS).into_bytes()).into()
}

#[test]
fn what_nests_too_deep_is_refused() {
    let inputs: [(&str, fn() -> Vec<Vec<u8>>); 7] = [
        ("json", json),
        ("avro", avro),
        ("protobuf", protobuf),
        ("json_schema", json_schema),
        ("date_patterns", date_patterns),
        ("extjson", extjson),
        ("parse_string", parse_string),
    ];
    for (name, inputs) in inputs {
        let target = TARGETS.iter().find(|(other, _)| *other == name).map(|(_, target)| *target).expect("a target");
        for (place, input) in inputs().into_iter().enumerate() {
            println!("{name} {place}");
            let run = std::thread::Builder::new().stack_size(2 << 20).spawn(move || target(&input));
            run.expect("a thread").join().expect("no panic");
        }
    }
}
