//! Which key a request presents, and what it grants.
//!
//! Shoal's own API and Segment's: `Authorization: Bearer <key>`, or Basic with the key as user. A Segment SDK that has no
//! such header puts `writeKey` into the body. Sentry's: `X-Sentry-Auth: Sentry sentry_key=<key>, ..`, or `?sentry_key=<key>`.
//! Invariant: a presented key is compared in constant time and is in no answer, log line or metric.
//! Not here: keys themselves (`access_keys.rs`).

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use shoal_ingest::IngestGrant;
use shoal_query::{AnalystGrant, Role};

use crate::access_keys::{Grant, LiveKeys};
use crate::problem::{Problem, ProblemType};

/// A key as presented. No `Debug`.
pub(crate) struct Presented(String);

impl Presented {
    /// From `Authorization`.
    pub(crate) fn in_header(request: &HttpRequest) -> Option<Presented> {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Presented(rest.trim().to_owned()));
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let plain = BASE64_STANDARD.decode(rest.trim()).ok()?;
            let plain = String::from_utf8(plain).ok()?;
            let user = plain.split_once(':').map_or(plain.as_str(), |(user, _)| user);
            return Some(Presented(user.to_owned()));
        }
        None
    }

    /// From `writeKey` of a plain JSON body.
    pub(crate) fn in_segment_body(body: &[u8]) -> Option<Presented> {
        #[derive(Deserialize)]
        struct Keyed {
            #[serde(rename = "writeKey")]
            write_key: String,
        }
        serde_json::from_slice::<Keyed>(body).ok().map(|k| Presented(k.write_key))
    }

    /// From what a Sentry SDK sends.
    pub(crate) fn in_sentry_request(request: &HttpRequest) -> Option<Presented> {
        let headers = request.headers();
        let named = headers.get("x-sentry-auth").or_else(|| headers.get(header::AUTHORIZATION));
        let from_header = named.and_then(|v| v.to_str().ok()).and_then(sentry_key);
        from_header
            .or_else(|| {
                request
                    .query_string()
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("sentry_key="))
                    .map(str::to_owned)
            })
            .map(Presented)
    }
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
        Grant::Analyst(_) => Err(Problem::new(ProblemType::WrongKey, "this is not an ingest key")),
    }
}

/// The grant of an analyst's or officer's key.
///
/// # Errors
/// When there is no valid key, or it is for something else.
pub(crate) fn analyst(keys: &LiveKeys, presented: Option<Presented>) -> Result<Arc<AnalystGrant>, Problem> {
    match find(keys, presented)? {
        Grant::Analyst(grant) => Ok(grant),
        Grant::Ingest(_) => {
            Err(Problem::new(ProblemType::WrongKey, "an ingest key can send events and nothing else"))
        }
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

/// Whether the head of a request has a valid key, of whatever kind. A key in a body is not looked for.
pub(crate) fn has_valid_key(keys: &LiveKeys, request: &HttpRequest) -> bool {
    let places = [Presented::in_header(request), Presented::in_sentry_request(request)];
    places.into_iter().flatten().any(|Presented(key)| keys.current().grant(&key).is_some())
}

fn find(keys: &LiveKeys, presented: Option<Presented>) -> Result<Grant, Problem> {
    let Some(Presented(key)) = presented else {
        return Err(Problem::new(ProblemType::NoKey, "no key; send `Authorization: Bearer <id>.<secret>`"));
    };
    match keys.current().grant(&key) {
        Some(grant) => Ok(grant.clone()),
        None => Err(Problem::new(ProblemType::BadKey, "the key is not valid, or it was revoked")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use actix_web::test::TestRequest;

    fn presented(request: TestRequest) -> Option<String> {
        Presented::in_header(&request.to_http_request()).map(|p| p.0)
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
        let body = br#"{"batch":[],"writeKey":"a.b","sentAt":"x"}"#;
        assert_eq!(Presented::in_segment_body(body).unwrap().0, "a.b");
        assert!(Presented::in_segment_body(b"{").is_none());
    }

    #[test]
    fn sentry_sdks_send_it_in_a_header_or_in_the_query() {
        let found = |r: TestRequest| Presented::in_sentry_request(&r.to_http_request()).map(|p| p.0);
        let header = "Sentry sentry_key=a_b, sentry_version=7, sentry_client=sentry.python/2.75.0";
        assert_eq!(found(TestRequest::default().insert_header(("x-sentry-auth", header))).unwrap(), "a_b");
        let uri = "/api/1/envelope/?sentry_version=7&sentry_key=a_b&sentry_client=x";
        assert_eq!(found(TestRequest::with_uri(uri)).unwrap(), "a_b");
        assert!(found(TestRequest::with_uri("/api/1/envelope/")).is_none());
    }
}
