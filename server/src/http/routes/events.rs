//! `POST /v1/events` (native) and `POST /v1/batch` (what Segment SDKs send).

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_ingest::Request;
use shoal_schemas::Protocol;

use super::incoming::{incoming, take};
use crate::http::answers;
use crate::http::auth::{self, Presented};
use crate::http::described::vendors::{SegmentAnswer, SegmentBody};
use crate::http::described::{answered::BatchAnswer, sent::Events};
use crate::http::refusals::{self, refusals};
use crate::state::State;

refusals!(
    /// Why native events are refused.
    Native, Native:
        refusals::KEY, refusals::BODY, refusals::ENCODING, refusals::JSON, refusals::STRICT, refusals::BATCH,
        refusals::KEEPING,
);

refusals!(
    /// Why what a Segment SDK sends is refused.
    Segment, Segment:
        refusals::KEY, refusals::BODY, refusals::ENCODING, refusals::JSON, refusals::BATCH, refusals::KEEPING,
);

/// Takes native events.
#[utoipa::path(
    post, path = "/v1/events", tag = "ingest",
    summary = "Send events",
    operation_id = "send_events",
    description = "JSON (`{\"consent\", \"context\", \"events\": [..]}` or an array) or NDJSON; identity, gzip, deflate, br or zstd. An event \
        without an id is told from a resend by its content and its time. What a batch sets for all events and cannot be read is \
        left out and named in `batch_faults`; of a body that is cut the whole events count, and the rest is one that is rejected. With a \
        server key the answer says for each event whether it was accepted (it is on the disk), a duplicate, withheld for lack \
        of consent, or rejected, and counts each. With a shipped key, which anybody can read out of an app, the first three \
        are one word, `taken`, so that no answer tells who has opted in.",
    request_body(description = "Events", content((Events = "application/json", example = json!({
        "sent_at": "2026-11-22T10:00:01Z",
        "consent": {"policy_version": "2026-1", "granted_at": "2026-11-01T09:00:00Z"},
        "events": [{"id": "5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11", "event": "screen_view", "time": "2026-11-22T10:00:00Z",
            "user_id": "u-1", "country": "DE", "properties": {"screen": "home"}}]})),
        (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "What became of each event", body = BatchAnswer, example = json!({
            "received": 1, "taken": 1, "rejected": 0, "dropped_properties": 0, "skipped_items": 0,
            "events": [{"status": "taken"}]})),
        Native),
    security(("key" = []), ("basic" = []), ("key_in_query" = [])))]
pub(super) async fn native(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let taken = async {
        let sender = auth::sender(&state.keys, Presented::by_app(&http))?;
        let body = state.bodies.read(payload).await?;
        take(&state, incoming(&http, &state, Protocol::Native, &body), sender).await
    };
    answers::answer(&http, Protocol::Native, taken.await)
}

/// Takes what a Segment SDK sends.
#[utoipa::path(
    post, path = "/v1/batch", tag = "ingest",
    summary = "Send events with a Segment SDK",
    operation_id = "send_segment_batch",
    description = "The write key is an ingest key, in a header, the address, or `writeKey` of the body. Bad events and events without consent are counted, and the answer is still \
        success, so that the SDK does not send them for ever. The same is served at `/v1/import` and `/v1/b`, and for one message at \
        `/v1/track`, `/v1/identify`, `/v1/page`, `/v1/screen`, `/v1/group`, `/v1/alias`, `/v1/t`, `/v1/i`, `/v1/p`, `/v1/s`, `/v1/g` \
        and `/v1/a`, which say its type when it does not.",
    request_body(content = SegmentBody, description = "A batch as Segment SDKs send it"),
    responses(
        (status = 200, description = "Taken", body = SegmentAnswer, example = json!({"success": true})),
        Segment),
    security(("key" = []), ("basic" = []), ("key_in_query" = []), ()))]
pub(super) async fn segment(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let taken = async {
        // Before the body is read: a key that never was costs nothing.
        let known = match Presented::by_app(&http) {
            None => None,
            presented => Some(auth::sender(&state.keys, presented)?),
        };
        let (sender, body) = match known {
            Some(sender) => (sender, state.bodies.read(payload).await?),
            None => {
                let body = state.bodies.read_of_stranger(payload).await?;
                let presented = Presented::in_segment_body(&http, body.shared()).await;
                (auth::sender(&state.keys, presented)?, state.bodies.known(body)?)
            }
        };
        let request = incoming(&http, &state, Protocol::Segment, &body);
        let request = Request { message_type: message_type(http.path()), ..request };
        take(&state, request, sender).await
    };
    answers::answer(&http, Protocol::Segment, taken.await)
}

/// The type of a message that says none itself, by where it was sent; none where batches are.
fn message_type(path: &str) -> Option<&'static str> {
    match path.trim_end_matches('/').rsplit('/').next()? {
        "track" | "t" => Some("track"),
        "identify" | "i" => Some("identify"),
        "page" | "p" => Some("page"),
        "screen" | "s" => Some("screen"),
        "group" | "g" => Some("group"),
        "alias" | "a" => Some("alias"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_message_names_its_type() {
        for (path, named) in [
            ("/v1/track", Some("track")),
            ("/v1/t/", Some("track")),
            ("/k/page/v1/screen", Some("screen")),
            ("/v1/alias", Some("alias")),
            ("/v1/g", Some("group")),
            ("/v1/batch", None),
            ("/v1/b", None),
            ("/v1/import/", None),
        ] {
            assert_eq!(message_type(path), named, "{path}");
        }
    }
}
