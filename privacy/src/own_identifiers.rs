//! The identifiers of an event, found in its own texts however they are written there.
//!
//! ```text
//! 7J0A123PAZ00001   also as   7j0a123paz00001, 7J0A-123P-AZ00-001, ７Ｊ０Ａ.., %37J0A.., 374a3041.., N0owQTEyM1BBWjAwMDAx
//! ```
//! Both sides are brought into one form: wide and other forms of characters are folded (Unicode's NFKC for what folds to
//! ASCII), accents and case dropped, what takes no room and everything that is neither letter nor digit left out. An identifier
//! whose parts stand in the reverse order, and a long one from its end to its beginning, are looked for as well. So are hexadecimal
//! numbers of it, as it is and in either case, base64 (at each of its three positions in a longer text, both alphabets), and
//! base64 of the bytes that a hexadecimal identifier stands for, in texts that have a run of eight letters and digits or of
//! numbers. Most texts hold the beginning of none of these forms, so they are made only for a text that does (`forms.rs`).
//!
//! A text in which nothing is found is read in other ways, each only when a look at its bytes says that it can be:
//!
//! | read | when the text has |
//! |---|---|
//! | letters of other alphabets as those of ASCII that they look like (`fold/lookalikes.rs`) | such letters |
//! | escapes decoded, without colours of terminals (`fold.rs`) | `%`, `\`, `&`, `=`, an escape character |
//! | the rest of quoted-printable, tags of Unicode, colours without their escape (`spelled.rs`) | `=`, `[`, a tag |
//! | numbers as the characters that they are: hexadecimal, decimal, octal, binary (`spelled.rs`) | numbers in a row |
//!
//! How an identifier is looked for follows from what is left of it in that form:
//!
//! | letters and digits | found |
//! |---|---|
//! | fewer than 4, one character repeated, or words that programs use (`guest`, `camera`) | never: it would be in every text |
//! | 4 to 7; 8 to 11 without a digit | as a whole word; of the short ones separators only where the identifier has them, or the same between any two |
//! | digits only, 8 or more | not within a longer number |
//! | 8 or more with a digit, 12 or more | anywhere, also within words, with up to 4 bytes between any two |
//!
//! Invariants: what [`OwnIdentifiers::redact`] returns has none of them any more; the time that it takes grows with the text and no
//! faster, since there are so many readings and rounds at the most; and what the texts of a request take together is counted
//! (`work.rs`). Where no steps are left a text is taken to hold one, and is withheld as a whole.
//! Not here: patterns that know no identifier (`scrub.rs`), which values are looked at (`shoal-ingest`, `pseudonymise.rs`).

mod beginnings;
mod encodings;
mod forms;
mod spelled;
mod view;

use encodings::BYTES_MAX;
use forms::{Forms, LENGTH_MIN};
use spelled::{first_found, has_long_run, has_numbers};
use view::View;

use crate::work::{WITHHELD, Work};

/// What is left of an identifier in a text.
const REPLACEMENT: &str = "<identifier>";
/// A text in which one is still found after so many rounds was made for that. Nothing of it is kept.
const ROUNDS_MAX: usize = 8;

/// The identifiers of one event, prepared. No `Debug`.
#[derive(Default)]
pub struct OwnIdentifiers {
    /// What they were prepared from.
    of: Vec<String>,
    forms: Forms,
    view: View,
}

impl OwnIdentifiers {
    /// Looks for these from now on. Events of one batch often have the same: then nothing is done.
    pub fn prepare<'i>(&mut self, identifiers: impl Iterator<Item = &'i str> + Clone, work: &mut Work) {
        if identifiers.clone().eq(self.of.iter().map(String::as_str)) {
            return;
        }
        self.forms.clear();
        let mut count = 0;
        for identifier in identifiers {
            match self.of.get_mut(count) {
                Some(before) => {
                    before.clear();
                    before.push_str(identifier);
                }
                None => self.of.push(identifier.to_owned()),
            }
            work.search(identifier.len().min(BYTES_MAX));
            self.add(count, identifier.trim());
            count += 1;
        }
        self.of.truncate(count);
    }

    /// Adds the identifier with this number.
    fn add(&mut self, at: usize, identifier: &str) {
        if identifier.len() > BYTES_MAX || !self.add_plain(identifier) {
            return;
        }
        self.forms.add_encodable(at);
        if let Some((local, _)) = identifier.split_once('@') {
            self.add_plain(local);
        }
    }

    /// Adds the identifier itself, also as what it looks like; false when it is not looked for.
    fn add_plain(&mut self, identifier: &str) -> bool {
        let mut is_sought = false;
        for is_looked_at in view::looks(identifier) {
            self.view.fill(identifier, is_looked_at);
            is_sought |= self.forms.add_plain(identifier, &self.view);
        }
        is_sought
    }

    /// Whether a text holds one of them, in any form. One for which no work is left is taken to hold one.
    pub fn are_in(&mut self, text: &str, work: &mut Work) -> bool {
        self.may_search(text)
            && (work.is_spent()
                || first_found(text, work, |reading, work| self.first_in(reading, work).then_some(()))
                    .is_some()
                || work.is_spent())
    }

    /// The text without them; none when it holds none. A text in which one is found only in another reading comes back in that,
    /// and of one for which no work is left nothing does. That is noted by the scrubber, which looks at all texts after this.
    pub fn redact(&mut self, text: &str, work: &mut Work) -> Option<String> {
        if !self.may_search(text) {
            return None;
        }
        if work.is_spent() {
            return Some(WITHHELD.to_owned());
        }
        let mut current: Option<String> = None;
        for _ in 0..ROUNDS_MAX {
            let next = first_found(current.as_deref().unwrap_or(text), work, |reading, work| {
                self.replace(reading, work)
            });
            if work.is_spent() {
                return Some(WITHHELD.to_owned());
            }
            match next {
                Some(next) => current = Some(next),
                None => return current,
            }
        }
        Some(REPLACEMENT.to_owned())
    }

    fn may_search(&self, text: &str) -> bool {
        !self.forms.is_empty() && text.len() >= LENGTH_MIN
    }

    fn first_in(&mut self, text: &str, work: &mut Work) -> bool {
        self.may_hold(text, work)
            && view::looks(text).any(|is_looked_at| {
                self.view.fill(text, is_looked_at);
                work.search(text.len())
                    && (0..self.view.small.len())
                        .any(|at| self.forms.longest_at(&self.view, text, at, work).is_some())
            })
    }

    fn replace(&mut self, text: &str, work: &mut Work) -> Option<String> {
        if !self.may_hold(text, work) {
            return None;
        }
        view::looks(text).find_map(|is_looked_at| self.replace_read(text, is_looked_at, work))
    }

    fn replace_read(&mut self, text: &str, is_looked_at: bool, work: &mut Work) -> Option<String> {
        self.view.fill(text, is_looked_at);
        if !work.search(text.len()) {
            return None;
        }
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while at < self.view.small.len() {
            let Some(length) = self.forms.longest_at(&self.view, text, at, work) else {
                at += 1;
                continue;
            };
            let (start, end) = self.view.range(at, length);
            // One character may be the end of an identifier and the beginning of the next: the `ﬁ` is two letters.
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str(REPLACEMENT);
            copied = end;
            at += length;
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }

    /// One pass without memory, which tells most texts that hold none. For the others the forms are made.
    fn may_hold(&mut self, text: &str, work: &mut Work) -> bool {
        if !work.pass(text.len()) {
            return false;
        }
        if has_long_run(text) || has_numbers(text) {
            self.forms.note_encodings(&self.of);
        }
        self.forms.may_begin_in(text) && {
            let made = self.forms.make(&self.of);
            work.pass(made)
        }
    }
}

#[cfg(test)]
mod tests;
