//! An answer: what the postprocessing made of released groups, with what it cost and how exact it is.
//!
//! Invariants: only this crate makes a [`Released`]. Not here: its forms (`formats.rs`).

use std::sync::Arc;

use datafusion::arrow::record_batch::RecordBatch;
use serde::Serialize;
use shoal_anonymity::budget::Rho;
use shoal_postprocess::Column;

use super::paid::Paid;
use super::reading::{self, NumberNoise};
use crate::charge::{Accuracy, ChargedQuery, blocks};
use crate::delta::delta_text;

/// What an answer cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The most that any block pays for the answer when none of it is in the ledger, as an exact decimal of rho; a block that
    /// several parts of the answer read pays for each.
    pub rho_per_block: String,
    /// Blocks: (region, day) pairs that the answer is about.
    pub blocks: u64,
    /// The most that all queries together may learn about one block.
    pub rho_block_max: String,
    /// Blocks that were charged just now; in a dry run and an EXPLAIN, that would be.
    pub blocks_charged: u64,
    /// Released parts that the answer is made of: one for each region and day, or each region and range of days.
    #[serde(rename = "pieces")]
    pub parts: u64,
    /// Those that had been asked before: they cost nothing.
    #[serde(rename = "pieces_from_ledger")]
    pub parts_from_ledger: u64,
    /// The least that any block of the answer has left, in the epoch of the day that is in force.
    pub rho_left_min: Option<String>,
    /// The most that any block pays of its delta for thresholds when none of the answer is in the ledger, as `4e-9`; `0` when
    /// no group can be withheld.
    pub delta_per_block: String,
    /// The least of its delta that any block of the answer has left.
    pub delta_left_min: Option<String>,
}

/// An anonymous answer. The only thing of this crate that may leave the process.
///
/// Its fields are private, and only this crate's last stage makes one:
///
/// ```
/// fn name(_: Option<shoal_query::Released>) {}
/// name(None);
/// ```
/// ```compile_fail,E0451
/// fn name(other: shoal_query::Released) -> shoal_query::Released {
///     shoal_query::Released { columns: Vec::new(), ..other }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Released {
    pub(crate) columns: Vec<Column>,
    pub(crate) batch: RecordBatch,
    pub(crate) cost: Cost,
    pub(crate) accuracy: Accuracy,
    pub(crate) noise: Vec<NumberNoise>,
    pub(crate) notes: Vec<String>,
    pub(crate) query: String,
    pub(crate) dry_run: bool,
    pub(crate) explained: bool,
}

/// What is known about an answer before anything is read.
pub(crate) struct Preamble {
    cost: Cost,
    accuracy: Accuracy,
    noise: Vec<NumberNoise>,
    notes: Vec<String>,
    query: String,
    /// What would make the numbers more exact.
    advice: String,
}

impl Preamble {
    /// Of queries and their texts; `notes` are those of the question.
    pub(crate) fn of(
        charged: &[Arc<ChargedQuery>],
        texts: &[Arc<str>],
        notes: &[String],
        accuracy: Accuracy,
    ) -> Preamble {
        let mut notes = notes.to_vec();
        let shown = charged.iter().filter_map(|charged| charged.threshold.as_ref());
        if let Some(most) = shown.map(|threshold| threshold.subjects_min).max() {
            notes
                .push(format!("Groups whose values are not listed are shown from about {most} subjects on."));
        }
        let is_added =
            |charged: &Arc<ChargedQuery>| charged.threshold.is_some() && charged.parts_of_a_group() > 1;
        if charged.iter().any(is_added) {
            notes.push(
                "A group is shown for the regions and days in which it has that many; what the others of these may add is in \
                 its interval, not in its number."
                    .to_owned(),
            );
        }
        Preamble {
            cost: Cost {
                rho_per_block: String::new(),
                blocks: blocks(charged),
                rho_block_max: String::new(),
                blocks_charged: 0,
                parts: 0,
                parts_from_ledger: 0,
                rho_left_min: None,
                delta_per_block: String::new(),
                delta_left_min: None,
            },
            accuracy,
            noise: reading::noise(charged),
            notes,
            query: texts.join("\n\n"),
            advice: reading::advice(charged, accuracy),
        }
    }
}

impl Preamble {
    /// With the most that all queries together may learn about a block.
    pub(crate) fn within(mut self, rho_block_max: Rho) -> Preamble {
        self.cost.rho_block_max = rho_block_max.to_string();
        self
    }

    /// Adds what was paid, or would be.
    pub(crate) fn paid(&mut self, paid: &Paid) {
        self.cost.rho_per_block = paid.price.to_string();
        self.cost.blocks_charged = paid.blocks;
        self.cost.parts = paid.parts;
        self.cost.parts_from_ledger = paid.parts_found;
        self.cost.rho_left_min = paid.left.map(|left| left.to_string());
        self.cost.delta_per_block = delta_text(paid.delta_atto);
        self.cost.delta_left_min = paid.delta_left_atto.map(delta_text);
        if paid.expired > 0 {
            let (expired, all) = (paid.expired, paid.expired + paid.parts);
            self.notes.push(format!(
                "{expired} of {all} days of regions have expired and were never asked for: they are left out."
            ));
        }
    }
}

/// The answer, from columns that were made of released groups.
pub(crate) fn finish(
    preamble: Preamble,
    columns: Vec<Column>,
    batch: RecordBatch,
    dry_run: bool,
) -> Released {
    let Preamble { cost, accuracy, noise, mut notes, query, advice } = preamble;
    notes.extend(match dry_run {
        true => reading::noise_notes(&noise),
        false => reading::notes(&columns, &batch, &advice),
    });
    Released { columns, batch, cost, accuracy, noise, notes, query, dry_run, explained: false }
}

impl Released {
    /// The same, as the answer to EXPLAIN.
    pub(crate) fn explaining(self) -> Released {
        Released { explained: true, dry_run: false, ..self }
    }

    /// Whether it is the answer to EXPLAIN: nothing was read.
    pub(crate) fn is_explained(&self) -> bool {
        self.explained
    }
}
