//! Counts of very many subjects in fixed memory: a count-min sketch with conservative update (Cormode and Muthukrishnan
//! 2005, Estan and Varghese 2002).
//!
//! ```text
//! 3 rows of 2^20 cells; a subject has one cell in each row; its count is the least of its cells
//! ```
//! Invariant: a count is never less than the truth. It is more by at most what the other subjects in the emptiest of its
//! cells have: by 80 with four million subjects of twenty events, on average. That a subject is taken for one of a
//! thousand with 5,000 events, since it shares all three cells with them, has a probability of one in a thousand million.
//! Not here: the exact counts of a day of fewer subjects (`counts.rs`).

/// Logarithm (base 2) of the cells in a row.
const WIDTH_LOG: u32 = 20;
/// A row's place of a subject is the top bits of the product with its factor: odd, and without a pattern.
const FACTORS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0xd6e8_feb8_6659_fd93];

/// The counts.
pub(super) struct Sketch {
    rows: [Vec<u32>; FACTORS.len()],
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch { rows: std::array::from_fn(|_| vec![0; 1 << WIDTH_LOG]) }
    }
}

impl Sketch {
    /// Rows of the subject, or more.
    pub(super) fn count(&self, subject: u64) -> u32 {
        let cells = self.rows.iter().zip(FACTORS).map(|(row, factor)| row[place(subject, factor)]);
        cells.min().unwrap_or(u32::MAX)
    }

    /// Adds rows. Cells that say more already stay, since another subject is in them.
    pub(super) fn add(&mut self, subject: u64, rows: u32) {
        let count = self.count(subject).saturating_add(rows);
        for (row, factor) in self.rows.iter_mut().zip(FACTORS) {
            let cell = &mut row[place(subject, factor)];
            *cell = (*cell).max(count);
        }
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.len() * size_of::<u32>()).sum()
    }
}

fn place(subject: u64, factor: u64) -> usize {
    (subject.wrapping_mul(factor) >> (u64::BITS - WIDTH_LOG)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spread over the whole range, as digests are.
    fn digest(n: u64) -> u64 {
        let n = (n + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (n ^ n >> 31).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    #[test]
    fn no_count_is_too_low_and_few_are_too_high() {
        let mut sketch = Sketch::default();
        let truth = |n: u64| if n.is_multiple_of(1000) { 5000 } else { 1 + (n % 20) as u32 };
        let subjects = 300_000;
        (0..subjects).for_each(|n| sketch.add(digest(n), truth(n)));
        let counts: Vec<(u32, u32)> = (0..subjects).map(|n| (sketch.count(digest(n)), truth(n))).collect();
        assert!(counts.iter().all(|(count, truth)| count >= truth));
        assert_eq!(counts.iter().filter(|(count, truth)| *count >= 5000 && *truth < 5000).count(), 0);
    }
}
