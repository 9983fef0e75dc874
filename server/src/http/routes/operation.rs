//! `/healthz` and `/readyz`. Not here: `/metrics`, which has a socket of its own (`http/for_operators.rs`).

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use shoal_ingest::RefusalCode;
use utoipa::ToSchema;

use crate::http::refusals::refusals;
use crate::parts::Part;
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why a living process does not say so.
    Lives, Native:
);

refusals!(
    /// Why new events are not taken.
    Ready, Native: &[ProblemType::Ingest(RefusalCode::Stopping), ProblemType::NotReady]
);

/// What `GET /readyz` answers when everything works.
#[derive(Serialize, ToSchema)]
struct Readiness {
    ready: bool,
    parts: Vec<Part>,
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", summary = "Whether the process lives",
    operation_id = "health",
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain"), Lives))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

/// Everything works: events, consents and questions are taken.
#[utoipa::path(get, path = "/readyz", tag = "operation", summary = "Whether everything works, and each part of it",
    operation_id = "ready",
    responses((status = 200, description = "It does", body = Readiness,
            example = json!({"ready": true, "parts": [{"part": "events", "state": "ready"},
                {"part": "consents", "region": "DE", "state": "ready"}, {"part": "questions", "state": "ready"}]})),
        Ready))]
pub(super) async fn readyz(state: web::Data<State>) -> HttpResponse {
    if !state.is_ready() {
        let stopping = ProblemType::Ingest(RefusalCode::Stopping);
        return Problem::new(stopping, "the service takes no new events").response();
    }
    let asked = state.clone();
    let Ok(parts) = tokio::task::spawn_blocking(move || asked.parts()).await else {
        return Problem::new(ProblemType::NotReady, "the service is stopping").response();
    };
    let troubles: Vec<String> = parts.iter().filter_map(Part::trouble).collect();
    match troubles.is_empty() {
        true => HttpResponse::Ok().json(Readiness { ready: true, parts }),
        false => {
            Problem::new(ProblemType::NotReady, troubles.join("; ")).with("parts", json!(parts)).response()
        }
    }
}
