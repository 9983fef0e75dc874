//! `/healthz` and `/readyz`. Not here: `/metrics`, which has a socket of its own (`http/for_operators.rs`).

use actix_web::{HttpResponse, web};
use shoal_ingest::RefusalCode;

use crate::http::refusals::refusals;
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why new events are not taken.
    Ready, Native: &[ProblemType::Ingest(RefusalCode::Stopping), ProblemType::NotReady]
);

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", summary = "Whether the process lives",
    responses((status = 200, description = "It lives")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// Everything works: events, consents and questions are taken.
#[utoipa::path(get, path = "/readyz", tag = "operation", summary = "Whether everything works",
    responses((status = 200, description = "It does"),
        Ready))]
pub(super) async fn readyz(state: web::Data<State>) -> HttpResponse {
    if !state.is_ready() {
        let stopping = ProblemType::Ingest(RefusalCode::Stopping);
        return Problem::new(stopping, "the service takes no new events").response();
    }
    let asked = state.clone();
    let failed = tokio::task::spawn_blocking(move || asked.not_working()).await;
    match failed.unwrap_or_else(|_| vec!["the service is stopping".to_owned()]) {
        failed if failed.is_empty() => HttpResponse::Ok().body("ready\n"),
        failed => Problem::new(ProblemType::NotReady, failed.join("; ")).response(),
    }
}
