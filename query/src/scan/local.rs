//! The scan of tables that this process has: the files of a store, without the rows of whoever was erased.

use std::sync::Arc;

use async_trait::async_trait;
use shoal_anonymity::noise::Entropy;
use shoal_schemas::{InForce, Kind, Region};
use shoal_storage::{Block, Snapshot, Store, Subjects};

use super::due::Due;
use super::interface::{Scan, Taker};
use super::run::{Runner, Tables};
use super::source::Table;
use crate::failure::Failure;

/// Reads a store of this process. Every scan sees the tables as they are when it begins; definitions are for opening them, and what a
/// question was bound by has no column that those which came after it lack.
pub(crate) struct LocalScan {
    store: Store,
    definitions: InForce,
    runner: Runner,
}

impl LocalScan {
    pub(crate) fn new(store: Store, definitions: impl Into<InForce>, runner: Runner) -> LocalScan {
        LocalScan { store, definitions: definitions.into(), runner }
    }

    /// A table as it is now, but for the rows of these subjects.
    async fn snapshot(
        &self,
        region: Region,
        kind: Kind,
        suppressed: &Arc<Subjects>,
    ) -> Result<Snapshot, Failure> {
        let table = self.store.table(region, self.definitions.current().table(kind)).await?;
        Ok(table.snapshot().await?.without(Arc::clone(suppressed)))
    }

    async fn table(
        &self,
        region: Region,
        kind: Kind,
        suppressed: &Arc<Subjects>,
    ) -> Result<Arc<dyn Table>, Failure> {
        Ok(Arc::new(self.snapshot(region, kind, suppressed).await?))
    }
}

#[async_trait]
impl Scan for LocalScan {
    async fn totals(
        &self,
        due: Due,
        entropy: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure> {
        let query = &due.charged.query;
        // Whoever is erased waits until this has ended, or is seen here.
        let (_reads, suppressed) = self.store.suppressed().read(due.region);
        let events = self.table(due.region, query.table(), &suppressed).await?;
        let mut members = Vec::with_capacity(query.members().len());
        for member in query.members() {
            members.push(self.table(due.region, member.table, &suppressed).await?);
        }
        self.runner.run(due, Tables { events, members }, entropy, take).await
    }

    async fn rows(&self, block: Block, most_of_one: Option<u64>) -> Result<u64, Failure> {
        let (_reads, suppressed) = self.store.suppressed().read(block.region);
        let snapshot = self.snapshot(block.region, block.kind, &suppressed).await?;
        let most = match most_of_one {
            None if !snapshot.leaves_some_out() => {
                return Ok(snapshot
                    .files()
                    .iter()
                    .filter(|file| file.day == block.day)
                    .map(|f| f.rows)
                    .sum());
            }
            // The log counts the rows of everybody.
            None => u64::MAX,
            Some(most) => most,
        };
        let counting = tokio::task::spawn_blocking(move || snapshot.bounded_rows(block.day, most));
        Ok(counting.await.map_err(|error| Failure::of_task(&error))??)
    }
}
