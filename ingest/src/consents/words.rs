//! Which parts of a body may ask for a change of consent at all, told by their words alone. What has none of them is not read.
//!
//! Invariant: whatever `forms.rs` takes for a grant or a withdrawal has one of these words; every test that reads one checks that
//! (`read.rs`). Not here: how a word is spelled (`wire/words.rs`), which words say that somebody does not agree (`wire/claim.rs`).

use crate::wire::{
    claim::DENIALS,
    words::{Word, has_text},
};

const DENYING: [Word; 14] = Word::each(DENIALS);
/// The names of members that refuse without such a word, and the words of a grant.
const OTHERS: [Word; 3] = Word::each(["granted", "status", "grant"]);

/// Whether these bytes may ask for a change of consent.
pub(super) fn may_decide(bytes: &[u8]) -> bool {
    has_text(bytes, &[&DENYING, &OTHERS])
}
