//! The place of a statement that a refusal points at, and changes at that place.
//!
//! Not here: what is changed (the other files of this folder).

use std::ops::ControlFlow;

use crate::walk::{visit_expressions, visit_mut};
use sqlparser::ast::{Expr, Query, Select, Spanned, VisitorMut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

/// A line and a column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Place {
    /// Whether a span starts here.
    pub(super) fn starts(self, span: Span) -> bool {
        span.start.line == self.line && span.start.column == self.column
    }

    /// Whether an expression, or one inside, starts here.
    pub(super) fn is_in(self, expr: &Expr) -> bool {
        let found = visit_expressions(expr, |inner| match self.starts(inner.span()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        found.is_break()
    }

    /// Whether the place is in the items, the conditions or the keys of a SELECT, or where the SELECT starts.
    fn is_in_select(self, select: &Select) -> bool {
        let found = visit_expressions(select, |inner| match self.starts(inner.span()) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        found.is_break()
            || self.starts(select.span())
            || select.projection.iter().any(|item| self.starts(item.span()))
    }
}

/// Parses an expression.
pub(super) fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

struct Exprs<'f>(&'f mut dyn FnMut(&Expr) -> Option<Expr>);

impl VisitorMut for Exprs<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match (self.0)(expr) {
            Some(other) => {
                *expr = other;
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    }
}

/// Replaces the first expression, outermost first, for which `other` returns one. Returns whether there was one.
pub(super) fn replace(query: &mut Query, other: &mut dyn FnMut(&Expr) -> Option<Expr>) -> bool {
    visit_mut(query, &mut Exprs(other)).is_break()
}

struct Selects<'f>(&'f mut dyn FnMut(&mut Select) -> bool);

impl VisitorMut for Selects<'_> {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        match (self.0)(select) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Changes the first SELECT, innermost first, that `f` can change. Returns whether there was one.
pub(super) fn change(query: &mut Query, f: &mut dyn FnMut(&mut Select) -> bool) -> bool {
    visit_mut(query, &mut Selects(f)).is_break()
}

/// Changes the innermost SELECT that the place is in.
pub(super) fn change_at(query: &mut Query, place: Place, f: &mut dyn FnMut(&mut Select) -> bool) -> bool {
    let mut is_done = false;
    let mut changed = false;
    change(query, &mut |select| {
        if !is_done && place.is_in_select(select) {
            is_done = true;
            changed = f(select);
        }
        is_done
    });
    changed
}

struct Queries<'f>(&'f mut dyn FnMut(&mut Query));

impl VisitorMut for Queries<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        (self.0)(query);
        ControlFlow::Continue(())
    }
}

/// Changes every query, outermost first.
pub(super) fn each_query(query: &mut Query, f: &mut dyn FnMut(&mut Query)) {
    let _ = visit_mut(query, &mut Queries(f));
}
