//! What a look-up of recorded consents costs, in a file with a million subjects: of one who is there, of one who is not, and
//! of all identifiers of a batch of 100 events in the stage that asks for them.
//!
//! `cargo bench -p shoal-benches --bench consents`. The file is larger than the cache of its pages. Not here: the other
//! stages (`stages.rs`).

#![allow(missing_docs, clippy::unwrap_used)]

mod rig;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shoal_benches::Bodies;
use shoal_ingest::{IngestParts, KeyKind, Stage, open_consents};
use shoal_privacy::consent::{ConsentRecord, Grant};
use shoal_privacy::keyring::Keyring;
use shoal_schemas::{IdentifierKind, Programme, Region};
use shoal_storage::{ConsentChange, Consents, Effect};

const SUBJECTS: u64 = 1_000_000;
const EVENTS: usize = 100;
/// Subjects that are recorded together.
const TOGETHER: u64 = 50_000;

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// The account of a person, as the bodies have it.
fn account(of: &str, number: u64) -> String {
    format!("{of}-{number:010}@example.com")
}

fn record() -> ConsentRecord {
    let mut record = ConsentRecord { controller: "Shoal EU".into(), ..ConsentRecord::default() };
    let grant = Grant { policy_version: "2026-1", claimed_ms: None, received_ms: 1_795_299_999_995 };
    record.history.grant(&grant);
    record
}

/// A file in which a million people have opted in.
fn recorded(dir: &Path, keyring: &Keyring, people: &str) -> Consents<ConsentRecord> {
    let consents = open_consents(dir).unwrap();
    let digester = keyring.consent_digester(Region::De);
    for first in (0..SUBJECTS).step_by(TOGETHER as usize) {
        let digests: Vec<[u8; 16]> = (first..first + TOGETHER)
            .map(|number| digester.digest(IdentifierKind::User, &account(people, number)).into_bytes())
            .collect();
        let change = ConsentChange {
            programme: Programme::UserExperience,
            digests: &digests,
            where_recorded: &[],
            effect: Effect::WhenDurable,
            act: None,
            after: &|_| record(),
        };
        consents.change(Region::De, &[change]).unwrap();
    }
    consents
}

fn look_ups(c: &mut Criterion) {
    let (dir, keyring) = (tempfile::tempdir().unwrap(), Keyring::ephemeral());
    let consents = recorded(dir.path(), &keyring, "user");
    let digester = keyring.consent_digester(Region::De);
    let mut group = c.benchmark_group("one of a million consents");
    for (name, people) in [("is there", "user"), ("is not there", "nobody")] {
        let digests: Vec<[u8; 16]> = (0..20_000)
            .map(|n| digester.digest(IdentifierKind::User, &account(people, n * 47)).into_bytes())
            .collect();
        let mut next = digests.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| consents.get(Region::De, Programme::UserExperience, *next.next().unwrap()).unwrap());
        });
    }
    group.finish();
}

/// The stage that asks for consents, of events that carry one: four identifiers of an event are looked up at the most.
fn permit(c: &mut Criterion) {
    let grant = rig::grant(KeyKind::Shipped);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut group = c.benchmark_group("permit a batch of 100 events beside a million consents");
    group.throughput(Throughput::Elements(EVENTS as u64));
    for (name, people) in [("people who are recorded", "user"), ("people who are not", "others")] {
        let (dir, keyring) = (tempfile::tempdir().unwrap(), Keyring::ephemeral());
        let consents = recorded(dir.path(), &keyring, people);
        let parts = runtime.block_on(rig::parts(dir.path(), consents, now_ms));
        let parts = IngestParts { keyring: Arc::new(keyring), ..parts };
        let ingest = runtime.block_on(rig::open(dir.path(), parts));
        let mut bodies = Bodies::new(1, SUBJECTS, vec!["DE".into()]);
        let mut body = Vec::new();
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    bodies.fill(EVENTS, &mut body);
                    let request = rig::request(&body, now_ms());
                    let mut began = Instant::now();
                    let mark = |stage| match stage {
                        Stage::Validate => began = Instant::now(),
                        Stage::Permit => spent += began.elapsed(),
                        _ => {}
                    };
                    ingest.check_marked(&request, &grant, mark).unwrap();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, look_ups, permit);
criterion_main!(benches);
