//! The longest text that an expression can give: from the query alone, so that time and memory can be planned for it.
//!
//! Invariants: properties and literals of texts have at most [`TEXT_BYTES_MAX`] bytes (`schemas`, `language`), nothing joins
//! texts, and upper and lower case, one after the other in any order, make a text at most [`CASE_TIMES`] times as long: a test
//! looks at all letters. Not here: what a text takes besides its bytes.

use shoal_language::{PrivateQuery, Scalar, Shape};

/// A property or a literal.
pub(crate) const TEXT_BYTES_MAX: usize = 256;
/// How many times as long its upper or lower case can be, and so how long.
const CASE_TIMES: usize = 3;
pub(crate) const CASED_BYTES_MAX: usize = CASE_TIMES * TEXT_BYTES_MAX;

/// The texts of a query's expressions.
#[derive(Clone, Copy, Default)]
pub(crate) struct Texts<'q> {
    /// What rows of subjects are grouped by.
    keys: &'q [Scalar],
}

impl<'q> Texts<'q> {
    pub(crate) fn of(query: &'q PrivateQuery) -> Texts<'q> {
        match query.shape() {
            Shape::Subjects(rows) => Texts { keys: &rows.keys },
            Shape::Events | Shape::Funnel { .. } | Shape::Retention { .. } => Texts::default(),
        }
    }

    /// How many times as long as a property the text of an expression can be.
    pub(crate) fn times(self, scalar: &Scalar) -> usize {
        let is_cased = |part: &Scalar| matches!(part, Scalar::Upper(_) | Scalar::Lower(_));
        let is_long = scalar.any(&|part| match part {
            Scalar::PersonKey { at, .. } => self.keys.get(*at).is_some_and(|key| key.any(&is_cased)),
            other => is_cased(other),
        });
        if is_long { CASE_TIMES } else { 1 }
    }

    /// The most bytes of the text of an expression.
    pub(crate) fn bytes(self, scalar: &Scalar) -> usize {
        self.times(scalar) * TEXT_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shoal_language::Casing;

    use super::*;

    /// Everything that a letter becomes by upper and lower case, in any order and however often.
    #[test]
    fn no_order_of_cases_makes_a_text_longer_than_is_planned_for() {
        let mut most = 0;
        for letter in ('\0'..=char::MAX).filter(|c| !c.to_uppercase().eq([*c]) || !c.to_lowercase().eq([*c]))
        {
            let mut all = BTreeSet::from([letter.to_string()]);
            let mut left: Vec<String> = all.iter().cloned().collect();
            while let Some(text) = left.pop() {
                assert!(text.len() <= CASE_TIMES * letter.len_utf8(), "{letter}: {text}");
                most = most.max(text.len() / letter.len_utf8());
                for other in [Casing::Upper.of(&text), Casing::Lower.of(&text)] {
                    if all.insert(other.clone()) {
                        left.push(other);
                    }
                }
            }
        }
        assert_eq!(most, CASE_TIMES);
    }
}
