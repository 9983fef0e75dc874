//! Stage 1: text -> [`Parsed`]. One SELECT (or EXPLAIN SELECT), of which every node has been seen.
//!
//! Invariants: the statement's structs are taken apart without `..` and its enums without `_`, so a parser that learns a
//! new clause does not compile until somebody has decided about it: nothing that a planner would drop gets through. Text,
//! tokens and depth are capped before anything else looks at them.
//! Not here: what names and expressions mean (`question/`, `bind/`).
//!
//! - `statement`: kinds of statements
//! - `clauses`: queries, selects and joins; `relations`: the clauses of what stands in FROM
//! - `expressions`, `types`, `names`: everything inside
//! - `reading`: what reading a text costs
//! - `walk`: how deep a walk is, and what each walk refuses

mod clauses;
mod expressions;
mod names;
mod reading;
mod relations;
mod statement;
mod types;
mod walk;

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, Tokenizer};

pub(crate) use self::reading::{READING_STEPS_MAX, reading_steps};
pub(crate) use self::relations::clear_clauses;
pub(crate) use self::statement::Parsed;
pub use self::walk::SHAPE;
pub(crate) use self::walk::not_a_query;
use crate::error::{Refusal, Rule, without_values};

/// Longest text, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Most tokens; also bounds the number of nodes.
pub(crate) const TOKENS_MAX: usize = 4_000;
/// Deepest nesting.
pub(crate) const DEPTH_MAX: usize = 40;
/// Longest name.
const NAME_CHARS_MAX: usize = 128;

/// Parses a statement.
///
/// # Errors
/// A refusal that depends on the text alone.
pub(crate) fn statement(text: &str) -> Result<Parsed, Refusal> {
    let parsed = statement::query(one(text)?)?;
    clauses::walk(&parsed.query)?;
    Ok(parsed)
}

/// The one statement of a text.
fn one(text: &str) -> Result<Statement, Refusal> {
    let start = Span::empty();
    let shorter = "SELECT COUNT(*) FROM usage";
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("The text is longer than {TEXT_BYTES_MAX} bytes.");
        return Err(Refusal::new(Rule::Size, start, message, shorter));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|e| {
        let span = Span::new(e.location, e.location);
        Refusal::new(Rule::Syntax, span, format!("{}.", without_values(&e.message)), SHAPE)
    })?;
    if tokens.len() > TOKENS_MAX {
        let message = format!("The text has more than {TOKENS_MAX} tokens.");
        return Err(Refusal::new(Rule::Size, start, message, shorter));
    }
    if reading_steps(&tokens) > READING_STEPS_MAX {
        let message = "Calls are too deep in each other, or parentheses behind NOT are: use a subquery for what is inside.";
        return Err(Refusal::new(Rule::Size, start, message, shorter));
    }
    for token in &tokens {
        if let Token::Word(word) = &token.token {
            name(&word.value, token.span)?;
        }
    }
    let mut statements = Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(syntax)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Refusal::new(Rule::Statement, start, "There must be exactly one statement.", SHAPE)),
    }
}

/// Refuses a name that would be read otherwise when it is written again.
fn name(text: &str, span: Span) -> Result<(), Refusal> {
    let is_strange = |c: char| {
        c.is_control()
            || matches!(c, '"' | '\\' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if text.chars().count() > NAME_CHARS_MAX || text.chars().any(is_strange) {
        let message = "A name has at most 128 characters, none of them a quote, a backslash or invisible.";
        return Err(Refusal::new(
            Rule::Name,
            span,
            message,
            "SELECT COUNT(*) AS \"number of events\" FROM usage",
        ));
    }
    Ok(())
}

/// The parser's own message, with its place moved from the text into the refusal, and without the text that it found there.
fn syntax(error: ParserError) -> Refusal {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            let message = format!("Nesting is deeper than {DEPTH_MAX}.");
            return Refusal::new(Rule::Size, Span::empty(), message, SHAPE);
        }
    };
    let (message, place) = text.split_once(" at Line: ").unwrap_or((&text, "1, Column: 1"));
    let mut numbers = place.split(", Column: ").map(|n| n.trim().parse().unwrap_or(1));
    let at = Location::new(numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    let message = message.split_once(", found: ").map_or(message, |(expected, _)| expected);
    Refusal::new(Rule::Syntax, Span::new(at, at), format!("{}.", without_values(message)), SHAPE)
}
