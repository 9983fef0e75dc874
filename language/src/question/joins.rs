//! What to write instead of a join of events or of subjects.
//!
//! Invariants: the suggestion is a statement that works as it is, and depends on the text alone. Two tables that are
//! joined on their subjects become a membership. A table that is joined with itself in an order of time becomes a funnel.
//! A table's days that are joined with its subjects' first days become a count of new subjects. Every other join of a table
//! with itself becomes a retention. The days are those that the text names.
//! Not here: the refusal (`split`), joins that are answered (`semi`).

use shoal_schemas::Kind;
use sqlparser::ast::{BinaryOperator, Expr, Query, Select, SetExpr, TableFactor, TableWithJoins};

use super::rows::keys;
use super::scope::{Known, Split, kind, table_name};
use crate::bind::unsupported::windows;
use crate::syntax::{arms, plain_name};

/// The days that are suggested where the text names none.
const USUAL_DAYS: &str = "day >= current_date - 28";

/// For joins that are not on subjects: both tables by day.
fn by_day(kinds: &[Kind]) -> String {
    let first = kinds.first().copied().unwrap_or(Kind::Usage);
    let usual = if first == Kind::Usage { Kind::Crash } else { Kind::Usage };
    let second = kinds.iter().copied().find(|kind| *kind != first).unwrap_or(usual);
    format!(
        "WITH a AS (SELECT day, COUNT(*) AS n FROM {first} GROUP BY day), b AS (SELECT day, COUNT(*) AS n FROM {second} \
         GROUP BY day) SELECT a.day, a.n AS {first}_events, b.n AS {second}_events FROM a JOIN b ON a.day = b.day"
    )
}

/// For events that are joined with released rows: such as the days of the groups that are largest over all of them.
fn with_released(kind: Kind) -> String {
    format!(
        "SELECT days.day, days.app_version, days.people FROM (SELECT day, app_version, COUNT(DISTINCT subject) AS people FROM {kind} \
         WHERE day >= current_date - 6 GROUP BY day, app_version) AS days JOIN (SELECT app_version, COUNT(DISTINCT subject) AS people \
         FROM {kind} WHERE day >= current_date - 6 GROUP BY app_version ORDER BY people DESC LIMIT 5) AS best ON best.app_version = \
         days.app_version ORDER BY days.day"
    )
}

/// Whether an expression is `day`, with a table's name in front or not.
fn is_day(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => plain_name(name) == "day",
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| plain_name(name) == "day"),
        _ => false,
    }
}

/// The days that a condition names first: `day >= '2026-11-01'`.
fn since(condition: &Expr) -> Option<String> {
    arms(condition).into_iter().find_map(|arm| match arm {
        Expr::BinaryOp { left, op, right } if is_day(left) => match op {
            BinaryOperator::Gt | BinaryOperator::GtEq => Some(format!("day {op} {right}")),
            // Who came back did so later.
            BinaryOperator::Eq => Some(format!("day >= {right}")),
            _ => None,
        },
        Expr::Between { expr, negated: false, low, high } if is_day(expr) => {
            Some(format!("day BETWEEN {low} AND {high}"))
        }
        _ => None,
    })
}

/// A statement that counts new and returning subjects by day.
fn new_people(kind: Kind, first: Option<&str>, days: Option<&str>) -> String {
    let (first, days) = (first.unwrap_or(USUAL_DAYS), days.unwrap_or(USUAL_DAYS));
    format!(
        "WITH first_days AS (SELECT subject, MIN(day) AS first_day FROM {kind} WHERE {first} GROUP BY subject), \
         new_people AS (SELECT first_day, COUNT(*) AS n FROM first_days GROUP BY first_day), \
         people AS (SELECT day, COUNT(DISTINCT subject) AS n FROM {kind} WHERE {days} GROUP BY day) \
         SELECT people.day, new_people.n AS new_users, people.n - new_people.n AS returning_users \
         FROM people JOIN new_people ON new_people.first_day = people.day ORDER BY people.day"
    )
}

impl Split<'_> {
    /// A statement that works and is near to what this join asks for.
    pub(super) fn instead_of_join(&self, select: &Select) -> String {
        let mut kinds = Vec::new();
        for TableWithJoins { relation, joins } in &select.from {
            kinds.extend(self.kind_of(relation));
            kinds.extend(joins.iter().filter_map(|join| self.kind_of(&join.relation)));
        }
        let conditions = select.from.iter().flat_map(|from| &from.joins);
        let mut text = conditions.map(ToString::to_string).collect::<Vec<_>>().join(" ");
        if select.from.len() > 1 {
            text.extend(select.selection.iter().map(ToString::to_string));
        }
        let joined = select.from.iter().flat_map(|from| &from.joins).map(|join| &join.relation);
        let all: Vec<&TableFactor> = select.from.iter().map(|from| &from.relation).chain(joined).collect();
        let mut events = all.iter().filter(|factor| self.is_protected(factor));
        if let (Some(one), None, true) = (events.next(), events.next(), all.len() > 1)
            && let Some(kind) = self.kind_of(one)
        {
            return with_released(kind);
        }
        let Some(first) = kinds.first().filter(|_| text.contains("subject")) else {
            let is_one = kinds.iter().all(|kind| kinds.first() == Some(kind));
            return match (kinds.first(), is_one && text.contains("day")) {
                (Some(kind), true) => windows(*kind, 6),
                _ => by_day(&kinds),
            };
        };
        if let Some(other) = kinds.iter().find(|kind| *kind != first) {
            return format!(
                "SELECT COUNT(DISTINCT subject) AS people FROM {first} WHERE subject IN (SELECT subject FROM {other})"
            );
        }
        if *first == Kind::Usage && text.contains(">=") {
            return "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', event = 'login' AND \
                result = 'ok', event = 'purchase' AND result = 'ok', within => INTERVAL '7 days') \
                WHERE day >= current_date - 28 GROUP BY step ORDER BY step"
                .to_owned();
        }
        let outer = select.selection.as_ref().and_then(since);
        let inner =
            self.rows_in(select).and_then(|rows| Some((rows.to_string(), since(rows.selection.as_ref()?))));
        let whole = select.to_string().to_ascii_lowercase();
        if let Some((rows, days)) = &inner
            && keys(select).iter().any(is_day)
            && rows.to_ascii_lowercase().contains("min(day)")
        {
            return new_people(*first, days.as_deref(), outer.as_deref());
        }
        let days = inner.and_then(|(_, days)| days).or(outer).unwrap_or_else(|| USUAL_DAYS.to_owned());
        let period = if whole.contains("week") { "week" } else { "day" };
        format!(
            "SELECT cohort, period, COUNT(DISTINCT subject) AS people FROM retention({first}, event IS NOT NULL, \
             event IS NOT NULL, period => '{period}') WHERE {days} GROUP BY cohort, period ORDER BY cohort, period"
        )
    }

    /// The subquery with a row for each subject that is joined.
    fn rows_in(&self, select: &Select) -> Option<Select> {
        let first = select.from.iter().map(|from| &from.relation);
        let joined = select.from.iter().flat_map(|from| &from.joins).map(|join| &join.relation);
        first.chain(joined).find_map(|factor| match factor {
            TableFactor::Table { name, args: None, .. } => match &self.cte(&table_name(name)?)?.cte {
                Known::Rows { cte, .. } => self.rows(&cte.query).cloned(),
                Known::Free { .. } => None,
            },
            TableFactor::Derived { subquery, .. } => self.rows(subquery).cloned(),
            _ => None,
        })
    }

    /// The table that a relation's events or subjects are of.
    fn kind_of(&self, factor: &TableFactor) -> Option<Kind> {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                let name = table_name(name)?;
                match self.cte(&name) {
                    Some(scope) => match &scope.cte {
                        Known::Rows { cte, .. } => self.kind_in(&cte.query),
                        Known::Free { .. } => None,
                    },
                    None => kind(&name),
                }
            }
            TableFactor::Derived { subquery, .. } => self.kind_in(subquery),
            _ => None,
        }
    }

    fn kind_in(&self, query: &Query) -> Option<Kind> {
        match query.body.as_ref() {
            SetExpr::Select(select) => self.kind_of(&select.from.first()?.relation),
            SetExpr::Query(inner) => self.kind_in(inner),
            _ => None,
        }
    }
}
