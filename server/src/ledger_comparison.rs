//! The audit beside the ledger of budgets: does each know what the other one knows?
//!
//! ```text
//! line of a query      ..,"reservations":[4711],"hash":".."}     what the query paid, by the ledger's numbers
//! checkpoint (ledger)  lines of the audit, hash of the last one, last reservation: as they were when this was asked last
//! ```
//! From the checkpoint on, every number that a line has is one of the ledger's, and no number is there twice: a ledger that
//! was put back would lack numbers, or give them again. The audit has the checkpoint's line: one that was put back has not.
//! The other way round a number without a line is no fault, since whoever dies between the charge and the line leaves one;
//! how many there are is told. Lines of earlier versions have no numbers.
//!
//! The checkpoint moves on only when the audit's head counts every line: a line that another process is about to write may be
//! there and not be durable, and after a power cut it would seem that somebody has put an older audit back.
//!
//! Invariants: reads only, one line at a time; what is kept of lines is bounded by the number of blocks.
//! Not here: what follows from it (`ledger_start.rs`), the form of a query's line (`shoal-query`).

use std::collections::BTreeMap;

use serde::Deserialize;
use shoal_anonymity::budget::Rho;
use shoal_audit::{ChainPlace, verify, verify_since};
use shoal_language::calendar::parse_day;
use shoal_query::SIZE_PRICE;
use shoal_schemas::{Kind, Region};
use shoal_storage::{Block, Checkpoint, PossiblySpent};

use crate::error::Error;

/// With what the numbers of a line begin.
const NUMBERS: &str = "\"reservations\":[";
/// With what the kind of a line begins that is about the ledger's own files.
const OF_THE_LEDGER: &str = "\"act\":\"budget_";
/// Most bytes of a line before the kind of its act.
const ACT_BYTES_MAX: usize = 256;

/// What the comparison has found.
pub(crate) struct Comparison {
    /// Why ledger and audit cannot both be the latest.
    pub(crate) disagreement: Option<Disagreement>,
    /// Reservations since the checkpoint that no line knows.
    pub(crate) without_line: u64,
    /// Whether a line tells that the high-water marks were made, or what became of them later.
    pub(crate) tells_of_marks: bool,
    /// What lines of unknown reservations were about, at their price.
    pub(crate) possible: Vec<PossiblySpent>,
    /// The checkpoint from now on; none when the one before stays, since some line may not be durable yet.
    pub(crate) next: Option<Checkpoint>,
}

/// Why ledger and audit cannot both be the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disagreement {
    /// The audit lacks the line of the checkpoint.
    OlderAudit,
    /// The audit has numbers that the ledger has not given, or has given again.
    OlderLedger,
}

/// What was read of the lines.
#[derive(Default)]
struct Seen {
    /// The last reservation that the ledger knows, and the one of the checkpoint.
    known: u64,
    before: u64,
    /// Numbers between them.
    count: u64,
    /// Numbers beyond, or from before.
    odd: u64,
    largest: u64,
    tells_of_marks: bool,
    possible: BTreeMap<Block, u64>,
    unreadable: Option<u64>,
}

/// Compares an audit, to which no query appends meanwhile, with a ledger that knows reservations up to this number.
///
/// # Errors
/// When the audit is not whole or cannot be read.
pub(crate) fn compare(
    place: &ChainPlace,
    checkpoint: Option<Checkpoint>,
    last_reservation: u64,
) -> Result<Comparison, Error> {
    let before = checkpoint.map_or(0, |checkpoint| checkpoint.reservation);
    let fresh = || Seen { known: last_reservation, before, ..Seen::default() };
    let mut seen = fresh();
    let since = match checkpoint {
        Some(Checkpoint { lines, hash, .. }) => {
            verify_since(place, lines, hash, &mut |line| seen.line(line.seq, line.text))?
        }
        None => Some(verify(place, &mut |line| seen.line(line.seq, line.text))?),
    };
    let is_older_audit = since.is_none();
    let whole = match since {
        Some(whole) => whole,
        None => {
            seen = fresh();
            verify(place, &mut |line| seen.line(line.seq, line.text))?
        }
    };
    if let Some(line) = seen.unreadable {
        return Err(Error::Service(format!("line {line} of the audit does not tell what it was about")));
    }
    let given = last_reservation.saturating_sub(before);
    // Without a checkpoint, lines may be from before a ledger that somebody has begun anew; numbers beyond tell all the same.
    let is_older_ledger = match checkpoint {
        Some(_) if !is_older_audit => seen.odd > 0 || seen.count > given,
        _ => seen.largest > last_reservation,
    };
    let reservation = last_reservation.max(seen.largest);
    let next = Checkpoint { lines: whole.count, hash: whole.hash, reservation };
    let is_durable = whole.uncounted == 0 && whole.unfinished_bytes == 0;
    let disagreement = match (is_older_audit, is_older_ledger) {
        (true, _) => Some(Disagreement::OlderAudit),
        (false, true) => Some(Disagreement::OlderLedger),
        (false, false) => None,
    };
    let possible = seen.possible.into_iter().map(|(block, nano)| PossiblySpent { block, nano });
    Ok(Comparison {
        disagreement,
        without_line: if checkpoint.is_some() { given.saturating_sub(seen.count) } else { 0 },
        tells_of_marks: seen.tells_of_marks,
        possible: possible.collect(),
        next: is_durable.then_some(next),
    })
}

impl Seen {
    fn line(&mut self, seq: u64, text: &[u8]) {
        // Every whole line is UTF-8.
        let Ok(text) = std::str::from_utf8(text) else { return };
        // A search that is made for texts: byte by byte, this was most of the time of reading a long audit.
        let begin = text.get(..ACT_BYTES_MAX).unwrap_or(text);
        self.tells_of_marks = self.tells_of_marks || begin.contains(OF_THE_LEDGER);
        let mut is_beyond = false;
        for number in numbers(text) {
            self.largest = self.largest.max(number);
            is_beyond |= number > self.known;
            match number > self.before && number <= self.known {
                true => self.count += 1,
                false => self.odd += 1,
            }
        }
        if is_beyond && self.add(text).is_none() {
            self.unreadable = Some(seq);
        }
    }

    /// Adds what a line says was charged. A line of before lines said it: what it was about, at its price and that of the blocks'
    /// sizes, which it does not have; a block of a membership once for each day that is asked about.
    fn add(&mut self, text: &str) -> Option<()> {
        let line: Charged = serde_json::from_str(text).ok()?;
        if let Some(charged) = &line.charged {
            for days in charged {
                let (region, kind) = (Region::parse(&days.region)?, Kind::parse(&days.table)?);
                let nano = days.rho.parse::<Rho>().ok()?.nano();
                for day in parse_day(&days.first_day)?..=parse_day(&days.last_day)? {
                    let sum = self.possible.entry(Block { region, kind, day }).or_insert(0);
                    *sum = sum.saturating_add(nano);
                }
            }
            return Some(());
        }
        for query in &line.queries {
            let price = query.rho_per_block.parse::<Rho>().ok()?;
            let nano = price.checked_add(SIZE_PRICE)?.nano();
            let mut times = 1;
            for asked in &query.blocks {
                let days = parse_day(&asked.first_day)?..=parse_day(&asked.last_day)?;
                for region in &asked.regions {
                    for day in days.clone() {
                        let block =
                            Block { region: Region::parse(region)?, kind: Kind::parse(&asked.table)?, day };
                        let sum = self.possible.entry(block).or_insert(0);
                        *sum = sum.saturating_add(nano.saturating_mul(times));
                    }
                }
                // The first blocks are the query's own, the others those of its memberships.
                if times == 1 {
                    times = u64::try_from(days.count()).unwrap_or(u64::MAX);
                }
            }
        }
        Some(())
    }
}

/// The numbers of reservations of a line; the field is near its end.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    let from = text.rfind(NUMBERS).map_or(text.len(), |at| at + NUMBERS.len());
    let list = text[from..].split(']').next().unwrap_or_default();
    list.split(',').filter_map(|number| number.trim().parse().ok())
}

/// What is read of the line of a query.
#[derive(Deserialize)]
struct Charged {
    queries: Vec<Asked>,
    charged: Option<Vec<ChargedDays>>,
}

#[derive(Deserialize)]
struct ChargedDays {
    table: String,
    region: String,
    first_day: String,
    last_day: String,
    rho: String,
}

#[derive(Deserialize)]
struct Asked {
    rho_per_block: String,
    blocks: Vec<AskedBlocks>,
}

#[derive(Deserialize)]
struct AskedBlocks {
    table: String,
    regions: Vec<String>,
    first_day: String,
    last_day: String,
}

#[cfg(test)]
mod tests;
