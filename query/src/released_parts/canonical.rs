//! A query as it reads on certain days of one region: the same text for the same question, however it was put.
//!
//! Left out: days, regions, how days are grouped or windows lie, names, the order of keys and aggregates, notes, and since when each
//! programme can be read. Kept: everything else that decides what is counted, its bounds among it, and every public value.
//! Not here: identity (`mod.rs`), the rewriting of expressions (`simplify`).

use std::fmt::Write as _;
use std::sync::OnceLock;

use shoal_schemas::Region;

use super::simplify::Spot;
use crate::audit::without_identifiers;
use crate::charge::shares_tree;
use shoal_language::{Aggregate, AggregateOp, DayRange, KeyKind, PrivateQuery, Shape};
use shoal_language::{Scalar, Value};

/// The canonical form.
pub(crate) struct Form {
    pub(crate) text: String,
    /// Whether the text alone says that no row of these days passes the filter.
    pub(crate) is_nothing: bool,
    /// Positions in the query's `cell_keys`, in canonical order.
    pub(crate) keys: Vec<usize>,
    /// Positions in the query's slots, in canonical order.
    pub(crate) slots: Vec<usize>,
    /// Parts of expressions that were looked at or written for it, and more for a long text.
    pub(super) work: u64,
    kept: OnceLock<String>,
    /// The name of the thread.
    #[cfg(test)]
    pub(crate) written_on: String,
}

/// Bytes of a text that are worth as much as a part of an expression.
const BYTES_OF_WORK: u64 = 8;

impl Form {
    /// The text as it may be kept: worked out once, however many released parts have the form.
    pub(crate) fn kept_text(&self) -> &str {
        self.kept.get_or_init(|| without_identifiers(&self.text))
    }
}

/// The form of a query on these days of a region.
pub(crate) fn form(query: &PrivateQuery, region: Region, days: DayRange) -> Form {
    let spot = Spot::new(region, days);
    let (mut text, mut work) = (shape(query.shape()), 0);
    for (programme, _) in query.cutoffs() {
        line(&mut text, format_args!("PROGRAMME {programme}"));
    }
    let filter = query.filter().and_then(|filter| condition(&spot, filter));
    let is_nothing = filter.as_deref() == Some("false");
    if let Some(filter) = filter {
        line(&mut text, format_args!("WHERE {filter}"));
    }
    let mut members: Vec<String> = query
        .members()
        .iter()
        .map(|other| {
            let over = Spot::new(region, other.days);
            let filter = other.filter.as_ref().and_then(|f| condition(&over, f));
            let filter = filter.unwrap_or_else(|| "TRUE".to_owned());
            work += over.work();
            let word = if other.negated { "NOT IN" } else { "IN" };
            let span = (other.days.first, other.days.last);
            let programmes: Vec<&str> = other.cutoffs.iter().map(|(p, _)| p.as_str()).collect();
            format!("SUBJECT {word} {} {programmes:?} DAYS {span:?} WHERE {filter}", other.table)
        })
        .collect();
    members.sort();
    members.dedup();
    members.iter().for_each(|member| line(&mut text, format_args!("{member}")));
    let cells = cell_keys(query);
    let mut keys: Vec<(String, usize)> = cells
        .iter()
        .enumerate()
        .filter_map(|(position, at)| query.keys().get(*at).map(|key| (position, key)))
        .map(|(position, key)| (key_text(&spot.written(&key.scalar), &key.kind), position))
        .collect();
    keys.sort();
    keys.iter().for_each(|(key, _)| line(&mut text, format_args!("KEY {key}")));
    let mut slots: Vec<(String, usize)> = slot_aggregates(query)
        .into_iter()
        .enumerate()
        .map(|(slot, aggregate)| (aggregate_text(&spot, aggregate, query.linf_of_bucket(aggregate)), slot))
        .collect();
    slots.sort();
    slots.iter().for_each(|(slot, _)| line(&mut text, format_args!("AGGREGATE {slot}")));
    let _ = write!(text, "GROUPS OF ONE SUBJECT'S DAY {}", query.l0());
    Form {
        work: work + spot.work() + text.len() as u64 / BYTES_OF_WORK,
        kept: OnceLock::new(),
        #[cfg(test)]
        written_on: std::thread::current().name().unwrap_or_default().to_owned(),
        text,
        is_nothing,
        keys: keys.into_iter().map(|(_, at)| at).collect(),
        slots: slots.into_iter().map(|(_, at)| at).collect(),
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A condition as it reads here; none when it always holds.
fn condition(spot: &Spot, filter: &Scalar) -> Option<String> {
    match spot.written(filter) {
        Scalar::Value(Value::Boolean(true)) => None,
        other => Some(other.to_string()),
    }
}

/// What a row is, when it is no event.
fn shape(shape: &Shape) -> String {
    match shape {
        Shape::Events => String::new(),
        Shape::Subjects(rows) => format!("SUBJECTS {rows:?}\n"),
        Shape::Funnel { steps, within_ms } => format!("FUNNEL {steps:?} WITHIN {within_ms}\n"),
        Shape::Retention { cohort, back, period } => {
            format!("RETENTION {cohort:?} {back:?} BY {}\n", period.as_str())
        }
    }
}

fn key_text(scalar: &Scalar, kind: &KeyKind) -> String {
    match kind {
        KeyKind::Public(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("{scalar} OF {}", values.join(", "))
        }
        KeyKind::Private => format!("{scalar} ABOVE THE THRESHOLD"),
        KeyKind::Region | KeyKind::Time(_) | KeyKind::Windows(_) => scalar.to_string(),
    }
}

/// The first aggregate of each slot, in the order of the slots.
fn slot_aggregates(query: &PrivateQuery) -> Vec<&Aggregate> {
    let mut all: Vec<&Aggregate> = Vec::new();
    for aggregate in query.aggregates() {
        if !all.iter().any(|before| shares_tree(before, aggregate)) {
            all.push(aggregate);
        }
    }
    all
}

fn aggregate_text(spot: &Spot, aggregate: &Aggregate, linf: u64) -> String {
    let op = match &aggregate.op {
        AggregateOp::Rows => "count(*)".to_owned(),
        AggregateOp::Present(item) => format!("count({})", spot.written(item)),
        AggregateOp::Sum(measure) => format!("sum({})", spot.written(measure)),
        AggregateOp::Subjects => "count(DISTINCT subject)".to_owned(),
        AggregateOp::Sessions => "count(DISTINCT session)".to_owned(),
        AggregateOp::Quantile { measure, edges, .. } => {
            format!("tree({}, {edges:?})", spot.written(measure))
        }
    };
    let filter = aggregate.filter.as_ref().and_then(|filter| condition(spot, filter));
    let filter = filter.map(|filter| format!(" FILTER (WHERE {filter})")).unwrap_or_default();
    format!("{op}{filter} (scale {}, at most {linf})", aggregate.scale)
}

/// Positions of the keys whose values a released part keeps, in the query's order: all but regions, windows and buckets of days.
pub(crate) fn cell_keys(query: &PrivateQuery) -> Vec<usize> {
    let kept = |kind: &KeyKind| match kind {
        KeyKind::Region | KeyKind::Windows(_) => false,
        KeyKind::Time(grain) => *grain == shoal_language::calendar::Grain::Hour,
        KeyKind::Public(_) | KeyKind::Private => true,
    };
    query.keys().iter().enumerate().filter(|(_, key)| kept(&key.kind)).map(|(at, _)| at).collect()
}
