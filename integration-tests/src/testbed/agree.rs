//! Do a table of Postgres and a collection of MongoDB say the same, row by row and column by column?
//!
//! Both sides are brought to one text per column. Postgres renders its side in SQL; MongoDB's side comes from the BSON
//! value, whose type has to fit the column: a number that arrived as a string is a difference.

use std::collections::BTreeMap;
use std::fmt;

use bson::{Bson, Document};
use futures_util::TryStreamExt;
use mongodb::Collection;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::failure::{Failure, OrFail};

/// How many differences are kept for the report; all are counted.
const DIFFERENCES_KEPT: usize = 20;
const MICROS_PER_MILLI: i64 = 1_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Comparison {
    pub rows: usize,
    pub columns: usize,
    pub documents: usize,
    pub differing: usize,
    pub differences: Vec<String>,
}

impl Comparison {
    /// True when nothing differs.
    pub fn agrees(&self) -> bool {
        self.differing == 0
    }

    fn differ(&mut self, difference: impl FnOnce() -> String) {
        self.differing += 1;
        if self.differences.len() < DIFFERENCES_KEPT {
            self.differences.push(difference());
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, columns, documents, differing, .. } = self;
        write!(f, "{rows} rows, {documents} documents, {columns} columns each, {differing} differences")?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        Ok(())
    }
}

/// What a column holds, and so what it becomes under Debezium's defaults (`decimal.handling.mode=precise`,
/// `time.precision.mode=adaptive`) and JSON with schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Boolean,
    Float,
    Decimal,
    Date,
    Timestamp,
    ZonedTimestamp,
    Bytes,
}

impl Kind {
    fn of(type_name: &str) -> Result<Self, Failure> {
        Ok(match type_name {
            "int2" | "int4" | "int8" => Self::Integer,
            "bool" => Self::Boolean,
            "float4" | "float8" => Self::Float,
            "numeric" => Self::Decimal,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::ZonedTimestamp,
            "bytea" => Self::Bytes,
            "text" | "varchar" | "bpchar" | "uuid" | "json" | "jsonb" | "enum" => Self::Text,
            other => return Err(Failure::new(format!("the comparison does not know the type {other}"))),
        })
    }

    /// The column as SQL text.
    fn sql(self, column: &str) -> String {
        match self {
            Self::Integer | Self::Text | Self::Decimal | Self::Boolean => format!("{column}::text"),
            Self::Float => format!("{column}::float8::text"),
            Self::Date => format!("({column} - date '1970-01-01')::text"),
            Self::Timestamp | Self::ZonedTimestamp => format!("(extract(epoch from {column}) * 1000000)::bigint::text"),
            Self::Bytes => format!("encode({column}, 'hex')"),
        }
    }

    /// The BSON value in the same form; `Err` shows a value of another type.
    fn text(self, value: &Bson) -> Result<Option<String>, String> {
        let strange = || Err(format!("{value:?}"));
        Ok(Some(match (self, value) {
            (_, Bson::Null) => return Ok(None),
            (Self::Integer | Self::Date, Bson::Int32(number)) => number.to_string(),
            (Self::Integer | Self::Timestamp, Bson::Int64(number)) => number.to_string(),
            (Self::Text, Bson::String(text)) => text.clone(),
            (Self::Boolean, Bson::Boolean(flag)) => flag.to_string(),
            (Self::Float, Bson::Double(number)) => number.to_string(),
            (Self::Decimal, Bson::Decimal128(number)) => number.to_string(),
            (Self::Date, Bson::DateTime(time)) => (time.timestamp_millis() / MILLIS_PER_DAY).to_string(),
            (Self::Timestamp, Bson::DateTime(time)) => (time.timestamp_millis() * MICROS_PER_MILLI).to_string(),
            (Self::ZonedTimestamp, Bson::String(text)) => match text.parse::<jiff::Timestamp>() {
                Ok(time) => time.as_microsecond().to_string(),
                Err(_) => return strange(),
            },
            (Self::Bytes, Bson::Binary(binary)) => binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => return strange(),
        }))
    }
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    kind: Kind,
    key: bool,
}

type Row = Vec<Option<String>>;

/// Compares `public.{table}` with a collection that the sink's Postgres handler filled: the key's columns in `_id`, the
/// others beside it.
pub async fn compare(postgres: &Client, table: &str, collection: &Collection<Document>) -> Result<Comparison, Failure> {
    let columns = columns(postgres, table).await?;
    let mut rows = rows(postgres, table, &columns).await?;
    let mut comparison = Comparison { rows: rows.len(), columns: columns.len(), ..Comparison::default() };
    let step = format!("failed to read the collection {}", collection.name());
    let mut documents = collection.find(Document::new()).await.or_fail(step.as_str())?;
    while let Some(document) = documents.try_next().await.or_fail(step.as_str())? {
        comparison.documents += 1;
        let (key, found) = match read(&document, &columns) {
            Ok(read) => read,
            Err(problem) => {
                comparison.differ(|| format!("{table}: {problem} in the document {document}"));
                continue;
            }
        };
        match rows.remove(&key) {
            None => comparison.differ(|| format!("{table} {key:?}: in MongoDB only")),
            Some(row) if row == found => {}
            Some(row) => comparison.differ(|| {
                let cells = columns.iter().zip(row.iter().zip(&found)).filter(|(_, (row, found))| row != found);
                let cells = cells.map(|(column, (row, found))| format!("{}: {row:?} became {found:?}", column.name));
                format!("{table} {key:?}: {}", cells.collect::<Vec<_>>().join(", "))
            }),
        }
    }
    for key in rows.keys() {
        comparison.differ(|| format!("{table} {key:?}: in Postgres only"));
    }
    Ok(comparison)
}

/// The columns in order, with what the primary key has of them.
async fn columns(postgres: &Client, table: &str) -> Result<Vec<Column>, Failure> {
    let query = "select a.attname::text, case when t.typtype = 'e' then 'enum' else t.typname::text end,
                        coalesce(a.attnum = any(i.indkey), false)
                   from pg_attribute a join pg_type t on t.oid = a.atttypid
                   left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
                  where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum";
    let rows =
        postgres.query(query, &[&format!("public.{table}")]).await.or_fail(format!("failed to look up {table}"))?;
    rows.iter()
        .map(|row| Ok(Column { name: row.get(0), kind: Kind::of(row.get::<_, &str>(1))?, key: row.get(2) }))
        .collect()
}

async fn rows(postgres: &Client, table: &str, columns: &[Column]) -> Result<BTreeMap<Row, Row>, Failure> {
    let selected: Vec<String> = columns.iter().map(|column| column.kind.sql(&format!("\"{}\"", column.name))).collect();
    let query = format!("select {} from public.{table}", selected.join(", "));
    let messages = postgres.simple_query(&query).await.or_fail(format!("failed to read {table}"))?;
    let mut rows = BTreeMap::new();
    for message in messages {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let values: Row = (0..columns.len()).map(|index| row.get(index).map(str::to_owned)).collect();
        rows.insert(key_of(&values, columns), values);
    }
    Ok(rows)
}

fn key_of(row: &Row, columns: &[Column]) -> Row {
    columns.iter().zip(row).filter(|(column, _)| column.key).map(|(_, value)| value.clone()).collect()
}

/// The key and the columns of a document; a field that no column has is a problem.
fn read(document: &Document, columns: &[Column]) -> Result<(Row, Row), String> {
    let id = document.get_document("_id").map_err(|error| error.to_string())?;
    let mut row = Row::with_capacity(columns.len());
    for column in columns {
        let place = if column.key { id } else { document };
        let value = place.get(&column.name).ok_or_else(|| format!("no field {}", column.name))?;
        row.push(column.kind.text(value).map_err(|strange| format!("{} is {strange}", column.name))?);
    }
    let keys = columns.iter().filter(|column| column.key).count();
    if id.len() != keys || document.len() != 1 + columns.len() - keys {
        return Err("a field that is no column".to_owned());
    }
    Ok((key_of(&row, columns), row))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    fn column(name: &str, kind: Kind, key: bool) -> Column {
        Column { name: name.to_owned(), kind, key }
    }

    #[test]
    fn a_document_becomes_the_texts_of_its_columns() {
        let columns = [
            column("id", Kind::Integer, true),
            column("price", Kind::Decimal, false),
            column("at", Kind::ZonedTimestamp, false),
            column("born", Kind::Date, false),
            column("note", Kind::Text, false),
        ];
        let price: bson::Decimal128 = "12.50".parse().unwrap();
        let mut document =
            doc! {"_id": {"id": 7_i64}, "price": price, "at": "1970-01-01T00:00:01.5Z", "born": 3, "note": Bson::Null};
        let (key, row) = read(&document, &columns).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(key, vec![text("7")]);
        assert_eq!(row, vec![text("7"), text("12.50"), text("1500000"), text("3"), None]);

        document.insert("more", 1);
        assert_eq!(read(&document, &columns).unwrap_err(), "a field that is no column");
        document.remove("more");
        document.insert("price", "12.50");
        assert_eq!(read(&document, &columns).unwrap_err(), "price is String(\"12.50\")");
        document.remove("price");
        assert_eq!(read(&document, &columns).unwrap_err(), "no field price");
    }
}
