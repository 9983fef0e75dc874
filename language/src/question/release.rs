//! The [`PrivateQuery`] of a private SELECT.
//!
//! Invariants: conditions that are on regions or days alone are taken out of the filter, so that a day's answer is the same
//! whatever window it is asked in. Two SELECTs that ask the same are one release.

use std::collections::{HashMap, HashSet};

use shoal_schemas::{Programme, Region};
use sqlparser::ast::{Expr, ObjectName, ObjectNamePart, Spanned, TableFactor};
use sqlparser::tokenizer::Span;

use super::clocks::hold;
use super::naming::quoted;
use super::origin::{Source, is_window_day};
use super::person_rows::rows_of;
use super::scope::Split;
use crate::bind::KEYS_MAX;
use crate::bind::bounds::Bounds;
use crate::bind::columns::Columns;
use crate::bind::extent::{asked_regions, size};
use crate::bind::group_keys::{groups_of_a_day, key};
use crate::calendar::Grain;
use crate::error::{LanguageError, Refusal, Rule, without_values};
use crate::expr::{EXPANDED_MAX, NODES_MAX, Node, Public, Scalar, Shared, Value};
use crate::private_query::{
    Aggregate, AggregateOp, Bucket, DayRange, Key, KeyKind, PersonValue, PrivateQuery, Shape,
    follows_from_day,
};

/// Most periods of a retention.
const PERIODS_MAX: usize = 62;

/// Where and when a private SELECT asks.
pub(super) struct EventSelection {
    pub(super) regions: Vec<Region>,
    pub(super) days: DayRange,
    pub(super) cutoffs: Vec<(Programme, i32)>,
    /// The condition without its days.
    pub(super) filter: Option<Scalar>,
    /// The windows; none where all days are read at once.
    pub(super) windows: Vec<Bucket>,
    pub(super) notes: Vec<String>,
}

/// The table of a release in the text.
pub(super) fn relation(index: usize) -> TableFactor {
    TableFactor::Table {
        name: ObjectName(vec![ObjectNamePart::Identifier(quoted(format!("r{index}")))]),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

/// The count that a query which shows only keys is released with.
pub(super) fn presence(source: &Source, bounds: &Bounds<'_>, columns: &Columns<'_>) -> Aggregate {
    let (op, linf) = match &source.shape {
        Shape::Events => (AggregateOp::Rows, u64::from(columns.table.day_max).max(1)),
        Shape::Subjects(_) => (AggregateOp::Rows, bounds.rows_max.unwrap_or(1)),
        Shape::Funnel { .. } | Shape::Retention { .. } => (AggregateOp::Subjects, 1),
    };
    Aggregate { op, filter: None, linf, unit: None, scale: 0 }
}

/// Refuses keys that do not fit the shape.
pub(super) fn fit(keys: &[Key], source: &Source, span: Span) -> Result<(), Refusal> {
    if keys.len() > KEYS_MAX {
        let message = format!("A query has at most {KEYS_MAX} keys.");
        let suggestion = "SELECT os, country, COUNT(*) FROM usage GROUP BY os, country";
        return Err(Refusal::new(Rule::Key, span, message, suggestion));
    }
    let has = |wanted: &Scalar| keys.iter().any(|key| key.scalar == *wanted);
    let times = keys.iter().filter(|key| matches!(key.kind, KeyKind::Time(_) | KeyKind::Windows(_))).count();
    if let Some(windows) = &source.windows
        && !keys.iter().any(|key| matches!(key.kind, KeyKind::Windows(_)))
    {
        let message = format!("The windows are grouped by the day of the series, `{}`.", windows.days.column);
        let message = without_values(&message);
        return Err(Refusal::new(
            Rule::Key,
            span,
            message,
            crate::bind::unsupported::windows(source.kind, 6),
        ));
    }
    match &source.shape {
        Shape::Events if times > 1 => {
            let message = "A query has one key of time.";
            let suggestion = "SELECT date_trunc('hour', time) AS hour, COUNT(*) FROM usage WHERE day = current_date GROUP BY hour";
            Err(Refusal::new(Rule::Key, span, message, suggestion))
        }
        Shape::Funnel { .. } if !has(&Scalar::Step) => {
            let message = "A funnel is grouped by step.";
            let suggestion = "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', 'login') GROUP BY step";
            Err(Refusal::new(Rule::Key, span, message, suggestion))
        }
        Shape::Retention { .. } if !has(&Scalar::Period) => {
            let message = "A retention is grouped by period, and by cohort where wanted.";
            let suggestion = "SELECT period, COUNT(DISTINCT subject) AS people FROM retention(usage, 'app_open', 'app_open', period => 'week') GROUP BY period";
            Err(Refusal::new(Rule::Key, span, message, suggestion))
        }
        Shape::Funnel { .. } | Shape::Retention { .. } | Shape::Subjects(_) if times > 0 => {
            let message = "Subjects, funnels and retentions are over all days of the query: a time is no key of theirs.";
            let suggestion = "SELECT day, COUNT(DISTINCT subject) FROM usage GROUP BY day";
            Err(Refusal::new(Rule::Key, span, message, suggestion))
        }
        Shape::Events | Shape::Subjects(_) | Shape::Funnel { .. } | Shape::Retention { .. } => Ok(()),
    }
}

impl Split<'_> {
    /// Regions and days of a source.
    pub(super) fn asked(&self, source: &Source) -> Result<EventSelection, LanguageError> {
        if let Some(windows) = &source.windows {
            let found = self.selected(source, windows)?;
            hold(&source.clocks, found.days, self.work)?;
            return Ok(found);
        }
        let regions = asked_regions(source.filter.as_ref(), self.regions)?;
        let found = self.readable(source.kind, source.filter.as_ref(), None)?;
        hold(&source.clocks, found.days, self.work)?;
        let mut notes = source.notes.clone();
        notes.extend(found.notes);
        let (days, cutoffs, filter, windows) = (found.days, found.cutoffs, found.filter, Vec::new());
        Ok(EventSelection { regions, days, cutoffs, filter, windows, notes })
    }

    /// The key of an expression; `None` for a constant, which makes no groups.
    pub(super) fn key(
        &self,
        expr: &Expr,
        source: &Source,
        asked: &EventSelection,
        columns: &Columns<'_>,
    ) -> Result<Option<Key>, LanguageError> {
        let public = Public::of(self.registry, source.kind);
        if let Some(windows) = source.windows.as_ref().filter(|_| is_window_day(expr)) {
            let scalar = if windows.days.are_times { Scalar::Time(Grain::Day) } else { Scalar::Day };
            return Ok(Some(Key { scalar, kind: KeyKind::Windows(asked.windows.clone()) }));
        }
        let numbers = |first: i64, last: i64| (first..=last).map(|n| Value::Number(n, 0)).collect();
        let scalar = columns.normal(expr)?.into_node();
        let kind = match (&scalar, &source.shape) {
            (Scalar::Value(_), _) => return Ok(None),
            (Scalar::Step, Shape::Funnel { steps, .. }) => {
                KeyKind::Public(numbers(1, i64::try_from(steps.len()).unwrap_or(1)))
            }
            (Scalar::Period | Scalar::Cohort, Shape::Retention { period, .. }) => {
                let mut starts: Vec<i32> = asked.days.days().map(|day| period.bucket(day)).collect();
                starts.dedup();
                if starts.len() > PERIODS_MAX {
                    let message = format!("A retention has at most {PERIODS_MAX} periods.");
                    let suggestion = "SELECT period, COUNT(*) FROM retention(usage, 'app_open', 'app_open', period => 'week') GROUP BY period";
                    return Err(Refusal::new(Rule::Cells, expr.span(), message, suggestion).into());
                }
                match scalar {
                    Scalar::Cohort => KeyKind::Public(starts.into_iter().map(Value::Day).collect()),
                    _ => KeyKind::Public(numbers(0, i64::try_from(starts.len()).unwrap_or(1) - 1)),
                }
            }
            (Scalar::PersonKey { at, .. }, Shape::Subjects(person)) => {
                let own = person.keys.get(*at).cloned().unwrap_or(Scalar::Region);
                key(own, columns, &public, asked.filter.as_ref(), expr.span())?.kind
            }
            _ => key(scalar.clone(), columns, &public, asked.filter.as_ref(), expr.span())?.kind,
        };
        Ok(Some(Key { scalar, kind }))
    }

    /// Adds a release, or finds the one that asks the same.
    pub(super) fn release(
        &mut self,
        source: Source,
        asked: EventSelection,
        keys: Vec<Key>,
        aggregates: Vec<Aggregate>,
    ) -> Result<usize, LanguageError> {
        let public = Public::of(self.registry, source.kind);
        let mut notes = asked.notes;
        let own: Vec<Key> = keys
            .iter()
            .filter(|key| !matches!(key.scalar, Scalar::Step | Scalar::Cohort | Scalar::Period))
            .cloned()
            .collect();
        let l0 = match &source.shape {
            Shape::Events => u64::from(groups_of_a_day(&keys, &public, &mut notes)),
            Shape::Subjects(person) => rows_of(person, asked.days, &public),
            Shape::Funnel { steps, .. } => {
                (steps.len() as u64).saturating_mul(u64::from(groups_of_a_day(&own, &public, &mut notes)))
            }
            Shape::Retention { .. } => {
                let periods =
                    keys.iter().find(|key| key.scalar == Scalar::Period).map_or(1, |key| match &key.kind {
                        KeyKind::Public(values) => values.len() as u64,
                        KeyKind::Region | KeyKind::Time(_) | KeyKind::Windows(_) | KeyKind::Private => 1,
                    });
                periods.saturating_mul(u64::from(groups_of_a_day(&own, &public, &mut notes)))
            }
        };
        if asked.regions.len() > 1 && !keys.iter().any(|key| key.kind == KeyKind::Region) {
            notes.push("Each region is released by itself; the numbers are their sums.".to_owned());
        }
        let mut members = source.members;
        members.sort_by_key(ToString::to_string);
        members.dedup();
        self.read_on_days(&keys, asked.days)?;
        let query = PrivateQuery {
            table: source.kind,
            regions: asked.regions,
            days: asked.days,
            cutoffs: asked.cutoffs,
            shape: source.shape,
            filter: asked.filter,
            members,
            keys,
            aggregates,
            l0: u32::try_from(l0).unwrap_or(u32::MAX),
            notes,
        };
        let mut query = used(query);
        if query.overlap() > 1 {
            query.notes.push(format!(
                "Each window is released, and paid, by itself: a day pays once for each of the up to {} windows that it is in.",
                query.overlap()
            ));
        }
        size(&query)?;
        let canonical = query.canonical();
        self.work.add(canonical.len() as u64 / 32);
        if let Some(known) = self.canonicals.iter().position(|known| *known == canonical) {
            return Ok(known);
        }
        self.measured(&query)?;
        self.releases.push(query);
        self.canonicals.push(canonical);
        Ok(self.releases.len() - 1)
    }

    /// Counts the steps of keys that are read on each of the days.
    fn read_on_days(&self, keys: &[Key], days: DayRange) -> Result<(), Refusal> {
        let moving = keys.iter().map(|key| &key.scalar).filter(|key| follows_from_day(key));
        let parts = moving.fold(0_u64, |parts, key| parts.saturating_add(key.size()));
        self.work.add(parts.saturating_mul(days.len()));
        self.work.step(Span::empty)
    }

    /// Counts the expressions of a release into those of the statement.
    fn measured(&mut self, query: &PrivateQuery) -> Result<(), Refusal> {
        let members = query.members.iter().flat_map(|member| &member.filter);
        for expression in query.expressions().into_iter().chain(members) {
            let expression = Shared::new(expression.clone());
            self.expanded = self.expanded.saturating_add(expression.size());
            count(&expression, &mut self.parts);
        }
        if self.expanded <= EXPANDED_MAX && self.parts.len() as u64 <= NODES_MAX {
            return Ok(());
        }
        let message = format!(
            "The conditions, keys and aggregates of a statement have at most {NODES_MAX} different parts, and {EXPANDED_MAX} with \
             each name replaced by what it stands for. Ask for less at once, or use such a name in fewer places."
        );
        Err(Refusal::whole(Rule::Size, message, crate::parse::SHAPE))
    }
}

/// Adds an expression and what is inside to those that are known.
fn count(item: &Shared<Scalar>, known: &mut HashSet<Shared<Scalar>>) {
    if known.insert(item.clone()) {
        item.each(&mut |inner| count(inner, known));
    }
}

/// The query without the values of a subject's row that nothing reads.
fn used(mut query: PrivateQuery) -> PrivateQuery {
    let Shape::Subjects(person) = &mut query.shape else { return query };
    let mut is_used = vec![false; person.values.len()];
    let mut look = |scalar: &Scalar| {
        for at in read(scalar) {
            if let Some(place) = is_used.get_mut(at) {
                *place = true;
            }
        }
    };
    query.keys.iter().for_each(|key| look(&key.scalar));
    person.having.iter().for_each(&mut look);
    for aggregate in &query.aggregates {
        aggregate.op.argument().into_iter().chain(&aggregate.filter).for_each(&mut look);
    }
    let old: Vec<(usize, PersonValue)> =
        person.values.drain(..).enumerate().filter(|(at, _)| is_used.get(*at) == Some(&true)).collect();
    let place = |at: usize| old.iter().position(|(own, _)| *own == at).unwrap_or(0);
    let mut places = Places::of(&place);
    let mut change = |scalar: Scalar| places.moved(scalar);
    person.having = person.having.take().map(&mut change);
    for key in &mut query.keys {
        key.scalar = change(key.scalar.clone());
    }
    for aggregate in &mut query.aggregates {
        aggregate.filter = aggregate.filter.take().map(&mut change);
        if let Some(argument) = aggregate.op.argument_mut() {
            *argument = change(argument.clone());
        }
    }
    person.values = old.iter().map(|(_, value)| value.clone()).collect();
    query
}

/// The values of a subject's row that an expression reads.
fn read(scalar: &Scalar) -> Vec<usize> {
    let mut all = Vec::new();
    if let Scalar::Person { at, .. } = scalar {
        all.push(*at);
    }
    scalar.each(&mut |inner| all.extend(read(inner)));
    all
}

/// Moves the values of a subject's row to other places in expressions.
pub(super) struct Places<'p> {
    place: &'p dyn Fn(usize) -> usize,
    /// What was moved already: what is shared stays shared.
    known: HashMap<Shared<Scalar>, Shared<Scalar>>,
}

impl<'p> Places<'p> {
    pub(super) fn of(place: &'p dyn Fn(usize) -> usize) -> Places<'p> {
        Places { place, known: HashMap::new() }
    }

    /// The same expression with the values in their new places.
    pub(super) fn moved(&mut self, scalar: Scalar) -> Scalar {
        self.shared(&scalar.into()).into_node()
    }

    pub(super) fn shared(&mut self, item: &Shared<Scalar>) -> Shared<Scalar> {
        if let Some(known) = self.known.get(item) {
            return known.clone();
        }
        let moved: Shared<Scalar> = match item.as_ref() {
            Scalar::Person { at, scale } => Scalar::Person { at: (self.place)(*at), scale: *scale }.into(),
            other => other.clone().map(&mut |inner| self.shared(&inner)).into(),
        };
        self.known.insert(item.clone(), moved.clone());
        moved
    }
}
