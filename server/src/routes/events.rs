//! `POST /v1/events` (native) and `POST /v1/batch` (what Segment SDKs send).

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_ingest::{BatchAnswer, Refusal};
use shoal_schemas::Protocol;

use super::incoming::incoming;
use crate::answers::{self, Dialect};
use crate::auth::{self, Presented};
use crate::state::State;

/// Takes native events.
#[utoipa::path(
    post, path = "/v1/events", tag = "ingest",
    summary = "Send events",
    description = "JSON (`{\"consent\", \"context\", \"events\": [..]}` or an array) or NDJSON; identity, gzip or zstd. The answer \
        says for each event what became of it; an accepted event is on the disk.",
    request_body(content = serde_json::Value, description = "Events", example = json!({
        "sent_at": "2026-11-22T10:00:01Z",
        "consent": {"policy_version": "2026-1", "granted_at": "2026-11-01T09:00:00Z"},
        "events": [{"id": "5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11", "event": "screen_view", "time": "2026-11-22T10:00:00Z",
            "user_id": "u-1", "country": "DE", "properties": {"screen": "home"}}]})),
    responses(
        (status = 200, description = "What became of each event", body = serde_json::Value, example = json!({
            "received": 1, "accepted": 1, "duplicate": 0, "withheld": 0, "rejected": 0, "dropped_properties": 0,
            "skipped_items": 0, "events": [{"status": "accepted"}]})),
        (status = 401, description = "No valid ingest key"),
        (status = 413, description = "Too long, or too long when decompressed"),
        (status = 415, description = "Not JSON"),
        (status = 422, description = "Not the form of a batch"),
        (status = 429, description = "Too much at once; see Retry-After"),
        (status = 507, description = "The disk is nearly full")),
    security(("key" = [])))]
pub(super) async fn native(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let taken = async {
        let grant = auth::ingest(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        state.ingest.accept(incoming(&http, &state, Protocol::Native, &body), &grant).await
    };
    finish(Dialect::Native, taken.await)
}

/// Takes what a Segment SDK sends.
#[utoipa::path(
    post, path = "/v1/batch", tag = "ingest",
    summary = "Send events with a Segment SDK",
    description = "The write key is an ingest key. Bad events and events without consent are counted, and the answer is still \
        success, so that the SDK does not send them for ever.",
    request_body(content = serde_json::Value, description = "A batch as Segment SDKs send it"),
    responses(
        (status = 200, description = "Taken", body = serde_json::Value, example = json!({"success": true})),
        (status = 401, description = "No valid ingest key"),
        (status = 429, description = "Too much at once; see Retry-After"),
        (status = 503, description = "Cannot take it now; see Retry-After")),
    security(("key" = [])))]
pub(super) async fn segment(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let taken = async {
        let mut presented = Presented::in_header(&http);
        if presented.is_some() {
            // Before the body is read: a stranger costs nothing.
            auth::ingest(&state.keys, presented)?;
            presented = Presented::in_header(&http);
        }
        let body = state.bodies.read(payload).await?;
        let presented = presented.or_else(|| Presented::in_segment_body(&body));
        let grant = auth::ingest(&state.keys, presented)?;
        state.ingest.accept(incoming(&http, &state, Protocol::Segment, &body), &grant).await
    };
    finish(Dialect::Segment, taken.await)
}

pub(super) fn finish(dialect: Dialect, taken: Result<BatchAnswer, Refusal>) -> HttpResponse {
    match taken {
        Ok(answer) => answers::batch(dialect, &answer),
        Err(refusal) => answers::refusal(dialect, &refusal),
    }
}
