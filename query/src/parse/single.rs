//! Text -> [`ParsedQuery`], for the engine that takes one SELECT apart itself. One SELECT over one name; every other statement and clause is refused here.
//!
//! Invariants: the statement's structs are taken apart without `..`, so a parser that learns a new clause does not
//! compile until somebody has decided about it. Text, tokens and depth are capped before anything else looks at them.
//! Not here: what names and expressions mean (`bind/`).

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, LimitClause, ObjectNamePart, Offset, OrderBy, OrderByExpr,
    OrderByKind, OrderByOptions, Query, Select, SelectFlavor, SelectItem, SetExpr, Spanned, Statement,
    TableAlias, TableFactor, TableWithJoins, Value, ValueWithSpan, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{SHAPE, one};
use crate::error::{Refusal, Rule};

/// One SELECT over one name, nothing resolved yet.
pub struct ParsedQuery {
    pub(crate) table: Ident,
    pub(crate) alias: Option<String>,
    pub(crate) items: Vec<Item>,
    pub(crate) filter: Option<Expr>,
    pub(crate) keys: Vec<Expr>,
    pub(crate) having: Option<Expr>,
    pub(crate) order: Vec<Order>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: Option<u64>,
}

/// One item of the SELECT list.
pub(crate) struct Item {
    pub(crate) expr: Expr,
    pub(crate) alias: Option<String>,
}

/// One item of ORDER BY.
pub(crate) struct Order {
    pub(crate) expr: Expr,
    pub(crate) options: OrderByOptions,
}

/// Parses a statement.
///
/// # Errors
/// A refusal that depends on the text alone.
pub fn parse(text: &str) -> Result<ParsedQuery, Refusal> {
    match one(text)? {
        Statement::Query(query) => self::query(*query, true),
        other => Err(Refusal::new(Rule::Statement, other.span(), "Only SELECT is answered.", SHAPE)),
    }
}

fn clause(present: bool, span: Span, name: &str) -> Result<(), Refusal> {
    if !present {
        return Ok(());
    }
    let message = format!("{name} cannot be used over a protected table.");
    Err(Refusal::new(Rule::Clause, span, message, SHAPE))
}

fn query(query: Query, outermost: bool) -> Result<ParsedQuery, Refusal> {
    let span = query.span();
    let Query {
        with,
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
    clause(with.is_some(), span, "WITH")?;
    clause(fetch.is_some(), span, "FETCH (write LIMIT)")?;
    clause(!locks.is_empty(), span, "FOR UPDATE or FOR SHARE")?;
    clause(for_clause.is_some(), span, "FOR XML or FOR JSON")?;
    clause(settings.is_some(), span, "SETTINGS")?;
    clause(format_clause.is_some(), span, "FORMAT")?;
    clause(!pipe_operators.is_empty(), span, "A pipe")?;
    let mut parsed = match *body {
        SetExpr::Select(select) => self::select(*select, outermost)?,
        SetExpr::Query(inner) if outermost => self::query(*inner, false)?,
        SetExpr::Query(_)
        | SetExpr::SetOperation { .. }
        | SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => {
            let message = "A query is one SELECT: no UNION, EXCEPT, INTERSECT, VALUES or TABLE.";
            return Err(Refusal::new(Rule::Statement, span, message, SHAPE));
        }
    };
    if let Some(order_by) = order_by {
        clause(!parsed.order.is_empty(), order_by.span(), "A second ORDER BY")?;
        clause(parsed.limit.is_some(), order_by.span(), "ORDER BY over a LIMIT")?;
        parsed.order = order(order_by)?;
    }
    if let Some(limit_clause) = limit_clause {
        limit(limit_clause, &mut parsed)?;
    }
    Ok(parsed)
}

fn order(order_by: OrderBy) -> Result<Vec<Order>, Refusal> {
    let span = order_by.span();
    let OrderBy { kind, interpolate } = order_by;
    clause(interpolate.is_some(), span, "INTERPOLATE")?;
    match kind {
        OrderByKind::All(_) => clause(true, span, "ORDER BY ALL").map(|()| Vec::new()),
        OrderByKind::Expressions(list) => list
            .into_iter()
            .map(|item| {
                let span = item.span();
                let OrderByExpr { expr, options, with_fill } = item;
                clause(with_fill.is_some(), span, "WITH FILL")?;
                Ok(Order { expr, options })
            })
            .collect(),
    }
}

fn limit(clause_: LimitClause, parsed: &mut ParsedQuery) -> Result<(), Refusal> {
    match clause_ {
        LimitClause::LimitOffset { limit, offset, limit_by } => {
            clause(!limit_by.is_empty(), Span::empty(), "LIMIT BY")?;
            if let Some(offset) = offset {
                let Offset { value, rows: _ } = offset;
                clause(parsed.limit.is_some(), value.span(), "OFFSET over a LIMIT")?;
                parsed.offset = Some(parsed.offset.unwrap_or(0).saturating_add(count(&value)?));
            }
            if let Some(limit) = limit {
                let n = count(&limit)?;
                parsed.limit = Some(parsed.limit.map_or(n, |inner| inner.min(n)));
            }
            Ok(())
        }
        LimitClause::OffsetCommaLimit { offset, .. } => {
            clause(true, offset.span(), "LIMIT a, b (write LIMIT b OFFSET a)")
        }
    }
}

fn count(expr: &Expr) -> Result<u64, Refusal> {
    if let Expr::Value(ValueWithSpan { value: Value::Number(text, false), span: _ }) = expr
        && let Ok(n) = text.parse::<u32>()
    {
        return Ok(u64::from(n));
    }
    let message = "LIMIT and OFFSET take a whole number.";
    Err(Refusal::new(Rule::Clause, expr.span(), message, "LIMIT 100"))
}

fn select(select: Select, outermost: bool) -> Result<ParsedQuery, Refusal> {
    let span = select.span();
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
    clause(!optimizer_hints.is_empty(), span, "A hint")?;
    refuse_distinct(distinct.as_ref(), span)?;
    clause(select_modifiers.is_some(), span, "A SELECT modifier")?;
    clause(top.is_some(), span, "TOP (write LIMIT)")?;
    clause(exclude.is_some(), span, "EXCLUDE")?;
    clause(into.is_some(), span, "INTO")?;
    clause(!lateral_views.is_empty(), span, "LATERAL VIEW")?;
    clause(prewhere.is_some(), span, "PREWHERE (write WHERE)")?;
    clause(!connect_by.is_empty(), span, "CONNECT BY")?;
    clause(!cluster_by.is_empty(), span, "CLUSTER BY")?;
    clause(!distribute_by.is_empty(), span, "DISTRIBUTE BY")?;
    clause(!sort_by.is_empty(), span, "SORT BY")?;
    clause(!named_window.is_empty(), span, "WINDOW")?;
    clause(qualify.is_some(), span, "QUALIFY")?;
    clause(value_table_mode.is_some(), span, "SELECT AS")?;
    clause(flavor != SelectFlavor::Standard, span, "FROM before SELECT")?;
    let keys = keys(group_by, span)?;
    let bare = selection.is_none() && keys.is_empty() && having.is_none();
    let (table, alias) = match relation(from, span)? {
        Relation::Derived(inner) if outermost && bare && is_star(&projection) => {
            return query(*inner, false);
        }
        Relation::Derived(inner) => {
            let message = "A subquery can only be wrapped as SELECT * FROM (..) LIMIT n.";
            return Err(Refusal::new(Rule::Table, inner.span(), message, SHAPE));
        }
        Relation::Named(name, alias) => (name, alias),
    };
    Ok(ParsedQuery {
        table,
        alias,
        items: items(projection)?,
        filter: selection,
        keys,
        having,
        order: Vec::new(),
        limit: None,
        offset: None,
    })
}

fn refuse_distinct(distinct: Option<&Distinct>, span: Span) -> Result<(), Refusal> {
    match distinct {
        None | Some(Distinct::All) => Ok(()),
        Some(Distinct::Distinct | Distinct::On(_)) => {
            let message = "SELECT DISTINCT would show rows.";
            let suggestion = "GROUP BY the same columns, with COUNT(*)";
            Err(Refusal::new(Rule::Clause, span, message, suggestion))
        }
    }
}

fn keys(group_by: GroupByExpr, span: Span) -> Result<Vec<Expr>, Refusal> {
    match group_by {
        GroupByExpr::Expressions(keys, modifiers) => {
            clause(!modifiers.is_empty(), span, "ROLLUP, CUBE or TOTALS").map(|()| keys)
        }
        GroupByExpr::All(_) => clause(true, span, "GROUP BY ALL").map(|()| Vec::new()),
    }
}

enum Relation {
    Named(Ident, Option<String>),
    Derived(Box<Query>),
}

fn relation(mut from: Vec<TableWithJoins>, span: Span) -> Result<Relation, Refusal> {
    let (Some(TableWithJoins { relation, joins }), true) = (from.pop(), from.is_empty()) else {
        let message = "A query reads exactly one table.";
        return Err(Refusal::new(Rule::Table, span, message, SHAPE));
    };
    clause(!joins.is_empty(), span, "JOIN")?;
    let span = relation.span();
    match relation {
        TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => {
            clause(args.is_some(), span, "A table function")?;
            clause(!with_hints.is_empty(), span, "A table hint")?;
            clause(version.is_some(), span, "Time travel")?;
            clause(with_ordinality, span, "WITH ORDINALITY")?;
            clause(!partitions.is_empty(), span, "PARTITION")?;
            clause(json_path.is_some(), span, "A JSON path")?;
            clause(sample.is_some(), span, "TABLESAMPLE")?;
            clause(!index_hints.is_empty(), span, "An index hint")?;
            match <[ObjectNamePart; 1]>::try_from(name.0) {
                Ok([ObjectNamePart::Identifier(name)]) => Ok(Relation::Named(name, alias_name(alias)?)),
                Ok([ObjectNamePart::Function(_)]) | Err(_) => {
                    let message = "A table has a plain name, without a schema.";
                    Err(Refusal::new(Rule::Table, span, message, "FROM usage"))
                }
            }
        }
        TableFactor::Derived { lateral, subquery, alias, sample } => {
            clause(lateral, span, "LATERAL")?;
            clause(sample.is_some(), span, "TABLESAMPLE")?;
            alias_name(alias)?;
            Ok(Relation::Derived(subquery))
        }
        TableFactor::TableFunction { .. }
        | TableFactor::Function { .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::NestedJoin { .. }
        | TableFactor::Pivot { .. }
        | TableFactor::Unpivot { .. }
        | TableFactor::MatchRecognize { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => {
            let message = "FROM takes the name of a table.";
            Err(Refusal::new(Rule::Table, span, message, "FROM usage"))
        }
    }
}

fn alias_name(alias: Option<TableAlias>) -> Result<Option<String>, Refusal> {
    let Some(alias) = alias else { return Ok(None) };
    let TableAlias { explicit: _, name, columns, at } = alias;
    clause(!columns.is_empty() || at.is_some(), name.span, "An alias with columns")?;
    Ok(Some(name.value))
}

fn is_star(projection: &[SelectItem]) -> bool {
    let [SelectItem::Wildcard(options)] = projection else {
        return false;
    };
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none()
}

fn items(projection: Vec<SelectItem>) -> Result<Vec<Item>, Refusal> {
    let each = |item: SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Ok(Item { expr, alias: None }),
        SelectItem::ExprWithAlias { expr, alias } => Ok(Item { expr, alias: Some(alias.value) }),
        other @ (SelectItem::ExprWithAliases { .. }
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::Wildcard(_)) => Err(Refusal::new(
            Rule::Aggregate,
            other.span(),
            "Rows cannot be shown, only keys and aggregates.",
            SHAPE,
        )),
    };
    projection.into_iter().map(each).collect()
}
