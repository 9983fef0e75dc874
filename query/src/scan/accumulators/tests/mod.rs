//! The accumulators over rows in memory: private queries made by hand, read and merged as in life.

#![allow(clippy::unwrap_used)]

mod chosen;
mod semantics;
mod sensitivity;

use std::collections::BTreeMap;
use std::sync::Arc;

use shoal_anonymity::bound::Totals;
use shoal_schemas::{Kind, Programme, Region};

use super::accumulator;
use crate::scan::accumulator::Accumulated;
use crate::scan::counted::Counted;
use crate::scan::grounds::Grounds;
use crate::scan::merge::merge;
use crate::scan::opening::beside;
use crate::scan::room::{Room, RowBytes};
use crate::scan::rows::{RowSelection, Template};
use crate::scan::source::{Table, span_files};
use crate::scan::{Cells, Span};
use crate::sensitivity::{SensitivityLayout, Slot};
use crate::tests::{Row, Seeded, now_ms, provider, registry, today};
use shoal_language::calendar::Grain;
use shoal_language::{Aggregate, AggregateOp, DayRange, Key, KeyKind, Membership, PrivateQuery, Shape, ask};
use shoal_language::{Compare, Scalar, Type, Value};

/// The days of every query: nine, ending today.
fn days() -> DayRange {
    DayRange { first: today() - 8, last: today() }
}

fn text(name: &str) -> Scalar {
    Scalar::Column { name: name.to_owned(), ty: Type::Text }
}

fn amount() -> Scalar {
    Scalar::Column { name: "amount".to_owned(), ty: Type::Number { scale: 0 } }
}

fn is(name: &str, value: &str) -> Scalar {
    let value = Scalar::Value(Value::Text(value.to_owned()));
    Scalar::Compare(Compare::Eq, text(name).into(), value.into())
}

/// A query of this shape without keys and aggregates. Only the language makes one, so one of its own is changed.
fn query(shape: Shape) -> PrivateQuery {
    let asked = ask("SELECT COUNT(*) FROM usage", &registry(), &[Region::De], now_ms()).unwrap();
    let mut query = asked.releases.into_iter().next().unwrap();
    *query.days_mut() = days();
    *query.shape_mut() = shape;
    *query.l0_mut() = 2;
    *query.cutoffs_mut() = vec![(Programme::UserExperience, 0)];
    query.aggregates_mut().clear();
    query
}

/// Queries part by part.
trait QueryBuilder: Sized {
    fn public(self, scalar: Scalar, values: impl IntoIterator<Item = Value>) -> Self;
    fn private(self, scalar: Scalar) -> Self;
    fn by(self, grain: Grain) -> Self;
    fn count(self, op: AggregateOp, linf: u64) -> Self;
    fn only(self, filter: Scalar) -> Self;
    fn quantile(self, measure: Scalar) -> Self;
    fn member(self, negated: bool, filter: Option<Scalar>) -> Self;
}

impl QueryBuilder for PrivateQuery {
    fn public(mut self, scalar: Scalar, values: impl IntoIterator<Item = Value>) -> PrivateQuery {
        self.keys_mut().push(Key { scalar, kind: KeyKind::Public(values.into_iter().collect()) });
        self
    }

    fn private(mut self, scalar: Scalar) -> PrivateQuery {
        self.keys_mut().push(Key { scalar, kind: KeyKind::Private });
        self
    }

    fn by(mut self, grain: Grain) -> PrivateQuery {
        self.keys_mut().push(Key { scalar: Scalar::Time(grain), kind: KeyKind::Time(grain) });
        self
    }

    fn count(mut self, op: AggregateOp, linf: u64) -> PrivateQuery {
        self.aggregates_mut().push(Aggregate { op, filter: None, linf, unit: None, scale: 0 });
        self
    }

    fn only(mut self, filter: Scalar) -> PrivateQuery {
        self.aggregates_mut().last_mut().unwrap().filter = Some(filter);
        self
    }

    fn quantile(self, measure: Scalar) -> PrivateQuery {
        let edges = vec![0, 10, 100, 1_000, 10_000, 30_000];
        self.count(AggregateOp::Quantile { measure, millionths: 500_000, edges }, 1)
    }

    fn member(mut self, negated: bool, filter: Option<Scalar>) -> PrivateQuery {
        let (days, cutoffs) = (days(), self.cutoffs().to_vec());
        self.members_mut().push(Membership { table: Kind::Usage, days, cutoffs, filter, negated });
        self
    }
}

fn steps(n: i64) -> Vec<Value> {
    (1..=n).map(|step| Value::Number(step, 0)).collect()
}

fn numbers(n: i64) -> Vec<Value> {
    (0..n).map(|number| Value::Number(number, 0)).collect()
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| Value::Text((*value).to_owned())).collect()
}

/// One released part: its days are those of the bucket. With one key the same groups and values of a subject are chosen
/// in both worlds.
fn part(query: &PrivateQuery, part_days: DayRange, rows: &[Row], members: &[Row], key: u8) -> Accumulated {
    let layout = SensitivityLayout::of(query).unwrap();
    let span = if layout.is_daily { Span::Day(part_days.first) } else { Span::Bucket(0) };
    let counted = Counted::default();
    let (layout, days) = (&layout, query.days());
    let grounds = Grounds { query, layout, days, span, groups_max: None, counted: &counted };
    let mut accumulator =
        accumulator(&grounds, &mut Seeded(key.into())).unwrap_or_else(|_| panic!("{query}"));
    let memory = shoal_postprocess::session::runtime(64 << 20).unwrap();
    let session = shoal_postprocess::session::empty(&memory, 1);
    let scalars = accumulator.scalars();
    let mut files = Vec::new();
    let own = (query.filter(), &scalars[..], part_days, None, rows);
    let others = query.members().iter().enumerate();
    let others = others.map(|(at, member)| (member.filter.as_ref(), &[][..], member.days, Some(at), members));
    for (filter, scalars, days, membership, rows) in std::iter::once(own).chain(others) {
        let source = provider(registry().table(Kind::Usage), rows);
        let cutoffs = query.cutoffs();
        let selection = RowSelection { region: Region::De, cutoffs, filter, scalars };
        let template = Template::new(&session, &|wanted| source.schema(wanted), &selection, &counted);
        let template = Arc::new(template.unwrap_or_else(|_| panic!("{query}")));
        let days: Vec<i32> = days.days().collect();
        files.append(
            &mut span_files(&source, &template, &days, membership).unwrap_or_else(|_| panic!("{query}")),
        );
    }
    let room = Room::of(256 << 20, RowBytes { kept: 100, made: 100, held: 100 });
    let streams = beside(&files, room).unwrap_or_else(|_| panic!("{query}")).unwrap();
    merge(streams, &mut *accumulator, &mut |_| Ok(())).unwrap_or_else(|_| panic!("{query}"));
    accumulator.finish().unwrap_or_else(|_| panic!("{query}"))
}

/// A number of a released part: (slot, none for the number of subjects; bucket), (day, group, node).
type Place = ((Option<usize>, i32), (Option<i32>, String, u32));
type Numbers = BTreeMap<Place, i128>;

/// In place of a slot: how many groups a released part has found.
const GROUPS: usize = usize::MAX;

/// Everything of all released parts.
fn totals(query: &PrivateQuery, rows: &[Row], members: &[Row], key: u8) -> Numbers {
    let layout = SensitivityLayout::of(query).unwrap();
    let mut all = Numbers::new();
    for bucket in query.buckets() {
        let accumulated = part(query, bucket.days, rows, members, key);
        let group = |cell: u32| format!("{:?}", accumulated.cells.values(cell));
        if query.is_thresholded() {
            let place = ((Some(GROUPS), bucket.start), (None, String::new(), 0));
            all.insert(place, accumulated.cells.len().into());
        }
        let counted = if layout.is_daily { &accumulated.daily } else { &accumulated.ranged };
        for cell in counted.cells() {
            all.insert(((None, bucket.start), (cell.day, group(cell.key), 0)), i128::from(cell.subjects));
        }
        for (at, slot) in layout.slots.iter().enumerate() {
            let (totals, sum): (&Totals, usize) = match slot {
                Slot::Daily(sum) => (&accumulated.daily, *sum),
                Slot::Ranged(sum) => (&accumulated.ranged, *sum),
                Slot::Sessions(sum) => (&accumulated.sessions, *sum),
                Slot::Tree(tree) => {
                    for (cell, node, count) in accumulated.trees[*tree].nodes() {
                        assert!(node < layout.width(*slot));
                        all.insert(((Some(at), bucket.start), (None, group(cell), node)), count);
                    }
                    continue;
                }
            };
            for cell in totals.cells() {
                all.insert(((Some(at), bucket.start), (cell.day, group(cell.key), 0)), cell.sums[sum]);
            }
        }
    }
    all
}

/// The exact number of an aggregate in a group of a query without buckets.
fn number(accumulated: &Accumulated, at: usize, group: &[Value]) -> i128 {
    let cells: &Cells = &accumulated.cells;
    let cell = (0..cells.len()).find(|cell| cells.values(*cell) == group).unwrap();
    accumulated.ranged.get(None, cell).map_or(0, |cell| cell.sums[at])
}
