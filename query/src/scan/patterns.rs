//! Patterns of LIKE, compiled once.
//!
//! Invariants: a compiled pattern matches in time that is linear in the text, whatever the text and the pattern are, and means
//! what DataFusion's LIKE and ILIKE mean.

use regex::{Regex, RegexBuilder};

use crate::failure::Failure;

/// A pattern of LIKE: `%` is any text, `_` any character, and a backslash takes the meaning of the one behind it.
pub(super) fn compiled(pattern: &str, any_case: bool) -> Result<Regex, Failure> {
    let mut text = String::with_capacity(2 * pattern.len() + 2);
    let mut letters = pattern.chars();
    let mut buffer = [0; 4];
    text.push('^');
    while let Some(letter) = letters.next() {
        match letter {
            '%' => text.push_str(".*"),
            '_' => text.push('.'),
            '\\' => text.push_str(&regex::escape(letters.next().unwrap_or('\\').encode_utf8(&mut buffer))),
            other => text.push_str(&regex::escape(other.encode_utf8(&mut buffer))),
        }
    }
    text.push('$');
    let built = RegexBuilder::new(&text).dot_matches_new_line(true).case_insensitive(any_case).build();
    built.map_err(|_| Failure::Limit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{BooleanArray, StringArray};
    use datafusion::arrow::compute::kernels::comparison::{ilike, like};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Patterns mean what they mean to DataFusion.
        #[test]
        fn patterns_match_as_datafusion_has_them(
            pattern in r"[a-cA%_\\.*\[é\n]{0,8}",
            texts in prop::collection::vec(r"[a-cA%_\\.*\[é\n]{0,6}", 1..12),
        ) {
            let array = StringArray::from(texts.clone());
            let scalar = datafusion::arrow::array::Scalar::new(StringArray::from(vec![pattern.clone()]));
            for (any_case, theirs) in [(false, like(&array, &scalar)), (true, ilike(&array, &scalar))] {
                let ours = compiled(&pattern, any_case).unwrap();
                let ours: BooleanArray = texts.iter().map(|text| Some(ours.is_match(text))).collect();
                prop_assert_eq!(&ours, &theirs.unwrap(), "{} {}", pattern, any_case);
            }
        }
    }
}
