//! Identifiers become pseudonyms: 128 bits of `blake3::keyed_hash` over length-prefixed (identifier kind, value).

use shoal_schemas::IdentifierKind;

/// Number of a key period. `Epoch::of_day(day, period_days)` is `day / period_days`, days counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch that a day (days since 1970-01-01) falls into.
    pub fn of_day(day: i32, period_days: u32) -> Epoch {
        Epoch(u32::try_from(day.max(0)).unwrap_or(0) / period_days.max(1))
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

/// Makes pseudonyms of one region, programme and epoch. No `Debug`.
pub struct Pseudonymiser {}

impl Pseudonymiser {
    /// The pseudonym of an identifier. The value is trimmed; letter case is kept.
    pub fn pseudonym(&self, kind: IdentifierKind, value: &str) -> Pseudonym {
        let _ = (kind, value);
        todo!()
    }
}

/// Makes 16-byte keyed digests of other strings (event ids, session ids). No `Debug`.
pub struct Digester {}

impl Digester {
    /// The digest of a value.
    pub fn digest(&self, value: &str) -> [u8; 16] {
        let _ = value;
        todo!()
    }
}
