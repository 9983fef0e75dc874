//! `POST /v1/consents`: a consent is granted or withdrawn. Durable when it is answered.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_schemas::Protocol;

use super::incoming::incoming;
use crate::answers::{self, Dialect};
use crate::auth::{self, Presented};
use crate::state::State;

/// Records a consent.
#[utoipa::path(
    post, path = "/v1/consents", tag = "ingest",
    summary = "Grant or withdraw consent",
    description = "Kept under a keyed digest of the identifier that cannot be joined with events. A withdrawal beats every \
        consent that was given before it.",
    request_body(content = serde_json::Value, example = json!({
        "programme": "user-experience", "action": "grant", "policy_version": "2026-1", "user_id": "u-1", "country": "DE"})),
    responses(
        (status = 200, description = "Recorded", body = serde_json::Value),
        (status = 401, description = "No valid ingest key"),
        (status = 422, description = "Not a consent"),
        (status = 503, description = "Cannot record it now; see Retry-After")),
    security(("key" = [])))]
pub(super) async fn record(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let recorded = async {
        let grant = auth::ingest(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        state.ingest.record_consent(incoming(&http, &state, Protocol::Native, &body), &grant).await
    };
    match recorded.await {
        Ok(answer) => HttpResponse::Ok().json(answer),
        Err(refusal) => answers::refusal(Dialect::Native, &refusal),
    }
}
