//! Tables as the stream describes them.

use std::sync::Arc;
use std::time::Instant;

use crate::catalog;
use crate::error::{PgError, within};
use crate::pgoutput::Relation;
use crate::session::End;
use crate::stream::Stream;
use crate::table::Table;

impl Stream<'_> {
    /// A table is described. What was kept of a transaction in progress has the description's number as its place.
    pub(super) async fn relation(&mut self, place: u64, relation: Relation) -> Result<(), End> {
        let settings = Arc::clone(&self.session.settings);
        if !settings.filters.table(&relation.schema, &relation.table) {
            self.describe(place, relation.oid, None);
            return Ok(());
        }
        let read = async {
            let sql = self.sql.session(&settings.server).await?;
            let described = async {
                let metas = catalog::describe(sql, &[relation.oid]).await?;
                let types = catalog::types(sql, relation.columns.iter().map(|column| column.type_oid)).await?;
                Ok((metas, types))
            };
            let late = |limit| PgError::silent(&settings.server.address(), limit);
            let described = within(settings.silence, described, late).await;
            described.map_err(|e| e.failed_to(&format!("read the columns of {}.{}", relation.schema, relation.table)))
        };
        let (metas, types) = match read.await {
            Ok(read) => read,
            Err(error) => {
                // The session may be what failed: the next attempt opens another one.
                self.sql.lose();
                return Err(error.into());
            }
        };
        let mut table = Table::from_relation(&relation, metas.first(), &types, &settings);
        table.counts = self.session.metrics.table(&table.name.to_string());
        self.session.signals.described(relation.oid, &table.name);
        tracing::debug!(table = %table.name, columns = relation.columns.len(), "table described by the stream");
        self.describe(place, relation.oid, Some(Arc::new(table)));
        // Nothing was read meanwhile.
        self.heard = Instant::now();
        Ok(())
    }

    fn describe(&mut self, place: u64, oid: u32, table: Option<Arc<Table>>) {
        if self.delivers() {
            self.tables.insert_kept(oid, place, table);
        } else {
            let number = self.tables.number();
            self.tables.insert(oid, number, table);
        }
    }
}
