//! `POST /v1/subjects/{erase, exclude, restrict, object}`, and `/v1/subjects/requests`: for officers. Nothing that is told depends on whether
//! there is a row of anybody: such keys can ask questions, too (`subjects.rs`). Account services may do what needs no weighing: erase, exclude,
//! and record an objection.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shoal_schemas::Region;
use tokio::task::JoinError;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::Error;
use crate::http::auth::{self, Presented};
use crate::http::described::{ProgrammeWord, RegionWord};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::receipts::Which;
use crate::state::State;
use crate::subjects::{self, ActWord, LiftAsked, SubjectsAsked};

refusals!(
    /// Why a request does not begin.
    Act, Native: refusals::KEY, refusals::BODY,
        &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::Busy, ProblemType::Failed]
);

refusals!(
    /// Why a restriction or an exclusion is not lifted.
    Lift, Native: refusals::KEY, refusals::BODY,
        &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::NoSuchRequest, ProblemType::Failed]
);

refusals!(
    /// Why receipts are not told.
    Receipt, Native: refusals::KEY,
        &[ProblemType::BadRequest, ProblemType::NotAllowed, ProblemType::NoSuchRequest, ProblemType::Failed]
);

refusals!(
    /// Why the requests in force are not listed.
    List, Native: refusals::KEY
);

refusals!(
    /// Why the state of a request is not told.
    Told, Native: refusals::KEY, &[ProblemType::NoSuchRequest]
);

/// A person, by identifiers: one at least is there. A single text does for a list of one.
#[derive(Serialize, ToSchema)]
#[schema(as = NamedSubject)]
pub(super) struct NamedSubject {
    #[schema(required = false)]
    user_id: Vec<String>,
    #[schema(required = false)]
    install_id: Vec<String>,
    #[schema(required = false)]
    device_id: Vec<String>,
    #[schema(required = false)]
    serial_number: Vec<String>,
}

/// Who is meant, and where.
#[derive(Serialize, ToSchema)]
#[schema(as = Subjects)]
struct Subjects {
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

/// Whose processing is restricted, where, why and until when at first.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectRestriction)]
struct SubjectRestriction {
    /// `accuracy`, `unlawful`, `legal-claim` or `objection`
    ground: String,
    /// Day on which it is looked at again, within a year.
    #[schema(format = Date)]
    review_on: String,
    #[serde(flatten)]
    subjects: Subjects,
}

/// Who objects, where, and what becomes of their rows.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectObjection)]
struct SubjectObjection {
    /// `erase`, as when it is left out, or `restrict`
    #[schema(required = false)]
    rows: String,
    /// Day on which a restriction is looked at again, within a year. It goes with `restrict`.
    #[schema(required = false, format = Date)]
    review_on: String,
    #[serde(flatten)]
    subjects: Subjects,
}

/// That a restriction or an exclusion ends.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectLift)]
struct SubjectLift {
    /// That the person was informed of it. It must be true.
    informed: bool,
}

/// How far a request has come.
#[derive(Serialize, ToSchema)]
#[schema(as = SubjectRequest)]
struct SubjectRequest {
    /// What it is called here.
    #[schema(format = "uuid")]
    request: String,
    /// `erase`, `exclude` or `restrict`; an objection is one of them.
    act: String,
    /// `running` while rows go; `in_force` until it is lifted; `lifted`; `done` when nothing of the persons is left in any region of the
    /// request.
    state: String,
    #[schema(format = DateTime)]
    asked_at: String,
    /// Why processing is restricted.
    #[schema(required = false)]
    ground: String,
    /// Day on which a restriction is looked at again.
    #[schema(required = false, format = Date)]
    review_on: String,
    regions: Vec<SubjectRequestRegion>,
}

/// The same in one region.
#[derive(Serialize, ToSchema)]
struct SubjectRequestRegion {
    #[schema(value_type = RegionWord)]
    region: String,
    /// `running`, `in_force`, `lifted` or `done`
    state: String,
    /// When the rows were gone.
    #[schema(required = false, format = DateTime)]
    done_at: String,
    /// When it was lifted.
    #[schema(required = false, format = DateTime)]
    lifted_at: String,
}

/// Those that stay in force until they are lifted.
#[derive(Serialize, ToSchema)]
struct SubjectRequests {
    requests: Vec<SubjectRequest>,
}

/// Erases persons.
#[utoipa::path(post, path = "/v1/subjects/erase", tag = "rights", summary = "Erase everything that is kept of persons",
    operation_id = "erase_subjects",
    description = "What they have granted is withdrawn, their rows are in no answer to a question that begins after this one is answered, \
        and go from the tables and from the disk within the hour. Released numbers stay as they are. Nothing tells whether there was a row.",
    request_body(content = Subjects,
        example = json!({"idempotency_key": "account-4711", "subjects": [{"user_id": "u-1", "install_id": ["i-1", "i-2"]}]})),
    responses((status = 200, description = "It is recorded and in force; the rows go now", body = SubjectRequest), Act),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn erase(http: HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    act(ActWord::Erase, http, payload, state).await
}

/// Excludes persons.
#[utoipa::path(post, path = "/v1/subjects/exclude", tag = "rights", summary = "Erase persons and keep nothing of them any more",
    operation_id = "exclude_subjects",
    description = "For a child who is found to take part, and whoever else may not: an erasure after which nothing new is kept either, \
        whatever is granted, until it is lifted.",
    request_body(content = Subjects, example = json!({"subjects": [{"install_id": "i-1"}]})),
    responses((status = 200, description = "It is recorded and in force; the rows go now", body = SubjectRequest), Act),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn exclude(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    act(ActWord::Exclude, http, payload, state).await
}

/// Restricts the processing of persons' data.
#[utoipa::path(post, path = "/v1/subjects/restrict", tag = "rights", summary = "Restrict the processing of what is kept of persons",
    operation_id = "restrict_subjects",
    description = "Their rows stay and are in no answer to a question that begins after this one is answered, and nothing new of them is kept, \
        until it is lifted. What they have granted stays as it is. Rows expire as they would without it.",
    request_body(content = SubjectRestriction,
        example = json!({"subjects": [{"user_id": "u-1"}], "ground": "accuracy", "review_on": "2027-01-31"})),
    responses((status = 200, description = "It is recorded and in force", body = SubjectRequest), Act),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn restrict(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    act(ActWord::Restrict, http, payload, state).await
}

/// Records that persons object.
#[utoipa::path(post, path = "/v1/subjects/object", tag = "rights", summary = "Record that persons object to the processing of their data",
    operation_id = "object_subjects",
    description = "What they have granted for these programmes is withdrawn, so nothing new of them is kept without a new grant. Their rows are in no \
        answer to a question that begins after this one is answered, and go, or are restricted until somebody has weighed the objection.",
    request_body(content = SubjectObjection,
        example = json!({"subjects": [{"user_id": "u-1"}], "programmes": ["user-experience"], "rows": "erase"})),
    responses((status = 200, description = "It is recorded and in force", body = SubjectRequest), Act),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn object(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    act(ActWord::Object, http, payload, state).await
}

async fn act(
    word: ActWord,
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let wanted = async {
        let presented = Presented::in_header(&http);
        let asker = match word {
            // Its ground is weighed by a person.
            ActWord::Restrict => auth::officer_for_persons(&state.keys, presented)?,
            _ => auth::for_persons(&state.keys, presented)?,
        };
        let body = state.bodies.read(payload).await?;
        let asked = serde_json::from_slice::<SubjectsAsked>(&body).map_err(|_| {
            let form = "the body must be {\"subjects\": [{\"user_id\": \"..\"}, ..]}, with programmes, regions, idempotency_key, ground, \
                review_on and rows if need be";
            Problem::new(ProblemType::BadRequest, form)
        })?;
        let wanted = asked.checked(word, &asker.regions, state.now_ms())?;
        state.account_room.enter(&asker.actor, wanted.persons.len(), state.ticks_ms())?;
        Ok::<_, Problem>((wanted, asker.actor))
    };
    let (wanted, actor) = match wanted.await {
        Ok(wanted) => wanted,
        Err(problem) => return problem.response(),
    };
    // On its own task: a client that goes away leaves nothing half done.
    let (background, own) = (state.background.clone(), state.clone());
    answered(background.spawn(async move { subjects::begin(&own, wanted, actor).await }).await)
}

fn answered(told: Result<Result<Value, Problem>, JoinError>) -> HttpResponse {
    match told {
        Ok(Ok(told)) => HttpResponse::Ok().json(told),
        Ok(Err(problem)) => problem.response(),
        Err(_) => Problem::new(ProblemType::Failed, "the request broke off; send it again").response(),
    }
}

/// Lifts a restriction or an exclusion.
#[utoipa::path(post, path = "/v1/subjects/requests/{id}/lift", tag = "rights", summary = "Lift a restriction or an exclusion",
    operation_id = "lift_subject_request",
    description = "What is kept of the persons is in answers again, and new events are kept where they have granted it. The person must be \
        informed before (GDPR, Article 18 (3)).",
    params(("id" = String, Path, description = "`request` of the answer to it", format = "uuid")),
    request_body(content = SubjectLift, example = json!({"informed": true})),
    responses((status = 200, description = "It is lifted in all of its regions", body = SubjectRequest), Lift),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn lift(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
    id: web::Path<String>,
) -> HttpResponse {
    let asked = async {
        let officer = auth::officer(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        let asked = serde_json::from_slice::<LiftAsked>(&body);
        let form = "the body must be {\"informed\": true}";
        let asked = asked.map_err(|_| Problem::new(ProblemType::BadRequest, form))?;
        let id = Uuid::parse_str(&id).map_err(|_| subjects::no_such_request())?;
        Ok::<_, Problem>((id, asked, officer.regions.clone(), officer.actor()))
    };
    let (id, asked, regions, actor) = match asked.await {
        Ok(asked) => asked,
        Err(problem) => return problem.response(),
    };
    let (background, own) = (state.background.clone(), state.clone());
    answered(background.spawn(async move { subjects::lift(&own, id, asked, (&regions, actor)).await }).await)
}

/// Whose receipt.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReceiptQuery {
    /// Region of the receipt: each has its own.
    #[param(value_type = RegionWord)]
    region: String,
}

/// The person's receipts of a request.
#[derive(Serialize, ToSchema)]
struct SubjectReceipts {
    /// The public key of the region, as text. Whoever is to believe a receipt must have it from elsewhere, too.
    public_key: String,
    /// Documents, each as a text: of the act, when it is done, and of its end.
    receipts: Vec<String>,
}

/// Tells the person's receipts of a request.
#[utoipa::path(get, path = "/v1/subjects/requests/{id}/receipt", tag = "rights", summary = "The receipts of a request, for the person",
    operation_id = "subject_receipt",
    description = "Signed, and verified by anybody offline: `docs/receipts.md`. An act that erases has one when the rows are gone. They say \
        what was done and when, and nothing that tells whether there was a row; full receipts are for whoever has the machine.",
    params(("id" = String, Path, description = "`request` of the answer to it", format = "uuid"), ReceiptQuery),
    responses((status = 200, description = "Those that there are", body = SubjectReceipts), Receipt),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn receipt(
    http: HttpRequest,
    state: web::Data<State>,
    id: web::Path<String>,
    query: Result<web::Query<ReceiptQuery>, actix_web::Error>,
) -> HttpResponse {
    let asked = || {
        let asker = auth::for_persons(&state.keys, Presented::in_header(&http))?;
        let region = query.as_ref().ok().and_then(|query| Region::parse(&query.region));
        let reason = "`region` must be US, DE, SG or MY, as in ?region=DE";
        let region = region.ok_or_else(|| Problem::new(ProblemType::BadRequest, reason))?;
        if !asker.regions.contains(&region) {
            return Err(Problem::new(ProblemType::NotAllowed, "the key does not reach this region"));
        }
        let id = Uuid::parse_str(&id).map_err(|_| subjects::no_such_request())?;
        subjects::told(&state, id).ok_or_else(subjects::no_such_request)?;
        Ok::<_, Problem>((id, region))
    };
    let (id, region) = match asked() {
        Ok(asked) => asked,
        Err(problem) => return problem.response(),
    };
    let own = state.clone();
    let read = tokio::task::spawn_blocking(move || {
        let receipts = subjects::receipts(&own, id, region, Which::Personal)?;
        Ok::<_, Error>((own.receipts.public_key(region)?, receipts))
    });
    match read.await {
        Ok(Ok((public_key, receipts))) => HttpResponse::Ok().json(SubjectReceipts { public_key, receipts }),
        Ok(Err(error)) => {
            tracing::error!(%error, "a receipt could not be told");
            Problem::new(ProblemType::Failed, "the receipt could not be read; see the log").response()
        }
        Err(_) => Problem::new(ProblemType::Failed, "the receipt could not be read").response(),
    }
}

/// Lists what is in force.
#[utoipa::path(get, path = "/v1/subjects/requests", tag = "rights", summary = "Restrictions and exclusions that are in force",
    operation_id = "subject_requests",
    responses(
        (status = 200, description = "Those of the regions of the key, the oldest first", body = SubjectRequests),
        List),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn list(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    match auth::officer(&state.keys, Presented::in_header(&http)) {
        Ok(officer) => HttpResponse::Ok().json(subjects::in_force(&state, &officer.regions)),
        Err(problem) => problem.response(),
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
    if let Err(problem) = auth::for_persons(&state.keys, Presented::in_header(&http)) {
        return problem.response();
    }
    let found = Uuid::parse_str(&id).ok().and_then(|id| subjects::told(&state, id));
    match found {
        Some(told) => HttpResponse::Ok().json(told),
        None => subjects::no_such_request().response(),
    }
}
