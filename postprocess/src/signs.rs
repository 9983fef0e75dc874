//! Which way each noisy cell is moved in each replicate.
//!
//! Balanced repeated replication: replicate w moves the cell with code c by `sign(w, c)` standard deviations. When the
//! signs of two codes are orthogonal over the replicates, the mean square of `f_w - f` is exactly the variance of a linear
//! f: `sum of (df/dx_c)^2 sd_c^2`. The signs are a Hadamard matrix (Sylvester's: the parity of `w & c`), so the codes
//! 1 .. B - 1 are orthogonal to each other and to 1. Of more cells than that, each block of B codes is multiplied by signs
//! of its own: a Gold function, the trace of `b w^3` in GF(32), by which two codes of different blocks correlate by 0 or
//! 1/4 and never more (Gold, 1968). Within a block everything stays exact, between blocks the errors average out: the
//! variance of a sum of many equal cells is off by about `sqrt(2 / B)`.
//! Not here: where the replicates go in a plan (`replicate`).

/// Replicates of a plan that mixes rows.
pub(super) const REPLICATES: usize = 32;

/// Most companions that are moved by a whole interval.
const WIDE_MAX: usize = 32;

/// How many companions a number has: first those that noise moves, then those that are moved as far as a 95 % interval goes
/// (`replicate::steps`), then one for each world (`replicate::worlds`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Companions {
    pub(super) signs: Signs,
    pub(super) wide: usize,
    pub(super) worlds: usize,
}

impl Companions {
    /// All companions of a number.
    pub(super) fn count(self) -> usize {
        self.first_world() + self.worlds
    }

    /// Whether a companion is of a world: noise does not move it.
    pub(super) fn is_world(self, companion: usize) -> bool {
        companion >= self.first_world()
    }

    /// The first companion of a world.
    pub(super) fn first_world(self) -> usize {
        self.signs.replicates() + self.wide
    }

    /// Whether a companion is moved by a whole interval.
    pub(super) fn is_wide(self, companion: usize) -> bool {
        (self.signs.replicates()..self.first_world()).contains(&companion)
    }

    /// How many of these releases of so many numbers together need. All rows of a number go the same way, and the ways of three
    /// numbers are in all combinations: a Hadamard matrix and its negative.
    pub(super) fn wide_of(numbers: usize) -> usize {
        match numbers {
            0 | 1 => 2,
            2 => 4,
            numbers => (2 * (numbers + 1).next_power_of_two()).min(WIDE_MAX),
        }
    }

    /// Which way such a companion of a number goes.
    pub(super) fn wide_sign(self, companion: usize, number: usize) -> f64 {
        let at = companion.saturating_sub(self.signs.replicates());
        let order = if self.wide > 4 { self.wide / 2 } else { self.wide };
        let code = number % order.saturating_sub(1).max(1) + 1;
        let is_negative = parity((at % order.max(1)) & code) != (at >= order);
        if is_negative { -1.0 } else { 1.0 }
    }
}

/// How cells are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    /// Nothing needs a replicate.
    None,
    /// No row of the answer depends on more than one row of one release: cells of a row differ by their column only.
    Row { replicates: usize },
    /// Rows of one or several releases with `stride` columns together.
    Rows { stride: usize },
}

impl Signs {
    /// For one release of so many numbers, row by row.
    pub(super) fn row(numbers: usize) -> Signs {
        Signs::Row { replicates: (numbers + 1).next_power_of_two().clamp(2, REPLICATES) }
    }

    /// For releases of so many numbers together. An odd stride keeps rows apart that are a power of two from each other.
    /// The fewer numbers there are, the more rows are in a block.
    pub(super) fn rows(numbers: usize) -> Signs {
        Signs::Rows { stride: numbers | 1 }
    }

    /// How many replicates there are.
    pub(super) fn replicates(self) -> usize {
        match self {
            Signs::None => 0,
            Signs::Row { replicates } => replicates,
            Signs::Rows { .. } => REPLICATES,
        }
    }

    /// The same way of numbering for fewer numbers, with as many replicates.
    pub(super) fn of_fewer(self, numbers: usize) -> Signs {
        match self {
            Signs::Rows { .. } => Signs::rows(numbers),
            Signs::None | Signs::Row { .. } => self,
        }
    }

    /// The sign of a cell; `column` counts the numbers of all releases.
    pub(super) fn sign(self, replicate: usize, row: usize, column: usize) -> f64 {
        let is_negative = match self {
            Signs::None => false,
            Signs::Row { replicates } if column + 1 < replicates => parity(replicate & (column + 1)),
            // More columns than replicates: as rows of one column each.
            Signs::Row { .. } => of_code(replicate, column),
            Signs::Rows { stride } => of_code(replicate, row.wrapping_mul(stride).wrapping_add(column)),
        };
        if is_negative { -1.0 } else { 1.0 }
    }
}

fn of_code(replicate: usize, code: usize) -> bool {
    let (block, index) = (code / REPLICATES, code % REPLICATES);
    let is_negative = parity(replicate & index) != gold(block % REPLICATES, replicate);
    // Blocks beyond 32 x 32 cells repeat; a pseudo-random sign keeps them from adding up.
    is_negative != (block >= REPLICATES && mixed(code as u64) & 1 == 1)
}

fn parity(bits: usize) -> bool {
    bits.count_ones() % 2 == 1
}

/// The trace of `b w^3` in GF(32), from 1 on, so that no block has plain Hadamard signs (whose column 0 is all ones).
fn gold(block: usize, w: usize) -> bool {
    let (b, mut trace) = ((block + 1) % REPLICATES, 0);
    let mut power = product(b, product(w, product(w, w)));
    for _ in 0..5 {
        trace ^= power;
        power = product(power, power);
    }
    trace & 1 == 1
}

/// In GF(32) with x^5 + x^2 + 1.
fn product(a: usize, b: usize) -> usize {
    let mut sum = 0;
    for bit in 0..5 {
        if b >> bit & 1 == 1 {
            sum ^= a << bit;
        }
    }
    for bit in (5..10).rev() {
        if sum >> bit & 1 == 1 {
            sum ^= 0b10_0101 << (bit - 5);
        }
    }
    sum
}

/// SplitMix64: a fixed function, no secret; the noise itself is in the released numbers already.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(signs: Signs, a: (usize, usize), b: (usize, usize)) -> f64 {
        let one = |w| signs.sign(w, a.0, a.1) * signs.sign(w, b.0, b.1);
        (0..signs.replicates()).map(one).sum::<f64>() / signs.replicates() as f64
    }

    #[test]
    fn columns_of_a_row_are_orthogonal_and_balanced() {
        for numbers in 1..=20 {
            let signs = Signs::row(numbers);
            for a in 0..numbers {
                let sum: f64 = (0..signs.replicates()).map(|w| signs.sign(w, 0, a)).sum();
                assert!(sum.abs() < 1e-9, "{numbers} {a}");
                for b in 0..numbers {
                    let expected = if a == b { 1.0 } else { 0.0 };
                    assert!((product(signs, (7, a), (7, b)) - expected).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn cells_of_a_block_are_orthogonal_and_others_nearly() {
        for numbers in [1, 2, 3, 7] {
            let signs = Signs::rows(numbers);
            let Signs::Rows { stride } = signs else { return };
            let (mut most, mut squares, mut pairs) = (0.0_f64, 0.0, 0.0);
            for a in 0..120 {
                for b in 0..a {
                    let one = product(signs, (a, 0), (b, 0));
                    if a * stride / REPLICATES == b * stride / REPLICATES {
                        assert!(one.abs() < 1e-9, "{a} {b}");
                    }
                    most = most.max(one.abs());
                    squares += one * one;
                    pairs += 1.0;
                }
            }
            assert!(most < 0.251 && squares / pairs < 0.035, "{numbers}: {most} {}", squares / pairs);
        }
    }
}
