//! `POST /v1/validate`: what would become of a body of any protocol if nothing were recorded about anybody, and nothing is kept.
//!
//! Invariant: the answer has the form of `POST /v1/events`, whatever the body is, so that who sends with an SDK sees what its answers
//! do not tell.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use shoal_ingest::{RefusalCode, protocol_of};
use shoal_schemas::Protocol;

use super::incoming::incoming;
use crate::http::answers;
use crate::http::auth::{self, Presented};
use crate::http::described::{answered::BatchAnswer, sent::Events};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why events cannot be checked.
    Check, Native:
        refusals::KEY, refusals::BODY, refusals::ENCODING, refusals::JSON, refusals::STRICT, refusals::BATCH,
        refusals::JUDGING, &[ProblemType::BadRequest, ProblemType::Ingest(RefusalCode::BadEnvelope)],
);

/// Which protocol the body is of.
#[derive(Deserialize)]
pub(super) struct ValidateQuery {
    protocol: Option<String>,
}

/// Checks events without keeping them.
#[utoipa::path(
    post, path = "/v1/validate", tag = "ingest",
    summary = "Check events without keeping them",
    operation_id = "validate_events",
    description = "Consents that were recorded and events that were sent before do not count: only what the events themselves \
        and the key say. The body is one of `/v1/events`, of `/v1/batch` (or one message with its `type`) or an envelope of Sentry; which \
        one is seen by its content, or said by `protocol`. The form of the answer is that of `/v1/events` for the same key.",
    params(("protocol" = Option<String>, Query, description = "`native`, `segment` or `sentry`")),
    request_body(description = "As for /v1/events, /v1/batch or /api/{project}/envelope/",
        content((Events = "application/json"), (String = "application/x-ndjson"), (String = "application/x-sentry-envelope"))),
    responses(
        (status = 200, description = "What would become of each event", body = BatchAnswer),
        Check),
    security(("key" = []), ("basic" = []), ("key_in_query" = [])))]
pub(super) async fn validate(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
    asked: Result<web::Query<ValidateQuery>, actix_web::Error>,
) -> HttpResponse {
    let checked = async {
        let grant = auth::ingest(&state.keys, Presented::by_app(&http))?;
        let body = state.bodies.read(payload).await?;
        let mut request = incoming(&http, &state, Protocol::Native, &body);
        request.protocol = match said(asked)? {
            Some(protocol) => protocol,
            None => protocol_of(&body, request.content_encoding),
        };
        Ok(state.ingest.check(request, &grant).await?)
    };
    answers::answer(&http, Protocol::Native, checked.await)
}

/// The protocol that the address says.
fn said(asked: Result<web::Query<ValidateQuery>, actix_web::Error>) -> Result<Option<Protocol>, Problem> {
    let bad = || Problem::new(ProblemType::BadRequest, "protocol is native, segment or sentry");
    let asked = asked.map_err(|_| bad())?;
    asked.protocol.as_deref().map(|name| Protocol::parse(name).ok_or_else(bad)).transpose()
}
