//! Why each problem comes, and what to do about it. `shoal explain CODE` prints it, and `docs/troubleshooting.md` lists it.
//!
//! Not here: statuses and titles (`problem.rs`); what ingestion refuses (`shoal-ingest`).

use super::ProblemType;

impl ProblemType {
    /// Why it comes, in whole sentences; `None` for what ingestion refuses, which has its own text.
    pub(crate) const fn cause(self) -> Option<&'static str> {
        Some(match self {
            ProblemType::Ingest(_) => return None,
            ProblemType::NoKey => "The request has no access key.",
            ProblemType::BadKey => "The access key is mistyped, was revoked, or is one of another service.",
            ProblemType::ExpiredKey => "The last day of the access key (`--expires`) is over.",
            ProblemType::WrongKey => {
                "The access key is for something else: an ingest key asks a question, an analyst's key sends events or runs retention."
            }
            ProblemType::NotAllowed => "The question names a region that the access key does not reach.",
            ProblemType::UnknownPath => "No route has the path.",
            ProblemType::WrongMethod => "The path has other methods.",
            ProblemType::NotYet => {
                "The request asks for a deletion, or for something else that must not be lost and that this version cannot carry out."
            }
            ProblemType::NoSuchQuery => {
                "No running query has the id: it is answered already, or it is somebody else's."
            }
            ProblemType::NoSuchRequest => {
                "No request of a person has the id, or all of its rows would have expired by now and it was forgotten."
            }
            ProblemType::BadRequest => {
                "A parameter, a header or the body has another form than the path takes."
            }
            ProblemType::BrokenBody => "The connection broke off before the body was whole.",
            ProblemType::TooSlow => {
                "The body came more slowly than `http.body_timeout_ms` or `http.body_rate_min_bytes_per_s` allow."
            }
            ProblemType::Busy => "Too many requests, connections or questions are under way.",
            ProblemType::Refused => {
                "The statement asks for what cannot be answered anonymously, or cannot be read."
            }
            ProblemType::Budget => {
                "A day that the question reads has not enough privacy budget left in its budget epoch for the price."
            }
            ProblemType::RetentionRefused => {
                "The clock is far beyond everything that is known of the time, or the run would remove more than \
                    `retention.removed_percent_max` of all rows."
            }
            ProblemType::NotReady => {
                "A part of the service does not work, or the service is stopping; `parts` says which."
            }
            ProblemType::Failed => {
                "Something broke while the request was carried out. A question is charged; why it failed is told to the operator alone."
            }
        })
    }

    /// What to do, in whole sentences; `None` for what ingestion refuses.
    pub(crate) const fn remedy(self) -> Option<&'static str> {
        Some(match self {
            ProblemType::Ingest(_) => return None,
            ProblemType::NoKey => {
                "Send `Authorization: Bearer ID.SECRET`; set `SHOAL_KEY` for the command line."
            }
            ProblemType::BadKey => {
                "Compare the id with `shoal keys list`. A service over another data directory has other keys."
            }
            ProblemType::ExpiredKey => "Make another key with `shoal keys create`.",
            ProblemType::WrongKey => {
                "Use a key that `shoal keys create ingest` or `shoal keys create analyst` has made for this."
            }
            ProblemType::NotAllowed => "Leave the region out, or make a key that has it (`--regions`).",
            ProblemType::UnknownPath => "Compare the path with `/docs/`, and the base address of the SDK.",
            ProblemType::WrongMethod => "Use one that the header `Allow` lists.",
            ProblemType::NotYet => "Keep the request and send it again after `retry_after_s`, as SDKs do.",
            ProblemType::NoSuchQuery => "`GET /v1/sql` lists those that run.",
            ProblemType::NoSuchRequest => "Use `request` of the answer to the request.",
            ProblemType::BadRequest => {
                "Correct the part that the detail names. `/docs/` has the form of each path."
            }
            ProblemType::BrokenBody => {
                "Send it again. If it goes on, look at the proxy and the network in between."
            }
            ProblemType::TooSlow => {
                "Send fewer events in a request, or raise the setting for clients on slow networks."
            }
            ProblemType::Busy => "Send it again after `retry_after_s`, and ask fewer questions at one time.",
            ProblemType::Refused => {
                "Paste `suggestion`, which asks the same. Where there is only an `example`, see *What is refused* in sql.md."
            }
            ProblemType::Budget => {
                "Ask with a lower precision, or about days that have more left (`shoal budget`), or wait for the day's next budget epoch. \
                    A question that was answered before is free."
            }
            ProblemType::RetentionRefused => {
                "Look at the machine's clock and at `shoal retention plan`, and then see *When a run is refused* in operations.md."
            }
            ProblemType::NotReady => {
                "Look at `parts`, `shoal status` and the log: free some space when a part is full, and look at the disk when it has failed."
            }
            ProblemType::Failed => {
                "The operator looks at the label `cause` and the log, and then at *Failed queries* in operations.md."
            }
        })
    }
}
