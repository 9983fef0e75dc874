//! `GET /v1/schema`: what an app can send with its key.
//!
//! Invariant: it depends on the key's programme and the definitions in force alone. Not here: its form (`catalogue.rs`).

use actix_web::{HttpRequest, HttpResponse, web};

use crate::catalogue;
use crate::http::auth::{self, Presented};
use crate::http::described::catalogue::Catalogue;
use crate::http::refusals::{self, refusals};
use crate::state::State;

refusals!(
    /// Why a key is not shown what it can send.
    Show, Native: refusals::KEY
);

/// Shows what can be sent.
#[utoipa::path(get, path = "/v1/schema", tag = "ingest",
    summary = "What can be sent",
    operation_id = "get_schema",
    description = "The fields of the native protocol, and every event of the key's programme (of all programmes, when the key is for \
        each) with its properties, their types, classes, bounds and listed values, and an example that is accepted.",
    responses(
        (status = 200, description = "The catalogue", body = Catalogue, example = json!({
            "fields": [{"name": "event", "of": "event", "type": "string", "doc": "Name of the event, as a definition has it. Required."}],
            "events": [{"name": "click", "doc": "A control was pressed.", "kind": "usage", "programme": "user-experience",
                "properties": [{"name": "element", "required": true, "type": "text", "bytes_max": 64, "class": "dimension",
                    "doc": "Name of the control, as the app's code calls it."}],
                "example": {"event": "click", "properties": {"element": "camera_tile"}}}]})),
        Show),
    security(("key" = []), ("basic" = [])))]
pub(super) async fn show(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    match auth::ingest(&state.keys, Presented::in_header(&http)) {
        Ok(grant) => HttpResponse::Ok().json(catalogue::whole(&state.definitions.current(), grant.programme)),
        Err(problem) => problem.response(),
    }
}
