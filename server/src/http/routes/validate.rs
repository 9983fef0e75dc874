//! `POST /v1/validate`: what `POST /v1/events` would say if nothing were recorded about anybody, and nothing is kept.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_schemas::Protocol;

use super::incoming::incoming;
use crate::http::answers;
use crate::http::auth::{self, Presented};
use crate::http::described::{answered::BatchAnswer, sent::Events};
use crate::http::refusals::{self, refusals};
use crate::state::State;

refusals!(
    /// Why events cannot be checked.
    Check, Native:
        refusals::KEY, refusals::BODY, refusals::ENCODING, refusals::JSON, refusals::STRICT, refusals::BATCH,
        refusals::JUDGING,
);

/// Checks events without keeping them.
#[utoipa::path(
    post, path = "/v1/validate", tag = "ingest",
    summary = "Check events without keeping them",
    operation_id = "validate_events",
    description = "Consents that were recorded and events that were sent before do not count: only what the events themselves \
        and the key say. The form of the answer is that of `/v1/events` for the same key.",
    request_body(description = "As for /v1/events", content((Events = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "What would become of each event", body = BatchAnswer),
        Check),
    security(("key" = []), ("basic" = []), ("key_in_query" = [])))]
pub(super) async fn validate(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let checked = async {
        let grant = auth::ingest(&state.keys, Presented::by_app(&http))?;
        let body = state.bodies.read(payload).await?;
        Ok(state.ingest.check(incoming(&http, &state, Protocol::Native, &body), &grant).await?)
    };
    answers::answer(&http, Protocol::Native, checked.await)
}
