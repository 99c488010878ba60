//! Whether records of one schema can be read with another (`SchemaCompatibility`), and with which type of a union.

use std::collections::HashSet;

use super::schema::{Field, Id, Record, Schema, Shape};

/// How many pairs of types are compared at most. Types of unions are tried one after the other, each with all that it holds.
const PAIRS_MAX: usize = 100_000;
/// How deep types may hold each other here: twice as deep as any that can be read, for comparing them recurses.
const DEPTH_MAX: usize = 400;

/// Says why records of `writer` can't be read with `reader`; nothing when they can.
pub(crate) fn can_read(reader: &Schema, writer: &Schema) -> Result<(), String> {
    let mut check = Check { reader, writer, seen: HashSet::new(), order: Vec::new(), compared: 0, depth: 0 };
    check.types(reader.root, writer.root, "")
}

struct Check<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    seen: HashSet<(Id, Id)>,
    /// The same in the order in which they were met.
    order: Vec<(Id, Id)>,
    compared: usize,
    depth: usize,
}

impl Check<'_> {
    fn types(&mut self, reader: Id, writer: Id, path: &str) -> Result<(), String> {
        if !self.seen.insert((reader, writer)) {
            return Ok(());
        }
        self.order.push((reader, writer));
        self.compared += 1;
        if self.compared > PAIRS_MAX || self.depth >= DEPTH_MAX {
            return Err("the schemas are too large to be compared".to_owned());
        }
        self.depth += 1;
        let outcome = self.pair(reader, writer, path);
        self.depth -= 1;
        outcome
    }

    fn pair(&mut self, reader: Id, writer: Id, path: &str) -> Result<(), String> {
        let (read, written) = (self.reader.shape(reader), self.writer.shape(writer));
        let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
        let differ = || Err(format!("{} can't be read as {}{at}", written.type_name(), read.type_name()));
        match (read, written) {
            (_, Shape::Union(members)) => members.iter().try_for_each(|member| self.types(reader, *member, path)),
            (Shape::Union(members), _) => {
                let fits = members.iter().any(|member| {
                    let known = self.order.len();
                    let fits = self.types(*member, writer, path).is_ok();
                    // What held only while this type was tried holds no longer.
                    if !fits {
                        for pair in self.order.drain(known..) {
                            self.seen.remove(&pair);
                        }
                    }
                    fits
                });
                if fits { Ok(()) } else { Err(format!("the union lacks the type {}{at}", written.type_name())) }
            }
            (Shape::Array(a), Shape::Array(b)) | (Shape::Map(a), Shape::Map(b)) => self.types(*a, *b, path),
            (Shape::Record(a), Shape::Record(b)) if same_name(read, written) => self.fields(a, b, path),
            (Shape::Enum(a), Shape::Enum(b)) if same_name(read, written) => {
                let missing = b.symbols.iter().find(|symbol| !a.symbols.contains(symbol));
                match missing.filter(|_| a.default.is_none()) {
                    None => Ok(()),
                    Some(symbol) => Err(format!("the enum lacks the symbol {symbol}{at}")),
                }
            }
            (Shape::Fixed(a), Shape::Fixed(b)) if same_name(read, written) && a.size == b.size => Ok(()),
            (Shape::Record(_) | Shape::Enum(_) | Shape::Fixed(_), _) => differ(),
            _ if widens(read, written) => Ok(()),
            _ => differ(),
        }
    }

    fn fields(&mut self, reader: &Record, writer: &Record, path: &str) -> Result<(), String> {
        for field in &reader.fields {
            let at = if path.is_empty() { field.name.to_string() } else { format!("{path}.{}", field.name) };
            match written_field(writer, field) {
                Some(written) => self.types(field.schema, written.schema, &at)?,
                None if field.default.is_some() => {}
                None => return Err(format!("the field {at} is not written and has no default")),
            }
        }
        Ok(())
    }
}

fn written_field<'a>(writer: &'a Record, field: &Field) -> Option<&'a Field> {
    let named = |name: &str| writer.fields.iter().find(|other| *other.name == *name);
    named(&field.name).or_else(|| field.aliases.iter().find_map(|alias| named(alias)))
}

/// The same type, or a wider one.
fn widens(reader: &Shape, writer: &Shape) -> bool {
    match (reader, writer) {
        (Shape::Long, Shape::Int)
        | (Shape::Float, Shape::Int | Shape::Long)
        | (Shape::Double, Shape::Int | Shape::Long | Shape::Float)
        | (Shape::Bytes, Shape::String)
        | (Shape::String, Shape::Bytes) => true,
        _ => reader.type_name() == writer.type_name(),
    }
}

/// Names without their namespaces, or one of the reader's other names.
fn same_name(reader: &Shape, writer: &Shape) -> bool {
    let (Some(read), Some(written)) = (reader.name(), writer.name()) else { return false };
    read.simple() == written.simple() || reader.aliases().iter().any(|alias| **alias == **written.full())
}

/// The place of the type in a union that a type is read with: itself, else one of the same name, else a record where a record
/// is, else the first that is wide enough.
pub(crate) fn member(own: &Schema, writer: Id, avro: &Schema, members: &[Id]) -> Option<usize> {
    let written = own.shape(writer);
    let find = |fits: &dyn Fn(&Shape) -> bool| members.iter().position(|member| fits(avro.shape(*member)));
    if written.name().is_some() {
        let kind = |shape: &Shape| shape.type_name() == written.type_name();
        return find(&|shape| kind(shape) && shape.name() == written.name())
            .or_else(|| find(&|shape| kind(shape) && same_name(shape, written)))
            .or_else(|| find(&|shape| matches!(shape, Shape::Record(_)) && kind(shape)));
    }
    find(&|shape| shape.type_name() == written.type_name())
        .or_else(|| find(&|shape| shape.name().is_none() && widens(shape, written)))
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;

    fn check(reader: &str, writer: &str) -> Result<(), String> {
        can_read(&parse(reader, []).unwrap(), &parse(writer, []).unwrap())
    }

    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"A","fields":[{fields}]}}"#)
    }

    #[test]
    fn wider_numbers_defaults_and_unions_can_be_read() {
        for (reader, writer) in [
            ("\"double\"", "\"int\"".to_owned()),
            (r#"["null","long"]"#, "\"int\"".to_owned()),
            (r#"["null","long"]"#, r#"["int","null"]"#.to_owned()),
            (&record(r#"{"name":"x","type":"int","default":1}"#), record("")),
            (&record(r#"{"name":"x","type":"int","aliases":["y"]}"#), record(r#"{"name":"y","type":"int"}"#)),
            (&record(r#"{"name":"s","type":["null","A"]}"#), record(r#"{"name":"s","type":["null","A"]}"#)),
            (
                r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#,
                r#"{"type":"enum","name":"n.E","symbols":["A","B"]}"#.to_owned(),
            ),
        ] {
            assert_eq!(check(reader, &writer), Ok(()), "{reader} {writer}");
        }
    }

    #[test]
    fn what_can_not_be_read_says_where() {
        for (reader, writer, why) in [
            ("\"int\"", "\"long\"".to_owned(), "long can't be read as int"),
            (&record(r#"{"name":"x","type":"int"}"#), record(""), "the field x is not written and has no default"),
            (
                &record(r#"{"name":"x","type":"string"}"#),
                record(r#"{"name":"x","type":["null","string"]}"#),
                "null can't be read as string at x",
            ),
            (r#"["null","int"]"#, "\"string\"".to_owned(), "the union lacks the type string"),
            (
                r#"{"type":"enum","name":"E","symbols":["A"]}"#,
                r#"{"type":"enum","name":"E","symbols":["A","B"]}"#.to_owned(),
                "the enum lacks the symbol B",
            ),
        ] {
            assert_eq!(check(reader, &writer), Err(why.to_owned()));
        }
    }

    #[test]
    fn schemas_without_end_are_not_compared() {
        crate::unroll::on_small_stack(|| {
            let chain = |name: &str, count: usize, of: &dyn Fn(usize) -> String| {
                let all: Vec<String> = (0..count).map(of).collect();
                record(&format!(
                    r#"{{"name":"{name}","type":[{}],"default":{{}}}},{{"name":"x","type":"b.R{}"}}"#,
                    all.join(","),
                    count - 1
                ))
            };
            let named = |space: &str, n: usize, field: &str| {
                format!(r#"{{"type":"record","name":"{space}.R{n}","fields":[{{"name":"f","type":{field}}}]}}"#)
            };
            let before = |n: usize, of: &str| if n == 0 { of.to_owned() } else { format!(r#""b.R{}""#, n - 1) };
            // Deeper than a stack is.
            let deep = |name: &str| chain(name, 2_000, &|n| named("b", n, &before(n, "\"int\"")));
            assert!(check(&deep("p"), &deep("q")).is_err());
            // Two types to try on each level, and neither fits in the end.
            let twice = chain("p", 60, &|n| {
                let field = if n == 0 { "\"int\"".to_owned() } else { format!(r#"["a.R{0}","b.R{0}"]"#, n - 1) };
                format!("{},{}", named("a", n, &field), named("b", n, &field))
            });
            let writer = chain("q", 60, &|n| named("b", n, &before(n, "\"string\"")));
            assert!(check(&twice, &writer).is_err());
        });
    }

    #[test]
    fn the_type_that_fits_best_is_chosen() {
        let reader = parse(
            r#"["null","double","long",{"type":"fixed","name":"a.F","size":1},{"type":"fixed","name":"b.F","size":1}]"#,
            [],
        )
        .unwrap();
        let Shape::Union(members) = reader.shape(reader.root) else { panic!() };
        for (writer, place) in [
            ("\"null\"", Some(0)),
            ("\"int\"", Some(1)),
            ("\"long\"", Some(2)),
            ("\"string\"", None),
            (r#"{"type":"fixed","name":"b.F","size":1}"#, Some(4)),
            (r#"{"type":"fixed","name":"c.F","size":1}"#, Some(3)),
        ] {
            let writer = parse(writer, []).unwrap();
            assert_eq!(member(&writer, writer.root, &reader, members), place);
        }
    }
}
