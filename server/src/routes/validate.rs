//! `POST /v1/validate`: everything that `POST /v1/events` would say, and nothing is kept.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_schemas::Protocol;

use super::events::finish;
use super::incoming::incoming;
use crate::answers::Dialect;
use crate::auth::{self, Presented};
use crate::state::State;

/// Checks events without keeping them.
#[utoipa::path(
    post, path = "/v1/validate", tag = "ingest",
    summary = "Check events without keeping them",
    request_body(content = serde_json::Value, description = "As for /v1/events"),
    responses(
        (status = 200, description = "What would become of each event", body = serde_json::Value),
        (status = 401, description = "No valid ingest key")),
    security(("key" = [])))]
pub(super) async fn validate(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let checked = async {
        let grant = auth::ingest(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        state.ingest.check(incoming(&http, &state, Protocol::Native, &body), &grant)
    };
    finish(Dialect::Native, checked.await)
}
