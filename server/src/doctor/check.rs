//! One check, how it came out, and what to do about it.

use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// All is well.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work, or soon will not.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) check: &'static str,
    pub(crate) outcome: Outcome,
    /// What was found.
    pub(crate) found: String,
    /// What to do; empty when all is well.
    pub(crate) advice: String,
}

impl Check {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Check {
        Check { check, outcome: Outcome::Ok, found: found.into(), advice: String::new() }
    }

    pub(crate) fn warn(check: &'static str, found: impl Into<String>, advice: &str) -> Check {
        Check { check, outcome: Outcome::Warn, found: found.into(), advice: advice.to_owned() }
    }

    pub(crate) fn fail(check: &'static str, found: impl Into<String>, advice: &str) -> Check {
        Check { check, outcome: Outcome::Fail, found: found.into(), advice: advice.to_owned() }
    }
}
