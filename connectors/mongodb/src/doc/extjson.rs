//! A reader of Extended JSON, canonical, relaxed and in the shell's style (`org.bson.json.JsonReader`).
//!
//! As lenient as the JVM's: text after the document is ignored, a comma before a closing bracket is allowed, names
//! need no quotes. Symbols become texts and undefined becomes null, as the connector stores them.

use bson::{Bson, Document};
use connect_api::Error;

use super::extjson_lex::{Lexer, Token, parse_error};
use super::extjson_types::{call, special};

/// How deep documents may nest.
const MAX_DEPTH: usize = 200;

/// Reads a document (`BsonDocument.parse`).
pub fn parse_document(text: &str) -> Result<Document, Error> {
    let mut lexer = Lexer::new(text);
    let kind = match lexer.next()? {
        Token::BeginObject => {
            return match read_object(&mut lexer, 0)? {
                Bson::Document(document) => Ok(document),
                other => Err(not_a_document(super::render::bson_type(&other))),
            };
        }
        Token::BeginArray => "ARRAY",
        Token::Text(_) => "STRING",
        Token::Int32(_) => "INT32",
        Token::Int64(_) => "INT64",
        Token::Double(_) => "DOUBLE",
        Token::Regex(..) => "REGULAR_EXPRESSION",
        Token::End => "END_OF_DOCUMENT",
        token => {
            lexer.push(token);
            super::render::bson_type(&read_value(&mut lexer, 0)?)
        }
    };
    Err(not_a_document(kind))
}

fn not_a_document(kind: &str) -> Error {
    Error::data(format!(
        "readStartDocument can only be called when CurrentBSONType is DOCUMENT, not when CurrentBSONType is {kind}."
    ))
    .class("org.bson.BsonInvalidOperationException")
}

/// Reads an array of documents (the renamers' settings); a backslash that escapes nothing is taken literally when
/// the text does not parse otherwise.
pub fn parse_documents(text: &str) -> Result<Vec<Document>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let read = |text: &str| -> Result<Vec<Document>, Error> {
        let mut document = parse_document(&format!("{{s: {text}}}"))?;
        match document.remove("s") {
            Some(Bson::Array(elements)) => elements
                .into_iter()
                .map(|element| match element {
                    Bson::Document(document) => Ok(document),
                    other => Err(parse_error(format!("List element is not a document: {other}"))),
                })
                .collect(),
            _ => Err(parse_error("Not a valid JSON array")),
        }
    };
    read(text).or_else(|first| read(&text.replace('\\', "\\\\")).map_err(|_| first))
}

fn read_object(lexer: &mut Lexer<'_>, depth: usize) -> Result<Bson, Error> {
    if depth > MAX_DEPTH {
        return Err(parse_error(format!("the document nests more than {MAX_DEPTH} levels deep")));
    }
    let mut document = Document::new();
    loop {
        let name = match lexer.next()? {
            Token::EndObject => break,
            Token::Text(name) | Token::Word(name) => name,
            token => {
                return Err(parse_error(format!("JSON reader was expecting a name but found '{}'.", token.shown())));
            }
        };
        match lexer.next()? {
            Token::Colon => {}
            token => return Err(parse_error(format!("JSON reader was expecting ':' but found '{}'.", token.shown()))),
        }
        let value = read_value(lexer, depth + 1)?;
        document.insert(name, value);
        match lexer.next()? {
            Token::Comma => {}
            Token::EndObject => break,
            token => {
                return Err(parse_error(format!(
                    "JSON reader was expecting ',' or '}}' but found '{}'.",
                    token.shown()
                )));
            }
        }
    }
    special(document)
}

fn read_array(lexer: &mut Lexer<'_>, depth: usize) -> Result<Bson, Error> {
    let mut elements = Vec::new();
    loop {
        match lexer.next()? {
            Token::EndArray => break,
            token => lexer.push(token),
        }
        elements.push(read_value(lexer, depth + 1)?);
        match lexer.next()? {
            Token::Comma => {}
            Token::EndArray => break,
            token => {
                return Err(parse_error(format!(
                    "JSON reader was expecting ',' or ']' but found '{}'.",
                    token.shown()
                )));
            }
        }
    }
    Ok(Bson::Array(elements))
}

fn read_value(lexer: &mut Lexer<'_>, depth: usize) -> Result<Bson, Error> {
    if depth > MAX_DEPTH {
        return Err(parse_error(format!("the document nests more than {MAX_DEPTH} levels deep")));
    }
    Ok(match lexer.next()? {
        Token::BeginObject => read_object(lexer, depth)?,
        Token::BeginArray => read_array(lexer, depth)?,
        Token::Text(text) => Bson::String(text),
        Token::Int32(n) => Bson::Int32(n),
        Token::Int64(n) => Bson::Int64(n),
        Token::Double(n) => Bson::Double(n),
        Token::Regex(pattern, options) => super::extjson_types::regex(&pattern, &options)?,
        Token::Word(word) => read_word(lexer, &word)?,
        token => return Err(parse_error(format!("JSON reader was expecting a value but found '{}'.", token.shown()))),
    })
}

fn read_word(lexer: &mut Lexer<'_>, word: &str) -> Result<Bson, Error> {
    Ok(match word {
        "true" => Bson::Boolean(true),
        "false" => Bson::Boolean(false),
        "null" | "undefined" => Bson::Null,
        "NaN" => Bson::Double(f64::NAN),
        "Infinity" => Bson::Double(f64::INFINITY),
        "MinKey" | "MaxKey" => {
            arguments(lexer)?;
            if word == "MinKey" { Bson::MinKey } else { Bson::MaxKey }
        }
        "new" => match lexer.next()? {
            Token::Word(name) => read_call(lexer, &name)?,
            token => {
                return Err(parse_error(format!("JSON reader expected a type name but found '{}'.", token.shown())));
            }
        },
        name => read_call(lexer, name)?,
    })
}

fn read_call(lexer: &mut Lexer<'_>, name: &str) -> Result<Bson, Error> {
    if !super::extjson_types::CONSTRUCTORS.contains(&name) {
        return Err(parse_error(format!("JSON reader was expecting a value but found '{name}'.")));
    }
    let arguments = arguments(lexer)?;
    call(name, &arguments)
}

/// The arguments of a call; none without parentheses.
fn arguments(lexer: &mut Lexer<'_>) -> Result<Vec<Token>, Error> {
    match lexer.next()? {
        Token::LeftParen => {}
        token => {
            lexer.push(token);
            return Ok(Vec::new());
        }
    }
    let mut arguments = Vec::new();
    loop {
        match lexer.next()? {
            Token::RightParen => return Ok(arguments),
            Token::Comma => {}
            Token::End => return Err(parse_error("JSON reader was expecting ')' but found '<eof>'.")),
            token => arguments.push(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{bson, doc};

    fn parse(text: &str) -> Document {
        parse_document(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn reads_plain_and_shell_style() {
        assert_eq!(
            parse(r#"{"_id": 1, "l": 2147483648, "d": 1.5, "b": true, "n": null, "a": [1, {"b": 2}]}"#),
            doc! {"_id": 1, "l": 2_147_483_648_i64, "d": 1.5, "b": true, "n": null, "a": [1, {"b": 2}]}
        );
        let shell = parse(
            "{_id: 3, a: 'single', d: ISODate(\"2020-01-01T00:00:00Z\"), n: NumberLong(7), i: NumberInt(8), x: new Date(5)}",
        );
        assert_eq!(shell.get("d"), Some(&Bson::DateTime(bson::DateTime::from_millis(1_577_836_800_000))));
        assert_eq!(shell.get("n"), Some(&Bson::Int64(7)));
        assert_eq!(shell.get("i"), Some(&Bson::Int32(8)));
        assert_eq!(shell.get("x"), Some(&Bson::DateTime(bson::DateTime::from_millis(5))));
    }

    #[test]
    fn reads_extended_types() {
        let read = parse(
            r#"{"o": {"$oid": "5f0f1e2d3c4b5a6978877665"}, "l": {"$numberLong": "5"}, "nan": {"$numberDouble": "NaN"},
                "dec": {"$numberDecimal": "1.20"}, "dt": {"$date": "2020-01-02T03:04:05.678Z"},
                "dt2": {"$date": {"$numberLong": "1577934245678"}}, "bin": {"$binary": {"base64": "AQID", "subType": "80"}},
                "ts": {"$timestamp": {"t": 5, "i": 6}}, "mk": {"$minKey": 1}, "sym": {"$symbol": "s"},
                "undef": {"$undefined": true}, "code": {"$code": "f()"}, "set": {"$set": {"a": 1}}}"#,
        );
        assert_eq!(read.get("dt"), Some(&Bson::DateTime(bson::DateTime::from_millis(1_577_934_245_678))));
        assert_eq!(read.get("dt"), read.get("dt2"));
        assert_eq!(read.get("sym"), Some(&bson!("s")));
        assert_eq!(read.get("undef"), Some(&Bson::Null));
        assert_eq!(read.get("set"), Some(&bson!({"$set": {"a": 1}})));
        assert_eq!(read.get("dec").map(ToString::to_string).as_deref(), Some("1.20"));
        assert!(read.get("nan").and_then(Bson::as_f64).is_some_and(f64::is_nan));
    }

    #[test]
    fn is_lenient_where_the_jvm_is() {
        assert_eq!(parse("{a: 1,} trailing"), doc! {"a": 1});
        assert_eq!(parse("{a: [1,]}"), doc! {"a": [1]});
        assert_eq!(parse(r#"{"a": 1, "b": 2, "a": 3}"#), doc! {"a": 3, "b": 2});
        assert_eq!(parse(r#"{"a": "\u017e \ud83d\ude00"}"#), doc! {"a": "ž 😀"});
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, message) in [
            ("not json", "JSON reader was expecting a value but found 'not'."),
            (
                "[1,2]",
                "readStartDocument can only be called when CurrentBSONType is DOCUMENT, not when CurrentBSONType is ARRAY.",
            ),
            (
                "",
                "readStartDocument can only be called when CurrentBSONType is DOCUMENT, not when CurrentBSONType is END_OF_DOCUMENT.",
            ),
            ("{bad", "JSON reader was expecting ':' but found '<eof>'."),
        ] {
            assert_eq!(parse_document(text).unwrap_err().message(), message);
        }
    }

    #[test]
    fn takes_loose_backslashes_in_settings() {
        assert_eq!(parse_documents(r#"[{"regexp":"^value\.a.*$"}]"#).unwrap(), [doc! {"regexp": "^value\\.a.*$"}]);
        assert!(parse_documents("x").is_err());
    }
}
