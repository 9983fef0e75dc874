//! What a private SELECT reads: a table, a template of one, or a subquery with rows of events or of subjects.
//!
//! Invariants: a subquery of rows has no LIMIT, no set operation and no join; its WHERE is taken into the private query's.

use shoal_schemas::Kind;
use sqlparser::ast::{
    Cte, Distinct, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Spanned, TableAlias, TableFactor,
    TableWithJoins,
};

use super::naming::default_name;
use super::split::{Known, Split, kind, table_name};
use crate::bind::aggregate_names::is_aggregate;
use crate::bind::columns::{Columns, Named, Names};
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::{Scalar, normal};
use crate::private_query::{Membership, Shape};
use crate::syntax::{any, expr_of, plain_name};

/// What a private SELECT reads.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) kind: Kind,
    /// The name in front of a column's.
    pub(super) alias: Option<String>,
    pub(super) names: Names,
    pub(super) shape: Shape,
    /// Over events.
    pub(super) filter: Option<Scalar>,
    pub(super) members: Vec<Membership>,
    pub(super) notes: Vec<String>,
}

fn has_aggregate(expr: &Expr) -> bool {
    any(
        expr,
        &mut |inner| matches!(inner, Expr::Function(function) if is_aggregate(function) || function.over.is_some()),
    )
}

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

/// What a SELECT over events has a row of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowOf {
    Event,
    Subject,
    Group,
}

/// What a SELECT over events has a row of.
pub(super) fn row_of(select: &Select) -> RowOf {
    let is_all = matches!(select.group_by, GroupByExpr::All(_));
    let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
    let is_grouped = is_all || !keys(select).is_empty();
    if (is_distinct || is_grouped) && exprs(select).chain(keys(select)).any(is_subject) {
        return RowOf::Subject;
    }
    let is_plain = !is_grouped && !is_distinct && select.distinct.is_none() && select.having.is_none();
    match is_plain && !exprs(select).any(has_aggregate) {
        true => RowOf::Event,
        false => RowOf::Group,
    }
}

/// A refusal of rows.
pub(super) fn no_rows(span: sqlparser::tokenizer::Span) -> Refusal {
    let message = "Rows cannot be shown, only groups and aggregates.";
    let suggestion =
        "SELECT event, COUNT(*) AS n, COUNT(DISTINCT subject) AS people FROM usage GROUP BY event";
    Refusal::new(Rule::Aggregate, span, message, suggestion)
}

impl<'a> Split<'a> {
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

    /// What a relation has rows of; none when they are released ones.
    pub(super) fn source(&mut self, factor: &TableFactor) -> Result<Option<Source>, LanguageError> {
        if !self.is_protected(factor) {
            return Ok(None);
        }
        let alias = |alias: &Option<TableAlias>| alias.as_ref().map(|alias| plain_name(&alias.name));
        let source = match factor {
            TableFactor::Table { name, alias: named, args: Some(args), .. } => {
                let name = table_name(name).unwrap_or_default();
                let mut source = self.template(&name, &args.args, factor.span())?;
                source.alias = alias(named).or(source.alias);
                source
            }
            TableFactor::Table { name, alias: named, args: None, .. } => {
                let name = table_name(name).unwrap_or_default();
                match (self.cte(&name), kind(&name)) {
                    (Some(scope), _) => {
                        let Known::Rows(cte) = &scope.cte else { return Ok(None) };
                        let before = std::mem::replace(&mut self.scope, scope.outer.clone());
                        let source = self.of_cte(cte);
                        self.scope = before;
                        let mut source = source?;
                        source.alias = alias(named).or(Some(name));
                        source
                    }
                    (None, Some(kind)) => Source {
                        kind,
                        alias: alias(named).or(Some(name)),
                        names: Names::Table(Vec::new()),
                        shape: Shape::Events,
                        filter: None,
                        members: Vec::new(),
                        notes: Vec::new(),
                    },
                    (None, None) => return Ok(None),
                }
            }
            TableFactor::Derived { subquery, alias: named, .. } => {
                let mut source = self.derived(subquery)?;
                source.alias = alias(named);
                rename(&mut source, named.as_ref())?;
                source
            }
            _ => return Ok(None),
        };
        Ok(Some(source))
    }

    fn of_cte(&mut self, cte: &Cte) -> Result<Source, LanguageError> {
        let mut source = self.derived(&cte.query)?;
        rename(&mut source, Some(&cte.alias))?;
        Ok(source)
    }

    /// The rows of a subquery.
    fn derived(&mut self, query: &Query) -> Result<Source, LanguageError> {
        if query.limit_clause.is_some() {
            let message = "LIMIT over events or subjects would choose among them.";
            let suggestion = "SELECT os, COUNT(*) AS n FROM usage GROUP BY os ORDER BY n DESC LIMIT 3";
            return Err(Refusal::new(Rule::Clause, query.body.span(), message, suggestion).into());
        }
        let Some(select) = self.rows(query).cloned() else {
            return Err(no_rows(query.body.span()).into());
        };
        let Some(TableWithJoins { relation, .. }) = select.from.first() else {
            return Err(no_rows(query.body.span()).into());
        };
        let Some(inner) = self.source(relation)? else {
            return Err(no_rows(query.body.span()).into());
        };
        match row_of(&select) {
            RowOf::Subject => self.person(&select, inner),
            RowOf::Event | RowOf::Group => self.events(&select, inner),
        }
    }

    /// The columns over a source.
    pub(super) fn columns(&self, source: &Source) -> Columns<'a> {
        let values = match &source.shape {
            Shape::Subjects(person) => person.values.clone(),
            Shape::Events | Shape::Funnel { .. } | Shape::Retention { .. } => Vec::new(),
        };
        Columns {
            registry: self.registry,
            table: self.registry.table(source.kind),
            alias: source.alias.clone(),
            names: source.names.clone(),
            now_ms: self.now_ms,
            values,
            filter: source.filter.clone(),
            person: None,
        }
    }

    /// Rows as they are, with other names and fewer of them.
    fn events(&mut self, select: &Select, mut source: Source) -> Result<Source, LanguageError> {
        let mut names: Vec<(String, Named)> = Vec::new();
        let wheres = self.wheres(select, &mut source)?;
        if let Some(above) = wheres.above.first() {
            let message = "A subquery of rows cannot be filtered by another query's answer.";
            return Err(Refusal::new(Rule::Expression, above.span(), message, crate::parse::SHAPE).into());
        }
        let columns = self.columns(&source);
        for item in &select.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, default_name(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr, plain_name(alias)),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    names.extend(columns.all());
                    continue;
                }
                SelectItem::ExprWithAliases { .. } => continue,
            };
            let named = match columns.unit(expr) {
                Some(unit) => unit,
                None => Named::Value(normal(columns.scalar(expr, None)?)),
            };
            names.push((name, named));
        }
        source.names = Names::Listed(names);
        Ok(source)
    }
}

/// The names of `AS t (a, b)`.
fn rename(source: &mut Source, alias: Option<&TableAlias>) -> Result<(), Refusal> {
    let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) else { return Ok(()) };
    let Names::Listed(list) = &mut source.names else { return Ok(()) };
    if alias.columns.len() > list.len() {
        let message = "There are more names than columns.";
        return Err(Refusal::new(Rule::Name, alias.name.span, message, crate::parse::SHAPE));
    }
    for (column, (name, _)) in alias.columns.iter().zip(list) {
        *name = plain_name(&column.name);
    }
    Ok(())
}
