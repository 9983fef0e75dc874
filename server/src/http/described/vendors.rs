//! What vendors' SDKs send and are told (`shoal-ingest`, `wire/segment/`, `wire/sentry/`). Their makers document the whole forms.
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::answered::Fault;
use super::{Scalar, forms};

forms! {
    /// The body of `POST /v1/batch`.
    SegmentBody: "SegmentBody", "A batch of messages, or one of them", AnyOfBuilder [SegmentBatch, SegmentMessage];
}

/// A batch as Segment's SDKs send it.
#[derive(ToSchema)]
struct SegmentBatch {
    batch: Vec<SegmentMessage>,
    /// An ingest key, where no header has one
    #[schema(rename = "writeKey", nullable = false)]
    write_key: Option<String>,
    #[schema(rename = "sentAt", nullable = false)]
    sent_at: Option<String>,
}

/// A message as Segment's SDKs send it.
#[derive(ToSchema)]
struct SegmentMessage {
    /// `track`, `page`, `screen` and so on
    #[schema(rename = "type", nullable = false)]
    of: Option<String>,
    #[schema(rename = "messageId", nullable = false)]
    message_id: Option<String>,
    /// The name of a `track`
    #[schema(nullable = false)]
    event: Option<String>,
    /// The name of a `page` or `screen`
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(rename = "userId", nullable = false)]
    user_id: Option<String>,
    #[schema(rename = "anonymousId", nullable = false)]
    anonymous_id: Option<String>,
    #[schema(nullable = false)]
    timestamp: Option<String>,
    #[schema(nullable = false)]
    properties: Option<BTreeMap<String, Scalar>>,
}

/// What Segment's SDKs are told when their request is taken.
#[derive(ToSchema)]
pub(in crate::http) struct SegmentAnswer {
    success: bool,
    /// What is wrong with fields that the batch sets for all of its messages; left out where nothing is
    #[schema(nullable = false)]
    batch_faults: Option<Vec<Fault>>,
}

/// What Segment's SDKs are told when their request is refused.
#[derive(ToSchema)]
pub(in crate::http) struct SegmentRefusal {
    /// The stable word, as in a problem
    code: String,
    /// What is wrong this time
    message: String,
}

/// What Sentry's SDKs are told when their envelope is taken.
#[derive(ToSchema)]
pub(in crate::http) struct SentryAnswer {
    /// The id of the envelope, where it has one
    #[schema(nullable = false)]
    id: Option<String>,
}

/// What Sentry's SDKs are told when their envelope is refused.
#[derive(ToSchema)]
pub(in crate::http) struct SentryRefusal {
    /// What is wrong this time
    detail: String,
    /// The stable word, as in a problem
    causes: Vec<String>,
}
