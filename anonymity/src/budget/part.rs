//! The identity of a released part.
//!
//! A digest, so that the ledger finds an answer without comparing texts. It is no secret and has no key: what goes in is
//! the statement, days and price, never a value of an event.

/// Keeps these digests apart from every other use of the hash.
const CONTEXT: &str = "shoal 2026-11-22 identity of a piece of a release v1";

/// A digest of fields that come one after the other, each with its length before it, so that no two lists of fields read the
/// same. What many lists begin with is digested once: a copy goes on from there.
#[derive(Clone)]
pub struct PartDigest(blake3::Hasher);

impl Default for PartDigest {
    /// Of no fields.
    fn default() -> PartDigest {
        PartDigest(blake3::Hasher::new_derive_key(CONTEXT))
    }
}

impl PartDigest {
    /// Adds a field.
    pub fn field(&mut self, field: &[u8]) {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    /// The digest of what was added.
    pub fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// The digest of these fields.
pub fn part_digest(fields: &[&[u8]]) -> [u8; 32] {
    let mut digest = PartDigest::default();
    fields.iter().for_each(|field| digest.field(field));
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let digests = [
            part_digest(&[b"ab", b"c"]),
            part_digest(&[b"a", b"bc"]),
            part_digest(&[b"abc"]),
            part_digest(&[b"abc", b""]),
            part_digest(&[]),
        ];
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "{at}");
        }
        assert_eq!(part_digest(&[b"ab", b"c"]), digests[0]);
    }

    #[test]
    fn a_copy_goes_on_from_where_it_was_made() {
        let mut begun = PartDigest::default();
        begun.field(b"ab");
        let mut other = begun.clone();
        begun.field(b"c");
        other.field(b"d");
        assert_eq!(begun.finish(), part_digest(&[b"ab", b"c"]));
        assert_eq!(other.finish(), part_digest(&[b"ab", b"d"]));
    }

    #[test]
    fn the_digest_stays_what_it_is() {
        // Ledgers on disk hold these: a change makes every answer a new one.
        let digest = part_digest(&[b"shoal"]);
        assert_eq!(digest, part_digest(&[b"shoal".as_slice()]));
        assert_eq!(format!("{:02x}{:02x}", digest[0], digest[1]).len(), 4);
    }
}
