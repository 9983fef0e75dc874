//! A statement in its canonical form without its literals, for those who did not ask it.
//!
//! Invariant: what is left is made of words that this file and the public schema list, and of signs; every number, every
//! text between quotes and every other word is a `?`. So a literal that is written in a way that is not foreseen here is
//! hidden all the same. The bounds of what one subject adds follow from the registry, unless a literal narrows them: they
//! stay in a statement that has no literal. Not here: who may see literals (`budget.rs`).

use std::collections::HashSet;

use shoal_schemas::{Kind, Registry};

/// The words of the canonical form, and of the shapes of rows in it.
const WORDS: &str = "\
    A ABOVE AGGREGATE AND BY CASE COHORT DATE DAY DAYS DISTINCT EACH ELSE END FILTER FOR FROM FUNNEL GROUPS HAVING ILIKE IN \
    IS KEY LIKE NOT NULL NUMBER OF ONE OR PROGRAMME RETENTION ROW ROWS S SUBJECT SUBJECTS THE THEN THRESHOLD TIMESTAMP TO TRUE WHEN WHERE \
    WITH WITHIN \
    at bucket coalesce cohort count date_trunc day device experience extract greatest least lower most period quantile \
    region scale session step subject sum time tree upper user within \
    day_number dow hour isodow month quarter week year \
    Add And Arithmetic Boolean Bucket Case Coalesce Cohort Column Compare Day DayNumber Distinct Dow Eq Greatest Gt GtEq Hour \
    In IsNull Isodow Least Like Lower Lt LtEq Max Min Month Multiply None Not NotEq Null Number Or Part Period PerSubject \
    Person PersonKey PersonValue Present Quarter Region Rows Sessions Some Step Subtract Sum Text Time Upper Value Week Year \
    any_case branches edges filter having item keys labels max min name op otherwise pattern ty values";

/// Words that are followed by their number: a value or a key of a subject's row.
const NUMBERED: [&str; 2] = ["value_", "key_"];

/// What stands before the bound of a number, or of the groups of one subject.
const BEFORE_BOUNDS: [&str; 3] = ["(scale ", ", at most ", "SUBJECT'S DAY "];

/// The words that are no literals.
pub(crate) struct PublicWords<'r>(HashSet<&'r str>);

impl<'r> PublicWords<'r> {
    /// Those of the canonical form, and the names of tables and columns.
    pub(crate) fn of(registry: &'r Registry) -> PublicWords<'r> {
        let tables = Kind::ALL.iter().map(|kind| kind.as_str());
        let columns = Kind::ALL
            .iter()
            .flat_map(|kind| &registry.table(*kind).columns)
            .map(|column| column.name.as_str());
        PublicWords(WORDS.split_whitespace().chain(tables).chain(columns).collect())
    }

    /// The statement, without where and when it is about, with a `?` for each literal.
    pub(crate) fn without_literals(&self, text: &str) -> String {
        let shown = self.shown(text, true);
        if shown == text { shown } else { self.shown(text, false) }
    }

    fn shown(&self, text: &str, with_bounds: bool) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' => quoted(rest, '\''),
                '"' => quoted(rest, '"'),
                c if is_of_word(c) => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let (token, after) = rest.split_at(length);
            rest = after;
            match first {
                c if c.is_ascii() && !is_of_word(c) && !matches!(c, '\'' | '"') => out.push(c),
                // A column in a shape of rows: `name: "os"`.
                '"' if out.ends_with("name: ") && self.0.contains(token.trim_matches('"')) => {
                    out.push_str(token)
                }
                _ if self.is_public(token) => out.push_str(token),
                c if c.is_ascii_digit() && with_bounds && BEFORE_BOUNDS.iter().any(|b| out.ends_with(b)) => {
                    out.push_str(token);
                }
                _ => out.push('?'),
            }
            // The genitive of the form's last line is no quote.
            if token == "SUBJECT"
                && let Some(after) = rest.strip_prefix("'S ")
            {
                out.push_str("'S ");
                rest = after;
            }
        }
        out
    }

    fn is_public(&self, token: &str) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        self.0.contains(token) || NUMBERED.iter().any(|word| token.strip_prefix(word).is_some_and(is_number))
    }
}

/// What words and numbers are made of, in any language. A full stop may be part of a number.
fn is_of_word(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// How long a text between these quotes is, with them: a quote inside is doubled, or comes after a backslash. Without an
/// end it is all that there is.
fn quoted(text: &str, quote: char) -> usize {
    let mut inside = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = inside.next() {
        if c == '\\' && quote == '"' {
            inside.next();
        } else if c == quote && inside.next_if(|(_, next)| *next == quote && quote == '\'').is_none() {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn registry() -> Registry {
        Registry::load(None).unwrap()
    }

    fn shown(text: &str) -> String {
        let registry = registry();
        PublicWords::of(&registry).without_literals(text)
    }

    #[test]
    fn the_form_stays_and_its_literals_go() {
        for (text, expected) in [
            (
                "PROGRAMME user-experience\nWHERE ((event = 'click') AND (screen <> 'it''s anna'))",
                "PROGRAMME user-experience\nWHERE ((event = ?) AND (screen <> ?))",
            ),
            ("WHERE (duration_ms >= 1234.5)", "WHERE (duration_ms >= ?)"),
            ("WHERE (os IN ('ios', 'android'))", "WHERE (os IN (?, ?))"),
            ("WHERE (time >= TIMESTAMP '2026-11-22T10:00:00Z')", "WHERE (time >= TIMESTAMP ?)"),
            ("WHERE (element LIKE '%it\nWHERE os%')", "WHERE (element LIKE ?)"),
            ("WHERE (handled = true)", "WHERE (handled = ?)"),
            ("KEY os OF 'ios', 'android'", "KEY os OF ?, ?"),
            ("KEY screen ABOVE THE THRESHOLD", "KEY screen ABOVE THE THRESHOLD"),
            (
                "AGGREGATE sum(duration_ms) (scale 0, at most 50)\nGROUPS OF ONE SUBJECT'S DAY 4",
                "AGGREGATE sum(duration_ms) (scale 0, at most 50)\nGROUPS OF ONE SUBJECT'S DAY 4",
            ),
            (
                "AGGREGATE sum(least(duration_ms, 77)) (scale 0, at most 77)\nGROUPS OF ONE SUBJECT'S DAY 4",
                "AGGREGATE sum(least(duration_ms, ?)) (scale ?, at most ?)\nGROUPS OF ONE SUBJECT'S DAY ?",
            ),
            (
                "SUBJECTS PerSubject { having: Some(Compare(Gt, Person { at: 0, scale: 0 }, Value(Number(3, 0)))) }",
                "SUBJECTS PerSubject { having: Some(Compare(Gt, Person { at: ?, scale: ? }, Value(Number(?, ?)))) }",
            ),
            (
                "FUNNEL [Compare(Eq, Column { name: \"os\", ty: Text }, Value(Text(\"os \\\" x\")))] WITHIN 60000",
                "FUNNEL [Compare(Eq, Column { name: \"os\", ty: Text }, Value(Text(?)))] WITHIN ?",
            ),
            ("WHERE (value_1 > 7) AND (key_0 = 'x')", "WHERE (value_1 > ?) AND (key_0 = ?)"),
            // Whatever the scrubber has left of a quote, no word of a literal is shown.
            ("WHERE (screen = anna's) AND (os = 'ios')", "WHERE (screen = ????"),
            ("WHERE (screen = 'anna", "WHERE (screen = ?"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_literal_is_shown(secret in "[a-zA-Z0-9äß'\"\\\\\n%@. -]{0,30}", number in 1_000i64..) {
            let literal = format!("zqx{secret}zqx");
            let text = format!(
                "WHERE (screen = '{}') AND (os = 'ios') AND (duration_ms > {number})\nFUNNEL {:?}",
                literal.replace('\'', "''"),
                literal,
            );
            let shown = shown(&text);
            prop_assert!(!shown.contains("zqx") && !shown.contains(&number.to_string()), "{shown}");
            prop_assert!(shown.contains("WHERE (screen = ?) AND (os = ?) AND (duration_ms > ?)"), "{shown}");
        }
    }
}
