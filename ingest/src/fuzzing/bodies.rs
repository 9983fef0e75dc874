//! Bodies of requests, through every stage of the pipeline.
//!
//! Not here: what comes from a disk (`stored`).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use shoal_privacy::keyring::Keyring;
use shoal_privacy::scrub::Scrubber;
use shoal_schemas::{Programme, Protocol, Region, Registry};

use crate::{
    answer::Outcome,
    config::{Limits, PipelineConfig},
    consents::{self, Nothing, Reader},
    grant::{IngestGrant, KeyKind},
    stages::{
        inflate as stage,
        pipeline::{Gate, run},
        row_layout::RowLayout,
    },
    unit_keys::open::OpenKeys,
    wire::{self, protocol::Request, which::protocol_of},
};

/// 2026-11-22T10:00:00Z.
const NOW_MS: i64 = 1_795_341_600_000;

/// Small, so that an input can exceed each of them.
const LIMITS: Limits = Limits {
    body_bytes_max: 1 << 20,
    inflated_bytes_max: 1 << 20,
    ratio_max: 20,
    zstd_window_log_max: 23,
    events_max: 50,
    properties_max: 16,
    string_bytes_max: 4 << 10,
    depth_max: 12,
    values_max: 4_000,
    scrub_steps_max: 2_000_000,
};

/// What a body is judged by.
struct World {
    registry: Registry,
    layout: RowLayout,
    keyring: Keyring,
    scrubber: Scrubber,
    config: PipelineConfig,
    grant: IngestGrant,
    unit_keys: OpenKeys,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let registry = Registry::load(None).expect("the embedded definitions are whole");
    let mut keys = "shoal-keys 1\n".to_owned();
    for region in Region::ALL {
        writeln!(keys, "{region} {}", "5a".repeat(32)).expect("a text takes any text");
    }
    World {
        layout: RowLayout::new(&registry),
        registry,
        keyring: Keyring::parse(&keys).expect("each region has a key"),
        scrubber: Scrubber::embedded().expect("the embedded patterns are whole"),
        config: PipelineConfig { limits: LIMITS, ..PipelineConfig::DEFAULT },
        grant: IngestGrant {
            key_id: "k".to_owned(),
            kind: KeyKind::Shipped,
            app: "camera".to_owned(),
            programme: Some(Programme::UserExperience),
            asserted_policy: Some("2026-1".to_owned()),
            consent_category: Some("analytics".to_owned()),
            regions: Region::ALL.to_vec(),
        },
        unit_keys: OpenKeys::default(),
    }
});

fn request(protocol: Protocol, body: &[u8]) -> Request<'_> {
    Request {
        protocol,
        content_type: None,
        content_encoding: None,
        message_type: None,
        body,
        peer: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        received_ms: NOW_MS,
    }
}

/// A body of the native protocol.
pub fn native(bytes: &[u8]) -> bool {
    body(Protocol::Native, bytes)
}

/// A body of Segment's protocol.
pub fn segment(bytes: &[u8]) -> bool {
    wire::segment_write_key(bytes, None);
    body(Protocol::Segment, bytes)
}

/// An envelope of Sentry's.
pub fn sentry(bytes: &[u8]) -> bool {
    body(Protocol::Sentry, bytes)
}

/// Every event of a body has one outcome, and a row if it is accepted. What is repaired is within the limit, and so is each message
/// that is whole in a body that is not.
fn body(protocol: Protocol, bytes: &[u8]) -> bool {
    let world = &*WORLD;
    let gate = Gate {
        registry: &world.registry,
        layout: &world.layout,
        keyring: &world.keyring,
        scrubber: &world.scrubber,
        consents: &Nothing,
        config: &world.config,
        geo: None,
        unit_keys: &world.unit_keys,
    };
    protocol_of(bytes, None);
    let piped = run(&request(protocol, bytes), &world.grant, &gate, NOW_MS);
    if let Some(repaired) = wire::repaired(protocol, bytes, &LIMITS) {
        assert!(repaired.len() <= LIMITS.inflated_bytes_max, "{} bytes", repaired.len());
        let _ = wire::decode(&request(protocol, &repaired), &repaired, &world.registry, &LIMITS);
    }
    for message in wire::whole_messages(protocol, bytes, 4) {
        assert!(message.len() <= bytes.len() + 64, "{} bytes of {}", message.len(), bytes.len());
        let _ = wire::decode(&request(protocol, &message), &message, &world.registry, &LIMITS);
    }
    let Ok(piped) = piped else { return false };
    let rows: usize = piped.batches.iter().map(|batch| batch.rows().len()).sum();
    assert_eq!(rows, piped.outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count());
    for batch in &piped.batches {
        assert!(batch.rows().is_empty() || super::rows(batch.bytes()), "what was encoded is decoded");
    }
    let answer = piped.into_answer(KeyKind::Server);
    assert_eq!(answer.received, answer.accepted + answer.withheld + answer.rejected);
    wire::answer(protocol, &wire::protocol::Told { content_type: None, outcome: Ok(&answer) });
    true
}

/// A body of `POST /v1/consents`.
pub fn consents(bytes: &[u8]) -> bool {
    let World { registry, keyring, grant, .. } = &*WORLD;
    let reader = Reader { grant, registry, keyring, limits: &LIMITS };
    let read = consents::read(&request(Protocol::Native, bytes), &reader);
    read.is_ok_and(|body| !body.changes.is_empty())
}

/// A body in any encoding. No more comes out than the limits allow.
pub fn inflate(bytes: &[u8]) -> bool {
    let mut is_read = false;
    for encoding in [None, Some("gzip"), Some("deflate"), Some("br"), Some("zstd")] {
        if let Ok(inflated) = stage::inflate(bytes, encoding, &LIMITS) {
            let is_compressed = inflated != bytes;
            is_read |= is_compressed;
            assert!(inflated.len() <= LIMITS.inflated_bytes_max, "{} bytes", inflated.len());
        }
        if let Some((begun, _)) = stage::beginning(bytes, encoding, 1_000) {
            assert!(begun.len() <= 1_000 || begun == bytes, "{} bytes", begun.len());
        }
    }
    is_read
}
