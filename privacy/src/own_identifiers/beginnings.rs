//! With which four bytes the forms of identifiers begin: one look for each byte of a text tells most texts that hold none.
//!
//! Invariant: a beginning that was noted is always found. One that was not is found too, about once in a thousand.

/// Bits of the table.
const TABLE_BITS: u32 = 16;

/// One bit for each hash of the first four bytes of a form.
pub(super) struct Beginnings {
    words: Vec<u64>,
    /// Which words have a bit: a batch of many people clears the table for each of its events.
    set: Vec<usize>,
}

impl Default for Beginnings {
    fn default() -> Beginnings {
        Beginnings { words: vec![0; 1 << (TABLE_BITS - 6)], set: Vec::new() }
    }
}

impl Beginnings {
    pub(super) fn clear(&mut self) {
        self.set.drain(..).for_each(|at| self.words[at] = 0);
    }

    /// Notes that a form begins with the first four of these bytes.
    pub(super) fn note(&mut self, bytes: impl Iterator<Item = u8>) {
        let hash = hash(window(bytes));
        self.words[hash >> 6] |= 1 << (hash & 63);
        self.set.push(hash >> 6);
    }

    /// Whether a form may begin with the first four of these bytes.
    pub(super) fn has(&self, bytes: &[u8]) -> bool {
        self.holds(window(bytes.iter().copied()))
    }

    /// Whether a form may begin somewhere in a text. What is not ASCII has to be looked at more closely.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        let (mut small, mut cased, mut count) = (0u32, 0u32, 0usize);
        for byte in text.bytes() {
            if !byte.is_ascii() {
                return true;
            }
            if byte.is_ascii_alphanumeric() {
                small = small << 8 | u32::from(byte.to_ascii_lowercase());
                cased = cased << 8 | u32::from(byte);
                count += 1;
                if count >= 4 && (self.holds(small) || self.holds(cased)) {
                    return true;
                }
            }
        }
        false
    }

    fn holds(&self, window: u32) -> bool {
        let hash = hash(window);
        self.words[hash >> 6] >> (hash & 63) & 1 == 1
    }
}

fn window(bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.take(4).fold(0, |window, byte| window << 8 | u32::from(byte))
}

fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize
}
