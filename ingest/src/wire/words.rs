//! Whether a part of a body has a word in any spelling, without a parser: most of what clients send has none, and need not be read to
//! see whether somebody decides something in it.
//!
//! ```text
//! "opt-out"   "Opt_Out"   "\u006fpt out"        all have the letters optout
//! ```
//! Invariants: each byte is looked at once; a word that a parser would find is found (`spelled.rs` compares names and texts by the same
//! letters), also in what is repaired before it is parsed (`repair.rs`). What is no word for a parser may be found too.
//! Not here: which words say something (`consents/words.rs`), what they say (`claim.rs`).

use super::repair::unit;

/// The letters and digits of a word that is looked for, the last one lowest.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    letters: u128,
    mask: u128,
}

impl Word {
    /// The letters of this, of which there are sixteen at the most.
    pub(crate) const fn of(text: &str) -> Word {
        let bytes = text.as_bytes();
        let (mut letters, mut mask, mut at) = (0, 0, 0);
        while at < bytes.len() {
            if bytes[at].is_ascii_alphanumeric() {
                assert!(mask >> 120 == 0, "a word has at most sixteen letters");
                letters = letters << 8 | bytes[at].to_ascii_lowercase() as u128;
                mask = mask << 8 | 0xff;
            }
            at += 1;
        }
        assert!(mask != 0, "a word has letters");
        Word { letters, mask }
    }

    /// The words of these texts.
    pub(crate) const fn each<const N: usize>(texts: [&str; N]) -> [Word; N] {
        let mut words = [Word { letters: 0, mask: 0 }; N];
        let mut at = 0;
        while at < N {
            words[at] = Word::of(texts[at]);
            at += 1;
        }
        words
    }

    fn ends(self, letters: u128) -> bool {
        letters & self.mask == self.letters
    }
}

/// Whether the letters of a word stand in these bytes, wherever and whatever is between them.
pub(crate) fn has_letters(bytes: &[u8], word: Word) -> bool {
    let mut letters = 0u128;
    Letters { bytes, at: 0 }.filter(|letter| *letter != b'"').any(|letter| {
        letters = letters << 8 | u128::from(letter);
        word.ends(letters)
    })
}

/// Whether a text in these bytes ends with a word of these lists. What stands between two texts is looked at as if it was one: where a body
/// is broken nobody knows which of its quotes begin a text.
pub(crate) fn has_text(bytes: &[u8], lists: &[&[Word]]) -> bool {
    let mut letters = 0u128;
    // Most texts are shorter than any of the words.
    let shorter = lists.iter().copied().flatten().map(|word| word.mask >> 8).min().unwrap_or_default();
    let mut is_one = |letter: u8| {
        if letter != b'"' {
            letters = letters << 8 | u128::from(letter);
            return false;
        }
        let text = std::mem::take(&mut letters);
        text > shorter && lists.iter().copied().flatten().any(|word| word.ends(text))
    };
    Letters { bytes, at: 0 }.any(&mut is_one) || is_one(b'"')
}

/// The letters and digits of a body in lower case, those of escapes too, and its quotes.
struct Letters<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Iterator for Letters<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            match byte {
                b'\\' => {
                    if let Some(letter) = self.escape() {
                        return Some(letter);
                    }
                }
                _ => {
                    self.at += 1;
                    if byte.is_ascii_alphanumeric() {
                        return Some(byte.to_ascii_lowercase());
                    }
                    if byte == b'"' {
                        return Some(byte);
                    }
                }
            }
        }
    }
}

impl Letters<'_> {
    /// Goes over an escape, which may be that of a letter. Of one that JSON has not, the characters behind it count.
    fn escape(&mut self) -> Option<u8> {
        let rest = &self.bytes[self.at..];
        let unit = unit(rest);
        self.at += match (unit, rest.get(1)) {
            (Some(_), _) => 6,
            (None, Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
            _ => 1,
        };
        let letter = u8::try_from(unit?).ok().filter(u8::is_ascii_alphanumeric);
        letter.map(|letter| letter.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [Word; 2] = Word::each(["opt_out", "deny"]);

    #[test]
    fn a_word_is_found_in_every_spelling() {
        for text in [
            r#""optout""#,
            r#"{"a":"Opt-Out"}"#,
            r#"{"a":"\u006Fpt\u005fout"}"#,
            r#"{"a":"opt\nout"}"#,
            "{\"a\":\"opt\u{e9}out\"}",
            r#"{"a":"opt\"out"}"#,
            r#"{"a":"opt\\"},{"b":"deny"}"#,
            // Quotes that are missing, or are behind a backslash where no text is.
            r#"{"a:"deny"}"#,
            r#"{"a":\"deny":1}"#,
            r#"{"a":"x\\\"deny"}"#,
            r#"{"deny"#,
        ] {
            assert!(has_text(text.as_bytes(), &[&WORDS]), "{text}");
        }
        assert!(has_text(b"{\"a\":\"de\xffny\"}", &[&WORDS]));
        for text in
            [r#"{"a":"opt","out":"deni"}"#, r#"{"a":"denying"}"#, "", r#"{"a":"de\u00e4n\u0069"}"#, "\"\\u00"]
        {
            assert!(!has_text(text.as_bytes(), &[&WORDS]), "{text}");
        }
        let consent = Word::of("consent");
        for text in [r#"{"context.Con_sent.x":1}"#, r#"{"\u0043onsents":1}"#, "con\" \"sent"] {
            assert!(has_letters(text.as_bytes(), consent), "{text}");
        }
        for text in [r#"{"consen":"t"#, "conent", "\\"] {
            assert_eq!(has_letters(text.as_bytes(), consent), text.ends_with("\"t"), "{text}");
        }
    }
}
