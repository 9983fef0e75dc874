//! What looking at a text takes at the most: patterns of LIKE and ILIKE beside the regular expressions that they were before, and
//! upper and lower case beside those of the standard library.
//!
//! ```text
//! cargo bench -p shoal-language --bench patterns
//! ```
//! Texts have 256 bytes, as many as a property may have, and no two are the same. The fastest of some runs over all of them is
//! printed, in nanoseconds a text: of everyday texts, and of those of all kinds that take longest.

#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use regex::{Regex, RegexBuilder};
use shoal_language::{Casing, Pattern};

const TEXTS: usize = 512;
const BYTES: usize = 256;
const RUNS: usize = 9;

/// splitmix64.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Texts of these letters, at random but for the first ones, which are all `first`.
fn texts(letters: &str, first: char) -> Vec<String> {
    let letters: Vec<char> = letters.chars().collect();
    let text = |at: usize| {
        let mut text: String = std::iter::repeat_n(first, at % 64).collect();
        let mut seed = at as u64;
        while text.len() + 4 <= BYTES {
            seed = mix(seed);
            text.push(letters[seed as usize % letters.len()]);
        }
        while text.len() < BYTES {
            text.push('a');
        }
        text
    };
    (0..TEXTS).map(text).collect()
}

/// As patterns were matched before.
fn regular(pattern: &str, any_case: bool) -> Regex {
    let mut text = "^".to_owned();
    let mut letters = pattern.chars();
    let mut buffer = [0; 4];
    while let Some(letter) = letters.next() {
        match letter {
            '%' => text.push_str(".*"),
            '_' => text.push('.'),
            '\\' => text.push_str(&regex::escape(letters.next().unwrap_or('\\').encode_utf8(&mut buffer))),
            other => text.push_str(&regex::escape(other.encode_utf8(&mut buffer))),
        }
    }
    text.push('$');
    RegexBuilder::new(&text).dot_matches_new_line(true).case_insensitive(any_case).build().unwrap()
}

/// Nanoseconds a text.
fn took(texts: &[String], mut each: impl FnMut(&str) -> usize) -> u64 {
    let run = |_| {
        let start = Instant::now();
        let sum: usize = texts.iter().map(|text| each(black_box(text))).sum();
        black_box(sum);
        start.elapsed().as_nanos() as u64 / texts.len() as u64
    };
    (0..RUNS).map(run).min().unwrap()
}

fn main() {
    let everyday = texts("abcdefghijklmnopqrstuvwxyz./_-0123456789", 's');
    let kinds = [
        texts("a", 'a'),
        texts("ab", 'a'),
        texts("aé", 'a'),
        texts("éÉèÈ", 'é'),
        texts("яЯжЖ", 'я'),
        texts("kKs\u{212a}ſ", 'k'),
        texts("語日a", '語'),
        texts("😀𐐀a", '😀'),
        texts("ΐΰΣσς", 'ΐ'),
        texts("İiIıȺ", 'İ'),
        texts("Σ", 'Σ'),
        texts("aΣ\u{301}\u{308}", 'Σ'),
        texts("ΐᾷὖ", 'ΐ'),
        texts("ﬃaé語😀", 'ﬃ'),
    ];
    let most = |each: &dyn Fn(&str) -> usize| {
        let all = kinds.iter().chain([&everyday]);
        all.map(|texts| took(texts, each)).max().unwrap()
    };
    let hostile = format!("%a{}b%", "_".repeat(100));
    let accents = "éа".repeat(50);
    let patterns = [
        "%abc%",
        "abc%",
        "%abc",
        "abc",
        "%a%b%c%",
        "s%b_c%",
        &hostile,
        &format!("%{}%", "a_".repeat(60)),
        &"%a".repeat(120),
        &format!("%{accents}%"),
        &"_".repeat(256),
        &format!("%{}b%", "a".repeat(250)),
    ];
    println!("{:36} {:>5} {:>16} {:>16}", "ns a text of 256 bytes", "words", "regular", "now");
    println!("{:42} {:>8} {:>7} {:>8} {:>7}", "", "everyday", "most", "everyday", "most");
    for any_case in [false, true] {
        for pattern in patterns {
            let (before, now) = (regular(pattern, any_case), Pattern::new(pattern, any_case).unwrap());
            let shown: String = pattern.chars().take(22).collect();
            println!(
                "{:5} {shown:30} {:>5} {:>8} {:>7} {:>8} {:>7}",
                if any_case { "ILIKE" } else { "LIKE" },
                Pattern::words(pattern, any_case),
                took(&everyday, |text| usize::from(before.is_match(text))),
                most(&|text| usize::from(before.is_match(text))),
                took(&everyday, |text| usize::from(now.matches(text))),
                most(&|text| usize::from(now.matches(text))),
            );
        }
    }
    for (name, before, casing) in [
        ("upper", str::to_uppercase as fn(&str) -> String, Casing::Upper),
        ("lower", str::to_lowercase, Casing::Lower),
    ] {
        let before = |text: &str| before(text).len();
        let now = |text: &str| casing.of(text).len();
        println!(
            "{name:42} {:>8} {:>7} {:>8} {:>7}",
            took(&everyday, before),
            most(&before),
            took(&everyday, now),
            most(&now),
        );
    }
}
