//! Takes WHERE of a private SELECT apart: conditions on events, memberships of subjects, and conditions that only released
//! rows can answer.
//!
//! Invariants: a condition that reads another query's answer, or a column that a template adds, is never a condition on events.

use shoal_schemas::Kind;
use sqlparser::ast::{
    BinaryOperator, Expr, Query, Select, SelectItem, SetExpr, Spanned, TableWithJoins, UnaryOperator,
};
use sqlparser::tokenizer::Span;

use super::clocks::{Clocks, has_hours, has_zone, hold, note};
use super::origin::Source;
use super::rows::{RowOf, row_of};
use super::scope::Split;
use crate::bind::columns::Named;
use crate::calendar::day_text;
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::{Scalar, Shared, filter};
use crate::private_query::{DayRange, Membership, PerSubject, Shape};
use crate::syntax::{any, arms};

/// What is left of WHERE after the source has taken its part.
pub(super) struct Wheres {
    /// Conditions on released rows.
    pub(super) released: Vec<Expr>,
}

fn has_subquery(expr: &Expr) -> bool {
    any(expr, &mut |inner| matches!(inner, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }))
}

fn of_template(scalar: &Scalar) -> bool {
    scalar.any(&|inner| matches!(inner, Scalar::Step | Scalar::Cohort | Scalar::Period))
}

/// The conjunction of two conditions.
pub(super) fn and(a: Option<Scalar>, b: Option<Scalar>) -> Option<Scalar> {
    match (a, b) {
        (Some(a), Some(b)) => filter(Scalar::And(a.into(), b.into())),
        (a, b) => a.or(b),
    }
}

/// Leaves of a source's rows those that meet a condition.
fn narrow(source: &mut Source, by: Option<Scalar>) {
    match &mut source.shape {
        Shape::Subjects(PerSubject { having, .. }) => *having = and(having.take(), by),
        Shape::Events | Shape::Funnel { .. } | Shape::Retention { .. } => {
            source.filter = and(source.filter.take(), by);
        }
    }
}

fn refused(span: Span) -> Refusal {
    let message = "Subjects are compared with `subject IN (SELECT subject FROM ..)` or its NOT, as one of the conditions of \
        WHERE that are joined by AND.";
    let suggestion = "SELECT COUNT(DISTINCT subject) FROM usage WHERE subject IN (SELECT subject FROM crash WHERE event = 'app_crash')";
    Refusal::new(Rule::Expression, span, message, suggestion)
}

/// The note on a subquery of subjects that names no days.
fn of_query(kind: Kind, days: DayRange) -> String {
    let (first, last) = (day_text(days.first), day_text(days.last));
    let days = if first == last { first } else { format!("{first} to {last}") };
    format!("The subquery of {kind} names no days: it has those of the query, {days}.")
}

impl Split<'_> {
    /// Takes WHERE apart. Conditions on events and memberships go into the source.
    pub(super) fn wheres(&mut self, select: &Select, source: &mut Source) -> Result<Wheres, LanguageError> {
        let mut released = Vec::new();
        let mut members = Vec::new();
        let mut late = Vec::new();
        let mut own: Option<Scalar> = None;
        let all = select.selection.as_ref().map(arms).unwrap_or_default();
        for arm in all {
            if let Some(member) = self.member(arm, source) {
                members.push((arm, member));
                continue;
            }
            if has_subquery(arm) {
                released.push(arm.clone());
                continue;
            }
            if has_hours(arm) {
                late.push(arm);
                continue;
            }
            let condition = self.on_events(arm, source, &mut Clocks::of(self.work, self.now_ms, None))?;
            if of_template(&condition) {
                released.push(arm.clone());
                continue;
            }
            own = and(own, filter(condition));
        }
        narrow(source, own);
        self.at_hours(late, source)?;
        // Memberships come last, because they take the days of the query when they name none.
        for (arm, (query, negated)) in members {
            if !matches!(source.shape, Shape::Events) {
                return Err(refused(arm.span()).into());
            }
            let (member, notes) = self.membership(query, negated, source)?;
            source.members.push(member);
            source.notes.extend(notes);
        }
        Ok(Wheres { released })
    }

    /// An arm as a condition on rows of a source, with its times of zones in UTC.
    fn on_events(
        &self,
        arm: &Expr,
        source: &Source,
        clocks: &mut Clocks<'_>,
    ) -> Result<Shared<Scalar>, LanguageError> {
        if !has_zone(arm) {
            return Ok(self.columns(source).condition(arm)?);
        }
        let mut own = arm.clone();
        clocks.in_utc(&mut own)?;
        Ok(self.columns(source).condition(&own)?)
    }

    /// Narrows a source by conditions on hours of zones. Which hours of UTC these are depends on the days that all other
    /// conditions leave.
    fn at_hours(&self, late: Vec<&Expr>, source: &mut Source) -> Result<(), LanguageError> {
        if late.is_empty() {
            return Ok(());
        }
        let days = match &source.windows {
            Some(windows) => self.selected(source, windows)?.days,
            None => self.readable(source.kind, source.filter.as_ref(), None)?.days,
        };
        let mut clocks = Clocks::of(self.work, self.now_ms, Some(days));
        for arm in late {
            let condition = self.on_events(arm, source, &mut clocks)?;
            narrow(source, filter(condition));
        }
        source.notes.extend(clocks.known.iter().map(note));
        source.clocks.extend(clocks.known);
        Ok(())
    }

    /// The query of `subject [NOT] IN (..)`, or of an EXISTS over the same subject.
    fn member<'e>(&self, arm: &'e Expr, source: &Source) -> Option<(&'e Query, bool)> {
        match arm {
            Expr::InSubquery { expr, subquery, negated } => {
                (self.columns(source).unit(expr) == Some(Named::Subject)).then_some((subquery, *negated))
            }
            Expr::Exists { subquery, negated } => Some((subquery, *negated)),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                self.member(expr, source).map(|(query, negated)| (query, !negated))
            }
            Expr::Nested(inner) => self.member(inner, source),
            _ => None,
        }
    }

    /// The membership that a subquery of subjects stands for, with notes on its days.
    fn membership(
        &mut self,
        query: &Query,
        negated: bool,
        outer: &Source,
    ) -> Result<(Membership, Vec<String>), LanguageError> {
        let span = query.body.span();
        let refused = || LanguageError::from(refused(span));
        let SetExpr::Select(select) = query.body.as_ref() else { return Err(refused()) };
        if query.limit_clause.is_some() || query.with.is_some() {
            return Err(refused());
        }
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return Err(refused()) };
        let is_grouped = row_of(select) == RowOf::Group || select.having.is_some();
        let Some(mut source) = self.source(relation)?.filter(|_| joins.is_empty() && !is_grouped) else {
            return Err(refused());
        };
        let mut select = select.as_ref().clone();
        let correlated = self.without_correlation(&mut select, &source, outer);
        let item = match select.projection.as_slice() {
            [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
            _ => None,
        };
        let shows_subject = item.is_some_and(|expr| self.columns(&source).unit(expr) == Some(Named::Subject));
        if !correlated && !shows_subject {
            return Err(refused());
        }
        let wheres = self.wheres(&select, &mut source)?;
        let is_plain = match &source.shape {
            Shape::Events => true,
            Shape::Subjects(person) => person.keys.is_empty() && person.having.is_none(),
            Shape::Funnel { .. } | Shape::Retention { .. } => false,
        };
        if !is_plain || !source.members.is_empty() || !wheres.released.is_empty() {
            return Err(refused());
        }
        let days = self.readable(outer.kind, outer.filter.as_ref(), None);
        let usual: Option<DayRange> = days.ok().map(|readable| readable.days);
        let found = self.readable(source.kind, source.filter.as_ref(), usual)?;
        hold(&source.clocks, found.days, self.work)?;
        let (days, cutoffs) = (found.days, found.cutoffs);
        let of_query = found.is_usual.then(|| of_query(source.kind, days));
        let notes = found.notes.into_iter().map(|note| format!("Of the subquery of {}: {note}", source.kind));
        let notes = of_query.into_iter().chain(notes).collect();
        Ok((Membership { table: source.kind, days, cutoffs, filter: found.filter, negated }, notes))
    }

    /// Takes `p.subject = u.subject` out of the WHERE of an EXISTS, and returns whether it was there.
    fn without_correlation(&self, select: &mut Select, inner: &Source, outer: &Source) -> bool {
        let is_ours = |expr: &Expr| self.columns(inner).unit(expr) == Some(Named::Subject);
        let is_outer = |expr: &Expr| {
            matches!(expr, Expr::CompoundIdentifier(_))
                && self.columns(outer).unit(expr) == Some(Named::Subject)
                && !is_ours(expr)
        };
        let mut found = false;
        let mut kept: Option<Expr> = None;
        let all: Vec<Expr> =
            select.selection.as_ref().map(|all| arms(all).into_iter().cloned().collect()).unwrap_or_default();
        for arm in all {
            if let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = &arm
                && (is_ours(left) && is_outer(right) || is_outer(left) && is_ours(right))
            {
                found = true;
                continue;
            }
            kept = Some(match kept {
                Some(before) => {
                    Expr::BinaryOp { left: Box::new(before), op: BinaryOperator::And, right: Box::new(arm) }
                }
                None => arm,
            });
        }
        select.selection = kept;
        found
    }
}
