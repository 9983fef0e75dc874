//! Items of SELECT that stand for several: HISTOGRAM, and PERCENTILE_CONT of an array.
//!
//! ```text
//! histogram(x) AS n                                        bucket(x) AS bucket, COUNT(*) AS n   (GROUP BY .., bucket(x))
//! percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (..) AS p  percentile_cont(0.5) .. AS p_50, percentile_cont(0.9) .. AS p_90
//! ```
//! Invariants: such an item is written out as SQL, so that everything else knows one form only.

use sqlparser::ast::{
    Array, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, ObjectName, ObjectNamePart, Select, SelectItem, Spanned, Value, ValueWithSpan,
};

use super::naming::{default_name, quoted};

fn name(function: &Function, text: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(Ident::with_span(function.span(), text))])
}

fn args(function: &Function) -> &[FunctionArg] {
    match &function.args {
        FunctionArguments::List(list) => &list.args,
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    }
}

fn of(arg: FunctionArgExpr) -> FunctionArguments {
    let args = vec![FunctionArg::Unnamed(arg)];
    FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() })
}

/// Writes out the items that stand for several.
pub(super) fn expand(select: &mut Select) {
    for item in std::mem::take(&mut select.projection) {
        let (expr, alias) = match &item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias.clone())),
            SelectItem::ExprWithAliases { .. }
            | SelectItem::QualifiedWildcard(..)
            | SelectItem::Wildcard(_) => {
                select.projection.push(item);
                continue;
            }
        };
        let Expr::Function(function) = expr else {
            select.projection.push(item);
            continue;
        };
        let called = function.name.to_string().to_ascii_lowercase();
        let array = match args(function) {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(Array { elem, named: _ })))] => {
                Some(elem)
            }
            _ => None,
        };
        match (called.as_str(), array) {
            ("histogram", _) if function.over.is_none() => histogram(select, function, alias),
            ("percentile_cont" | "percentile_disc", Some(shares)) => {
                let stem = alias.map_or_else(|| default_name(expr), |alias| alias.value);
                for share in shares {
                    let expr =
                        Function { args: of(FunctionArgExpr::Expr(share.clone())), ..function.clone() };
                    let alias = quoted(format!("{stem}_{}", percent(share)));
                    select.projection.push(SelectItem::ExprWithAlias { expr: Expr::Function(expr), alias });
                }
            }
            _ => select.projection.push(item),
        }
    }
}

/// `0.95` as `95`, `0.999` as `99_9`.
fn percent(share: &Expr) -> String {
    let text = match share {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), span: _ }) => text.as_str(),
        _ => return "value".to_owned(),
    };
    let places = text.split_once('.').map_or("", |(_, places)| places);
    let (whole, rest) = places.split_at(places.len().min(2));
    match rest.is_empty() {
        true => format!("{whole:0<2}"),
        false => format!("{whole}_{rest}"),
    }
}

fn histogram(select: &mut Select, function: &Function, alias: Option<Ident>) {
    let bucket = Function { name: name(function, "bucket"), filter: None, ..function.clone() };
    let count =
        Function { name: name(function, "count"), args: of(FunctionArgExpr::Wildcard), ..function.clone() };
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.push(Expr::Function(bucket.clone()));
    }
    let alias = alias.unwrap_or_else(|| quoted("count"));
    select
        .projection
        .push(SelectItem::ExprWithAlias { expr: Expr::Function(bucket), alias: quoted("bucket") });
    select.projection.push(SelectItem::ExprWithAlias { expr: Expr::Function(count), alias });
}
