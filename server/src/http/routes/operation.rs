//! `/healthz` and `/readyz`. Not here: `/metrics`, which has a socket of its own (`http/for_operators.rs`).

use actix_web::{HttpResponse, web};
use shoal_ingest::RefusalCode;

use crate::http::refusals::refusals;
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why new events are not taken.
    Ready, Native: &[ProblemType::Ingest(RefusalCode::Stopping)]
);

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", summary = "Whether the process lives",
    responses((status = 200, description = "It lives")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// New events are taken.
#[utoipa::path(get, path = "/readyz", tag = "operation", summary = "Whether new events are taken",
    responses((status = 200, description = "They are"),
        Ready))]
pub(super) async fn readyz(state: web::Data<State>) -> HttpResponse {
    if state.is_ready() {
        HttpResponse::Ok().body("ready\n")
    } else {
        let stopping = ProblemType::Ingest(RefusalCode::Stopping);
        Problem::new(stopping, "the service takes no new events").response()
    }
}
