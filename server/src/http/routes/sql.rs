//! `/v1/sql` and `/v1/tables`: the analyst's endpoints. Only a `Released` can be answered here.
//!
//! Every question has an id, of the body's `id`, else of the header `x-query-id`, else made here; it is in the header
//! `x-query-id` of every answer and refusal. A query is cancelled by its id.
//! Not here: status codes (`problem.rs`), what an answer costs and when it leaves (`shoal-query`).

use std::sync::Arc;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use shoal_anonymity::budget::Precision;
use shoal_ingest::RefusalCode;
use shoal_query::{AnalystGrant, QueryError, QueryId, QueryRequest, Released};
use utoipa::ToSchema;

use crate::http::auth::{self, Presented};
use crate::http::described::{PrecisionWord, questions};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why a question is not answered.
    Answer, Native:
        refusals::KEY, refusals::BODY,
        &[ProblemType::BadRequest, ProblemType::Refused, ProblemType::NotAllowed, ProblemType::Budget, ProblemType::Failed],
);

refusals!(
    /// Why the running queries are not told.
    Running, Native: refusals::KEY
);

refusals!(
    /// Why a query is not cancelled.
    Cancel, Native: refusals::PLACE, refusals::KEY, &[ProblemType::NoSuchQuery]
);

refusals!(
    /// Why the public schema is not told.
    Tables, Native: refusals::KEY
);

const ARROW: &str = "application/vnd.apache.arrow.stream";
const QUERY_ID: HeaderName = HeaderName::from_static("x-query-id");
/// Beside a CSV: the notes, and what the answer cost, as JSON.
const NOTES: HeaderName = HeaderName::from_static("x-shoal-notes");
const COST: HeaderName = HeaderName::from_static("x-shoal-cost");

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerFormat)]
enum Format {
    Json,
    Csv,
    Arrow,
}

/// A question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The statement
    sql: String,
    /// By which it can be cancelled
    #[schema(format = "uuid")]
    id: Option<String>,
    /// How exact the numbers are; not with `sd_max`
    #[schema(value_type = Option<PrecisionWord>)]
    precision: Option<String>,
    /// The largest standard deviation that is wanted
    #[schema(exclusive_minimum = 0)]
    sd_max: Option<f64>,
    /// Only the price and the noise are asked for
    #[serde(default)]
    dry_run: bool,
    format: Option<Format>,
}

/// Answers SQL with an anonymous aggregate.
#[utoipa::path(
    post, path = "/v1/sql", tag = "query",
    summary = "Ask in SQL",
    operation_id = "ask",
    description = "Every number comes with its standard deviation (`<name>_sd`) and its 95 % interval (`<name>_low`, \
        `<name>_high`). The form follows `format` or `Accept`: JSON, CSV (with notes and cost in headers) or an Arrow IPC stream. How exact the numbers are \
        follows `precision` (low, normal or high), or `sd_max`: the largest standard deviation that is wanted. Exactness \
        costs privacy budget; `dry_run` tells the price and the noise of each number. `id` (a UUID, also as header `x-query-id`) is for cancelling; \
        the header `x-query-id` of every answer says it. An answer that read events leaves at one of a few fixed times \
        after its question. A question that is refused is told the rule, the place in the text, and what to write instead.",
    request_body(content((Question = "application/json", example = json!({
        "sql": "SELECT event, COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '2026-11-21' GROUP BY event",
        "precision": "normal", "dry_run": false, "format": "json", "id": "1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10"})),
        (String = "text/plain"))),
    params(("x-query-id" = Option<String>, Header, description = "As `id` of the body", format = "uuid", nullable = false)),
    responses(
        (status = 200, description = "The answer", headers(("x-query-id" = String, description = "The query's id"),
            ("x-shoal-notes" = String, description = "With CSV only: the notes, as a JSON list"),
            ("x-shoal-cost" = String, description = "With CSV only: what the answer cost, as a JSON object")), content(
            (questions::Answer = "application/json"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"))),
        Answer),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn answer(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let mut id = id_in_header(&http).ok().flatten().unwrap_or_else(QueryId::random);
    let mut response = match asked(&http, payload, &state, &mut id).await {
        // When the client goes away this future is dropped, and the query with it.
        Ok((grant, request, format)) => match state.engine.answer(&grant, &request, state.now_ms()).await {
            Ok(released) => released_as(format, &released),
            Err(error) => Problem::from(error).response(),
        },
        Err(problem) => problem.response(),
    };
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(QUERY_ID, value);
    }
    response
}

/// The key's queries that are not answered yet.
#[utoipa::path(get, path = "/v1/sql", tag = "query", summary = "Your queries that are not answered yet",
    operation_id = "list_running_queries",
    responses((status = 200, description = "`{\"queries\": [{\"id\", \"since_ms\"}]}`, oldest first",
        body = questions::RunningQueries),
        Running),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn running(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    match auth::analyst(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => HttpResponse::Ok().json(json!({"queries": state.engine.running(&grant)})),
        Err(problem) => problem.response(),
    }
}

/// Cancels a query.
#[utoipa::path(delete, path = "/v1/sql/{id}", tag = "query", summary = "Cancel a query",
    operation_id = "cancel_query",
    description = "Its asker is told that it failed. What it was charged stays charged.",
    params(("id" = String, Path, description = "The query's id", format = "uuid")),
    responses((status = 204, description = "Cancelled"),
        Cancel),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn cancel(
    http: HttpRequest,
    path: web::Path<String>,
    state: web::Data<State>,
) -> HttpResponse {
    let grant = match auth::analyst(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => grant,
        Err(problem) => return problem.response(),
    };
    match path.parse::<QueryId>() {
        Ok(id) if state.engine.cancel(&grant, id) => HttpResponse::NoContent().finish(),
        _ => Problem::new(ProblemType::NoSuchQuery, "no running query has this id").response(),
    }
}

/// What can be asked.
#[utoipa::path(get, path = "/v1/tables", tag = "query", summary = "Tables, columns, and what can be asked about them",
    operation_id = "list_tables",
    responses((status = 200, description = "The public schema", body = questions::Tables),
        Tables),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn tables(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    match auth::analyst(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => HttpResponse::Ok().json(state.engine.tables(&grant)),
        Err(problem) => problem.response(),
    }
}

/// Who asks, what, and in which form the answer goes; `id` becomes the one of the body.
async fn asked(
    http: &HttpRequest,
    payload: web::Payload,
    state: &State,
    id: &mut QueryId,
) -> Result<(Arc<AnalystGrant>, QueryRequest, Format), Problem> {
    let grant = auth::analyst(&state.keys, Presented::in_header(http))?;
    let body = state.bodies.read(payload).await?;
    id_in_header(http)?;
    let question = question(http, &body)?;
    if let Some(text) = &question.id {
        *id = text.parse().map_err(|_| form("`id` must be a UUID"))?;
    }
    let (request, format) = request(http, question, state)?;
    Ok((grant, QueryRequest { id: Some(*id), ..request }, format))
}

fn form(reason: &str) -> Problem {
    Problem::new(ProblemType::BadRequest, reason)
}

fn text_of(http: &HttpRequest, name: HeaderName) -> &str {
    http.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn id_in_header(http: &HttpRequest) -> Result<Option<QueryId>, Problem> {
    if !http.headers().contains_key(QUERY_ID) {
        return Ok(None);
    }
    text_of(http, QUERY_ID).parse().map(Some).map_err(|_| form("`x-query-id` must be a UUID"))
}

fn question(http: &HttpRequest, body: &[u8]) -> Result<Question, Problem> {
    if text_of(http, header::CONTENT_TYPE).starts_with("application/json") {
        return serde_json::from_slice(body).map_err(|_| {
            form(
                "the body must be {\"sql\", \"id\"?, \"precision\"?, \"sd_max\"?, \"dry_run\"?, \"format\"?}",
            )
        });
    }
    let sql = std::str::from_utf8(body).map_err(|_| form("the body must be SQL in UTF-8"))?.to_owned();
    Ok(Question { sql, id: None, precision: None, sd_max: None, dry_run: false, format: None })
}

fn request(http: &HttpRequest, question: Question, state: &State) -> Result<(QueryRequest, Format), Problem> {
    let settings = &state.config.query;
    if question.sql.len() > settings.sql_bytes_max {
        let detail = format!("a statement may have at most {} bytes", settings.sql_bytes_max);
        return Err(Problem::new(ProblemType::Ingest(RefusalCode::TooLarge), detail));
    }
    let precision = match &question.precision {
        None => settings.precision,
        Some(_) if question.sd_max.is_some() => {
            return Err(form("give `precision` or `sd_max`, not both"));
        }
        Some(text) => {
            text.parse::<Precision>().map_err(|_| form("`precision` must be low, normal or high"))?
        }
    };
    if question.sd_max.is_some_and(|sd| !sd.is_finite() || sd <= 0.0) {
        return Err(form("`sd_max` must be a number above 0"));
    }
    let format = question.format.unwrap_or_else(|| match text_of(http, header::ACCEPT) {
        accept if accept.contains("text/csv") => Format::Csv,
        accept if accept.contains("vnd.apache.arrow") => Format::Arrow,
        _ => Format::Json,
    });
    let Question { sql, sd_max, dry_run, .. } = question;
    Ok((QueryRequest { sql, precision, sd_max, dry_run, ..QueryRequest::default() }, format))
}

fn released_as(format: Format, released: &Released) -> HttpResponse {
    match format {
        Format::Json => HttpResponse::Ok().json(released.to_json()),
        Format::Csv => HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8")
            .insert_header((NOTES, released.notes_header()))
            .insert_header((COST, released.cost_header()))
            .body(released.to_csv()),
        Format::Arrow => match released.to_arrow_ipc() {
            Ok(bytes) => HttpResponse::Ok().content_type(ARROW).body(bytes),
            Err(_) => Problem::from(QueryError::Failed).response(),
        },
    }
}
