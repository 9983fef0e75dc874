//! Whether a suggestion asks what was asked: the one place that every suggestion passes.
//!
//! Invariants: a suggestion has the statement's tables, conditions, ranges of days, units (people, sessions, events, measures) and
//! grain, or it is none. What the text of both tells is compared first; then what the suggestion is bound to: its private
//! queries read the statement's tables, their conditions read the columns that the statement's conditions name, and their days
//! are those that the statement's own conditions leave, where those can be bound.
//! Not here: the proposals (`mod`), whether a suggestion is accepted (`shoal-query`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use shoal_schemas::{Kind, Registry, columns};
use sqlparser::ast::{Expr, Select, TableFactor, TableWithJoins, Visitor};

use super::dialects;
use super::meaning::Meaning;
use super::statement::only;
use crate::bind::Asking;
use crate::bind::columns::Columns;
use crate::bind::scope::{When, readable};
use crate::expr::{Scalar, filter};
use crate::private_query::{DayRange, PrivateQuery};
use crate::syntax::{any, arms, plain_name};
use crate::walk::visit;
use crate::work::Work;

/// What is needed to compare.
pub struct Asked<'a> {
    /// The statement that was refused.
    pub text: &'a str,
    /// The public schema.
    pub registry: &'a Registry,
    /// Who asks, and when.
    pub asking: Asking<'a>,
}

/// What a suggestion has lost, in a word; `None` when it asks what was asked.
pub fn lost(asked: &Asked<'_>, suggestion: &str, releases: &[&PrivateQuery]) -> Option<&'static str> {
    let (Some((_, mut own)), Some((_, other))) = (only(asked.text), only(suggestion)) else {
        return Some("statement");
    };
    dialects::plain(&mut own);
    let (meaning, others) = (Meaning::of(&own, asked.registry), Meaning::of(&other, asked.registry));
    if let Some(lost) = meaning.lost_in(&others) {
        return Some(lost);
    }
    let mut bound = Bound { asked, ranges: Vec::new(), names: BTreeSet::new() };
    let _ = visit(&own, &mut bound);
    let is_read = |kind: Kind| {
        let own = releases.iter().any(|query| query.table == kind);
        own || releases.iter().any(|query| query.members.iter().any(|member| member.table == kind))
    };
    if !bound.ranges.iter().all(|(kind, _)| is_read(*kind)) {
        return Some("table");
    }
    let days = |wanted: Kind| {
        let own = releases.iter().filter(move |query| query.table == wanted).map(|query| query.days);
        let members = releases.iter().flat_map(|query| &query.members);
        own.chain(members.filter(move |member| member.table == wanted).map(|member| member.days))
    };
    let is_kept = |(kind, range): &(Kind, Option<DayRange>)| {
        range.is_none_or(|range| days(*kind).any(|one| one == range))
    };
    if !bound.ranges.iter().all(is_kept) {
        return Some("range");
    }
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for query in releases {
        let members = query.members.iter().flat_map(|member| &member.filter);
        known.extend(query.expressions().into_iter().chain(members).flat_map(Scalar::names));
    }
    (!bound.names.iter().all(|name| known.contains(name.as_str()))).then_some("filter")
}

/// What can be bound of a statement that was refused.
struct Bound<'a> {
    asked: &'a Asked<'a>,
    /// The days of each SELECT over a table; none where they cannot be told.
    ranges: Vec<(Kind, Option<DayRange>)>,
    /// The columns that conditions read, but for times and regions, which are no part of a private query's filter.
    names: BTreeSet<String>,
}

/// The table that a SELECT reads, when it is one, and its alias.
fn table(select: &Select) -> Option<(Kind, Option<String>)> {
    let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
    let TableFactor::Table { name, alias, args: None, .. } = relation else { return None };
    let name = name.0.last()?.to_string().trim_matches('"').to_ascii_lowercase();
    let kind = Kind::ALL.iter().copied().find(|kind| kind.as_str() == name && joins.is_empty())?;
    Some((kind, alias.as_ref().map(|alias| plain_name(&alias.name))))
}

fn is_of_time(expr: &Expr) -> bool {
    any(expr, &mut |inner| {
        let name = match inner {
            Expr::Identifier(name) => Some(plain_name(name)),
            Expr::CompoundIdentifier(parts) => parts.last().map(plain_name),
            _ => None,
        };
        name.is_some_and(|name| name == columns::DAY || name == columns::TIME)
    })
}

impl Bound<'_> {
    fn select(&mut self, select: &Select) {
        let Some((kind, alias)) = table(select) else { return };
        let Asked { registry, asking, .. } = *self.asked;
        let work = Work::default();
        let columns = Columns { alias, ..Columns::of(registry, &work, registry.table(kind), asking.now_ms) };
        let mut whole: Option<Scalar> = None;
        // Without a condition on time the days are the usual ones, or those of the statement around it.
        let (mut is_told, mut has_time) = (true, false);
        for arm in select.selection.as_ref().map(arms).unwrap_or_default() {
            has_time |= is_of_time(arm);
            match columns.condition(arm) {
                Ok(condition) => {
                    self.names.extend(condition.names().into_iter().map(str::to_owned));
                    whole = match whole.take() {
                        Some(before) => filter(Scalar::And(before.into(), condition)),
                        None => filter(condition),
                    };
                }
                Err(_) => is_told &= !is_of_time(arm),
            }
        }
        let when = When::of(whole.as_ref(), asking);
        let days = readable(registry, kind, whole.as_ref(), when, None).ok().map(|found| found.days);
        self.ranges.push((kind, days.filter(|_| is_told && has_time)));
    }
}

impl Visitor for Bound<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.select(select);
        ControlFlow::Continue(())
    }
}
