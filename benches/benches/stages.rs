//! What each stage costs: `cargo bench -p shoal-benches`. Times of the ingest stages are for one batch of 100 events.
//!
//! The ingest stages are timed inside one run of the whole pipeline, so each sees the real output of the one before it.
//! Not here: the service as a whole (`shoal-load`).

#![allow(missing_docs, clippy::unwrap_used)]

mod rig;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use shoal_anonymity::bound::{Bounder, Clamp, Limits, Totals};
use shoal_anonymity::noise::{DiscreteGaussian, OsEntropy, Variance};
use shoal_benches::Bodies;
use shoal_ingest::{Ingest, KeyKind, Request, Stage, open_consents};
use shoal_privacy::keyring::Keyring;
use shoal_privacy::pseudonym::PseudonymEpoch;
use shoal_privacy::{scrub::Scrubber, work::Work};
use shoal_query::{AnalystGrant, Engine, QueryConfig, QueryRequest, Role};
use shoal_schemas::{IdentifierKind, Programme, Region, Registry};
use shoal_storage::{BudgetLedger, Met, Seen, Store};

const EVENTS: usize = 100;
const STAGES: [(&str, Option<Stage>, Stage); 5] = [
    ("decode", Some(Stage::Inflate), Stage::Decode),
    ("validate", Some(Stage::Decode), Stage::Validate),
    ("permit", Some(Stage::Validate), Stage::Permit),
    ("pseudonymise", Some(Stage::Permit), Stage::Pseudonymise),
    ("scrub", Some(Stage::Pseudonymise), Stage::Scrub),
];

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn body() -> Vec<u8> {
    let mut out = Vec::new();
    Bodies::new(1, 100_000, vec!["DE".into()]).fill(EVENTS, &mut out);
    out
}

fn request(body: &[u8]) -> Request<'_> {
    rig::request(body, now_ms())
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    registry: Arc<Registry>,
    store: Store,
    ingest: Ingest,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let consents = open_consents(dir.path()).unwrap();
    let parts = runtime.block_on(rig::parts(dir.path(), consents, now_ms));
    let (registry, store) = (parts.definitions.current(), parts.store.clone());
    let ingest = runtime.block_on(rig::open(dir.path(), parts));
    Bench { runtime, registry, store, ingest, _dir: dir }
}

fn stages(c: &mut Criterion) {
    let bench = bench();
    let (body, grant) = (body(), rig::grant(KeyKind::Shipped));
    let answer = bench.runtime.block_on(bench.ingest.check(request(&body), &grant)).unwrap();
    assert_eq!(answer.accepted, EVENTS as u64, "the bench measures events that are accepted");
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, from, to) in STAGES {
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let mut began = Instant::now();
                    let mark = |stage| {
                        if Some(stage) == from {
                            began = Instant::now();
                        } else if stage == to {
                            spent += began.elapsed();
                        }
                    };
                    bench.ingest.check_marked(&request(&body), &grant, mark).unwrap();
                }
                spent
            });
        });
    }
    group.bench_function("all stages", |b| {
        b.iter(|| bench.ingest.check_marked(&request(&body), &grant, |_| ()).unwrap());
    });
    // As SDKs send them: the forms of one person's identifiers are made once.
    let mut one_person = Vec::new();
    Bodies::new(1, 1, vec!["DE".into()]).fill(EVENTS, &mut one_person);
    group.bench_function("all stages, events of one person", |b| {
        b.iter(|| bench.ingest.check_marked(&request(&one_person), &grant, |_| ()).unwrap());
    });
    group.finish();
}

/// Log to table: decode rows, build columns, sort, Parquet, fsync, commit.
fn flush(c: &mut Criterion) {
    let bench = bench();
    let grant = rig::grant(KeyKind::Shipped);
    let mut bodies = Bodies::new(2, 100_000, vec!["DE".into()]);
    let mut out = Vec::new();
    let mut group = c.benchmark_group("flush");
    group.sample_size(10);
    let events = 20_000_u64;
    group.throughput(Throughput::Elements(events));
    group.bench_function("20,000 events to Parquet and Delta", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                for _ in 0..events / EVENTS as u64 {
                    bodies.fill(EVENTS, &mut out);
                    bench.runtime.block_on(bench.ingest.accept(request(&out), &grant)).unwrap();
                }
                let began = Instant::now();
                let report = bench.runtime.block_on(bench.ingest.flush(now_ms(), true)).unwrap();
                spent += began.elapsed();
                assert_eq!(report.rows, events);
            }
            spent
        });
    });
    group.finish();
}

fn privacy(c: &mut Criterion) {
    let pseudonymiser = Keyring::ephemeral()
        .derived_epoch(Region::De, PseudonymEpoch(7))
        .unwrap()
        .pseudonymiser(Programme::UserExperience);
    let scrubber = Scrubber::embedded().unwrap();
    let clean = "The stream ended before the first key frame arrived while the view was in the background of the app; a new one was asked for, and it came after the second attempt of the relay to find a peer.";
    let dirty = "no stream for anna.schmidt@example.com from 192.168.178.23 (SN: DS-2CD2043G2) at /Users/anna/Library/x?token=abcdef0123456789";
    let mut group = c.benchmark_group("privacy");
    group.bench_function("pseudonym", |b| {
        b.iter(|| pseudonymiser.pseudonym(IdentifierKind::User, "user-0000012345@example.com"));
    });
    group.bench_function("scrub clean text, 190 bytes", |b| {
        b.iter(|| scrubber.scrub(clean, &mut Work::unlimited()));
    });
    group.bench_function("scrub text with five identifiers", |b| {
        b.iter(|| scrubber.scrub(dirty, &mut Work::unlimited()));
    });
    group.bench_function("is_clean of a dimension", |b| {
        b.iter(|| scrubber.is_clean("device_list", &mut Work::unlimited()));
    });
    let gaussian = DiscreteGaussian::new(Variance::new(250, 1).unwrap());
    let mut entropy = OsEntropy::new();
    group.bench_function("discrete Gaussian, sigma 15.8", |b| {
        b.iter(|| gaussian.sample(&mut entropy).unwrap())
    });
    let limits = Limits::new(1, vec![Clamp::Count(50)]).unwrap();
    group.bench_function("bound 100,000 rows, L0 1", |b| b.iter(|| bounded(&limits)));
    group.finish();
}

/// 50,000 subjects, two keys each.
fn bounded(limits: &Limits) -> Totals {
    let mut bounder = Bounder::new(limits, &mut OsEntropy::new()).unwrap();
    for at in 0..50_000_u32 {
        let mut subject = [0; 16];
        subject[..4].copy_from_slice(&at.to_be_bytes());
        for key in 0..2 {
            bounder.take(key, &[3]).unwrap();
        }
        bounder.close(Some(20_000), Some(20_000), &subject, &mut |key| u32::try_from(key).ok()).unwrap();
    }
    bounder.finish()
}

/// What it costs to tell the copies of events apart while files are merged, for a query or by compaction: a set of the event
/// ids of one subject's day, which most rows are the first of.
fn copies(c: &mut Criterion) {
    const ROWS: u64 = 100_000;
    let mut group = c.benchmark_group("copies among 100,000 rows");
    group.throughput(Throughput::Elements(ROWS));
    for events in [1, 4, 20, 200, 5_000_u64] {
        // Spread as digests are.
        let rows: Vec<((u128, i32), u128)> = (0..ROWS)
            .map(|row| {
                (
                    (u128::from(row / events), 20_000),
                    (u128::from(row) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
                )
            })
            .collect();
        let mut seen = Seen::default();
        group.bench_function(format!("days of {events} events"), |b| {
            b.iter(|| rows.iter().filter(|(unit, id)| seen.meet(*unit, *id) == Met::New).count());
        });
    }
    group.finish();
}

fn query(c: &mut Criterion) {
    let bench = bench();
    let grant = rig::grant(KeyKind::Shipped);
    let mut bodies = Bodies::new(3, 50_000, vec!["DE".into()]);
    let mut out = Vec::new();
    for _ in 0..2_000 {
        bodies.fill(EVENTS, &mut out);
        bench.runtime.block_on(bench.ingest.accept(request(&out), &grant)).unwrap();
    }
    bench.runtime.block_on(bench.ingest.flush(now_ms(), true)).unwrap();
    // A ledger of its own for each time: an answer that is in it is not read again.
    let engine = || {
        let metrics = shoal_query::Metrics::register(&mut prometheus_client::registry::Registry::default());
        let config = QueryConfig { answer_times_ms: Vec::new(), ..QueryConfig::default() };
        let ledger = BudgetLedger::in_memory().unwrap();
        Engine::new(bench.store.clone(), ledger, Arc::clone(&bench.registry), config, metrics)
    };
    let analyst = AnalystGrant { key_id: "bench".into(), role: Role::Analyst, regions: vec![Region::De] };
    let mut group = c.benchmark_group("query over 200,000 events");
    group.sample_size(10);
    for sql in [
        "SELECT count(*) FROM usage WHERE event = 'click'",
        "SELECT count(DISTINCT subject) FROM usage",
        "SELECT app_version, count(DISTINCT subject) FROM usage GROUP BY app_version",
        "SELECT endpoint, avg(duration_ms) FROM performance WHERE event = 'api_request' GROUP BY endpoint",
    ] {
        let asked = QueryRequest { sql: sql.into(), ..QueryRequest::default() };
        group.bench_function(sql, |b| {
            b.iter_batched_ref(
                engine,
                |engine| bench.runtime.block_on(engine.answer(&analyst, &asked, now_ms())).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, stages, privacy, flush, copies, query);
criterion_main!(benches);
