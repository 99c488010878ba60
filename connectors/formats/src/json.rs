//! `org.apache.kafka.connect.json.JsonConverter`, with and without schemas.
//!
//! Both directions keep what they derive from a schema: writing by the schema's address, reading by the bytes of
//! the envelope up to its payload. Both caches hold `schemas.cache.size` entries at most and start afresh when full.

mod base64;
mod cache;
mod config;
mod encoding;
mod envelope;
mod escape;
mod jackson;
mod number;
mod orders;
mod read;
mod read_schema;
mod scan;
mod swar;
mod write;

use connect_api::{
    Bytes, BytesMut, Converter, Datum, Error, HeaderConverter, Plugin, PluginKind, Props, Result, SchemaRef,
};

use cache::{Plans, Prefixes};
use config::{JsonConverterConfig, Options};
use orders::KnownOrders;
use read::{Failure, Reader};
use scan::Scan;

use crate::settings;

const NO_ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not \
    contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your \
    converter configuration.";

/// The plugin.
pub(crate) fn plugin() -> Plugin {
    Plugin {
        class: "org.apache.kafka.connect.json.JsonConverter",
        version: crate::KAFKA_VERSION,
        kind: PluginKind::Converter(
            |props, is_key| Ok(Box::new(JsonConverter::new(props, settings::type_of(is_key))?)),
            Some(|props| Ok(Box::new(JsonConverter::new(props, "header")?))),
        ),
        config_def: JsonConverterConfig::def,
    }
}

/// The converter.
pub struct JsonConverter {
    options: Options,
    plans: Plans,
    prefixes: Prefixes,
    orders: KnownOrders,
}

impl JsonConverter {
    /// A converter of keys, values or headers (`key`, `value`, `header`).
    pub fn new(props: &Props, converter_type: &str) -> Result<Self> {
        let options = Options::parse(props, converter_type)?;
        Ok(Self {
            options,
            plans: Plans::new(options),
            prefixes: Prefixes::new(options.cache_max),
            orders: KnownOrders::default(),
        })
    }

    fn write(&self, datum: &Datum, out: &mut BytesMut) -> Result<()> {
        let Some(schema) = &datum.schema else {
            if self.options.schemas {
                out.extend_from_slice(b"{\"schema\":null,\"payload\":");
            }
            write::write_schemaless(&datum.value, out)?;
            if self.options.schemas {
                out.extend_from_slice(b"}");
            }
            return Ok(());
        };
        self.plans.with(schema, |plan| {
            out.extend_from_slice(&plan.envelope);
            plan.write(&datum.value, out)
        })?;
        if self.options.schemas {
            out.extend_from_slice(b"}");
        }
        Ok(())
    }

    fn read(&self, payload: &Bytes) -> std::result::Result<Datum, Failure> {
        let mut scan = Scan::new(payload);
        if !self.options.schemas {
            if scan.at_end() {
                return Ok(Datum::null());
            }
            let value = self.reader().read(None, &mut scan)?;
            return Ok(Datum::schemaless(value));
        }
        if let Some((schema, length)) = self.prefixes.find(payload)
            && let Some(datum) = self.read_known(schema, scan.part(length..payload.len()))
        {
            return Ok(datum);
        }
        self.read_envelope(scan)
    }

    fn reader(&self) -> Reader<'_> {
        Reader::with_orders(self.options.replace_null, self.orders.lock())
    }

    /// Reads some fields of an object without a schema; `None` where all of it has to be read.
    fn read_fields(&self, payload: &Bytes, fields: &[&'static str]) -> Option<Datum> {
        if self.options.schemas || fields.len() > usize::BITS as usize {
            return None;
        }
        let value = self.reader().fields(fields, &mut Scan::new(payload)).ok().flatten()?;
        Some(Datum::schemaless(value))
    }

    /// Reads the payload behind a known beginning; nothing when anything about it is unusual.
    fn read_known(&self, schema: Option<SchemaRef>, mut scan: Scan<'_>) -> Option<Datum> {
        scan.enter().ok()?;
        // `enter` steps over an opening brace, which the known beginning holds already.
        scan.at -= 1;
        let value = Reader::new(self.options.replace_null).read(schema.as_ref(), &mut scan).ok()?;
        scan.take(b'}').then_some(Datum { schema, value })
    }

    fn read_envelope(&self, mut scan: Scan<'_>) -> std::result::Result<Datum, Failure> {
        let no_envelope = || Err(Failure::Data(Error::data(NO_ENVELOPE)));
        if scan.at_end() {
            return no_envelope();
        }
        if scan.token()? != scan::Token::Object {
            scan.skip()?;
            return no_envelope();
        }
        let members = scan.members()?;
        let find = |name: &str| members.iter().find(|(other, _)| other == name).map(|(_, range)| range.clone());
        let (Some(schema_range), Some(payload), 2) = (find("schema"), find("payload"), members.len()) else {
            return no_envelope();
        };
        let mut reader = Reader::new(self.options.replace_null);
        let schema = match self.prefixes.schema(scan.bytes(schema_range.clone())) {
            Some(schema) => Some(schema),
            None => read_schema::schema(scan.part(schema_range.clone()), &mut reader)?,
        };
        let value = reader.read(schema.as_ref(), &mut scan.part(payload.clone()))?;
        if schema_range.end < payload.start {
            self.prefixes.remember(scan.bytes(0..payload.start), scan.bytes(schema_range), schema.as_ref());
        }
        Ok(Datum { schema, value })
    }
}

/// The JVM reads the whole text before it looks at its meaning, so a text that is no JSON says so first.
fn describe(failure: Failure, payload: &Bytes) -> Error {
    let mut scan = Scan::new(payload);
    let failure = match failure {
        Failure::Data(error) => match if scan.at_end() { Ok(()) } else { scan.skip() } {
            Ok(()) => return error,
            Err(syntax) => syntax,
        },
        Failure::Syntax(syntax) => syntax,
    };
    Error::data("Converting byte[] to Kafka Connect data failed due to serialization error: ")
        .caused_by(jackson::exception(payload, failure.to_string()))
}

impl Converter for JsonConverter {
    fn serialize(&self, _topic: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        if datum.schema.is_none() && datum.value.is_null() {
            return Ok(false);
        }
        let start = out.len();
        self.write(datum, out).inspect_err(|_| out.truncate(start))?;
        Ok(true)
    }

    fn deserialize(&self, _topic: &str, payload: Option<Bytes>) -> Result<Datum> {
        let Some(payload) = payload else { return Ok(Datum::null()) };
        let payload = encoding::utf8(payload);
        self.read(&payload).map_err(|failure| describe(failure, &payload))
    }

    fn deserialize_fields(&self, _topic: &str, payload: Option<Bytes>, fields: &[&'static str]) -> Result<Datum> {
        let Some(payload) = payload else { return Ok(Datum::null()) };
        let payload = encoding::utf8(payload);
        match self.read_fields(&payload, fields) {
            Some(datum) => Ok(datum),
            None => self.read(&payload).map_err(|failure| describe(failure, &payload)),
        }
    }
}

impl HeaderConverter for JsonConverter {
    fn serialize(&self, topic: &str, _key: &str, datum: &Datum, out: &mut BytesMut) -> Result<bool> {
        Converter::serialize(self, topic, datum, out)
    }

    fn deserialize(&self, topic: &str, _key: &str, payload: Option<Bytes>) -> Result<Datum> {
        Converter::deserialize(self, topic, payload)
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Value;

    use super::*;

    fn converter(schemas: bool) -> JsonConverter {
        let props = [("schemas.enable".to_owned(), Some(schemas.to_string()))].into_iter().collect();
        JsonConverter::new(&props, "value").expect("a converter")
    }

    fn names(datum: &Datum) -> Vec<&str> {
        match &datum.value {
            Value::Map(entries) => entries.iter().filter_map(|(name, _)| name.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn of_an_object_only_what_is_looked_at_is_read_when_it_is_all_there() {
        let read = |text: &'static str| {
            let payload = Some(Bytes::from_static(text.as_bytes()));
            let all = Converter::deserialize(&converter(false), "t", payload.clone());
            (converter(false).deserialize_fields("t", payload, &["op", "after"]), all)
        };
        let (some, _) = read(r#"{"source":{"a":[1,{}]},"op":"c","after":{"b":1,"a":null},"ts":1.5}"#);
        let some = some.expect("a value");
        assert_eq!(names(&some), ["op", "after"]);
        let Value::Map(entries) = &some.value else { panic!("{some:?}") };
        assert_eq!(names(&Datum::schemaless(entries[1].1.clone())), ["a", "b"], "in the order of Java's map");
        // What is missing, double, or no object is read as a whole.
        for text in [r#"{"op":"c","x":1}"#, r#"{"op":"c","after":1,"op":"d"}"#, "[1]", "{}", "null", "", r#""op""#] {
            let (some, all) = read(text);
            assert_eq!(some.expect("a value"), all.expect("a value"), "{text}");
        }
        // What is not looked at is checked.
        for text in [r#"{"op":"c","after":1,"x":01x}"#, r#"{"op":"c","after":1"#, r#"{"x":"\q","op":"c","after":1}"#] {
            let (some, all) = read(text);
            assert_eq!(some.expect_err("no JSON").trace(), all.expect_err("no JSON").trace(), "{text}");
        }
    }

    #[test]
    fn an_envelope_of_very_many_members_is_refused_soon() {
        let members: Vec<String> = (0..200_000).map(|n| format!("\"m{n}\":0")).collect();
        let read = |members: &str| {
            let text = format!(r#"{{"schema":1,"schema":null,{members}"payload":[2],"payload":[3]}}"#);
            Converter::deserialize(&converter(true), "t", Some(text.into()))
        };
        assert_eq!(read(&format!("{},", members.join(","))).expect_err("too many").message(), NO_ENVELOPE);
        assert_eq!(read("").expect("a value").value, Value::Array(vec![Value::Int64(3)]));
    }

    #[test]
    fn defaults_within_defaults_are_bounded() {
        // Each level's default holds two structs, which lack the field of the level below.
        let mut of = r#"{"type":"array","items":{"type":"int8"},"default":[1,2]"#.to_owned();
        for _ in 0..60 {
            let field = format!(r#"{of},"field":"f"}}"#);
            of = format!(r#"{{"type":"array","items":{{"type":"struct","fields":[{field}]}},"default":[{{}},{{}}]"#);
        }
        let text = format!(r#"{{"schema":{of}}},"payload":[]}}"#);
        let error = Converter::deserialize(&converter(true), "t", Some(text.into())).expect_err("too large");
        assert!(error.message().starts_with("the defaults of the schema bring more than"), "{error}");
    }

    #[test]
    fn what_nests_as_deep_as_may_be_fits_the_stack_of_a_thread() {
        let nested = |open: &str, inner: &str, close: &str, levels: usize| {
            Bytes::from(format!("{}{inner}{}", open.repeat(levels), close.repeat(levels)))
        };
        let read = move || {
            let plain = |payload| Converter::deserialize(&converter(false), "t", Some(payload));
            for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
                let datum = plain(nested(open, "1", close, 1000)).expect("a value");
                let mut out = BytesMut::new();
                assert!(Converter::serialize(&converter(false), "t", &datum, &mut out).expect("written"));
                assert_eq!(datum.clone(), datum);
                assert!(plain(nested(open, "1", close, 100_000)).expect_err("too deep").trace().contains("too deep"));
            }
            let refused = |levels: usize| {
                let open = r#""type":"struct","fields":[{"field":"f","#.repeat(levels);
                let schema = format!(r#"{{{open}"type":"int8"{}}}"#, "}]".repeat(levels));
                let payload = format!(r#"{{"schema":{schema},"payload":null}}"#);
                Converter::deserialize(&converter(true), "t", Some(payload.into())).expect_err("null").trace()
            };
            // Each struct is two levels of JSON.
            assert!(refused(499).contains("Invalid null value for required STRUCT field"));
            assert!(refused(50_000).contains("too deep"));
        };
        // What threads of the worker have.
        std::thread::Builder::new().stack_size(2 << 20).spawn(read).expect("a thread").join().expect("no overflow");
    }

    #[test]
    fn a_value_with_a_schema_is_read_as_a_whole() {
        let text = r#"{"schema":{"type":"struct","fields":[{"field":"op","type":"string"},{"field":"n","type":"int8"}]},"payload":{"op":"c","n":1}}"#;
        let payload = Some(Bytes::from_static(text.as_bytes()));
        let converter = converter(true);
        let some = converter.deserialize_fields("t", payload.clone(), &["op"]).expect("a value");
        assert_eq!(some, Converter::deserialize(&converter, "t", payload).expect("a value"));
    }
}
