//! How tables are read: each as a whole, or a large one in parts that several sessions read at a time.
//!
//! Parts are ranges of blocks (`ctid`), which the server finds without an index from Postgres 14 on, and which are the same
//! rows to every session of one exported snapshot only, as long as the table is not rewritten (`VACUUM FULL`, `CLUSTER`). A
//! snapshot that can be gone on with reads ranges of the primary key instead, in its order: those mean the same in another
//! snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use connect_api::Error;

use crate::catalog::{Listed, TableMeta, TableName};
use crate::error::PgError;
use crate::settings::Settings;
use crate::snapshot::state::{Key, KeyColumn, Part, Range, State, TableState};
use crate::table::Table;
use crate::types::Types;
use crate::wire::{Wire, identifier, literal};

/// So many parts for each session: one that is done early takes another.
const PARTS_PER_THREAD: u64 = 4;
/// A part has so many bytes of the table at least; a smaller one is not worth its statement.
const PART_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// So many blocks are looked at for the keys where parts begin.
const SAMPLE_BLOCKS: u64 = 100;
/// Ranges of blocks are read as such from this version on.
const BLOCK_RANGES_SINCE: u32 = 140_000;

/// Reads by the index of the key, whose order the rows have to have: a sort would hold the first row back until the last one
/// was read.
const BY_INDEX: &str = "SAVEPOINT tidegate_part; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
                        SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; ";
const AS_BEFORE: &str = "; ROLLBACK TO SAVEPOINT tidegate_part; RELEASE SAVEPOINT tidegate_part";

/// A table to read.
pub(super) struct Job {
    /// Its place in the list of tables.
    pub index: usize,
    pub name: TableName,
    pub table: Arc<Table>,
    /// A statement for each part.
    pub statements: Vec<String>,
    /// The table and its file when it was cut into ranges of blocks: in another file rows are in other places, and a part would
    /// miss some.
    pub file: Option<(u32, u64)>,
    /// The rows are remembered by their keys.
    keyed: bool,
}

impl Job {
    /// What of a row is to be kept until it is handed over.
    pub(super) fn kept(&self, row: &Bytes) -> Option<Bytes> {
        self.keyed.then(|| row.clone())
    }
}

/// What is read, and how.
pub(super) struct Wanted<'a> {
    pub settings: &'a Settings,
    /// Statements that give the rows of a table instead of all of them.
    pub statements: &'a [(String, String)],
    pub metas: &'a [TableMeta],
    pub types: &'a Types,
    /// Every session sees the same rows in the same places.
    pub shared: bool,
}

/// What the server says of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shape {
    /// It has its rows in itself, and in blocks.
    plain: bool,
    blocks: u64,
    bytes: u64,
    /// Its file: another one once it is rewritten.
    file: u64,
    /// The columns of the primary key, where rows can be read in its order.
    key: Vec<KeyColumn>,
}

impl Shape {
    /// Into how many parts it is worth to be cut.
    fn parts(&self, threads: usize) -> u64 {
        if threads < 2 || !self.plain {
            return 1;
        }
        (self.bytes / PART_BYTES_MIN).min(self.blocks).min(threads as u64 * PARTS_PER_THREAD).max(1)
    }
}

/// Plans the tables. With a state, those that are done are left out, and of those that are under way what is left is read; the
/// state then has the tables of the list, with their parts.
pub(super) async fn jobs(
    sql: &mut Wire,
    wanted: &Wanted<'_>,
    tables: &[Listed],
    mut state: Option<&mut State>,
) -> Result<Vec<Job>, Error> {
    let failed = |e: PgError| e.failed_to("look for the sizes and keys of the tables");
    let threads = wanted.settings.snapshot_threads;
    let shapes =
        if threads > 1 || state.is_some() { shapes(sql, tables).await.map_err(failed)? } else { HashMap::new() };
    let shape = |table: &Listed| shapes.get(&table.oid).cloned().unwrap_or_default();
    if let Some(state) = state.as_deref_mut() {
        let current = tables.iter().map(|table| {
            let overridden = wanted.statement(&table.name).is_some();
            let key = if overridden { Vec::new() } else { shape(table).key };
            TableState::new(&table.name.to_string(), table.oid, key)
        });
        align(state, current.collect());
    }
    let mut jobs = Vec::new();
    for (index, listed) in tables.iter().enumerate() {
        let Some(meta) = wanted.metas.iter().find(|meta| meta.oid == listed.oid) else { continue };
        let shape = shape(listed);
        let known = state.as_deref_mut().and_then(|state| state.tables.get_mut(index));
        if known.as_ref().is_some_and(|known| known.is_done()) {
            continue;
        }
        jobs.push(wanted.job(sql, index, meta, &shape, known).await.map_err(failed)?);
    }
    Ok(jobs)
}

/// Gives the state the tables of now, with what was read of those that are the same.
fn align(state: &mut State, current: Vec<TableState>) {
    let mut before: HashMap<u32, TableState> = state.tables.drain(..).map(|table| (table.oid, table)).collect();
    state.tables = current
        .into_iter()
        .map(|table| match before.remove(&table.oid) {
            Some(known) if known.is_same(&table) => known,
            Some(known) => {
                tracing::warn!(table = %table.name, before = %known.name, "the table or its key is another one: it is read anew");
                table
            }
            None => table,
        })
        .collect();
    for gone in before.into_values() {
        tracing::warn!(table = %gone.name, "the table is not there, or not captured, any more: what was read of it is forgotten");
    }
}

impl Wanted<'_> {
    fn statement(&self, name: &TableName) -> Option<&str> {
        let name = name.to_string();
        self.statements.iter().find(|(table, _)| table.eq_ignore_ascii_case(&name)).map(|(_, statement)| &**statement)
    }

    async fn job(
        &self,
        sql: &mut Wire,
        index: usize,
        meta: &TableMeta,
        shape: &Shape,
        known: Option<&mut TableState>,
    ) -> Result<Job, PgError> {
        let table = Arc::new(Table::from_catalog(meta, self.types, self.settings));
        let mut columns: Vec<String> = table.snapshot_columns().map(identifier).collect();
        let own = format!("{}.{}", identifier(&meta.name.schema), identifier(&meta.name.table));
        let (statements, keyed) = match known {
            Some(known) if !known.key.is_empty() => {
                known.cells = key_cells(&known.key, &mut columns);
                let select = format!("SELECT {} FROM {own}", columns.join(", "));
                (self.by_key(sql, &own, &select, shape, known).await?, true)
            }
            known => {
                let statement = self.statement(&meta.name);
                let from = statement.map_or(own, |statement| format!("({statement}) AS overridden"));
                let select = format!("SELECT {} FROM {from}", columns.join(", "));
                let statements = self.by_blocks(sql, &select, shape, statement.is_some());
                if let Some(known) = known {
                    known.parts = statements.iter().map(|_| Part::default()).collect();
                }
                (statements, false)
            }
        };
        let file = (!keyed && statements.len() > 1).then_some((meta.oid, shape.file));
        Ok(Job { index, name: meta.name.clone(), table, statements, file, keyed })
    }

    /// The statements of a table that is remembered by its key: for what is left of it, or for all of it.
    async fn by_key(
        &self,
        sql: &mut Wire,
        table: &str,
        select: &str,
        shape: &Shape,
        known: &mut TableState,
    ) -> Result<Vec<String>, PgError> {
        if !known.parts.is_empty() && !understood(sql, known).await? {
            tracing::warn!(table = %known.name, "the stored keys mean nothing any more: the table is read anew");
            (known.parts, known.rows) = (Vec::new(), 0);
        }
        if known.parts.is_empty() {
            let parts = shape.parts(self.settings.snapshot_threads);
            let bounds = bounds(sql, table, &known.key, shape, parts).await?;
            known.parts = between(bounds).into_iter().map(Part::new).collect();
        }
        Ok(known.parts.iter().map(|part| by_key(select, &known.key, &part.range)).collect())
    }

    /// The statements of a table that is not remembered by its key.
    fn by_blocks(&self, sql: &Wire, select: &str, shape: &Shape, overridden: bool) -> Vec<String> {
        let cut = self.shared && !overridden && sql.server_version >= BLOCK_RANGES_SINCE;
        let parts = if cut { shape.parts(self.settings.snapshot_threads) } else { 1 };
        block_conditions(shape.blocks, parts)
            .into_iter()
            .map(|condition| format!("COPY ({select}{condition}) TO STDOUT"))
            .collect()
    }
}

/// Ranges of blocks. Those behind the last one that there was go with the last part.
fn block_conditions(blocks: u64, parts: u64) -> Vec<String> {
    let place = |part: u64| blocks * part / parts;
    (0..parts)
        .map(|part| {
            let from = (part > 0).then(|| format!("ctid >= '({},0)'", place(part)));
            let to = (part + 1 < parts).then(|| format!("ctid < '({},0)'", place(part + 1)));
            let conditions: Vec<String> = from.into_iter().chain(to).collect();
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
        })
        .collect()
}

/// Where the columns of the key are in a row; those that are not read anyway are read behind the others.
fn key_cells(key: &[KeyColumn], columns: &mut Vec<String>) -> Vec<usize> {
    key.iter()
        .map(|column| {
            let name = identifier(&column.name);
            columns.iter().position(|column| *column == name).unwrap_or_else(|| {
                columns.push(name);
                columns.len() - 1
            })
        })
        .collect()
}

fn between(bounds: Vec<Key>) -> Vec<Range> {
    let mut after = None;
    let mut ranges = Vec::new();
    for bound in bounds {
        let range = Range { after: after.replace(bound.clone()), until: Some(bound) };
        ranges.push(range);
    }
    ranges.push(Range { after, until: None });
    ranges
}

fn names(key: &[KeyColumn]) -> String {
    key.iter().map(|column| identifier(&column.name)).collect::<Vec<_>>().join(", ")
}

/// The texts as values of the columns' types.
fn values(key: &[KeyColumn], texts: &Key) -> String {
    let value = |(column, text): (&KeyColumn, &String)| format!("{}::{}", literal(text), column.type_name);
    key.iter().zip(texts).map(value).collect::<Vec<_>>().join(", ")
}

/// The server compares, by the rules of the columns and their collations.
fn by_key(select: &str, key: &[KeyColumn], range: &Range) -> String {
    let compared = |operator: &str, texts: &Key| match key {
        [_] => format!("{} {operator} {}", names(key), values(key, texts)),
        _ => format!("ROW({}) {operator} ROW({})", names(key), values(key, texts)),
    };
    let after = range.after.as_ref().map(|texts| compared(">", texts));
    let until = range.until.as_ref().map(|texts| compared("<=", texts));
    let conditions: Vec<String> = after.into_iter().chain(until).collect();
    let mut query = select.to_owned();
    if !conditions.is_empty() {
        query.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    format!("{BY_INDEX}COPY ({query} ORDER BY {}) TO STDOUT{AS_BEFORE}", names(key))
}

/// Keys that cut a table into parts of about the same size, in order.
async fn bounds(
    sql: &mut Wire,
    table: &str,
    key: &[KeyColumn],
    shape: &Shape,
    parts: u64,
) -> Result<Vec<Key>, PgError> {
    if parts < 2 {
        return Ok(Vec::new());
    }
    // Until the end of the transaction the sample's lock would keep DDL waiting, and the readers would wait behind that.
    let sample = sample(table, key, shape.blocks, parts);
    let rows = sql.query(&format!("SAVEPOINT tidegate_part; {sample}{AS_BEFORE}")).await?;
    let mut bounds: Vec<Key> = rows.into_iter().filter_map(|row| row.into_iter().collect()).collect();
    bounds.dedup();
    Ok(bounds)
}

fn sample(table: &str, key: &[KeyColumn], blocks: u64, parts: u64) -> String {
    let percent = (SAMPLE_BLOCKS as f64 * 100.0 / blocks.max(1) as f64).min(100.0);
    let names = names(key);
    format!(
        "SELECT {names} FROM (SELECT {names}, row_number() OVER (ORDER BY {names}) AS \"tidegate row\", \
         count(*) OVER () AS \"tidegate rows\" FROM {table} TABLESAMPLE SYSTEM ({percent:.9})) AS sampled \
         WHERE \"tidegate row\" < \"tidegate rows\" AND \
         \"tidegate row\" * {parts} / \"tidegate rows\" > (\"tidegate row\" - 1) * {parts} / \"tidegate rows\" \
         ORDER BY \"tidegate row\""
    )
}

/// False when the server does not take the stored keys for values of the columns: a label of an enum may be gone.
async fn understood(sql: &mut Wire, table: &TableState) -> Result<bool, PgError> {
    let Some(query) = stored_keys(table) else { return Ok(true) };
    let understood = match sql.query(&query).await {
        Ok(_) => true,
        Err(PgError::Db(error)) if error.severity == "ERROR" => {
            tracing::debug!(table = %table.name, %error, "the stored keys");
            false
        }
        Err(error) => return Err(error),
    };
    sql.query(AS_BEFORE.trim_start_matches(';')).await?;
    Ok(understood)
}

/// Asks for all stored keys of a table; `None` when it has none. Each has a statement: a list of columns has its limit.
fn stored_keys(table: &TableState) -> Option<String> {
    let bounds = table.parts.iter().flat_map(|part| part.range.after.iter().chain(&part.range.until));
    let values: Vec<String> = bounds.map(|bound| values(&table.key, bound)).collect();
    (!values.is_empty()).then(|| format!("SAVEPOINT tidegate_part; SELECT {}", values.join("; SELECT ")))
}

/// Sizes, files and keys. A table that somebody has locked has no size until it is free: it is not waited for.
async fn shapes(sql: &mut Wire, tables: &[Listed]) -> Result<HashMap<u32, Shape>, PgError> {
    let mut shapes = HashMap::new();
    if tables.is_empty() {
        return Ok(shapes);
    }
    let ids = tables.iter().map(|table| table.oid.to_string()).collect::<Vec<_>>().join(",");
    // Before Postgres 12 every table is a heap, and its catalogue does not say so.
    let heap = if sql.server_version >= 120_000 { "coalesce(m.amname = 'heap', false)" } else { "true" };
    let free = "NOT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.relation = c.oid \
                AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
                AND l.mode = 'AccessExclusiveLock')";
    let rows = sql
        .query(&format!(
            "SELECT c.oid, c.relkind = 'r' AND NOT c.relhassubclass AND {heap}, \
             CASE WHEN {free} THEN pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint END, \
             CASE WHEN {free} THEN pg_catalog.pg_table_size(c.oid) END, pg_catalog.pg_relation_filenode(c.oid) \
             FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam WHERE c.oid IN ({ids})"
        ))
        .await?;
    let text = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten().unwrap_or_default();
    for row in &rows {
        let number = |at: usize| text(row, at).parse().unwrap_or(0);
        let plain = text(row, 1) == "t";
        let shape = Shape { plain, blocks: number(2), bytes: number(3), file: number(4), key: Vec::new() };
        shapes.insert(text(row, 0).parse().unwrap_or(0), shape);
    }
    // Rows of children are read with those of their parent, whose key says nothing of them; partitions have their parent's. The
    // operators of a type like citext are in a schema that need not be searched: `>` would be another type's, in another order.
    let rows = sql
        .query(&format!(
            "SELECT i.indrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) \
             FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
             JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam \
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indrelid IN ({ids}) AND i.indisprimary AND i.indisvalid AND m.amname = 'btree' \
             AND (c.relkind = 'p' OR NOT c.relhassubclass) AND k.place <= i.indnkeyatts \
             AND NOT EXISTS (SELECT 1 FROM pg_catalog.unnest(i.indclass::oid[]) AS o(id) \
             JOIN pg_catalog.pg_opclass p ON p.oid = o.id JOIN pg_catalog.pg_namespace n ON n.oid = p.opcnamespace \
             WHERE n.nspname <> 'pg_catalog') \
             ORDER BY i.indrelid, k.place"
        ))
        .await?;
    for row in &rows {
        if let Some(shape) = shapes.get_mut(&text(row, 0).parse().unwrap_or(0)) {
            shape.key.push(KeyColumn { name: text(row, 1), type_name: text(row, 2) });
        }
    }
    Ok(shapes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> KeyColumn {
        KeyColumn { name: name.to_owned(), type_name: type_name.to_owned() }
    }

    fn key(texts: &[&str]) -> Key {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn statement(key: &[KeyColumn], range: &Range) -> String {
        let whole = by_key("SELECT * FROM t", key, range);
        let query = whole.strip_prefix(BY_INDEX).and_then(|rest| rest.strip_suffix(AS_BEFORE));
        query.expect("settings around it").to_owned()
    }

    #[test]
    fn a_part_lies_between_its_keys_which_are_quoted_and_typed() {
        let one = [column("i\"d", "character varying(5)")];
        let range =
            |after: Option<&[&str]>, until: Option<&[&str]>| Range { after: after.map(key), until: until.map(key) };
        assert_eq!(statement(&one, &range(None, None)), "COPY (SELECT * FROM t ORDER BY \"i\"\"d\") TO STDOUT");
        assert_eq!(
            statement(&one, &range(Some(&["it's"]), Some(&["a\\b"]))),
            "COPY (SELECT * FROM t WHERE \"i\"\"d\" > 'it''s'::character varying(5) AND \"i\"\"d\" <= \
             E'a\\\\b'::character varying(5) ORDER BY \"i\"\"d\") TO STDOUT"
        );
        let two = [column("a", "bigint"), column("b", "uuid")];
        assert_eq!(
            statement(&two, &range(Some(&["1", "x"]), None)),
            "COPY (SELECT * FROM t WHERE ROW(\"a\", \"b\") > ROW('1'::bigint, 'x'::uuid) ORDER BY \"a\", \"b\") TO STDOUT"
        );
    }

    #[test]
    fn each_stored_key_is_asked_for_by_a_statement_of_its_own() {
        let mut table = TableState::new("s.t", 1, vec![column("a", "bigint"), column("b", "uuid")]);
        assert_eq!(stored_keys(&table), None);
        table.parts = vec![Part::default()];
        assert_eq!(stored_keys(&table), None);
        table.parts = between(vec![key(&["1", "x"])]).into_iter().map(Part::new).collect();
        assert_eq!(
            stored_keys(&table).as_deref(),
            Some("SAVEPOINT tidegate_part; SELECT '1'::bigint, 'x'::uuid; SELECT '1'::bigint, 'x'::uuid")
        );
    }

    #[test]
    fn parts_follow_each_other_without_a_gap() {
        let ranges = between(vec![key(&["1"]), key(&["5"])]);
        let bounds: Vec<_> = ranges.iter().map(|range| (range.after.clone(), range.until.clone())).collect();
        let at = |text| Some(key(&[text]));
        assert_eq!(bounds, [(None, at("1")), (at("1"), at("5")), (at("5"), None)]);
        assert_eq!(between(Vec::new()), [Range::default()]);
        assert_eq!(block_conditions(10, 1), [""]);
        assert_eq!(
            block_conditions(10, 3),
            [" WHERE ctid < '(3,0)'", " WHERE ctid >= '(3,0)' AND ctid < '(6,0)'", " WHERE ctid >= '(6,0)'"]
        );
    }

    #[test]
    fn only_large_plain_tables_are_cut() {
        let shape = |plain, blocks, megabytes: u64| Shape { plain, blocks, bytes: megabytes << 20, ..Shape::default() };
        let parts = |shape: &Shape| [1, 2, 4].map(|threads| shape.parts(threads));
        assert_eq!(parts(&shape(true, 100_000, 800)), [1, 8, 16]);
        assert_eq!(parts(&shape(true, 1500, 12)), [1, 3, 3]);
        assert_eq!(parts(&shape(true, 900, 7)), [1, 1, 1]);
        assert_eq!(parts(&shape(true, 2, 800)), [1, 2, 2], "its large values are elsewhere");
        assert_eq!(parts(&shape(false, 100_000, 800)), [1, 1, 1]);
        assert_eq!(parts(&Shape::default()), [1, 1, 1]);
    }

    #[test]
    fn the_key_is_read_behind_the_columns_where_it_is_not_one_of_them() {
        let mut columns = vec!["\"a\"".to_owned(), "\"b\"".to_owned()];
        assert_eq!(key_cells(&[column("b", "text"), column("id", "uuid")], &mut columns), [1, 2]);
        assert_eq!(columns, ["\"a\"", "\"b\"", "\"id\""]);
    }

    #[test]
    fn tables_that_are_others_now_are_read_anew() {
        let table = |name: &str, oid, key: &[KeyColumn]| TableState::new(name, oid, key.to_vec());
        let rows = |rows, mut table: TableState| {
            (table.rows, table.parts) = (rows, vec![Part::default()]);
            table
        };
        let id = [column("id", "bigint")];
        let mut state = State {
            tables: vec![
                rows(1, table("s.same", 1, &id)),
                rows(2, table("s.key", 2, &id)),
                rows(3, table("s.dropped", 3, &id)),
                rows(4, table("s.renamed", 4, &id)),
                rows(5, table("s.gone", 5, &id)),
            ],
            ..State::default()
        };
        let now = [
            table("s.dropped", 30, &id),
            table("s.key", 2, &[column("id", "integer")]),
            table("s.new", 6, &id),
            table("s.other", 4, &id),
            table("s.same", 1, &id),
        ];
        align(&mut state, now.to_vec());
        assert_eq!(state.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [0, 0, 0, 0, 1]);
        let names: Vec<_> = state.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["s.dropped", "s.key", "s.new", "s.other", "s.same"]);
    }
}
