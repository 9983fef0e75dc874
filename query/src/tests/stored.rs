//! Services over tables that are on a disk, with a clock that tests move, and ledgers that know the same sizes of blocks.
//!
//! Invariants: all rows of one flush are in one file for each day, as in life, so that the files of a person who is flushed
//! alone hold nothing else. Two services over [`Ledgers`] of one value have the same sealed sizes: what decides the time of an
//! answer is then the same, unless something else than the sizes decides it.
//! Not here: what is asked, and what is compared (`worlds`, `game`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use shoal_schemas::{Kind, Programme, Region};
use shoal_storage::{BudgetLedger, Part, Store};
use tempfile::TempDir;

use super::{Row, grant, now_ms, provider, registry, request, scan};
use crate::clock::{Clock, TestClock};
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::scan::{Counted, LocalScan, Scan};

/// The tables that worlds have rows of.
pub(super) const KINDS: [Kind; 3] = [Kind::Usage, Kind::Performance, Kind::Crash];

/// Rows of one flush, by table.
pub(super) type Flush = BTreeMap<Kind, Vec<Row>>;

/// Tables in a directory.
pub(super) struct Stored {
    store: Store,
    _root: TempDir,
}

impl Stored {
    /// With the rows of these flushes, one after the other.
    pub(super) async fn of(flushes: &[&Flush]) -> Stored {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&url::Url::from_directory_path(root.path()).unwrap()).await.unwrap();
        for (turn, flush) in (1..).zip(flushes) {
            for (kind, rows) in *flush {
                let table = store.table(Region::De, registry().table(*kind)).await.unwrap();
                table.append(parts(*kind, rows), "test", turn).await.unwrap();
            }
        }
        Stored { store, _root: root }
    }

    /// The same, in which a subject is suppressed.
    pub(super) fn suppressing(self, subject: u128) -> Stored {
        self.store.suppressed().set(Region::De, [subject].into_iter().collect());
        self
    }

    /// What reads them, and what counts what is read.
    pub(super) fn scan(&self, config: &QueryConfig) -> (Arc<dyn Scan>, Counted) {
        let runner = Engine::runner(config);
        let counted = runner.counted.clone();
        (Arc::new(LocalScan::new(self.store.clone(), registry(), runner)), counted)
    }
}

/// One for each day.
fn parts(kind: Kind, rows: &[Row]) -> Vec<Part> {
    let mut days: BTreeMap<i32, Vec<Row>> = BTreeMap::new();
    for row in rows {
        days.entry(row.day).or_default().push(row.clone());
    }
    let part = |(day, rows): (i32, Vec<Row>)| {
        let batch = provider(registry().table(kind), &rows).0[0].clone();
        // The day is the directory's.
        let stored = batch.project(&(0..batch.num_columns() - 1).collect::<Vec<_>>()).unwrap();
        Part { programme: Programme::UserExperience, day, batch: stored }
    };
    days.into_iter().map(part).collect()
}

/// An engine over a scan and a ledger, by this clock.
pub(super) fn timed(
    clock: &Arc<TestClock>,
    scan: Arc<dyn Scan>,
    ledger: BudgetLedger,
    config: &QueryConfig,
) -> Engine {
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Engine::over(scan, ledger, registry(), config.clone(), metrics).with_clock(clock)
}

/// Copies of one ledger in which the sizes of some blocks are sealed.
pub(super) struct Ledgers {
    first: TempDir,
    copies: Vec<TempDir>,
}

impl Ledgers {
    /// With the sizes that the first question about each of these tables, over so many days, brings.
    pub(super) async fn sized(days: u32, config: &QueryConfig) -> Ledgers {
        let first = tempfile::tempdir().unwrap();
        // The tables are not there, so each question fails once the sizes are sealed.
        let clock = Arc::new(TestClock::new());
        let engine = timed(&clock, scan(Vec::new()), open(first.path()), config);
        clock.runs();
        for kind in KINDS {
            let sql = format!("SELECT COUNT(*) AS n FROM {kind} WHERE day > current_date - {days}");
            engine.answer(&grant(&[Region::De]), &request(&sql), now_ms()).await.unwrap_err();
        }
        Ledgers { first, copies: Vec::new() }
    }

    /// One more.
    pub(super) fn copy(&mut self) -> BudgetLedger {
        let dir = tempfile::tempdir().unwrap();
        copy_all(self.first.path(), dir.path());
        let ledger = open(dir.path());
        self.copies.push(dir);
        ledger
    }
}

fn open(dir: &Path) -> BudgetLedger {
    BudgetLedger::open(dir, &dir.join("marks")).unwrap()
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
