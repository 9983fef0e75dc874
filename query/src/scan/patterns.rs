//! Patterns of LIKE, compiled once.
//!
//! Invariants: a compiled pattern matches in work that its words and the bytes of the text decide, whatever they are
//! (`shoal_language::Pattern` says how), and means what DataFusion's LIKE and ILIKE mean. No regular expression runs on events.

use shoal_language::Pattern;

use crate::failure::Failure;

/// A pattern of LIKE: `%` is any text, `_` any character, and a backslash takes the meaning of the one behind it.
pub(super) fn compiled(pattern: &str, any_case: bool) -> Result<Pattern, Failure> {
    Pattern::new(pattern, any_case).ok_or(Failure::Limit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{BooleanArray, StringArray};
    use datafusion::arrow::compute::kernels::comparison::{ilike, like};
    use proptest::prelude::*;

    use super::*;

    /// Letters of one to four bytes, and such whose cases have other lengths.
    const LETTERS: [char; 34] = [
        'a', 'a', 'b', 'c', 'A', 'k', 'K', '\u{212a}', 's', 'S', 'ſ', 'é', 'É', 'ß', 'ẞ', 'θ', 'Θ', 'ϑ', 'ϴ',
        'я', 'Я', 'р', 'Р', 'Ⱥ', 'ⱥ', '語', '😀', '𐐀', '𐐨', '\n', '.', '%', '_', '\\',
    ];

    /// A part of a pattern, and a text that it matches.
    fn part() -> impl Strategy<Value = (String, String)> {
        let letter = || prop::sample::select(LETTERS.to_vec());
        let any =
            prop::collection::vec(letter(), 0..4).prop_map(|text| ("%".to_owned(), String::from_iter(text)));
        let one = letter().prop_map(|letter| ("_".to_owned(), letter.to_string()));
        let same = (letter(), 0..4_u8).prop_map(|(letter, which)| {
            let escaped = which == 0 || matches!(letter, '%' | '_' | '\\');
            let cased = match which {
                1 => letter.to_uppercase().to_string(),
                2 => letter.to_lowercase().to_string(),
                _ => letter.to_string(),
            };
            (format!("{}{letter}", if escaped { "\\" } else { "" }), cased)
        });
        prop_oneof![1 => any, 1 => one, 3 => same]
    }

    fn compared(pattern: &str, texts: &[String]) -> Result<(), TestCaseError> {
        let scalar = datafusion::arrow::array::Scalar::new(StringArray::from(vec![pattern.to_owned()]));
        let array = StringArray::from(texts.to_vec());
        for (any_case, theirs) in [(false, like(&array, &scalar)), (true, ilike(&array, &scalar))] {
            let ours = compiled(pattern, any_case).unwrap();
            let ours: BooleanArray = texts.iter().map(|text| Some(ours.matches(text))).collect();
            prop_assert_eq!(&ours, &theirs.unwrap(), "{:?} {} {:?}", pattern, any_case, texts);
        }
        Ok(())
    }

    proptest! {
        /// Patterns mean what they mean to DataFusion.
        #[test]
        fn patterns_match_as_datafusion_has_them(
            pattern in r"[a-cA%_\\.*\[é\n]{0,8}",
            texts in prop::collection::vec(r"[a-cA%_\\.*\[é\n]{0,6}", 1..12),
        ) {
            compared(&pattern, &texts)?;
        }

        /// Also those with letters of all lengths, and of as many words as there may be; of texts that match and of texts that nearly do.
        #[test]
        fn letters_of_all_lengths_and_long_patterns_match_as_datafusion_has_them(
            parts in prop::collection::vec(part(), 0..9), times in prop_oneof![4 => Just(1_usize), 1 => 2..40_usize],
            at: prop::sample::Index, other in prop::sample::select(LETTERS.to_vec()), ending in part(),
        ) {
            let (mut pattern, mut text) = (String::new(), String::new());
            for (own, matched) in parts.iter().cycle().take(parts.len() * times).chain([&ending]) {
                if pattern.len() + own.len() <= 256 {
                    pattern.push_str(own);
                    text.push_str(matched);
                }
            }
            let letters: Vec<char> = text.chars().collect();
            let at = at.index(letters.len() + 1);
            let (before, after) = letters.split_at(at);
            let changed = |middle: &[char], rest: &[char]| before.iter().chain(middle).chain(rest).collect::<String>();
            let rest = after.get(1..).unwrap_or_default();
            for text in [text, changed(&[other], rest), changed(&[], rest), changed(&[other], after)] {
                // Texts one by one: all of them together are ASCII when each is.
                compared(&pattern, &[text])?;
            }
        }
    }
}
