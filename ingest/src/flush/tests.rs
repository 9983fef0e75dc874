//! Log, event ids and flush together: whatever fails wherever, what was acknowledged is in the table once.
#![allow(clippy::unwrap_used)]

mod definitions;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use arrow::array::{AsArray, RecordBatch};
use shoal_files::{Objects, Sealing};
use shoal_schemas::{InForce, Kind, Region, Registry, columns as names};
use shoal_storage::{AppendReport, Part};

use super::{
    Branch, FlushReport, Flusher, Sink,
    sink::{Days, Span},
};
use crate::{
    config::IngestConfig,
    day_limit::{
        OpenBatch,
        counts::{Counts, short},
    },
    error::IngestError,
    log::tests::{Faulty, NOW_MS, clean, head, metrics, open_on, runs_with, sealing, shelf, small},
};

fn batch(ids: impl IntoIterator<Item = u64>) -> OpenBatch {
    OpenBatch::unlimited(clean(ids.into_iter().map(head)))
}

/// A table in memory. Fails at one append, before or after it has taken the rows.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    version: Option<i64>,
    rows: BTreeMap<u64, u32>,
    /// Rows by day and subject.
    subjects: BTreeMap<(i32, [u8; 16]), u64>,
    texts: Vec<(String, String)>,
    batches: Vec<RecordBatch>,
    appends: u32,
    fail_at: Option<(u32, bool)>,
    /// So often room must be made before its days are full no more.
    full: u32,
    /// Appends to full days.
    squeezed: u32,
    /// Called while room is made.
    while_making: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Has a permit for each time that room may be made; without it, nothing holds that up.
    gate: Option<Arc<tokio::sync::Semaphore>>,
}

impl Sink for Memory {
    async fn committed(&self, _: Region, kind: Kind) -> Result<Option<i64>, IngestError> {
        Ok(self.0.lock().unwrap().version.filter(|_| kind == Kind::Usage))
    }

    async fn is_full(&self, _: Region, kind: Kind, days: &Days) -> Result<bool, IngestError> {
        assert!(kind == Kind::Usage && !days.is_empty());
        Ok(self.0.lock().unwrap().full > 0)
    }

    async fn make_room(&self, _: Region, _: Kind, _: &Days) -> Result<(), IngestError> {
        let (gate, called) = {
            let table = self.0.lock().unwrap();
            (table.gate.clone(), table.while_making.clone())
        };
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        called.iter().for_each(|called| called());
        self.0.lock().unwrap().full -= 1;
        Ok(())
    }

    async fn append(
        &self,
        _: Region,
        kind: Kind,
        parts: Vec<Part>,
        Span { after, version }: Span,
    ) -> Result<AppendReport, IngestError> {
        assert_eq!(kind, Kind::Usage);
        let mut table = self.0.lock().unwrap();
        assert_eq!(after, table.version, "nobody else commits");
        table.squeezed += u32::from(table.full > 0);
        assert!(table.version.is_none_or(|v| v < version), "rows that the table has are not offered again");
        table.appends += 1;
        let fails = table.fail_at.filter(|(at, _)| *at == table.appends).map(|(_, taken)| taken);
        let failure = || Err(IngestError::Config("the sink fails".to_owned()));
        if fails == Some(false) {
            return failure();
        }
        table.version = Some(version);
        let mut rows = 0;
        for part in parts {
            let batch = part.batch;
            rows += batch.num_rows() as u64;
            let ids = batch.column_by_name(names::EVENT_ID).unwrap().as_binary::<i32>();
            for subject in batch.column_by_name(names::SUBJECT).unwrap().as_binary::<i32>() {
                *table.subjects.entry((part.day, subject.unwrap().try_into().unwrap())).or_default() += 1;
            }
            let column = |name| batch.column_by_name(name).unwrap().as_string::<i32>();
            let (events, countries) = (column(names::EVENT), column(names::COUNTRY));
            for (at, id) in ids.iter().enumerate() {
                let id = u64::from_le_bytes(id.unwrap()[..8].try_into().unwrap());
                *table.rows.entry(id).or_default() += 1;
                table.texts.push((events.value(at).to_owned(), countries.value(at).to_owned()));
            }
            table.batches.push(batch);
        }
        if fails == Some(true) { failure() } else { Ok(AppendReport { rows, ..AppendReport::default() }) }
    }

    async fn count(
        &self,
        _: Region,
        kind: Kind,
        day: i32,
        mut counts: Counts,
    ) -> Result<Counts, IngestError> {
        assert_eq!(kind, Kind::Usage);
        for ((_, subject), rows) in self.subjects().into_iter().filter(|((of, _), _)| *of == day) {
            counts.add(short(&subject), rows);
        }
        Ok(counts)
    }
}

impl Memory {
    /// The next append fails, before or after it has taken the rows.
    pub(crate) fn fail_next(&self, is_taken: bool) {
        let mut table = self.0.lock().unwrap();
        table.fail_at = Some((table.appends + 1, is_taken));
    }

    /// Rows by day and subject.
    pub(crate) fn subjects(&self) -> BTreeMap<(i32, [u8; 16]), u64> {
        self.0.lock().unwrap().subjects.clone()
    }
}

pub(crate) fn flusher(
    medium: &Faulty,
    sink: &Memory,
    registry: &Arc<Registry>,
) -> Result<(Arc<Branch>, Flusher<Memory>), IngestError> {
    flusher_of(medium, sink, Arc::clone(registry).into(), &sealing(true))
}

fn flusher_of(
    medium: &Faulty,
    sink: &Memory,
    definitions: InForce,
    sealing: &Option<Sealing>,
) -> Result<(Arc<Branch>, Flusher<Memory>), IngestError> {
    let runs = runs_with(medium, sealing.clone())?;
    let log = open_on(shelf(medium, sealing.clone()), Arc::clone(&runs), None)?;
    let branch = Arc::new(Branch::new(log, runs));
    let config = IngestConfig { log: small(), ..IngestConfig::default() };
    let branches = vec![Arc::clone(&branch)];
    Ok((branch, Flusher::new(definitions, sink.clone(), branches, &config, metrics())))
}

/// What a process has.
struct Setup<'a> {
    medium: &'a Faulty,
    sink: &'a Memory,
    registry: &'a Arc<Registry>,
    sealing: Option<Sealing>,
}

impl<'a> Setup<'a> {
    fn new(files: (&'a Faulty, &'a Memory), registry: &'a Arc<Registry>, is_encrypting: bool) -> Setup<'a> {
        Setup { medium: files.0, sink: files.1, registry, sealing: sealing(is_encrypting) }
    }

    fn flusher(&self) -> Result<(Arc<Branch>, Flusher<Memory>), IngestError> {
        flusher_of(self.medium, self.sink, Arc::clone(self.registry).into(), &self.sealing)
    }

    /// Appends, flushes now and then, and stops at the first trouble. Answers the ids that were acknowledged.
    async fn day_of_work(&self) -> Vec<u64> {
        let mut acked = Vec::new();
        let Ok((branch, flusher)) = self.flusher() else {
            return acked;
        };
        for i in 0..20u64 {
            let ids = [i * 2, i * 2 + 1, i];
            match branch.log.append(batch(ids)).await {
                Ok(_) => acked.extend(ids),
                Err(_) => return acked,
            }
            if i % 4 == 3 && flusher.run_once(NOW_MS, true).await.is_err() {
                return acked;
            }
        }
        branch.log.stop().await;
        acked
    }

    /// What the next process makes of it: everything is sent again, then flushed.
    async fn everything_is_there_once(&self, acked: &[u64], what: &str) {
        let (branch, flusher) = self.flusher().unwrap();
        for id in 0..40 {
            let duplicate = branch.log.append(batch([id])).await.unwrap().duplicates.len() == 1;
            assert!(duplicate || !acked.contains(&id), "{what}: {id} was acknowledged and is not known");
        }
        flusher.run_once(NOW_MS, true).await.unwrap();
        let table = self.sink.0.lock().unwrap();
        for id in 0..40 {
            let copies = table.rows.get(&head(id).fingerprint()).copied();
            assert_eq!(copies, Some(1), "{what}: {id} (acknowledged: {})", acked.contains(&id));
        }
        assert!(branch.log.shared().sealed().is_empty());
    }
}

/// Whether a process encrypts, and whether the next one does.
const BOTH: [(bool, bool); 4] = [(true, true), (false, false), (false, true), (true, false)];

#[tokio::test]
async fn a_power_cut_at_any_point_loses_and_doubles_nothing() {
    let registry = &Arc::new(Registry::load(None).unwrap());
    for (now, next) in BOTH {
        let (medium, sink) = (Faulty::default(), Memory::default());
        let acked = Setup::new((&medium, &sink), registry, now).day_of_work().await;
        assert_eq!(acked.len(), 60);
        let operations = medium.operations();
        assert!(operations > 100, "{operations}");
        for at in 0..operations {
            let (medium, sink) = (Faulty::default(), Memory::default());
            medium.crash_at(at);
            let acked = Setup::new((&medium, &sink), registry, now).day_of_work().await;
            let found = medium.after_power_cut(at * 31 + 7);
            let setup = Setup::new((&found, &sink), registry, next);
            setup.everything_is_there_once(&acked, &format!("cut at {at}, {now} {next}")).await;
        }
    }
}

#[tokio::test]
async fn a_table_that_fails_before_or_after_its_commit_gets_every_row_once() {
    let registry = &Arc::new(Registry::load(None).unwrap());
    for fail in (1..5).flat_map(|at| [(at, false), (at, true)]) {
        let (medium, sink) = (Faulty::default(), Memory::default());
        sink.0.lock().unwrap().fail_at = Some(fail);
        let acked = Setup::new((&medium, &sink), registry, true).day_of_work().await;
        let what = format!("append {} fails, rows taken: {}", fail.0, fail.1);
        assert!(acked.len() < 60, "{what}");
        let next = medium.after_power_cut(3);
        Setup::new((&next, &sink), registry, true).everything_is_there_once(&acked, &what).await;
    }
}

#[tokio::test]
async fn a_segment_waits_for_its_time_and_its_file_is_used_again() {
    let registry = Arc::new(Registry::load(None).unwrap());
    let (medium, sink) = (Faulty::default(), Memory::default());
    let (branch, flusher) = flusher(&medium, &sink, &registry).unwrap();
    branch.log.append(batch([1, 2])).await.unwrap();
    assert_eq!(flusher.run_once(NOW_MS + 9_999, false).await.unwrap(), FlushReport::default());
    let report = flusher.run_once(NOW_MS + 10_000, false).await.unwrap();
    assert_eq!((report.segments, report.rows), (1, 2));
    assert_eq!(flusher.run_once(NOW_MS + 30_000, false).await.unwrap(), FlushReport::default());
    let texts = sink.0.lock().unwrap().texts.clone();
    assert_eq!(texts, vec![(registry.events()[0].name.clone(), "DE".to_owned()); 2]);
    branch.log.append(batch([3])).await.unwrap();
    assert_eq!(branch.log.append(batch([1, 2, 3])).await.unwrap().duplicates, [0, 1, 2]);
    let files = medium.list("").unwrap();
    assert_eq!(files.iter().filter(|file| file.name.ends_with(".spare")).count(), 1, "{files:?}");
}

/// What was free while room was made: the lock of the region, which whoever opens a day takes, and the turn of the flush.
fn note_what_is_free(
    sink: &Memory,
    branch: &Arc<Branch>,
    flusher: &Arc<Flusher<Memory>>,
) -> Arc<Mutex<Vec<[bool; 2]>>> {
    let free = Arc::new(Mutex::new(Vec::new()));
    let (noted, branch, flusher) = (Arc::clone(&free), Arc::downgrade(branch), Arc::downgrade(flusher));
    sink.0.lock().unwrap().while_making = Some(Arc::new(move || {
        let (branch, flusher) = (branch.upgrade().unwrap(), flusher.upgrade().unwrap());
        let locks = [branch.moving.try_lock().is_ok(), flusher.turn.try_lock().is_ok()];
        noted.lock().unwrap().push(locks);
    }));
    free
}

#[tokio::test]
async fn room_on_full_days_is_made_while_nobody_is_held_and_not_for_ever() {
    let registry = Arc::new(Registry::load(None).unwrap());
    for (full, times, squeezed) in [(0, 0, 0), (1, 1, 0), (3, 3, 0), (9, 3, 1)] {
        let (medium, sink) = (Faulty::default(), Memory::default());
        let (branch, flusher) = flusher(&medium, &sink, &registry).unwrap();
        let flusher = Arc::new(flusher);
        let free = note_what_is_free(&sink, &branch, &flusher);
        sink.0.lock().unwrap().full = full;
        branch.log.append(batch([1, 2])).await.unwrap();
        let report = flusher.run_once(NOW_MS, true).await.unwrap();
        assert_eq!((report.segments, report.rows), (1, 2), "{full}");
        assert_eq!(*free.lock().unwrap(), vec![[true, true]; times], "{full}");
        assert_eq!(sink.0.lock().unwrap().squeezed, squeezed, "{full}");
        assert!(branch.log.shared().sealed().is_empty());
    }
}

#[tokio::test]
async fn a_flush_that_is_not_forced_leaves_rows_in_the_log_until_there_is_room() {
    let registry = Arc::new(Registry::load(None).unwrap());
    let (medium, sink) = (Faulty::default(), Memory::default());
    let (branch, flusher) = flusher(&medium, &sink, &registry).unwrap();
    let flusher = Arc::new(flusher);
    let free = note_what_is_free(&sink, &branch, &flusher);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    {
        let mut table = sink.0.lock().unwrap();
        (table.full, table.gate) = (1, Some(Arc::clone(&gate)));
    }
    branch.log.append(batch([1, 2])).await.unwrap();
    let due_ms = NOW_MS + 10_000;
    for _ in 0..9 {
        assert_eq!(
            flusher.run_once(due_ms, false).await.unwrap(),
            FlushReport::default(),
            "room is being made"
        );
    }
    assert_eq!(branch.log.shared().sealed().len(), 1);
    assert_eq!(branch.log.append(batch([1, 3])).await.unwrap().duplicates, [0], "events come in meanwhile");
    gate.add_permits(1);
    branch.wait.lock().await.take().unwrap().await.unwrap();
    assert_eq!(*free.lock().unwrap(), [[true, true]], "made once");
    let moved = flusher.run_once(due_ms, false).await.unwrap().rows;
    assert!(moved >= 2, "{moved}");
    assert_eq!(moved + flusher.run_once(NOW_MS, true).await.unwrap().rows, 3);
    assert_eq!(sink.0.lock().unwrap().squeezed, 0);
}

/// Rows that a flush has left in the log, with their ids in a run: of ids 1 and 2.
async fn left_behind(medium: &Faulty, sink: &Memory, registry: &Arc<Registry>, why: &str) -> Flusher<Memory> {
    let (branch, flusher) = flusher(medium, sink, registry).unwrap();
    branch.log.append(batch([1, 2])).await.unwrap();
    match why {
        "a full day" => sink.0.lock().unwrap().full = 1,
        why => sink.fail_next(why == "an append that failed after its commit"),
    }
    let flushed = flusher.run_once(NOW_MS + 10_000, false).await;
    assert_eq!(flushed.is_err(), why != "a full day", "{why}");
    assert!(branch.has_ids_without_rows() && branch.log.shared().sealed().len() == 1, "{why}");
    flusher
}

#[tokio::test]
async fn while_nothing_moves_no_run_has_ids_of_rows_that_are_in_no_table() {
    let registry = Arc::new(Registry::load(None).unwrap());
    for why in ["a full day", "an append that failed", "an append that failed after its commit"] {
        let (medium, sink) = (Faulty::default(), Memory::default());
        let flusher = left_behind(&medium, &sink, &registry, why).await;
        let paused = flusher.pause(NOW_MS + 10_000).await.unwrap();
        assert!(flusher.turn.try_lock().is_err(), "{why}");
        assert_eq!(sink.0.lock().unwrap().rows.len(), 2, "{why}");
        // What comes meanwhile is in no run, and so does not keep anybody.
        let branch = Arc::clone(&flusher.branches[0]);
        branch.log.append(batch([3])).await.unwrap();
        assert!(!branch.has_ids_without_rows() && !branch.runs.contains(head(3).fingerprint()).unwrap());
        drop(paused);
        assert!(flusher.pause(NOW_MS + 10_000).await.is_ok());
    }
    // As long as the table fails there is no such moment, and that is said.
    let (medium, sink) = (Faulty::default(), Memory::default());
    let flusher = left_behind(&medium, &sink, &registry, "an append that failed").await;
    sink.fail_next(false);
    assert!(flusher.pause(NOW_MS + 10_000).await.is_err());
    assert!(flusher.pause(NOW_MS + 10_000).await.is_ok());
}
