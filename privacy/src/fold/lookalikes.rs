//! Letters of other alphabets that look like those of ASCII: `аnnа` with a Cyrillic `а` is read as `anna`.
//!
//! Source: `confusables.txt` of Unicode 17.0 (Unicode Technical Standard #39, "Unicode Security Mechanisms"), whatever has one
//! letter or digit of ASCII there, is in the basic plane and Latin, Greek, Cyrillic, Armenian, Coptic, Cherokee or Lisu, and
//! has no such form by Unicode's NFKC. Beside it: small capitals, small letters that look like a letter in an ordinary
//! typeface (`к`, `т`, `η`), and letters in boxes and circles and those of flags. Capital and small letters have the small one.
//!
//! Not here: forms of a letter that Unicode itself folds (`fold.rs`).

/// (the character, what it looks like), by character.
#[rustfmt::skip]
const LOOKALIKES: &[(u32, char)] = &[
    (0x131, 'i'), (0x184, 'b'), (0x18d, 'g'), (0x192, 'f'), (0x196, 'i'), (0x1a6, 'r'), (0x1a7, '2'),
    (0x1b7, '3'), (0x1bc, '5'), (0x1bd, 's'), (0x1bf, 'p'), (0x1c0, 'l'), (0x21c, '3'), (0x222, '8'),
    (0x223, '8'), (0x251, 'a'), (0x261, 'g'), (0x262, 'g'), (0x263, 'y'), (0x269, 'i'), (0x26a, 'i'),
    (0x26f, 'w'), (0x274, 'n'), (0x280, 'r'), (0x28b, 'u'), (0x28f, 'y'), (0x299, 'b'), (0x29c, 'h'),
    (0x29f, 'l'), (0x37a, 'i'), (0x37f, 'j'), (0x391, 'a'), (0x392, 'b'), (0x394, 'a'), (0x395, 'e'),
    (0x396, 'z'), (0x397, 'h'), (0x399, 'i'), (0x39a, 'k'), (0x39c, 'm'), (0x39d, 'n'), (0x39f, 'o'),
    (0x3a1, 'p'), (0x3a4, 't'), (0x3a5, 'y'), (0x3a7, 'x'), (0x3b1, 'a'), (0x3b2, 'b'), (0x3b3, 'y'),
    (0x3b4, 'd'), (0x3b5, 'e'), (0x3b6, 'z'), (0x3b7, 'n'), (0x3b9, 'i'), (0x3ba, 'k'), (0x3bc, 'u'),
    (0x3bd, 'v'), (0x3bf, 'o'), (0x3c1, 'p'), (0x3c3, 'o'), (0x3c4, 't'), (0x3c5, 'u'), (0x3c7, 'x'),
    (0x3c9, 'w'), (0x3d2, 'y'), (0x3dc, 'f'), (0x3e8, '2'), (0x3ec, '6'), (0x3ed, 'o'), (0x3f1, 'p'),
    (0x3f2, 'c'), (0x3f3, 'j'), (0x3f8, 'p'), (0x3f9, 'c'), (0x3fa, 'm'), (0x405, 's'), (0x406, 'i'),
    (0x408, 'j'), (0x410, 'a'), (0x412, 'b'), (0x414, 'd'), (0x415, 'e'), (0x417, '3'), (0x418, 'n'),
    (0x41a, 'k'), (0x41c, 'm'), (0x41d, 'h'), (0x41e, 'o'), (0x41f, 'n'), (0x420, 'p'), (0x421, 'c'),
    (0x422, 't'), (0x423, 'y'), (0x425, 'x'), (0x427, '4'), (0x42c, 'b'), (0x430, 'a'), (0x431, '6'),
    (0x432, 'b'), (0x433, 'r'), (0x434, 'd'), (0x435, 'e'), (0x438, 'n'), (0x43a, 'k'), (0x43c, 'm'),
    (0x43d, 'h'), (0x43e, 'o'), (0x43f, 'n'), (0x440, 'p'), (0x441, 'c'), (0x442, 't'), (0x443, 'y'),
    (0x445, 'x'), (0x447, '4'), (0x448, 'w'), (0x455, 's'), (0x456, 'i'), (0x458, 'j'), (0x461, 'w'),
    (0x474, 'v'), (0x475, 'v'), (0x4ae, 'y'), (0x4af, 'y'), (0x4bb, 'h'), (0x4bd, 'e'), (0x4c0, 'i'),
    (0x4cf, 'l'), (0x4e0, '3'), (0x501, 'd'), (0x50c, 'g'), (0x51b, 'q'), (0x51c, 'w'), (0x51d, 'w'),
    (0x54d, 'u'), (0x54f, 's'), (0x555, 'o'), (0x561, 'w'), (0x563, 'q'), (0x566, 'q'), (0x570, 'h'),
    (0x578, 'n'), (0x57c, 'n'), (0x57d, 'u'), (0x581, 'g'), (0x582, 'i'), (0x584, 'f'), (0x585, 'o'),
    (0x13a0, 'd'), (0x13a1, 'r'), (0x13a2, 't'), (0x13a5, 'i'), (0x13a9, 'y'), (0x13aa, 'a'), (0x13ab, 'j'),
    (0x13ac, 'e'), (0x13b3, 'w'), (0x13b7, 'm'), (0x13bb, 'h'), (0x13bd, 'y'), (0x13c0, 'g'), (0x13c2, 'h'),
    (0x13c3, 'z'), (0x13ce, '4'), (0x13cf, 'b'), (0x13d2, 'r'), (0x13d4, 'w'), (0x13d5, 's'), (0x13d9, 'v'),
    (0x13da, 's'), (0x13de, 'l'), (0x13df, 'c'), (0x13e2, 'p'), (0x13e6, 'k'), (0x13e7, 'd'), (0x13ee, '6'),
    (0x13f3, 'g'), (0x13f4, 'b'), (0x1d00, 'a'), (0x1d04, 'c'), (0x1d05, 'd'), (0x1d07, 'e'), (0x1d0a, 'j'),
    (0x1d0b, 'k'), (0x1d0d, 'm'), (0x1d0f, 'o'), (0x1d11, 'o'), (0x1d18, 'p'), (0x1d1b, 't'), (0x1d1c, 'u'),
    (0x1d20, 'v'), (0x1d21, 'w'), (0x1d22, 'z'), (0x1d26, 'r'), (0x1d83, 'g'), (0x1d8c, 'y'), (0x1e9d, 'f'),
    (0x1eff, 'y'), (0x2c82, 'b'), (0x2c85, 'r'), (0x2c8e, 'h'), (0x2c92, 'i'), (0x2c93, 'i'), (0x2c94, 'k'),
    (0x2c98, 'm'), (0x2c9a, 'n'), (0x2c9c, '3'), (0x2c9e, 'o'), (0x2c9f, 'o'), (0x2ca2, 'p'), (0x2ca3, 'p'),
    (0x2ca4, 'c'), (0x2ca5, 'c'), (0x2ca6, 't'), (0x2ca8, 'y'), (0x2ca9, 'y'), (0x2cac, 'x'), (0x2cbd, 'w'),
    (0x2cc4, '3'), (0x2cca, '9'), (0x2ccb, '9'), (0x2ccc, '3'), (0x2cce, 'p'), (0x2ccf, 'p'), (0x2cd0, 'l'),
    (0x2cd2, '6'), (0x2cd3, '6'), (0x2cdc, '6'), (0xa4d0, 'b'), (0xa4d1, 'p'), (0xa4d2, 'd'), (0xa4d3, 'd'),
    (0xa4d4, 't'), (0xa4d6, 'g'), (0xa4d7, 'k'), (0xa4d9, 'j'), (0xa4da, 'c'), (0xa4dc, 'z'), (0xa4dd, 'f'),
    (0xa4df, 'm'), (0xa4e0, 'n'), (0xa4e1, 'l'), (0xa4e2, 's'), (0xa4e3, 'r'), (0xa4e6, 'v'), (0xa4e7, 'h'),
    (0xa4ea, 'w'), (0xa4eb, 'x'), (0xa4ec, 'y'), (0xa4ee, 'a'), (0xa4f0, 'e'), (0xa4f2, 'l'), (0xa4f3, 'o'),
    (0xa4f4, 'u'), (0xa644, '2'), (0xa647, 'i'), (0xa730, 'f'), (0xa731, 's'), (0xa75a, '2'), (0xa76a, '3'),
    (0xa76e, '9'), (0xa798, 'f'), (0xa799, 'f'), (0xa79f, 'u'), (0xa7ab, '3'), (0xa7af, 'q'), (0xa7b2, 'j'),
    (0xa7b3, 'x'), (0xa7b4, 'b'), (0xab32, 'e'), (0xab35, 'f'), (0xab3d, 'o'), (0xab47, 'r'), (0xab48, 'r'),
    (0xab4e, 'u'), (0xab52, 'u'), (0xab5a, 'y'), (0xab75, 'i'), (0xab81, 'r'), (0xab83, 'w'), (0xab93, 'z'),
    (0xaba9, 'v'), (0xabaa, 's'), (0xabaf, 'c'),
];

/// Letters in circles, in boxes, and those that make flags: the first one of each alphabet.
const ALPHABETS: [u32; 3] = [0x1f150, 0x1f170, 0x1f1e6];

/// What a character that is not ASCII looks like, in small letters.
pub(crate) fn ascii_of(c: char) -> Option<char> {
    let code = u32::from(c);
    match code {
        ..0x131 => None,
        0x3000..0xa4d0 | 0xac00..0x1_f150 => None,
        0x1_f150.. => {
            let at = ALPHABETS.iter().find_map(|first| code.checked_sub(*first).filter(|at| *at < 26))?;
            char::from_u32(u32::from('a') + at)
        }
        _ => LOOKALIKES.binary_search_by_key(&code, |(code, _)| *code).ok().map(|at| LOOKALIKES[at].1),
    }
}

/// Whether a text has such a character.
pub(crate) fn are_in(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && ascii_of(c).is_some())
}

/// The text with the words read that have letters of ASCII and beside them only letters that look like some; none when it has no
/// such word. A word of one alphabet stays.
pub(super) fn read_mixed_words(text: &str) -> Option<String> {
    if !are_in(text) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut is_changed = false;
    for part in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
        let is_read = is_mixed(word);
        match is_read {
            true => out.extend(word.chars().map(|c| if c.is_ascii() { c } else { read(c) })),
            false => out.push_str(word),
        }
        is_changed |= is_read;
        out.push_str(&part[word.len()..]);
    }
    is_changed.then_some(out)
}

/// A word that looks like one of ASCII: with a letter of it, or four digits, and otherwise only what looks like one.
fn is_mixed(word: &str) -> bool {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    (letters > 0 || digits > 3)
        && !word.is_ascii()
        && word.chars().all(|c| c.is_ascii() || ascii_of(c).is_some())
}

/// In the case that it has.
fn read(c: char) -> char {
    match ascii_of(c) {
        Some(read) if c.is_uppercase() => read.to_ascii_uppercase(),
        Some(read) => read,
        None => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_letters_and_digits() {
        assert!(LOOKALIKES.is_sorted_by(|a, b| a.0 < b.0));
        for (code, read) in LOOKALIKES {
            assert!(read.is_ascii_lowercase() || read.is_ascii_digit());
            assert_eq!(char::from_u32(*code).and_then(ascii_of), Some(*read), "{code:x}");
        }
        assert_eq!(ascii_of('\u{1f1e6}'), Some('a'));
        assert_eq!(ascii_of('\u{1f169}'), Some('z'));
        for c in ['ä', '中', '한', 'ж', '\u{1f600}', 'a'] {
            assert_eq!(ascii_of(c), None, "{c}");
        }
    }

    #[test]
    fn only_mixed_words_are_read() {
        let read = |text| read_mixed_words(text);
        assert_eq!(read("аnnа от 7Ј0А123РАZ00001").as_deref(), Some("anna от 7J0A123PAZ00001"));
        for same in ["Ошибка: сосо", "took 20мс", "h264жук", "升级 anna", "Ελλάδα 12"]
        {
            assert_eq!(read(same), None, "{same}");
        }
    }
}
