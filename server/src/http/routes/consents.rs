//! `POST /v1/consents`: a consent is granted or withdrawn. Durable when it is answered.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_ingest::{ConsentAnswer as ConsentRecorded, Refusal, Withdrawn};
use shoal_schemas::Protocol;

use super::incoming::incoming;
use crate::http::auth::{self, Presented, Sender};
use crate::http::described::{answered::ConsentAnswer, sent::Consents};
use crate::http::refusals::{self, refusals};
use crate::problem::Problem;
use crate::state::State;

refusals!(
    /// Why a consent is not recorded.
    Consent, Native: refusals::KEY, refusals::BODY, refusals::ENCODING, refusals::CONSENT
);

/// Records a consent.
#[utoipa::path(
    post, path = "/v1/consents", tag = "ingest",
    summary = "Grant or withdraw consent",
    operation_id = "record_consents",
    description = "Kept under a keyed digest of the identifier that cannot be joined with events. A withdrawal beats every \
        consent that is not recorded after it. It is for every region that the key may write to, needs no country, and is \
        answered with 200 when it is durable in all of them; otherwise with 503. A grant that says that it is older than a \
        recorded withdrawal changes nothing, and is answered as any other. Grants with a shipped key have a rate; withdrawals have none. A \
        list may have a thousand changes, one of withdrawals alone ten thousand; changes may also come one a line. Of a list in which a \
        change is wrong, which is cut, or whose grants must come later, the withdrawals are recorded, and the refusal says how many. A key that \
        has expired still withdraws, and is refused for grants; so does one that ships in apps and was revoked. The answer does not tell what was recorded before.",
    request_body(content((Consents = "application/json", example = json!({
        "programme": "user-experience", "action": "grant", "policy_version": "2026-1", "user_id": "u-1", "country": "DE"})),
        (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "Recorded, in these regions", body = ConsentAnswer,
            example = json!({"recorded": 1, "regions": ["DE"], "identifiers": ["user_id"]})),
        Consent),
    security(("key" = []), ("basic" = []), ("key_in_query" = [])))]
pub(super) async fn record(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let recorded = async {
        let Sender { grant, ended } = auth::sender(&state.keys, Presented::by_app(&http))?;
        let body = state.bodies.read_consents(payload).await?;
        let request = incoming(&http, &state, Protocol::Native, &body);
        match ended {
            None => Ok(state.ingest.record_consent(request, &grant).await?),
            Some(ended) => with_ended(state.ingest.record_withdrawals(request, &grant).await, ended),
        }
    };
    let recorded: Result<_, Problem> = recorded.await;
    match recorded {
        Ok(answer) => HttpResponse::Ok().json(answer),
        Err(problem) => problem.response(),
    }
}

/// The answer where the key has ended: whoever withdraws is told so, and for all else the key is refused.
fn with_ended(withdrawn: Result<Withdrawn, Refusal>, ended: Problem) -> Result<ConsentRecorded, Problem> {
    match withdrawn.map_err(Problem::from) {
        Ok(Withdrawn { recorded: Some(recorded), is_all: true }) => Ok(recorded),
        Ok(Withdrawn { recorded: Some(recorded), .. }) => {
            let told = format!("; withdrawals that are recorded all the same: {}", recorded.recorded);
            Err(Problem::new(ended.of, ended.detail + &told))
        }
        Err(problem) if problem.of.later().is_some() => Err(problem),
        Ok(_) | Err(_) => Err(ended),
    }
}
