//! `POST /v1/subjects/access`: what is kept of a person, for that person. For account services, which have authenticated who asks; an officer's
//! key asks questions too, and whoever asks questions is told no row.
//!
//! Not here: what is told (`access.rs`).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::subjects::NamedSubject;
use crate::access::{self, AccessAsked};
use crate::http::auth::{self, Presented};
use crate::http::described::{ProgrammeWord, RegionWord, rights::SubjectPackage};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why nothing is handed over.
    Access, Native: refusals::KEY, refusals::BODY, refusals::JUDGING,
        &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::Busy, ProblemType::Failed]
);

/// Who is told, and of which region.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectAccess)]
pub(super) struct SubjectAccess {
    subject: NamedSubject,
    #[schema(value_type = RegionWord)]
    region: String,
    /// All, when it is left out.
    #[schema(required = false, value_type = Vec<ProgrammeWord>)]
    programmes: Vec<String>,
}

/// Tells what is kept of a person.
#[utoipa::path(post, path = "/v1/subjects/access", tag = "rights", summary = "What is kept of a person in a region",
    operation_id = "access_subject",
    description = "For the person, whom the account service has authenticated: rows under the identifiers that are named and no others, consents, and what \
        each field means, in one document of JSON. It is kept nowhere. The form is the same whether there is a row or not. Rows whose \
        processing is restricted are told, too.",
    request_body(content = SubjectAccess, example = json!({"subject": {"user_id": "u-1"}, "region": "DE"})),
    responses((status = 200, description = "The document", body = SubjectPackage), Access),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn access(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let asked = async {
        let service = auth::account_service(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        let asked: AccessAsked = serde_json::from_slice(&body).map_err(|_| {
            let form = "the body must be {\"subject\": {\"user_id\": \"..\"}, \"region\": \"DE\"}, with programmes if need be";
            Problem::new(ProblemType::BadRequest, form)
        })?;
        if !service.regions.contains(&asked.region) {
            return Err(Problem::new(ProblemType::NotAllowed, "the key does not reach this region"));
        }
        access::document(&state, asked, service.actor).await
    };
    match asked.await {
        Ok(document) => HttpResponse::Ok()
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"data.json\""))
            .body(document),
        Err(problem) => problem.response(),
    }
}
