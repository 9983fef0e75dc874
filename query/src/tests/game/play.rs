//! Answers of the engine's own stages over rows in memory, as often as needed, with noise that follows from a seed.
//!
//! Invariants: the scan is run once, the release once for each trial, since noise is all that differs between two trials.
//! Within a trial a released part is noised once, however often it is asked for: that is what the ledger does. The
//! postprocessing runs only when an attack asks for it; it costs time and nothing else.
//! Not here: the attacks.

use std::sync::Arc;

use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::array_value_to_string;
use shoal_anonymity::budget::Precision;
use shoal_schemas::{Kind, Region};
use shoal_storage::Block;
use tokio::time::Instant;

use super::attacks::World;
use super::{Answer, AnswerRow};
use crate::charge::{ChargedQuery, MemoryShare};
use crate::error::QueryError;
use crate::release::Groups;
use crate::release::replay::Replay;
use crate::scan::memory::MemoryScan;
use crate::scan::{Due, Raw, Runner, Scan};
use crate::tests::{Seeded, engine, grant, now_ms, provider, registry, request, today};
use shoal_language::Value;
use shoal_postprocess::session;
use shoal_postprocess::{Column, ColumnKind, Estimate};
use shoal_postprocess::{Limits, Postprocessor, ReleasedSchema, ReleasedTable};

/// A statement: the postprocessing's text, and which of all releases they are.
struct Statement {
    sql: String,
    schemas: Vec<ReleasedSchema>,
    first: usize,
}

/// Some statements, read and bounded, whose release can be repeated.
pub(super) struct Player {
    postprocessor: Postprocessor,
    /// Each once.
    distinct: Vec<Statement>,
    /// Of each statement, which of `distinct` it is.
    order: Vec<usize>,
    replay: Replay,
    entropy: Seeded,
}

impl Player {
    /// None when a statement is refused.
    pub(super) async fn new(
        world: &World,
        statements: &[String],
        precision: Precision,
        seed: u64,
    ) -> Option<Player> {
        let engine = engine();
        let mut entropy = Seeded(seed);
        let (mut distinct, mut order) = (Vec::new(), Vec::<usize>::new());
        let (mut queries, mut raws) = (Vec::new(), Vec::new());
        for (at, sql) in statements.iter().enumerate() {
            if let Some(before) = statements[..at].iter().position(|other| other == sql) {
                order.push(order[before]);
                continue;
            }
            let mut request = request(sql);
            request.precision = precision;
            let prepared = match engine.prepare(&grant(&[Region::De]), &request, now_ms()).await {
                Ok(prepared) => prepared,
                Err(QueryError::Refused(refusal)) => {
                    println!("{sql}: {}", refusal.message);
                    return None;
                }
                Err(other) => panic!("{sql}: {other}"),
            };
            order.push(distinct.len());
            let (sql, schemas) = (prepared.postprocess.sql.clone(), prepared.schemas);
            distinct.push(Statement { sql, schemas, first: queries.len() });
            for charged in prepared.charged {
                raws.push(read(Arc::clone(&charged), world, &mut entropy).await);
                queries.push(charged);
            }
        }
        let postprocessor = Postprocessor::in_process(Limits::default());
        let replay = Replay::new(queries, raws, now_ms());
        Some(Player { postprocessor, distinct, order, replay, entropy })
    }

    /// What all statements together charge the table's day that differs.
    pub(super) fn rho(&mut self, kind: Kind) -> f64 {
        self.replay.charged(Block { region: Region::De, kind, day: today() }).to_f64()
    }

    /// One release of every statement.
    pub(super) async fn trial(&mut self, postprocesses: bool) -> Vec<Answer> {
        let groups = self.replay.round(&mut self.entropy).unwrap_or_else(|_| panic!("no release"));
        let mut answers: Vec<Answer> = Vec::with_capacity(self.distinct.len());
        for statement in &self.distinct {
            let own = &groups[statement.first..statement.first + statement.schemas.len()];
            answers.push(match (postprocesses, own) {
                (true, _) => postprocessed(&self.postprocessor, statement, own).await,
                (false, [one]) => one.rows.iter().map(|(key, row)| released(key, row)).collect(),
                (false, _) => panic!("{} has several releases", statement.sql),
            });
        }
        self.order.iter().map(|at| answers[*at].clone()).collect()
    }
}

async fn read(charged: Arc<ChargedQuery>, world: &World, entropy: &mut Seeded) -> Vec<Raw> {
    let kinds = std::iter::once(charged.query.table()).chain(charged.query.members().iter().map(|m| m.table));
    let tables = kinds.map(|kind| (Region::De, kind, provider(registry().table(kind), world.rows(kind))));
    let memory = MemoryShare { bytes_max: 64 << 20, queries: 1, spans: 1 };
    let runner = Runner::new(session::runtime(64 << 20).unwrap(), memory, 64 << 20);
    let scan = MemoryScan { tables: tables.collect(), runner };
    let due = Due { days: charged.query.days(), region: Region::De, charged, passes_max: u64::MAX };
    let mut raws = Vec::new();
    let mut take = |raw: Raw| {
        raws.push(raw);
        Ok(())
    };
    scan.totals(due, entropy, &mut take).await.unwrap_or_else(|_| panic!("no totals"));
    raws
}

fn released(key: &[Value], row: &[Estimate]) -> AnswerRow {
    let texts: Vec<String> = key.iter().map(ToString::to_string).collect();
    (texts.join(" ").replace('\'', ""), row.iter().map(|estimate| estimate.units as f64).collect())
}

async fn postprocessed(postprocessor: &Postprocessor, statement: &Statement, groups: &[Groups]) -> Answer {
    let tables = statement.schemas.iter().zip(groups).map(|(schema, groups)| {
        let rows: Vec<(&[Value], &[Estimate])> =
            groups.rows.iter().map(|(keys, numbers)| (keys.as_slice(), numbers.as_slice())).collect();
        ReleasedTable::of(schema, &rows).unwrap_or_else(|_| panic!("no table"))
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let shown = postprocessor.run(&statement.sql, tables.collect(), deadline).await;
    let (columns, batch) = shown.unwrap_or_else(|_| panic!("postprocessing: {}", statement.sql));
    shown_rows(&columns, &batch)
}

fn shown_rows(columns: &[Column], batch: &RecordBatch) -> Answer {
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
