//! What the tables hold, for operators: how much of each programme and kind in each region, and how old it is.
//!
//! Not here: what of it has expired (`plan.rs`).

use std::collections::BTreeMap;

use shoal_schemas::{Kind, Programme, Region};

use crate::run::Retention;

/// What one table holds of one programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The region.
    pub region: Region,
    /// The programme.
    pub programme: Programme,
    /// The kind.
    pub kind: Kind,
    /// Files.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The first day that has rows, since 1970.
    pub oldest_day: i32,
    /// The last one.
    pub newest_day: i32,
    /// Days kept after an event's own.
    pub retention_days: u32,
}

impl Retention {
    /// What the tables that can be read hold, in the order of region, kind and programme.
    pub async fn holdings(&self) -> Vec<Holding> {
        let mut found: BTreeMap<(Region, Kind, Programme), Holding> = BTreeMap::new();
        let registry = self.definitions.current();
        for table in self.readable(&registry).await {
            let (region, kind) = (table.region, table.kind);
            for file in &table.files {
                let programme = file.programme;
                let holding = found.entry((region, kind, programme)).or_insert_with(|| Holding {
                    region,
                    programme,
                    kind,
                    files: 0,
                    rows: 0,
                    bytes: 0,
                    oldest_day: file.day,
                    newest_day: file.day,
                    retention_days: registry.retention_days(programme, kind),
                });
                holding.files += 1;
                holding.rows += file.rows;
                holding.bytes += file.bytes;
                holding.oldest_day = holding.oldest_day.min(file.day);
                holding.newest_day = holding.newest_day.max(file.day);
            }
        }
        found.into_values().collect()
    }

    /// When the last run without failures of this process was, in milliseconds since 1970; none when there was none.
    pub fn last_run_ms(&self) -> Option<i64> {
        Some(self.metrics.last_success_seconds.get().saturating_mul(1000)).filter(|at| *at > 0)
    }

    /// The same of the last compaction.
    pub fn last_compaction_ms(&self) -> Option<i64> {
        Some(self.metrics.last_compaction_seconds.get().saturating_mul(1000)).filter(|at| *at > 0)
    }
}
