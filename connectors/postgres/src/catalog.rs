//! What the catalogue says about tables and types.
//!
//! Everything is read over one SQL session with the simple protocol; object ids and names are quoted here.

use std::collections::HashSet;

use crate::error::PgError;
use crate::types::{TypeInfo, Types};
use crate::wire::{Row, Wire};

/// A table by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A table in the list of all tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub oid: u32,
    pub name: TableName,
    /// Rows as the planner estimates them; `None` for a table that was never counted.
    pub rows: Option<u64>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnMeta {
    pub name: String,
    pub type_oid: u32,
    pub typmod: i32,
    /// `NOT NULL`.
    pub required: bool,
    /// The expression of its default.
    pub default: Option<String>,
    /// Computed by the server: replication does not carry it.
    pub generated: bool,
}

/// A table with its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMeta {
    pub oid: u32,
    pub name: TableName,
    pub columns: Vec<ColumnMeta>,
    /// Columns of the primary key in its order, or of the first unique index when there is none.
    pub key: Vec<String>,
}

/// Object ids of the server's own types end here.
const FIRST_USER_OID: u32 = 16_384;

fn text(row: &Row, at: usize) -> &str {
    row.get(at).and_then(Option::as_deref).unwrap_or_default()
}

fn number<T: std::str::FromStr + Default>(row: &Row, at: usize) -> T {
    text(row, at).parse().unwrap_or_default()
}

fn id_list(oids: impl IntoIterator<Item = u32>) -> String {
    oids.into_iter().map(|oid| oid.to_string()).collect::<Vec<_>>().join(",")
}

/// All permanent tables, in order of their names.
pub async fn tables(sql: &mut Wire) -> Result<Vec<Listed>, PgError> {
    // A table that was never counted has -1 rows; before Postgres 14 it had none, as an empty one has.
    let counted = if sql.server_version >= 140_000 { "c.reltuples >= 0" } else { "c.reltuples > 0" };
    let rows = sql
        .query(&format!(
            "SELECT c.oid, n.nspname, c.relname, CASE WHEN {counted} THEN c.reltuples::bigint ELSE -1 END \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'"
        ))
        .await?;
    let mut tables: Vec<Listed> = rows
        .iter()
        .map(|row| Listed {
            oid: number(row, 0),
            name: TableName { schema: text(row, 1).to_owned(), table: text(row, 2).to_owned() },
            rows: u64::try_from(number::<i64>(row, 3)).ok(),
        })
        .collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

/// Columns and keys of tables; a table that is gone is left out.
pub async fn describe(sql: &mut Wire, oids: &[u32]) -> Result<Vec<TableMeta>, PgError> {
    if oids.is_empty() {
        return Ok(Vec::new());
    }
    let generated = if sql.server_version >= 120_000 { "a.attgenerated" } else { "''" };
    let ids = id_list(oids.iter().copied());
    let rows = sql
        .query(&format!(
            "SELECT c.oid, n.nspname, c.relname, a.attname, a.atttypid, a.atttypmod, a.attnotnull, \
             pg_catalog.pg_get_expr(d.adbin, d.adrelid), {generated} \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
             LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE c.oid IN ({ids}) ORDER BY c.oid, a.attnum"
        ))
        .await?;
    let mut tables: Vec<TableMeta> = Vec::new();
    for row in &rows {
        let oid = number(row, 0);
        if tables.last().is_none_or(|table| table.oid != oid) {
            let name = TableName { schema: text(row, 1).to_owned(), table: text(row, 2).to_owned() };
            tables.push(TableMeta { oid, name, columns: Vec::new(), key: Vec::new() });
        }
        let table = tables.last_mut().expect("a table was pushed just now");
        if let Some(Some(name)) = row.get(3) {
            table.columns.push(ColumnMeta {
                name: name.clone(),
                type_oid: number(row, 4),
                typmod: text(row, 5).parse().unwrap_or(-1),
                required: text(row, 6) == "t",
                default: row.get(7).cloned().flatten(),
                generated: !text(row, 8).is_empty(),
            });
        }
    }
    keys(sql, &ids, &mut tables).await?;
    Ok(tables)
}

/// Fills in the key: the primary key, or the first unique index over plain columns.
async fn keys(sql: &mut Wire, ids: &str, tables: &mut [TableMeta]) -> Result<(), PgError> {
    let rows = sql
        .query(&format!(
            "SELECT i.indrelid, i.indexrelid, a.attname \
             FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indrelid IN ({ids}) AND i.indisunique AND i.indisvalid AND i.indexprs IS NULL \
             AND k.place <= i.indnkeyatts \
             ORDER BY i.indrelid, i.indisprimary DESC, x.relname, i.indexrelid, k.place"
        ))
        .await?;
    for table in tables {
        let mut own = rows.iter().filter(|row| number::<u32>(row, 0) == table.oid).peekable();
        let Some(index) = own.peek().map(|row| text(row, 1).to_owned()) else { continue };
        table.key = own.take_while(|row| text(row, 1) == index).map(|row| text(row, 2).to_owned()).collect();
    }
    Ok(())
}

/// The types with these ids that are not the server's own, and those they are made of.
pub async fn types(sql: &mut Wire, wanted: impl IntoIterator<Item = u32>) -> Result<Types, PgError> {
    let mut types = Types::new();
    let mut asked = HashSet::new();
    // Arrays of the server's own types are needed too: their elements are known by the catalogue only.
    let mut open: HashSet<u32> = wanted.into_iter().collect();
    while !open.is_empty() {
        asked.extend(open.iter().copied());
        let rows = sql
            .query(&format!(
                "SELECT t.oid, t.typname, t.typtype, CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0 END, \
                 t.typbasetype, t.typtypmod, \
                 CASE WHEN n.nspname = ANY(pg_catalog.current_schemas(true)) THEN NULL ELSE n.nspname END \
                 FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN ({})",
                id_list(open.drain())
            ))
            .await?;
        for row in &rows {
            let info = type_info(row);
            open.extend(info.element);
            open.extend(info.base.map(|(oid, _)| oid));
            types.insert(info.oid, info);
        }
        open.retain(|oid| !asked.contains(oid));
    }
    let enums: Vec<u32> = types.values().filter(|info| info.kind == b'e').map(|info| info.oid).collect();
    if !enums.is_empty() {
        labels(sql, &enums, &mut types).await?;
    }
    Ok(types)
}

fn type_info(row: &Row) -> TypeInfo {
    let element: u32 = number(row, 3);
    let base: u32 = number(row, 4);
    TypeInfo {
        oid: number(row, 0),
        name: text(row, 1).to_owned(),
        hidden_in: row.get(6).cloned().flatten(),
        kind: text(row, 2).bytes().next().unwrap_or(b'b'),
        element: Some(element).filter(|&oid| oid != 0),
        base: Some((base, text(row, 5).parse().unwrap_or(-1))).filter(|_| base != 0),
        labels: Vec::new(),
    }
}

async fn labels(sql: &mut Wire, enums: &[u32], types: &mut Types) -> Result<(), PgError> {
    let rows = sql
        .query(&format!(
            "SELECT enumtypid, enumlabel FROM pg_catalog.pg_enum WHERE enumtypid IN ({}) \
             ORDER BY enumtypid, enumsortorder",
            id_list(enums.iter().copied())
        ))
        .await?;
    for row in &rows {
        if let Some(info) = types.get_mut(&number(row, 0)) {
            info.labels.push(text(row, 1).to_owned());
        }
    }
    Ok(())
}

/// True for an id that only this database knows: what it means may change.
pub fn is_user_type(oid: u32) -> bool {
    oid >= FIRST_USER_OID
}
