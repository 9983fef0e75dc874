//! The identity of a released part.
//!
//! A digest, so that the ledger finds an answer without comparing texts. It is no secret and has no key: what goes in is
//! the statement, days and price, never a value of an event.

/// Keeps these digests apart from every other use of the hash.
const CONTEXT: &str = "shoal 2026-11-22 identity of a piece of a release v1";

/// The digest of fields, each with its length before it, so that no two lists of fields read the same.
pub fn part_digest(fields: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    *hasher.finalize().as_bytes()
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
    fn the_digest_stays_what_it_is() {
        // Ledgers on disk hold these: a change makes every answer a new one.
        let digest = part_digest(&[b"shoal"]);
        assert_eq!(digest, part_digest(&[b"shoal".as_slice()]));
        assert_eq!(format!("{:02x}{:02x}", digest[0], digest[1]).len(), 4);
    }
}
