//! What the dearest requests take: 15 MB of text, which is close to `ingest.inflated_bytes_max`, in bodies of some 200 kB.
//!
//! `cargo bench -p shoal-benches --bench dearest`. Each text is made for one search: for identifiers that all begin alike, in
//! the readings that there are, for the patterns of the scrubber, for templates of paths. Beyond `ingest.scrub_steps_max`
//! texts are withheld, so that most of these take about the same time. Not here: what everyday requests take (`stages.rs`).

#![allow(missing_docs, clippy::unwrap_used)]

mod rig;

use std::io::Write as _;

use criterion::{Criterion, criterion_group, criterion_main};
use flate2::{Compression, write::GzEncoder};
use shoal_ingest::{KeyKind, Request};
use shoal_schemas::Programme;

const BODY_BYTES: usize = 15_000_000;
const TEXT_BYTES: usize = 8_000;
const EVENTS_MAX: usize = 4_900;
/// Letters of noise, without which a body would be refused as too well compressed.
const NOISE: usize = 240_000;
/// What the text of an event repeats.
const TEXTS: [(&str, &str); 7] = [
    ("identifiers as they are", "abababababababab"),
    ("identifiers with escapes", "ababababab%61b=6"),
    ("identifiers in numbers", "97 98 97 98 97 98 "),
    ("identifiers escaped many times", "%25252561b"),
    ("identifiers in letters that look alike", "\u{430}b\u{430}b"),
    ("wide identifiers", "\u{ff41}\u{ff42}\u{ff41}\u{ff42}"),
    ("patterns", "0030 11 "),
];

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Events until the body is long enough, and noise.
fn body(event: impl Fn(usize) -> String) -> Vec<u8> {
    let mut out = String::from("[");
    for at in 0..EVENTS_MAX {
        if out.len() > BODY_BYTES {
            break;
        }
        out += &event(at);
        out.push(',');
    }
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 33) as u8 % 26)
    };
    for _ in 0..NOISE / 60_000 {
        let noise: String = (0..60_000).map(|_| letter()).collect();
        out += &format!(r#"{{"event":"noise","properties":{{"noise":"{noise}"}}}},"#);
    }
    out.pop();
    out.push(']');
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(out.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A crash of somebody with five identifiers that begin alike, in the words of a text.
fn crash(text: &str, at: usize) -> String {
    let names = ["install_id", "user_id", "device_id", "serial_number", "session_id"];
    let mut identifiers = String::new();
    for (more, name) in names.iter().enumerate() {
        identifiers += &format!(r#""{name}":"{}{at}","#, "ab".repeat(20 + more));
    }
    format!(
        r#"{{{identifiers}"event":"app_crash","country":"DE","properties":{{"exception_type":"E","message":"{text}","frames":[]}}}}"#
    )
}

fn screen(path: &str, at: usize) -> String {
    format!(
        r#"{{"install_id":"in-{at}","event":"screen_view","country":"DE","properties":{{"screen":"{path}"}}}}"#
    )
}

fn dearest(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let consents = shoal_ingest::open_consents(dir.path()).unwrap();
    let parts = runtime.block_on(rig::parts(dir.path(), consents, now_ms));
    let ingest = runtime.block_on(rig::open(dir.path(), parts));
    let mut grant = rig::grant(KeyKind::Server);
    grant.programme = Some(Programme::UserExperience);
    grant.asserted_policy = Some("2026-1".into());
    let mut bodies: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, unit) in TEXTS {
        let text = unit.repeat(TEXT_BYTES / unit.len());
        bodies.push((name, body(|at| crash(&text, at))));
    }
    let path = format!("/{}", "?a=/b&".repeat(TEXT_BYTES / 6));
    bodies.push(("paths", body(|at| screen(&path, at))));
    let mut group = c.benchmark_group("dearest request");
    group.sample_size(10);
    for (name, body) in bodies {
        let sent = || Request { content_encoding: Some("gzip"), ..rig::request(&body, now_ms()) };
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(ingest.check(sent(), &grant)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, dearest);
criterion_main!(benches);
