//! Which schema and which decoder a column of a database type gets.
//!
//! Types of the server itself are known by their object id, those of extensions by their name. A type that is not known
//! gives no field, or raw bytes under `include.unknown.datatypes`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use connect_api::schema::logical;
use connect_api::{Field, Kind, Schema, SchemaRef, Struct, Value};

use md5::{Digest, Md5};

use crate::calendar::Calendar;
use crate::decode::{Decoder, Unit};
use crate::geometry::is_geometric;
use crate::numbers::{two_complement, variable_decimal};
use crate::settings::{BinaryMode, DecimalMode, HstoreMode, IntervalMode, TimeMode, ValueModes};

/// A type as the catalogue describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeInfo {
    pub oid: u32,
    pub name: String,
    /// The schema that it is in, when a name without that would not find it.
    pub hidden_in: Option<String>,
    /// `typtype`: `b`ase, `d`omain, `e`num, `r`ange, `m`ultirange, `c`omposite, `p`seudo.
    pub kind: u8,
    /// The element's type, for arrays.
    pub element: Option<u32>,
    /// The type that a domain is of, with its modifier.
    pub base: Option<(u32, i32)>,
    /// Values of an enum, in order.
    pub labels: Vec<String>,
}

/// The types that tables use, by object id.
pub type Types = HashMap<u32, TypeInfo>;

/// How a column of a type appears.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Required and without default: the column adds those.
    pub schema: Schema,
    pub decoder: Decoder,
    /// What stands for null in a required column without default.
    pub zero: Value,
    /// What stands for a large value that was not sent.
    pub placeholder: Value,
}

/// The schema of a numeric without a scale.
pub fn variable_decimal_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = vec![
            Field::new("scale", Schema::of(Kind::Int32).shared()),
            Field::new("value", Schema::of(Kind::Bytes).shared()),
        ];
        let mut schema = Schema::structure(fields).named("io.debezium.data.VariableScaleDecimal").version(1);
        schema.doc = Some("Variable scaled decimal".into());
        schema.shared()
    });
    SchemaRef::clone(&SCHEMA)
}

/// The schema of a point.
pub fn point_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields = vec![
            Field::new("x", Schema::of(Kind::Float64).shared()),
            Field::new("y", Schema::of(Kind::Float64).shared()),
            Field::new("wkb", Schema::of(Kind::Bytes).optional().shared()),
            Field::new("srid", Schema::of(Kind::Int32).optional().shared()),
        ];
        let mut schema = Schema::structure(fields).named("io.debezium.data.geometry.Point").version(1);
        schema.doc = Some("Geometry (POINT)".into());
        schema.shared()
    });
    SchemaRef::clone(&SCHEMA)
}

fn named(kind: Kind, name: &'static str) -> Schema {
    Schema::of(kind).named(name).version(1)
}

/// Who reads a value in the reference: the Java driver does in snapshots, the connector itself in streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Snapshot,
    Stream,
}

/// Makes plans under one configuration.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    pub modes: &'a ValueModes,
    pub types: &'a Types,
    pub way: Way,
}

impl Planner<'_> {
    /// The plan for a type; `None` leaves the column out.
    pub fn plan(&self, oid: u32, typmod: i32) -> Option<Plan> {
        if let Some(plan) = self.builtin(oid, typmod) {
            return Some(plan);
        }
        let info = self.types.get(&oid)?;
        match info.kind {
            b'd' => {
                let (base, base_typmod) = info.base?;
                return self.plan(base, base_typmod);
            }
            b'e' => return Some(self.enumeration(info)),
            b'r' => return Some(self.text(Schema::of(Kind::String))),
            _ => {}
        }
        if let Some(element) = info.element {
            // The reference drops these even where it captures unknown types.
            let dropped = matches!(element, 790 | 1186 | 142 | 600);
            return if dropped { None } else { self.array(element, typmod).or_else(|| self.unknown(oid)) };
        }
        match info.name.as_str() {
            "hstore" => Some(self.hstore()),
            "citext" | "isbn" => Some(self.text(Schema::of(Kind::String))),
            "ltree" => Some(self.text(named(Kind::String, "io.debezium.data.Ltree"))),
            _ => self.unknown(oid),
        }
    }

    fn unknown(&self, oid: u32) -> Option<Plan> {
        let mode = self.modes.binary;
        let decoder = if is_geometric(oid) { Decoder::Geometry(mode) } else { Decoder::Raw(mode) };
        self.modes.unknown.then(|| Plan { decoder, ..self.binary() })
    }

    /// The calendar of dates and of timestamps without a zone.
    fn calendar(&self) -> Calendar {
        match self.way {
            Way::Snapshot => Calendar::Hybrid,
            Way::Stream => Calendar::Gregorian,
        }
    }

    fn builtin(&self, oid: u32, typmod: i32) -> Option<Plan> {
        let plain = |kind: Kind, decoder: Decoder, zero: Value| Plan {
            schema: Schema::of(kind),
            decoder,
            placeholder: zero.clone(),
            zero,
        };
        Some(match oid {
            16 => plain(Kind::Boolean, Decoder::Bool, Value::Bool(false)),
            17 => self.binary(),
            // "char", text, bpchar, varchar, inet, cidr, macaddr, macaddr8.
            19 => Plan { decoder: Decoder::Name, ..self.text(Schema::of(Kind::String)) },
            18 | 25 | 1042 | 1043 | 869 | 650 | 829 | 774 => self.text(Schema::of(Kind::String)),
            20 | 26 => plain(Kind::Int64, Decoder::Int64, Value::Int64(0)),
            21 => plain(Kind::Int16, Decoder::Int16, Value::Int16(0)),
            23 => plain(Kind::Int32, Decoder::Int32, Value::Int32(0)),
            22 => self.vector(Kind::Int16),
            30 => self.vector(Kind::Int64),
            114 | 3802 => self.text(named(Kind::String, "io.debezium.data.Json")),
            142 => self.text(named(Kind::String, "io.debezium.data.Xml")),
            600 => self.point(),
            700 => plain(Kind::Float32, Decoder::Float32, Value::Float32(0.0)),
            701 => plain(Kind::Float64, Decoder::Float64, Value::Float64(0.0)),
            790 => self.money(),
            1082 => self.date(),
            1083 => self.time(typmod),
            1114 => self.timestamp(typmod),
            1184 => self.zoned_timestamp(typmod),
            1186 => self.interval(),
            1266 => {
                let mut plan = self.text(named(Kind::String, "io.debezium.time.ZonedTime"));
                plan.decoder = Decoder::ZonedTime;
                plan.zero = Value::from("00:00:00Z");
                plan
            }
            1560 | 1562 => self.bits(oid, typmod),
            1700 => self.numeric(typmod),
            2950 => self.text(named(Kind::String, "io.debezium.data.Uuid")),
            3614 => self.text(named(Kind::String, "io.debezium.data.Tsvector")),
            _ => return None,
        })
    }

    fn text(&self, schema: Schema) -> Plan {
        Plan {
            schema,
            decoder: Decoder::Text,
            zero: Value::from(""),
            placeholder: Value::from(&*self.modes.placeholder),
        }
    }

    fn enumeration(&self, info: &TypeInfo) -> Plan {
        self.text(named(Kind::String, "io.debezium.data.Enum").parameter("allowed", info.labels.join(",")))
    }

    fn vector(&self, element: Kind) -> Plan {
        Plan {
            schema: Schema::of(Kind::Array(Schema::of(element).shared())),
            decoder: Decoder::EmptyArray,
            zero: Value::Array(Vec::new()),
            placeholder: Value::Array(Vec::new()),
        }
    }

    fn binary(&self) -> Plan {
        let mode = self.modes.binary;
        let kind = if mode == BinaryMode::Bytes { Kind::Bytes } else { Kind::String };
        Plan {
            schema: Schema::of(kind),
            decoder: Decoder::Binary(mode),
            zero: crate::decode::binary(Bytes::new(), mode),
            placeholder: crate::decode::binary(self.modes.placeholder_bytes.clone(), mode),
        }
    }

    fn hstore(&self) -> Plan {
        let placeholder = &*self.modes.placeholder;
        match self.modes.hstore {
            HstoreMode::Json => {
                let mut plan = self.text(named(Kind::String, "io.debezium.data.Json"));
                plan.decoder = Decoder::HstoreJson;
                plan.placeholder = Value::from(serde_json::json!({ placeholder: placeholder }).to_string());
                plan
            }
            HstoreMode::Map => Plan {
                schema: Schema::of(Kind::Map(
                    Schema::of(Kind::String).shared(),
                    Schema::of(Kind::String).optional().shared(),
                )),
                decoder: Decoder::HstoreMap,
                zero: Value::Map(Vec::new()),
                placeholder: Value::Map(vec![(Value::from(placeholder), Value::from(placeholder))]),
            },
        }
    }

    fn point(&self) -> Plan {
        let schema = point_schema();
        let zeros = vec![Value::Float64(0.0), Value::Float64(0.0), Value::Null, Value::Null];
        let zero = Value::Struct(Struct::new(SchemaRef::clone(&schema), zeros));
        Plan { schema: (*schema).clone(), decoder: Decoder::Point(schema), placeholder: zero.clone(), zero }
    }

    fn money(&self) -> Plan {
        let (mode, digits) = (self.modes.decimal, self.modes.money_digits);
        let decoder = Decoder::Money { mode, digits, double: self.way == Way::Snapshot };
        match mode {
            DecimalMode::Precise => Plan {
                schema: named(Kind::Bytes, logical::DECIMAL).parameter("scale", digits.to_string()),
                decoder,
                zero: Value::Bytes(two_complement(0)),
                placeholder: Value::Bytes(two_complement(0)),
            },
            DecimalMode::Double => Plan {
                schema: Schema::of(Kind::Float64),
                decoder,
                zero: Value::Float64(0.0),
                placeholder: Value::Float64(0.0),
            },
            DecimalMode::String => Plan { decoder, ..self.text(Schema::of(Kind::String)) },
        }
    }

    fn numeric(&self, typmod: i32) -> Plan {
        // The modifier is precision << 16 | scale, plus 4; no modifier is any scale.
        let bounds = (typmod >= 4).then(|| ((typmod - 4) >> 16, (typmod - 4) & 0xffff));
        match (self.modes.decimal, bounds) {
            (DecimalMode::Double, _) => Plan {
                schema: Schema::of(Kind::Float64),
                decoder: Decoder::DecimalDouble,
                zero: Value::Float64(0.0),
                placeholder: Value::Float64(0.0),
            },
            (DecimalMode::String, _) => {
                Plan { decoder: Decoder::DecimalText, zero: Value::from("0"), ..self.text(Schema::of(Kind::String)) }
            }
            (DecimalMode::Precise, Some((precision, scale))) => Plan {
                schema: named(Kind::Bytes, logical::DECIMAL)
                    .parameter("scale", scale.to_string())
                    .parameter("connect.decimal.precision", precision.to_string()),
                decoder: Decoder::Decimal { scale },
                zero: Value::Bytes(two_complement(0)),
                placeholder: Value::Bytes(two_complement(0)),
            },
            (DecimalMode::Precise, None) => {
                let schema = variable_decimal_schema();
                let zero = variable_decimal(&schema, two_complement(0), 0);
                Plan {
                    schema: (*schema).clone(),
                    decoder: Decoder::VariableDecimal { schema, stripped: false },
                    placeholder: zero.clone(),
                    zero,
                }
            }
        }
    }

    fn bits(&self, oid: u32, typmod: i32) -> Plan {
        if oid == 1560 && typmod == 1 {
            return Plan {
                schema: Schema::of(Kind::Boolean),
                decoder: Decoder::Bit,
                zero: Value::Bool(false),
                placeholder: Value::Bool(false),
            };
        }
        let length = if typmod < 0 { i32::MAX } else { typmod };
        Plan {
            schema: named(Kind::Bytes, "io.debezium.data.Bits").parameter("length", length.to_string()),
            decoder: Decoder::Bits,
            zero: Value::Bytes(Bytes::new()),
            placeholder: Value::Bytes(self.modes.placeholder_bytes.clone()),
        }
    }

    fn iso(&self, name: &'static str, decoder: Decoder, zero: &'static str) -> Plan {
        Plan { decoder, zero: Value::from(zero), ..self.text(named(Kind::String, name)) }
    }

    fn date(&self) -> Plan {
        let iso = self.modes.time == TimeMode::IsoString;
        let decoder = Decoder::Date { iso, calendar: self.calendar() };
        let name = match self.modes.time {
            TimeMode::Connect => logical::DATE,
            TimeMode::IsoString => return self.iso("io.debezium.time.IsoDate", decoder, "1970-01-01Z"),
            _ => "io.debezium.time.Date",
        };
        let zero = Value::Int32(0);
        Plan { schema: named(Kind::Int32, name), decoder, placeholder: zero.clone(), zero }
    }

    fn time(&self, typmod: i32) -> Plan {
        let (kind, name, unit) = match self.modes.time {
            TimeMode::Adaptive if (0..=3).contains(&typmod) => (Kind::Int32, "io.debezium.time.Time", Unit::Millis),
            TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
                (Kind::Int64, "io.debezium.time.MicroTime", Unit::Micros)
            }
            TimeMode::Nanoseconds => (Kind::Int64, "io.debezium.time.NanoTime", Unit::Nanos),
            TimeMode::Connect => (Kind::Int32, logical::TIME, Unit::Millis),
            TimeMode::IsoString => {
                return self.iso("io.debezium.time.IsoTime", Decoder::Time(Unit::Iso), "00:00:00Z");
            }
        };
        let zero = if kind == Kind::Int32 { Value::Int32(0) } else { Value::Int64(0) };
        Plan { schema: named(kind, name), decoder: Decoder::Time(unit), placeholder: zero.clone(), zero }
    }

    fn timestamp(&self, typmod: i32) -> Plan {
        let (name, unit) = match self.modes.time {
            TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds if (0..=3).contains(&typmod) => {
                ("io.debezium.time.Timestamp", Unit::Millis)
            }
            TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
                ("io.debezium.time.MicroTimestamp", Unit::Micros)
            }
            TimeMode::Nanoseconds => ("io.debezium.time.NanoTimestamp", Unit::Nanos),
            TimeMode::Connect => (logical::TIMESTAMP, Unit::Millis),
            TimeMode::IsoString => {
                let decoder = Decoder::Timestamp(Unit::Iso, self.calendar());
                return self.iso("io.debezium.time.IsoTimestamp", decoder, "1970-01-01T00:00:00Z");
            }
        };
        let zero = Value::Int64(0);
        let decoder = Decoder::Timestamp(unit, self.calendar());
        Plan { schema: named(Kind::Int64, name), decoder, placeholder: zero.clone(), zero }
    }

    fn zoned_timestamp(&self, typmod: i32) -> Plan {
        let digits = usize::try_from(typmod).unwrap_or(6).min(6);
        let decoder = Decoder::ZonedTimestamp(digits, self.calendar());
        self.iso("io.debezium.time.ZonedTimestamp", decoder, "1970-01-01T00:00:00.000000Z")
    }

    fn interval(&self) -> Plan {
        match self.modes.interval {
            IntervalMode::Numeric => Plan {
                schema: named(Kind::Int64, "io.debezium.time.MicroDuration"),
                decoder: Decoder::IntervalMicros,
                zero: Value::Int64(0),
                placeholder: Value::Int64(0),
            },
            IntervalMode::String => self.iso("io.debezium.time.Interval", Decoder::IntervalIso, "P0Y0M0DT0H0M0S"),
        }
    }

    /// Arrays of the types that the reference knows as elements.
    fn array(&self, element: u32, typmod: i32) -> Option<Plan> {
        // Arrays of text vectors and of vectors are unknown to the reference.
        if matches!(element, 3614 | 22 | 30) {
            return None;
        }
        if matches!(element, 1560 | 1562) {
            return Some(self.bits(element, typmod));
        }
        // The reference lets the Java driver read arrays in streams, too.
        let plan = Self { way: Way::Snapshot, ..*self }.plan(element, typmod)?;
        let required =
            plan.schema.is("io.debezium.data.Enum") || matches!(plan.decoder, Decoder::Raw(_) | Decoder::Geometry(_));
        let inner = Arc::new(if required { plan.schema } else { plan.schema.optional() });
        let decoder = Box::new(match plan.decoder {
            // In arrays the reference strips the zeros at the end.
            Decoder::VariableDecimal { schema, .. } => Decoder::VariableDecimal { schema, stripped: true },
            Decoder::ZonedTimestamp(digits, _) => Decoder::ZonedTimestamp(digits, Calendar::HybridFields),
            decoder => decoder,
        });
        Some(Plan {
            placeholder: self.array_placeholder(&inner, plan.placeholder),
            schema: Schema::of(Kind::Array(inner)),
            decoder: if required { Decoder::ArrayOfRequired(decoder) } else { Decoder::Array(decoder) },
            zero: Value::Array(Vec::new()),
        })
    }

    /// Numbers can't hold the placeholder's text: they become its bytes, as in the reference.
    fn array_placeholder(&self, element: &Schema, own: Value) -> Value {
        let codes = self.modes.placeholder_bytes.iter().map(|byte| byte.cast_signed());
        match element.kind {
            Kind::String if element.is("io.debezium.data.Uuid") => {
                Value::Array(vec![Value::from(name_uuid(&self.modes.placeholder_bytes))])
            }
            Kind::Int32 => Value::Array(codes.map(|code| Value::Int32(code.into())).collect()),
            Kind::Int64 => Value::Array(codes.map(|code| Value::Int64(code.into())).collect()),
            _ => Value::Array(vec![own]),
        }
    }
}

/// The UUID of a name (version 3, without a name space), as `UUID.nameUUIDFromBytes` makes it.
fn name_uuid(name: &[u8]) -> String {
    let mut hash: [u8; 16] = Md5::digest(name).into();
    hash[6] = hash[6] & 0x0f | 0x30;
    hash[8] = hash[8] & 0x3f | 0x80;
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn modes(extra: &[(&str, &str)]) -> ValueModes {
        let base =
            [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")];
        let props = base.iter().chain(extra).map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        Settings::parse(&props).expect("valid settings").values
    }

    fn name(modes: &ValueModes, oid: u32, typmod: i32) -> String {
        let types = Types::new();
        let plan = Planner { modes, types: &types, way: Way::Stream }.plan(oid, typmod).expect("a known type");
        plan.schema.name.as_deref().unwrap_or(plan.schema.kind.name()).to_owned()
    }

    #[test]
    fn the_placeholder_of_uuids_is_the_recorded_one() {
        assert_eq!(name_uuid(b"__debezium_unavailable_value"), "b68a35a7-17ad-35b3-af2a-ae46edb4545a");
    }

    #[test]
    fn time_types_follow_precision_and_mode() {
        let adaptive = modes(&[]);
        assert_eq!(name(&adaptive, 1114, 3), "io.debezium.time.Timestamp");
        assert_eq!(name(&adaptive, 1114, -1), "io.debezium.time.MicroTimestamp");
        assert_eq!(name(&adaptive, 1083, 0), "io.debezium.time.Time");
        let connect = modes(&[("time.precision.mode", "connect")]);
        assert_eq!(name(&connect, 1114, -1), "org.apache.kafka.connect.data.Timestamp");
        assert_eq!(name(&connect, 1082, -1), "org.apache.kafka.connect.data.Date");
    }

    #[test]
    fn a_numeric_with_bounds_is_a_decimal() {
        let modes = modes(&[]);
        let types = Types::new();
        let planner = Planner { modes: &modes, types: &types, way: Way::Stream };
        let plan = planner.plan(1700, (5 << 16 | 2) + 4).expect("known");
        assert_eq!(plan.schema.get_parameter("scale"), Some("2"));
        assert_eq!(plan.schema.get_parameter("connect.decimal.precision"), Some("5"));
        assert_eq!(name(&modes, 1700, -1), "io.debezium.data.VariableScaleDecimal");
    }

    #[test]
    fn a_domain_is_its_base_and_an_unknown_type_is_left_out() {
        let modes = modes(&[]);
        let domain = TypeInfo { oid: 90, name: "d".into(), kind: b'd', base: Some((23, -1)), ..TypeInfo::default() };
        let other = TypeInfo { oid: 91, name: "box3d".into(), kind: b'b', ..TypeInfo::default() };
        let types = Types::from([(90, domain), (91, other)]);
        let planner = Planner { modes: &modes, types: &types, way: Way::Stream };
        assert_eq!(planner.plan(90, -1).expect("known").schema.kind, Kind::Int32);
        assert!(planner.plan(91, -1).is_none());
    }
}
