//! A data key, and the id by which a file names it. Not here: where it lies (`mod.rs`).

use std::fmt;

use shoal_files::host;
use zeroize::Zeroizing;

const SECRET_BYTES: usize = 32;
const DIGITS: usize = 16;

/// By what a key of a day is known: the second in which it was made, and a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    /// The id that is written so: 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<KeyId> {
        let id = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == DIGITS)?;
        Some(KeyId(id))
    }

    /// When the key was made, in milliseconds since 1970.
    pub fn made_ms(self) -> i64 {
        (self.0 >> 32) as i64 * 1000
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A random key of 256 bits. No `Debug`; zeroised when dropped.
pub(crate) struct DataKey {
    id: KeyId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl DataKey {
    /// A fresh key whose id is above this one, so that it is the newest of its day whatever the clock says; none when the operating
    /// system has no random numbers.
    pub(crate) fn generate(now_ms: i64, above: Option<KeyId>) -> Option<DataKey> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        host::fill(&mut secret[..]).ok()?;
        let after = above.map_or(0, |KeyId(id)| ((id >> 32) as u32).saturating_add(1));
        let second = u32::try_from(now_ms / 1000).unwrap_or(0).max(after);
        Some(DataKey { id: KeyId(u64::from(second) << 32 | host::random_u64().ok()? >> 32), secret })
    }

    /// The key with these bytes; none when they are not as many as a key has.
    pub(crate) fn of(id: KeyId, bytes: &[u8]) -> Option<DataKey> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        (bytes.len() == SECRET_BYTES).then(|| secret.copy_from_slice(bytes))?;
        Some(DataKey { id, secret })
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret[..]
    }
}
