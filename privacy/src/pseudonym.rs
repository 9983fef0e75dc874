//! Identifiers become pseudonyms: 128 bits of `blake3::keyed_hash` over length-prefixed (identifier kind, value).
//!
//! ```text
//! hash input:  length of kind u8 | kind | length of value u32 little endian | value
//! ```
//! Invariants: the same key, kind and value give the same digest for ever; two inputs that differ in kind or value never
//! give the same hash input; no allocation. Not here: where keys come from (`keyring.rs`).

use shoal_schemas::IdentifierKind;

use crate::key::Secret;

/// Number of a pseudonym epoch, for which its keys are made. `PseudonymEpoch::of_day(day, period_days)` is `day /
/// period_days`, days counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PseudonymEpoch(pub u32);

impl PseudonymEpoch {
    /// The pseudonym epoch that a day (days since 1970-01-01) falls into.
    pub fn of_day(day: i32, period_days: u32) -> PseudonymEpoch {
        PseudonymEpoch(u32::try_from(day.max(0)).unwrap_or(0) / period_days.max(1))
    }
}

/// A subject's pseudonym. No `Debug`, no `Display`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pseudonym(pub(crate) [u8; 16]);

impl Pseudonym {
    /// The bytes, for the log and the table.
    pub fn into_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Makes pseudonyms of one region, programme and pseudonym epoch. No `Debug`.
pub struct Pseudonymiser {
    key: Secret,
}

impl Pseudonymiser {
    pub(crate) fn new(key: Secret) -> Pseudonymiser {
        Pseudonymiser { key }
    }

    /// The pseudonym of an identifier in this form of it (`identifier.rs` has the forms), trimmed.
    pub fn pseudonym(&self, kind: IdentifierKind, value: &str) -> Pseudonym {
        Pseudonym(identifier_digest(&self.key, kind, value))
    }
}

/// Makes 16-byte keyed digests of other strings (event ids, session ids). No `Debug`.
pub struct Digester {
    key: Secret,
}

impl Digester {
    pub(crate) fn new(key: Secret) -> Digester {
        Digester { key }
    }

    /// The digest of a value, byte for byte as it is.
    pub fn digest(&self, value: &str) -> [u8; 16] {
        first_half(blake3::keyed_hash(&self.key, value.as_bytes()))
    }
}

/// The longest hash input that is put together on the stack and hashed in one call, in bytes. Longer ones are streamed,
/// with the same result.
const ON_STACK_BYTES: usize = 256;

/// The digest of a trimmed identifier under a key.
pub(crate) fn identifier_digest(key: &[u8; 32], kind: IdentifierKind, value: &str) -> [u8; 16] {
    let value = value.trim().as_bytes();
    let kind = kind.as_str().as_bytes();
    let kind_length = u8::try_from(kind.len()).expect("names of a closed set are short");
    // Nothing that reaches this is 4 GiB long; if it were, the value itself would still tell inputs apart.
    let value_length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes();

    let mut input = [0u8; ON_STACK_BYTES];
    let mut end = 0;
    for part in [&[kind_length][..], kind, &value_length, value] {
        let Some(place) = input.get_mut(end..end + part.len()) else {
            let mut hasher = blake3::Hasher::new_keyed(key);
            hasher.update(&[kind_length]).update(kind).update(&value_length).update(value);
            return first_half(hasher.finalize());
        };
        place.copy_from_slice(part);
        end += part.len();
    }
    first_half(blake3::keyed_hash(key, &input[..end]))
}

fn first_half(hash: blake3::Hash) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash.as_bytes()[..16]);
    half
}

#[cfg(test)]
mod tests;
