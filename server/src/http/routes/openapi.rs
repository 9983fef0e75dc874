//! `/openapi.json`, and a page at `/docs/` to try it. The page's files are part of the binary; nothing is loaded from elsewhere.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::http::refusals;

use super::{budget, consents, events, keys, operation, retention, schema, sentry, sql, validate};

#[derive(OpenApi)]
#[openapi(
    info(title = "Shoal", description = "You see the shoal, never the fish: opt-in events in, anonymous aggregates out.",
        license(name = "Apache-2.0")),
    paths(
        events::native, events::segment, sentry::envelope, consents::record, validate::validate, schema::show,
        sql::answer, sql::running, sql::cancel, sql::tables, budget::list, keys::own,
        retention::plan, retention::run,
        operation::healthz, operation::readyz,
    ),
    modifiers(&Shared),
    tags(
        (name = "ingest", description = "For apps and devices; an ingest key"),
        (name = "query", description = "For analysts; an analyst's key"),
        (name = "retention", description = "For privacy officers; an officer's key"),
        (name = "operation", description = "For operators"),
    )
)]
struct Api;

/// Adds what no route says: how a key is presented, and the form of a refusal.
struct Shared;

impl Modify for Shared {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("`<id>.<secret>`, as `shoal keys create` shows it"))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
        components.schemas.insert(refusals::SCHEMA.to_owned(), refusals::schema().into());
    }
}

/// The description and the page.
pub(super) fn pages() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", Api::openapi())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_route_is_described() {
        let api = Api::openapi();
        let routes = include_str!("../routes.rs");
        let mut seen = std::collections::BTreeSet::new();
        let path_of = |line: &'static str| {
            let line = line.trim();
            line.strip_prefix(".route(\"")
                .or_else(|| line.strip_prefix(".app_endpoint(\""))?
                .split('"')
                .next()
        };
        for path in routes.lines().filter_map(path_of) {
            assert!(api.paths.paths.contains_key(path), "{path} is not in the OpenAPI description");
            seen.insert(path);
        }
        assert_eq!(seen.len(), api.paths.paths.len());
    }
}
