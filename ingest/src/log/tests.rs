//! The log alone: groups, resends, faults, damage. With the flush: `flush/tests.rs`.
#![allow(clippy::unwrap_used)]

mod covers;
mod damage;
mod encrypted;
mod room;

use std::sync::{Arc, LazyLock};

use shoal_files::{Medium, Memory, Objects, Sealing, SealingKey};
use shoal_privacy::consent::Basis;
use shoal_schemas::{Kind, Programme, Region, Registry};

use super::{
    Clock, Failed, InFlight, Log, LogSetup, Receipt, Shelf,
    encode::{Encoder, Rows},
    record::{BLOCK_BYTES, Segment},
    scan::scan,
    segment::Active,
};
use crate::{
    config::LogConfig,
    day_limit::OpenBatch,
    dedup::{RunLimits, Runs},
    dictionary::Dictionary,
    error::{IngestError, LogError},
    grant::KeyKind,
    metrics::Metrics,
    stages::{
        clean::CleanBatch,
        row::{self, RowHead, Value},
    },
};

/// A medium in memory that crashes and fails on demand.
pub(crate) type Faulty = shoal_files::Faulty<Memory>;

pub(crate) const NOW_MS: i64 = 1_790_000_000_000;

pub(crate) fn metrics() -> Metrics {
    Metrics::register(&mut prometheus_client::registry::Registry::default())
}

pub(crate) fn head(id: u64) -> RowHead {
    let mut event_id = [7; 16];
    event_id[..8].copy_from_slice(&id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    RowHead {
        event: 0,
        kind: Kind::Usage,
        programme: Programme::UserExperience,
        time_ms: NOW_MS - 1000,
        event_id,
        subject: [id as u8; 16],
        session: None,
        consent: Basis::Carried,
        epoch: 3,
    }
}

/// Of the embedded definitions, whose column 5 is the country.
pub(crate) fn clean(heads: impl IntoIterator<Item = RowHead>) -> CleanBatch {
    static EMBEDDED: LazyLock<Arc<Dictionary>> =
        LazyLock::new(|| Arc::new(Dictionary::of(&Registry::load(None).unwrap())));
    of_names(&EMBEDDED, heads)
}

fn of_names(names: &Arc<Dictionary>, heads: impl IntoIterator<Item = RowHead>) -> CleanBatch {
    let mut batch = CleanBatch::new(Region::De, KeyKind::Server, names);
    for (slot, head) in heads.into_iter().enumerate() {
        let country = (5, Value::Text("DE"));
        batch.push(slot as u32, &head, &[], std::iter::once(country));
    }
    batch
}

/// Of names that take little room.
fn batch(ids: impl IntoIterator<Item = u64>) -> OpenBatch {
    OpenBatch::unlimited(of_names(&Arc::new(names()), ids.into_iter().map(head)))
}

pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes_max: 8 * BLOCK_BYTES,
        group_bytes_max: 1024,
        queue_batches_max: 256,
        in_flight_bytes_max: 1 << 20,
        free_bytes_min: 1 << 20,
        is_encrypted: true,
    }
}

/// With the key of all tests; new files are encrypted, or are not.
pub(crate) fn sealing(is_writing: bool) -> Option<Sealing> {
    with_key(7, is_writing)
}

pub(crate) fn with_key(key: u8, is_writing: bool) -> Option<Sealing> {
    Some(Sealing { key: SealingKey::new(&[key; 32]), is_writing })
}

fn runs(medium: &Faulty) -> Result<Arc<Runs>, IngestError> {
    runs_with(medium, sealing(true))
}

pub(crate) fn runs_with(medium: &Faulty, sealing: Option<Sealing>) -> Result<Arc<Runs>, IngestError> {
    let limits = RunLimits { window_ms: 48 * 3_600_000, filter_bytes_max: 1 << 20, merge_keys_max: 1 << 20 };
    Ok(Arc::new(Runs::open(medium.clone(), sealing, limits)?))
}

pub(crate) fn shelf(medium: &Faulty, sealing: Option<Sealing>) -> Shelf {
    Shelf::new(Arc::new(medium.clone()), sealing)
}

/// With the highest transaction version that a table has.
pub(crate) fn open_on(shelf: Shelf, runs: Arc<Runs>, committed: Option<i64>) -> Result<Log, IngestError> {
    open_with(shelf, runs, committed, small())
}

pub(crate) fn open_with(
    shelf: Shelf,
    runs: Arc<Runs>,
    committed: Option<i64>,
    config: LogConfig,
) -> Result<Log, IngestError> {
    let served: Clock = Arc::new(|| NOW_MS);
    Log::open(LogSetup {
        region: Region::De,
        shelf,
        runs,
        in_flight: InFlight::new(1 << 20),
        config,
        served,
        metrics: metrics(),
        failed: Failed::new(None),
        committed,
    })
}

fn names() -> Dictionary {
    Dictionary { opened_ms: NOW_MS, events: vec!["e".into()], columns: vec![vec!["c".into()]; 4] }
}

fn simple(medium: &Faulty) -> Result<Log, IngestError> {
    with(medium, &sealing(true))
}

fn with(medium: &Faulty, sealing: &Option<Sealing>) -> Result<Log, IngestError> {
    open_on(shelf(medium, sealing.clone()), runs_with(medium, sealing.clone())?, None)
}

/// Sequences and rows of everything that waits for the tables.
fn held(log: &Log) -> Vec<u64> {
    let mut found = Vec::new();
    for sealed in log.shared().sealed() {
        scan(log.shared().shelf(), sealed.extent.sequence, &mut |_, payload| {
            for row in row::rows(payload) {
                found.push(row::decode(row.unwrap()).unwrap().0.fingerprint());
            }
            Ok(())
        })
        .unwrap();
    }
    found
}

fn prints(ids: impl IntoIterator<Item = u64>) -> Vec<u64> {
    ids.into_iter().map(|id| head(id).fingerprint()).collect()
}

#[tokio::test]
async fn batches_come_back_in_order_and_resends_are_told_by_slot() {
    for is_encrypted in [true, false] {
        come_back(&sealing(is_encrypted)).await;
    }
}

async fn come_back(sealing: &Option<Sealing>) {
    let medium = Faulty::default();
    let log = with(&medium, sealing).unwrap();
    for i in 0..40 {
        assert_eq!(log.append(batch([i * 2, i * 2 + 1])).await, Ok(Receipt::default()));
    }
    let again = log.append(batch([3, 1000, 4, 1000])).await.unwrap();
    assert_eq!(again.duplicates, [0, 2, 3]);
    log.stop().await;
    assert_eq!(log.append(batch([5000])).await, Err(LogError::Stopped));
    assert!(log.shared().sealed().len() > 3, "segments are small here");
    let mut expected = prints(0..80);
    expected.extend(prints([1000]));
    assert_eq!(held(&log), expected);
    assert_eq!(held(&with(&medium, sealing).unwrap()), expected, "the next process finds the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_batch_a_hundred_times_at_once_is_accepted_once() {
    let log = Arc::new(simple(&Faulty::default()).unwrap());
    let posts = (0..100).map(|_| {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append(batch(0..50)).await.unwrap().duplicates.len() })
    });
    let mut duplicates = Vec::new();
    for post in posts.collect::<Vec<_>>() {
        duplicates.push(post.await.unwrap());
    }
    duplicates.sort_unstable();
    assert_eq!((duplicates[0], duplicates[1]), (0, 50));
    log.stop().await;
    assert_eq!(held(&log).len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_failed_sync_nothing_is_acknowledged_again_and_nobody_waits() {
    for round in 0..100 {
        let medium = Faulty::default();
        let log = Arc::new(simple(&medium).unwrap());
        log.append(batch([1])).await.unwrap();
        medium.fail_syncs_after(0);
        let posts = (0..8).map(|id| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { (log.append(batch([10 + id])).await, log.append(batch([1])).await) })
        });
        for post in posts.collect::<Vec<_>>() {
            let (new, resend) = post.await.unwrap();
            assert_eq!(new, Err(LogError::Stopped), "round {round}");
            assert_eq!(resend, Err(LogError::Stopped), "round {round}");
        }
        assert_eq!(*log.shared().failed.borrow(), Some(Region::De));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_before_anything_is_remembered() {
    let medium = Faulty::default();
    let log = simple(&medium).unwrap();
    medium.set_free_bytes(1000);
    assert_eq!(log.append(batch([1])).await, Err(LogError::DiskFull));
    medium.set_free_bytes(1 << 30);
    // There was room when it was asked, and there is none for a segment.
    medium.refuse_writes(Some(std::io::ErrorKind::StorageFull));
    for _ in 0..2 {
        assert_eq!(log.append(batch([1])).await, Err(LogError::DiskFull));
    }
    medium.refuse_writes(None);
    assert_eq!(log.append(batch([1])).await, Ok(Receipt::default()), "not a duplicate");
}

#[tokio::test]
async fn too_many_bytes_in_flight_are_refused() {
    let log = simple(&Faulty::default()).unwrap();
    let hold = log.in_flight.reserve((1 << 20) - 10).ok().unwrap();
    assert_eq!(log.append(batch([1])).await, Err(LogError::Full((1 << 20) - 10)));
    drop(hold);
    assert_eq!(log.append(batch([1])).await, Ok(Receipt::default()));
    assert_eq!(log.in_flight.held(), 0);
}

async fn one_segment(medium: &Faulty) {
    one_segment_with(medium, &sealing(true)).await;
}

async fn one_segment_with(medium: &Faulty, sealing: &Option<Sealing>) {
    let log = with(medium, sealing).unwrap();
    for id in 0..3 {
        log.append(batch([id])).await.unwrap();
    }
    log.stop().await;
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_and_a_torn_end_is_not() {
    let name = "0000000000000001.log";
    let block = BLOCK_BYTES as usize;
    for sealing in [sealing(true), sealing(false)] {
        for record in 0..3 {
            let medium = Faulty::default();
            one_segment_with(&medium, &sealing).await;
            medium.flip(name, record * block + 50);
            let found = with(&medium, &sealing).err();
            assert!(
                matches!(found, Some(IngestError::Damaged { offset, .. }) if offset == (record * block) as u64)
            );
        }
        let medium = Faulty::default();
        one_segment_with(&medium, &sealing).await;
        // Its last rows and its seal: of these the disk has written the first half alone, and of that nothing.
        let file = medium.edit(name).unwrap();
        let length =
            medium.read(name).unwrap()[3 * block..4 * block].iter().rposition(|byte| *byte != 0).unwrap();
        file.write_at((3 * block + length / 512 * 512) as u64, &vec![0; 512]).unwrap();
        file.write_at(4 * block as u64, &vec![0; block]).unwrap();
        let log = with(&medium, &sealing).unwrap();
        assert_eq!(held(&log), prints(0..2), "what was torn off was never acknowledged");
        assert_eq!(held(&with(&medium, &sealing).unwrap()), prints(0..2), "and the end is repaired");
    }
}

#[tokio::test]
async fn a_segment_without_its_end_is_an_error_when_a_newer_one_is_there() {
    let medium = Faulty::default();
    one_segment(&medium).await;
    one_segment_more(&medium).await;
    medium.flip("0000000000000001.log", 4 * BLOCK_BYTES as usize);
    assert!(matches!(simple(&medium).err(), Some(IngestError::Damaged { .. })));
}

async fn one_segment_more(medium: &Faulty) {
    let log = simple(medium).unwrap();
    log.append(batch([100])).await.unwrap();
    log.stop().await;
}

#[tokio::test]
async fn what_a_file_held_before_is_never_taken_for_new() {
    for (before, now) in [(true, true), (true, false), (false, true), (false, false)] {
        let medium = Faulty::default();
        one_segment_with(&medium, &sealing(before)).await;
        medium.rename("0000000000000001.log", "0.spare").unwrap();
        let shelf = shelf(&medium, sealing(now));
        let mut encoder = Encoder::new(shelf.writing_key());
        let of = Segment { sequence: 1, salt: 99 };
        let mut active = Active::begin(&shelf, "0.spare", of, &names(), &mut encoder).unwrap();
        let rows = batch([50]);
        active.append(&Rows { payload: rows.bytes(), count: 1, cover_bytes: 0 }, &mut encoder).unwrap();
        let found = scan(&shelf, 1, &mut |_, _| Ok(())).unwrap().unwrap();
        assert_eq!((found.extent.rows, found.sealed, found.is_encrypted), (1, false, now), "{before}");
    }
}

#[tokio::test]
async fn an_event_is_known_under_the_other_ids_that_it_may_have_had() {
    let log = simple(&Faulty::default()).unwrap();
    let known = |id: u64| head(id).fingerprint();
    let with = |id: u64, others: &[u64], is_hidden: bool| {
        let mut batch = CleanBatch::new(Region::De, KeyKind::Server, &Arc::new(names()));
        let values = || std::iter::once((5, Value::Text("DE")));
        // One before it, so that the ranges of two events are told apart.
        batch.push(0, &head(id + 100), &[known(77)], values());
        match is_hidden {
            true => batch.hide(&head(id), others, values()),
            false => batch.push(1, &head(id), others, values()),
        }
        batch.finish();
        OpenBatch::unlimited(batch)
    };
    assert_eq!(log.append(batch([1])).await.unwrap(), Receipt::default());
    let receipt = log.append(with(2, &[known(50), known(1)], false)).await.unwrap();
    assert_eq!(receipt.duplicates, [1]);
    assert_eq!(log.append(with(3, &[known(50)], false)).await.unwrap().duplicates, Vec::<u32>::new());
    // Nothing is remembered under an id that an event only may have had, and nothing of what is hidden.
    assert_eq!(log.append(with(4, &[known(5)], true)).await.unwrap(), Receipt::default());
    assert_eq!(log.append(batch([50, 77, 4, 5])).await.unwrap(), Receipt::default());
}

/// Killed between a write and its sync, and again at the start while the end is written: what the third process finds is durable
/// before it is told of anything.
#[tokio::test]
async fn what_killed_processes_have_left_unsynced_survives_a_power_cut_once_it_is_told() {
    for seed in 0..20 {
        let medium = Faulty::default();
        let log = simple(&medium).unwrap();
        log.append(batch([0])).await.unwrap();
        medium.fail_syncs_after(0);
        assert_eq!(log.append(batch([1])).await, Err(LogError::Stopped));
        assert!(simple(&medium).is_err(), "the end is written, and not synced");
        medium.fail_syncs_after(u64::MAX);
        let log = simple(&medium).unwrap();
        assert_eq!(log.append(batch([1, 2])).await.unwrap().duplicates, [0], "so it is acknowledged");
        let found = simple(&medium.after_power_cut(seed)).unwrap();
        assert_eq!(held(&found), prints(0..3), "{seed}");
    }
}
