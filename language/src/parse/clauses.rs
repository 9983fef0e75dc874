//! Clauses: queries, selects, relations, joins. Each is allowed or refused by name; allowed ones are walked.
//!
//! Invariants: every struct is taken apart without `..` and every enum without `_`. Not here: expressions
//! (`expressions`), the clauses of what stands in FROM (`relations`).

use sqlparser::ast::{
    Cte, Distinct, Expr, Fetch, GroupByExpr, GroupByWithModifier, Join, JoinConstraint, JoinOperator,
    LimitClause, NamedWindowDefinition, NamedWindowExpr, Offset, OrderBy, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned,
    TableAlias, TableFactor, TableFunctionArgs, TableWithJoins, Value, ValueWithSpan, Values, With,
};

use super::expressions::{argument, expr, order, window};
use super::names::{plain, wildcard};
use super::relations::clause_of;
use super::walk::{SHAPE, Walk, clause, not_a_query};
use crate::error::{Refusal, Rule};

/// Walks a whole query.
pub(super) fn walk(whole: &Query) -> Result<(), Refusal> {
    query(whole, Walk::of(query))
}

/// Walks a query.
fn query(query: &Query, walk: Walk) -> Result<(), Refusal> {
    let walk = walk.deeper(|| query.span())?;
    let Query {
        with: ctes,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let at = || query.body.span();
    if let Some(Fetch { with_ties, percent, quantity }) = fetch {
        clause(*with_ties || *percent, at(), "FETCH with PERCENT or WITH TIES")?;
        let is_limited = !matches!(limit_clause, None | Some(LimitClause::LimitOffset { limit: None, .. }));
        clause(is_limited, at(), "FETCH beside LIMIT")?;
        quantity.as_ref().map_or(Ok(()), count)?;
    }
    clause(!locks.is_empty(), at(), "FOR UPDATE or FOR SHARE")?;
    clause(for_clause.is_some(), at(), "FOR XML or FOR JSON")?;
    clause(settings.is_some(), at(), "SETTINGS")?;
    clause(format_clause.is_some(), at(), "FORMAT")?;
    clause(!pipe_operators.is_empty(), at(), "A pipe")?;
    if let Some(ctes) = ctes {
        with(ctes, walk)?;
    }
    set(body, walk)?;
    if let Some(by) = order_by {
        let OrderBy { kind, interpolate } = by;
        clause(interpolate.is_some(), by.span(), "INTERPOLATE")?;
        match kind {
            OrderByKind::All(_) => clause(true, by.span(), "ORDER BY ALL")?,
            OrderByKind::Expressions(list) => order(list, walk)?,
        }
    }
    match limit_clause {
        None => Ok(()),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
            clause(!limit_by.is_empty(), at(), "LIMIT BY")?;
            if let Some(Offset { value, rows: _ }) = offset {
                count(value)?;
            }
            limit.as_ref().map_or(Ok(()), count)
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit: _ }) => {
            clause(true, offset.span(), "LIMIT a, b (write LIMIT b OFFSET a)")
        }
    }
}

fn with(ctes: &With, walk: Walk) -> Result<(), Refusal> {
    let With { with_token: _, recursive, cte_tables } = ctes;
    clause(*recursive, ctes.span(), "WITH RECURSIVE")?;
    for cte in cte_tables {
        let Cte { alias: name, query: inner, from, materialized: _, closing_paren_token: _ } = cte;
        clause(from.is_some(), cte.span(), "FROM after a CTE")?;
        alias(name)?;
        query(inner, walk)?;
    }
    Ok(())
}

fn set(body: &SetExpr, walk: Walk) -> Result<(), Refusal> {
    let walk = walk.deeper(|| body.span())?;
    match body {
        SetExpr::Select(inner) => select(inner, walk),
        SetExpr::Query(inner) => query(inner, walk),
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            match op {
                SetOperator::Union | SetOperator::Except | SetOperator::Intersect => {}
                SetOperator::Minus => clause(true, body.span(), "MINUS (write EXCEPT)")?,
            }
            match set_quantifier {
                SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None => {}
                SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => {
                    clause(true, body.span(), "BY NAME")?;
                }
            }
            set(left, walk)?;
            set(right, walk)
        }
        SetExpr::Values(values) => {
            let Values { explicit_row, value_keyword, rows } = values;
            clause(*explicit_row || *value_keyword, body.span(), "ROW or VALUE")?;
            for row in rows {
                row.content.iter().try_for_each(|item| expr(item, walk))?;
            }
            Ok(())
        }
        SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => Err(not_a_query(body.span())),
    }
}

fn count(expr: &Expr) -> Result<(), Refusal> {
    if let Expr::Value(ValueWithSpan { value: Value::Number(text, false), span: _ }) = expr
        && text.parse::<u32>().is_ok()
    {
        return Ok(());
    }
    let message = "LIMIT and OFFSET take a whole number.";
    let suggestion = "SELECT os, COUNT(*) AS n FROM usage GROUP BY os ORDER BY n DESC LIMIT 5 OFFSET 1";
    Err(Refusal::new(Rule::Clause, expr.span(), message, suggestion))
}

fn select(select: &Select, walk: Walk) -> Result<(), Refusal> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    let at = || select.span();
    clause(!optimizer_hints.is_empty(), at(), "A hint")?;
    clause(select_modifiers.is_some(), at(), "A SELECT modifier")?;
    clause(top.is_some(), at(), "TOP (write LIMIT)")?;
    clause(exclude.is_some(), at(), "EXCLUDE")?;
    clause(into.is_some(), at(), "INTO")?;
    clause(!lateral_views.is_empty(), at(), "LATERAL VIEW")?;
    clause(prewhere.is_some(), at(), "PREWHERE (write WHERE)")?;
    clause(!connect_by.is_empty(), at(), "CONNECT BY")?;
    clause(!cluster_by.is_empty(), at(), "CLUSTER BY")?;
    clause(!distribute_by.is_empty(), at(), "DISTRIBUTE BY")?;
    clause(!sort_by.is_empty(), at(), "SORT BY")?;
    clause(qualify.is_some(), at(), "QUALIFY (write a subquery and WHERE)")?;
    clause(value_table_mode.is_some(), at(), "SELECT AS")?;
    clause(*flavor != SelectFlavor::Standard, at(), "FROM before SELECT")?;
    clause(projection.is_empty(), at(), "An empty SELECT")?;
    match distinct {
        None | Some(Distinct::All | Distinct::Distinct) => {}
        Some(Distinct::On(list)) => list.iter().try_for_each(|item| expr(item, walk))?,
    }
    for item in projection {
        self::item(item, walk)?;
    }
    for TableWithJoins { relation: first, joins } in from {
        relation(first, walk)?;
        joins.iter().try_for_each(|one| join(one, walk))?;
    }
    for condition in selection.iter().chain(having) {
        expr(condition, walk)?;
    }
    keys(group_by, walk)?;
    for NamedWindowDefinition(_, definition) in named_window {
        match definition {
            NamedWindowExpr::NamedWindow(_) => {}
            NamedWindowExpr::WindowSpec(spec) => window(spec, walk)?,
        }
    }
    Ok(())
}

fn keys(group_by: &GroupByExpr, walk: Walk) -> Result<(), Refusal> {
    let modifier = |modifiers: &[GroupByWithModifier]| match modifiers.first() {
        None => Ok(()),
        Some(
            GroupByWithModifier::Rollup
            | GroupByWithModifier::Cube
            | GroupByWithModifier::Totals
            | GroupByWithModifier::GroupingSets(_),
        ) => clause(true, group_by.span(), "WITH ROLLUP, CUBE or TOTALS"),
    };
    match group_by {
        GroupByExpr::All(modifiers) => modifier(modifiers),
        GroupByExpr::Expressions(list, modifiers) => {
            modifier(modifiers)?;
            list.iter().try_for_each(|key| expr(key, walk))
        }
    }
}

fn item(item: &SelectItem, walk: Walk) -> Result<(), Refusal> {
    match item {
        SelectItem::UnnamedExpr(inner) | SelectItem::ExprWithAlias { expr: inner, alias: _ } => {
            expr(inner, walk)
        }
        SelectItem::ExprWithAliases { .. } => clause(true, item.span(), "More than one alias"),
        SelectItem::QualifiedWildcard(kind, options) => {
            wildcard(options, item.span())?;
            match kind {
                SelectItemQualifiedWildcardKind::ObjectName(name) => plain(name).map(|_| ()),
                SelectItemQualifiedWildcardKind::Expr(_) => {
                    clause(true, item.span(), "A wildcard of an expression")
                }
            }
        }
        SelectItem::Wildcard(options) => wildcard(options, item.span()),
    }
}

fn join(join: &Join, walk: Walk) -> Result<(), Refusal> {
    let Join { relation: joined, global, join_operator } = join;
    let walk = walk.deeper(|| joined.span())?;
    clause(*global, joined.span(), "GLOBAL JOIN")?;
    relation(joined, walk)?;
    let constraint = match join_operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on)
        | JoinOperator::CrossJoin(on) => on,
        JoinOperator::Semi(_)
        | JoinOperator::LeftSemi(_)
        | JoinOperator::RightSemi(_)
        | JoinOperator::Anti(_)
        | JoinOperator::LeftAnti(_)
        | JoinOperator::RightAnti(_)
        | JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::AsOf { .. }
        | JoinOperator::StraightJoin(_)
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => {
            return clause(true, joined.span(), "A join that is not INNER, LEFT, RIGHT, FULL or CROSS");
        }
    };
    match constraint {
        JoinConstraint::On(condition) => expr(condition, walk),
        JoinConstraint::Using(names) => names.iter().try_for_each(plain),
        JoinConstraint::Natural | JoinConstraint::None => Ok(()),
    }
}

/// What stands in FROM; its clauses are listed in `relations`.
fn relation(factor: &TableFactor, walk: Walk) -> Result<(), Refusal> {
    let at = || factor.span();
    if let Some(name) = clause_of(factor) {
        clause(true, at(), name)?;
    }
    match factor {
        TableFactor::Table { name, alias: named, args, .. } => {
            plain(name)?;
            if let Some(TableFunctionArgs { args, settings }) = args {
                clause(settings.is_some(), at(), "SETTINGS")?;
                args.iter().try_for_each(|arg| argument(arg, true, walk))?;
            }
            named.as_ref().map_or(Ok(()), alias)
        }
        TableFactor::Derived { subquery, alias: named, .. } => {
            query(subquery, walk)?;
            named.as_ref().map_or(Ok(()), alias)
        }
        TableFactor::NestedJoin { table_with_joins, .. } => {
            let TableWithJoins { relation: first, joins } = table_with_joins.as_ref();
            let walk = walk.deeper(at)?;
            relation(first, walk)?;
            joins.iter().try_for_each(|one| join(one, walk))
        }
        TableFactor::TableFunction { .. }
        | TableFactor::Function { .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::Pivot { .. }
        | TableFactor::Unpivot { .. }
        | TableFactor::MatchRecognize { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => {
            let message = "FROM takes tables, CTEs and subqueries.";
            Err(Refusal::new(Rule::Table, at(), message, SHAPE))
        }
    }
}

fn alias(alias: &TableAlias) -> Result<(), Refusal> {
    let TableAlias { explicit: _, name, columns, at } = alias;
    clause(at.is_some(), name.span, "AT")?;
    clause(columns.iter().any(|column| column.data_type.is_some()), name.span, "A type in an alias")
}
