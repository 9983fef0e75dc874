//! How large blocks are: the number of rows of each, released once for each of its epochs, at a price that is published.
//!
//! ```text
//! rows, as the files say, or counted up to a limit for each subject + noise
//!   -> sealed in the ledger -> how long a question about the block may take (`work`)
//! ```
//! The time of an answer must not depend on events but through what was paid for, and reading more rows takes longer. So the
//! first question about a block in an epoch pays for its size as well, and everybody after it finds that in the ledger.
//!
//! Invariants: one subject's day changes the number of rows by no more than `size_bounds` says, so the noise follows from
//! that number and [`SIZE_PRICE`] alone. The exact number is used for nothing else. When sizes are sealed follows from how many
//! are missing, and of how many the rows have to be counted, which is public; whatever the files hold, and whether or not they can
//! be read.
//! Not here: what a row costs (`work`), the order of claims and seals of an answer (`answer`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoal_anonymity::budget::part_digest;
use shoal_anonymity::noise::{DiscreteGaussian, OsEntropy};
use shoal_language::calendar::day_text;
use shoal_storage::{Block, Charge, Found, PartId, PartOrder};

use super::circumstances::{Circumstances, Timing};
use super::in_time::until_end;
use super::sealed::{Sealed, SealedCell};
use super::size_bounds::{SIZE_PRICE, SizeBounds};
use crate::budget_epochs::{BudgetEpoch, BudgetEpochs};
use crate::error::{NoAnswer, QueryError};
use crate::failure::Failure;
use crate::ledger::{Budget, Payment};
use crate::scan::Scan;

/// The encoding's version: another one makes other sizes of everything.
const VERSION: &[u8] = b"size 1";
/// Sizes are sealed so long after they were paid, and so much later for each: many times what it takes to read what the files
/// say. What is not read by then has failed.
const READING: Duration = Duration::from_millis(250);
const READING_EACH: Duration = Duration::from_millis(5);
/// And so much later for each whose rows have to be counted.
const COUNTING_EACH: Duration = Duration::from_millis(500);

/// A block in one of its epochs.
pub(crate) type BlockEpoch = (Block, BudgetEpoch);

/// The noisy numbers of rows of blocks.
pub(crate) struct Sizes<'b> {
    bounds: &'b SizeBounds,
    sizes: BTreeMap<Block, Size>,
}

/// A noisy number of rows.
struct Size {
    rows: i128,
    variance: f64,
}

/// Which released part the size of a block in an epoch is.
///
/// # Errors
/// [`Failure::Internal`] when no noise is large enough.
pub(crate) fn size_id((block, epoch): &BlockEpoch, bounds: &SizeBounds) -> Result<PartId, Failure> {
    let noise = bounds.noise(block.day)?;
    let variance = noise.variance();
    Ok(part_digest(&[
        VERSION,
        block.region.as_str().as_bytes(),
        block.kind.as_str().as_bytes(),
        &block.day.to_le_bytes(),
        &[epoch.pool, epoch.hour],
        &SIZE_PRICE.nano().to_le_bytes(),
        &variance.numerator().to_le_bytes(),
        &variance.denominator().to_le_bytes(),
    ]))
}

fn order(of: &BlockEpoch, id: PartId, epochs: &BudgetEpochs) -> PartOrder {
    let (block, epoch) = of;
    let (when, day) = (epochs.epoch_text(*epoch), day_text(block.day));
    let charge = Charge { block: *block, pool: epoch.pool, nano: SIZE_PRICE.nano(), delta_atto: 0 };
    let text = format!("NUMBER OF ROWS OF {} IN {}\nDAY {day} ({when})", block.kind, block.region);
    PartOrder { id, text, charges: vec![charge] }
}

fn sealed(rows: i128, noise: &DiscreteGaussian) -> Result<Vec<u8>, Failure> {
    let variance = noise.variance();
    let cells = vec![SealedCell { keys: Vec::new(), numbers: vec![rows] }];
    Sealed { slots: vec![(1, variance.numerator(), variance.denominator())], cells }.encode()
}

fn rows_of(bytes: &[u8]) -> Result<i128, Failure> {
    let sealed = Sealed::decode(bytes)?;
    let cell = sealed.cells.first().ok_or(Failure::Internal)?;
    cell.numbers.first().copied().ok_or(Failure::Internal)
}

/// The sizes of blocks, with noise, as they are sealed.
async fn noisy(
    missing: &[(BlockEpoch, PartId)],
    bounds: &SizeBounds,
    scan: &dyn Scan,
) -> Result<Vec<(PartId, Vec<u8>)>, Failure> {
    let mut made = Vec::with_capacity(missing.len());
    for ((block, _), id) in missing {
        let noise = bounds.noise(block.day)?;
        let exact = i128::from(scan.rows(*block, bounds.counted_to(block.day)).await?);
        let rows = noise.add(exact, &mut OsEntropy::new()).map_err(Failure::from)?;
        made.push((*id, sealed(rows, &noise)?));
    }
    Ok(made)
}

impl<'b> Sizes<'b> {
    /// The sizes of these blocks, from the ledger; those that are not there are paid, read, noised and sealed.
    ///
    /// # Errors
    /// A refusal when a block cannot pay for its size, [`QueryError::Busy`] when somebody else's reading of a size takes too
    /// long; otherwise what goes wrong.
    pub(crate) async fn of(
        blocks: &BTreeSet<BlockEpoch>,
        timing: &'b Timing<'_>,
        asked: &Circumstances<'_>,
        scan: &dyn Scan,
    ) -> Result<Sizes<'b>, NoAnswer> {
        let (clock, bounds) = (timing.schedule.clock(), &timing.sizes);
        let mut sizes = Sizes { bounds, sizes: BTreeMap::new() };
        loop {
            let missing = sizes.missing(blocks, asked.budget).await?;
            if missing.is_empty() {
                return Ok(sizes);
            }
            let ids: Vec<PartId> = missing.iter().map(|(_, id)| *id).collect();
            let claim = tokio::time::timeout_at(asked.deadline, asked.budget.claim(&ids)).await;
            let Some(claim) = claim.map_err(|_| QueryError::Busy)? else { continue };
            let orders = missing.iter().map(|(of, id)| order(of, *id, &asked.budget.epochs)).collect();
            match asked.budget.pay(&claim, orders, asked.asker, asked.now_ms).await? {
                Payment::LookAgain => {}
                Payment::Refused(refusal) => return Err(QueryError::from(refusal).into()),
                Payment::Paid(reservation) => {
                    let reading = noisy(&missing, bounds, scan);
                    let counted = missing.iter().filter(|((b, _), _)| bounds.counted_to(b.day).is_some());
                    let times =
                        |each: Duration, count: usize| each * u32::try_from(count).unwrap_or(u32::MAX);
                    let time =
                        READING + times(READING_EACH, missing.len()) + times(COUNTING_EACH, counted.count());
                    let made = until_end(clock, clock.now() + time, reading).await?;
                    asked.budget.seal(claim, reservation, made).await?;
                }
            }
        }
    }

    /// These sizes: for tests of what follows from them.
    #[cfg(test)]
    pub(super) fn all(rows: BTreeMap<Block, i128>, bounds: &'b SizeBounds) -> Result<Sizes<'b>, Failure> {
        let mut sizes = BTreeMap::new();
        for (block, rows) in rows {
            sizes.insert(block, Size { rows, variance: bounds.noise(block.day)?.variance().to_f64() });
        }
        Ok(Sizes { bounds, sizes })
    }

    /// Those that the ledger does not have, with what they are there; what it has is taken in.
    async fn missing(
        &mut self,
        blocks: &BTreeSet<BlockEpoch>,
        budget: &Budget,
    ) -> Result<Vec<(BlockEpoch, PartId)>, Failure> {
        let left = blocks.iter().filter(|(block, _)| !self.sizes.contains_key(block));
        let left = left.map(|of| Ok((*of, size_id(of, self.bounds)?)));
        let left: Vec<(BlockEpoch, PartId)> = left.collect::<Result<_, Failure>>()?;
        let found = budget.look_up(left.iter().map(|(_, id)| *id).collect()).await?;
        let mut missing = Vec::new();
        for (of, found) in left.into_iter().zip(found) {
            match found {
                Found::Sealed(bytes) => {
                    let (block, _) = of.0;
                    let variance = self.bounds.noise(block.day)?.variance().to_f64();
                    self.sizes.insert(block, Size { rows: rows_of(&bytes)?, variance });
                }
                Found::Nothing | Found::Reserved => missing.push(of),
            }
        }
        Ok(missing)
    }

    /// An upper bound of the number of rows of these blocks together, each as often as it is among them.
    pub(crate) fn rows(&self, blocks: impl IntoIterator<Item = Block>) -> u64 {
        let mut times: BTreeMap<Block, u64> = BTreeMap::new();
        blocks.into_iter().for_each(|block| *times.entry(block).or_insert(0) += 1);
        self.total(&times)
    }

    /// The most rows of one subject in blocks of this day.
    pub(crate) fn most_of_one(&self, day: i32) -> u64 {
        self.bounds.most_on(day)
    }

    /// An upper bound of what reading blocks is worth, given what a row of each block is: the noisy rows, and 8 standard
    /// deviations of the noise of all of them together. It is too low once in 10^15 questions.
    pub(crate) fn total(&self, of_a_row: &BTreeMap<Block, u64>) -> u64 {
        let (mut sum, mut squares) = (0.0_f64, 0.0_f64);
        for (block, each) in of_a_row {
            let Some(size) = self.sizes.get(block) else { continue };
            let each = *each as f64;
            sum += size.rows as f64 * each;
            squares += each * each * size.variance;
        }
        let spread = 8.0 * squares.sqrt();
        // A cast of a number that is too large or below 0 saturates.
        (sum + spread).ceil() as u64
    }
}
