//! Which key a request presents, and what it grants.
//!
//! Shoal's own API and Segment's: `Authorization: Bearer <key>`, or Basic with the key as user. A Segment SDK that has no
//! such header puts `writeKey` into the body. Sentry's: `X-Sentry-Auth: Sentry sentry_key=<key>, ..`, or `?sentry_key=<key>`.
//! Where apps send to, and only there, the key may also be in the path, `/k/<key>/..`, or in the query, `?key=<key>`: beacons of
//! browsers set no header. It counts before all others then, because whoever put it there meant it, and an SDK puts
//! something into its own place in any case.
//! Invariants: a presented key is compared in constant time and is in no answer, log line or metric; the connection on which a
//! valid key came knows of it before anything else is done for the request.
//! Not here: keys themselves (`access_keys.rs`).

use std::rc::Rc;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use shoal_audit::Actor;
use shoal_ingest::{IngestGrant, KeyKind};
use shoal_query::{AnalystGrant, Role};
use shoal_schemas::{Programme, Region};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::access_keys::{Found, Grant, LiveKeys};
use crate::http::connections::Line;
use crate::problem::{Problem, ProblemType};

/// Bodies that are searched for a key at one time.
static BODY_READERS: Semaphore = Semaphore::const_new(2);

/// A key as presented, and the connection on which it came. No `Debug`.
pub(crate) struct Presented {
    key: String,
    line: Option<Rc<Line>>,
}

impl Presented {
    fn on(request: &HttpRequest, key: String) -> Presented {
        Presented { key, line: request.conn_data::<Rc<Line>>().cloned() }
    }

    /// From `Authorization`.
    pub(crate) fn in_header(request: &HttpRequest) -> Option<Presented> {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Presented::on(request, rest.trim().to_owned()));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let plain = BASE64_STANDARD.decode(rest.trim()).ok()?;
            let plain = String::from_utf8(plain).ok()?;
            let user = plain.split_once(':').map_or(plain.as_str(), |(user, _)| user);
            return Some(Presented::on(request, user.to_owned()));
        }
        None
    }

    /// From a request of an app: from its path, its query, or `Authorization`.
    pub(crate) fn by_app(request: &HttpRequest) -> Option<Presented> {
        Presented::in_address(request).or_else(|| Presented::in_header(request))
    }

    /// From the path or the query.
    fn in_address(request: &HttpRequest) -> Option<Presented> {
        let in_path = request.match_info().get("key").map(str::to_owned);
        let found = in_path.or_else(|| in_query(request, "key"))?;
        Some(Presented::on(request, found))
    }

    /// From `writeKey` of a JSON body. It is read away from the threads that serve connections, few bodies at one time, because
    /// nobody knows yet whose it is.
    pub(crate) async fn in_segment_body(request: &HttpRequest, body: Bytes) -> Option<Presented> {
        let encoding = request.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let _place = BODY_READERS.acquire().await.ok()?;
        let found = spawn_blocking(move || shoal_ingest::segment_write_key(&body, encoding.as_deref())).await;
        Some(Presented::on(request, found.ok()??))
    }

    /// From what a Sentry SDK sends.
    pub(crate) fn in_sentry_request(request: &HttpRequest) -> Option<Presented> {
        if let Some(presented) = Presented::in_address(request) {
            return Some(presented);
        }
        let headers = request.headers();
        let named = headers.get("x-sentry-auth").or_else(|| headers.get(header::AUTHORIZATION));
        let from_header = named.and_then(|v| v.to_str().ok()).and_then(sentry_key);
        let found = from_header.or_else(|| in_query(request, "sentry_key"))?;
        Some(Presented::on(request, found))
    }
}

/// The value of a name in the query that is not empty.
fn in_query(request: &HttpRequest, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    pairs.find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

/// The key in `Sentry sentry_key=.., sentry_version=7`.
fn sentry_key(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("sentry") {
        return None;
    }
    rest.split(',').find_map(|part| part.trim().strip_prefix("sentry_key=")).map(|key| key.trim().to_owned())
}

/// The grant of an ingest key.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn ingest(keys: &LiveKeys, presented: Option<Presented>) -> Result<Arc<IngestGrant>, Problem> {
    match find(keys, presented)? {
        Grant::Ingest(grant) => Ok(grant),
        _ => Err(Problem::new(ProblemType::WrongKey, "this is not an ingest key")),
    }
}

/// Whoever sends what an ingest key is for.
pub(crate) struct Sender {
    pub(crate) grant: Arc<IngestGrant>,
    /// Why nothing of it is taken but withdrawals, when the key has expired or, if it ships in apps, was revoked.
    pub(crate) ended: Option<Problem>,
}

/// Whoever presents an ingest key, also one that has expired, or that ships in apps and was revoked: it says whose app is meant, and
/// who withdraws there is recorded. A key that was revoked makes no connection known, since it may have been revoked for what came
/// with it.
///
/// # Errors
/// When there is no key that is or was valid, or it is for something else.
pub(crate) fn sender(keys: &LiveKeys, presented: Option<Presented>) -> Result<Sender, Problem> {
    let line = presented.as_ref().and_then(|presented| presented.line.clone());
    match look_up(keys, presented)? {
        (Grant::Ingest(grant), ended) => {
            if ended.as_ref().is_none_or(|ended| ended.of == ProblemType::ExpiredKey) {
                line.iter().for_each(|line| line.known());
            }
            Ok(Sender { grant, ended })
        }
        (_, Some(ended)) => Err(ended),
        (_, None) => Err(Problem::new(ProblemType::WrongKey, "this is not an ingest key")),
    }
}

/// The grant of an analyst's or officer's key.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn analyst(keys: &LiveKeys, presented: Option<Presented>) -> Result<Arc<AnalystGrant>, Problem> {
    match find(keys, presented)? {
        Grant::Analyst(grant) => Ok(grant),
        Grant::Ingest(_) => Err(Problem::new(
            ProblemType::WrongKey,
            "this is an ingest key, which asks no questions; use an analyst's key",
        )),
        Grant::Account(_) => Err(Problem::new(
            ProblemType::WrongKey,
            "this is the key of an account service, which acts for persons and asks no questions; use an analyst's key",
        )),
    }
}

/// Who acts on behalf of persons.
pub(crate) struct ForPersons {
    /// Where.
    pub(crate) regions: Vec<Region>,
    /// Who, for the audit.
    pub(crate) actor: Actor,
}

/// Who acts on behalf of persons: with an officer's key, or with that of an account service.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn for_persons(keys: &LiveKeys, presented: Option<Presented>) -> Result<ForPersons, Problem> {
    match find(keys, presented)? {
        Grant::Account(grant) => {
            let actor = Actor { key: Some(grant.key_id.clone()), role: shoal_audit::Role::AccountService };
            Ok(ForPersons { regions: grant.regions.clone(), actor })
        }
        Grant::Analyst(grant) if grant.role == Role::Officer => {
            Ok(ForPersons { regions: grant.regions.clone(), actor: grant.actor() })
        }
        _ => Err(Problem::new(
            ProblemType::WrongKey,
            "this needs an officer's key, or that of an account service",
        )),
    }
}

/// Who asks what is recorded of somebody's consent.
pub(crate) struct ForConsents {
    /// Where.
    pub(crate) regions: Vec<Region>,
    /// The one programme that the key is for; none means each.
    pub(crate) programme: Option<Programme>,
}

/// Whoever may know what is recorded of somebody's consent: a server of an app, or its account service.
///
/// # Errors
/// When there is no valid key, or it is for something else; a key that ships in apps may not know it.
pub(crate) fn for_consents(keys: &LiveKeys, presented: Option<Presented>) -> Result<ForConsents, Problem> {
    match find(keys, presented)? {
        Grant::Ingest(grant) if grant.kind == KeyKind::Server => {
            Ok(ForConsents { regions: grant.regions.clone(), programme: grant.programme })
        }
        Grant::Account(grant) => Ok(ForConsents { regions: grant.regions.clone(), programme: None }),
        _ => Err(Problem::new(
            ProblemType::WrongKey,
            "this needs a server's key (`--kind server`), or that of an account service: no other may know what is recorded of anybody",
        )),
    }
}

/// An account service.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn account_service(keys: &LiveKeys, presented: Option<Presented>) -> Result<ForPersons, Problem> {
    match for_persons(keys, presented)? {
        service if service.actor.role == shoal_audit::Role::AccountService => Ok(service),
        _ => Err(Problem::new(
            ProblemType::WrongKey,
            "this needs the key of an account service: whoever may ask questions is told no row; `shoal subject access` tells whoever has the machine",
        )),
    }
}

/// The grant of an officer's key.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn officer(keys: &LiveKeys, presented: Option<Presented>) -> Result<Arc<AnalystGrant>, Problem> {
    let grant = analyst(keys, presented)?;
    match grant.role {
        Role::Officer => Ok(grant),
        Role::Analyst => Err(Problem::new(ProblemType::WrongKey, "this needs an officer's key")),
    }
}

/// An officer who acts on behalf of persons.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn officer_for_persons(
    keys: &LiveKeys,
    presented: Option<Presented>,
) -> Result<ForPersons, Problem> {
    let grant = officer(keys, presented)?;
    Ok(ForPersons { regions: grant.regions.clone(), actor: grant.actor() })
}

/// What a key grants, whatever it is for.
///
/// # Errors
/// When there is no valid key.
pub(crate) fn find(keys: &LiveKeys, presented: Option<Presented>) -> Result<Grant, Problem> {
    match look_up(keys, presented)? {
        (grant, None) => Ok(grant),
        (_, Some(ended)) => Err(ended),
    }
}

/// What a key grants, and why it does so no more, when it has expired or was revoked.
fn look_up(keys: &LiveKeys, presented: Option<Presented>) -> Result<(Grant, Option<Problem>), Problem> {
    let Some(presented) = presented else {
        return Err(Problem::new(ProblemType::NoKey, "no key; send `Authorization: Bearer <id>.<secret>`"));
    };
    match keys.find(&presented.key) {
        Found::Granted(grant) => {
            presented.line.iter().for_each(|line| line.known());
            keys.note_use(grant.key_id());
            Ok((grant, None))
        }
        Found::Expired(at_ms, grant) => Ok((grant, Some(expired(at_ms)))),
        Found::Revoked(grant) => {
            let revoked = "the key was revoked; ask whoever made it for another";
            Ok((grant, Some(Problem::new(ProblemType::BadKey, revoked))))
        }
        Found::Unknown => Err(Problem::new(ProblemType::BadKey, "the key is not valid, or it was revoked")),
    }
}

fn expired(at_ms: i64) -> Problem {
    let at = DateTime::from_timestamp_millis(at_ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let at = at.unwrap_or_else(|| "a time that has passed".to_owned());
    Problem::new(
        ProblemType::ExpiredKey,
        format!("the key has expired at {at}; ask whoever made it for another"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use actix_web::test::TestRequest;

    fn presented(request: TestRequest) -> Option<String> {
        Presented::in_header(&request.to_http_request()).map(|p| p.key)
    }

    #[test]
    fn a_key_is_found_where_each_sdk_puts_it() {
        let with = |value: &str| presented(TestRequest::default().insert_header(("authorization", value)));
        assert_eq!(with("Bearer a.b").unwrap(), "a.b");
        assert_eq!(with("bearer  a.b ").unwrap(), "a.b");
        assert_eq!(with(&format!("Basic {}", BASE64_STANDARD.encode("a.b:"))).unwrap(), "a.b");
        assert_eq!(with(&format!("Basic {}", BASE64_STANDARD.encode("a.b"))).unwrap(), "a.b");
        assert!(with("Basic %%%").is_none());
        assert!(with("Digest x").is_none());
        assert!(presented(TestRequest::default()).is_none());
    }

    #[tokio::test]
    async fn a_write_key_is_found_in_a_body() {
        let request = TestRequest::default().to_http_request();
        let body = Bytes::from_static(br#"{"batch":[],"writeKey":"a.b","sentAt":"x"}"#);
        assert_eq!(Presented::in_segment_body(&request, body).await.unwrap().key, "a.b");
        assert!(Presented::in_segment_body(&request, Bytes::from_static(b"{")).await.is_none());
    }

    #[test]
    fn a_key_in_the_address_counts_before_all_others() {
        let query = || TestRequest::with_uri("/v1/events?x=1&key=&key=a%2Eb&key=c");
        let path = || TestRequest::with_uri("/k/p_q/v1/events?key=a.b").param("key", "p_q");
        let header = ("authorization", "Bearer h.h");
        let by_app =
            |r: TestRequest| Presented::by_app(&r.insert_header(header).to_http_request()).unwrap().key;
        let by_sentry = |r: TestRequest| {
            Presented::in_sentry_request(&r.insert_header(header).to_http_request()).unwrap().key
        };
        assert_eq!((by_app(query()), by_sentry(query())), ("a.b".to_owned(), "a.b".to_owned()));
        assert_eq!((by_app(path()), by_sentry(path())), ("p_q".to_owned(), "p_q".to_owned()));
        assert_eq!(by_app(TestRequest::with_uri("/v1/events?keys=a.b")), "h.h");
        assert!(
            Presented::in_header(&query().to_http_request()).is_none(),
            "analysts send theirs in a header"
        );
    }

    #[test]
    fn sentry_sdks_send_it_in_a_header_or_in_the_query() {
        let found = |r: TestRequest| Presented::in_sentry_request(&r.to_http_request()).map(|p| p.key);
        let header = "Sentry sentry_key=a_b, sentry_version=7, sentry_client=sentry.python/2.75.0";
        assert_eq!(found(TestRequest::default().insert_header(("x-sentry-auth", header))).unwrap(), "a_b");
        let uri = "/api/1/envelope/?sentry_version=7&sentry_key=a_b&sentry_client=x";
        assert_eq!(found(TestRequest::with_uri(uri)).unwrap(), "a_b");
        assert!(found(TestRequest::with_uri("/api/1/envelope/")).is_none());
    }
}
