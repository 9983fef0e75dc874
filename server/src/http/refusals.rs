//! Problems in the OpenAPI description: the schema of the document, and the refusals of a route, made from the table.
//!
//! Not here: the table (`problem.rs`), the rest of the description (`routes/openapi.rs`).

use std::collections::BTreeMap;

use shoal_ingest::RefusalCode;
use shoal_schemas::Protocol;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};

use crate::http::answers;
use crate::problem::{MEDIA_TYPE, ProblemType};

/// The name of the schema of a problem.
pub(crate) const SCHEMA: &str = "Problem";

/// What is the matter with a key.
pub(crate) const KEY: &[ProblemType] =
    &[ProblemType::NoKey, ProblemType::BadKey, ProblemType::ExpiredKey, ProblemType::WrongKey];

/// What is the matter with reading a body.
pub(crate) const BODY: &[ProblemType] = &[
    ProblemType::BrokenBody,
    ProblemType::TooSlow,
    ProblemType::Ingest(RefusalCode::TooLarge),
    ProblemType::Busy,
];

/// What is the matter with a compressed body.
pub(crate) const ENCODING: &[ProblemType] = &[
    ProblemType::Ingest(RefusalCode::BadEncoding),
    ProblemType::Ingest(RefusalCode::UnsupportedEncoding),
    ProblemType::Ingest(RefusalCode::CompressionRatio),
];

/// What is the matter with a batch of events of any protocol.
pub(crate) const BATCH: &[ProblemType] =
    &[ProblemType::Ingest(RefusalCode::TooManyEvents), ProblemType::Ingest(RefusalCode::TooManyValues)];

/// What is the matter with a batch in JSON.
pub(crate) const JSON: &[ProblemType] = &[
    ProblemType::Ingest(RefusalCode::NotUtf8),
    ProblemType::Ingest(RefusalCode::BadJson),
    ProblemType::Ingest(RefusalCode::BadBatch),
];

/// What is the matter with a batch that is read strictly.
pub(crate) const STRICT: &[ProblemType] =
    &[ProblemType::Ingest(RefusalCode::EmptyBody), ProblemType::Ingest(RefusalCode::WrongType)];

/// What is the matter with keeping events.
pub(crate) const KEEPING: &[ProblemType] = &[
    ProblemType::Ingest(RefusalCode::Overloaded),
    ProblemType::Ingest(RefusalCode::Stopping),
    ProblemType::Ingest(RefusalCode::DiskFull),
    ProblemType::Ingest(RefusalCode::Unavailable),
];

/// What is the matter with a consent.
pub(crate) const CONSENT: &[ProblemType] = &[
    ProblemType::Ingest(RefusalCode::BadJson),
    ProblemType::Ingest(RefusalCode::TooManyChanges),
    ProblemType::Ingest(RefusalCode::UnknownProgramme),
    ProblemType::Ingest(RefusalCode::ProgrammeNotAllowed),
    ProblemType::Ingest(RefusalCode::BadIdentifier),
    ProblemType::Ingest(RefusalCode::NoIdentifier),
    ProblemType::Ingest(RefusalCode::PolicyVersion),
    ProblemType::Ingest(RefusalCode::Minor),
    ProblemType::Ingest(RefusalCode::BadTime),
    ProblemType::Ingest(RefusalCode::BadConsent),
    ProblemType::Ingest(RefusalCode::UnknownAction),
    ProblemType::Ingest(RefusalCode::UnknownCountry),
    ProblemType::Ingest(RefusalCode::UnknownRegion),
    ProblemType::Ingest(RefusalCode::NoRegion),
    ProblemType::Ingest(RefusalCode::RegionNotAllowed),
    ProblemType::Ingest(RefusalCode::TooManyGrants),
    ProblemType::Ingest(RefusalCode::Overloaded),
    ProblemType::Ingest(RefusalCode::DiskFull),
    ProblemType::Ingest(RefusalCode::Stopping),
    ProblemType::Ingest(RefusalCode::Unavailable),
];

/// Declares a type that stands for the refusals of a route of this protocol; the groups are lists of types.
macro_rules! refusals {
    ($(#[$doc:meta])* $name:ident, $protocol:ident: $($group:expr),+ $(,)?) => {
        $(#[$doc])*
        pub(in crate::http) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                $crate::http::refusals::responses(shoal_schemas::Protocol::$protocol, &[$($group),+])
            }
        }
    };
}
pub(crate) use refusals;

/// The refusals of a route, by the status with which a client of this protocol hears them.
pub(crate) fn responses(protocol: Protocol, groups: &[&[ProblemType]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<ProblemType>> = BTreeMap::new();
    for of in groups.iter().copied().flatten() {
        by_status.entry(answers::status(protocol, *of).as_str().to_owned()).or_default().push(*of);
    }
    let response = |types: Vec<ProblemType>| {
        let lines = types.iter().map(|of| {
            let later = if of.later().is_some() { " See `Retry-After`." } else { "" };
            format!("`{}`: {}.{later}", of.code(), of.title())
        });
        let response = ResponseBuilder::new().description(lines.collect::<Vec<_>>().join("  \n"));
        match protocol {
            Protocol::Native => {
                let schema = ContentBuilder::new().schema(Some(Ref::from_schema_name(SCHEMA))).build();
                response.content(MEDIA_TYPE, schema).build()
            }
            _ => response.build(),
        }
    };
    by_status.into_iter().map(|(status, types)| (status, response(types).into())).collect()
}

/// The schema of a problem.
pub(crate) fn schema() -> Schema {
    let text =
        |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let whole =
        |description: &str| ObjectBuilder::new().schema_type(Type::Integer).description(Some(description));
    let codes = ProblemType::all().map(ProblemType::code);
    let object = ObjectBuilder::new()
        .description(Some("Why a request is refused, as RFC 9457 writes it"))
        .property("type", text("`urn:shoal:problem:` and the code"))
        .property("title", text("The same for every problem of the type"))
        .property("status", whole("The HTTP status"))
        .property("detail", text("What is wrong this time"))
        .property("code", text("The stable word to compare").enum_values(Some(codes)))
        .property("retry_after_s", whole("When to send the same again, in seconds"))
        .property("rule", text("The rule that a question breaks"))
        .property("line", whole("The line of the question's text, from 1"))
        .property("column", whole("The column of the line, from 1"))
        .property("suggestion", text("The same question, written so that it works"))
        .property(
            "example",
            text("Where no statement asks the same: one that works and shows what can be asked"),
        );
    let needed = ["type", "title", "status", "detail", "code"];
    needed.into_iter().fold(object, ObjectBuilder::required).build().into()
}
