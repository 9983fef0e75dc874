//! `POST /api/{project}/envelope/`: what Sentry SDKs send. The project is not looked at: the key says which app it is.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_ingest::RefusalCode;
use shoal_schemas::Protocol;

use super::incoming::{incoming, take};
use crate::http::answers;
use crate::http::auth::{self, Presented};
use crate::http::described::vendors::SentryAnswer;
use crate::http::refusals::{self, refusals};
use crate::problem::ProblemType;
use crate::state::State;

refusals!(
    /// Why what a Sentry SDK sends is refused.
    Sentry, Sentry:
        refusals::PLACE, refusals::KEY, refusals::BODY, refusals::ENCODING, refusals::BATCH, refusals::KEEPING,
        &[ProblemType::Ingest(RefusalCode::BadEnvelope)],
);

/// Takes a Sentry envelope.
#[utoipa::path(
    post, path = "/api/{project}/envelope/", tag = "ingest",
    summary = "Send crashes, transactions and sessions with a Sentry SDK",
    operation_id = "send_sentry_envelope",
    description = "The DSN is `http://<id>_<secret>@host:port/1`. `Authorization` takes what `X-Sentry-Auth` does. Items that Shoal does not keep are skipped and counted.",
    params(("project" = String, Path, description = "Any number; the key says which app it is")),
    request_body(content = String, content_type = "application/x-sentry-envelope"),
    responses(
        (status = 200, description = "Taken", body = SentryAnswer,
            example = json!({"id": "fc6d8c0c43fc4630ad850ee518f1b9d0"})),
        Sentry),
    security(("sentry_header" = []), ("sentry_query" = []), ("key_in_query" = [])))]
pub(super) async fn envelope(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let taken = async {
        let sender = auth::sender(&state.keys, Presented::in_sentry_request(&http))?;
        let body = state.bodies.read(payload).await?;
        take(&state, incoming(&http, &state, Protocol::Sentry, &body), sender).await
    };
    answers::answer(&http, Protocol::Sentry, taken.await)
}
