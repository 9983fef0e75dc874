//! Runs over real tables with a moved clock: what is expired is in no file afterwards, what is not is untouched.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use shoal_retention::{Accepted, KnownTimes, Metrics, Mode, Permit, Refused, Retention, RetentionError};
use shoal_schemas::calendar::start_of;
use shoal_schemas::{ColumnType, Kind, Programme, Region, Registry, TableDef};
use shoal_storage::{Part, Store, Table};

const TODAY: i32 = 20_700;

struct World {
    dir: tempfile::TempDir,
    registry: Arc<Registry>,
    store: Store,
    retention: Retention,
    metrics: prometheus_client::registry::Registry,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let registry = Arc::new(Registry::load(None).unwrap());
    let url = url::Url::from_directory_path(dir.path().canonicalize().unwrap()).unwrap();
    let store = Store::open(&url).await.unwrap();
    let mut metrics = prometheus_client::registry::Registry::default();
    let retention = Retention::new(store.clone(), Arc::clone(&registry), Metrics::register(&mut metrics));
    World { dir, registry, store, retention, metrics }
}

/// Rows of one day whose every text is `marker`, so that the bytes can be searched for.
fn part(def: &TableDef, programme: Programme, day: i32, marker: &str) -> Part {
    let rows: usize = 5;
    let column = |name: &str, ty: ColumnType, nullable: bool| -> Option<ArrayRef> {
        Some(match (name, ty) {
            ("event_id" | "subject", _) => {
                let digests = (0..rows).map(|r| format!("{marker:>15.15}{r}").into_bytes());
                Arc::new(BinaryArray::from_iter_values(digests))
            }
            ("time", _) => {
                let times = (0..rows).map(|r| start_of(day) + i64::try_from(r).unwrap());
                Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            ("app_version", _) => Arc::new(StringArray::from_iter_values(vec![marker; rows])),
            (_, _) if nullable => return None,
            (_, ColumnType::Text) => Arc::new(StringArray::from_iter_values(vec![marker; rows])),
            (_, ColumnType::Integer) => Arc::new(Int64Array::from_iter_values(vec![1; rows])),
            _ => return None,
        })
    };
    let columns = def.columns.iter().filter(|c| c.name != "day");
    let arrays = columns.filter_map(|c| Some((c.name.clone(), column(&c.name, c.ty, c.nullable)?)));
    Part { programme, day, batch: RecordBatch::try_from_iter(arrays).unwrap() }
}

impl World {
    async fn table(&self, kind: Kind) -> Table {
        self.store.table(Region::De, self.registry.table(kind)).await.unwrap()
    }

    fn last_kept(&self, programme: Programme, kind: Kind) -> i32 {
        TODAY - i32::try_from(self.registry.retention_days(programme, kind)).unwrap()
    }

    /// A run that somebody has looked at.
    async fn run_real(&self, day: i32) -> shoal_retention::Report {
        self.run(day, Mode::Real(permit(Accepted { clock: true, share: true }))).await
    }

    async fn run(&self, day: i32, mode: Mode) -> shoal_retention::Report {
        let now_ms = start_of(day) + 5_000;
        self.retention.run_once(now_ms, mode, &mut |_| {}).await.unwrap()
    }

    /// Files below the tables that hold this text in their bytes or in their path.
    fn mentions(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        visit(self.dir.path(), &mut |path| {
            let bytes = std::fs::read(path).unwrap();
            let in_path = path.to_str().unwrap().contains(text);
            if in_path || bytes.windows(text.len()).any(|w| w == text.as_bytes()) {
                found.push(path.to_path_buf());
            }
        });
        found
    }
}

/// What is known is the events alone, of which the newest is of `TODAY`.
fn permit(accepted: Accepted) -> Permit {
    let known = KnownTimes { event_ms: Some(start_of(TODAY)), ..KnownTimes::default() };
    Permit { known, percent_max: 50, accepted }
}

fn visit(dir: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { visit(&path, each) } else { each(&path) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expired_is_gone_and_what_is_not_is_untouched() {
    let world = world().await;
    let (ux, dx) = (Programme::UserExperience, Programme::DeviceExperience);
    let table = world.table(Kind::Usage).await;
    let def = world.registry.table(Kind::Usage);
    let (kept_ux, kept_dx) = (world.last_kept(ux, Kind::Usage), world.last_kept(dx, Kind::Usage));
    assert_ne!(kept_ux, kept_dx, "the test needs two periods");
    let parts = vec![
        part(def, ux, kept_ux - 1, "gone-yesterday"),
        part(def, ux, kept_ux - 40, "gone-long-ago"),
        part(def, ux, kept_ux, "stays-until-midnight"),
        part(def, dx, kept_dx, "stays-device"),
        part(def, dx, kept_dx - 1, "gone-device"),
    ];
    table.append(parts, "log-DE", 1).await.unwrap();
    // The files alone: whoever holds the snapshot keeps them on the disk.
    let before = table.snapshot().await.unwrap().files().to_vec();
    assert_eq!(world.mentions("gone-long-ago").len(), 1, "the search must be able to find it");

    let dry = world.run(TODAY, Mode::Dry).await;
    assert_eq!(dry.expired_total().0, 3);
    assert_eq!(table.snapshot().await.unwrap().files(), &before[..], "a dry run changes nothing");

    let report = world.run_real(TODAY).await;
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!((report.expired_total().0, report.expired_total().1), (3, 15));
    let bytes: u64 =
        before.iter().filter(|f| !is_kept(f.day, f.programme, kept_ux, kept_dx)).map(|f| f.bytes).sum();
    assert_eq!(report.expired_total().2, bytes);
    assert_eq!(report.expired, dry.expired, "the plan says what the run does");
    assert_eq!(report.purged_total(), (3, bytes));
    let line = report.expired.iter().find(|l| l.programme == ux).unwrap();
    assert_eq!((line.files, line.oldest_day, line.kept_files), (2, Some(kept_ux - 40), 1));

    for gone in ["gone-yesterday", "gone-long-ago", "gone-device"] {
        assert_eq!(world.mentions(gone), Vec::<PathBuf>::new(), "{gone}");
    }
    for file in before.iter().filter(|f| !is_kept(f.day, f.programme, kept_ux, kept_dx)) {
        let name = file.path.rsplit('/').next().unwrap();
        assert_eq!(world.mentions(name), Vec::<PathBuf>::new(), "no log entry names {name}");
    }
    for stays in ["stays-until-midnight", "stays-device"] {
        assert_eq!(world.mentions(stays).len(), 1, "{stays}");
    }
    let rows: u64 = table.snapshot().await.unwrap().files().iter().map(|f| f.rows).sum();
    assert_eq!(rows, 10);
}

fn is_kept(day: i32, programme: Programme, kept_ux: i32, kept_dx: i32) -> bool {
    day >= if programme == Programme::UserExperience { kept_ux } else { kept_dx }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_nothing_and_the_next_day_finds_the_next() {
    let world = world().await;
    let table = world.table(Kind::Crash).await;
    let def = world.registry.table(Kind::Crash);
    let ux = Programme::UserExperience;
    let kept = world.last_kept(ux, Kind::Crash);
    table
        .append(
            vec![part(def, ux, kept - 1, "the-first-one"), part(def, ux, kept, "the-second-one")],
            "log-DE",
            1,
        )
        .await
        .unwrap();
    assert_eq!(world.run_real(TODAY).await.expired_total().1, 5);
    let again = world.run_real(TODAY).await;
    assert_eq!((again.expired_total().0, again.purged_total().0), (0, 0));
    assert_eq!(world.run_real(TODAY + 1).await.expired_total().1, 5);
    assert_eq!(world.mentions("the-second-one"), Vec::<PathBuf>::new());
    // The table goes on, and what was committed stays committed.
    assert_eq!(table.committed("log-DE").await.unwrap(), Some(1));
    table.append(vec![part(def, ux, TODAY, "new")], "log-DE", 2).await.unwrap();
    assert_eq!(table.snapshot().await.unwrap().files().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_between_expiry_and_purge_is_finished_by_the_next() {
    let world = world().await;
    let table = world.table(Kind::Usage).await;
    let def = world.registry.table(Kind::Usage);
    let ux = Programme::UserExperience;
    let day = world.last_kept(ux, Kind::Usage) - 3;
    table.append(vec![part(def, ux, day, "half-gone")], "log-DE", 1).await.unwrap();
    table.expire(&|file| file.day == day).await.unwrap();
    assert_eq!(world.mentions("half-gone").len(), 1, "expired, not purged");
    let report = world.run_real(TODAY).await;
    assert_eq!(report.expired_total().0, 0);
    assert_eq!(report.purged_total().0, 1);
    assert_eq!(world.mentions("half-gone"), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_read_goes_with_the_next_run() {
    let world = world().await;
    let table = world.table(Kind::Usage).await;
    let def = world.registry.table(Kind::Usage);
    let ux = Programme::UserExperience;
    let day = world.last_kept(ux, Kind::Usage) - 1;
    table.append(vec![part(def, ux, day, "still-read")], "log-DE", 1).await.unwrap();
    let reader = table.snapshot().await.unwrap();
    let report = world.run_real(TODAY).await;
    assert_eq!((report.expired_total().0, report.purged_total().0, report.pinned_total()), (1, 0, 1));
    assert!(table.snapshot().await.unwrap().files().is_empty(), "nobody new can read it");
    drop(reader);
    let report = world.run_real(TODAY).await;
    assert_eq!((report.purged_total().0, report.pinned_total()), (1, 0));
    assert_eq!(world.mentions("still-read"), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_comes_for_every_table_and_ends_with_all_of_them() {
    let world = world().await;
    let mut seen = Vec::new();
    let mut note = |p: shoal_retention::Progress| seen.push((p.tables_done, p.tables));
    world.retention.run_once(0, Mode::Real(permit(Accepted::default())), &mut note).await.unwrap();
    let all = Region::ALL.len() * Kind::ALL.len();
    assert_eq!(seen, (0..=all).map(|done| (done, all)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_one_and_a_resend_that_came_late_is_there_once() {
    let world = world().await;
    let table = world.table(Kind::Usage).await;
    let def = world.registry.table(Kind::Usage);
    let ux = Programme::UserExperience;
    for version in 1..=9 {
        // The ninth brings the rows of the eighth again.
        let marker = format!("flush-{}", version.min(8));
        table.append(vec![part(def, ux, TODAY, &marker)], "log-DE", version).await.unwrap();
    }
    let now_ms = start_of(TODAY);
    let report = world.retention.maintain_once(now_ms).await;
    assert_eq!((report.compacted.len(), report.failed.len()), (1, 0));
    let compacted = &report.compacted[0];
    assert_eq!((compacted.files, compacted.files_new, compacted.purged_files), (9, 1, 9));
    assert_eq!((compacted.rows, compacted.duplicates, compacted.pinned), (40, 5, 0));
    let files = table.snapshot().await.unwrap().files().to_vec();
    assert_eq!((files.len(), files[0].rows), (1, 40));
    assert!(world.retention.maintain_once(now_ms).await.compacted.is_empty());
    world.retention.stop_maintaining();
    for version in 10..=20 {
        table.append(vec![part(def, ux, TODAY, "more")], "log-DE", version).await.unwrap();
    }
    assert!(world.retention.maintain_once(now_ms).await.compacted.is_empty(), "none begins any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_stops_neither_the_other_days_nor_their_purge() {
    let world = world().await;
    let (usage, crash) = (world.table(Kind::Usage).await, world.table(Kind::Crash).await);
    let defs = [Kind::Usage, Kind::Crash].map(|kind| world.registry.table(kind));
    let ux = Programme::UserExperience;
    for version in 1..=9 {
        let marker = format!("flush-{version}");
        let days = [TODAY, TODAY - 1].map(|day| part(defs[0], ux, day, &marker));
        usage.append(days.to_vec(), "log-DE", version).await.unwrap();
        crash.append(vec![part(defs[1], ux, TODAY, &marker)], "log-DE", version).await.unwrap();
    }
    let expired = part(defs[0], ux, world.last_kept(ux, Kind::Usage) - 1, "long-ago");
    usage.append(vec![expired], "log-DE", 10).await.unwrap();
    let files = usage.snapshot().await.unwrap().files().to_vec();
    let broken = files.iter().find(|file| file.day == TODAY).unwrap();
    std::fs::write(world.dir.path().join("de/tables/usage").join(&broken.path), b"no Parquet").unwrap();

    let report = world.retention.maintain_once(start_of(TODAY)).await;
    let mut compacted: Vec<_> =
        report.compacted.iter().map(|c| (c.kind.as_str(), c.files, c.purged_files, c.rows)).collect();
    compacted.sort_unstable();
    assert_eq!(compacted, [("crash", 9, 9, 45), ("usage", 9, 9, 45)], "also in its own table");
    let failed: Vec<_> = report.failed.iter().map(|failed| (failed.region, failed.kind)).collect();
    assert_eq!(failed, [(Region::De, Kind::Usage)]);
    assert!(!report.failed[0].reason.contains("flush-"), "{report:?}");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &world.metrics).unwrap();
    let failures = text.lines().filter(|line| line.starts_with("retention_failures_total{"));
    let failed: Vec<&str> = failures.filter(|line| !line.ends_with(" 0")).collect();
    assert!(matches!(failed[..], [one] if one.contains("usage") && one.ends_with(" 1")), "{text}");

    let report = world.run_real(TODAY).await;
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!((report.expired_total().0, report.purged_total().0), (1, 1));
    assert_eq!(world.mentions("long-ago"), Vec::<PathBuf>::new());
    assert_eq!(usage.snapshot().await.unwrap().files().len(), 9 + 1);
}

/// A clock five years ahead, and then one that is right.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_removes_nothing_until_somebody_accepts_it() {
    let world = world().await;
    let table = world.table(Kind::Usage).await;
    let def = world.registry.table(Kind::Usage);
    let parts = (0..5).map(|age| part(def, Programme::UserExperience, TODAY - age, "still-wanted")).collect();
    table.append(parts, "log-DE", 1).await.unwrap();
    assert_eq!(world.retention.newest_event_ms().await, Some(start_of(TODAY + 1) - 1));
    let later_ms = start_of(TODAY + 5 * 365);
    let run =
        async |accepted| world.retention.run_once(later_ms, Mode::Real(permit(accepted)), &mut |_| {}).await;
    let none = Accepted::default();
    let refused = run(none).await.unwrap_err();
    assert!(matches!(refused, RetentionError::Refused(Refused::Clock { beyond_days: 1825 })), "{refused}");
    let refused = run(Accepted { clock: true, ..none }).await.unwrap_err();
    assert!(
        matches!(refused, RetentionError::Refused(Refused::Share { rows: 25, rows_all: 25, .. })),
        "{refused}"
    );
    assert_eq!(table.snapshot().await.unwrap().files().len(), 5, "nothing is gone");
    assert_eq!(world.mentions("still-wanted").len(), 5);
    assert_eq!(run(Accepted { clock: true, share: true }).await.unwrap().expired_total().1, 25);
}
