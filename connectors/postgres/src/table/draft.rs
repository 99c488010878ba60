//! A table's columns while its plan is made: for each its place in a row, its decoder, and its fields in the value and in
//! the key.

use connect_api::{Field, SchemaRef, Value};

use super::naming::adjusted;
use super::{Column, bound};
use crate::catalog::TableName;
use crate::columns::{Declared, Mapping};
use crate::decode::Decoder;
use crate::defaults;
use crate::settings::Settings;
use crate::types::{Planner, Way};

/// The object id of `bytea`.
const BYTEA: u32 = 17;

/// A column as it comes in: from the catalogue (snapshot) or from the stream.
pub(super) struct Incoming<'a> {
    pub(super) name: &'a str,
    pub(super) type_oid: u32,
    pub(super) typmod: i32,
    pub(super) required: bool,
    pub(super) default: Option<&'a str>,
    pub(super) captured: bool,
}

/// The columns of a table while its plan is made.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) columns: Vec<Column>,
    /// Fields of the value.
    pub(super) fields: Vec<Field>,
    /// Fields of the key, by the places of their columns.
    pub(super) key_fields: Vec<Option<Field>>,
    /// How many columns are for the key alone.
    pub(super) key_only: usize,
    pub(super) mappings: Vec<(usize, Mapping)>,
}

impl Column {
    fn unwanted(name: &str) -> Self {
        let name = name.into();
        let decoder = Decoder::EmptyArray;
        Self { name, slot: None, selected: false, decoder, null: Value::Null, placeholder: Value::Null, strict: false }
    }
}

impl Draft {
    /// Plans the next column: its decoder, and its fields in the value and in the key.
    pub(super) fn add(
        &mut self,
        table: &TableName,
        column: &Incoming<'_>,
        in_key: bool,
        planner: &Planner<'_>,
        settings: &Settings,
    ) {
        let wanted = column.captured || in_key;
        let Some(plan) = wanted.then(|| planner.plan(column.type_oid, column.typmod)).flatten() else {
            self.columns.push(Column::unwanted(column.name));
            self.key_fields.push(None);
            return;
        };
        let is_enum = planner.types.get(&column.type_oid).is_some_and(|info| info.kind == b'e');
        let default = column
            .default
            .and_then(|text| defaults::parse(text, (column.type_oid, column.typmod), is_enum, &plan.decoder));
        let mut schema = plan.schema;
        schema.optional = !column.required;
        let null = match (column.required, &default) {
            (false, _) => Value::Null,
            (true, Some(default)) => default.clone(),
            (true, None) => plan.zero,
        };
        schema.default = default;
        let field_name = adjusted(column.name, settings.field_names, false);
        let plain = schema.shared();
        let key_field = in_key.then(|| Field::new(field_name.clone(), SchemaRef::clone(&plain)));
        // Places after the value's columns are given once their number is known.
        let (schema, slot) = if column.captured {
            let slot = self.fields.len();
            let schema = self.mapped(table, column, plain, planner, slot, settings);
            self.fields.push(Field::new(field_name, SchemaRef::clone(&schema)));
            (schema, slot)
        } else {
            self.key_only += 1;
            (plain, usize::MAX - (self.key_only - 1))
        };
        self.key_fields.push(key_field);
        self.columns.push(Column {
            name: column.name.into(),
            slot: Some(slot),
            selected: true,
            decoder: plan.decoder.bound_to(&schema),
            null: bound(null, &schema),
            strict: !schema.optional && schema.default.is_none(),
            placeholder: placeholder(column, bound(plan.placeholder, &schema)),
        });
    }

    /// Looks for a rule of the column, once: notes what becomes of its values, and gives the schema of its field.
    fn mapped(
        &mut self,
        table: &TableName,
        column: &Incoming<'_>,
        schema: SchemaRef,
        planner: &Planner<'_>,
        slot: usize,
        settings: &Settings,
    ) -> SchemaRef {
        if settings.columns.is_empty() {
            return schema;
        }
        let declared = match planner.way {
            Way::Snapshot => Declared::by_driver(column.type_oid, column.typmod, column.default, planner.types),
            Way::Stream => Declared::by_relation(column.type_oid, column.typmod, planner.types),
        };
        let Some(rule) = settings.columns.find(table, column.name, &declared.type_name) else { return schema };
        self.mappings.extend(rule.mapping(&declared, &schema).map(|mapping| (slot, mapping)));
        rule.annotated((*schema).clone(), column.name, &declared).shared()
    }
}

/// The reference has no text for bytes that were not sent: null, where null is allowed.
fn placeholder(column: &Incoming<'_>, own: Value) -> Value {
    if column.type_oid == BYTEA && !column.required && !matches!(own, Value::Bytes(_)) { Value::Null } else { own }
}
