//! Problems in the OpenAPI description: the schema of the document, and the refusals of a route, made from the table.
//!
//! Invariant: what any route answers ([`EVERY`]) is described at every route.
//! Not here: the table (`problem.rs`), the rest of the description (`routes/openapi.rs`, `described.rs`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use shoal_ingest::RefusalCode;
use shoal_schemas::Protocol;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::http::answers;
use crate::http::described::vendors::{SegmentRefusal, SentryRefusal};
use crate::parts::Part;
use crate::problem::{MEDIA_TYPE, ProblemType};

/// What any route answers: to another method, when there are too many connections, and when something fails that never should. It
/// is a problem document at vendors' routes too.
pub(crate) const EVERY: &[ProblemType] = &[ProblemType::WrongMethod, ProblemType::Busy, ProblemType::Failed];

/// What is the matter with a path that has a part of the client's own.
pub(crate) const PLACE: &[ProblemType] = &[ProblemType::UnknownPath];

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

/// What is the matter with judging what came.
pub(crate) const JUDGING: &[ProblemType] =
    &[ProblemType::Ingest(RefusalCode::Overloaded), ProblemType::Ingest(RefusalCode::Unavailable)];

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
    ProblemType::Ingest(RefusalCode::NotUtf8),
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
    ($(#[$doc:meta])* $name:ident, $protocol:ident: $($group:expr),* $(,)?) => {
        $(#[$doc])*
        pub(in crate::http) enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
            > {
                $crate::http::refusals::responses(shoal_schemas::Protocol::$protocol, &[$($group),*])
            }
        }
    };
}
pub(crate) use refusals;

/// The types that are answered with one status.
#[derive(Default)]
struct OneStatus {
    /// In the form that the clients of the protocol expect.
    of_protocol: Vec<ProblemType>,
    /// As a problem document, whatever the protocol.
    of_any: Vec<ProblemType>,
}

/// The refusals of a route, by the status with which a client of this protocol hears them.
pub(crate) fn responses(protocol: Protocol, groups: &[&[ProblemType]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, OneStatus> = BTreeMap::new();
    for of in groups.iter().copied().flatten() {
        let status = answers::status(protocol, *of).as_str().to_owned();
        by_status.entry(status).or_default().of_protocol.push(*of);
    }
    for of in EVERY {
        by_status.entry(of.status().as_str().to_owned()).or_default().of_any.push(*of);
    }
    by_status.into_iter().map(|(status, types)| (status, response(protocol, &types).into())).collect()
}

fn response(protocol: Protocol, types: &OneStatus) -> Response {
    let mut all = types.of_protocol.clone();
    all.extend(types.of_any.iter().filter(|of| !types.of_protocol.contains(of)));
    let lines = all.iter().map(|of| {
        let later = if of.later().is_some() { " See `Retry-After`." } else { "" };
        format!("`{}`: {}.{later}", of.code(), of.title())
    });
    let mut response = ResponseBuilder::new().description(lines.collect::<Vec<_>>().join("  \n"));
    let content = |name| ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).build();
    let vendors = match protocol {
        Protocol::Native => None,
        Protocol::Segment => Some(SegmentRefusal::name()),
        Protocol::Sentry => Some(SentryRefusal::name()),
    };
    if let Some(name) = vendors.clone().filter(|_| !types.of_protocol.is_empty()) {
        response = response.content("application/json", content(name));
    }
    if vendors.is_none() || !types.of_any.is_empty() {
        response = response.content(MEDIA_TYPE, content(Document::name()));
    }
    if all.iter().any(|of| of.later().is_some()) {
        response =
            response.header("Retry-After", header(Type::Integer, "When to send the same again, in seconds"));
    }
    if all.contains(&ProblemType::WrongMethod) {
        response = response.header("Allow", header(Type::String, "The methods of the path"));
    }
    if all.contains(&ProblemType::NoKey) {
        response = response.header("WWW-Authenticate", header(Type::String, "`Bearer`"));
    }
    response.build()
}

fn header(of: Type, description: &str) -> Header {
    let schema: Schema = ObjectBuilder::new().schema_type(of).build().into();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// The document of a problem.
pub(crate) enum Document {}

impl ToSchema for Document {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
        all.push((<Part as ToSchema>::name().into_owned(), Part::schema()));
        Part::schemas(all);
    }
}

impl PartialSchema for Document {
    fn schema() -> RefOr<Schema> {
        let text =
            |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        let whole = |description: &str| {
            ObjectBuilder::new().schema_type(Type::Integer).description(Some(description))
        };
        let parts = ArrayBuilder::new().items(Ref::from_schema_name(<Part as ToSchema>::name()));
        let codes = ProblemType::all().map(ProblemType::code);
        let object = ObjectBuilder::new()
            .description(Some("Why a request is refused, as RFC 9457 writes it"))
            .property("type", text("`urn:shoal:problem:` and the code"))
            .property("title", text("The same for every problem of the type"))
            .property("status", whole("The HTTP status"))
            .property("detail", text("What is wrong this time"))
            .property("code", text("The stable word to compare").enum_values(Some(codes)))
            .property("retry_after_s", whole("When to send the same again, in seconds"))
            .property("parts", parts.description(Some("The parts of the service, where one does not work")))
            .property("rule", text("The rule that a question breaks"))
            .property("line", whole("The line of the question's text, from 1"))
            .property("column", whole("The column of the line, from 1"))
            .property("suggestion", text("The same question, written so that it works"))
            .property(
                "example",
                text("Where no statement asks the same: one that works and shows what can be asked"),
            );
        let needed = ["type", "title", "status", "detail", "code"];
        Schema::from(needed.into_iter().fold(object, ObjectBuilder::required).build()).into()
    }
}
