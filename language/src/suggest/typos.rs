//! Writes a text that is not SQL otherwise: with one letter or word corrected.
//!
//! Not here: statements that can be read (`clauses` and the others).

use crate::error::Refusal;
use crate::nearest::nearest;

/// Words of SQL that are easily mistyped.
const WORDS: [&str; 22] = [
    "select", "from", "where", "group", "order", "having", "limit", "offset", "distinct", "with", "between",
    "union", "join", "explain", "filter", "interval", "extract", "case", "when", "then", "else", "desc",
];

/// Where a place is in a text, in bytes.
fn offset(text: &str, refusal: &Refusal) -> usize {
    let line = usize::try_from(refusal.line).unwrap_or(1);
    let column = usize::try_from(refusal.column).unwrap_or(1);
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// The word in front of a place, and the one at it.
fn words_at(text: &str, at: usize) -> Vec<(usize, &str)> {
    let mut all: Vec<(usize, &str)> = Vec::new();
    let mut start = None;
    for (here, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_ascii_alphanumeric() || c == '_', start) {
            (true, None) => start = Some(here),
            (false, Some(from)) => {
                all.extend(text.get(from..here).map(|word| (from, word)));
                start = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    let near = all.iter().position(|(from, _)| *from >= at).unwrap_or(all.len());
    all.into_iter().skip(near.saturating_sub(1)).take(2).collect()
}

/// Texts that are near to one that is not SQL, the best first. Not all of them are SQL.
pub fn typos(text: &str, refusal: &Refusal) -> Vec<String> {
    let at = offset(text, refusal);
    let (Some(before), Some(after)) = (text.get(..at), text.get(at..)) else { return Vec::new() };
    let mut all = Vec::new();
    for (from, word) in words_at(text, at) {
        let lower = word.to_ascii_lowercase();
        let found = nearest(&lower, WORDS.into_iter()).filter(|found| *found != lower);
        if let (Some(found), Some(head), Some(tail)) =
            (found, text.get(..from), text.get(from + word.len()..))
        {
            all.push(format!("{head}{}{tail}", found.to_ascii_uppercase()));
        }
    }
    for (here, _) in text.match_indices(',') {
        let rest = text.get(here + 1..).unwrap_or_default();
        let next: String = rest.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        if let (true, Some(head)) = (WORDS.contains(&next.as_str()), text.get(..here)) {
            all.push(format!("{head}{rest}"));
        }
    }
    all.push(format!("{}) {after}", before.trim_end()));
    all.push(format!("{text})"));
    all
}
