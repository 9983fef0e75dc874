//! Free text loses what identifies a person. Patterns are data (`patterns/*.toml`) with pass and fail examples.

use std::borrow::Cow;

/// All patterns, compiled once.
pub struct Scrubber {}

impl Scrubber {
    /// The embedded patterns.
    ///
    /// # Errors
    /// When a pattern does not compile, or an example does not hold; the text names the file and the pattern.
    pub fn embedded() -> Result<Scrubber, String> {
        todo!()
    }

    /// The text with every match replaced by `<name of the pattern>`; borrowed when nothing matched.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let _ = text;
        todo!()
    }

    /// Whether anything in the text matches: a dimension's value that does is dropped and counted.
    pub fn is_clean(&self, text: &str) -> bool {
        let _ = text;
        todo!()
    }
}
