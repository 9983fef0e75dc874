//! All that is known of a question before anything is read: its releases, their prices, the columns of its answer.
//!
//! Invariants: everything here depends on the text, the public schema, the key's regions, the time and what has been spent,
//! never on events. Not here: how it comes to be (`attempt`), the stages themselves.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use shoal_anonymity::budget::Rho;
use shoal_language::{PostprocessText, PrivateQuery, Refusal, Rule};
use shoal_postprocess::{
    Column, ColumnKind, KeyColumn, NumberColumn, Postprocessor, ReleasedSchema, ReleasedTable,
};
use shoal_schemas::Registry;
use shoal_schemas::calendar::{DAY_MS, day_of, start_of};
use tokio::time::Instant;

use crate::audit::AuditedQuery;
use crate::charge::ChargedQuery;
use crate::delta::delta_text;
use crate::error::NoAnswer;
use crate::failure::Failure;
use crate::ledger::Budget;
use crate::release::{LookedUp, Paid, Preamble, Released, SIZE_PRICE, finish};

/// The longest time for the answer to a dry run: the text has been planned and has run without rows before.
const REHEARSAL_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 3 });

/// A question that is bound, checked and priced; nothing has been read.
pub(crate) struct Prepared {
    /// Whether only the plan and the price are asked.
    pub(crate) explain: bool,
    /// The postprocessing.
    pub(crate) postprocess: PostprocessText,
    /// One for each release.
    pub(crate) charged: Vec<Arc<ChargedQuery>>,
    /// One for each release: its private query as a text.
    pub(super) texts: Vec<Arc<str>>,
    /// One for each release: the table that stands for it in the postprocessing text.
    pub(crate) schemas: Vec<ReleasedSchema>,
    pub(crate) preamble: Preamble,
}

/// The table of a release in the postprocessing text; what is withheld of it is known once it is priced.
pub(super) fn schema(
    at: usize,
    query: &PrivateQuery,
    charged: Option<&ChargedQuery>,
    registry: &Registry,
) -> Result<ReleasedSchema, Refusal> {
    let untyped = || {
        let message = "A key has no type.";
        Refusal::whole(Rule::Key, message, shoal_language::SHAPE)
    };
    let keys = query.keys().iter().enumerate();
    let keys = keys.map(|(at, key)| {
        let (ty, unit) = (key.scalar.ty().ok_or_else(untyped)?, query.unit_of_key(at, registry));
        Ok(KeyColumn { name: format!("k{at}"), ty, unit })
    });
    let withheld = charged.and_then(|charged| Some((charged, charged.withheld()?)));
    let numbers = query.aggregates().iter().enumerate().map(|(at, aggregate)| NumberColumn {
        name: format!("a{at}"),
        unit: aggregate.unit.clone(),
        scale: aggregate.scale,
        withheld: withheld.and_then(|(charged, of)| of.ends(charged, at, charged.parts_of_a_group())),
    });
    Ok(ReleasedSchema {
        name: format!("r{at}"),
        keys: keys.collect::<Result<_, Refusal>>()?,
        numbers: numbers.collect(),
        shown_from: withheld.map(|(_, of)| of.shown_from()),
        left_out: false,
    })
}

/// What a block pays for a release: the price, and where it is in several parts, what that comes to.
fn rho_of_each(charged: &ChargedQuery, price: Rho) -> String {
    match price > charged.price {
        true => format!("rho {} for each of them that reads it, so up to rho {price}", charged.price),
        false => format!("rho {price}"),
    }
}

impl Prepared {
    /// How long it may take because it reads a day that expires at midnight; none when it does not.
    pub(super) fn until_expiry(&self, now_ms: i64) -> Option<Duration> {
        let expires = |charged: &Arc<ChargedQuery>| {
            let query = &charged.query;
            let own = query.cutoffs().iter().any(|(_, day)| *day >= query.days().first);
            let others = query.members().iter();
            own || others.flat_map(|m| m.cutoffs.iter().map(|(_, day)| *day >= m.days.first)).any(|is| is)
        };
        let midnight = start_of(day_of(now_ms)) + DAY_MS - now_ms;
        let until = || Duration::from_millis(u64::try_from(midnight).unwrap_or(0));
        self.charged.iter().any(expires).then(until)
    }

    /// The answer to a dry run: the columns, without rows.
    pub(super) async fn priced(
        mut self,
        paid: &Paid,
        postprocessor: &Postprocessor,
    ) -> Result<Released, NoAnswer> {
        self.preamble.paid(paid);
        let none = self.schemas.iter().map(|schema| ReleasedTable::of(schema, &[]));
        let tables = none.collect::<Result<_, _>>()?;
        let deadline = Instant::now() + REHEARSAL_MAX;
        let (columns, batch) = postprocessor.run(&self.postprocess.sql, tables, deadline).await?;
        Ok(finish(self.preamble, columns, batch.slice(0, 0), true))
    }

    /// Notes of which releases days are left out: then a row that is missing is no row of zero.
    pub(super) fn leave_out(&mut self, looked_up: &LookedUp) {
        for (schema, left_out) in self.schemas.iter_mut().zip(looked_up.left_out()) {
            schema.left_out = left_out;
        }
    }

    /// What the line of the audit says of it.
    pub(super) fn audited(&self, looked_up: &LookedUp) -> Vec<AuditedQuery> {
        let all = self.charged.iter().zip(&self.texts).zip(looked_up.prices());
        all.map(|((charged, text), price)| AuditedQuery::of(&charged.query, text, price)).collect()
    }

    /// The answer to EXPLAIN: what is private, what it costs, what is free.
    pub(super) fn explained(
        mut self,
        looked_up: &LookedUp,
        paid: &Paid,
        budget: &Budget,
    ) -> Result<Released, NoAnswer> {
        self.preamble.paid(paid);
        let mut lines: Vec<String> = Vec::new();
        let all = self.charged.iter().zip(&self.texts).zip(looked_up.prices());
        for (at, ((charged, text), price)) in all.enumerate() {
            let parts = match (charged.is_daily(), charged.query.overlap()) {
                (true, _) => "day by day".to_owned(),
                (false, 1) => "for each range of days at once".to_owned(),
                (false, times) => {
                    format!("for each window at once, rho {} for each of at most {times}", charged.price)
                }
            };
            lines.push(format!("r{at}: released {parts}, {} of each block", rho_of_each(charged, price)));
            lines.extend(text.lines().map(|line| format!("  {line}")));
            if let Some(threshold) = &charged.threshold {
                lines.push(format!("  SHOWN from about {} subjects on", threshold.subjects_min));
                let (own, all) = (budget.delta_atto_of(charged.price), budget.delta_atto_max);
                lines.push(format!("  DELTA {} of each block's {}", delta_text(own), delta_text(all)));
            }
        }
        if looked_up.pays_for_sizes() {
            lines.push(format!(
                "and once rho {SIZE_PRICE} of each block whose number of rows is not in the ledger, by which the time of the answer \
                 is decided"
            ));
        }
        lines.push("Free, on the released rows:".to_owned());
        lines.push(format!("  {}", self.postprocess.sql));
        lines.push(format!(
            "Nothing is paid for this plan. Asked now, the question would pay {} blocks; {} of {} released parts are in the ledger.",
            paid.blocks, paid.parts_found, paid.parts
        ));
        if let (1.., Some(left)) = (paid.delta_atto, paid.delta_left_atto) {
            let (own, left) = (delta_text(paid.delta_atto), delta_text(left));
            lines.push(format!(
                "Groups can be withheld, which takes delta {own} of each block that pays; at least {left} is left of each."
            ));
        }
        let array: ArrayRef = Arc::new(StringArray::from(lines));
        let batch = RecordBatch::try_from_iter_with_nullable([("plan", array, true)]);
        let columns = vec![Column { name: "plan".to_owned(), kind: ColumnKind::Key, unit: None, note: None }];
        Ok(finish(self.preamble, columns, batch.map_err(Failure::from)?, false).explaining())
    }

    /// The one release of a question that has one.
    #[cfg(test)]
    pub(crate) fn single(self) -> Arc<ChargedQuery> {
        let mut charged = self.charged;
        assert_eq!(charged.len(), 1);
        charged.remove(0)
    }
}
