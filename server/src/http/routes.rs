//! All routes. Each file of this folder is one endpoint: it reads the request, asks one part of the service, and
//! answers.
//!
//! Not here: how a request is refused (`problem.rs`), the forms of answers to events (`answers.rs`), keys (`auth.rs`),
//! limits on bodies (`body.rs`).

mod budget;
mod consents;
mod events;
mod incoming;
mod openapi;
mod operation;
mod retention;
mod sentry;
mod sql;
mod validate;

use actix_web::{HttpResponse, web};

use crate::problem::Problem;

pub(super) use incoming::peer;

/// Registers every route.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/v1/events", web::post().to(events::native))
        .route("/v1/batch", web::post().to(events::segment))
        .route("/api/{project}/envelope/", web::post().to(sentry::envelope))
        .route("/api/{project}/envelope", web::post().to(sentry::envelope))
        .route("/v1/consents", web::post().to(consents::record))
        .route("/v1/validate", web::post().to(validate::validate))
        .route("/v1/sql", web::post().to(sql::answer))
        .route("/v1/sql", web::get().to(sql::running))
        .route("/v1/sql/{id}", web::delete().to(sql::cancel))
        .route("/v1/tables", web::get().to(sql::tables))
        .route("/v1/budget", web::get().to(budget::list))
        .route("/v1/retention/plan", web::get().to(retention::plan))
        .route("/v1/retention/runs", web::post().to(retention::run))
        .route("/healthz", web::get().to(operation::healthz))
        .route("/readyz", web::get().to(operation::readyz))
        .service(web::redirect("/docs", "/docs/"))
        .service(openapi::pages())
        .default_service(web::to(unknown));
}

async fn unknown() -> HttpResponse {
    Problem::unknown_path().response()
}
