//! Names of screens and pages that are no path: what in them names one of many is a placeholder.
//!
//! ```text
//! users.4711.edit   user-4711   User 4711   user4711   order#4711   profile:anna   chat @anna
//! users.{}.edit     user-{}     User {}     user{}     order#{}     profile:{}     chat @{}
//! ```
//! A name is taken apart into words of letters and digits. A placeholder stands for
//! - a number of two digits or more, and the digits at the end of a word when they are three or more, or two and the word is unknown;
//! - a word that has three digits or more elsewhere, or begins with two, and is not known (`7f3a9c21`);
//! - a word that is not known behind `@`, or behind `:`, `#` or `=` and the name of a collection (`profile:anna`), and those that
//!   belong to it.
//!
//! What stays: words that programs use, also with one digit behind them (`step2`, `404`, `h264`); numbers of one digit; numbers of
//! two digits beside a word that counts (`Page 12`, `30 days`); versions (`v2.14.1`, numbers of up to two digits with dots).
//! Invariant: the template of a template is itself.
//! Not here: paths (`route.rs`), words that name somebody and stand alone, which no rule can know.

use super::vocabulary::{COLLECTIONS, COUNTED, PLACEHOLDER, is_named, is_version};

/// A run of letters and digits.
#[derive(Clone, Copy)]
struct Word<'a> {
    start: usize,
    text: &'a str,
}

impl Word<'_> {
    fn end(self) -> usize {
        self.start + self.text.len()
    }
}

/// The template of a name; none when it is its own.
pub(super) fn template(name: &str) -> Option<String> {
    let words = words(name);
    let mut out = String::new();
    let mut copied = 0;
    let mut names_one = false;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let before = at.checked_sub(1).map(|before| words[before]);
        let separator = &name[before.map_or(0, Word::end)..word.start];
        let before = before.filter(|_| !separator.contains(PLACEHOLDER));
        let versioned = version(name, &words[at..]);
        if versioned > 0 && !separator.ends_with('.') {
            at += versioned;
            names_one = false;
            continue;
        }
        let after = words.get(at + 1).filter(|after| is_joint(&name[word.end()..after.start]));
        names_one = match separator.trim().chars().next_back() {
            Some('@') => true,
            Some(':' | '#' | '=') => names_one || before.is_some_and(|before| is_collection(before.text)),
            _ => names_one,
        } && !is_named(word.text);
        let kept = match names_one {
            true => Some(0),
            // The next group of `3f2504e0-4f89`.
            false if copied > 0 && &name[copied..word.start] == "-" && has_digit(word.text) => Some(0),
            false => value(word.text, before.map(|word| word.text), after.map(|word| word.text)),
        };
        if let Some(kept) = kept {
            let start = word.start + kept;
            // Values next to each other are one: `3f2504e0-4f89` is.
            let is_joined = copied > 0 && kept == 0 && is_joint(&name[copied..start]);
            if !is_joined {
                out.push_str(&name[copied..start]);
                out.push_str(PLACEHOLDER);
            }
            copied = word.end();
        }
        at += 1;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&name[copied..]);
    Some(out)
}

fn words(name: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = 0;
    for text in name.split(|c: char| !c.is_alphanumeric()) {
        let start = rest;
        rest += text.len() + name[rest + text.len()..].chars().next().map_or(0, char::len_utf8);
        if !text.is_empty() {
            words.push(Word { start, text });
        }
    }
    words
}

fn is_joint(separator: &str) -> bool {
    matches!(separator, "-" | "_" | "." | " " | ":")
}

/// Whether a word has a digit and is not known.
fn has_digit(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_digit()) && !is_named(word)
}

fn is_collection(word: &str) -> bool {
    COLLECTIONS.binary_search(&word.to_ascii_lowercase().as_str()).is_ok()
}

/// How many words a version is that begins with the first of these: two numbers at the least, each of up to two digits.
fn version(name: &str, words: &[Word<'_>]) -> usize {
    let is_number = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let Some(first) = words.first() else { return 0 };
    if !is_number(first.text.strip_prefix(['v', 'V']).unwrap_or(first.text)) {
        return 0;
    }
    let follows = |pair: &&[Word<'_>]| &name[pair[0].end()..pair[1].start] == "." && is_number(pair[1].text);
    match words.windows(2).take(3).take_while(follows).count() {
        0 => 0,
        more => more + 1,
    }
}

/// Where the value begins that is a part of a word, in bytes; none when it has none.
fn value(word: &str, before: Option<&str>, after: Option<&str>) -> Option<usize> {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let last = word.len() - letters.len();
    if digits < 2 || is_named(word) || is_version(word) {
        return None;
    }
    if letters.is_empty() {
        let is_counted = |word: &str| COUNTED.binary_search(&word.to_ascii_lowercase().as_str()).is_ok();
        let is_small = digits == 2 && [before, after].into_iter().flatten().any(is_counted);
        return (!is_small).then_some(0);
    }
    let begins = word.bytes().take(2).all(|b| b.is_ascii_digit());
    match digits == last {
        true if last == 2 && is_named(letters) => None,
        true if is_named(letters) || !letters.is_ascii() => Some(letters.len()),
        true => Some(0),
        false => (digits > 2 || begins).then_some(0),
    }
}
