//! `POST /v1/subjects/erase` and `GET /v1/subjects/requests/{id}`: for officers. Nothing that is told depends on whether there is a row of
//! anybody: such keys can ask questions, too (`erasures.rs`).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::erasures::{self, EraseAsked};
use crate::http::auth::{self, Presented};
use crate::http::described::{ProgrammeWord, RegionWord};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why an erasure does not begin.
    Erase, Native: refusals::KEY, refusals::BODY,
        &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::Failed]
);

refusals!(
    /// Why the state of a request is not told.
    Told, Native: refusals::KEY, &[ProblemType::NoSuchRequest]
);

/// A person, by identifiers: one at least is there. A single text does for a list of one.
#[derive(Serialize, ToSchema)]
#[schema(as = NamedSubject)]
struct NamedSubject {
    #[schema(required = false)]
    user_id: Vec<String>,
    #[schema(required = false)]
    install_id: Vec<String>,
    #[schema(required = false)]
    device_id: Vec<String>,
    #[schema(required = false)]
    serial_number: Vec<String>,
}

/// Whose rows are erased, and where.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectErasure)]
struct SubjectErasure {
    /// The same persons sent again with the same key are the same request.
    #[schema(required = false)]
    idempotency_key: String,
    /// 1 to 10,000 persons.
    subjects: Vec<NamedSubject>,
    /// All, when it is left out.
    #[schema(required = false, value_type = Vec<ProgrammeWord>)]
    programmes: Vec<String>,
    /// All regions of the key, when it is left out.
    #[schema(required = false, value_type = Vec<RegionWord>)]
    regions: Vec<String>,
}

/// How far a request has come.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectRequest)]
struct SubjectRequest {
    /// What it is called here.
    #[schema(format = "uuid")]
    request: String,
    /// `erase`
    act: String,
    /// `running`, or `done` when nothing of the persons is left in any region of the request.
    state: String,
    regions: Vec<SubjectRequestRegion>,
}

/// The same in one region.
#[derive(Serialize, ToSchema)]
struct SubjectRequestRegion {
    #[schema(value_type = RegionWord)]
    region: String,
    /// `running` or `done`
    state: String,
    /// When it was done.
    #[schema(required = false, format = DateTime)]
    done_at: String,
}

/// Erases persons.
#[utoipa::path(post, path = "/v1/subjects/erase", tag = "rights", summary = "Erase everything that is kept of persons",
    operation_id = "erase_subjects",
    description = "What they have granted is withdrawn, their rows are in no answer to a question that begins after this one is answered, \
        and go from the tables and from the disk within the hour. Released numbers stay as they are. Nothing tells whether there was a row.",
    request_body(content = SubjectErasure,
        example = json!({"idempotency_key": "account-4711", "subjects": [{"user_id": "u-1", "install_id": ["i-1", "i-2"]}]})),
    responses(
        (status = 200, description = "It is recorded and in force; the rows go now", body = SubjectRequest),
        Erase),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn erase(http: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let wanted = async {
        let officer = auth::officer(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        let asked = serde_json::from_slice::<EraseAsked>(&body).map_err(|_| {
            let form = "the body must be {\"subjects\": [{\"user_id\": \"..\"}, ..]}, with programmes, regions and idempotency_key if need be";
            Problem::new(ProblemType::BadRequest, form)
        })?;
        Ok::<_, Problem>((asked.checked(&officer.regions)?, officer.actor()))
    };
    let (wanted, actor) = match wanted.await {
        Ok(wanted) => wanted,
        Err(problem) => return problem.response(),
    };
    // On its own task: a client that goes away leaves nothing half done.
    let (background, own) = (state.background.clone(), state.clone());
    let begun = background.spawn(async move { erasures::begin(&own, wanted, actor).await });
    match begun.await {
        Ok(Ok(told)) => HttpResponse::Ok().json(told),
        Ok(Err(problem)) => problem.response(),
        Err(_) => Problem::new(ProblemType::Failed, "the erasure broke off; send it again").response(),
    }
}

/// Tells how far a request has come.
#[utoipa::path(get, path = "/v1/subjects/requests/{id}", tag = "rights", summary = "How far a request has come",
    operation_id = "subject_request",
    params(("id" = String, Path, description = "`request` of the answer to it", format = "uuid")),
    responses(
        (status = 200, description = "Its state in each region", body = SubjectRequest),
        Told),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn told(http: HttpRequest, state: web::Data<State>, id: web::Path<String>) -> HttpResponse {
    if let Err(problem) = auth::officer(&state.keys, Presented::in_header(&http)) {
        return problem.response();
    }
    let found = Uuid::parse_str(&id).ok().and_then(|id| erasures::told(&state, id));
    match found {
        Some(told) => HttpResponse::Ok().json(told),
        None => Problem::new(ProblemType::NoSuchRequest, "no request is called that, or it was forgotten")
            .response(),
    }
}
