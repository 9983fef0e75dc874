//! What reading a text costs the parser, told from its tokens.
//!
//! The parser reads the arguments of a call twice where they have no names: first as `name => value`, then as they are. What is
//! inside a call that is inside a call is read four times, and thirty calls in each other are a thousand million.
//! Invariants: the count is never below the number of tokens, and it doubles with each call that a token is inside of. Not here:
//! how many tokens there may be (`mod`).

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Most steps of reading a text. `docs/sql.md` has it.
pub(crate) const READING_STEPS_MAX: u64 = 100_000;

/// Words before a parenthesis that is no call's.
const NO_CALLS: [&str; 34] = [
    "all",
    "and",
    "any",
    "as",
    "between",
    "by",
    "case",
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
    "not",
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

/// The steps of reading some tokens.
pub(crate) fn reading_steps(tokens: &[TokenWithSpan]) -> u64 {
    let mut open: Vec<bool> = Vec::new();
    let (mut calls, mut steps) = (0_u32, 0_u64);
    let mut is_name = false;
    for TokenWithSpan { token, span: _ } in tokens {
        match token {
            Token::Whitespace(_) => continue,
            Token::LParen => {
                open.push(is_name);
                calls += u32::from(is_name);
            }
            Token::RParen if open.pop() == Some(true) => calls -= 1,
            _ => {}
        }
        steps = steps.saturating_add(1_u64.checked_shl(calls).unwrap_or(u64::MAX));
        is_name = match token {
            Token::Word(word) => {
                word.quote_style.is_some() || !NO_CALLS.contains(&word.value.to_ascii_lowercase().as_str())
            }
            _ => false,
        };
    }
    steps
}
