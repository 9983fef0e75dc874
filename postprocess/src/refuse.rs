//! Refusals of the planner's errors, and statements that refusals suggest.
//!
//! Invariants: only errors of planning come here. They are made before there is any row, of the text and the releases' schemas
//! alone. An error of a run is never shown. Not here: what the gate refuses (`gate`).

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use shoal_language::{Refusal, Rule, without_values};

/// Most characters of the planner's own words in a message.
const WORDS_MAX: usize = 240;

/// A statement with postprocessing that works, for refusals that have no better suggestion.
pub(super) const PLAIN: &str =
    "SELECT os, n FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) AS t WHERE n > 100 ORDER BY n DESC";
/// A statement of two columns with different names.
pub(super) const NAMED: &str = "SELECT COUNT(*) AS events, COUNT(DISTINCT subject) AS people FROM usage";
/// A statement that joins two released tables on a key.
pub(super) const JOINED: &str = "SELECT a.os, a.n, b.people FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) AS a JOIN (SELECT os, \
    COUNT(DISTINCT subject) AS people FROM usage GROUP BY os) AS b ON a.os = b.os";
/// A statement with rows of VALUES beside a released table.
pub(super) const VALUES: &str = "SELECT os, n FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) AS t WHERE os IN (SELECT v.os FROM \
    (VALUES ('ios'), ('android')) AS v (os))";
/// A statement with a row for each of some keys, whether its group is shown or not.
pub(super) const FILLED: &str = "SELECT v.version, coalesce(c.n, 0) AS n FROM (VALUES ('1.0'), ('2.0')) AS v (version) LEFT JOIN (SELECT app_version, \
    COUNT(*) AS n FROM crash GROUP BY app_version) AS c ON c.app_version = v.version";
/// A statement with a window over released rows.
pub(super) const RUNNING: &str = "SELECT day, n, SUM(n) OVER (ORDER BY day) AS so_far FROM (SELECT day, COUNT(*) AS n FROM usage \
    GROUP BY day) AS days ORDER BY day";

/// The planner's error for a table that is not one of the releases.
pub(super) const NO_TABLE: &str = "no such table";

/// The refusal of a statement that takes more time or memory than planning may take.
pub(super) fn too_much() -> Refusal {
    let message = "The postprocessing takes too much time or memory to plan.";
    Refusal::whole(Rule::Size, message, PLAIN)
}

/// The refusal of a statement whose joins can make more rows than they may.
pub(super) fn too_many_rows() -> Refusal {
    let message = "The joins of the statement can make too many rows: an equality of a join must tell the rows of one side apart.";
    Refusal::whole(Rule::Size, message, JOINED)
}

/// A refusal of the postprocessing text. It has no place, because the text was rewritten.
pub(super) fn refusal(rule: Rule, message: &str, suggestion: &str) -> Refusal {
    Refusal::whole(rule, message, suggestion)
}

/// Why a text has no plan.
#[derive(Debug)]
pub(super) enum Stop {
    Refused(Refusal),
    /// The planner's own error.
    Planning(DataFusionError),
}

/// A refusal of the postprocessing text as a [`Stop`].
pub(super) fn stop(rule: Rule, message: &str, suggestion: &str) -> Stop {
    Stop::Refused(Refusal::whole(rule, message, suggestion))
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<DataFusionError> for Stop {
    fn from(error: DataFusionError) -> Stop {
        Stop::Planning(error)
    }
}

impl Stop {
    /// What the caller is told.
    pub(super) fn refusal(self) -> Refusal {
        let error = match self {
            Stop::Refused(refusal) => return refusal,
            Stop::Planning(error) => error,
        };
        let (rule, suggestion) = match error.find_root() {
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                SchemaError::FieldNotFound { .. } => (Rule::Column, PLAIN),
                SchemaError::AmbiguousReference { .. } => (Rule::Column, JOINED),
                SchemaError::DuplicateQualifiedField { .. }
                | SchemaError::DuplicateUnqualifiedField { .. } => (Rule::Name, NAMED),
            },
            DataFusionError::SQL(..) => (Rule::Syntax, PLAIN),
            DataFusionError::NotImplemented(_) => {
                let message = "Something in the statement cannot be used in the postprocessing.";
                return Refusal::whole(Rule::Clause, message, JOINED);
            }
            DataFusionError::ResourcesExhausted(_) => return too_much(),
            DataFusionError::Plan(words) if words.contains("unique expression names") => {
                let message = "Two columns of the statement have one name.";
                return Refusal::whole(Rule::Name, message, NAMED);
            }
            DataFusionError::Plan(words) if words == NO_TABLE => {
                let message = "There is no table of this name here.";
                return Refusal::whole(Rule::Table, message, PLAIN);
            }
            _ => (Rule::Type, PLAIN),
        };
        Refusal::whole(rule, words(&error), suggestion)
    }
}

/// The first line of the planner's words, without its own names for their kind, its guesses, and values of the text.
fn words(error: &DataFusionError) -> String {
    let text = error.find_root().strip_backtrace();
    let line = text.lines().next().unwrap_or_default();
    let line = ["Error during planning: ", "Schema error: "]
        .iter()
        .fold(line, |line, kind| line.strip_prefix(kind).unwrap_or(line));
    let line = line.split_once(" Did you mean").map_or(line, |(told, _)| told);
    let mut words: String = without_values(line).chars().take(WORDS_MAX).collect();
    if words.is_empty() {
        words.push_str("The postprocessing cannot be planned");
    }
    if !words.ends_with('.') {
        words.push('.');
    }
    words
}
