//! TimescaleDB's catalog: the hypertables of chunks, and the continuous aggregates of hypertables.

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::Duration;

use connect_api::{Error, Props, Result};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::Owner;
use crate::catalog::TableName;
use crate::error::PgError;
use crate::settings::Server;
use crate::wire::{Purpose, Row, Wire};

/// How long reading the catalog may take.
const READ_MAX: Duration = Duration::from_secs(30);

const CHUNKS: &str = "SELECT c.schema_name, c.table_name, ht.schema_name, ht.table_name \
                      FROM _timescaledb_catalog.chunk c \
                      JOIN _timescaledb_catalog.hypertable ht ON c.hypertable_id = ht.id";
const AGGREGATES: &str = "SELECT ht.schema_name, ht.table_name, agg.user_view_schema, agg.user_view_name \
                          FROM _timescaledb_catalog.continuous_agg agg \
                          JOIN _timescaledb_catalog.hypertable ht ON agg.mat_hypertable_id = ht.id";

/// What was read of the catalog.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    hypertables: HashMap<(String, String), TableName>,
    aggregates: HashMap<(String, String), TableName>,
}

type Names = HashMap<(String, String), TableName>;

fn names(rows: &[Row]) -> Names {
    let name = |row: &Row| match row.as_slice() {
        [Some(schema), Some(table), Some(of_schema), Some(of_table)] => {
            let of = TableName { schema: of_schema.clone(), table: of_table.clone() };
            Some(((schema.clone(), table.clone()), of))
        }
        _ => None,
    };
    rows.iter().filter_map(name).collect()
}

impl Metadata {
    /// The catalog out of the rows of the two queries.
    pub(super) fn from_rows(chunks: &[Row], aggregates: &[Row]) -> Self {
        Self { hypertables: names(chunks), aggregates: names(aggregates) }
    }

    /// What a chunk belongs to, when it is known.
    pub(super) fn owner(&self, chunk: &TableName) -> Option<Owner> {
        let hypertable = self.hypertables.get(&(chunk.schema.clone(), chunk.table.clone()))?.clone();
        let aggregate = self.aggregates.get(&(hypertable.schema.clone(), hypertable.table.clone())).cloned();
        Some(Owner { hypertable, aggregate })
    }

    /// Reads the catalog, over a connection of its own. A transform cannot wait as tasks do, so a thread does it; the
    /// runtime gives the other tasks of the waiting thread to another one meanwhile.
    pub(super) fn read(props: &Props) -> Result<Self> {
        let server = Server::parse(props)?;
        let reading = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| failed(error.into()))?.block_on(async {
                match tokio::time::timeout(READ_MAX, read_from(&server)).await {
                    Ok(read) => read.map_err(|error| failed(error.into())),
                    Err(elapsed) => Err(failed(elapsed.into())),
                }
            })
        });
        joined(reading).unwrap_or_else(|_| Err(failed("the reading thread panicked".into())))
    }
}

/// Waits for a thread. A runtime of one thread can only stand still; that is one of tests.
fn joined<T>(thread: JoinHandle<T>) -> std::thread::Result<T> {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread) {
        tokio::task::block_in_place(|| thread.join())
    } else {
        thread.join()
    }
}

fn failed(cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::data("Failed to read TimescaleDB metadata")
        .class("io.debezium.DebeziumException")
        .hint("give the transform the database.* settings of the connector, and check that the extension is installed")
        .caused_by(cause)
}

async fn read_from(server: &Server) -> Result<Metadata, PgError> {
    let mut sql = Wire::connect(server, Purpose::Sql).await?;
    let chunks = sql.query(CHUNKS).await?;
    let aggregates = sql.query(AGGREGATES).await?;
    sql.close(false).await;
    Ok(Metadata::from_rows(&chunks, &aggregates))
}
