//! What a key is told of itself (`access_keys/shown.rs`, `routes/keys.rs`, `shoal-ingest`, `senders/tally.rs`).
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use utoipa::ToSchema;

use super::{ProgrammeWord, ProtocolWord, RegionWord, forms};

forms! {
    /// The answer of `GET /v1/keys/self`.
    OwnKey: "OwnKey", "The key that asks", OneOfBuilder [IngestKey, AnalystKey];
}

/// A key that sends events.
#[derive(ToSchema)]
struct IngestKey {
    /// The part before the point
    id: String,
    name: String,
    role: IngestRole,
    kind: IngestKind,
    app: String,
    /// The one programme that it may send; null where it may send both
    #[schema(required = true)]
    programme: Option<ProgrammeWord>,
    /// The policy version under which every subject of the app has opted in
    #[schema(required = true)]
    policy: Option<String>,
    #[schema(required = true)]
    consent_category: Option<String>,
    regions: Vec<RegionWord>,
    #[schema(required = true)]
    expires_at: Option<String>,
    counters_of: CountersOf,
    /// What became of what came with the key; null where that is not shown
    #[schema(required = true)]
    counters: Option<Counters>,
    /// Why `counters` is null
    #[schema(nullable = false)]
    counters_missing: Option<String>,
}

/// A key that asks questions.
#[derive(ToSchema)]
struct AnalystKey {
    /// The part before the point
    id: String,
    name: String,
    role: AnalystRole,
    regions: Vec<RegionWord>,
    #[schema(required = true)]
    expires_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum IngestRole {
    Ingest,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AnalystRole {
    Analyst,
    Officer,
}

/// Where the key is kept
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum IngestKind {
    Shipped,
    Server,
}

/// Whether what is counted came with the key, or with it from the network of whoever asks
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum CountersOf {
    Key,
    Network,
}

/// What became of events, since a time. Which outcomes are told depends on the key's kind.
#[derive(ToSchema)]
struct Counters {
    since: String,
    now: String,
    received: u64,
    #[schema(nullable = false)]
    taken: Option<u64>,
    #[schema(nullable = false)]
    accepted: Option<u64>,
    #[schema(nullable = false)]
    duplicate: Option<u64>,
    #[schema(nullable = false)]
    withheld: Option<u64>,
    rejected: u64,
    dropped_properties: u64,
    skipped_items: u64,
    events: Vec<EventCount>,
    /// Requests that were refused as a whole
    refused: Vec<RefusedCount>,
    /// The last reasons, the latest first
    reasons: Vec<LastReason>,
}

/// So many events of one outcome.
#[derive(ToSchema)]
struct EventCount {
    protocol: ProtocolWord,
    /// The declared name
    #[schema(required = true)]
    event: Option<String>,
    outcome: String,
    #[schema(required = true)]
    code: Option<String>,
    events: u64,
}

/// So many requests of one code.
#[derive(ToSchema)]
struct RefusedCount {
    protocol: ProtocolWord,
    code: String,
    requests: u64,
}

/// Why events were not kept.
#[derive(ToSchema)]
struct LastReason {
    at: String,
    protocol: ProtocolWord,
    /// The declared name
    #[schema(required = true)]
    event: Option<String>,
    outcome: String,
    #[schema(required = true)]
    code: Option<String>,
    #[schema(required = true)]
    field: Option<String>,
    events: u64,
}
