"""Reads and writes records with Confluent's own client of a schema registry, for Python.

`records.py URL ORDERS ANSWERS` takes orders from a file of lines of JSON, and answers each with a line in another file:
{"error": ...} when it failed.

    {"do": "read", "format": "AVRO", "topic": "t", "bytes": "00..."}                      {"value": ..., "id": 1}
    {"do": "write", "format": "AVRO", "topic": "t", "schema": "...", "value": ...}        {"bytes": "00..."}
    {"do": "register", "format": "AVRO", "subject": "t-value", "schema": "..."}           {"id": 1, "version": 1}

`key` makes it the key of a record, `references` lists what a schema refers to: {"name", "subject", "version"}. A message of
Protobuf is named by `message`, the texts of the files that its file imports are in `files`, by name. Values of Avro that JSON
does not have are objects of one key: {"$bytes": "00"}, {"$decimal": "1.50"}, {"$date": "2024-02-29"}, {"$time": "12:00:00"},
{"$timestamp": "2024-02-29T12:00:00+00:00"}, {"$uuid": "..."}, {"$float": "nan"}.
"""

import datetime
import decimal
import json
import math
import pathlib
import re
import sys
import tempfile
import uuid

import google.protobuf
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, dual_schema_id_deserializer
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc

MAIN = "main.proto"
META = "confluent/meta.proto"
# What Confluent's registry knows by itself.
KNOWN = {
    META: """syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
        message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
        extend google.protobuf.FileOptions { Meta file_meta = 1088; }
        extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
        extend google.protobuf.FieldOptions { Meta field_meta = 1088; }""",
    "confluent/type/decimal.proto": """syntax = "proto3"; package confluent.type;
        message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }""",
}
TOPIC_NAMES = {"subject.name.strategy.type": "TOPIC"}


def plain(value):
    """A value of Avro as JSON."""
    if isinstance(value, dict):
        return {key: plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(of) for of in value]
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, decimal.Decimal):
        return {"$decimal": format(value, "f")}
    if isinstance(value, datetime.datetime):
        return {"$timestamp": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"$date": value.isoformat()}
    if isinstance(value, datetime.time):
        return {"$time": value.isoformat()}
    if isinstance(value, uuid.UUID):
        return {"$uuid": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value


MADE = {
    "$bytes": bytes.fromhex,
    "$decimal": decimal.Decimal,
    "$date": datetime.date.fromisoformat,
    "$time": datetime.time.fromisoformat,
    "$timestamp": datetime.datetime.fromisoformat,
    "$uuid": uuid.UUID,
    "$float": float,
}


def made(value):
    """The other way."""
    if isinstance(value, list):
        return [made(of) for of in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (key := next(iter(value))) in MADE:
        return MADE[key](value[key])
    return {key: made(of) for key, of in value.items()}


class Files:
    """Files of Protobuf, compiled by protoc."""

    def __init__(self, text, imported):
        with tempfile.TemporaryDirectory() as place:
            root = pathlib.Path(place)
            for name, source in {**KNOWN, **imported, MAIN: text}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(with_meta(source))
            out, packages = root / "out.pb", pathlib.Path(google.protobuf.__file__).parents[2]
            order = [f"-I{place}", f"-I{pathlib.Path(protoc.__file__).parent / '_proto'}", f"-I{packages}"]
            if protoc.main(["protoc", *order, "--include_imports", f"--descriptor_set_out={out}", MAIN]) != 0:
                raise ValueError("protoc refuses the schema:\n" + text)
            self.set = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in self.set.file:
            self.pool.Add(file)

    def message(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def nth(self, indexes):
        """The name of the message at a place."""
        file = self.set.file[-1]
        message, name = file.message_type[indexes[0]], [file.package] if file.package else []
        name.append(message.name)
        for index in indexes[1:]:
            message = message.nested_type[index]
            name.append(message.name)
        return ".".join(name)


def with_meta(source):
    """Confluent's converter writes this option without importing the file that declares it; their registry knows the file."""
    if "(confluent." not in source or META in source or "package confluent;" in source:
        return source
    return re.sub(r'(syntax\s*=\s*"\w+";)', rf'\1 import "{META}";', source, count=1)


class Client:
    def __init__(self, url):
        self.registry = SchemaRegistryClient({"url": url})
        self.compiled = {}

    def files(self, text, order):
        imported = order.get("files", {})
        key = (text, json.dumps(imported))
        if key not in self.compiled:
            self.compiled[key] = Files(text, imported)
        return self.compiled[key]

    def schema(self, order):
        references = [SchemaReference(of["name"], of["subject"], of["version"]) for of in order.get("references", [])]
        return Schema(order["schema"], order["format"], references)

    def register(self, order):
        registered = self.registry.register_schema_full_response(order["subject"], self.schema(order))
        found = self.registry.lookup_schema(order["subject"], self.schema(order))
        return {"id": registered.schema_id, "version": found.version}

    def context(self, order):
        return SerializationContext(order["topic"], MessageField.KEY if order.get("key") else MessageField.VALUE)

    def read(self, order):
        data, context, kind = bytes.fromhex(order["bytes"]), self.context(order), order["format"]
        frame = SchemaId(kind)
        dual_schema_id_deserializer(data, context, frame)
        answer = {"id": frame.id}
        if kind == "AVRO":
            answer["value"] = plain(AvroDeserializer(self.registry, conf=TOPIC_NAMES)(data, context))
        elif kind == "JSON":
            # It holds the record against its schema.
            answer["value"] = JSONDeserializer(None, None, self.registry, conf=TOPIC_NAMES)(data, context)
        else:
            answer |= self.read_protobuf(order, data, context, frame)
        return answer

    def read_protobuf(self, order, data, context, frame):
        files = self.files(self.registry.get_schema(frame.id).schema_str, order)
        name = files.nth(frame.message_indexes)
        # Without the registry, which is not asked for a text but for a descriptor; Apicurio answers with the text then.
        message = ProtobufDeserializer(files.message(name), TOPIC_NAMES)(data, context)
        value = json_format.MessageToDict(
            message,
            always_print_fields_with_no_presence=True,
            preserving_proto_field_name=True,
            descriptor_pool=files.pool,
        )
        return {"message": name, "value": value}

    def write(self, order):
        context, kind = self.context(order), order["format"]
        if kind == "AVRO":
            writer, value = AvroSerializer(self.registry, self.schema(order), conf=TOPIC_NAMES), made(order["value"])
        elif kind == "JSON":
            writer, value = JSONSerializer(self.schema(order), self.registry, conf=TOPIC_NAMES), order["value"]
        else:
            files = self.files(order["schema"], order)
            message = files.message(order["message"])
            writer = ProtobufSerializer(message, self.registry, TOPIC_NAMES)
            value = json_format.ParseDict(order["value"], message(), descriptor_pool=files.pool)
        return {"bytes": writer(value, context).hex()}

    def answer(self, order):
        try:
            return {"read": self.read, "write": self.write, "register": self.register}[order["do"]](order)
        except Exception as error:  # The caller judges what failed.
            return {"error": f"{type(error).__name__}: {error}"}


def main():
    url, orders, answers = sys.argv[1:]
    client = Client(url)
    with open(orders) as given, open(answers, "w") as out:
        for line in given:
            print(json.dumps(client.answer(json.loads(line))), file=out)


if __name__ == "__main__":
    main()
