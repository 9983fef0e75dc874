//! `POST /api/{project}/envelope/`: what Sentry SDKs send. The project is not looked at: the key says which app it is.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_schemas::Protocol;

use super::events::finish;
use super::incoming::incoming;
use crate::answers::Dialect;
use crate::auth::{self, Presented};
use crate::state::State;

/// Takes a Sentry envelope.
#[utoipa::path(
    post, path = "/api/{project}/envelope/", tag = "ingest",
    summary = "Send crashes, transactions and sessions with a Sentry SDK",
    description = "The DSN is `http://<id>_<secret>@host:port/1`. Items that Shoal does not keep are skipped and counted.",
    params(("project" = String, Path, description = "Any number; the key says which app it is")),
    request_body(content = String, content_type = "application/x-sentry-envelope"),
    responses(
        (status = 200, description = "Taken", body = serde_json::Value,
            example = json!({"id": "fc6d8c0c43fc4630ad850ee518f1b9d0"})),
        (status = 401, description = "No valid ingest key"),
        (status = 429, description = "Cannot take it now; see Retry-After")),
    security(("key" = [])))]
pub(super) async fn envelope(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let taken = async {
        let grant = auth::ingest(&state.keys, Presented::in_sentry_request(&http))?;
        let body = state.bodies.read(payload).await?;
        state.ingest.accept(incoming(&http, &state, Protocol::Sentry, &body), &grant).await
    };
    finish(Dialect::Sentry, taken.await)
}
