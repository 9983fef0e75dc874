//! Who is meant, and may it be kept: keyring, pseudonym, consent, scrub.
//!
//! Pure: the key file is read and written by whoever has it. Secrets and pseudonyms have no `Debug` and no `Display`.
//!
//! - `keyring`: what is in the key file, and one derived key for each purpose; `key`: a key in memory
//! - `identifier`: which spellings mean the same subject, and which mean nobody
//! - `pseudonym`: identifiers become 128-bit keyed digests
//! - `epoch_key`: the keys of one pseudonym epoch
//! - `unit_key`: whose an event is that names nobody
//! - `consent`: may this event be kept? the three ways of consent
//! - `scrub`: free text loses what identifies
//! - `fold`: what a text means rather than how it is written
//! - `own_identifiers`: the event's own identifiers, found in its texts in any form
//! - `route`: paths and addresses become templates
//! - `work`: how much looking at the texts of one request may take
//! - `secret`: hashes of access keys
//! - `crash_group`: crashes of one cause get one name
//!
//! Not here: where consents are kept (`shoal-storage`, `consents`), how many there are (`shoal-anonymity`).
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod consent;
pub mod crash_group;
pub mod epoch_key;
mod fold;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod identifier;
mod key;
pub mod keyring;
pub mod own_identifiers;
pub mod pseudonym;
pub mod route;
pub mod scrub;
pub mod secret;
pub mod unit_key;
pub mod work;
