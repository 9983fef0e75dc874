//! What nothing serves yet and must not be lost: requests to delete a person's data.
//!
//! Glean's SDKs send theirs to `/submit/<app>/deletion-request/<version>/<id>`, and delete it on every 4xx. While it cannot be
//! carried out they are told to come back. Not here: withdrawals of consent, which are recorded (`consents.rs`).

use actix_web::{HttpRequest, HttpResponse};

use crate::problem::{Problem, ProblemType};

const DELETION: &str = "deletion-request";
/// When to come back, in seconds.
const RETRY_AFTER_S: u32 = 3600;

/// Keeps requests for deletion with their sender; there is nothing else at these paths.
pub(super) async fn submit(http: HttpRequest) -> HttpResponse {
    if http.path().split('/').any(|part| part.eq_ignore_ascii_case(DELETION)) {
        let detail = "requests for deletion cannot be taken here yet; keep it and send it again";
        return Problem::new(ProblemType::NotYet, detail).retry_after(RETRY_AFTER_S).response();
    }
    Problem::unknown_path().response()
}
