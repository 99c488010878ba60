//! Expressions that make a document anew and leave some of its fields as they are stored.
//!
//! A replacement takes the whole document. Where a value was not read, an update with a pipeline says the same as the
//! replacement, and for that value reads the stored one: `[{$replaceWith: {a: {$literal: 1}, big: "$big"}}]`. A field
//! that is not stored is then left out, so the same statement may insert. Fields keep their order.
//!
//! Names that mean something in expressions (a dot, a dollar sign first) cannot stand there: then the document is made of
//! pairs of name and value, and stored fields are read with `$getField`, which MongoDB 5.0 brought.

use connect_api::Error;

use super::debezium::Types;
use super::unavailable::Unavailable;
use super::view::{DocRef, NodeRef};
use super::write::{At, Open, Writer, check_name};

/// Writes expressions for documents in which values are unavailable.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    pub unavailable: &'a Unavailable,
    pub types: Option<&'a Types>,
}

/// The path to a stored value.
type Path<'a> = Vec<&'a str>;

impl Kept<'_> {
    /// Writes the expression of a field's value at the top of the document.
    pub fn write(&self, w: &mut Writer, at: At, name: &str, node: NodeRef<'_>) -> Result<(), Error> {
        self.value(w, at, &mut Vec::new(), name, node)
    }

    fn value<'a>(
        &self,
        w: &mut Writer,
        at: At,
        path: &mut Path<'a>,
        name: &'a str,
        node: NodeRef<'a>,
    ) -> Result<(), Error> {
        path.push(name);
        if self.unavailable.is(node) {
            write_stored(w, at, path);
        } else if let Some(document) = node.as_doc().filter(|document| self.unavailable.within(*document)) {
            let mut fields = Fields::begin(w, at, has_odd_names(document));
            document.each(|name, node| fields.field(w, name, |w, at| self.value(w, at, path, name, node)))?;
            fields.end(w);
        } else {
            literal(w, at, |w, at| node.write_as(w, at, name, self.types))?;
        }
        path.pop();
        Ok(())
    }
}

/// Writes a value that is taken as it is, also where it looks like an expression.
pub fn literal(w: &mut Writer, at: At, value: impl FnOnce(&mut Writer, At) -> Result<(), Error>) -> Result<(), Error> {
    let open = w.begin(at);
    let at = w.literal("$literal");
    value(w, at)?;
    w.close(open);
    Ok(())
}

/// True for names that may stand in expressions and in paths.
pub fn expressible(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('$') && !name.contains('.')
}

/// Writes what reads a stored value; it yields nothing when there is none.
fn write_stored(w: &mut Writer, at: At, path: &[&str]) {
    if path.iter().all(|name| expressible(name)) {
        return w.put_str(at, &format!("${}", path.join(".")));
    }
    let Some((name, parents)) = path.split_last() else { return w.put_str(at, "$$ROOT") };
    let open = w.begin(at);
    let at = w.literal("$getField");
    let arguments = w.begin(at);
    let at = w.literal("field");
    put_name(w, at, name);
    let at = w.literal("input");
    match parents {
        [] => w.put_str(at, "$$ROOT"),
        parents => write_stored(w, at, parents),
    }
    w.close(arguments);
    w.close(open);
}

fn put_name(w: &mut Writer, at: At, name: &str) {
    let open = w.begin(at);
    let at = w.literal("$literal");
    w.put_str(at, name);
    w.close(open);
}

/// Writes what is true of a pair that has both its parts. `$type` would say it more plainly, but the compatible server of
/// the tests takes a field that is not there for null.
fn put_is_pair(w: &mut Writer, at: At) {
    let condition = w.begin(at);
    let at = w.literal("$eq");
    let sides = w.begin_array(at);
    let at = w.index(0);
    let size = w.begin(at);
    let at = w.literal("$size");
    let parts = w.begin(at);
    let at = w.literal("$objectToArray");
    w.put_str(at, "$$this");
    w.close(parts);
    w.close(size);
    let at = w.index(1);
    w.put_i32(at, 2);
    w.close(sides);
    w.close(condition);
}

/// A document that is being put together.
#[must_use]
#[derive(Debug)]
pub enum Fields {
    /// `{name: expression, ..}`.
    Named(Open),
    /// Pairs of name and value, without those whose value is not there.
    Pairs { open: Open, made: Open, filter: Open, pairs: Open, count: usize },
}

impl Fields {
    /// Begins the expression of a document; `odd` when it has names that are not [`expressible`].
    pub fn begin(w: &mut Writer, at: At, odd: bool) -> Self {
        let open = w.begin(at);
        if !odd {
            return Self::Named(open);
        }
        let at = w.literal("$arrayToObject");
        let made = w.begin(at);
        let at = w.literal("$filter");
        let filter = w.begin(at);
        let at = w.literal("input");
        let pairs = w.begin_array(at);
        Self::Pairs { open, made, filter, pairs, count: 0 }
    }

    /// Adds a field; the function writes its expression.
    pub fn field(
        &mut self,
        w: &mut Writer,
        name: &str,
        expression: impl FnOnce(&mut Writer, At) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Named(_) => {
                let at = w.name(name)?;
                expression(w, at)
            }
            Self::Pairs { count, .. } => {
                check_name(name)?;
                let at = w.index(*count);
                *count += 1;
                let pair = w.begin(at);
                let at = w.literal("k");
                put_name(w, at, name);
                let at = w.literal("v");
                expression(w, at)?;
                w.close(pair);
                Ok(())
            }
        }
    }

    /// Ends the expression.
    pub fn end(self, w: &mut Writer) {
        match self {
            Self::Named(open) => w.close(open),
            Self::Pairs { open, made, filter, pairs, .. } => {
                w.close(pairs);
                let at = w.literal("cond");
                put_is_pair(w, at);
                w.close(filter);
                w.close(made);
                w.close(open);
            }
        }
    }
}

/// Writes `u` as a pipeline that replaces the document by what the function writes.
pub fn write_pipeline(
    w: &mut Writer,
    odd: bool,
    fields: impl FnOnce(&mut Fields, &mut Writer) -> Result<(), Error>,
) -> Result<(), Error> {
    let at = w.literal("u");
    let stages = w.begin_array(at);
    let at = w.index(0);
    let stage = w.begin(at);
    let at = w.literal("$replaceWith");
    let mut document = Fields::begin(w, at, odd);
    fields(&mut document, w)?;
    document.end(w);
    w.close(stage);
    w.close(stages);
    Ok(())
}

/// True when a document has names at its top that are not [`expressible`].
pub fn has_odd_names(document: DocRef<'_>) -> bool {
    document.any(|name, _| !expressible(name))
}
