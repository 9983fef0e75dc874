//! All routes. Each file of this folder is one endpoint: it reads the request, asks one part of the service, and
//! answers.
//!
//! Invariants: a path is the same with slashes at its end, and with several where it has one (`http.rs`); another method than its own
//! is answered 405 with `Allow`, and a path that there is not with 404, but for what must not be lost (`not_yet.rs`). What apps
//! send to is also found under `/k/{key}`, where the key of an app that can set no header stands, and answers
//! pages of other origins (`cors.rs`).
//! Not here: how a request is refused (`problem.rs`), the forms of answers to events (`answers.rs`), keys (`auth.rs`),
//! limits on bodies (`body.rs`).

mod access;
mod budget;
mod consent_query;
mod consents;
mod events;
mod incoming;
mod keys;
mod not_yet;
mod openapi;
mod operation;
mod retention;
mod schema;
mod sentry;
mod sql;
mod subjects;
mod validate;

use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};

use crate::http::cors;
use crate::problem::Problem;
use crate::state::State;

pub(super) use incoming::peer;

/// Where Segment's SDKs send one message, by its kind, and where those for phones send batches.
const SEGMENT_ALIASES: [&str; 14] = [
    "/v1/b",
    "/v1/import",
    "/v1/track",
    "/v1/identify",
    "/v1/page",
    "/v1/screen",
    "/v1/group",
    "/v1/alias",
    "/v1/t",
    "/v1/i",
    "/v1/p",
    "/v1/s",
    "/v1/g",
    "/v1/a",
];

/// Registers every route.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let mut routes = Routes(config);
    routes
        .app_endpoint("/v1/events", web::post().to(events::native))
        .app_endpoint("/v1/batch", web::post().to(events::segment))
        .app_endpoint("/api/{project}/envelope/", web::post().to(sentry::envelope))
        .app_endpoint("/v1/consents", web::post().to(consents::record))
        .app_endpoint("/v1/validate", web::post().to(validate::validate))
        .route("/v1/consents/query", [("POST", web::post().to(consent_query::query))])
        .route("/v1/sql", [("POST", web::post().to(sql::answer)), ("GET", web::get().to(sql::running))])
        .route("/v1/sql/{id}", [("DELETE", web::delete().to(sql::cancel))])
        .route("/v1/tables", [("GET", web::get().to(sql::tables))])
        .route("/v1/budget", [("GET", web::get().to(budget::list))])
        .route("/v1/schema", [("GET", web::get().to(schema::show))])
        .route("/v1/keys/self", [("GET", web::get().to(keys::own))])
        .route("/v1/retention/plan", [("GET", web::get().to(retention::plan))])
        .route("/v1/retention/runs", [("POST", web::post().to(retention::run))])
        .route("/v1/subjects/access", [("POST", web::post().to(access::access))])
        .route("/v1/subjects/erase", [("POST", web::post().to(subjects::erase))])
        .route("/v1/subjects/exclude", [("POST", web::post().to(subjects::exclude))])
        .route("/v1/subjects/restrict", [("POST", web::post().to(subjects::restrict))])
        .route("/v1/subjects/object", [("POST", web::post().to(subjects::object))])
        .route("/v1/subjects/requests", [("GET", web::get().to(subjects::list))])
        .route("/v1/subjects/requests/{id}/receipt", [("GET", web::get().to(subjects::receipt))])
        .route("/v1/subjects/requests/{id}/lift", [("POST", web::post().to(subjects::lift))])
        .route("/v1/subjects/requests/{id}", [("GET", web::get().to(subjects::told))])
        .route("/healthz", both(|| web::to(operation::healthz)))
        .route("/readyz", both(|| web::to(operation::readyz)));
    for alias in SEGMENT_ALIASES {
        routes.app_endpoint(alias, web::post().to(events::segment));
    }
    let must_not_be_lost = |request: &GuardContext<'_>| {
        not_yet::must_not_be_lost(&request.head().method, request.head().uri.path())
    };
    let kept = web::resource("/{path:.*}").guard(fn_guard(must_not_be_lost));
    config
        .service(web::redirect("/docs", "/docs/"))
        .service(openapi::pages())
        .service(kept.to(|| async { not_yet::keep() }).wrap(from_fn(cors::around)))
        .default_service(web::to(unknown));
}

/// What a monitor may ask with either method.
fn both(route: impl Fn() -> Route) -> [(&'static str, Route); 2] {
    let of = |method| route().method(method);
    [("GET", of(actix_web::http::Method::GET)), ("HEAD", of(actix_web::http::Method::HEAD))]
}

struct Routes<'c>(&'c mut web::ServiceConfig);

impl Routes<'_> {
    /// What apps send to, with POST.
    fn app_endpoint(&mut self, path: &str, route: Route) -> &mut Self {
        let under_keys = format!("/k/{{key}}{path}");
        let paths = with_and_without_slash(path).into_iter().chain(with_and_without_slash(&under_keys));
        self.0.service(resource(paths.collect(), vec![("POST", route)]).wrap(from_fn(cors::around)));
        self
    }

    /// What people and operators ask.
    fn route<const N: usize>(&mut self, path: &str, routes: [(&'static str, Route); N]) -> &mut Self {
        self.0.service(resource(with_and_without_slash(path).to_vec(), routes.into()));
        self
    }
}

fn with_and_without_slash(path: &str) -> [String; 2] {
    let path = path.trim_end_matches('/');
    [path.to_owned(), format!("{path}/")]
}

fn resource(paths: Vec<String>, routes: Vec<(&'static str, Route)>) -> Resource {
    let methods: Vec<&str> = routes.iter().map(|(method, _)| *method).collect();
    let allowed = methods.join(", ");
    let resource = routes.into_iter().fold(web::resource(paths), |all, (_, route)| all.route(route));
    resource.default_service(web::to(move |request: HttpRequest| {
        let mut response = match not_yet::is_of_another_method(request.method(), request.path()) {
            true => not_yet::keep(),
            false => Problem::wrong_method().response(),
        };
        if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        async move { response }
    }))
}

async fn unknown(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    cors::of_no_route(&state, &http, Problem::unknown_path().response())
}
