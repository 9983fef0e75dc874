//! Why a statement is no question: a refusal (data, made from the text and the public schema only).
//!
//! Invariants: nothing here carries a value of an event.
//! Not here: what goes wrong once something has been read (`shoal-query`), status codes (`shoal-server`).

use std::fmt;

use serde::{Deserialize, Serialize};
use sqlparser::tokenizer::Span;

/// Why a statement is not answered: the rule, the place, and what can be asked instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The rule that was broken.
    pub rule: Rule,
    /// Line of the text, from 1.
    pub line: u64,
    /// Column of the line, from 1.
    pub column: u64,
    /// What is not possible, one sentence.
    pub message: String,
    /// The same question, written so that it works; none when no statement is known that asks the same.
    pub suggestion: Option<String>,
    /// A statement that works and shows what can be asked, about something else.
    pub example: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { rule, line, column, message, suggestion, example: _ } = self;
        let word = if suggestion.is_some() { "Try" } else { "For example" };
        write!(f, "{} at {line}:{column}: {message} {word}: {}", rule.as_str(), self.instead())
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// A refusal of what begins at this place of the text.
    pub(crate) fn new(
        rule: Rule,
        span: Span,
        message: impl Into<String>,
        example: impl Into<String>,
    ) -> Refusal {
        Refusal {
            rule,
            line: span.start.line.max(1),
            column: span.start.column.max(1),
            message: message.into(),
            suggestion: None,
            example: example.into(),
        }
    }

    /// A refusal of the statement as a whole.
    pub fn whole(rule: Rule, message: impl Into<String>, example: impl Into<String>) -> Refusal {
        Refusal::new(rule, Span::empty(), message, example)
    }

    /// What to write instead: the suggestion, or the example where there is none.
    pub fn instead(&self) -> &str {
        self.suggestion.as_deref().unwrap_or(&self.example)
    }
}

/// A message of the parser or the planner without what it quotes of the statement: a value that somebody typed may be about a
/// person. What looks like the name of a column stays, but in single quotes, which stand around values.
pub fn without_values(message: &str) -> String {
    let mut told = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let (before, quoted) = rest.split_at(at);
        told.push_str(before);
        let (quote, after) = quoted.split_at(1);
        // As in "doesn't".
        if quote == "'" && before.ends_with(char::is_alphanumeric) {
            told.push_str(quote);
            rest = after;
            continue;
        }
        let (inside, following) = after.split_once(quote).unwrap_or((after, ""));
        let is_name = inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && inside.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let shown = if quote != "'" && is_name { inside } else { ".." };
        told.extend([quote, shown, quote]);
        rest = following;
    }
    told.push_str(rest);
    told
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
    /// It would take longer than a query may.
    Time,
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
            Rule::Time => "time",
        }
    }
}

/// Why a statement is no question. Nothing was read, nothing is charged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// The statement is refused.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The key does not reach this region.
    #[error("this key may not ask region {0}")]
    NotAllowed(String),
}

impl From<Refusal> for LanguageError {
    fn from(refusal: Refusal) -> LanguageError {
        LanguageError::Refused(Box::new(refusal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_words_and_plain_names_and_loses_values() {
        for (message, told) in [
            ("No field named \"anna@example.org\".", "No field named \"..\"."),
            ("No field named \"p95_sd\".", "No field named \"p95_sd\"."),
            ("No field named \"0151 234\".", "No field named \"..\"."),
            ("Cannot cast 'Anna' to a number", "Cannot cast '..' to a number"),
            ("It doesn't take `x y`, nor `xy`", "It doesn't take `..`, nor `xy`"),
            ("Unterminated: 'Anna", "Unterminated: '..'"),
            ("Nothing is quoted.", "Nothing is quoted."),
        ] {
            assert_eq!(without_values(message), told);
        }
    }
}
