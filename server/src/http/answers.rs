//! The answer to what came through a protocol: in the form that its clients expect, which `shoal-ingest` knows.
//!
//! Vendors' SDKs get what makes them do the right thing: an event that is bad or lacks consent is counted and their request
//! still succeeds; when Shoal cannot take a request now, they get the status on which that SDK comes back.
//! Not here: status codes of refusals (`problem.rs`), the bodies (`shoal-ingest`, `wire/<protocol>/answer.rs`).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use shoal_ingest::{BatchAnswer, Refused, Reply, Told};
use shoal_schemas::Protocol;

use crate::problem::{Problem, ProblemType, status_of};

/// The answer to a batch of events, or to a request that is refused as a whole.
pub(crate) fn answer(
    http: &HttpRequest,
    protocol: Protocol,
    taken: Result<BatchAnswer, Problem>,
) -> HttpResponse {
    let content_type = http.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match taken {
        Ok(batch) => {
            let told = Told { content_type, outcome: Ok(&batch) };
            match shoal_ingest::answer(protocol, &told) {
                Some(reply) => body(HttpResponse::Ok(), reply),
                None => HttpResponse::Ok().finish(),
            }
        }
        Err(problem) => refusal(protocol, content_type, &problem),
    }
}

/// The answer to a request that is refused as a whole.
fn refusal(protocol: Protocol, content_type: Option<&str>, problem: &Problem) -> HttpResponse {
    match shoal_ingest::answer(protocol, &told(content_type, problem.of, &problem.detail)) {
        Some(reply) => body(problem.head(presented(problem.of, &reply)), reply),
        None => problem.response(),
    }
}

/// The status with which clients of a protocol hear of a problem.
pub(crate) fn status(protocol: Protocol, of: ProblemType) -> StatusCode {
    match shoal_ingest::answer(protocol, &told(None, of, "")) {
        Some(reply) => presented(of, &reply),
        None => of.status(),
    }
}

fn told<'a>(content_type: Option<&'a str>, of: ProblemType, reason: &'a str) -> Told<'a> {
    Told { content_type, outcome: Err(Refused { code: of.code(), reason, later: of.later() }) }
}

fn presented(of: ProblemType, reply: &Reply) -> StatusCode {
    reply.later.map_or(of.status(), status_of)
}

fn body(mut response: HttpResponseBuilder, reply: Reply) -> HttpResponse {
    response.content_type(reply.media_type).body(reply.body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use shoal_ingest::RefusalCode;

    fn refused(protocol: Protocol, problem: &Problem) -> HttpResponse {
        refusal(protocol, None, problem)
    }

    #[test]
    fn each_client_gets_the_status_on_which_it_comes_back() {
        let of = ProblemType::Ingest(RefusalCode::DiskFull);
        let full = Problem::new(of, "the disk is nearly full").retry_after(3);
        let status = |protocol| refused(protocol, &full).status().as_u16();
        assert_eq!(
            (status(Protocol::Native), status(Protocol::Segment), status(Protocol::Sentry)),
            (507, 503, 429)
        );
        for protocol in Protocol::ALL.iter().copied() {
            let response = refused(protocol, &full);
            assert_eq!(response.headers().get("retry-after").unwrap(), "3");
        }
        let busy = Problem::new(ProblemType::Busy, "later");
        assert_eq!(refused(Protocol::Sentry, &busy).headers().get("retry-after").unwrap(), "5");
        let bad = Problem::new(ProblemType::Ingest(RefusalCode::BadBatch), "bad");
        assert_eq!(refused(Protocol::Segment, &bad).status(), 400);
        assert!(!refused(Protocol::Native, &bad).headers().contains_key("retry-after"));
    }

    #[test]
    fn a_key_that_is_missing_is_asked_for_in_every_form() {
        for protocol in Protocol::ALL.iter().copied() {
            let response = refused(protocol, &Problem::new(ProblemType::NoKey, "no key"));
            assert_eq!(response.status(), 401);
            assert_eq!(response.headers().get("www-authenticate").unwrap(), "Bearer");
        }
    }
}
