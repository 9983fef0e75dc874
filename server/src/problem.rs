//! Every way in which a request is refused: its status, its code, its title, and the document that says so (RFC 9457,
//! `application/problem+json`). HTTP status codes of refusals stand in this file only; a test sees to it.
//!
//! ```text
//! {"type": "urn:shoal:problem:refused", "title": "..", "status": 400, "detail": "..", "code": "refused", ..}
//! ```
//! `code` is the stable word that clients compare. `type` is the same word as a URI, which the RFC asks for: a URN, because
//! services run under many addresses and the type of a problem must be the same in all of them; it names and leads nowhere.
//! Other members are there where they help: `retry_after_s`; `parts` of a service; `rule`, `line`, `column`, and `suggestion` or `example` of a
//! question.
//! `docs/problems.md` lists all types, and a test compares it with this file. Causes and remedies: `problem/explained.rs`.
//!
//! Invariants: nothing of a body, a header or an address is ever in a problem; a problem that the same request would not
//! meet at another time invites nobody to come back.
//! Not here: the form that a vendor's SDK expects (`http/answers.rs`, `shoal-ingest`, `wire`), where refusals of the HTTP library
//! become problems (`http/library_refusals.rs`).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::{Map, Value};
use shoal_ingest::{Later, Refusal, RefusalCode};
use shoal_language::Rule;
use shoal_query::QueryError;

/// When to come back, where a problem does not say, in seconds.
const RETRY_AFTER_S: u32 = 5;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The types of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemType {
    /// Ingestion refuses the whole request.
    Ingest(RefusalCode),
    /// There is no key in the request.
    NoKey,
    /// The key is not valid.
    BadKey,
    /// The key is right and has expired.
    ExpiredKey,
    /// The key is valid, and for something else.
    WrongKey,
    /// The key does not reach a region that the question names.
    NotAllowed,
    /// No route has this path.
    UnknownPath,
    /// The path is one of a route, and the method none of its own.
    WrongMethod,
    /// What comes to this path must not be lost, and cannot be taken yet.
    NotYet,
    /// No running query has this id, or not one that the key may cancel.
    NoSuchQuery,
    /// No request of a person is called that.
    NoSuchRequest,
    /// The request has not the form of this route.
    BadRequest,
    /// The body broke off.
    BrokenBody,
    /// The body came too slowly.
    TooSlow,
    /// Too many requests or queries at one time.
    Busy,
    /// The question is not one that can be answered.
    Refused,
    /// A day that is asked about has not enough privacy budget left.
    Budget,
    /// A run of retention would remove what it must not.
    RetentionRefused,
    /// A part of the service does not work.
    NotReady,
    /// The request could be taken, and then failed.
    Failed,
}

/// The status and the title of a type.
struct Row {
    status: StatusCode,
    title: &'static str,
}

const fn row(status: StatusCode, title: &'static str) -> Row {
    Row { status, title }
}

impl ProblemType {
    /// The types that are not [`ProblemType::Ingest`].
    const OWN: [ProblemType; 19] = [
        ProblemType::NoKey,
        ProblemType::BadKey,
        ProblemType::ExpiredKey,
        ProblemType::WrongKey,
        ProblemType::NotAllowed,
        ProblemType::UnknownPath,
        ProblemType::WrongMethod,
        ProblemType::NotYet,
        ProblemType::NoSuchQuery,
        ProblemType::NoSuchRequest,
        ProblemType::BadRequest,
        ProblemType::BrokenBody,
        ProblemType::TooSlow,
        ProblemType::Busy,
        ProblemType::Refused,
        ProblemType::Budget,
        ProblemType::RetentionRefused,
        ProblemType::NotReady,
        ProblemType::Failed,
    ];

    /// All types.
    pub(crate) fn all() -> impl Iterator<Item = ProblemType> {
        Self::OWN.into_iter().chain(RefusalCode::ALL.iter().map(|code| ProblemType::Ingest(*code)))
    }

    /// The stable word that clients compare.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            ProblemType::Ingest(code) => code.as_str(),
            ProblemType::NoKey => "no_key",
            ProblemType::BadKey => "bad_key",
            ProblemType::ExpiredKey => "expired_key",
            ProblemType::WrongKey => "wrong_key",
            ProblemType::NotAllowed => "not_allowed",
            ProblemType::UnknownPath => "unknown_path",
            ProblemType::WrongMethod => "wrong_method",
            ProblemType::NotYet => "not_yet",
            ProblemType::NoSuchQuery => "no_such_query",
            ProblemType::NoSuchRequest => "no_such_request",
            ProblemType::BadRequest => "bad_request",
            ProblemType::BrokenBody => "broken_body",
            ProblemType::TooSlow => "too_slow",
            ProblemType::Busy => "busy",
            ProblemType::Refused => "refused",
            ProblemType::Budget => "budget",
            ProblemType::RetentionRefused => "retention_refused",
            ProblemType::NotReady => "not_ready",
            ProblemType::Failed => "failed",
        }
    }

    /// The status of an answer.
    pub(crate) const fn status(self) -> StatusCode {
        self.row().status
    }

    /// The same for every problem of the type.
    pub(crate) const fn title(self) -> &'static str {
        self.row().title
    }

    const fn row(self) -> Row {
        match self {
            ProblemType::Ingest(code) => ingest_row(code),
            ProblemType::NoKey => row(StatusCode::UNAUTHORIZED, "The request has no key"),
            ProblemType::BadKey => row(StatusCode::UNAUTHORIZED, "The key is not valid"),
            ProblemType::ExpiredKey => row(StatusCode::UNAUTHORIZED, "The key has expired"),
            ProblemType::WrongKey => row(StatusCode::FORBIDDEN, "The key is for something else"),
            ProblemType::NotAllowed => row(StatusCode::FORBIDDEN, "The key does not reach the region"),
            ProblemType::UnknownPath => row(StatusCode::NOT_FOUND, "There is no such path"),
            ProblemType::WrongMethod => row(StatusCode::METHOD_NOT_ALLOWED, "The path has no such method"),
            ProblemType::NotYet => row(StatusCode::SERVICE_UNAVAILABLE, "The path is not served yet"),
            ProblemType::NoSuchQuery => row(StatusCode::NOT_FOUND, "There is no such query"),
            ProblemType::NoSuchRequest => row(StatusCode::NOT_FOUND, "There is no such request"),
            ProblemType::BadRequest => {
                row(StatusCode::UNPROCESSABLE_ENTITY, "The request has another form than expected")
            }
            ProblemType::BrokenBody => row(StatusCode::BAD_REQUEST, "The body broke off"),
            ProblemType::TooSlow => row(StatusCode::REQUEST_TIMEOUT, "The body came too slowly"),
            ProblemType::Busy => row(StatusCode::TOO_MANY_REQUESTS, "Too much at one time"),
            ProblemType::Refused => row(StatusCode::BAD_REQUEST, "The question cannot be answered"),
            ProblemType::Budget => row(StatusCode::TOO_MANY_REQUESTS, "The privacy budget is used up"),
            ProblemType::RetentionRefused => {
                row(StatusCode::CONFLICT, "The run of retention would remove what it must not")
            }
            ProblemType::NotReady => {
                row(StatusCode::SERVICE_UNAVAILABLE, "A part of the service does not work")
            }
            ProblemType::Failed => row(StatusCode::INTERNAL_SERVER_ERROR, "The request failed"),
        }
    }

    /// Why the same request could be taken at another time. A budget that is used up is none of these: asking again
    /// does not help before the block's next epoch.
    pub(crate) const fn later(self) -> Option<Later> {
        match self {
            ProblemType::Busy | ProblemType::Ingest(RefusalCode::Overloaded | RefusalCode::TooManyGrants) => {
                Some(Later::Overloaded)
            }
            ProblemType::Ingest(RefusalCode::DiskFull) => Some(Later::DiskFull),
            ProblemType::NotReady
            | ProblemType::NotYet
            | ProblemType::Ingest(RefusalCode::Stopping | RefusalCode::Unavailable) => {
                Some(Later::Unavailable)
            }
            _ => None,
        }
    }
}

const fn ingest_row(code: RefusalCode) -> Row {
    use RefusalCode as C;
    use StatusCode as S;
    match code {
        C::EmptyBody => row(S::BAD_REQUEST, "The body has no event"),
        C::NotUtf8 => row(S::BAD_REQUEST, "The body is not UTF-8"),
        C::BadJson => row(S::BAD_REQUEST, "The body is not JSON of the expected form"),
        C::BadBatch => row(S::BAD_REQUEST, "The body is not a batch"),
        C::BadEnvelope => row(S::BAD_REQUEST, "The body is not an envelope"),
        C::BadEncoding => row(S::BAD_REQUEST, "The body cannot be decompressed"),
        C::UnsupportedEncoding => row(S::UNSUPPORTED_MEDIA_TYPE, "The content encoding is not supported"),
        C::TooLarge => row(S::PAYLOAD_TOO_LARGE, "The body is too large"),
        C::CompressionRatio => row(S::PAYLOAD_TOO_LARGE, "The body grows too much when decompressed"),
        C::TooManyEvents => row(S::PAYLOAD_TOO_LARGE, "The body has too many events"),
        C::TooManyValues => row(S::PAYLOAD_TOO_LARGE, "The body has too many values"),
        C::TooManyChanges => row(S::PAYLOAD_TOO_LARGE, "The request has too many changes of consent"),
        C::WrongType => row(S::UNPROCESSABLE_ENTITY, "The events are no list"),
        C::BadIdentifier => row(S::UNPROCESSABLE_ENTITY, "An identifier of a consent cannot be taken"),
        C::NoIdentifier => row(S::UNPROCESSABLE_ENTITY, "There is no identifier"),
        C::BadTime => row(S::UNPROCESSABLE_ENTITY, "A time cannot be read"),
        C::UnknownProgramme => row(S::UNPROCESSABLE_ENTITY, "There is no such programme"),
        C::ProgrammeNotAllowed => row(S::FORBIDDEN, "The key is for another programme"),
        C::PolicyVersion => row(S::UNPROCESSABLE_ENTITY, "The policy version is not accepted"),
        C::Minor => row(S::UNPROCESSABLE_ENTITY, "The person is too young for the programme"),
        C::BadConsent => row(S::UNPROCESSABLE_ENTITY, "The consent cannot be read"),
        C::UnknownAction => row(S::UNPROCESSABLE_ENTITY, "There is no such action"),
        C::UnknownCountry => row(S::UNPROCESSABLE_ENTITY, "The country belongs to no region"),
        C::UnknownRegion => row(S::UNPROCESSABLE_ENTITY, "There is no such region"),
        C::NoRegion => row(S::UNPROCESSABLE_ENTITY, "The region is not known"),
        C::RegionNotAllowed => row(S::FORBIDDEN, "The key may not write to the region"),
        C::TooManyGrants => row(S::TOO_MANY_REQUESTS, "Too many grants of consent in a minute"),
        C::Overloaded => row(S::TOO_MANY_REQUESTS, "Too much is under way"),
        C::DiskFull => row(S::INSUFFICIENT_STORAGE, "The disk is nearly full"),
        C::Stopping => row(S::SERVICE_UNAVAILABLE, "The service is stopping"),
        C::Unavailable => row(S::SERVICE_UNAVAILABLE, "A file cannot be read or written"),
    }
}

/// Whether an answer of this status says that no valid key has come.
pub(crate) fn says_that_the_key_is_wrong(status: StatusCode) -> bool {
    status == ProblemType::BadKey.status()
}

/// The status that says this to an SDK.
pub(crate) const fn status_of(later: Later) -> StatusCode {
    match later {
        Later::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        Later::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Later::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// One refusal.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) of: ProblemType,
    /// What is wrong this time, in one or a few sentences; never content of the request.
    pub(crate) detail: String,
    retry_after_s: Option<u32>,
    more: Map<String, Value>,
}

/// A problem as RFC 9457 writes it.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

impl Problem {
    /// A problem of this type.
    pub(crate) fn new(of: ProblemType, detail: impl Into<String>) -> Problem {
        let retry_after_s = of.later().map(|_| RETRY_AFTER_S);
        Problem { of, detail: detail.into(), retry_after_s, more: Map::new() }
    }

    /// No route has the path.
    pub(crate) fn unknown_path() -> Problem {
        Problem::new(ProblemType::UnknownPath, "no such path; see /docs/")
    }

    /// The path has other methods.
    pub(crate) fn wrong_method() -> Problem {
        Problem::new(ProblemType::WrongMethod, "the path has other methods, which the header Allow lists")
    }

    /// What the HTTP library has refused by itself, with this status. Its own words may quote the request.
    pub(crate) fn of_library(status: StatusCode) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::unknown_path(),
            StatusCode::METHOD_NOT_ALLOWED => Problem::wrong_method(),
            StatusCode::REQUEST_TIMEOUT => Problem::new(ProblemType::TooSlow, "the request came too slowly"),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(ProblemType::Ingest(RefusalCode::TooLarge), "the body is longer than it may be")
            }
            status if status.is_client_error() => Problem::new(
                ProblemType::BadRequest,
                "a part of the request has another form than this path takes",
            ),
            _ => Problem::new(ProblemType::Failed, "the request could be taken, and then failed"),
        }
    }

    /// The same, and the client is to wait this long, in seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after_s: Some(seconds), ..self }
    }

    /// With another member in its document.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The head of an answer that says this with a status: its own, or the one that an SDK understands.
    pub(crate) fn head(&self, status: StatusCode) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        // A body that was not read to its end must not be taken for the next request, and a stranger does not stay.
        if matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNAUTHORIZED
        ) {
            response.force_close();
        }
        response
    }

    /// The document, for an answer that has begun as a success and ends with this.
    pub(crate) fn document(&self) -> impl Serialize {
        Document {
            r#type: format!("urn:shoal:problem:{}", self.of.code()),
            title: self.of.title(),
            status: self.of.status().as_u16(),
            detail: &self.detail,
            code: self.of.code(),
            retry_after_s: self.retry_after_s,
            more: &self.more,
        }
    }

    /// The answer on Shoal's own API.
    pub(crate) fn response(&self) -> HttpResponse {
        // `json` keeps a content type that is set already.
        self.head(self.of.status()).content_type(MEDIA_TYPE).json(self.document())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let problem = Problem::new(ProblemType::Ingest(refusal.code), refusal.reason);
        Problem { retry_after_s: refusal.retry_after_s.or(problem.retry_after_s), ..problem }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Problem {
        let detail = error.to_string();
        match error {
            QueryError::Refused(refused) => {
                let of = match refused.rule {
                    Rule::Budget => ProblemType::Budget,
                    _ => ProblemType::Refused,
                };
                let problem = Problem::new(of, refused.message)
                    .with("rule", serde_json::to_value(refused.rule).unwrap_or_default())
                    .with("line", refused.line)
                    .with("column", refused.column);
                match refused.suggestion {
                    Some(suggestion) => problem.with("suggestion", suggestion),
                    None => problem.with("example", refused.example),
                }
            }
            QueryError::NotAllowed(_) => Problem::new(ProblemType::NotAllowed, detail),
            QueryError::Busy => Problem::new(ProblemType::Busy, detail).retry_after(1),
            QueryError::Failed => Problem::new(ProblemType::Failed, detail),
        }
    }
}

mod explained;
#[cfg(test)]
mod tests;
