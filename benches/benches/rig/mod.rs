//! What the benches of ingestion share: an `Ingest` over a directory of its own, who sends, and what is sent.
//! Not here: bodies (`shoal_benches::Bodies`), what is measured (each bench).

use std::path::Path;
use std::sync::Arc;

use shoal_ingest::{
    Ingest, IngestConfig, IngestGrant, IngestParts, KeyKind, Metrics, Request, UnitKeyConfig,
};
use shoal_privacy::consent::ConsentRecord;
use shoal_privacy::keyring::Keyring;
use shoal_schemas::{Protocol, Region, Registry};
use shoal_storage::{Consents, EpochKeys, Refused, Store};

/// The parts over a directory, with keys that nobody knows.
pub(crate) async fn parts(dir: &Path, consents: Consents<ConsentRecord>, clock: fn() -> i64) -> IngestParts {
    IngestParts {
        definitions: Arc::new(Registry::load(None).unwrap()).into(),
        keyring: Arc::new(Keyring::ephemeral()),
        epoch_keys: EpochKeys::ephemeral(),
        consents: Arc::new(consents),
        refused: Refused::default(),
        store: Store::open(&url::Url::from_directory_path(dir).unwrap()).await.unwrap(),
        clock: Arc::new(clock),
        served: Arc::new(clock),
        settled: Arc::new(clock),
        metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
        geo: None,
    }
}

/// What takes events into a directory.
pub(crate) async fn open(dir: &Path, parts: IngestParts) -> Ingest {
    let unit_keys = UnitKeyConfig { dir: dir.join("unit-keys"), ..UnitKeyConfig::default() };
    let config = IngestConfig { data_dir: dir.to_path_buf(), unit_keys, ..IngestConfig::default() };
    Ingest::open(config, parts).await.unwrap()
}

/// An app that may send to all regions and asserts nothing.
pub(crate) fn grant(kind: KeyKind) -> IngestGrant {
    IngestGrant {
        key_id: "bench".into(),
        kind,
        app: "camera".into(),
        programme: None,
        asserted_policy: None,
        consent_category: None,
        regions: Region::ALL.to_vec(),
    }
}

/// A request of the own protocol.
pub(crate) fn request(body: &[u8], received_ms: i64) -> Request<'_> {
    Request {
        protocol: Protocol::Native,
        content_type: Some("application/json"),
        content_encoding: None,
        message_type: None,
        body,
        peer: None,
        received_ms,
    }
}
