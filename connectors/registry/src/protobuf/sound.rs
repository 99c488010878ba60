//! What is checked of a schema before the parser sees it.
//!
//! The parser bounds messages within messages, but not the values of options, and it reads and drops these by functions that call
//! themselves: a text of a few thousand braces would be more than a stack holds. And it panics at some descriptors that no compiler
//! makes.

use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    UninterpretedOption,
};

/// Brackets within brackets at most, and parts of a name.
const DEPTH_MAX: usize = 100;

/// Says what nests too deep in the text of a file; nothing when it can be parsed.
pub(crate) fn check(source: &str) -> Result<(), String> {
    let mut rest = source;
    let (mut depth, mut parts) = (0usize, 0usize);
    while let Some(c) = rest.chars().next() {
        let length = match c {
            // The values of options have comments of their own.
            '#' => line(rest),
            '/' if rest.starts_with("//") => line(rest),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' | '\'' => text(rest, c),
            _ => c.len_utf8(),
        };
        match c {
            '{' | '[' | '<' => depth += 1,
            '}' | ']' | '>' => depth = depth.saturating_sub(1),
            '.' => parts += 1,
            _ => {}
        }
        // A name goes on behind spaces and what is in parentheses.
        if !(c.is_alphanumeric() || c.is_whitespace() || matches!(c, '_' | '.' | '(' | ')' | '/' | '#')) {
            parts = 0;
        }
        if depth > DEPTH_MAX || parts > DEPTH_MAX {
            return Err(format!("it nests deeper than {DEPTH_MAX} levels"));
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// The length of the rest of a line.
fn line(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// The length of a text in quotes. It ends with its line: what goes further is no text.
fn text(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Says what no compiler makes in a descriptor; nothing when it may be used. The parser takes for granted that one made it.
pub(crate) fn check_descriptor(file: &FileDescriptorProto) -> Result<(), &'static str> {
    if !matches!(file.syntax.as_deref(), None | Some("proto2" | "proto3")) {
        return Err("the descriptor has another syntax than proto2 and proto3");
    }
    resolved(file.options.as_ref().map(|options| &options.uninterpreted_option))?;
    file.message_type.iter().try_for_each(of_message)?;
    file.enum_type.iter().try_for_each(of_enum)?;
    file.extension.iter().try_for_each(of_field)?;
    for service in &file.service {
        resolved(service.options.as_ref().map(|options| &options.uninterpreted_option))?;
        for method in &service.method {
            resolved(method.options.as_ref().map(|options| &options.uninterpreted_option))?;
        }
    }
    Ok(())
}

fn of_message(message: &DescriptorProto) -> Result<(), &'static str> {
    if message.options.as_ref().is_some_and(|options| options.map_entry()) && !is_entry(message) {
        return Err("the descriptor has an entry of a map without a key and a value");
    }
    resolved(message.options.as_ref().map(|options| &options.uninterpreted_option))?;
    message.field.iter().chain(&message.extension).try_for_each(of_field)?;
    message.enum_type.iter().try_for_each(of_enum)?;
    for oneof in &message.oneof_decl {
        resolved(oneof.options.as_ref().map(|options| &options.uninterpreted_option))?;
    }
    for range in &message.extension_range {
        resolved(range.options.as_ref().map(|options| &options.uninterpreted_option))?;
    }
    message.nested_type.iter().try_for_each(of_message)
}

/// A key and a value, each at most once.
fn is_entry(message: &DescriptorProto) -> bool {
    let [key, value] = message.field.as_slice() else { return false };
    let single = |field: &FieldDescriptorProto| field.label() != Label::Repeated && field.oneof_index.is_none();
    let names = key.name() == "key" && value.name() == "value" && key.number() == 1 && value.number() == 2;
    let no_key = [Type::Double, Type::Float, Type::Bytes, Type::Message, Type::Group, Type::Enum];
    names && single(key) && single(value) && key.type_name.is_none() && !no_key.contains(&key.r#type())
}

fn of_field(field: &FieldDescriptorProto) -> Result<(), &'static str> {
    resolved(field.options.as_ref().map(|options| &options.uninterpreted_option))
}

fn of_enum(of: &EnumDescriptorProto) -> Result<(), &'static str> {
    resolved(of.options.as_ref().map(|options| &options.uninterpreted_option))?;
    let of_value = |value: &EnumValueDescriptorProto| {
        resolved(value.options.as_ref().map(|options| &options.uninterpreted_option))
    };
    of.value.iter().try_for_each(of_value)
}

/// Options as they were written may nest as deep as those of texts.
fn resolved(options: Option<&Vec<UninterpretedOption>>) -> Result<(), &'static str> {
    if options.is_none_or(Vec::is_empty) {
        return Ok(());
    }
    Err("the descriptor has options that no compiler has resolved")
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::parse;
    use super::*;
    use crate::unroll::on_small_stack;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use protox::prost_reflect::prost::Message as _;
    use protox::prost_reflect::prost_types::FileOptions;
    use protox::prost_reflect::prost_types::uninterpreted_option::NamePart;

    /// A file with an option whose message holds itself.
    fn with(option: &str) -> String {
        format!(
            r#"syntax = "proto2"; import "google/protobuf/descriptor.proto";
            message M {{ optional M m = 1; repeated M l = 2; optional int32 v = 3; }}
            extend google.protobuf.FileOptions {{ optional M x = 50000; }}
            option {option};"#
        )
    }

    #[test]
    fn options_nest_as_deep_as_a_stack_holds() {
        on_small_stack(|| {
            let of = |levels: usize| {
                [
                    format!("(x) = {{ {} {} }}", "m: {".repeat(levels), "}".repeat(levels)),
                    format!("(x) = {{ {} {} }}", "m <".repeat(levels), ">".repeat(levels)),
                    format!("(x){}.v = 1", ".m".repeat(levels)),
                    format!("(x) = {{ # /* \"\n {} {} }}", "m: {".repeat(levels), "}".repeat(levels)),
                ]
            };
            for option in of(90) {
                parse(&with(&option), []).unwrap();
            }
            for option in of(100_000) {
                let error = parse(&with(&option), []).unwrap_err();
                assert!(error.message().contains("it nests deeper than 100 levels"), "{error}");
            }
            let messages = format!("syntax = \"proto3\"; {}{}", "message A {".repeat(100_000), "}".repeat(100_000));
            assert!(parse(&messages, []).is_err());
        });
    }

    #[test]
    fn brackets_in_texts_and_comments_are_none() {
        let open = "{".repeat(200);
        let source = format!(
            "syntax = \"proto2\"; // {open}\n/* {open} */ message A {{ optional string s = 1 [default = \"{open}\\\"{open}\"]; }}"
        );
        parse(&source, []).unwrap();
    }

    fn refused(file: &FileDescriptorProto) -> String {
        parse(&STANDARD.encode(file.encode_to_vec()), []).unwrap_err().message().to_owned()
    }

    #[test]
    fn descriptors_that_no_compiler_makes_are_refused() {
        let syntax = FileDescriptorProto { syntax: Some("protos".to_owned()), ..FileDescriptorProto::default() };
        assert!(refused(&syntax).contains("another syntax than proto2 and proto3"));
        let mut file = parse("syntax = \"proto3\"; message A { map<string, A> m = 1; }", [])
            .map(|file| file.file_descriptor_proto().clone())
            .unwrap();
        assert!(parse(&STANDARD.encode(file.encode_to_vec()), []).is_ok());
        file.message_type[0].nested_type[0].field.truncate(1);
        assert!(refused(&file).contains("an entry of a map without a key and a value"));
    }

    #[test]
    fn descriptors_with_options_as_they_were_written_are_refused() {
        let name = |part: &str| NamePart { name_part: part.to_owned(), is_extension: false };
        let option = UninterpretedOption {
            name: std::iter::repeat_n(name("m"), 100_000).collect(),
            aggregate_value: Some("m: {".repeat(100_000)),
            ..UninterpretedOption::default()
        };
        let options = FileOptions { uninterpreted_option: vec![option], ..FileOptions::default() };
        let file = FileDescriptorProto { options: Some(options), ..FileDescriptorProto::default() };
        assert!(refused(&file).contains("options that no compiler has resolved"));
    }
}
