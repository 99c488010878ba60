//! Schemas of Protobuf as they are registered: the text of a file, those that it imports, and messages within it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_api::{Error, Result};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::prost::Message as _;
use protox::prost_reflect::prost_types::FileDescriptorProto;
use protox::prost_reflect::{DynamicMessage, FieldDescriptor, FileDescriptor, MessageDescriptor, Value};

use super::{known, sound};

/// The name of a schema's own file.
const MAIN: &str = "default";
const META: &str = "confluent/meta.proto";

/// Files by name: those that a schema refers to, and those that are known to all.
struct Sources {
    files: Vec<(String, String)>,
}

impl FileResolver for Sources {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        path.to_str().map(str::to_owned)
    }

    fn open_file(&self, name: &str) -> std::result::Result<File, protox::Error> {
        let own = self.files.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        let source = own.or_else(|| known::source(name)).ok_or_else(|| protox::Error::file_not_found(name))?;
        // Some clients register descriptors in place of texts.
        match decoded(source) {
            Some((file, bytes)) => {
                sound::check_descriptor(&file).map_err(protox::Error::new)?;
                named_file(bytes, name)
            }
            None => {
                sound::check(source).map_err(protox::Error::new)?;
                File::from_source(name, &with_meta(source))
            }
        }
    }
}

/// The descriptor behind a text in base64, and its bytes; nothing for the text of a file.
fn decoded(source: &str) -> Option<(FileDescriptorProto, Vec<u8>)> {
    let source = source.trim();
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if source.is_empty() || !source.bytes().all(is_base64) {
        return None;
    }
    let bytes = STANDARD.decode(source).ok()?;
    Some((FileDescriptorProto::decode(&*bytes).ok()?, bytes))
}

/// A descriptor as the file of a name. What is decoded and encoded again would lose Confluent's options; of a field that is there
/// twice, as the name then, the last one counts.
fn named_file(mut descriptor: Vec<u8>, name: &str) -> std::result::Result<File, protox::Error> {
    let named = FileDescriptorProto { name: Some(name.to_owned()), ..FileDescriptorProto::default() };
    descriptor.extend(named.encode_to_vec());
    File::decode_file_descriptor_proto(&*descriptor).map_err(protox::Error::new)
}

/// Parses a schema. `references` are the files that it imports, by their names.
pub(crate) fn parse<'a>(
    text: &str,
    references: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<FileDescriptor> {
    let wrong = |error: protox::Error| {
        Error::data(format!("Could not parse Protobuf schema: {error}"))
            .class("io.confluent.kafka.schemaregistry.client.rest.exceptions.InvalidSchemaException")
    };
    let mut files: Vec<(String, String)> = vec![(MAIN.to_owned(), text.to_owned())];
    files.extend(references.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources { files });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.open_file(MAIN).map_err(wrong)?;
    let file = compiler.descriptor_pool().get_file_by_name(MAIN);
    file.ok_or_else(|| Error::data("the Protobuf schema is empty"))
}

/// The reference writes options of Confluent without importing the file that declares them.
fn with_meta(source: &str) -> String {
    if !source.contains("(confluent.") || source.contains(META) {
        return source.to_owned();
    }
    let import = format!("import \"{META}\";\n");
    let start = source.find("syntax").filter(|at| {
        let before = source.get(..*at).unwrap_or_default();
        before.trim().is_empty()
            || before.trim_end().ends_with("*/")
            || before.lines().all(|line| line.trim_start().starts_with("//") || line.trim().is_empty())
    });
    let at = start.and_then(|start| Some(start + source.get(start..)?.find(';')? + 1)).unwrap_or(0);
    let (head, tail) = source.split_at(at);
    format!("{head}\n{import}{tail}")
}

/// The message of some indexes: the first is one of the file's messages, each next one a message within the one before.
pub(crate) fn message(file: &FileDescriptor, indexes: &[i32]) -> Result<MessageDescriptor> {
    let missing = || Error::data(format!("the schema has no message {indexes:?}"));
    let nth = |index: &i32| usize::try_from(*index).map_err(|_| missing());
    let (first, rest) = indexes.split_first().ok_or_else(missing)?;
    let mut message = file.messages().nth(nth(first)?).ok_or_else(missing)?;
    for index in rest {
        let inner = message.child_messages().nth(nth(index)?).ok_or_else(missing)?;
        message = inner;
    }
    Ok(message)
}

/// The message of a name, when it is one of this file.
pub(crate) fn named(file: &FileDescriptor, name: &str) -> Option<MessageDescriptor> {
    file.parent_pool().get_message_by_name(name).filter(|message| message.parent_file() == *file)
}

/// The indexes of a message, in the order of [`message`].
pub(crate) fn indexes(message: &MessageDescriptor) -> Vec<i32> {
    // A path is of pairs: the number of a list in the descriptor, and the place in it.
    message.path().iter().skip(1).step_by(2).copied().collect()
}

/// What Confluent left with a field (`confluent.field_meta`).
pub(crate) fn params(field: &FieldDescriptor) -> Vec<(String, String)> {
    let options = field.options();
    let extension = field.parent_pool().get_extension_by_name("confluent.field_meta");
    let Some(extension) = extension.filter(|extension| options.has_extension(extension)) else { return Vec::new() };
    let value = options.get_extension(&extension);
    let params = value.as_message().and_then(|meta: &DynamicMessage| meta.get_field_by_name("params"));
    let Some(Value::Map(map)) = params.as_deref() else { return Vec::new() };
    let pair = |(key, value): (&protox::prost_reflect::MapKey, &Value)| {
        Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
    };
    map.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"syntax = "proto3";
package shop.public;

import "other.proto";
import "confluent/type/decimal.proto";
import "google/type/date.proto";
import "google/protobuf/wrappers.proto";

message First {
  int32 small = 1 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int8"
      }
    ]
  }];
  repeated TagsEntry tags = 2;
  other.Thing thing = 3;
  google.protobuf.StringValue text = 4;

  message Inner {
  }
  message TagsEntry {
    option map_entry = true;

    string key = 1;
    int32 value = 2;
  }
}
message Second {
  confluent.type.Decimal price = 1;
}
"#;

    #[test]
    fn texts_of_the_reference_are_understood() {
        let other = r#"syntax = "proto3"; package other; message Thing { }"#;
        let file = parse(TEXT, [("other.proto", other)]).unwrap();
        let first = message(&file, &[0]).unwrap();
        assert_eq!(first.full_name(), "shop.public.First");
        assert_eq!(params(&first.get_field(1).unwrap()), [("connect.type".to_owned(), "int8".to_owned())]);
        assert!(first.get_field(2).unwrap().is_map());
        for path in [vec![0], vec![1], vec![0, 0], vec![0, 1]] {
            assert_eq!(indexes(&message(&file, &path).unwrap()), path);
        }
        assert!(message(&file, &[2]).is_err() && message(&file, &[0, 5]).is_err() && message(&file, &[]).is_err());
        let error = parse(TEXT, []).unwrap_err();
        assert!(error.message().starts_with("Could not parse Protobuf schema"), "{error}");
    }

    #[test]
    fn descriptors_in_base64_are_understood() {
        let text =
            r#"syntax = "proto3"; package a; import "google/type/date.proto"; message B { google.type.Date day = 1; }"#;
        let encoded = STANDARD.encode(parse(text, []).unwrap().encode_to_vec());
        assert_eq!(message(&parse(&encoded, []).unwrap(), &[0]).unwrap().full_name(), "a.B");
        let text = r#"syntax = "proto3"; package a; import "confluent/meta.proto";
            message B { int32 small = 1 [(confluent.field_meta) = { params: [{ key: "connect.type", value: "int8" }] }]; }"#;
        let encoded = STANDARD.encode(parse(text, []).unwrap().encode_to_vec());
        let small = message(&parse(&encoded, []).unwrap(), &[0]).unwrap().get_field(1).unwrap();
        assert_eq!(params(&small), [("connect.type".to_owned(), "int8".to_owned())], "options stay");
        assert!(parse("message", []).is_err());
    }

    #[test]
    fn everything_that_is_known_to_all_can_be_parsed() {
        for name in ["date", "timeofday", "color", "datetime", "interval", "phone_number", "money", "month", "expr"] {
            let text = format!("syntax = \"proto3\"; import \"google/type/{name}.proto\"; message A {{ }}");
            parse(&text, []).unwrap();
        }
        assert_eq!(parse(known::WRAPPERS, []).unwrap().messages().len(), 9);
    }
}
