//! `/openapi.json`, and a page at `/docs/` to try it. The page's files are part of the binary; nothing is loaded from elsewhere.
//!
//! Not here: the bodies and answers (`described.rs`, and beside the routes that read or write them), the refusals (`refusals.rs`).

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::server::{Server, ServerBuilder, ServerVariableBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::http::described::{retention::RetentionRunLine, vendors};
use crate::http::refusals;

use super::{
    access, budget, consent_query, consents, events, keys, operation, retention, schema, sentry, sql,
    subjects, validate,
};

/// The scheme of every route to which apps send, and of no other.
const KEY_IN_QUERY: &str = "key_in_query";

#[derive(OpenApi)]
#[openapi(
    info(title = "Shoal", description = "You see the shoal, never the fish: opt-in events in, anonymous aggregates out.",
        license(name = "Apache-2.0")),
    paths(
        events::native, events::segment, sentry::envelope, consents::record, consent_query::query, validate::validate, schema::show,
        sql::answer, sql::running, sql::cancel, sql::tables, budget::list, keys::own,
        retention::plan, retention::run, subjects::erase, subjects::exclude, subjects::restrict,
        subjects::object, subjects::list, subjects::told, subjects::lift, subjects::receipt, access::access,
        operation::healthz, operation::readyz,
    ),
    components(schemas(
        refusals::Document, vendors::SegmentRefusal, vendors::SentryRefusal, RetentionRunLine,
    )),
    modifiers(&Shared),
    tags(
        (name = "ingest", description = "For apps and devices; an ingest key"),
        (name = "query", description = "For analysts; an analyst's key"),
        (name = "retention", description = "For privacy officers; an officer's key"),
        (name = "rights", description = "For privacy officers, account services, and in part for servers of apps, by their keys"),
        (name = "operation", description = "For operators"),
    )
)]
struct Api;

/// Adds what no route says: how a key is presented.
struct Shared;

impl Modify for Shared {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        for (name, scheme) in schemes() {
            components.add_security_scheme(name, scheme);
        }
        for item in openapi.paths.paths.values_mut() {
            if let Some(operation) = item.post.as_mut().filter(|operation| takes_key_in_address(operation)) {
                operation.servers = Some(servers().to_vec());
            }
        }
    }
}

/// The ways to present a key.
fn schemes() -> [(&'static str, SecurityScheme); 5] {
    let http = |scheme, description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    let value = ApiKeyValue::with_description;
    let in_query = |name, description| SecurityScheme::ApiKey(ApiKey::Query(value(name, description)));
    let sentry = "`Sentry sentry_key=<key>, ..`, as Sentry's SDKs write it";
    [
        ("key", http(HttpAuthScheme::Bearer, "`<id>.<secret>`, as `shoal keys create` shows it")),
        ("basic", http(HttpAuthScheme::Basic, "The key as the user; the password is not looked at")),
        (KEY_IN_QUERY, in_query("key", "An ingest key, for clients that can set no header")),
        ("sentry_header", SecurityScheme::ApiKey(ApiKey::Header(value("X-Sentry-Auth", sentry)))),
        ("sentry_query", in_query("sentry_key", "An ingest key, as Sentry's SDKs write it")),
    ]
}

fn takes_key_in_address(operation: &Operation) -> bool {
    let requirements = operation.security.iter().flatten();
    requirements.filter_map(|one| serde_json::to_value(one).ok()).any(|one| one.get(KEY_IN_QUERY).is_some())
}

/// Where the paths of apps begin: a key that no header can carry may also stand in front of them.
fn servers() -> [Server; 2] {
    let key = ServerVariableBuilder::new().default_value("key").description(Some("An ingest key"));
    [
        ServerBuilder::new().url("/").build(),
        ServerBuilder::new()
            .url("/k/{key}")
            .parameter("key", key)
            .description(Some("The key in the path, for clients that can set no header"))
            .build(),
    ]
}

/// The description and the page.
pub(super) fn pages() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").url("/openapi.json", Api::openapi())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::http::routes::SEGMENT_ALIASES;
    use crate::problem::ProblemType;

    fn description() -> Value {
        serde_json::to_value(Api::openapi()).unwrap()
    }

    /// Each operation by its method and path.
    fn operations(description: &Value) -> BTreeMap<String, &Value> {
        let paths = description["paths"].as_object().unwrap().iter();
        let each = paths.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, of)| (format!("{method} {path}"), of))
        });
        each.collect()
    }

    #[test]
    fn every_route_is_described() {
        let api = Api::openapi();
        let routes = include_str!("../routes.rs");
        let mut seen = BTreeSet::new();
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

    #[test]
    fn the_other_paths_of_segment_are_named_where_batches_go() {
        let description = description();
        let told = description["paths"]["/v1/batch"]["post"]["description"].as_str().unwrap();
        for alias in SEGMENT_ALIASES {
            assert!(told.contains(&format!("`{alias}`")), "{alias}");
        }
    }

    #[test]
    fn every_problem_is_described_at_a_route_and_what_all_answer_at_every_route() {
        let description = description();
        let operations = operations(&description);
        let all = serde_json::to_string(&operations).unwrap();
        for of in ProblemType::all() {
            // Two are told where no operation is: at paths that none has, and in the lines of a run that has begun.
            let is_elsewhere = [ProblemType::NotYet, ProblemType::RetentionRefused].contains(&of);
            assert!(is_elsewhere || all.contains(&format!("`{}`", of.code())), "{}", of.code());
        }
        for (name, operation) in operations {
            let answers = &operation["responses"];
            let mut needed = vec!["200", "405", "429", "500"];
            if operation.get("security").is_some() {
                needed.extend(["401", "403"]);
            }
            if operation.get("requestBody").is_some() {
                needed.extend(["400", "408", "413"]);
            }
            if operation["tags"][0] == "ingest" && operation.get("requestBody").is_some() {
                needed.push("415");
            }
            if name.contains('{') {
                needed.push("404");
            }
            for status in needed {
                let is_there =
                    answers.get(status).is_some() || (status == "200" && answers.get("204").is_some());
                assert!(is_there, "{name} has no {status}");
            }
            assert!(answers["405"]["headers"].get("Allow").is_some(), "{name}");
        }
    }

    /// Places in a part of the description that say nothing of the form that they have.
    fn formless(at: &str, schema: &Value, found: &mut Vec<String>) {
        let Some(members) = schema.as_object() else { return };
        let says = ["$ref", "type", "oneOf", "anyOf", "allOf", "enum"];
        if !says.iter().any(|word| members.contains_key(*word)) {
            found.push(at.to_owned());
        }
        for (name, property) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
            formless(&format!("{at}.{name}"), property, found);
        }
        for inner in ["items", "additionalProperties"] {
            formless(&format!("{at}.{inner}"), &members.get(inner).cloned().unwrap_or(Value::Null), found);
        }
        if members.get("type").is_some_and(|of| of == "object")
            && !members.contains_key("properties")
            && !members.contains_key("additionalProperties")
        {
            found.push(at.to_owned());
        }
    }

    #[test]
    fn every_body_and_answer_has_a_schema_that_says_its_form() {
        let description = description();
        let mut found = Vec::new();
        for (name, operation) in operations(&description) {
            let answers = operation["responses"].as_object().unwrap().iter();
            let mut parts: Vec<(&str, &Value)> = answers.map(|(status, of)| (status.as_str(), of)).collect();
            parts.extend(operation.get("requestBody").map(|body| ("body", body)));
            for (part, of) in parts {
                let content = of.get("content").and_then(Value::as_object);
                assert!(content.is_some() || part == "204", "{name} {part} has no content");
                for (media_type, content) in content.into_iter().flatten() {
                    formless(&format!("{name} {part} {media_type}"), &content["schema"], &mut found);
                    assert!(content.get("schema").is_some(), "{name} {part} {media_type}");
                }
            }
        }
        let schemas = description["components"]["schemas"].as_object().unwrap();
        schemas.iter().for_each(|(name, schema)| formless(name, schema, &mut found));
        assert!(found.is_empty(), "{found:#?}");
        let text = description.to_string();
        let refs = text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next());
        for name in refs {
            assert!(schemas.contains_key(name), "there is no schema {name}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_known_ways_to_present_a_key() {
        let description = description();
        let schemes = description["components"]["securitySchemes"].as_object().unwrap();
        let mut names = BTreeSet::new();
        for (at, operation) in operations(&description) {
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{at}");
            let required = operation.get("security").and_then(Value::as_array).into_iter().flatten();
            for name in required.flat_map(|one| one.as_object().unwrap().keys()) {
                assert!(schemes.contains_key(name), "{at}: {name}");
            }
            let is_of_apps = operation["tags"][0] == "ingest" && at.starts_with("post");
            assert_eq!(operation["servers"][1]["url"] == "/k/{key}", is_of_apps, "{at}");
        }
    }
}
