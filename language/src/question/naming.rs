//! Names of output columns: the names that PostgreSQL gives, made unique and written out.
//!
//! Invariants: afterwards every item of every SELECT has an alias in quotes, so that the planner names nothing itself.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, Spanned, Value as SqlValue, ValueWithSpan};

use crate::error::{Refusal, Rule, without_values};
use crate::syntax::plain_name;

/// An identifier in quotes.
pub(super) fn quoted(name: impl Into<String>) -> Ident {
    Ident::with_quote('"', name)
}

/// A name in quotes as an expression.
pub(super) fn named(name: impl Into<String>) -> Expr {
    Expr::Identifier(quoted(name))
}

/// Gives every item a name. `originals` are the items as they were written.
pub(super) fn aliases(items: &mut [SelectItem], originals: &[SelectItem]) {
    let mut taken: BTreeSet<String> = originals
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(plain_name(alias)),
            _ => None,
        })
        .collect();
    for (item, original) in items.iter_mut().zip(originals) {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            *alias = quoted(plain_name(alias));
            continue;
        }
        let (SelectItem::UnnamedExpr(expr), SelectItem::UnnamedExpr(written)) = (&*item, original) else {
            continue;
        };
        let base = default_name(written);
        let numbered = |n: usize| if n == 1 { base.clone() } else { format!("{base}_{n}") };
        let name = (1..=taken.len() + 2).map(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(name.clone());
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(name) };
    }
}

/// The name that PostgreSQL gives to an item without AS.
pub(super) fn default_name(expr: &Expr) -> String {
    let inner = |inner: &Expr, other: &str| match default_name(inner) {
        name if name == "value" => other.to_owned(),
        name => name,
    };
    match expr {
        Expr::Identifier(name) => plain_name(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(plain_name).unwrap_or_default(),
        Expr::Function(function) => {
            function.name.0.last().map(|part| part.to_string().to_ascii_lowercase()).unwrap_or_default()
        }
        Expr::Nested(expr) => default_name(expr),
        Expr::Cast { expr, .. } => inner(expr, "value"),
        Expr::Case { else_result: Some(expr), .. } => inner(expr, "case"),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Extract { .. } => "extract".to_owned(),
        Expr::Floor { .. } => "floor".to_owned(),
        Expr::Ceil { .. } => "ceil".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        _ => "value".to_owned(),
    }
}

/// Refuses two columns of the answer with one name, and a column with the name of another's deviation or interval.
pub(super) fn unique(query: &Query) -> Result<(), Refusal> {
    let mut body = query.body.as_ref();
    let items = loop {
        match body {
            SetExpr::Select(select) => break &select.projection,
            SetExpr::Query(inner) => body = &inner.body,
            SetExpr::SetOperation { left, .. } => body = left,
            _ => return Ok(()),
        }
    };
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let aliases = items.iter().filter_map(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias),
        _ => None,
    });
    for alias in aliases.clone() {
        let of_another = |suffix: &str| {
            let stem = alias.value.strip_suffix(suffix);
            stem.is_some_and(|stem| aliases.clone().any(|other| other.value == stem))
        };
        if !names.insert(&alias.value) || ["_sd", "_low", "_high"].into_iter().any(of_another) {
            let message = format!("Two columns of the answer would be called `{}`.", alias.value);
            let message = without_values(&message);
            let suggestion = "SELECT COUNT(*) AS events, COUNT(DISTINCT subject) AS people FROM usage";
            return Err(Refusal::new(Rule::Name, alias.span, message, suggestion));
        }
    }
    Ok(())
}

/// The index of a position such as `ORDER BY 2`.
pub(super) fn position(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(ValueWithSpan { value: SqlValue::Number(text, false), span: _ }) => {
            Some(text.parse::<usize>().ok()?.wrapping_sub(1))
        }
        _ => None,
    }
}

pub(super) fn no_such_position(expr: &Expr) -> Refusal {
    let message = "SELECT has no item of this position; the first is 1.";
    let suggestion = "SELECT os, COUNT(*) AS n FROM usage GROUP BY 1 ORDER BY 2 DESC";
    Refusal::new(Rule::Name, expr.span(), message, suggestion)
}

/// The released column of a key.
pub(super) fn key_name(index: usize) -> String {
    format!("k{index}")
}

/// The released column of an aggregate.
pub(super) fn aggregate_name(index: usize) -> String {
    format!("a{index}")
}
