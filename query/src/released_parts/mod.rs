//! What is paid for, sealed and found again: the released parts of an answer.
//!
//! A released part is what one region gives to an answer for one day (daily queries) or one bucket of days (ranged
//! ones), in one budget epoch of each of its days. Its identity is a digest of everything that decides its content but the
//! events: region, table, days and their epochs, the query in its canonical form (`canonical`), price, noise and
//! threshold.
//! Invariants: the same question about the same day in the same budget epoch is the same released part, whatever days it is
//! asked together with and however they are grouped. A released part's text holds nothing but the statement's, and is written when
//! it is wanted: parts share the form that it is made of (`forms`).
//! Not here: what is in a released part (`release/sealed.rs`), paying for it (`ledger.rs`).

mod canonical;
mod forms;
mod simplify;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use shoal_anonymity::budget::Rho;
use shoal_schemas::Region;
use shoal_storage::{Block, PartId};

pub(crate) use self::canonical::{Form, cell_keys};
#[cfg(test)]
pub(crate) use self::forms::FORM_WORK_MAX;
pub(crate) use self::forms::FormWork;
use self::forms::{Formed, Forms};
use crate::budget_epochs::{BudgetEpoch, BudgetEpochs};
use crate::charge::{ChargedQuery, Subjects};
use shoal_language::calendar::day_text;
use shoal_language::{Bucket, DayRange, PrivateQuery, Refusal};

/// A released part of an answer.
#[derive(Clone)]
pub(crate) struct ReleasedPart {
    pub(crate) id: PartId,
    pub(crate) region: Region,
    pub(crate) days: DayRange,
    /// Each block once.
    pub(crate) charges: Vec<(Block, BudgetEpoch)>,
    /// Of each block.
    pub(crate) price: Rho,
    /// Whether a threshold hides groups of it.
    pub(crate) is_thresholded: bool,
    /// Where and when: the lines of its text before the form.
    head: String,
    /// The order of its keys and slots, and the text of what is asked.
    pub(crate) form: Arc<Form>,
}

impl ReleasedPart {
    /// What it is, in words, without what identifies a person, and not longer than what is kept of a text.
    pub(crate) fn kept_text(&self) -> String {
        format!("{}\n{}", self.head, self.form.kept_text())
    }

    /// What it is, in words.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.head, self.form.text)
    }
}

/// What an answer wants of a region and a day, or a bucket of days: where it may be in the ledger, and what is paid for
/// when it is not.
pub(crate) struct Wanted {
    /// The first day of the bucket that it is shown in.
    pub(crate) start: i32,
    /// In the order in which they are looked for; the last one is what can be made.
    pub(crate) parts: Vec<ReleasedPart>,
    /// Whether it can still be made: its days have not expired.
    pub(crate) is_readable: bool,
}

/// What an answer wants at `now_ms`: one for each region and day, or region and bucket.
///
/// # Errors
/// When the statement's forms and parts together are too much work.
pub(crate) fn wanted(
    charged: &ChargedQuery,
    epochs: &BudgetEpochs,
    now_ms: i64,
    work: &mut FormWork,
) -> Result<Vec<Wanted>, Refusal> {
    let mut forms = Forms::of(&charged.query, work);
    let mut all = Vec::new();
    for region in charged.query.regions() {
        let place = Place { charged, epochs, region: *region, now_ms };
        for bucket in charged.query.buckets() {
            if !charged.is_daily() {
                all.push(place.of_bucket(bucket, &mut forms)?);
                continue;
            }
            for day in bucket.days.days() {
                all.extend(place.of_day(day, bucket.start, &mut forms)?);
            }
        }
    }
    Ok(all)
}

/// Whether events of the day may still be read.
fn is_readable(query: &PrivateQuery, day: i32) -> bool {
    query.cutoffs().iter().any(|(_, cutoff)| day >= *cutoff)
}

/// A charged query in one region, at the time of the question.
#[derive(Clone, Copy)]
struct Place<'a> {
    charged: &'a ChargedQuery,
    epochs: &'a BudgetEpochs,
    region: Region,
    now_ms: i64,
}

impl Place<'_> {
    /// A day of a daily query, shown in the bucket that begins at `start`; none when the text alone says that nothing of the
    /// day is asked for. When the day has expired, the latest answer that the ledger has will do.
    fn of_day(&self, day: i32, start: i32, forms: &mut Forms<'_>) -> Result<Option<Wanted>, Refusal> {
        let Place { charged, epochs, region, now_ms } = *self;
        let days = DayRange { first: day, last: day };
        let is_readable = is_readable(&charged.query, day);
        let formed = forms.on(region, days)?;
        if formed.form.is_nothing {
            return Ok(None);
        }
        let block = Block { region, kind: charged.query.table(), day };
        let now = epochs.at(day, now_ms);
        let mut in_epoch = |epoch: BudgetEpoch| {
            forms.work.part(1)?;
            Ok(self.part(days, vec![(block, epoch)], &formed))
        };
        let parts = match is_readable {
            true => vec![in_epoch(now)?],
            false => epochs.back_from(now).map(in_epoch).collect::<Result<_, Refusal>>()?,
        };
        Ok(Some(Wanted { start, parts, is_readable }))
    }

    /// A bucket of a ranged query. Of one that has partly expired, the whole is looked for, and only the rest is made.
    fn of_bucket(&self, Bucket { days, start }: Bucket, forms: &mut Forms<'_>) -> Result<Wanted, Refusal> {
        let Place { charged, epochs, region, now_ms } = *self;
        let query = &charged.query;
        let mut over = |days: DayRange| {
            let mut blocks: Vec<Block> =
                days.days().map(|day| Block { region, kind: query.table(), day }).collect();
            for other in query.members() {
                blocks.extend(other.days.days().map(|day| Block { region, kind: other.table, day }));
            }
            blocks.sort_unstable();
            blocks.dedup();
            forms.work.part(blocks.len())?;
            let charges = blocks.into_iter().map(|block| (block, epochs.at(block.day, now_ms))).collect();
            Ok(self.part(days, charges, &forms.on(region, days)?))
        };
        let first = days.days().find(|day| is_readable(query, *day));
        // The whole, if somebody asked in time, says more than the rest, and is looked for first.
        let mut parts = vec![over(days)?];
        if let Some(first) = first.filter(|first| *first > days.first) {
            parts.push(over(DayRange { first, last: days.last })?);
        }
        Ok(Wanted { start, parts, is_readable: first.is_some() })
    }

    fn part(&self, days: DayRange, charges: Vec<(Block, BudgetEpoch)>, formed: &Formed) -> ReleasedPart {
        let Place { charged, epochs, region, .. } = *self;
        let (form, mut digest) = (&formed.form, formed.digest.clone());
        let mut field = |bytes: &[u8]| digest.field(bytes);
        field(&days.first.to_le_bytes());
        field(&days.last.to_le_bytes());
        for (block, epoch) in &charges {
            field(block.kind.as_str().as_bytes());
            field(&block.day.to_le_bytes());
            field(&[epoch.pool, epoch.hour]);
        }
        field(&charged.price.nano().to_le_bytes());
        let slots = charged.slots();
        for slot in form.slots.iter().filter_map(|at| slots.get(*at)) {
            let variance = slot.noise.variance();
            field(&variance.numerator().to_le_bytes());
            field(&variance.denominator().to_le_bytes());
            field(&(slot.width as u64).to_le_bytes());
        }
        if let Some(groups) = charged.layout.groups_of_range() {
            field(&groups.to_le_bytes());
        }
        if let Some(threshold) = &charged.threshold {
            field(&threshold.k_min.to_le_bytes());
            field(&threshold.subjects_min.to_le_bytes());
            field(match threshold.subjects {
                Subjects::Asked(_) => b"asked",
                Subjects::Own(_) => b"own",
            });
        }
        let id = digest.finish();
        let when = match (days.first == days.last, charges.first()) {
            (true, Some((_, first))) => {
                format!("DAY {} ({})", day_text(days.first), epochs.epoch_text(*first))
            }
            _ => format!("DAYS {} TO {}", day_text(days.first), day_text(days.last)),
        };
        ReleasedPart {
            id,
            region,
            days,
            charges,
            price: charged.price,
            is_thresholded: charged.threshold.is_some(),
            head: format!("FROM {} IN {region}\n{when}", charged.query.table()),
            form: Arc::clone(form),
        }
    }
}
