//! Every entry gets its corpus and malformed inputs.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::Path;

use shoal_files::{Memory, Objects as _};

use super::*;
use crate::{
    day_limit::OpenBatch,
    dedup::run::{Span, Writer},
    log::tests::{Faulty, clean, head, open_on, runs_with, sealing, shelf},
};

#[test]
fn malformed_bodies_of_the_native_protocol_end_in_no_panic() {
    malformed::check("native", native);
}

#[test]
fn malformed_bodies_of_segment_end_in_no_panic() {
    malformed::check("segment", segment);
}

#[test]
fn malformed_envelopes_of_sentry_end_in_no_panic() {
    malformed::check("sentry", sentry);
}

#[test]
fn malformed_bodies_of_consents_and_encodings_end_in_no_panic() {
    malformed::check("consents", consents);
    malformed::check("inflate", inflate);
}

#[test]
fn malformed_files_of_the_log_end_in_no_panic() {
    malformed::check("log", log);
    malformed::check("rows", rows);
    malformed::check("runs", runs);
}

/// A segment of the log with two records of rows.
async fn segment_of(is_encrypted: bool) -> Vec<u8> {
    let (medium, sealing) = (Faulty::default(), sealing(is_encrypted));
    let runs = runs_with(&medium, sealing.clone()).unwrap();
    let log = open_on(shelf(&medium, sealing), runs, None).unwrap();
    for ids in [0..3, 3..30] {
        log.append(OpenBatch::unlimited(clean(ids.map(head)))).await.unwrap();
    }
    log.stop().await;
    medium.read("0000000000000001.log").unwrap()
}

fn run_of(ids: u64) -> Vec<u8> {
    let (memory, span) = (Memory::new(), Span { first: 1, last: 1, sealed_ms: 7 });
    let mut writer = Writer::new(&memory, span).unwrap();
    for id in 0..ids {
        writer.push(id * 0x0001_0001_0001_0001).unwrap();
    }
    writer.finish().unwrap();
    memory.read(&span.file_name()).unwrap()
}

fn compressed(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut brotli = Vec::new();
    brotli::BrotliCompress(&mut &body[..], &mut brotli, &brotli::enc::BrotliEncoderParams::default())
        .unwrap();
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), level);
    gzip.write_all(body).unwrap();
    zlib.write_all(body).unwrap();
    deflate.write_all(body).unwrap();
    vec![
        ("brotli", brotli),
        ("gzip", gzip.finish().unwrap()),
        ("zlib", zlib.finish().unwrap()),
        ("deflate", deflate.finish().unwrap()),
        ("zstd", zstd::encode_all(body, 3).unwrap()),
    ]
}

/// `SHOAL_WRITE_SEEDS=1 cargo test -p shoal-ingest -- seeds_of` writes them anew.
#[tokio::test]
async fn seeds_of_bytes_are_read() {
    let payload = clean((0..4).map(head)).bytes().to_vec();
    let (clear, sealed) = (segment_of(false).await, segment_of(true).await);
    assert!(log(&clear) && log(&sealed) && rows(&payload) && runs(&run_of(300)));
    let mut seeds = vec![
        ("log/clear".to_owned(), clear),
        ("log/sealed".to_owned(), sealed),
        ("rows/four".to_owned(), payload),
        ("runs/three-pages".to_owned(), run_of(300)),
        ("runs/none".to_owned(), run_of(0)),
    ];
    let body = br#"{"events":[{"id":"a","event":"click","time":7,"properties":{"element":"ok"}}]}"#.repeat(3);
    for (name, bytes) in compressed(&body) {
        assert!(inflate(&bytes), "{name}");
        seeds.push((format!("inflate/{name}"), bytes));
    }
    if std::env::var_os("SHOAL_WRITE_SEEDS").is_some() {
        for (name, bytes) in seeds {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
