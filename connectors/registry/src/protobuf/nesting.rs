//! How deep a schema's text nests. The parser bounds messages within messages, but not the values of options, and it reads and
//! drops these by functions that call themselves: a text of a few thousand braces would be more than a stack holds.

use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, UninterpretedOption,
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

/// Whether a descriptor has options as they were written. Compilers leave none of them, and their texts are parsed as above.
pub(crate) fn has_raw_options(file: &FileDescriptorProto) -> bool {
    raw(file.options.as_ref().map(|options| &options.uninterpreted_option))
        || file.message_type.iter().any(of_message)
        || file.enum_type.iter().any(of_enum)
        || file.extension.iter().any(of_field)
        || file.service.iter().any(|service| {
            raw(service.options.as_ref().map(|options| &options.uninterpreted_option))
                || service
                    .method
                    .iter()
                    .any(|method| raw(method.options.as_ref().map(|options| &options.uninterpreted_option)))
        })
}

fn of_message(message: &DescriptorProto) -> bool {
    raw(message.options.as_ref().map(|options| &options.uninterpreted_option))
        || message.field.iter().chain(&message.extension).any(of_field)
        || message.enum_type.iter().any(of_enum)
        || message.oneof_decl.iter().any(|oneof| raw(oneof.options.as_ref().map(|of| &of.uninterpreted_option)))
        || message.extension_range.iter().any(|range| raw(range.options.as_ref().map(|of| &of.uninterpreted_option)))
        || message.nested_type.iter().any(of_message)
}

fn of_field(field: &FieldDescriptorProto) -> bool {
    raw(field.options.as_ref().map(|options| &options.uninterpreted_option))
}

fn of_enum(of: &EnumDescriptorProto) -> bool {
    raw(of.options.as_ref().map(|options| &options.uninterpreted_option))
        || of.value.iter().any(|value| raw(value.options.as_ref().map(|options| &options.uninterpreted_option)))
}

fn raw(options: Option<&Vec<UninterpretedOption>>) -> bool {
    options.is_some_and(|options| !options.is_empty())
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
        let error = parse(&STANDARD.encode(file.encode_to_vec()), []).unwrap_err();
        assert!(error.message().contains("options that no compiler has resolved"), "{error}");
    }
}
