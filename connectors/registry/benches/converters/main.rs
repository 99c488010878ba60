//! How long one record takes through a converter: `cargo bench -p connect-registry --bench converters`.
//!
//! `../java/` has the same for the JVM's converters. Both print the length and a hash of what is written, so that it shows
//! whether they write the same.

mod records;
// The unit tests' registry: converters ask it once for a schema and then know the answer.
#[allow(dead_code, clippy::unwrap_used)]
#[path = "../../src/registry/testing.rs"]
mod testing;

use std::hint::black_box;
use std::time::Duration;

use connect_api::{Bytes, BytesMut, Converter, Datum, Plugin, PluginKind, Props};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use testing::FakeRegistry;

/// As in the worker.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOPIC: &str = "shop.public.orders";

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
const PROTOBUF: &str = "io.confluent.connect.protobuf.ProtobufConverter";
const JSON_SCHEMA: &str = "io.confluent.connect.json.JsonSchemaConverter";

fn converter(plugins: &[Plugin], class: &str, props: &Props) -> Box<dyn Converter> {
    match plugins.iter().find(|plugin| plugin.class == class).map(|plugin| &plugin.kind) {
        Some(PluginKind::Converter(make, _)) => make(props, false).expect("the configuration is fine"),
        _ => panic!("there is no {class}"),
    }
}

/// FNV-1a of 64 bits; the Java program has the same.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn written(converter: &dyn Converter, datum: &Datum) -> Bytes {
    let mut out = BytesMut::new();
    converter.serialize(TOPIC, datum, &mut out).expect("the record can be written");
    out.freeze()
}

fn measure(criterion: &mut Criterion, name: &str, converter: &dyn Converter, datum: &Datum, skip: usize) {
    let bytes = written(converter, datum);
    println!("{name}: {} bytes, fnv {:016x}", bytes.len(), fnv(&bytes[skip..]));
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    // As the worker does: into a buffer that is there already.
    let mut out = BytesMut::with_capacity(16 * 1024);
    group.bench_function("serialize", |bencher| {
        bencher.iter(|| {
            out.clear();
            converter.serialize(TOPIC, black_box(datum), &mut out).expect("the record can be written")
        });
    });
    group.bench_function("deserialize", |bencher| {
        bencher.iter(|| converter.deserialize(TOPIC, Some(black_box(&bytes).clone())).expect("the record can be read"));
    });
    group.finish();
}

fn converters(criterion: &mut Criterion) {
    let registry = FakeRegistry::start();
    let plugins: Vec<Plugin> = connect_formats::plugins().into_iter().chain(connect_registry::plugins()).collect();
    let records = [("envelope", records::envelope()), ("row", records::row())];
    for (format, class, schemas) in [
        ("json_schemas", JSON, "true"),
        ("json", JSON, "false"),
        ("avro", AVRO, ""),
        ("protobuf", PROTOBUF, ""),
        ("json_schema", JSON_SCHEMA, ""),
    ] {
        let json = class == JSON;
        let props = if json {
            Props::from_iter([("schemas.enable".to_owned(), Some(schemas.to_owned()))])
        } else {
            registry.props(&[])
        };
        for (record, datum) in &records {
            // A converter each, so that the subjects of both records do not meet.
            let converter = converter(&plugins, class, &props);
            // The id of the schema is the registry's.
            let skip = if json { 0 } else { 5 };
            measure(criterion, &format!("{format}/{record}"), &*converter, datum, skip);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(3)).measurement_time(Duration::from_secs(6));
    targets = converters
}
criterion_main!(benches);
