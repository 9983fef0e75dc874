//! Which bits of which files flip.
//!
//! Invariants: a flip follows from its numbers and from the list of files; kinds of files take turns, so that a rare
//! kind is met as often as one with a hundred files.

use std::collections::BTreeMap;
use std::fmt;

use crate::Numbers;

/// Bits of one file that flip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// The file, as it was named.
    pub file: String,
    /// The bits, counted from the first one of the file.
    pub bits: Vec<u64>,
}

impl Flip {
    /// Chooses the flip with this number: a file of the kind whose turn it is, and one to three bits near each other.
    /// Files are named by their paths, with their lengths in bytes; empty ones have no bits. None when no file has any.
    #[must_use]
    pub fn choose(turn: usize, files: &[(String, u64)], numbers: &mut Numbers) -> Option<Flip> {
        let mut kinds: BTreeMap<String, Vec<&(String, u64)>> = BTreeMap::new();
        for file in files.iter().filter(|(_, length)| *length > 0) {
            kinds.entry(kind_of(&file.0)).or_default().push(file);
        }
        let all: Vec<&Vec<&(String, u64)>> = kinds.values().collect();
        let of_kind = all.get(turn.checked_rem(all.len())?)?;
        let (file, length) = *numbers.one_of(of_kind);
        let first = numbers.below(length * 8);
        // A cell of a disk that goes bad takes its neighbours with it now and then.
        let more = if numbers.one_in(3) { 1 + numbers.below(2) } else { 0 };
        let mut bits = vec![first];
        bits.extend((0..more).map(|_| (first + 1 + numbers.below(64)).min(length * 8 - 1)));
        bits.sort_unstable();
        bits.dedup();
        Some(Flip { file: file.clone(), bits })
    }

    /// Flips them.
    pub fn apply(&self, bytes: &mut [u8]) {
        for bit in &self.bits {
            if let Some(byte) = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bits {:?} of {}", self.bits, self.file)
    }
}

/// The kind of a file: its path without regions, numbers, and words with digits in them, which count or are random.
#[must_use]
pub fn kind_of(path: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric();
    let mut kind = String::new();
    for word in path.split_inclusive(|c| !is_of_word(c)) {
        let (word, end) = word.split_at(word.len() - usize::from(word.ends_with(|c| !is_of_word(c))));
        match word {
            "de" | "us" | "sg" | "my" => kind.push_str("REGION"),
            word if word.contains(|c: char| c.is_ascii_digit()) => kind.push('N'),
            word => kind.push_str(word),
        }
        kind.push_str(end);
    }
    while let Some(at) = kind.find("N-N") {
        kind.replace_range(at..at + 3, "N");
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::{Flip, kind_of};
    use crate::Numbers;

    #[test]
    fn files_that_differ_in_counters_are_of_one_kind() {
        assert_eq!(kind_of("data/de/log/0000000a"), kind_of("data/us/log/00000011"));
        assert_eq!(
            kind_of("data/my/tables/usage/day=2026-11-30/ux-01a2-5f1c.parquet"),
            "data/REGION/tables/usage/day=N/ux-N.parquet"
        );
        assert_ne!(kind_of("data/de/log/0000000a"), kind_of("data/de/tables/0000000a"));
    }

    #[test]
    fn kinds_take_turns_and_flips_change_the_bits_that_they_say() {
        let files = [("data/x1", 4), ("data/x2", 4), ("data/y", 1), ("data/z", 0)]
            .map(|(name, length)| (name.to_owned(), length));
        let mut numbers = Numbers::new(5);
        for turn in 0..20 {
            let flip = Flip::choose(turn, &files, &mut numbers).unwrap();
            assert_eq!(flip.file == "data/y", turn % 2 == 1, "{flip}");
            let mut bytes = [0; 4];
            flip.apply(&mut bytes);
            assert_eq!(bytes.iter().map(|byte| byte.count_ones() as usize).sum::<usize>(), flip.bits.len());
        }
        assert_eq!(Flip::choose(0, &files[3..], &mut numbers), None);
    }
}
