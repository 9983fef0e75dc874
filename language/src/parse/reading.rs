//! What reading a text costs the parser, told from its tokens.
//!
//! The parser reads the arguments of a call twice where they have no names: first as `name => value`, then as they are. What is
//! inside a call that is inside a call is read four times, and thirty calls in each other are a thousand million. A word of the
//! language before a parenthesis, as in `NOT (..)` and `CAST (..)`, is read as such a word first and, when anything inside is
//! wrong or too deep, once more as a call.
//! Invariants: the count is never below the number of tokens; it doubles with each call that a token is inside of, and is three
//! times as high for each such word. Not here: how many tokens there may be (`mod`).

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Most steps of reading a text. `docs/sql.md` has it.
pub(crate) const READING_STEPS_MAX: u64 = 100_000;

/// Words that are read as a word of the language first, and then as the name of a call.
const READ_THRICE: [&str; 15] = [
    "array",
    "case",
    "cast",
    "ceil",
    "convert",
    "extract",
    "floor",
    "not",
    "overlay",
    "position",
    "safe_cast",
    "substr",
    "substring",
    "trim",
    "try_cast",
];

/// Words before a parenthesis that is no call's.
const NO_CALLS: [&str; 32] = [
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "distinct",
    "else",
    "except",
    "exists",
    "filter",
    "from",
    "group",
    "having",
    "in",
    "intersect",
    "is",
    "join",
    "lateral",
    "like",
    "on",
    "or",
    "over",
    "select",
    "some",
    "then",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
];

/// How often the parser reads what stands in parentheses behind a word.
fn readings(word: &Word) -> u64 {
    let name = word.value.to_ascii_lowercase();
    match word.quote_style {
        None if READ_THRICE.contains(&name.as_str()) => 3,
        None if NO_CALLS.contains(&name.as_str()) => 1,
        _ => 2,
    }
}

/// The steps of reading some tokens.
pub(crate) fn reading_steps(tokens: &[TokenWithSpan]) -> u64 {
    // How often the tokens at hand are read, and those outside of each open parenthesis.
    let (mut times, mut outside) = (1_u64, Vec::new());
    let (mut steps, mut next) = (0_u64, 1);
    for TokenWithSpan { token, span: _ } in tokens {
        match token {
            Token::Whitespace(_) => continue,
            Token::LParen => {
                outside.push(times);
                times = times.saturating_mul(next);
            }
            Token::RParen => times = outside.pop().unwrap_or(1),
            _ => {}
        }
        steps = steps.saturating_add(times);
        next = if let Token::Word(word) = token { readings(word) } else { 1 };
    }
    steps
}
