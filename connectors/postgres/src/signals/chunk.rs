//! Reading a table chunk by chunk: by its key, from the last row of the chunk before to the highest key of the beginning.

use std::sync::Arc;

use bytes::Bytes;
use connect_api::{Error, Value};

use crate::catalog::{self, TableMeta};
use crate::copy;
use crate::error::{DbError, PgError};
use crate::settings::Settings;
use crate::signals::key::{Class, Key, Part};
use crate::signals::state::Collection;
use crate::table::{Table, key_columns};
use crate::wire::{Wire, identifier, literal};

/// A column of the key that chunks go by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyColumn {
    /// Quoted.
    name: String,
    required: bool,
    class: Class,
}

/// How a table is read.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was made for.
    wanted: Collection,
    pub oid: u32,
    pub table: Arc<Table>,
    /// Quoted.
    name: String,
    /// The columns of [`Table::snapshot_columns`] and then those of the key.
    columns: String,
    keys: Vec<KeyColumn>,
    filter: Option<String>,
    /// The key may not be unique: a chunk then ends after all rows of its last key, where the server can do that.
    ties: bool,
}

/// Why a table is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    Unknown,
    NoKey,
}

/// Rows of a chunk, and the key of the last one.
#[derive(Debug, Default)]
pub struct Chunk {
    pub rows: Vec<Vec<Value>>,
    pub last: Option<Key>,
}

impl Plan {
    /// The plan for a table of the signal.
    pub async fn make(
        sql: &mut Wire,
        settings: &Settings,
        wanted: &Collection,
    ) -> Result<Result<Self, Unreadable>, Error> {
        let captured = crate::slot::captured(sql, settings).await?;
        let Some(listed) = captured.iter().find(|table| table.name.to_string() == wanted.id) else {
            return Ok(Err(Unreadable::Unknown));
        };
        let failed = |e: PgError| e.failed_to(&format!("read the columns of {}", wanted.id));
        let metas = catalog::describe(sql, &[listed.oid]).await.map_err(failed)?;
        let Some(meta) = metas.first() else { return Ok(Err(Unreadable::Unknown)) };
        let types = catalog::types(sql, meta.columns.iter().map(|column| column.type_oid)).await.map_err(failed)?;
        let table = Arc::new(Table::from_catalog(meta, &types, settings));
        let names = match &wanted.surrogate_key {
            Some(key) => vec![key.clone()],
            None => key_columns(&meta.name, &meta.key, settings),
        };
        let Some(keys) = keys(meta, &names).filter(|keys| !keys.is_empty()) else { return Ok(Err(Unreadable::NoKey)) };
        let columns: Vec<String> =
            table.snapshot_columns().map(identifier).chain(keys.iter().map(|key| key.name.clone())).collect();
        Ok(Ok(Self {
            wanted: wanted.clone(),
            oid: meta.oid,
            table,
            name: format!("{}.{}", identifier(&meta.name.schema), identifier(&meta.name.table)),
            columns: columns.join(", "),
            keys,
            filter: wanted.filter.clone(),
            ties: names != meta.key && sql.server_version >= 130_000,
        }))
    }

    /// True when it was made for this table, filter and key.
    pub fn is_for(&self, wanted: &Collection) -> bool {
        self.wanted == *wanted
    }

    /// The highest key; `None` for a table without rows.
    pub async fn maximum(&self, sql: &mut Wire) -> Result<Option<Key>, PgError> {
        let rows = sql.query(&self.maximum_query()).await?;
        Ok(rows.into_iter().next().map(|row| self.key(row)))
    }

    fn maximum_query(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        let condition = self.filter.as_ref().map(|filter| format!(" WHERE ({filter})")).unwrap_or_default();
        format!(
            "SELECT {} FROM {}{condition} ORDER BY {} DESC LIMIT 1",
            names.join(", "),
            self.name,
            names.join(" DESC, ")
        )
    }

    fn key(&self, texts: Vec<Option<String>>) -> Key {
        self.keys.iter().zip(texts).map(|(key, text)| Part { class: key.class, text }).collect()
    }

    /// The rows after a key, and not after the highest one.
    pub async fn read(
        &self,
        sql: &mut Wire,
        after: Option<&Key>,
        maximum: &Key,
        size: usize,
    ) -> Result<Chunk, ReadError> {
        sql.start_copy(&format!("COPY ({}) TO STDOUT", self.query(after, maximum, size))).await?;
        let mut chunk = Chunk::default();
        let mut cells = Vec::new();
        let mut last = Bytes::new();
        loop {
            let frame = sql.read_frame().await?;
            match frame.tag {
                b'd' => {
                    copy::split(&frame.body, &mut cells);
                    chunk.rows.push(self.table.copied_row(&frame.body, &cells).map_err(ReadError::Data)?);
                    last = frame.body;
                }
                b'c' => break,
                b'E' => {
                    let error = PgError::Db(DbError::parse(&frame.body));
                    sql.finish_query().await?;
                    return Err(error.into());
                }
                _ => {}
            }
        }
        sql.finish_query().await?;
        if !chunk.rows.is_empty() {
            let keys = &cells[cells.len().saturating_sub(self.keys.len())..];
            chunk.last = Some(self.key(keys.iter().map(|cell| text(cell, &last)).collect()));
        }
        Ok(chunk)
    }

    fn query(&self, after: Option<&Key>, maximum: &Key, size: usize) -> String {
        let mut conditions = Vec::new();
        if let Some(after) = after {
            conditions.push(self.beyond(after));
            conditions.push(self.not_beyond(maximum));
        }
        conditions.extend(self.filter.as_ref().map(|filter| format!("({filter})")));
        let conditions =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let order: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        let limit = if self.ties { format!("FETCH FIRST {size} ROWS WITH TIES") } else { format!("LIMIT {size}") };
        format!("SELECT {} FROM {}{conditions} ORDER BY {} {limit}", self.columns, self.name, order.join(", "))
    }

    /// Rows are compared as such where nothing is null: that is what an index is used for.
    fn whole(&self, operator: &str, key: &[Part]) -> Option<String> {
        if self.keys.iter().any(|key| !key.required) {
            return None;
        }
        let values: Vec<String> = key.iter().map(|part| part.text.as_deref().map(literal)).collect::<Option<_>>()?;
        let names: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
        Some(match names.as_slice() {
            [name] => format!("{name} {operator} {}", values.join("")),
            names => format!("ROW({}) {operator} ROW({})", names.join(", "), values.join(", ")),
        })
    }

    fn beyond(&self, key: &[Part]) -> String {
        self.whole(">", key).unwrap_or_else(|| self.beyond_by_columns(key))
    }

    fn not_beyond(&self, key: &[Part]) -> String {
        self.whole("<=", key).unwrap_or_else(|| format!("NOT {}", self.beyond_by_columns(key)))
    }

    /// Column by column, nulls last.
    fn beyond_by_columns(&self, key: &[Part]) -> String {
        let columns: Vec<_> = self.keys.iter().zip(key).collect();
        let equal = |(column, part): &(&KeyColumn, &Part)| match &part.text {
            Some(text) => format!("{} = {}", column.name, literal(text)),
            None => format!("{} IS NULL", column.name),
        };
        let greater = |(column, part): &(&KeyColumn, &Part)| match &part.text {
            Some(text) if column.required => format!("{} > {}", column.name, literal(text)),
            Some(text) => format!("({0} > {1} OR {0} IS NULL)", column.name, literal(text)),
            None => "FALSE".to_owned(),
        };
        let alternatives: Vec<String> = (0..columns.len())
            .map(|at| {
                let parts: Vec<String> = columns[..at].iter().map(equal).chain([greater(&columns[at])]).collect();
                format!("({})", parts.join(" AND "))
            })
            .collect();
        // NULL is neither true nor false: what is not beyond must not be lost by that.
        format!("(({}) IS TRUE)", alternatives.join(" OR "))
    }
}

/// Why a chunk was not read.
#[derive(Debug)]
pub enum ReadError {
    Server(PgError),
    Data(Error),
}

impl From<PgError> for ReadError {
    fn from(error: PgError) -> Self {
        Self::Server(error)
    }
}

/// The columns of the key; `None` when one is not there.
fn keys(meta: &TableMeta, names: &[String]) -> Option<Vec<KeyColumn>> {
    let column = |name: &String| {
        let column = meta.columns.iter().find(|column| column.name == *name)?;
        Some(KeyColumn { name: identifier(name), required: column.required, class: Class::of(column.type_oid) })
    };
    names.iter().map(column).collect()
}

fn text(cell: &copy::Column, row: &Bytes) -> Option<String> {
    match cell {
        copy::Column::Null => None,
        copy::Column::Plain { start, end } => Some(String::from_utf8_lossy(&row[*start..*end]).into_owned()),
        copy::Column::Unescaped(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ColumnMeta, TableName};
    use crate::types::Types;

    fn plan(columns: &[(&str, bool)], filter: Option<&str>, ties: bool) -> Plan {
        let column = |(name, required): &(&str, bool)| ColumnMeta {
            name: (*name).to_owned(),
            type_oid: 23,
            typmod: -1,
            required: *required,
            default: None,
            generated: false,
        };
        let name = TableName { schema: "public".to_owned(), table: "t".to_owned() };
        let key: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let meta = TableMeta { oid: 1, name, columns: columns.iter().map(column).collect(), key: key.clone() };
        let props =
            [("topic.prefix", "p"), ("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "d")]
                .map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        let settings = Settings::parse(&props.into_iter().collect()).expect("valid settings");
        Plan {
            wanted: Collection { id: "public.t".to_owned(), filter: filter.map(str::to_owned), surrogate_key: None },
            oid: 1,
            table: Arc::new(Table::from_catalog(&meta, &Types::new(), &settings)),
            name: "\"public\".\"t\"".to_owned(),
            columns: "*".to_owned(),
            keys: keys(&meta, &key).expect("all columns are there"),
            filter: filter.map(str::to_owned),
            ties,
        }
    }

    fn key(texts: &[Option<&str>]) -> Key {
        texts.iter().map(|text| Part { class: Class::Integer, text: text.map(str::to_owned) }).collect()
    }

    #[test]
    fn a_chunk_lies_between_its_keys() {
        let plan = plan(&[("a", true), ("b", true)], Some("x OR y"), false);
        assert_eq!(
            plan.maximum_query(),
            "SELECT \"a\", \"b\" FROM \"public\".\"t\" WHERE (x OR y) ORDER BY \"a\" DESC, \"b\" DESC LIMIT 1"
        );
        let maximum = key(&[Some("9"), Some("9")]);
        assert_eq!(
            plan.query(None, &maximum, 3),
            "SELECT * FROM \"public\".\"t\" WHERE (x OR y) ORDER BY \"a\", \"b\" LIMIT 3"
        );
        assert_eq!(
            plan.query(Some(&key(&[Some("1"), Some("2")])), &maximum, 3),
            "SELECT * FROM \"public\".\"t\" WHERE ROW(\"a\", \"b\") > ROW('1', '2') AND ROW(\"a\", \"b\") <= ROW('9', '9') \
             AND (x OR y) ORDER BY \"a\", \"b\" LIMIT 3"
        );
    }

    #[test]
    fn another_filter_or_key_wants_another_plan() {
        let plan = plan(&[("a", true)], Some("x"), false);
        let wanted = |filter: Option<&str>, key: Option<&str>| Collection {
            id: "public.t".to_owned(),
            filter: filter.map(str::to_owned),
            surrogate_key: key.map(str::to_owned),
        };
        assert!(plan.is_for(&wanted(Some("x"), None)));
        assert!(!plan.is_for(&wanted(None, None)));
        assert!(!plan.is_for(&wanted(Some("x"), Some("b"))));
    }

    #[test]
    fn nulls_come_last_and_rows_of_one_key_are_not_torn_apart() {
        let plan = plan(&[("a", false), ("b", true)], None, true);
        assert_eq!(
            plan.query(Some(&key(&[Some("1"), Some("2")])), &key(&[None, Some("9")]), 3),
            "SELECT * FROM \"public\".\"t\" WHERE \
             ((((\"a\" > '1' OR \"a\" IS NULL)) OR (\"a\" = '1' AND \"b\" > '2')) IS TRUE) AND \
             NOT (((FALSE) OR (\"a\" IS NULL AND \"b\" > '9')) IS TRUE) ORDER BY \"a\", \"b\" FETCH FIRST 3 ROWS WITH TIES"
        );
    }
}
