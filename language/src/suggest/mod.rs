//! What a refusal suggests: the asker's own statement, with what was refused written otherwise.
//!
//! ```text
//! SELECT SUM(amount / 2) FROM usage WHERE oss = 'ios'   ->   SELECT SUM(amount) / 2 FROM usage WHERE os = 'ios'
//! ```
//! Invariants: each proposal is asked as any statement is before it is shown (`shoal-query`, `engine/suggested.rs`), and is shown
//! only when it asks what was asked ([`lost`]): a proposal that does not help is refused again, and one that means something
//! else is no suggestion. What is near to the statement and yet another question (a quantile instead of a maximum, a bucket
//! instead of a measure) is an example of what can be asked. Proposals depend on the text, the refusal and the public schema.
//!
//! - `statement`: a refused statement as a tree and as text; `place`: where the refusal points in it
//! - `clauses`: whole clauses, and relations; `groups`: keys and items of SELECT
//! - `calls`, `exprs`: calls and other expressions; `dialects`: calls of other dialects; `names`: columns, tables, functions, names of the answer
//! - `less`: what can be elsewhere, or be left out; `typos`: texts that are not SQL
//! - `meaning`, `keeps`: whether a suggestion asks what was asked
//!
//! Not here: the search among the proposals, and what the places that refuse suggest themselves.

mod calls;
mod clauses;
mod dialects;
mod exprs;
mod groups;
mod keeps;
mod less;
mod meaning;
mod names;
mod place;
mod statement;
mod typos;

use shoal_schemas::{Kind, Registry};
use sqlparser::ast::Query;

pub use self::keeps::{Asked, lost};
use self::place::Place;
use self::statement::{Situation, kinds, only, written};
pub use self::typos::typos;
use crate::error::{Refusal, Rule};
use crate::parse::SHAPE;

/// What a proposal is made from.
pub struct Refused<'a> {
    /// Why the statement was refused, and where.
    pub refusal: &'a Refusal,
    /// The public schema.
    pub registry: &'a Registry,
}

/// A way to write a statement otherwise. It returns whether it changed anything.
type Way = fn(&mut Query, &Situation<'_>) -> bool;

/// The one query of a text on one line, so that places are those of the text.
pub fn on_one_line(text: &str) -> Option<String> {
    let (explain, query) = only(text)?;
    Some(written(explain, &query))
}

/// The ways to write a statement otherwise that this rule refused, the best first.
fn ways(rule: Rule) -> Vec<Way> {
    let mut all: Vec<Way> = match rule {
        Rule::Clause | Rule::Syntax | Rule::Statement => vec![clauses::plain],
        Rule::Table => return vec![names::table],
        Rule::Column => vec![names::column],
        Rule::Aggregate => vec![dialects::translated, calls::aggregate],
        Rule::Key => vec![groups::keyed, dialects::translated],
        Rule::Name => vec![names::aliases, names::positions],
        Rule::Type => vec![exprs::typed, exprs::inner],
        Rule::Literal => vec![exprs::listed, exprs::literal],
        Rule::Expression => {
            vec![exprs::compared, exprs::pattern, calls::divided, exprs::inner, dialects::translated]
        }
        Rule::Function => vec![dialects::translated, less::to_having, names::function],
        Rule::Range => vec![names::region],
        Rule::Cells => Vec::new(),
        Rule::Size | Rule::Budget | Rule::Time => return Vec::new(),
    };
    all.push(less::order);
    all
}

/// The ways to write a statement as another one that shows what can be asked in its place.
fn example_ways(rule: Rule) -> Vec<Way> {
    match rule {
        Rule::Aggregate => vec![calls::extremes, groups::distinct],
        Rule::Key => vec![groups::bucketed],
        _ => Vec::new(),
    }
}

/// Whether the example was chosen for this very question where it was refused, such as a template instead of a join. Then
/// no proposal is better.
pub fn is_chosen(refusal: &Refusal) -> bool {
    let chosen = |parts: &[&str]| parts.iter().any(|part| refusal.example.contains(part));
    match refusal.rule {
        Rule::Column => chosen(&["/ COUNT(DISTINCT session)"]),
        Rule::Table | Rule::Aggregate | Rule::Key => chosen(&["funnel(", "retention("]),
        _ => false,
    }
}

/// The statement written otherwise, once in each way that changes it, the best first.
pub fn proposals(text: &str, refused: &Refused<'_>) -> Vec<String> {
    written_otherwise(text, refused, ways(refused.refusal.rule))
}

/// The statement with what was refused replaced by what can be asked instead, which is another question: for examples.
pub fn examples(text: &str, refused: &Refused<'_>) -> Vec<String> {
    written_otherwise(text, refused, example_ways(refused.refusal.rule))
}

fn written_otherwise(text: &str, refused: &Refused<'_>, ways: Vec<Way>) -> Vec<String> {
    let Refused { refusal, registry } = refused;
    let Some((explain, query)) = only(text) else { return Vec::new() };
    let place = Place { line: refusal.line, column: refusal.column };
    let situation = Situation { place, registry, kinds: kinds(text) };
    let mut found = Vec::new();
    for way in ways {
        let mut other = query.clone();
        if way(&mut other, &situation) {
            let proposal = written(explain, &other);
            if proposal != text && !found.contains(&proposal) {
                found.push(proposal);
            }
        }
    }
    found
}

/// Statements that show the form of what can be asked, where no proposal asks the same: first the examples of the refusals, about
/// the statement's table where that can be, and then one that counts the table's events by day.
pub fn instead(text: &str, refusals: &[&Refusal]) -> Vec<String> {
    let named = kinds(text);
    let mut suggested: Vec<&str> = refusals.iter().map(|refusal| refusal.example.as_str()).collect();
    // The general one comes last.
    suggested.sort_by_key(|suggestion| *suggestion == SHAPE);
    let mut all = Vec::new();
    for suggestion in suggested {
        let known = kinds(suggestion);
        if let ([Kind::Usage], Some(kind)) = (known.as_slice(), named.first())
            && *kind != Kind::Usage
        {
            all.push(suggestion.replace("usage", kind.as_str()));
        }
        all.push(suggestion.to_owned());
    }
    for kind in named.iter().chain(Kind::ALL.first()) {
        all.push(format!("SELECT day, COUNT(*) AS events FROM {kind} GROUP BY day ORDER BY day"));
    }
    let mut found: Vec<String> = Vec::new();
    for suggestion in all {
        if !found.contains(&suggestion) {
            found.push(suggestion);
        }
    }
    found
}
