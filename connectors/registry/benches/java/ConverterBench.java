import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.json.JsonConverter;

import io.apicurio.registry.utils.converter.avro.AvroData;

/** What the JVM's converters need for the records of {@code converters/records.rs}. */
public final class ConverterBench {
    private static final String TOPIC = "shop.public.orders";
    private static final long SECOND = 1_000_000_000L;
    private static final long WARM_UP = 6 * SECOND;
    /** Of so many seconds the best one counts: another program may have taken the processor in the others. */
    private static final int MEASURED = 6;
    private static final int BATCH = 256;

    /** Where results go, so that nothing can be left out. */
    private static Object sink;

    /** Both directions of a converter, of one record. */
    private interface Case {
        byte[] write() throws Exception;

        Object read(byte[] bytes) throws Exception;
    }

    private interface Work {
        Object once() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Map<String, Supplier<Case>> cases = cases();
        for (Map.Entry<String, Supplier<Case>> entry : cases.entrySet()) {
            for (String direction : new String[] {"serialize", "deserialize"}) {
                String name = entry.getKey() + "/" + direction;
                if (args.length > 0 && args[0].equals("--list")) {
                    System.out.println(name);
                } else if (args.length == 0 || args[0].equals(name)) {
                    run(name, entry.getValue().get(), direction.equals("serialize"));
                }
            }
        }
    }

    private static Map<String, Supplier<Case>> cases() {
        Map<String, SchemaAndValue> records = new LinkedHashMap<>();
        records.put("envelope", envelope());
        records.put("row", row());
        Map<String, Supplier<Case>> cases = new LinkedHashMap<>();
        records.forEach((name, record) -> cases.put("json_schemas/" + name, () -> json(record, true)));
        records.forEach((name, record) -> cases.put("json/" + name, () -> json(record, false)));
        records.forEach((name, record) -> cases.put("avro/" + name, () -> avro(record)));
        records.forEach((name, record) -> cases.put("avro_only/" + name, () -> avroOnly(record)));
        return cases;
    }

    private static Case json(SchemaAndValue record, boolean schemas) {
        @SuppressWarnings("resource")
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", Boolean.toString(schemas)), false);
        return new Case() {
            @Override
            public byte[] write() {
                return converter.fromConnectData(TOPIC, record.schema(), record.value());
            }

            @Override
            public Object read(byte[] bytes) {
                return converter.toConnectData(TOPIC, bytes);
            }
        };
    }

    /** What Confluent's converter does for each record, less its looking up of the schema's id. */
    private static Case avro(SchemaAndValue record) {
        AvroData data = new AvroData(1000);
        org.apache.avro.Schema schema = data.fromConnectSchema(record.schema());
        Avro avro = new Avro(schema);
        return new Case() {
            @Override
            public byte[] write() throws Exception {
                return avro.write(data.fromConnectData(record.schema(), record.value()));
            }

            @Override
            public Object read(byte[] bytes) throws Exception {
                return data.toConnectData(schema, avro.read(bytes), 1);
            }
        };
    }

    /** Only Avro's part of it: bytes from a generic record that is there already, and back to one. */
    private static Case avroOnly(SchemaAndValue record) {
        AvroData data = new AvroData(1000);
        Avro avro = new Avro(data.fromConnectSchema(record.schema()));
        Object generic = data.fromConnectData(record.schema(), record.value());
        return new Case() {
            @Override
            public byte[] write() throws Exception {
                return avro.write(generic);
            }

            @Override
            public Object read(byte[] bytes) throws Exception {
                return avro.read(bytes);
            }
        };
    }

    /** Writes and reads as Confluent's serializer and deserializer do. */
    private static final class Avro {
        private final GenericDatumWriter<Object> writer;
        private final GenericDatumReader<Object> reader;

        Avro(org.apache.avro.Schema schema) {
            writer = new GenericDatumWriter<>(schema);
            reader = new GenericDatumReader<>(schema);
        }

        byte[] write(Object value) throws Exception {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            out.write(0);
            out.write(ByteBuffer.allocate(4).putInt(1).array());
            BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
            writer.write(value, encoder);
            encoder.flush();
            return out.toByteArray();
        }

        Object read(byte[] bytes) throws Exception {
            return reader.read(null, DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, null));
        }
    }

    private static void run(String name, Case of, boolean serialize) throws Exception {
        byte[] bytes = of.write();
        Work work = serialize ? of::write : () -> of.read(bytes);
        measure(work, WARM_UP);
        double nanos = Double.MAX_VALUE;
        for (int i = 0; i < MEASURED; i++) {
            nanos = Math.min(nanos, measure(work, SECOND));
        }
        System.out.printf("%-34s %6.0f ns/record %10.0f records/s %6d bytes  fnv %016x%n",
                name, nanos, SECOND / nanos, bytes.length, fnv(name.startsWith("avro") ? Arrays.copyOfRange(bytes, 5, bytes.length) : bytes));
    }

    /** Nanoseconds for one record. */
    private static double measure(Work work, long atLeast) throws Exception {
        long start = System.nanoTime();
        long records = 0;
        long took;
        do {
            for (int i = 0; i < BATCH; i++) {
                sink = work.once();
            }
            records += BATCH;
            took = System.nanoTime() - start;
        } while (took < atLeast);
        return (double) took / records;
    }

    /** FNV-1a of 64 bits; converters/main.rs has the same. */
    private static long fnv(byte[] bytes) {
        long hash = 0xcbf29ce484222325L;
        for (byte b : bytes) {
            hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
        }
        return hash;
    }

    /** An insert into a table of ten columns, as Debezium's Postgres source writes it. */
    private static SchemaAndValue envelope() {
        Schema row = SchemaBuilder.struct().name("shop.public.orders.Value").optional()
                .field("id", Schema.INT64_SCHEMA)
                .field("customer_id", Schema.INT32_SCHEMA)
                .field("status", Schema.STRING_SCHEMA)
                .field("note", Schema.OPTIONAL_STRING_SCHEMA)
                .field("weight", Schema.FLOAT64_SCHEMA)
                .field("paid", Schema.BOOLEAN_SCHEMA)
                .field("total", Decimal.schema(2))
                .field("created_at", SchemaBuilder.int64().name("io.debezium.time.MicroTimestamp").version(1).build())
                .field("details", SchemaBuilder.string().name("io.debezium.data.Json").version(1).optional().build())
                .field("quantity", Schema.OPTIONAL_INT32_SCHEMA)
                .build();
        Schema source = SchemaBuilder.struct().name("io.debezium.connector.postgresql.Source")
                .field("version", Schema.STRING_SCHEMA)
                .field("connector", Schema.STRING_SCHEMA)
                .field("name", Schema.STRING_SCHEMA)
                .field("ts_ms", Schema.INT64_SCHEMA)
                .field("snapshot", SchemaBuilder.string().optional().defaultValue("false").build())
                .field("db", Schema.STRING_SCHEMA)
                .field("sequence", Schema.OPTIONAL_STRING_SCHEMA)
                .field("schema", Schema.STRING_SCHEMA)
                .field("table", Schema.STRING_SCHEMA)
                .field("txId", Schema.OPTIONAL_INT64_SCHEMA)
                .field("lsn", Schema.OPTIONAL_INT64_SCHEMA)
                .field("xmin", Schema.OPTIONAL_INT64_SCHEMA)
                .build();
        Schema envelope = SchemaBuilder.struct().name("shop.public.orders.Envelope").version(2)
                .field("before", row)
                .field("after", row)
                .field("source", source)
                .field("op", Schema.STRING_SCHEMA)
                .field("ts_ms", Schema.OPTIONAL_INT64_SCHEMA)
                .build();
        Struct after = new Struct(row)
                .put("id", 123_456L)
                .put("customer_id", 4711)
                .put("status", "handed over to the carrier now")
                .put("weight", 12.75)
                .put("paid", true)
                .put("total", new BigDecimal(BigInteger.valueOf(123_456), 2))
                .put("created_at", 1_700_000_000_123_456L)
                .put("details", "{\"gift\": true, \"tags\": [\"new\", \"fragile\"], \"from\": \"the shop\", \"boxes\": 2, \"x\": 1.5}")
                .put("quantity", 3);
        Struct from = new Struct(source)
                .put("version", "3.3.1.Final")
                .put("connector", "postgresql")
                .put("name", "shop")
                .put("ts_ms", 1_700_000_000_123L)
                .put("snapshot", "false")
                .put("db", "shop")
                .put("sequence", "[\"34498160\",\"34498216\"]")
                .put("schema", "public")
                .put("table", "orders")
                .put("txId", 771L)
                .put("lsn", 34_498_216L);
        Struct value = new Struct(envelope)
                .put("after", after)
                .put("source", from)
                .put("op", "c")
                .put("ts_ms", 1_700_000_000_456L);
        return new SchemaAndValue(envelope, value);
    }

    /** A flat row. */
    private static SchemaAndValue row() {
        Schema schema = SchemaBuilder.struct().name("shop.Customer")
                .field("id", Schema.INT64_SCHEMA)
                .field("number", Schema.INT32_SCHEMA)
                .field("name", Schema.STRING_SCHEMA)
                .field("city", Schema.OPTIONAL_STRING_SCHEMA)
                .field("balance", Schema.FLOAT64_SCHEMA)
                .field("active", Schema.BOOLEAN_SCHEMA)
                .field("seen_at", Timestamp.SCHEMA)
                .field("email", Schema.STRING_SCHEMA)
                .build();
        Struct value = new Struct(schema)
                .put("id", 987_654_321L)
                .put("number", 42)
                .put("name", "Jo\u00e3o da Silva")
                .put("balance", 1234.56)
                .put("active", true)
                .put("seen_at", new Date(1_700_000_000_123L))
                .put("email", "joao.da.silva@example.com");
        return new SchemaAndValue(schema, value);
    }
}
