//! Values under Debezium's names, as documents.

use bson::spec::BinarySubtype;
use bson::{Bson, Document, doc};
use connect_api::schema::Kind;
use connect_api::{Bytes, Error, Field, Schema, Struct, Value};
use num_bigint::BigInt;

use super::{DocRef, Types, Unavailable};

fn types() -> Types {
    Types::new(false, &[], Unavailable::new("__debezium_unavailable_value"))
}

fn named(kind: Kind, name: &str) -> Schema {
    Schema::of(kind).optional().named(format!("io.debezium.{name}")).version(1)
}

/// The document of a struct with these fields.
fn document(types: &Types, fields: Vec<(&str, Schema, Value)>) -> Result<Document, Error> {
    let mut values = Vec::new();
    let fields = fields.into_iter().map(|(name, schema, value)| {
        values.push(value);
        Field::new(name, schema.shared())
    });
    let schema = Schema::structure(fields.collect()).shared();
    DocRef::Struct(&Struct::new(schema, values)).to_tree_as(Some(types))
}

/// The BSON of one value.
fn one_as(types: &Types, kind: Kind, name: &str, value: Value) -> Bson {
    let mut made = document(types, vec![("f", named(kind, name), value)]).unwrap();
    made.remove("f").unwrap()
}

fn one(kind: Kind, name: &str, value: Value) -> Bson {
    one_as(&types(), kind, name, value)
}

fn date(millis: i64) -> Bson {
    Bson::DateTime(bson::DateTime::from_millis(millis))
}

fn structure(name: &str, fields: Vec<(&str, Schema, Value)>) -> (Schema, Value) {
    let (names, values): (Vec<_>, Vec<_>) =
        fields.into_iter().map(|(name, schema, value)| (Field::new(name, schema.shared()), value)).unzip();
    let schema = Schema::structure(names).named(format!("io.debezium.{name}"));
    (schema.clone(), Value::Struct(Struct::new(schema.shared(), values)))
}

fn one_struct(name: &str, fields: Vec<(&str, Schema, Value)>) -> Result<Bson, Error> {
    let (schema, value) = structure(name, fields);
    Ok(document(&types(), vec![("f", schema, value)])?.remove("f").unwrap())
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(bytes))
}

#[test]
fn dates_and_timestamps_are_dates() {
    for (kind, name, value, millis) in [
        (Kind::Int32, "time.Date", Value::Int32(19_782), 1_709_164_800_000),
        (Kind::Int32, "time.Date", Value::Int32(-1), -86_400_000),
        (Kind::Int64, "time.Timestamp", Value::Int64(1_709_212_455_123), 1_709_212_455_123),
        // The digits beyond the milliseconds are lost, towards the past.
        (Kind::Int64, "time.MicroTimestamp", Value::Int64(1_709_212_455_123_999), 1_709_212_455_123),
        (Kind::Int64, "time.MicroTimestamp", Value::Int64(-1), -1),
        (Kind::Int64, "time.NanoTimestamp", Value::Int64(1_709_212_455_123_999_999), 1_709_212_455_123),
        (Kind::String, "time.ZonedTimestamp", Value::from("2024-02-29T13:14:15.123999+05:30"), 1_709_192_655_123),
        (Kind::String, "time.IsoTimestamp", Value::from("2024-02-29T07:44:15.123Z"), 1_709_192_655_123),
        (Kind::String, "time.IsoDate", Value::from("2024-02-29Z"), 1_709_164_800_000),
    ] {
        assert_eq!(one(kind, name, value), date(millis), "{name}");
    }
}

#[test]
fn times_of_day_are_texts_and_durations_stay() {
    for (kind, name, value, expected) in [
        (Kind::Int32, "time.Time", Value::Int32(47_655_123), Bson::from("13:14:15.123")),
        (Kind::Int64, "time.MicroTime", Value::Int64(47_655_123_456), Bson::from("13:14:15.123456")),
        (Kind::Int64, "time.NanoTime", Value::Int64(1), Bson::from("00:00:00.000000001")),
        (Kind::String, "time.ZonedTime", Value::from("12:35:06.789Z"), Bson::from("12:35:06.789Z")),
        (Kind::String, "time.IsoTime", Value::from("12:35:06Z"), Bson::from("12:35:06Z")),
        (Kind::Int64, "time.MicroDuration", Value::Int64(5), Bson::Int64(5)),
        (Kind::String, "time.Interval", Value::from("P1Y0M0DT0H0M0S"), Bson::from("P1Y0M0DT0H0M0S")),
        (Kind::Int32, "time.Year", Value::Int32(2024), Bson::Int32(2024)),
    ] {
        assert_eq!(one(kind, name, value), expected, "{name}");
    }
}

#[test]
fn json_is_a_value_of_its_own() {
    assert_eq!(
        one(Kind::String, "data.Json", Value::from(r#"{"$a": [1, 2.5, {"b": null}]}"#)),
        Bson::from(doc! {"$a": [1, 2.5, {"b": null}]})
    );
    assert_eq!(one(Kind::String, "data.Json", Value::from("5")), Bson::Int32(5));
}

#[test]
fn texts_of_other_types_stay_and_sets_are_arrays() {
    for name in ["data.Xml", "data.Enum", "data.Ltree", "data.Tsvector", "data.TsVector", "data.Uuid"] {
        assert_eq!(one(Kind::String, name, Value::from("a,b")), Bson::from("a,b"), "{name}");
    }
    assert_eq!(one(Kind::String, "data.EnumSet", Value::from("a,b")), bson::bson!(["a", "b"]));
    assert_eq!(one(Kind::String, "data.EnumSet", Value::from("")), bson::bson!([]));
    let bits = bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![5, 1] };
    assert_eq!(one(Kind::Bytes, "data.Bits", bytes(&[5, 1])), Bson::Binary(bits));
}

#[test]
fn uuids_are_binary_when_asked_for() {
    let binary = Types::new(true, &[], Unavailable::new("x"));
    let text = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";
    let expected = bson::Uuid::parse_str(text).unwrap();
    assert_eq!(one_as(&binary, Kind::String, "data.Uuid", Value::from(text)), Bson::from(expected));
    let elements = Kind::Array(named(Kind::String, "data.Uuid").shared());
    let list = document(&binary, vec![("f", Schema::of(elements), Value::Array(vec![Value::from(text), Value::Null]))]);
    assert_eq!(list.unwrap(), doc! {"f": [expected, null]});
}

#[test]
fn decimals_of_any_scale_are_decimals_while_they_fit() {
    let decimal = |scale: i32, unscaled: &str| {
        let unscaled: BigInt = unscaled.parse().unwrap();
        let fields = vec![
            ("scale", Schema::of(Kind::Int32), Value::Int32(scale)),
            ("value", Schema::of(Kind::Bytes), bytes(&unscaled.to_signed_bytes_be())),
        ];
        one_struct("data.VariableScaleDecimal", fields).unwrap()
    };
    let expected = |text: &str| Bson::Decimal128(text.parse().unwrap());
    assert_eq!(decimal(2, "-12345"), expected("-123.45"));
    assert_eq!(decimal(34, "9999999999999999999999999999999999"), expected("0.9999999999999999999999999999999999"));
    assert_eq!(decimal(2, "99999999999999999999999999999999999"), Bson::from("999999999999999999999999999999999.99"));
    assert_eq!(decimal(i32::MAX, "1"), Bson::from("1E-2147483647"));
    let empty = vec![("scale", Schema::of(Kind::Int32).optional(), Value::Null)];
    assert_eq!(
        one_struct("data.VariableScaleDecimal", empty).unwrap_err().root().message(),
        "field f: cannot be read as io.debezium.data.VariableScaleDecimal: its scale or its value is missing"
    );
}

#[test]
fn shapes_are_geojson_where_there_is_one() {
    let mut wkb = vec![1, 1, 0, 0, 0];
    wkb.extend_from_slice(&1.5_f64.to_le_bytes());
    wkb.extend_from_slice(&(-2.5_f64).to_le_bytes());
    let shape = |name: &str, wkb: &[u8], srid: Value| {
        let fields =
            vec![("wkb", Schema::of(Kind::Bytes), bytes(wkb)), ("srid", Schema::of(Kind::Int32).optional(), srid)];
        one_struct(name, fields)
    };
    let point = Bson::from(doc! {"type": "Point", "coordinates": [1.5, -2.5]});
    assert_eq!(shape("data.geometry.Geometry", &wkb, Value::Null).unwrap(), point);
    assert_eq!(shape("data.geometry.Geography", &wkb, Value::Int32(4326)).unwrap(), point);
    // Coordinates of another system are no longitudes and latitudes.
    let plain = bson::Binary { subtype: BinarySubtype::Generic, bytes: wkb.clone() };
    assert_eq!(
        shape("data.geometry.Geometry", &wkb, Value::Int32(3857)).unwrap(),
        Bson::from(doc! {"wkb": plain, "srid": 3857})
    );
    assert_eq!(
        shape("data.geometry.Geometry", &wkb[..9], Value::Null).unwrap_err().root().message(),
        "field f: cannot be read as io.debezium.data.geometry.Geometry: the bytes end too early"
    );
    let flat = vec![
        ("x", Schema::of(Kind::Float64), Value::Float64(1.5)),
        ("y", Schema::of(Kind::Float64), Value::Float64(-2.5)),
        ("wkb", Schema::of(Kind::Bytes).optional(), Value::Null),
        ("srid", Schema::of(Kind::Int32).optional(), Value::Null),
    ];
    assert_eq!(one_struct("data.geometry.Point", flat).unwrap(), point);
}

#[test]
fn sparse_vectors_have_places_as_names() {
    let entries = Kind::Map(Schema::of(Kind::Int16).shared(), Schema::of(Kind::Float64).shared());
    let fields = || {
        let places = vec![(Value::Int16(1), Value::Float64(0.5)), (Value::Int16(30), Value::Float64(2.0))];
        vec![
            ("dimensions", Schema::of(Kind::Int16), Value::Int16(100)),
            ("vector", Schema::of(entries.clone()), Value::Map(places)),
        ]
    };
    let expected = Bson::from(doc! {"dimensions": 100, "vector": {"1": 0.5, "30": 2.0}});
    for name in ["data.SparseVector", "data.SparseDoubleVector", "data.vector.SparseVector"] {
        assert_eq!(one_struct(name, fields()).unwrap(), expected, "{name}");
    }
    let numbers = Kind::Array(Schema::of(Kind::Float32).shared());
    let vector = Value::Array(vec![Value::Float32(0.5), Value::Float32(-1.0)]);
    assert_eq!(one(numbers, "data.FloatVector", vector), bson::bson!([0.5, -1.0]));
}

#[test]
fn values_within_others_are_converted_and_ids_are_not() {
    let stamp = || named(Kind::Int64, "time.Timestamp");
    let (inner, value) = structure("x", vec![("at", stamp(), Value::Int64(7)), ("none", stamp(), Value::Null)]);
    let list = Kind::Array(stamp().shared());
    let map = Kind::Map(Schema::of(Kind::String).shared(), stamp().shared());
    let made = document(
        &types(),
        vec![
            ("_id", stamp(), Value::Int64(1)),
            ("inner", inner, value),
            ("list", Schema::of(list), Value::Array(vec![Value::Int64(8)])),
            ("map", Schema::of(map), Value::Map(vec![(Value::from("k"), Value::Int64(9))])),
            ("default", named(Kind::Int64, "time.Timestamp").default_value(Value::Int64(10)), Value::Null),
        ],
    );
    let expected = doc! {
        "_id": 1_i64, "inner": {"at": date(7), "none": null}, "list": [date(8)], "map": {"k": date(9)}, "default": date(10),
    };
    assert_eq!(made.unwrap(), expected);
}

#[test]
fn what_is_excluded_or_was_not_read_stays() {
    let some = ["MicroTimestamp".to_owned(), " io.debezium.data.Json".to_owned()];
    let types = Types::new(true, &some, Unavailable::new("gone"));
    for (kind, name, value, expected) in [
        (Kind::Int64, "time.MicroTimestamp", Value::Int64(5), Bson::Int64(5)),
        (Kind::String, "data.Json", Value::from("no JSON"), Bson::from("no JSON")),
        (Kind::Int64, "time.Timestamp", Value::Int64(5), date(5)),
        (Kind::String, "data.Uuid", Value::from("gone"), Bson::from("gone")),
        (Kind::String, "data.EnumSet", Value::from("gone"), Bson::from("gone")),
    ] {
        assert_eq!(one_as(&types, kind, name, value), expected, "{name}");
    }
}

#[test]
fn an_error_names_the_field_and_the_type() {
    let outer = structure("x", vec![("data", named(Kind::String, "data.Json"), Value::from("{\"a\": oops}"))]);
    let error = document(&types(), vec![("outer", outer.0, outer.1)]).unwrap_err();
    assert_eq!(
        error.root().message(),
        "field data: '{\"a\": oops}' cannot be read as io.debezium.data.Json: no value begins like this at byte 6"
    );
    assert!(error.root().remedy().is_some_and(|hint| hint.contains("debezium.types.exclude")));
    let wrong = |name: &str, text: &str| {
        document(&types(), vec![("f", named(Kind::String, name), Value::from(text))]).unwrap_err().message().to_owned()
    };
    assert_eq!(
        wrong("time.ZonedTimestamp", "yesterday"),
        "field f: 'yesterday' cannot be read as io.debezium.time.ZonedTimestamp: it is no timestamp of ISO 8601"
    );
    assert_eq!(
        wrong("time.IsoDate", "2024-13-01"),
        "field f: '2024-13-01' cannot be read as io.debezium.time.IsoDate: it is no date of ISO 8601"
    );
}
