//! Crashes of one cause get one name: a hash of the exception's type and the innermost frames.
//!
//! Unkeyed, so that a group has the same name in every region; its input has been scrubbed and names code, not people.
//! Not here: which frames count, and what is left out of their names (`shoal-ingest`, `frames.rs`).

/// 16 hexadecimal digits of BLAKE3 over the parts, each with its length.
pub fn crash_group(parts: &[String]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("shoal 2026 crash group v1");
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::crash_group;

    #[test]
    fn equal_parts_are_one_group_and_borders_count() {
        let parts = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(crash_group(&parts("E", "f")), crash_group(&parts("E", "f")));
        assert_ne!(crash_group(&parts("E", "f")), crash_group(&parts("Ef", "")));
        assert_eq!(crash_group(&parts("E", "f")).len(), 16);
    }
}
