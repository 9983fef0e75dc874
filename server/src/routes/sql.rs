//! `POST /v1/sql` and `GET /v1/tables`: the analyst's door. Only a `Released` can be answered here.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use shoal_ingest::Refusal;
use shoal_privacy::budget::Precision;
use shoal_query::{QueryRequest, Released};

use crate::answers::{self, Dialect, refuse};
use crate::auth::{self, Presented};
use crate::state::State;

const ARROW: &str = "application/vnd.apache.arrow.stream";

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Csv,
    Arrow,
}

/// A question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    sql: String,
    precision: Option<String>,
    #[serde(default)]
    dry_run: bool,
    format: Option<Format>,
}

/// Answers SQL with an anonymous aggregate.
#[utoipa::path(
    post, path = "/v1/sql", tag = "query",
    summary = "Ask in SQL",
    description = "Every number comes with its standard deviation (`<name>_sd`) and its 95 % interval (`<name>_low`, \
        `<name>_high`). The form follows `format` or `Accept`: JSON, CSV or an Arrow IPC stream.",
    request_body(content = serde_json::Value, example = json!({
        "sql": "SELECT event, COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '2026-11-21' GROUP BY event",
        "precision": "normal", "dry_run": false, "format": "json"})),
    responses(
        (status = 200, description = "The answer", content(
            (serde_json::Value = "application/json"), (String = "text/csv"),
            (String = "application/vnd.apache.arrow.stream"))),
        (status = 400, description = "Refused: the rule, the place in the text, and what to write instead"),
        (status = 401, description = "No valid key"),
        (status = 403, description = "The key does not reach the region"),
        (status = 429, description = "Too many queries at one time; see Retry-After"),
        (status = 500, description = "The query failed after it had started")),
    security(("key" = [])))]
pub(super) async fn answer(
    http: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let asked = async {
        let grant = auth::analyst(&state.keys, Presented::in_header(&http))?;
        let body = state.bodies.read(payload).await?;
        let (request, format) = question(&http, &body, &state)?;
        Ok::<_, Refusal>((grant, request, format))
    };
    let (grant, request, format) = match asked.await {
        Ok(asked) => asked,
        Err(refusal) => return answers::refusal(Dialect::Native, &refusal),
    };
    // When the client goes away this future is dropped, and the query with it.
    match state.engine.answer(&grant, &request, state.now_ms()).await {
        Ok(released) => released_as(format, &released),
        Err(error) => answers::query_error(&error),
    }
}

/// What can be asked.
#[utoipa::path(get, path = "/v1/tables", tag = "query", summary = "Tables, columns, and what can be asked about them",
    responses((status = 200, description = "The public schema", body = serde_json::Value),
        (status = 401, description = "No valid key")),
    security(("key" = [])))]
pub(super) async fn tables(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    match auth::analyst(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => HttpResponse::Ok().json(state.engine.tables(&grant)),
        Err(refusal) => answers::refusal(Dialect::Native, &refusal),
    }
}

fn question(http: &HttpRequest, body: &[u8], state: &State) -> Result<(QueryRequest, Format), Refusal> {
    let text =
        |name: header::HeaderName| http.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let settings = &state.config.query;
    let form = |reason: &str| refuse(422, "bad_request", reason);
    let question = if text(header::CONTENT_TYPE).starts_with("application/json") {
        serde_json::from_slice::<Question>(body)
            .map_err(|_| form("the body must be {\"sql\", \"precision\"?, \"dry_run\"?, \"format\"?}"))?
    } else {
        let sql = std::str::from_utf8(body).map_err(|_| form("the body must be SQL in UTF-8"))?.to_owned();
        Question { sql, precision: None, dry_run: false, format: None }
    };
    if question.sql.len() > settings.sql_bytes_max {
        return Err(refuse(413, "too_large", format!("SQL may have {} bytes", settings.sql_bytes_max)));
    }
    let precision = match &question.precision {
        None => settings.precision,
        Some(text) => {
            text.parse::<Precision>().map_err(|_| form("`precision` must be low, normal or high"))?
        }
    };
    let format = question.format.unwrap_or_else(|| match text(header::ACCEPT) {
        accept if accept.contains("text/csv") => Format::Csv,
        accept if accept.contains("vnd.apache.arrow") => Format::Arrow,
        _ => Format::Json,
    });
    Ok((QueryRequest { sql: question.sql, precision, dry_run: question.dry_run }, format))
}

fn released_as(format: Format, released: &Released) -> HttpResponse {
    match format {
        Format::Json => HttpResponse::Ok().json(released.to_json()),
        Format::Csv => HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(released.to_csv()),
        Format::Arrow => match released.to_arrow_ipc() {
            Ok(bytes) => HttpResponse::Ok().content_type(ARROW).body(bytes),
            Err(_) => answers::query_error(&shoal_query::QueryError::Failed),
        },
    }
}
