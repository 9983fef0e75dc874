//! Texts of which each holds something that must go, by kind. After each bar is a part of it that must not stay: the first one,
//! and in later lines the last one, too.

use super::*;

/// What must go is written in forms that the first patterns did not know.
const TEXTS: &str = include_str!("kinds.txt");

#[test]
fn what_identifies_goes_in_every_form() {
    let lines = || TEXTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut left = Vec::new();
    for line in lines() {
        let mut parts = line.split(" | ");
        let text = parts.next().unwrap();
        let secrets: Vec<&str> = parts.collect();
        assert!(!secrets.is_empty() && secrets.iter().all(|secret| text.contains(secret)), "{line}");
        let out = scrub(text).into_owned();
        if secrets.iter().any(|secret| out.contains(secret)) || is_clean(text) {
            left.push((text, out));
        }
    }
    assert!(left.is_empty(), "{} of {}: {left:#?}", left.len(), lines().count());
}
