//! Patterns of LIKE and ILIKE, beside a reading of them that is only plain.

use proptest::prelude::*;

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::{Pattern, ask};

/// Letters of one to four bytes, with other cases of them, some of which have other lengths.
const LETTERS: [char; 20] = [
    'a', 'a', 'b', 'A', 'k', 'K', '\u{212a}', 'é', 'É', 'я', 'Я', '語', '😀', '𐐀', '𐐨', '\n', '\0', '%', '_',
    '\\',
];

/// Letters that are the same when case does not count, of those above.
fn is_same(one: char, other: char, any_case: bool) -> bool {
    let folded = |letter: char| match letter {
        '\u{212a}' => 'k',
        other => other.to_lowercase().next().unwrap(),
    };
    one == other || (any_case && folded(one) == folded(other))
}

/// Letter by letter: which lengths of the text the pattern so far can be.
fn expected(pattern: &str, text: &str, any_case: bool) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter == '%' {
            let first = reached.iter().position(|at| *at).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        let wanted = match letter {
            '_' => None,
            '\\' => Some(letters.next().unwrap_or('\\')),
            other => Some(other),
        };
        let further = |at: usize| {
            at > 0 && reached[at - 1] && wanted.is_none_or(|own| is_same(own, text[at - 1], any_case))
        };
        reached = (0..=text.len()).map(further).collect();
    }
    reached[text.len()]
}

/// A text of such letters: of many of them, or of two.
fn text(most: usize) -> impl Strategy<Value = String> {
    let any = prop::collection::vec(prop::sample::select(LETTERS.to_vec()), 0..most);
    let few = prop::collection::vec(prop::sample::select(vec!['a', 'a', 'b', '語', '%', '_']), 0..most);
    prop_oneof![any, few].prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn patterns_match_as_they_are_read(pattern in text(9), texts in prop::collection::vec(text(9), 1..6), any_case: bool) {
        let compiled = Pattern::new(&pattern, any_case).unwrap();
        for text in texts {
            let expected = expected(&pattern, &text, any_case);
            prop_assert_eq!(compiled.matches(&text), expected, "{:?} {:?} {}", pattern, text, any_case);
        }
    }

    /// Where the states take several words, and a text has its letters, or nearly.
    #[test]
    fn long_patterns_match_as_they_are_read(
        letters in prop::collection::vec(prop::sample::select(vec!['a', 'b', 'é', '語']), 50..200),
        wild in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec!['%', '_'])), 0..20),
        changed in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(vec!['a', 'É']))),
        any_case: bool,
    ) {
        let mut pattern = letters.clone();
        wild.iter().for_each(|(at, wild)| *at.get_mut(&mut pattern) = *wild);
        let mut text = letters;
        if let Some((at, letter)) = changed {
            *at.get_mut(&mut text) = letter;
        }
        let (mut pattern, text) = (String::from_iter(pattern), String::from_iter(text));
        while pattern.len() > 256 {
            pattern.pop();
        }
        for pattern in [pattern.clone(), format!("%{pattern}"), format!("{pattern}%")] {
            let Some(compiled) = Pattern::new(&pattern, any_case) else { continue };
            prop_assert_eq!(compiled.matches(&text), expected(&pattern, &text, any_case), "{:?} {:?}", pattern, text);
        }
    }

    /// Whatever may be written has its words: a literal has at most 256 bytes, and a backslash before a letter adds none.
    #[test]
    fn every_pattern_that_may_be_written_is_one(letters in text(256), any_case: bool, escapes: bool) {
        let mut pattern = String::new();
        for letter in letters.chars() {
            if pattern.len() + letter.len_utf8() <= 256 {
                pattern.push(letter);
            }
        }
        if escapes {
            pattern = pattern.chars().flat_map(|letter| ['\\', letter]).collect();
        }
        prop_assert!(Pattern::words(&pattern, any_case) <= 5);
        prop_assert!(Pattern::new(&pattern, any_case).is_some());
    }
}

/// The cases of a letter are those of simple case folding, whatever their lengths.
#[test]
fn cases_of_letters_are_the_same_letter() {
    for (pattern, texts) in [
        ("k", ["K", "\u{212a}", "k"]),
        ("ſ", ["S", "s", "ſ"]),
        ("straße", ["STRAẞE", "ſtraße", "Straße"]),
        ("θ_ω", ["Θ😀Ω", "ϑéω", "ϴ語\u{2126}"]),
        ("%ⱥ", ["Ⱥ", "語Ⱥ", "ȺȺⱥ"]),
    ] {
        let compiled = Pattern::new(pattern, true).unwrap();
        let plain = Pattern::new(pattern, false).unwrap();
        for text in texts {
            assert!(compiled.matches(text), "{pattern} {text}");
            assert!(plain.matches(pattern) && !compiled.matches(""), "{pattern}");
        }
    }
    // One letter is not two: full case folding would have it.
    assert!(!Pattern::new("strasse", true).unwrap().matches("straße"));
}

#[test]
fn what_is_longer_than_a_literal_is_no_pattern() {
    assert!(Pattern::new(&"_".repeat(319), false).is_some());
    assert!(
        Pattern::new(&"_".repeat(320), false).is_none() && Pattern::new(&"a".repeat(400), true).is_none()
    );
}

/// No value of an expression is longer than a text of an event, so that what looks at one is planned for it.
#[test]
fn literals_are_no_longer_than_texts_of_events() {
    for (before, after) in [
        ("SELECT COUNT(*) AS n FROM usage WHERE screen = '", "'"),
        ("SELECT COUNT(*) AS n FROM usage WHERE screen IN ('home', '", "')"),
        ("SELECT COUNT(*) AS n FROM usage WHERE screen LIKE '", "'"),
        ("SELECT COUNT(*) AS n FROM usage WHERE contains(screen, '", "')"),
        ("SELECT COUNT(*) AS n FROM usage WHERE coalesce(screen, '", "') LIKE '%a%'"),
        ("SELECT CASE WHEN amount > 1 THEN '", "' ELSE 'few' END AS k, COUNT(*) AS n FROM usage GROUP BY 1"),
    ] {
        for (text, is_answered) in
            [("a".repeat(256), true), ("a".repeat(257), false), ("é".repeat(129), false)]
        {
            let asked = ask(&format!("{before}{text}{after}"), &registry(), Region::ALL, now_ms());
            match asked {
                Ok(_) => assert!(is_answered, "{before}"),
                Err(error) => {
                    assert!(!is_answered && error.to_string().contains("256 bytes"), "{before}: {error}")
                }
            }
        }
    }
}
