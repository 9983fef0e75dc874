//! Malformed inputs: those of a corpus, with faults. The tests of each crate give them to its entries for fuzzing, so that these
//! run in every build and with the stable compiler.
//!
//! Invariant: which inputs there are follows from the files of the corpus and from the number of the input alone. Not here: the
//! entries (`fuzzing.rs` of each crate), the runs of libFuzzer (`fuzz_targets`), faults of whole requests (`faults/src/mutation.rs`).

use std::path::Path;

/// An entry: whether it could read its input. It panics when a property does not hold.
pub(crate) type Entry = fn(&[u8]) -> bool;

/// How many malformed inputs each entry gets, unless `SHOAL_MALFORMED` says another number.
const INPUTS: u64 = 1_000;
/// No input is longer than the longest of its corpus and this, in bytes.
const LONGER_BYTES_MAX: usize = 4_096;
/// What lengths, numbers and signs are made of.
const NUMBERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 63, u64::MAX];
/// What breaks a text.
const TEXTS: [&str; 14] = [
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "}",
    "]",
    "\"",
    "\\ud83d",
    "\u{0}",
    "1e999",
    "-0",
    "99999999999999999999",
    "\n",
    "((((((((((((((((((((",
    " ",
    "\u{feff}",
];

/// Gives an entry its whole corpus, each file of which it must read unless the file's name begins with `bad`, and then the
/// malformed inputs that are made of it.
pub(crate) fn check(target: &str, entry: Entry) {
    let corpus = corpus(target);
    for (name, input) in &corpus {
        let shown = Shown { target, what: name, input };
        let is_read = entry(input);
        assert_eq!(is_read, !name.starts_with("bad"), "{target}: {name} is not what its name says");
        drop(shown);
    }
    let inputs = std::env::var("SHOAL_MALFORMED").map_or(INPUTS, |number| number.parse().expect("a number"));
    for number in 0..inputs {
        let mut chance = Chance(number);
        let input = malformed(&corpus, &mut chance);
        let shown = Shown { target, what: &number.to_string(), input: &input };
        entry(&input);
        drop(shown);
    }
}

/// The files of a target's corpus, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut corpus: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a folder can be read").path();
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a file can be read"))
        })
        .collect();
    corpus.sort();
    assert!(!corpus.is_empty(), "{} has no file", folder.display());
    corpus
}

/// Shows the input that an entry panics of, so that it can be given to the entry again.
struct Shown<'i> {
    target: &'i str,
    what: &'i str,
    input: &'i [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let shown = self.input.escape_ascii();
            eprintln!(
                "{}: the input {}, of {} bytes: b\"{shown}\"",
                self.target,
                self.what,
                self.input.len()
            );
        }
    }
}

/// Random numbers that follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a limit, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("it is below a usize")
    }
}

/// One of the inputs of a corpus, with one to six faults.
fn malformed(corpus: &[(String, Vec<u8>)], chance: &mut Chance) -> Vec<u8> {
    let longest = corpus.iter().map(|(_, input)| input.len()).max().unwrap_or(0);
    let mut input = corpus[chance.below(corpus.len())].1.clone();
    for _ in 0..=chance.below(6) {
        let other = &corpus[chance.below(corpus.len())].1;
        fault(&mut input, other, chance);
    }
    input.truncate(longest + LONGER_BYTES_MAX);
    input
}

fn fault(input: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = (at + 1 + chance.below(64)).min(input.len());
    match chance.below(9) {
        0 => input.truncate(at),
        1 | 2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        3 => drop(input.drain(at..end)),
        4 => {
            let piece = input[at..end].to_vec();
            drop(input.splice(at..at, piece));
        }
        5 | 6 => {
            let number = NUMBERS[chance.below(NUMBERS.len())].to_le_bytes();
            let bytes = &number[..[1, 2, 4, 8][chance.below(4)]];
            let end = (at + bytes.len()).min(input.len());
            input[at..end].copy_from_slice(&bytes[..end - at]);
        }
        7 => {
            let text = TEXTS[chance.below(TEXTS.len())];
            drop(input.splice(at..at, text.bytes()));
        }
        _ => {
            let from = chance.below(other.len() + 1);
            let to = (from + chance.below(256)).min(other.len());
            drop(input.splice(at..end, other[from..to].iter().copied()));
        }
    }
}
