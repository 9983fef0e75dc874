//! Answers of the engine's own stages over rows in memory, as often as needed, with noise that follows from a seed.
//!
//! Invariants: the scan is run once, the release once for each trial, since noise is all that differs between two trials.
//! What stands above a release runs only when an attack asks for it; it is post-processing, which costs time and nothing
//! else. Not here: the attacks.

use datafusion::arrow::util::display::array_value_to_string;
use datafusion::prelude::SessionContext;
use shoal_privacy::budget::{Precision, Rho};
use shoal_privacy::noise::{Entropy, NoiseError};
use shoal_schemas::{Kind, Region};

use super::{Answer, AnswerRow};
use crate::error::QueryError;
use crate::execute::{Raw, ScanLimits, execute};
use crate::expr::Value;
use crate::free::Free;
use crate::release::{ColumnKind, Groups, noisy};
use crate::session;
use crate::tests::{Row, engine, grant, now_ms, provider, registry, request};

/// Bytes that follow from a number (SplitMix64): the noise is as good as the real one, and always the same.
pub(crate) struct Seeded(pub(crate) u64);

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)) as u8;
        }
        Ok(())
    }
}

/// Some statements, read and bounded, whose release can be repeated.
pub(super) struct Player {
    above: SessionContext,
    asked: Vec<(Raw, Free)>,
    /// Of each statement, which of `asked` it is: a repeated one is read once, and charged and released each time.
    order: Vec<usize>,
    rho: Rho,
    entropy: Seeded,
}

impl Player {
    /// None when a statement is refused.
    pub(super) async fn new(
        rows: &[Row],
        statements: &[String],
        precision: Precision,
        seed: u64,
    ) -> Option<Player> {
        let (engine, registry) = (engine(), registry());
        let mut entropy = Seeded(seed);
        let (mut asked, mut order) = (Vec::new(), Vec::<usize>::new());
        let mut prices: Vec<Rho> = Vec::new();
        for (at, sql) in statements.iter().enumerate() {
            if let Some(before) = statements[..at].iter().position(|other| other == sql) {
                order.push(order[before]);
                prices.push(prices[before]);
                continue;
            }
            let mut request = request(sql);
            request.precision = precision;
            let prepared = match engine.prepare(&grant(&[Region::De]), &request, now_ms()).await {
                Ok(prepared) => prepared,
                Err(QueryError::Refused(_)) => return None,
                Err(other) => panic!("{sql}: {other}"),
            };
            prices.push(prepared.charged.price);
            let tables = vec![(Region::De, provider(registry.table(Kind::Usage), rows))];
            let limits = ScanLimits { rows_max: 100_000, cells_max: 10_000 };
            let scan = session::empty(&session::runtime(64 << 20).unwrap(), 1);
            let raw = execute(prepared.charged, tables, &scan, limits, &mut entropy).await;
            order.push(asked.len());
            asked.push((raw.unwrap_or_else(|_| panic!("{sql}")), prepared.free));
        }
        let above = session::above(&session::runtime(64 << 20).unwrap());
        let rho = prices.iter().fold(Rho::ZERO, |sum, price| sum.checked_add(*price).unwrap());
        Some(Player { above, asked, order, rho, entropy })
    }

    /// What all statements together charge the day that differs.
    pub(super) fn rho(&self) -> f64 {
        self.rho.to_f64()
    }

    /// One release of every statement.
    pub(super) async fn trial(&mut self, above: bool) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(self.order.len());
        for (raw, free) in self.order.iter().map(|at| &self.asked[*at]) {
            let groups = noisy(raw, &mut self.entropy, 10_000).unwrap_or_else(|_| panic!("no release"));
            answers.push(match above {
                true => run_above(&self.above, raw, free, &groups).await,
                false => groups.rows.iter().map(|(key, row)| released(key, row)).collect(),
            });
        }
        answers
    }
}

fn released(key: &[Value], row: &[crate::release::Estimate]) -> AnswerRow {
    let texts: Vec<String> = key.iter().map(ToString::to_string).collect();
    (texts.join(" ").replace('\'', ""), row.iter().map(|estimate| estimate.units as f64).collect())
}

async fn run_above(session: &SessionContext, raw: &Raw, free: &Free, groups: &Groups) -> Answer {
    let (columns, batch) =
        free.run(&raw.charged.query, groups, session).await.unwrap_or_else(|_| panic!("above"));
    let of = |kind: ColumnKind| (0..columns.len()).filter(|at| columns[*at].kind == kind).collect::<Vec<_>>();
    let (keys, numbers) = (of(ColumnKind::Key), of(ColumnKind::Estimate));
    let text = |at: usize, row: usize| array_value_to_string(batch.column(at), row).unwrap();
    (0..batch.num_rows())
        .map(|row| {
            let key: Vec<String> = keys.iter().map(|at| text(*at, row)).collect();
            (key.join(" "), numbers.iter().map(|at| text(*at, row).parse().unwrap_or(0.0)).collect())
        })
        .collect()
}
