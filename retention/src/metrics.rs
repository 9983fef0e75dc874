//! The metrics of this crate. Labels: region and kind only.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;
use shoal_schemas::{Kind, Region};

/// One table.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct TableLabel {
    region: &'static str,
    kind: &'static str,
}

impl TableLabel {
    pub(crate) fn new(region: Region, kind: Kind) -> TableLabel {
        TableLabel { region: region.as_str(), kind: kind.as_str() }
    }
}

/// Counters of all runs of this process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) runs: Counter,
    pub(crate) failures: Family<TableLabel, Counter>,
    pub(crate) expired_rows: Family<TableLabel, Counter>,
    pub(crate) purged_files: Family<TableLabel, Counter>,
    pub(crate) purged_bytes: Family<TableLabel, Counter>,
    pub(crate) compacted_files: Family<TableLabel, Counter>,
    pub(crate) compacted_rows: Family<TableLabel, Counter>,
    pub(crate) duplicate_rows: Family<TableLabel, Counter>,
    pub(crate) last_success_seconds: Gauge,
    pub(crate) last_compaction_seconds: Gauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Metrics {
        let m = Metrics::default();
        registry.register("retention_runs", "Retention runs started", m.runs.clone());
        registry.register(
            "retention_failures",
            "Tables that a run or a compaction could not finish",
            m.failures.clone(),
        );
        registry.register("retention_expired_rows", "Rows that left their table", m.expired_rows.clone());
        registry.register("retention_purged_files", "Files deleted from the disk", m.purged_files.clone());
        registry.register("retention_purged_bytes", "Bytes deleted from the disk", m.purged_bytes.clone());
        registry.register("retention_compacted_files", "Files merged into fewer", m.compacted_files.clone());
        registry.register("retention_compacted_rows", "Rows rewritten by merges", m.compacted_rows.clone());
        registry.register(
            "retention_duplicate_rows",
            "Copies of an event that a merge dropped",
            m.duplicate_rows.clone(),
        );
        registry.register(
            "retention_last_success_seconds",
            "When the last run without failures ran, seconds since 1970",
            m.last_success_seconds.clone(),
        );
        registry.register(
            "retention_last_compaction_seconds",
            "When the last compaction without failures ran, seconds since 1970",
            m.last_compaction_seconds.clone(),
        );
        m.begin();
        m
    }

    /// A counter that comes to be with its first failure has grown by nothing in the eyes of an alert, so what runs of
    /// retention count is there from the start.
    fn begin(&self) {
        for region in Region::ALL {
            for kind in Kind::ALL {
                let label = TableLabel::new(*region, *kind);
                for family in [&self.failures, &self.expired_rows, &self.purged_files, &self.purged_bytes] {
                    family.get_or_create(&label).inc_by(0);
                }
            }
        }
    }
}
