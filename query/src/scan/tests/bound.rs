//! As many groups as are planned for, with a value in every leaf of every tree: they take no more than was planned before
//! anything was charged, and not more than groups with one value each.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use shoal_anonymity::budget::Precision;
use shoal_schemas::{Kind, Region};

use super::super::accumulator::Accumulated;
use super::super::accumulators::accumulator;
use super::super::counted::Counted;
use super::super::grounds::Grounds;
use super::super::memory::MemoryTable;
use super::super::merge::merge;
use super::super::opening::beside;
use super::super::room::{Room, RowBytes};
use super::super::rows::{RowSelection, Template};
use super::super::source::{Table, span_files};
use super::super::span::Span;
use crate::charge::{ChargedQuery, charge};
use crate::request::QueryRequest;
use crate::tests::{Row, Seeded, engine, grant, now_ms, provider, registry, request, today};

/// Several of the largest groups there are: long texts as keys, two totals, trees.
const QUERIES: [&str; 3] = [
    "SELECT endpoint, QUANTILE(duration_ms, 0.95) FROM performance WHERE day = current_date GROUP BY endpoint",
    "SELECT endpoint, upper(app_version), QUANTILE(duration_ms, 0.5), \
     QUANTILE(duration_ms, 0.5) FILTER (WHERE status_code IS NULL), COUNT(*), SUM(duration_ms), \
     COUNT(DISTINCT subject) FROM performance GROUP BY 1, 2",
    "SELECT endpoint, COUNT(*), COUNT(DISTINCT session), COUNT(DISTINCT subject) FROM performance GROUP BY endpoint",
];

async fn charged(sql: &str) -> ChargedQuery {
    let request = QueryRequest { precision: Precision::High, ..request(sql) };
    let prepared = engine().prepare(&grant(&[Region::De]), &request, now_ms()).await.unwrap();
    charge(prepared.single().query.clone(), Precision::High.into(), &Default::default()).unwrap()
}

/// What the accumulator held at the most, and what it made.
fn accumulated(charged: &ChargedQuery, table: &MemoryTable) -> (usize, Accumulated) {
    let ChargedQuery { query, layout, .. } = charged;
    let span = if layout.is_daily { Span::Day(today()) } else { Span::Bucket(0) };
    let counted = Counted::default();
    let grounds = Grounds { query, layout, days: query.days(), span, groups_max: None, counted: &counted };
    let mut accumulator = accumulator(&grounds, &mut Seeded(1)).unwrap_or_else(|_| panic!("{query}"));
    let runtime = shoal_postprocess::session::runtime(1 << 20).unwrap();
    let session = shoal_postprocess::session::empty(&runtime, 1);
    let (cutoffs, filter, scalars) = (query.cutoffs(), query.filter(), accumulator.scalars());
    let selection = RowSelection { region: Region::De, cutoffs, filter, scalars: &scalars };
    let template = Template::new(&session, &|wanted| table.schema(wanted), &selection, &counted);
    let template = Arc::new(template.unwrap_or_else(|_| panic!("{query}")));
    let files = span_files(table, &template, &[today()], None).unwrap_or_else(|_| panic!("{query}"));
    // Few rows at hand, so that what is measured is groups.
    let row = RowBytes { kept: 1 << 20, made: 1 << 20, held: 1 << 10 };
    let streams = beside(&files, Room::of(256 << 20, row)).unwrap_or_else(|_| panic!("{query}")).unwrap();
    let mut most = 0;
    let mut pulse = |bytes: usize| {
        most = most.max(bytes);
        Ok(())
    };
    merge(streams, &mut *accumulator, &mut pulse).unwrap_or_else(|_| panic!("{query}"));
    (most, accumulator.finish().unwrap_or_else(|_| panic!("{query}")))
}

/// Groups with the longest keys there are; each value of another subject.
fn rows(groups: u32, values: &[i64]) -> Vec<Row> {
    let each = |(at, value): (u32, &i64), group: u32| {
        let key = format!("{group:0>256}");
        Row::new(group * 1_000 + at, today(), "api_request")
            .text("endpoint", key.clone())
            .text("app_version", key)
            .number("duration_ms", *value)
    };
    (0..groups).flat_map(|group| (0..).zip(values).map(move |value| each(value, group))).collect()
}

#[tokio::test]
async fn groups_with_full_trees_take_no_more_than_was_planned() {
    // A little more than a power of two: lists and maps have just grown.
    const GROUPS: u32 = 130;
    for sql in QUERIES {
        let charged = charged(sql).await;
        let edges = charged.layout.trees.first().map_or(&[0, 1][..], |tree| tree.grid.edges());
        let values = &edges[..edges.len() - 1];
        let of = |values: &[i64]| {
            let table = provider(registry().table(Kind::Performance), &rows(GROUPS, values));
            accumulated(&charged, &table)
        };
        let ((few, _), (full, made)) = (of(&values[..1]), of(values));
        assert_eq!(made.cells.len(), GROUPS);
        for tree in &made.trees {
            let leaves = tree.nodes().filter(|(.., count)| *count > 0).count();
            assert!(leaves >= values.len() * GROUPS as usize, "{sql}: a value in every leaf");
        }
        // A few hundred rows are at hand, each with its group and its numbers, and the texts of one dictionary.
        let at_hand = 128 << 10;
        let planned = charged.group_bytes(GROUPS);
        assert!(full <= planned + at_hand, "{sql}: {full} of {planned}");
        assert!(full <= few + at_hand, "{sql}: {full} with all values, {few} with one");
        assert!(planned < 4 * few, "{sql}: planned {planned} for what takes {few}");
    }
}
