//! Readings of the parser's tree that several stages share: names, plain calls, items, arms of a condition.
//!
//! Invariants: everything here follows from how SQL is written, never from the schema.
//! Not here: what a name or a call means (`bind`), which nodes a statement may have (`parse`).

use std::ops::ControlFlow;

use crate::walk::visit_expressions;
use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectNamePart, SelectItem, Value, ValueWithSpan,
};

/// An identifier as SQL reads it: in lower case unless quoted.
pub(crate) fn plain_name(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Name (lower case) and arguments of a call that has nothing else.
pub(crate) fn plain_call(function: &Function) -> Option<(String, Vec<&Expr>)> {
    let Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group,
    } = function
    else {
        return None;
    };
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
        return None;
    };
    let args: Option<Vec<&Expr>> = args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
        })
        .collect();
    (clauses.is_empty() && within_group.is_empty()).then_some((plain_name(name), args?))
}

/// The arguments of a call that are expressions without names, whatever else it has.
pub(crate) fn arguments(function: &Function) -> Vec<&Expr> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
            })
            .collect(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => Vec::new(),
    }
}

/// The name of a call in lower case, as it is written.
pub(crate) fn called(function: &Function) -> String {
    function.name.to_string().to_ascii_lowercase()
}

/// The text of a literal.
pub(crate) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), span: _ }) => Some(text),
        Expr::Nested(inner) => text_of(inner),
        _ => None,
    }
}

/// The expression of an item of SELECT; none for a wildcard.
pub(crate) fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => {
            None
        }
    }
}

/// The arms of a top-level AND.
pub(crate) fn arms(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(inner) => arms(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut all = arms(left);
            all.extend(arms(right));
            all
        }
        other => vec![other],
    }
}

/// How many expressions an expression has, subqueries and itself among them.
pub(crate) fn nodes(expr: &Expr) -> u64 {
    let mut nodes = 0;
    any(expr, &mut |_| {
        nodes += 1;
        false
    });
    nodes
}

/// Whether an expression, or one inside, is such; subqueries are looked into.
pub(crate) fn any(expr: &Expr, is: &mut dyn FnMut(&Expr) -> bool) -> bool {
    let found = visit_expressions(expr, |inner| match is(inner) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    found.is_break()
}
