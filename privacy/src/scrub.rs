//! Free text loses what identifies a person. Patterns are data (`patterns/*.toml`) with pass and fail examples.
//!
//! One pass over the bytes (`scan.rs`) tells which patterns can match at all; only their regular expressions run, in the
//! order of their priority, again and again until nothing changes. Then the text is looked at once more with its escapes
//! decoded. Regular expressions take linear time, and no byte is tried more often than a pattern is long; beside that what a
//! request may take is counted (`crate::work`).
//!
//! Invariants: scrubbing a scrubbed text changes nothing; a pattern that the scan skips would not have matched; a text that
//! does not come to rest, or for which no steps are left, is withheld as a whole. Where two readings are possible, privacy
//! wins: `1.2.3.4` is an IP address, never a version.
//! Not here: the form of a pattern file (`pattern.rs`), checksums (`validate.rs`), which values are scrubbed
//! (`shoal-ingest`, `scrub.rs`), paths that become dimensions (`route.rs`), identifiers of the event (`own_identifiers.rs`).

use std::borrow::Cow;

use crate::{
    fold,
    work::{WITHHELD, Withheld, Work},
};

mod edge;
mod first;
mod further;
mod hosts;
mod numbers;
mod pattern;
mod people;
mod rest;
mod scan;
mod validate;
mod words;

use pattern::Pattern;
use scan::Scan;

/// A text still changes after this many rounds only when it is made to; it is then withheld.
const ROUNDS_MAX: usize = 8;

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
        let mut work = Work::unlimited();
        let broken: Vec<String> = examples
            .iter()
            .filter_map(|(file, (text, wanted))| {
                let (once, twice) = (scrubber.scrub(text, &mut work), scrubber.scrub(wanted, &mut work));
                (once != *wanted || twice != *wanted)
                    .then(|| format!("{file}: {text:?} became {once:?}, then {twice:?}, not {wanted:?}"))
            })
            .collect();
        if !broken.is_empty() {
            return Err(broken.join("\n"));
        }
        Ok(scrubber)
    }

    /// The text with every match replaced by `<name of the pattern>`; borrowed when nothing matched. What it takes is taken
    /// from `work`, where a text that is withheld as a whole is noted.
    pub fn scrub<'t>(&self, text: &'t str, work: &mut Work) -> Cow<'t, str> {
        match self.try_scrub(text, work) {
            Ok(None) => Cow::Borrowed(text),
            Ok(Some(scrubbed)) => Cow::Owned(scrubbed),
            Err(withheld) => {
                work.note(&withheld);
                Cow::Borrowed(WITHHELD)
            }
        }
    }

    /// Whether nothing in the text matches: a dimension's value in which something does is dropped and counted. Not when
    /// there is no work left to find out.
    pub fn is_clean(&self, text: &str, work: &mut Work) -> bool {
        let folded = fold::fold(text);
        let decoded = fold::decode(&folded);
        let clean = |text: &str, work: &mut Work| {
            let traits = self.scan.traits(text);
            work.pass(text.len())
                && self
                    .patterns
                    .iter()
                    .filter(|p| p.needs.met(&traits))
                    .all(|p| p.find(text, 0, work).is_none())
        };
        let is_clean = clean(&folded, work) && decoded.is_none_or(|decoded| clean(&decoded, work));
        if work.is_spent() {
            work.note(&Withheld::Unscanned);
        }
        is_clean && !work.is_spent()
    }

    /// None when nothing matched.
    fn try_scrub(&self, text: &str, work: &mut Work) -> Result<Option<String>, Withheld> {
        let folded = fold::fold(text);
        let scrubbed = self.settle(&folded, work)?;
        let current = scrubbed.as_deref().unwrap_or(&folded);
        if let Some(decoded) = fold::decode(current)
            && let Some(scrubbed) = self.settle(&decoded, work)?
        {
            return Ok(Some(scrubbed));
        }
        Ok(scrubbed)
    }

    /// Rounds until nothing changes; none when nothing did.
    fn settle(&self, text: &str, work: &mut Work) -> Result<Option<String>, Withheld> {
        let mut current: Option<String> = None;
        for _ in 0..=ROUNDS_MAX {
            let changed = self.round(current.as_deref().unwrap_or(text), work);
            if work.is_spent() {
                return Err(Withheld::Unscanned);
            }
            match changed {
                None => return Ok(current),
                Some(changed) => current = Some(changed),
            }
        }
        Err(Withheld::Unsettled)
    }

    /// Every pattern once; none when nothing matched.
    fn round(&self, text: &str, work: &mut Work) -> Option<String> {
        let mut traits = self.scan.traits(text);
        if !work.pass(text.len()) {
            return None;
        }
        let mut changed: Option<String> = None;
        for pattern in &self.patterns {
            if pattern.needs.met(&traits)
                && let Some(next) = replace(pattern, changed.as_deref().unwrap_or(text), work)
            {
                // A label that touched what is gone now stands alone.
                traits = self.scan.traits(&next);
                if !work.pass(next.len()) {
                    return None;
                }
                changed = Some(next);
            }
        }
        changed
    }
}

/// Replaces every match of one pattern; none when there is none.
fn replace(pattern: &Pattern, text: &str, work: &mut Work) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(found) = pattern.find(text, from, work) {
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
