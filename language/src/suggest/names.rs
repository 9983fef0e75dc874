//! Writes names otherwise: unknown names of columns and tables become the nearest known ones, and names of the answer that
//! collide become different.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use shoal_schemas::{ColumnRole, Kind, Region, columns};
use sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, ObjectName, ObjectNamePart, OrderByKind, Query, SelectItem, SetExpr,
    Spanned, TableFactor, VisitorMut,
};

use super::place::{change, each_query, parsed, replace};
use super::statement::Situation;
use crate::bind::FUNCTIONS;
use crate::question::POSTPROCESS_FUNCTIONS;
use crate::syntax::plain_name;
use crate::walk::visit_mut;
use shoal_schemas::nearest::nearest;

/// Writes an unknown column as the one of the nearest name.
pub(super) fn column(query: &mut Query, situation: &Situation<'_>) -> bool {
    let mut known: BTreeSet<&str> = BTreeSet::from(["region", columns::SUBJECT, columns::SESSION]);
    for kind in &situation.kinds {
        let all = &situation.registry.table(*kind).columns;
        known.extend(all.iter().filter(|c| is_seen(&c.role)).map(|c| c.name.as_str()));
    }
    let relations = relations(query);
    replace(query, &mut |expr| {
        if !situation.place.starts(expr.span()) {
            return None;
        }
        let written = match expr {
            Expr::Identifier(name) => name,
            // A column of the outer statement would mean something else without its table's name.
            Expr::CompoundIdentifier(parts) => parts.last().filter(|_| match parts.as_slice() {
                [table, _] => !relations.contains(&plain_name(table)),
                _ => true,
            })?,
            _ => return None,
        };
        let found = nearest(&written.value, known.iter().copied())?;
        let other = Expr::Identifier(Ident::new(found));
        (other.to_string() != expr.to_string()).then_some(other)
    })
}

struct Relations(BTreeSet<String>);

impl VisitorMut for Relations {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor {
            self.0.insert(alias.as_ref().map_or_else(|| name.to_string(), |alias| plain_name(&alias.name)));
        }
        ControlFlow::Continue(())
    }
}

/// The names in front of columns.
fn relations(query: &mut Query) -> BTreeSet<String> {
    let mut found = Relations(BTreeSet::new());
    let _ = visit_mut(query, &mut found);
    found.0
}

/// Whether analysts see such a column. A hidden column is never suggested.
fn is_seen(role: &ColumnRole) -> bool {
    match role {
        ColumnRole::Dimension { .. } | ColumnRole::Measure(_) | ColumnRole::Time => true,
        ColumnRole::Hidden | ColumnRole::Unit => false,
    }
}

/// Renames tables, but not the names of WITH.
struct Tables<'t> {
    ctes: BTreeSet<String>,
    other: &'t dyn Fn(&str) -> Option<&'t str>,
}

impl VisitorMut for Tables<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args: None, .. } = factor else { return ControlFlow::Continue(()) };
        let Some(ObjectNamePart::Identifier(last)) = name.0.last() else { return ControlFlow::Continue(()) };
        let written = plain_name(last);
        let is_known = self.ctes.contains(&written) || Kind::ALL.iter().any(|kind| kind.as_str() == written);
        if is_known && name.0.len() == 1 {
            return ControlFlow::Continue(());
        }
        if let Some(found) = (self.other)(&last.value) {
            name.0 = vec![ObjectNamePart::Identifier(Ident::new(found))];
        }
        ControlFlow::Continue(())
    }
}

fn tables<'t>(query: &mut Query, other: &'t dyn Fn(&str) -> Option<&'t str>) -> bool {
    let before = query.to_string();
    let mut ctes = BTreeSet::new();
    each_query(query, &mut |one| {
        ctes.extend(one.with.iter().flat_map(|with| &with.cte_tables).map(|cte| plain_name(&cte.alias.name)));
    });
    let _ = visit_mut(query, &mut Tables { ctes, other });
    query.to_string() != before
}

/// Writes an unknown table as the one of the nearest name.
pub(super) fn table(query: &mut Query, _: &Situation<'_>) -> bool {
    tables(query, &|name| nearest(name, Kind::ALL.iter().map(|kind| kind.as_str())))
}

/// Renames the second column of one name, and a column with the name of another's deviation or interval.
pub(super) fn aliases(query: &mut Query, _: &Situation<'_>) -> bool {
    let mut is_done = false;
    change(query, &mut |select| {
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for item in &mut select.projection {
            let SelectItem::ExprWithAlias { expr, alias } = item else {
                continue;
            };
            let plain: String =
                alias.value.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
            let is_odd = alias.quote_style.is_some() && plain != alias.value;
            let is_of_another = ["_sd", "_low", "_high"].iter().any(|end| alias.value.ends_with(end));
            if is_odd || is_of_another || taken.contains(&alias.value) || alias.value.len() > 60 {
                let stem = if plain.is_empty() { "value" } else { &plain };
                let numbered = (2..100).map(|n| format!("{stem}_{n}"));
                let Some(name) = numbered.into_iter().find(|name| !taken.contains(name)) else { continue };
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(name.clone()) };
                taken.insert(name);
                is_done = true;
            } else {
                taken.insert(alias.value.clone());
            }
        }
        false
    });
    is_done
}

/// Leaves out positions that SELECT does not have.
pub(super) fn positions(query: &mut Query, _: &Situation<'_>) -> bool {
    let before = query.to_string();
    each_query(query, &mut |one| {
        let SetExpr::Select(select) = one.body.as_mut() else { return };
        let items = select.projection.len();
        let is_fine = |expr: &Expr| match expr.to_string().parse::<usize>() {
            Ok(at) => (1..=items).contains(&at),
            Err(_) => !matches!(expr, Expr::Value(_)),
        };
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.retain(&is_fine);
        }
        if let Some(order) = &mut one.order_by
            && let OrderByKind::Expressions(list) = &mut order.kind
        {
            list.retain(|by| is_fine(&by.expr));
            if list.is_empty() {
                one.order_by = None;
            }
        }
    });
    query.to_string() != before
}

/// Writes a region that is not spelt as it should be in upper case and quotes.
pub(super) fn region(query: &mut Query, _: &Situation<'_>) -> bool {
    let is_region = |expr: &Expr| {
        matches!(expr, Expr::Identifier(name) if plain_name(name) == "region")
            || matches!(expr, Expr::CompoundIdentifier(parts) if parts.last().is_some_and(|n| plain_name(n) == "region"))
    };
    let other = |expr: &Expr| -> Option<Expr> {
        let text = expr.to_string().trim_matches('\'').to_ascii_uppercase();
        let found = Region::ALL.iter().find(|region| region.as_str() == text)?;
        parsed(&format!("'{found}'")).filter(|other| other != expr)
    };
    replace(query, &mut |expr| match expr {
        Expr::BinaryOp { left, op, right } if is_region(left) => {
            Some(Expr::BinaryOp { left: left.clone(), op: op.clone(), right: Box::new(other(right)?) })
        }
        Expr::InList { expr: of, list, negated } if is_region(of) => {
            let others: Vec<Expr> =
                list.iter().map(|one| other(one).unwrap_or_else(|| one.clone())).collect();
            (others != *list).then(|| Expr::InList { expr: of.clone(), list: others, negated: *negated })
        }
        _ => None,
    })
}

/// Writes an unknown function as the one of the nearest name.
pub(super) fn function(query: &mut Query, situation: &Situation<'_>) -> bool {
    let known = || FUNCTIONS.into_iter().chain(POSTPROCESS_FUNCTIONS);
    replace(query, &mut |expr| {
        let Expr::Function(function) = expr else { return None };
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
        let written = plain_name(name);
        if !situation.place.starts(expr.span()) || known().any(|known| known == written) {
            return None;
        }
        let found = nearest(&written, known())?;
        let name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(found))]);
        Some(Expr::Function(Function { name, ..function.clone() }))
    })
}
