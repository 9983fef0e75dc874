//! Writes a text that is not SQL otherwise: with one letter or word corrected.
//!
//! Not here: statements that can be read (`clauses` and the others).

use crate::error::Refusal;
use shoal_schemas::nearest::nearest;

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

/// Whether a text is a name as other dialects put it in brackets.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | ' ' | '.' | '$'))
}

/// The text with names in double quotes that it has in backquotes or brackets; `None` when there are none. Texts in quotes
/// stay as they are.
fn quoted(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_changed = false;
    while let Some(at) = rest.find(['\'', '`', '[']) {
        let (before, from) = rest.split_at_checked(at)?;
        out.push_str(before);
        let close = match from.chars().next()? {
            '\'' => '\'',
            '`' => '`',
            _ => ']',
        };
        let end = from.char_indices().skip(1).find(|(_, c)| *c == close).map(|(end, _)| end)?;
        let inside = from.get(1..end)?;
        // `ARRAY[1, 2]` and `a[1]` have something in front.
        let is_behind = before
            .trim_end()
            .chars()
            .last()
            .is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | ']' | '"'));
        match close {
            '`' => {
                is_changed = true;
                out.push_str(&format!("\"{inside}\""));
            }
            ']' if is_name(inside) && !(is_behind && before.ends_with(|c: char| !c.is_whitespace())) => {
                is_changed = true;
                out.push_str(&format!("\"{inside}\""));
            }
            _ => out.push_str(from.get(..=end)?),
        }
        rest = from.get(end + 1..)?;
    }
    out.push_str(rest);
    is_changed.then_some(out)
}

/// Texts that are near to one that is not SQL, the best first. Not all of them are SQL.
pub fn typos(text: &str, refusal: &Refusal) -> Vec<String> {
    let at = offset(text, refusal);
    let (Some(before), Some(after)) = (text.get(..at), text.get(at..)) else { return Vec::new() };
    let mut all: Vec<String> = quoted(text).into_iter().collect();
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

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn names_of_other_dialects_are_put_in_double_quotes() {
        for (text, wanted) in [
            ("SELECT `os`, COUNT(*) FROM `usage`", Some("SELECT \"os\", COUNT(*) FROM \"usage\"")),
            ("SELECT [t].[os] FROM [usage] AS [t]", Some("SELECT \"t\".\"os\" FROM \"usage\" AS \"t\"")),
            (
                "SELECT 1 WHERE screen = '`x` [y]' AND `os` = 'a'",
                Some("SELECT 1 WHERE screen = '`x` [y]' AND \"os\" = 'a'"),
            ),
            ("SELECT ARRAY[1, 2], a[1]", None),
            ("SELECT `os", None),
            ("SELECT os FROM usage WHERE screen = '[x]'", None),
        ] {
            assert_eq!(quoted(text).as_deref(), wanted, "{text}");
        }
    }
}
