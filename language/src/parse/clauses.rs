//! Clauses: queries, selects, relations, joins. Each is allowed or refused by name; allowed ones are walked.
//!
//! Invariants: every struct is taken apart without `..` and every enum without `_`. Not here: expressions.

use sqlparser::ast::{
    Cte, Distinct, Expr, GroupByExpr, GroupByWithModifier, Join, JoinConstraint, JoinOperator, LimitClause,
    NamedWindowDefinition, NamedWindowExpr, ObjectName, ObjectNamePart, Offset, OrderBy, OrderByExpr,
    OrderByKind, OrderByOptions, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, SetOperator, SetQuantifier, Spanned, TableAlias, TableFactor, TableFunctionArgs, TableWithJoins,
    Value, ValueWithSpan, Values, WildcardAdditionalOptions, With,
};
use sqlparser::tokenizer::Span;

use super::expressions::{argument, expr, window};
use super::{SHAPE, clause, deeper};
use crate::error::{Refusal, Rule};

/// Walks a query.
pub(super) fn query(query: &Query, depth: usize) -> Result<(), Refusal> {
    let depth = deeper(depth, || query.span())?;
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
    clause(fetch.is_some(), at(), "FETCH (write LIMIT)")?;
    clause(!locks.is_empty(), at(), "FOR UPDATE or FOR SHARE")?;
    clause(for_clause.is_some(), at(), "FOR XML or FOR JSON")?;
    clause(settings.is_some(), at(), "SETTINGS")?;
    clause(format_clause.is_some(), at(), "FORMAT")?;
    clause(!pipe_operators.is_empty(), at(), "A pipe")?;
    if let Some(ctes) = ctes {
        with(ctes, depth)?;
    }
    set(body, depth)?;
    if let Some(by) = order_by {
        let OrderBy { kind, interpolate } = by;
        clause(interpolate.is_some(), by.span(), "INTERPOLATE")?;
        match kind {
            OrderByKind::All(_) => clause(true, by.span(), "ORDER BY ALL")?,
            OrderByKind::Expressions(list) => order(list, depth)?,
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

fn with(ctes: &With, depth: usize) -> Result<(), Refusal> {
    let With { with_token: _, recursive, cte_tables } = ctes;
    clause(*recursive, ctes.span(), "WITH RECURSIVE")?;
    for cte in cte_tables {
        let Cte { alias: name, query: inner, from, materialized: _, closing_paren_token: _ } = cte;
        clause(from.is_some(), cte.span(), "FROM after a CTE")?;
        alias(name)?;
        query(inner, depth)?;
    }
    Ok(())
}

fn set(body: &SetExpr, depth: usize) -> Result<(), Refusal> {
    let depth = deeper(depth, || body.span())?;
    match body {
        SetExpr::Select(inner) => select(inner, depth),
        SetExpr::Query(inner) => query(inner, depth),
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
            set(left, depth)?;
            set(right, depth)
        }
        SetExpr::Values(values) => {
            let Values { explicit_row, value_keyword, rows } = values;
            clause(*explicit_row || *value_keyword, body.span(), "ROW or VALUE")?;
            for row in rows {
                row.content.iter().try_for_each(|item| expr(item, depth))?;
            }
            Ok(())
        }
        SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => {
            let message = "A query is made of SELECT, set operations and VALUES.";
            Err(Refusal::new(Rule::Statement, body.span(), message, SHAPE))
        }
    }
}

/// ORDER BY.
pub(super) fn order(list: &[OrderByExpr], depth: usize) -> Result<(), Refusal> {
    for item in list {
        let OrderByExpr { expr: by, options, with_fill } = item;
        let OrderByOptions { asc: _, nulls_first: _ } = options;
        clause(with_fill.is_some(), by.span(), "WITH FILL")?;
        expr(by, depth)?;
    }
    Ok(())
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

fn select(select: &Select, depth: usize) -> Result<(), Refusal> {
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
        Some(Distinct::On(list)) => list.iter().try_for_each(|item| expr(item, depth))?,
    }
    for item in projection {
        self::item(item, depth)?;
    }
    for TableWithJoins { relation: first, joins } in from {
        relation(first, depth)?;
        joins.iter().try_for_each(|one| join(one, depth))?;
    }
    for condition in selection.iter().chain(having) {
        expr(condition, depth)?;
    }
    keys(group_by, depth)?;
    for NamedWindowDefinition(_, definition) in named_window {
        match definition {
            NamedWindowExpr::NamedWindow(_) => {}
            NamedWindowExpr::WindowSpec(spec) => window(spec, depth)?,
        }
    }
    Ok(())
}

fn keys(group_by: &GroupByExpr, depth: usize) -> Result<(), Refusal> {
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
            list.iter().try_for_each(|key| expr(key, depth))
        }
    }
}

fn item(item: &SelectItem, depth: usize) -> Result<(), Refusal> {
    match item {
        SelectItem::UnnamedExpr(inner) | SelectItem::ExprWithAlias { expr: inner, alias: _ } => {
            expr(inner, depth)
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

/// A wildcard has no additions.
pub(super) fn wildcard(options: &WildcardAdditionalOptions, span: Span) -> Result<(), Refusal> {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    let is_plain = opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none();
    clause(!is_plain, span, "EXCLUDE, EXCEPT, REPLACE, RENAME or ILIKE after *")
}

/// A name's parts, all of them identifiers.
pub(super) fn plain(name: &ObjectName) -> Result<(), Refusal> {
    let ObjectName(parts) = name;
    for part in parts {
        match part {
            ObjectNamePart::Identifier(_) => {}
            ObjectNamePart::Function(_) => clause(true, name.span(), "A name that is made by a function")?,
        }
    }
    Ok(())
}

fn join(join: &Join, depth: usize) -> Result<(), Refusal> {
    let Join { relation: joined, global, join_operator } = join;
    let depth = deeper(depth, || joined.span())?;
    clause(*global, joined.span(), "GLOBAL JOIN")?;
    relation(joined, depth)?;
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
        JoinConstraint::On(condition) => expr(condition, depth),
        JoinConstraint::Using(names) => names.iter().try_for_each(plain),
        JoinConstraint::Natural | JoinConstraint::None => Ok(()),
    }
}

fn relation(factor: &TableFactor, depth: usize) -> Result<(), Refusal> {
    let at = || factor.span();
    match factor {
        TableFactor::Table {
            name,
            alias: named,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            clause(!with_hints.is_empty(), at(), "A table hint")?;
            clause(version.is_some(), at(), "Time travel")?;
            clause(*with_ordinality, at(), "WITH ORDINALITY")?;
            clause(!partitions.is_empty(), at(), "PARTITION")?;
            clause(json_path.is_some(), at(), "A JSON path")?;
            clause(sample.is_some(), at(), "TABLESAMPLE")?;
            clause(!index_hints.is_empty(), at(), "An index hint")?;
            plain(name)?;
            if let Some(TableFunctionArgs { args, settings }) = args {
                clause(settings.is_some(), at(), "SETTINGS")?;
                args.iter().try_for_each(|arg| argument(arg, true, depth))?;
            }
            named.as_ref().map_or(Ok(()), alias)
        }
        TableFactor::Derived { lateral, subquery, alias: named, sample } => {
            clause(*lateral, at(), "LATERAL")?;
            clause(sample.is_some(), at(), "TABLESAMPLE")?;
            query(subquery, depth)?;
            named.as_ref().map_or(Ok(()), alias)
        }
        TableFactor::NestedJoin { table_with_joins, alias: named } => {
            clause(named.is_some(), at(), "An alias of a join")?;
            let TableWithJoins { relation: first, joins } = table_with_joins.as_ref();
            let depth = deeper(depth, at)?;
            relation(first, depth)?;
            joins.iter().try_for_each(|one| join(one, depth))
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
