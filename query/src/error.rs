//! What a caller can be told: a refusal (data, made from the text and the public schema only), or one of three states.
//!
//! Invariants: nothing here carries a value of an event. Whatever goes wrong after a scan has started is
//! [`QueryError::Failed`], without a reason; the reason is not even logged, because DataFusion prints row values in it.
//! Not here: status codes (`shoal-server`).

use datafusion::sql::sqlparser::tokenizer::Span;
use serde::{Deserialize, Serialize};

/// Why a statement is not answered: the rule, the place, and the nearest thing that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{rule} at {line}:{column}: {message} Try: {suggestion}", rule = .rule.as_str())]
pub struct Refusal {
    /// The rule that was broken.
    pub rule: Rule,
    /// Line of the text, from 1.
    pub line: u64,
    /// Column of the line, from 1.
    pub column: u64,
    /// What is not possible, one sentence.
    pub message: String,
    /// What to write instead: a statement that works.
    pub suggestion: String,
}

impl Refusal {
    pub(crate) fn new(
        rule: Rule,
        span: Span,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) -> Refusal {
        Refusal {
            rule,
            line: span.start.line.max(1),
            column: span.start.column.max(1),
            message: message.into(),
            suggestion: suggestion.into(),
        }
    }
}

/// The closed list of rules; `docs/guarantees.md` explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The text is too long, too deep or has too many tokens.
    Size,
    /// Not SQL.
    Syntax,
    /// Not one SELECT.
    Statement,
    /// A clause that a private query cannot have.
    Clause,
    /// Not one of the tables.
    Table,
    /// Not a column, or not usable in this place.
    Column,
    /// An expression that is not total and cheap.
    Expression,
    /// A function that is not on the list.
    Function,
    /// An aggregate that is not on the list.
    Aggregate,
    /// Two types that cannot be compared.
    Type,
    /// A literal that is not a value of its type.
    Literal,
    /// A key that cannot be grouped by, or a column that is neither key nor aggregate.
    Key,
    /// Regions or days that hold nothing.
    Range,
    /// More groups than one answer shows.
    Cells,
    /// Names of answer columns that collide.
    Name,
    /// The price is above the cap of a block.
    Budget,
}

impl Rule {
    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::Size => "size",
            Rule::Syntax => "syntax",
            Rule::Statement => "statement",
            Rule::Clause => "clause",
            Rule::Table => "table",
            Rule::Column => "column",
            Rule::Expression => "expression",
            Rule::Function => "function",
            Rule::Aggregate => "aggregate",
            Rule::Type => "type",
            Rule::Literal => "literal",
            Rule::Key => "key",
            Rule::Range => "range",
            Rule::Cells => "cells",
            Rule::Name => "name",
            Rule::Budget => "budget",
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The statement is refused. Nothing was read, nothing is charged.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The key does not reach this region. Nothing was read, nothing is charged.
    #[error("this key may not ask region {0}")]
    NotAllowed(String),
    /// Too many queries run already. Nothing was read, nothing is charged.
    #[error("too many queries are running; try again in a moment")]
    Busy,
    /// Anything that goes wrong after the scan has started.
    #[error("the query failed after it had started; it is charged")]
    Failed,
}

impl From<Refusal> for QueryError {
    fn from(refusal: Refusal) -> QueryError {
        QueryError::Refused(Box::new(refusal))
    }
}
