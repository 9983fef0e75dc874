//! Refuses texts that a key of listed values never is, in the clauses of a private SELECT that are left to postprocessing: HAVING and
//! the items.
//!
//! Invariants: nothing is looked at inside a subquery, whose names are others. Not here: conditions on events, and the refusal
//! itself (`bind/listed.rs`).

use std::ops::ControlFlow;

use sqlparser::ast::{Array, BinaryOperator, Expr, Query, Select, SelectItem, Visitor};

use crate::bind::aggregate_names::is_of_rows;
use crate::bind::columns::Columns;
use crate::error::Refusal;
use crate::syntax::{plain_name, text_of};
use crate::walk::visit;

struct Texts<'t> {
    columns: &'t Columns<'t>,
    items: &'t [SelectItem],
    /// How many subqueries the place is in.
    inside: usize,
    refused: Result<(), Refusal>,
}

impl Texts<'_> {
    /// What an expression stands for: the item of its name where it is no column.
    fn meant<'e>(&'e self, expr: &'e Expr) -> &'e Expr {
        let Expr::Identifier(name) = expr else { return expr };
        let plain = plain_name(name);
        let item = self.items.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if plain_name(alias) == plain => Some(expr),
            _ => None,
        });
        item.filter(|_| self.columns.column(name).is_err()).unwrap_or(expr)
    }

    fn compared(&self, expr: &Expr, with: &Expr) -> Result<(), Refusal> {
        let expr = self.meant(expr);
        if text_of(with).is_none() || text_of(expr).is_some() || is_of_rows(expr) {
            return Ok(());
        }
        // What cannot be bound has a refusal of its own, where it is used.
        self.columns.scalar(expr, None).map_or(Ok(()), |item| self.columns.listed_text(&item, with))
    }

    fn expression(&self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right }
            | Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right) => {
                self.compared(left, right)?;
                self.compared(right, left)
            }
            Expr::InList { expr, list, negated: _ } => {
                list.iter().try_for_each(|one| self.compared(expr, one))
            }
            Expr::AnyOp { left, right, .. } => match right.as_ref() {
                Expr::Array(Array { elem, named: _ }) => {
                    elem.iter().try_for_each(|one| self.compared(left, one))
                }
                _ => Ok(()),
            },
            Expr::Case { operand: Some(of), conditions, .. } => {
                conditions.iter().try_for_each(|one| self.compared(of, &one.condition))
            }
            _ => Ok(()),
        }
    }
}

impl Visitor for Texts<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.inside == 0 {
            self.refused = self.expression(expr);
        }
        match self.refused {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Refuses a key of listed values that is compared with a text which is none of them.
pub(super) fn texts(select: &Select, columns: &Columns<'_>) -> Result<(), Refusal> {
    let mut texts = Texts { columns, items: &select.projection, inside: 0, refused: Ok(()) };
    if visit(&select.projection, &mut texts).is_continue() {
        let _ = visit(&select.having, &mut texts);
    }
    texts.refused
}
