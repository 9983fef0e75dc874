//! Which SELECTs have rows of events or of subjects, and the columns of such rows.
//!
//! Invariants: a relation that is not protected has released rows. Not here: how a source is read (`source`).

use sqlparser::ast::{Distinct, Expr, GroupByExpr, Query, Select, SetExpr, TableFactor, TableWithJoins};

use super::origin::Source;
use super::scope::{Known, Split, kind, table_name};
use super::template_names::Template;
use crate::bind::aggregate_names::is_of_rows;
use crate::bind::columns::Columns;
use crate::error::{Refusal, Rule};
use crate::expr::Shared;
use crate::private_query::Shape;
use crate::syntax::{expr_of, plain_name};

fn exprs(select: &Select) -> impl Iterator<Item = &Expr> {
    select.projection.iter().filter_map(expr_of)
}

/// Whether an expression is `subject`, with a table's name in front or not.
pub(super) fn is_subject(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => plain_name(name) == "subject",
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| plain_name(name) == "subject"),
        Expr::Nested(inner) => is_subject(inner),
        _ => false,
    }
}

/// The expressions of GROUP BY.
pub(super) fn keys(select: &Select) -> &[Expr] {
    match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys,
        GroupByExpr::All(_) => &[],
    }
}

/// What a row of a SELECT over events is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOf {
    Event,
    Subject,
    Group,
}

/// What a row of a SELECT over events is.
pub(super) fn row_of(select: &Select) -> RowOf {
    let is_all = matches!(select.group_by, GroupByExpr::All(_));
    let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
    let is_grouped = is_all || !keys(select).is_empty();
    if (is_distinct || is_grouped) && exprs(select).chain(keys(select)).any(is_subject) {
        return RowOf::Subject;
    }
    let is_plain = !is_grouped && !is_distinct && select.distinct.is_none() && select.having.is_none();
    match is_plain && !exprs(select).any(is_of_rows) {
        true => RowOf::Event,
        false => RowOf::Group,
    }
}

/// The refusal of a SELECT that would show rows.
pub(super) fn no_rows(span: sqlparser::tokenizer::Span) -> Refusal {
    let message = "Rows cannot be shown, only groups and aggregates.";
    let suggestion =
        "SELECT event, COUNT(*) AS n, COUNT(DISTINCT subject) AS people FROM usage GROUP BY event";
    Refusal::new(Rule::Aggregate, span, message, suggestion)
}

impl<'a> Split<'a> {
    /// Whether an expression of FROM has rows of events or of subjects.
    pub(super) fn is_protected(&self, factor: &TableFactor) -> bool {
        self.work.add(1);
        match factor {
            TableFactor::Table { name, args, .. } => match table_name(name) {
                Some(name) if args.is_some() => Template::of(&name).is_some(),
                Some(name) => match self.cte(&name) {
                    Some(scope) => matches!(scope.cte, Known::Rows { .. }),
                    None => kind(&name).is_some(),
                },
                None => false,
            },
            TableFactor::Derived { subquery, .. } => self.rows(subquery).is_some(),
            _ => false,
        }
    }

    /// The SELECT of a query that has rows of events or of subjects.
    pub(super) fn rows<'q>(&self, query: &'q Query) -> Option<&'q Select> {
        if query.with.is_some() {
            return None;
        }
        let select = match query.body.as_ref() {
            SetExpr::Select(select) => select,
            SetExpr::Query(inner) => return self.rows(inner),
            _ => return None,
        };
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
        let is_rows = joins.is_empty() && self.is_protected(relation) && row_of(select) != RowOf::Group;
        // `SELECT subject, .. GROUP BY subject` of a subquery that has groups already is one of those.
        is_rows.then_some(select.as_ref())
    }

    /// The columns of a source.
    pub(super) fn columns(&self, source: &Source) -> Columns<'a> {
        let (keys, values) = match &source.shape {
            Shape::Subjects(person) => {
                (person.keys.iter().cloned().map(Shared::new).collect(), person.values.clone())
            }
            Shape::Events | Shape::Funnel { .. } | Shape::Retention { .. } => (Vec::new(), Vec::new()),
        };
        Columns {
            registry: self.registry,
            work: self.work,
            table: self.registry.table(source.kind),
            alias: source.alias.clone(),
            names: source.names.clone(),
            now_ms: self.now_ms,
            keys,
            values,
            filter: source.filter.clone(),
            person: None,
        }
    }
}
