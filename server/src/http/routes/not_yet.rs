//! What nothing serves yet and must not be lost: requests to delete a person's data, and decisions about consent at paths that
//! there are not.
//!
//! SDKs delete on every 4xx what they were to send: Glean's a request to `/submit/<app>/deletion-request/<version>/<id>`, those for
//! servers a `DELETE /v1/users/<id>` or a `POST /v1/regulations`. While none can be carried out they are told to come back.
//!
//! ```text
//! a request that no route takes, with the method DELETE or a word of deletion or consent in its path
//! a request with a method that its path has not, when that writes and the path has such a word
//! ```
//! Not here: withdrawals of consent at their own path, which are recorded (`consents.rs`).

use actix_web::HttpResponse;
use actix_web::http::Method;

use crate::problem::{Problem, ProblemType};

/// When to come back, in seconds.
const RETRY_AFTER_S: u32 = 3600;

/// How words begin by which somebody asks for deletion, or says something about consent.
const STEMS: [&str; 17] = [
    "consent",
    "delet",
    "eras",
    "forget",
    "purge",
    "regulation",
    "suppress",
    "withdraw",
    "revok",
    "revoc",
    "unsubscri",
    "optout",
    "gdpr",
    "ccpa",
    "dsr",
    "dsar",
    "opendsr",
];

/// Whether nobody may take a request that no route takes for one that is not wanted.
pub(super) fn must_not_be_lost(method: &Method, path: &str) -> bool {
    method == Method::DELETE || has_word(path)
}

/// The same of a request whose path is that of a route, which has not its method.
pub(super) fn is_of_another_method(method: &Method, path: &str) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    !reads && has_word(path)
}

/// Keeps a request with its sender.
pub(super) fn keep() -> HttpResponse {
    let detail =
        "requests for deletion and about consent cannot be taken at this path yet; keep it and send it again";
    Problem::new(ProblemType::NotYet, detail).retry_after(RETRY_AFTER_S).response()
}

fn has_word(path: &str) -> bool {
    path.split('/').any(|part| {
        let words = words(part);
        let is_stem = |word: &str| STEMS.iter().any(|stem| word.starts_with(stem));
        let is_opt_out = |two: &[String]| two[0] == "opt" && two[1] == "out";
        words.iter().any(|word| is_stem(word)) || words.windows(2).any(is_opt_out)
    })
}

/// The words of a part of a path, in small letters: `userDeletions`, `user-deletions` and `user_deletions` have two.
fn words(part: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in part.chars() {
        let is_letter = c.is_ascii_alphabetic();
        if (!is_letter || (was_small && c.is_ascii_uppercase()))
            && words.last().is_some_and(|w| !w.is_empty())
        {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| is_letter) {
            word.push(c.to_ascii_lowercase());
        }
        was_small = c.is_ascii_lowercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_deletion_or_a_consent_is_kept_with_its_sender() {
        for path in [
            "/submit/org-example-app/deletion-request/1/5f0c",
            "/v1/deletions",
            "/v1/erase",
            "/v1/erasures/7/",
            "/v1/consents/u-1",
            "/v2/consents",
            "/consent",
            "/Consent",
            "/k/x_y/v1/consent",
            "/v1/regulations",
            "/v1beta/workspaces/w/regulations/",
            "/regulations/sources/s",
            "/api/2/deletions/users",
            "/api/app/data-deletions/v3.0",
            "/v1/users/u-1/delete",
            "/userDeletion/userDeletionRequests:upsert",
            "/v1/users:forget",
            "/gdpr/forget_device",
            "/opt-out",
            "/optOut",
            "/v3/opendsr",
            "/v1/suppressions",
            "/withdrawals",
        ] {
            for method in [Method::POST, Method::PUT, Method::GET, Method::DELETE] {
                assert!(must_not_be_lost(&method, path), "{method} {path}");
            }
            assert!(is_of_another_method(&Method::PATCH, path) && !is_of_another_method(&Method::GET, path));
        }
        assert!(must_not_be_lost(&Method::DELETE, "/v1/users/u-1"));
        for path in [
            "/",
            "/v1/nothing",
            "/submit/app/baseline/1/x",
            "/v1/cameras",
            "/camerasettings",
            "/v1/opt/x/out",
            "/v1/users/u-1",
        ] {
            assert!(!must_not_be_lost(&Method::POST, path), "{path}");
            assert!(!is_of_another_method(&Method::DELETE, path), "{path}");
        }
    }
}
