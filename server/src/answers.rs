//! Every status code and every form of answer, in one place.
//!
//! A refusal of Shoal's own API is `{"code", "reason", "retry_after_s"?}`. Vendors' SDKs get what makes them do the right
//! thing: an event that is bad or lacks consent is counted and their request still succeeds; when Shoal cannot take a
//! request now, they get the status on which that SDK comes back.
//!
//! | SDK | cannot take it now | bad request |
//! |---|---|---|
//! | Segment | 429, or 503 (507 too), with Retry-After: sent again with the same ids | 4xx: dropped |
//! | Sentry | 429 with Retry-After (503 and 507 too, on which it would lose the item unseen) | 4xx: dropped |
//!
//! Invariant: nothing of a body, a header or an address is ever in an answer.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde_json::json;
use shoal_ingest::{BatchAnswer, Refusal};
use shoal_language::Rule;
use shoal_query::QueryError;

/// Whose form an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Shoal's own API.
    Native,
    /// What Segment SDKs expect.
    Segment,
    /// What Sentry SDKs expect.
    Sentry,
}

/// When to come back, where a refusal does not say, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// A refusal made by the server itself.
pub(crate) fn refuse(status: u16, code: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal { status, code, reason: reason.into(), retry_after_s: None }
}

/// The answer to a batch of events.
pub(crate) fn batch(dialect: Dialect, answer: &BatchAnswer) -> HttpResponse {
    match dialect {
        Dialect::Native => HttpResponse::Ok().json(answer),
        Dialect::Segment => HttpResponse::Ok().json(json!({"success": true})),
        Dialect::Sentry => match &answer.sentry_event_id {
            Some(id) => HttpResponse::Ok().json(json!({"id": id})),
            None => HttpResponse::Ok().json(json!({})),
        },
    }
}

/// The answer to a request that is refused as a whole.
pub(crate) fn refusal(dialect: Dialect, refusal: &Refusal) -> HttpResponse {
    let status = match (dialect, refusal.status) {
        (Dialect::Segment, 507) => 503,
        (Dialect::Sentry, 503 | 507) => 429,
        (_, status) => status,
    };
    let mut response =
        HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    let later = match status {
        429 | 503 | 507 => Some(refusal.retry_after_s.unwrap_or(RETRY_AFTER_S)),
        _ => refusal.retry_after_s,
    };
    if let Some(seconds) = later {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    if status == 401 {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    // A body that was not read to its end must not be taken for the next request.
    if matches!(status, 408 | 413) {
        response.force_close();
    }
    match dialect {
        Dialect::Native => response.json(refusal),
        Dialect::Segment => response.json(json!({"code": refusal.code, "message": refusal.reason})),
        Dialect::Sentry => response.json(json!({"detail": refusal.reason, "causes": [refusal.code]})),
    }
}

/// 429 without Retry-After says that a block has no budget left for this price, and that asking again does not help before
/// the block's next epoch: a cheaper question does, or the same one as before, which is answered from the ledger.
const fn refusal_status(rule: Rule) -> StatusCode {
    match rule {
        Rule::Budget => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    }
}

const fn refusal_code(rule: Rule) -> &'static str {
    match rule {
        Rule::Budget => "budget",
        _ => "refused",
    }
}

/// The answer to a query that is not answered.
pub(crate) fn query_error(error: &QueryError) -> HttpResponse {
    let reason = error.to_string();
    match error {
        QueryError::Refused(refused) => HttpResponse::build(refusal_status(refused.rule)).json(json!({
            "code": refusal_code(refused.rule),
            "rule": refused.rule,
            "line": refused.line,
            "column": refused.column,
            "reason": refused.message,
            "suggestion": refused.suggestion,
        })),
        QueryError::NotAllowed(_) => {
            HttpResponse::Forbidden().json(json!({"code": "not_allowed", "reason": reason}))
        }
        QueryError::Busy => HttpResponse::TooManyRequests()
            .insert_header((header::RETRY_AFTER, "1"))
            .json(json!({"code": "busy", "reason": reason, "retry_after_s": 1})),
        QueryError::Failed => {
            HttpResponse::InternalServerError().json(json!({"code": "failed", "reason": reason}))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_budget_that_is_used_up_is_429_and_does_not_invite_to_come_back() {
        let refused = |rule| {
            let (message, suggestion) = ("There is none.".to_owned(), "precision low".to_owned());
            let refusal = shoal_language::Refusal { rule, line: 1, column: 1, message, suggestion };
            query_error(&QueryError::Refused(Box::new(refusal)))
        };
        let answer = refused(Rule::Budget);
        assert_eq!(answer.status(), 429);
        assert!(!answer.headers().contains_key("retry-after"));
        assert_eq!(refused(Rule::Column).status(), 400);
        assert_eq!(query_error(&QueryError::Busy).headers().get("retry-after").unwrap(), "1");
    }

    #[test]
    fn each_client_gets_the_status_on_which_it_comes_back() {
        let full = Refusal { retry_after_s: Some(3), ..refuse(507, "disk_full", "the disk is nearly full") };
        let status = |d| refusal(d, &full).status().as_u16();
        assert_eq!(
            (status(Dialect::Native), status(Dialect::Segment), status(Dialect::Sentry)),
            (507, 503, 429)
        );
        for dialect in [Dialect::Native, Dialect::Segment, Dialect::Sentry] {
            let response = refusal(dialect, &full);
            assert_eq!(response.headers().get("retry-after").unwrap(), "3");
        }
        let busy = refuse(429, "busy", "later");
        assert_eq!(refusal(Dialect::Sentry, &busy).headers().get("retry-after").unwrap(), "5");
        assert_eq!(refusal(Dialect::Segment, &refuse(400, "bad", "bad")).status(), 400);
        assert!(!refusal(Dialect::Native, &refuse(400, "bad", "bad")).headers().contains_key("retry-after"));
    }
}
