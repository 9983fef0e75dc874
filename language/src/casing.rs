//! Upper and lower case of texts, letter by letter.
//!
//! A letter has the other case that Unicode gives it by itself, also where that is several letters (`ß` is `SS`). What stands
//! around it does not count: a sigma at the end of a word becomes the sigma that others become.
//!
//! Invariants: a letter takes two look-ups, and writing what is found, whatever it is. The standard library searches for each
//! letter instead, and looks around a sigma, which takes several times as long for some texts; its tables are what these are
//! made of, once for the process. Not here: what a text takes (`shoal-query`).

use std::sync::OnceLock;

/// Letters of a page: those whose numbers differ in the last bits only.
const PAGE_BITS: u32 = 6;
const PAGE: usize = 1 << PAGE_BITS;
/// In place of a letter: it stays as it is, or becomes several, of which this one and those behind it are the numbers. No letter
/// becomes any of these.
const SAME: char = '\0';
const SEVERAL: char = '\u{10ff00}';

/// Behind it no letter has another case: a test looks.
const LAST: char = '\u{1ffff}';

/// A case that a text is brought into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Casing {
    /// As `upper` does.
    Upper,
    /// As `lower` does.
    Lower,
}

/// What the letters become in one case.
struct Letters {
    /// Where the letters of each page are; pages of which no letter changes have none of their own, and the last ones no entry.
    pages: Vec<u16>,
    letters: Vec<[char; PAGE]>,
    /// What becomes several letters: those.
    several: Vec<String>,
}

impl Letters {
    fn new(casing: Casing) -> Letters {
        let mut made = Letters { pages: Vec::new(), letters: vec![[SAME; PAGE]], several: Vec::new() };
        for letter in '\0'..=LAST {
            let becomes: String = match casing {
                Casing::Upper => letter.to_uppercase().collect(),
                Casing::Lower => letter.to_lowercase().collect(),
            };
            let mut letters = becomes.chars();
            let other = match (letters.next(), letters.next()) {
                (Some(one), None) if one == letter => continue,
                (Some(one), None) => one,
                _ => {
                    made.several.push(becomes);
                    (SEVERAL..).nth(made.several.len() - 1).unwrap_or(SEVERAL)
                }
            };
            made.set(letter, other);
        }
        made
    }

    fn set(&mut self, letter: char, other: char) {
        let (page, at) = place(letter);
        if self.pages.len() <= page {
            self.pages.resize(page + 1, 0);
        }
        if self.pages[page] == 0 {
            self.pages[page] = self.letters.len() as u16;
            self.letters.push([SAME; PAGE]);
        }
        self.letters[usize::from(self.pages[page])][at] = other;
    }

    fn other(&self, letter: char) -> char {
        let (page, at) = place(letter);
        self.pages.get(page).map_or(SAME, |page| self.letters[usize::from(*page)][at])
    }

    fn several(&self, other: char) -> &str {
        self.several.get(other as usize - SEVERAL as usize).map_or("", |letters| letters)
    }
}

fn place(letter: char) -> (usize, usize) {
    let number = letter as usize;
    (number >> PAGE_BITS, number % PAGE)
}

impl Casing {
    fn letters(self) -> &'static Letters {
        static UPPER: OnceLock<Letters> = OnceLock::new();
        static LOWER: OnceLock<Letters> = OnceLock::new();
        match self {
            Casing::Upper => UPPER.get_or_init(|| Letters::new(self)),
            Casing::Lower => LOWER.get_or_init(|| Letters::new(self)),
        }
    }

    /// A text in this case.
    pub fn of(self, text: &str) -> String {
        let mut made = String::new();
        self.write(text, &mut made);
        made
    }

    /// Adds a text in this case to another one.
    pub fn write(self, text: &str, made: &mut String) {
        if text.is_ascii() {
            let from = made.len();
            made.push_str(text);
            match (made.get_mut(from..), self) {
                (Some(own), Casing::Upper) => own.make_ascii_uppercase(),
                (Some(own), Casing::Lower) => own.make_ascii_lowercase(),
                (None, _) => {}
            }
            return;
        }
        let letters = self.letters();
        made.reserve(3 * text.len());
        for letter in text.chars() {
            let other = letters.other(letter);
            if other >= SEVERAL {
                made.push_str(letters.several(other));
            } else {
                made.push(if other == SAME { letter } else { other });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each letter by itself has the cases of the standard library; a sigma stands in no word.
    #[test]
    fn each_letter_has_its_other_case() {
        for letter in '\0'..=char::MAX {
            let text = letter.to_string();
            assert_eq!(Casing::Upper.of(&text), text.to_uppercase(), "{letter}");
            assert_eq!(Casing::Lower.of(&text), text.to_lowercase(), "{letter}");
            if letter.is_lowercase() || letter.is_uppercase() {
                let word = format!("語{letter}ß İ{letter}a");
                assert_eq!(Casing::Upper.of(&word), word.to_uppercase(), "{word}");
                let lower = word.to_lowercase().replace('ς', "σ");
                assert_eq!(Casing::Lower.of(&word).replace('ς', "σ"), lower, "{word}");
            }
        }
        assert_eq!(Casing::Lower.of("ΟΔΟΣ"), "οδοσ");
        assert_eq!((Casing::Lower.of("ABC"), Casing::Upper.of("aBc 1")), ("abc".into(), "ABC 1".into()));
    }
}
