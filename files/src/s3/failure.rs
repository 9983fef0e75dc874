//! What a request that failed means: whether it may be repeated, and what a caller is told.
//!
//! Invariants: whatever is not known to have been refused may have been carried out. Of what the store answered, a message has the
//! status and the code of the error alone: the whole text of an answer repeats the request, with the session's token.
//!
//! `object_store` tells the status of a request as a text only, so it is read from there; one that is not found makes a request
//! be repeated, which is safe. Not here: for how long (`store`).

use std::error::Error;
use std::io::{self, ErrorKind};

use object_store::client::{HttpError, HttpErrorKind};

/// What is before the status in the text of an error.
const STATUS: &str = "non-2xx status code: ";
/// The longest code of an error that is told.
const CODE_BYTES_MAX: usize = 48;

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// There is no such thing. Nothing was changed.
    Absent,
    /// The request's condition does not hold. Nothing was changed.
    Condition,
    /// The store could not decide about the condition, as others asked the same. Nothing was changed; to be repeated.
    Undecided,
    /// The keys are wrong, or may not do this. Nothing was changed.
    Denied,
    /// A range is beyond the end.
    Range,
    /// There is no room. Nothing was changed.
    Full,
    /// Refused for good. Nothing was changed.
    Refused,
    /// It may have been carried out, and may be repeated.
    InDoubt,
    /// Nothing was sent: there are no keys to sign with. To be repeated.
    NoKeys,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) meaning: Meaning,
    text: String,
}

impl Failure {
    /// One with a text of our own.
    pub(super) fn new(meaning: Meaning, text: &str) -> Failure {
        Failure { meaning, text: text.to_owned() }
    }

    /// The same when an earlier request of the same call may have been carried out.
    pub(super) fn after_doubt(self) -> Failure {
        let text = format!("{}, and an earlier request may have been carried out", self.text);
        Failure { meaning: Meaning::InDoubt, text }
    }

    /// The same when it has been repeated for as long as it may.
    pub(super) fn given_up(self, requests: u32) -> Failure {
        let text = match requests {
            0 | 1 => self.text,
            _ => format!("{} (the last of {requests} requests)", self.text),
        };
        Failure { text, ..self }
    }

    /// Whether one object of many was not there.
    pub(super) fn is_no_such_key(&self) -> bool {
        self.meaning == Meaning::Absent && self.text.contains("(NoSuchKey)")
    }

    /// What a caller is told.
    pub(super) fn told(self, what: &str) -> io::Error {
        let kind = match self.meaning {
            Meaning::Absent => ErrorKind::NotFound,
            Meaning::Condition => ErrorKind::AlreadyExists,
            Meaning::Denied | Meaning::NoKeys => ErrorKind::PermissionDenied,
            Meaning::Range => ErrorKind::UnexpectedEof,
            Meaning::Full => ErrorKind::StorageFull,
            Meaning::InDoubt | Meaning::Undecided => ErrorKind::TimedOut,
            Meaning::Refused => ErrorKind::Other,
        };
        io::Error::new(kind, format!("{what}: {}", self.text))
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Failure {
        if matches!(error, object_store::Error::InvalidPath { .. }) {
            return Failure::new(Meaning::Refused, "the store holds a key that no object here can have");
        }
        let texts: Vec<String> = chain(&error).map(ToString::to_string).collect();
        let status = texts.iter().find_map(|text| status(text)).or_else(|| status_of_kind(&error));
        let code = texts.iter().find_map(|text| code(text));
        if status.is_some() || code.is_some() {
            let known = [status.map(|status| status.to_string()), code.map(|code| format!("({code})"))];
            let text =
                format!("the store answered {}", known.into_iter().flatten().collect::<Vec<_>>().join(" "));
            return Failure { meaning: meaning(status, code), text };
        }
        let redirect = texts.iter().any(|text| text.contains("redirect"));
        let kind = chain(&error).find_map(|error| error.downcast_ref::<HttpError>()).map(HttpError::kind);
        match kind {
            _ if redirect => Failure::new(Meaning::Refused, "the bucket is in another region"),
            Some(HttpErrorKind::Connect) => {
                Failure::new(Meaning::InDoubt, "there is no connection to the store")
            }
            Some(HttpErrorKind::Timeout) => {
                Failure::new(Meaning::InDoubt, "the store did not answer in time")
            }
            Some(_) => Failure::new(Meaning::InDoubt, "the connection to the store broke"),
            None => Failure::new(Meaning::InDoubt, "the store's answer is not one of S3"),
        }
    }
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once(STATUS)?;
    rest.get(..3)?.parse().ok()
}

fn status_of_kind(error: &object_store::Error) -> Option<u16> {
    let is_condition = |error: &(dyn Error + 'static)| {
        let error = error.downcast_ref::<object_store::Error>();
        matches!(
            error,
            Some(object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. })
        )
    };
    match error {
        object_store::Error::NotFound { .. } => Some(404),
        object_store::Error::AlreadyExists { .. } if !chain(error).any(is_condition) => Some(409),
        _ if chain(error).any(is_condition) => Some(412),
        object_store::Error::PermissionDenied { .. } => Some(403),
        object_store::Error::Unauthenticated { .. } => Some(401),
        _ => None,
    }
}

/// The code in the body of an answer, or of one object of many.
fn code(text: &str) -> Option<&str> {
    let (rest, end) = match text.split_once("<Code>") {
        Some((_, rest)) => (rest, "</Code>"),
        None => (text.split_once("(code: ")?.1, ")"),
    };
    let (code, _) = rest.split_once(end)?;
    let is_code =
        !code.is_empty() && code.len() <= CODE_BYTES_MAX && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then_some(code)
}

fn meaning(status: Option<u16>, code: Option<&str>) -> Meaning {
    match (status, code) {
        (_, Some("PreconditionFailed")) => Meaning::Condition,
        (_, Some("ConditionalRequestConflict")) => Meaning::Undecided,
        (_, Some("NoSuchKey" | "NoSuchBucket" | "NoSuchUpload")) => Meaning::Absent,
        (_, Some("InvalidRange")) => Meaning::Range,
        (_, Some("AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken")) => {
            Meaning::Denied
        }
        (_, Some("RequestTimeout" | "ExpiredToken" | "BadDigest" | "IncompleteBody")) => Meaning::InDoubt,
        (Some(304 | 412), _) => Meaning::Condition,
        (Some(401 | 403), _) => Meaning::Denied,
        (Some(404), _) => Meaning::Absent,
        // A head has no code, so that one of keys that have expired is like others.
        (Some(400), None) | (Some(408 | 429), _) => Meaning::InDoubt,
        (Some(409), _) => Meaning::Undecided,
        (Some(416), _) => Meaning::Range,
        (Some(501), _) => Meaning::Refused,
        (Some(507), _) => Meaning::Full,
        (Some(300..=499), _) => Meaning::Refused,
        _ => Meaning::InDoubt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_code_have_a_meaning() {
        for (status, code, expected) in [
            (404, None, Meaning::Absent),
            (404, Some("NoSuchUpload"), Meaning::Absent),
            (412, None, Meaning::Condition),
            (304, None, Meaning::Condition),
            (409, None, Meaning::Undecided),
            (409, Some("ConditionalRequestConflict"), Meaning::Undecided),
            (403, None, Meaning::Denied),
            (403, Some("RequestTimeTooSkewed"), Meaning::Denied),
            (400, Some("ExpiredToken"), Meaning::InDoubt),
            (400, Some("RequestTimeout"), Meaning::InDoubt),
            (400, Some("EntityTooLarge"), Meaning::Refused),
            (400, None, Meaning::InDoubt),
            (416, None, Meaning::Range),
            (429, None, Meaning::InDoubt),
            (500, Some("InternalError"), Meaning::InDoubt),
            (501, None, Meaning::Refused),
            (503, Some("SlowDown"), Meaning::InDoubt),
            (507, None, Meaning::Full),
            (301, None, Meaning::Refused),
        ] {
            assert_eq!(meaning(Some(status), code), expected, "{status} {code:?}");
        }
        assert_eq!(meaning(None, Some("SlowDown")), Meaning::InDoubt, "an error that was answered with 200");
        assert_eq!(meaning(None, Some("AccessDenied")), Meaning::Denied, "one object of many");
    }

    #[test]
    fn a_code_is_a_word() {
        assert_eq!(
            code("status 403: <Error><Code>AccessDenied</Code><Token>geheim</Token>"),
            Some("AccessDenied")
        );
        assert_eq!(code("failed for key a: no (code: InternalError)"), Some("InternalError"));
        let long = format!("<Code>{}</Code>", "a".repeat(CODE_BYTES_MAX + 1));
        for text in ["<Code>geheim/1</Code>", "<Code></Code>", "<Code>x", long.as_str(), "none"] {
            assert_eq!(code(text), None, "{text}");
        }
        assert_eq!(status("Server returned non-2xx status code: 503 Service Unavailable: x"), Some(503));
        assert_eq!(status("503"), None);
    }

    #[test]
    fn what_is_in_doubt_is_never_told_as_refused() {
        for meaning in [Meaning::Absent, Meaning::Denied, Meaning::Refused, Meaning::Full] {
            let error = Failure::new(meaning, "the store answered 1").after_doubt().told("put of x");
            assert!(crate::is_in_doubt(&error), "{error}");
        }
        assert!(!crate::is_in_doubt(&Failure::new(Meaning::Condition, "x").told("x")));
    }
}
