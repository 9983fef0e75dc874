//! A refused statement as a tree and as text, and what is known about it.
//!
//! Not here: what is written otherwise in it (the other files of this folder).

use std::fmt::Write as _;

use shoal_schemas::{Kind, Registry};
use sqlparser::ast::{CopySource, Query, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

use super::place::Place;
use crate::parse::{DEPTH_MAX, READING_STEPS_MAX, reading_steps};

/// Longest statement that is written otherwise, in tokens: a tree is not deeper than that.
const TOKENS_MAX: usize = 500;

/// What is known about a refused statement.
pub(super) struct Situation<'a> {
    pub(super) place: Place,
    pub(super) registry: &'a Registry,
    /// The tables that the statement names.
    pub(super) kinds: Vec<Kind>,
}

/// The statements of a text; none when it cannot be read or is too long.
pub(super) fn statements(text: &str) -> Option<Vec<Statement>> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().ok()?;
    if tokens.len() > TOKENS_MAX || reading_steps(&tokens) > READING_STEPS_MAX {
        return None;
    }
    Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .ok()
}

/// The query of a text that has one statement: of two statements one alone would not ask what was asked.
pub(super) fn only(text: &str) -> Option<(bool, Query)> {
    let mut all = statements(text)?;
    let one = all.pop().filter(|_| all.is_empty())?;
    query_of(one)
}

/// The query of a statement, or the one inside it; and whether it is only to be explained.
pub(super) fn query_of(statement: Statement) -> Option<(bool, Query)> {
    match statement {
        Statement::Query(query) => Some((false, *query)),
        Statement::Explain { statement, .. } => query_of(*statement).map(|(_, query)| (true, query)),
        Statement::Prepare { statement, .. } => query_of(*statement),
        Statement::CreateTable(table) => table.query.and_then(about_a_table),
        Statement::CreateView(view) => about_a_table(view.query),
        Statement::Insert(insert) => insert.source.and_then(about_a_table),
        Statement::Copy { source: CopySource::Query(query), .. } => about_a_table(query),
        _ => None,
    }
}

/// A query that names a table.
fn about_a_table(query: Box<Query>) -> Option<(bool, Query)> {
    Some((false, *query)).filter(|(_, query)| !kinds(&query.to_string()).is_empty())
}

/// A query as text.
pub(super) fn written(explain: bool, query: &Query) -> String {
    let mut text = if explain { "EXPLAIN ".to_owned() } else { String::new() };
    // Writing to a text does not fail.
    let _ = write!(text, "{query}");
    text
}

/// The tables that a text names, in their order.
pub(super) fn kinds(text: &str) -> Vec<Kind> {
    let text = text.to_ascii_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut found: Vec<Kind> = Vec::new();
    for word in words {
        if let Some(kind) = Kind::ALL.iter().find(|kind| kind.as_str() == word)
            && !found.contains(kind)
        {
            found.push(*kind);
        }
    }
    found
}
