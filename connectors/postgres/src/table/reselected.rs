//! What reselection has to know of a table's columns, which only the table knows.

use bytes::Bytes;
use connect_api::{Error, Value};

use super::Table;
use crate::columns::Mapping;
use crate::decode::Text;

/// A column of the table's records.
pub(crate) struct Shown<'a> {
    pub(crate) name: &'a str,
    /// Its place in the rows of the stream.
    pub(crate) place: usize,
    /// Its place in before and after.
    pub(crate) slot: usize,
    /// Null reads as null: where the schema has a default, the reference sees that in its place.
    pub(crate) null_is_null: bool,
}

impl Table {
    /// The columns of the table's records, in the order of the stream's rows. Masked ones are left out: nothing is seen of their values.
    pub(crate) fn shown_columns(&self) -> impl Iterator<Item = Shown<'_>> {
        let masked =
            |slot: usize| self.mappings.iter().any(|(at, mapping)| *at == slot && matches!(mapping, Mapping::Fixed(_)));
        self.columns.iter().enumerate().filter_map(move |(place, column)| {
            let slot = column.slot.filter(|&slot| slot < self.width && !masked(slot))?;
            let schema = &self.value_schema.fields().get(slot)?.schema;
            let null_is_null = schema.optional && schema.default.is_none();
            Some(Shown { name: &column.name, place, slot, null_is_null })
        })
    }

    /// The names of the columns that make the records' keys.
    pub(crate) fn key_names(&self) -> impl Iterator<Item = &str> {
        let name =
            |slot: &usize| self.columns.iter().find(|column| column.slot == Some(*slot)).map(|column| &*column.name);
        self.key_slots.iter().filter_map(name)
    }

    /// Where a column stands in the rows of the stream.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column.name == *name)
    }

    /// The value of the column at a place, as records show it.
    pub(crate) fn shown(&self, place: usize, text: Option<&Bytes>) -> Result<Value, Error> {
        let Some(column) = self.columns.get(place) else { return Ok(Value::Null) };
        let value = match text {
            None => column.null.clone(),
            Some(text) => self.value(column, &Text::whole(text))?,
        };
        let mapping = self.mappings.iter().find(|(slot, _)| Some(*slot) == column.slot);
        Ok(match mapping {
            Some((_, mapping)) => mapping.apply(value),
            None => value,
        })
    }
}
