//! What the sender of events or consents is told (`shoal-ingest`, `answer.rs`, `consents/recorded.rs`).
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use utoipa::ToSchema;

use super::{RegionWord, forms};

forms! {
    /// The answer to a batch of native events.
    BatchAnswer: "BatchAnswer", "What became of each event: in full to a server key, in one word to a shipped one",
        OneOfBuilder [TakenBatch, JudgedBatch];
}

/// What a shipped key is told of a batch.
#[derive(ToSchema)]
struct TakenBatch {
    /// Events in the request
    received: u64,
    /// Events that are not rejected
    taken: u64,
    /// Events that have something wrong
    rejected: u64,
    /// Properties that were left out
    dropped_properties: u64,
    /// Parts of the request that are no event
    skipped_items: u64,
    /// Identifiers that name nobody; left out where there are none
    #[schema(nullable = false)]
    placeholder_identifiers: Option<u64>,
    /// What is wrong with fields that the batch sets for all of its events; left out where nothing is
    #[schema(nullable = false)]
    batch_faults: Option<Vec<Fault>>,
    /// Declared names that were probably meant by names that were left out; left out where there are none
    #[schema(nullable = false)]
    did_you_mean: Option<Vec<Meant>>,
    /// One for each event, in the order of the request
    events: Vec<TakenEvent>,
}

/// What a server key is told of a batch.
#[derive(ToSchema)]
struct JudgedBatch {
    /// Events in the request
    received: u64,
    /// Events that are durable now
    accepted: u64,
    /// Events that were durable before
    duplicate: u64,
    /// Events that have nothing wrong and are not kept
    withheld: u64,
    /// Events that have something wrong
    rejected: u64,
    /// Properties that were left out
    dropped_properties: u64,
    /// Parts of the request that are no event
    skipped_items: u64,
    /// Identifiers that name nobody; left out where there are none
    #[schema(nullable = false)]
    placeholder_identifiers: Option<u64>,
    /// What is wrong with fields that the batch sets for all of its events; left out where nothing is
    #[schema(nullable = false)]
    batch_faults: Option<Vec<Fault>>,
    /// Declared names that were probably meant by names that were left out; left out where there are none
    #[schema(nullable = false)]
    did_you_mean: Option<Vec<Meant>>,
    /// One for each event, in the order of the request
    events: Vec<JudgedEvent>,
}

/// What a shipped key is told of an event.
#[derive(ToSchema)]
struct TakenEvent {
    status: TakenStatus,
    /// What is wrong, as a stable word; where it is rejected
    #[schema(nullable = false)]
    code: Option<String>,
    /// The field or the declared property that is wrong, where it is one
    #[schema(nullable = false)]
    field: Option<String>,
    /// What is wrong, in a sentence; where it is rejected
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The declared name that was probably meant, where there is one
    #[schema(nullable = false)]
    did_you_mean: Option<String>,
}

/// What became of an event, to a shipped key
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum TakenStatus {
    Taken,
    Rejected,
}

/// What a server key is told of an event.
#[derive(ToSchema)]
struct JudgedEvent {
    status: JudgedStatus,
    /// Why it is withheld or rejected, as a stable word
    #[schema(nullable = false)]
    code: Option<String>,
    /// The field or the declared property that is wrong, where it is one
    #[schema(nullable = false)]
    field: Option<String>,
    /// What is wrong, in a sentence; where it is rejected
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The declared name that was probably meant, where there is one
    #[schema(nullable = false)]
    did_you_mean: Option<String>,
}

/// What became of an event, to a server key
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum JudgedStatus {
    Accepted,
    Duplicate,
    Withheld,
    Rejected,
}

/// What is wrong with a field of a batch.
#[derive(ToSchema)]
pub(super) struct Fault {
    /// A stable word
    code: String,
    /// The field, where it is one
    #[schema(nullable = false)]
    field: Option<String>,
    /// A sentence
    reason: String,
    /// The declared name that was probably meant, where there is one
    #[schema(nullable = false)]
    did_you_mean: Option<String>,
}

/// A declared name that was probably meant.
#[derive(ToSchema)]
struct Meant {
    /// A field of the protocol, or a property
    name: String,
    /// The event whose property it is
    #[schema(nullable = false)]
    event: Option<String>,
    /// So many names were left out that probably mean it
    count: u64,
}

/// What a change of consent is answered with; nothing of what was recorded before.
#[derive(ToSchema)]
pub(in crate::http) struct ConsentAnswer {
    /// Grants and withdrawals in the request; all are durable
    recorded: u64,
    /// The regions in which they are
    regions: Vec<RegionWord>,
    /// The kinds of identifiers under which they are: `user_id`, `install_id`, `device_id`, `serial_number`
    identifiers: Vec<String>,
}
