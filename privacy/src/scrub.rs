//! Free text loses what identifies a person. Patterns are data (`patterns/*.toml`) with pass and fail examples.
//!
//! One pass over the bytes (`scan.rs`) tells which patterns can match at all; only their regular expressions run, in the
//! order of their priority, again and again until nothing changes. Regular expressions take linear time; texts are
//! bounded by the caller.
//!
//! Invariants: scrubbing a scrubbed text changes nothing; a pattern that the scan skips would not have matched; a text that
//! does not come to rest is withheld as a whole. Where two readings are possible, privacy wins: `1.2.3.4` is an IP address,
//! never a version.
//! Not here: the form of a pattern file (`pattern.rs`), checksums (`validate.rs`), which values are scrubbed
//! (`shoal-ingest`, `scrub.rs`).

use std::borrow::Cow;

mod pattern;
mod scan;
mod validate;

use pattern::Pattern;
use scan::Scan;

/// A text still changes after this many rounds only when it is made to; it is then withheld.
const ROUNDS_MAX: usize = 8;
/// What is left of such a text.
const WITHHELD: &str = "<text>";

/// All patterns, compiled once.
pub struct Scrubber {
    /// By priority, then by file name.
    patterns: Vec<Pattern>,
    scan: Scan,
}

impl Scrubber {
    /// The embedded patterns.
    ///
    /// # Errors
    /// When a pattern does not compile, or an example does not hold; the text names the file and the pattern.
    pub fn embedded() -> Result<Scrubber, String> {
        Scrubber::from_files(pattern::EMBEDDED.iter().copied())
    }

    /// The patterns of these (file name, text).
    fn from_files<'f>(files: impl Iterator<Item = (&'f str, &'f str)>) -> Result<Scrubber, String> {
        let mut examples = Vec::new();
        let mut patterns = Vec::new();
        let mut scan = scan::Builder::default();
        for (file, text) in files {
            let (pattern, own) = pattern::parse(file, text, &mut scan)?;
            examples.extend(own.into_iter().map(|e| (file, e)));
            patterns.push(pattern);
        }
        patterns.sort_by_key(|p| p.priority);
        let scrubber = Scrubber { patterns, scan: scan.build()? };
        let broken: Vec<String> = examples
            .iter()
            .filter_map(|(file, (text, wanted))| {
                let (once, twice) = (scrubber.scrub(text), scrubber.scrub(wanted));
                (once != *wanted || twice != *wanted)
                    .then(|| format!("{file}: {text:?} became {once:?}, then {twice:?}, not {wanted:?}"))
            })
            .collect();
        if !broken.is_empty() {
            return Err(broken.join("\n"));
        }
        Ok(scrubber)
    }

    /// The text with every match replaced by `<name of the pattern>`; borrowed when nothing matched.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut current = Cow::Borrowed(text);
        for _ in 0..ROUNDS_MAX {
            match self.round(&current) {
                None => return current,
                Some(changed) => current = Cow::Owned(changed),
            }
        }
        match self.round(&current) {
            None => current,
            Some(_) => Cow::Borrowed(WITHHELD),
        }
    }

    /// Whether anything in the text matches: a dimension's value that does is dropped and counted.
    pub fn is_clean(&self, text: &str) -> bool {
        let traits = self.scan.traits(text);
        self.patterns.iter().filter(|p| p.needs.met(&traits)).all(|p| p.find(text, 0).is_none())
    }

    /// Every pattern once; none when nothing matched.
    fn round(&self, text: &str) -> Option<String> {
        let traits = self.scan.traits(text);
        let mut changed: Option<String> = None;
        for pattern in self.patterns.iter().filter(|p| p.needs.met(&traits)) {
            if let Some(next) = replace(pattern, changed.as_deref().unwrap_or(text)) {
                changed = Some(next);
            }
        }
        changed
    }
}

/// Replaces every match of one pattern; none when there is none.
fn replace(pattern: &Pattern, text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(found) = pattern.find(text, from) {
        out.push_str(&text[copied..found.secret.start]);
        out.push_str(&pattern.placeholder);
        copied = found.secret.end;
        from = found.secret.end;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

#[cfg(test)]
mod tests;
