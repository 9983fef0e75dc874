//! Walks over the parser's tree, each compiled once.
//!
//! The parser's own walks are generic: each closure and each kind of visitor is compiled into a walk of its own over all of SQL.
//! Thirty of them made this crate's library six times as large (decision 14). Here one walk reads and one changes, and both call
//! what they are given through a pointer.
//!
//! Invariants: the order is the parser's; whoever walks elsewhere in this crate walks through here.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor,
    VisitorMut,
};

macro_rules! forward {
    ($($hook:ident($of:ty)),* $(,)?) => {
        $(fn $hook(&mut self, node: $of) -> ControlFlow<()> {
            self.0.$hook(node)
        })*
    };
}

struct Reading<'v>(&'v mut dyn Visitor<Break = ()>);

impl Visitor for Reading<'_> {
    type Break = ();

    forward! {
        pre_visit_query(&Query), post_visit_query(&Query),
        pre_visit_select(&Select), post_visit_select(&Select),
        pre_visit_relation(&ObjectName), post_visit_relation(&ObjectName),
        pre_visit_table_factor(&TableFactor), post_visit_table_factor(&TableFactor),
        pre_visit_expr(&Expr), post_visit_expr(&Expr),
        pre_visit_statement(&Statement), post_visit_statement(&Statement),
        pre_visit_value(&ValueWithSpan), post_visit_value(&ValueWithSpan),
    }
}

struct Changing<'v>(&'v mut dyn VisitorMut<Break = ()>);

impl VisitorMut for Changing<'_> {
    type Break = ();

    forward! {
        pre_visit_query(&mut Query), post_visit_query(&mut Query),
        pre_visit_select(&mut Select), post_visit_select(&mut Select),
        pre_visit_relation(&mut ObjectName), post_visit_relation(&mut ObjectName),
        pre_visit_table_factor(&mut TableFactor), post_visit_table_factor(&mut TableFactor),
        pre_visit_expr(&mut Expr), post_visit_expr(&mut Expr),
        pre_visit_statement(&mut Statement), post_visit_statement(&mut Statement),
        pre_visit_value(&mut ValueWithSpan), post_visit_value(&mut ValueWithSpan),
    }
}

/// Shows a visitor every node below this one.
pub(crate) fn visit(node: &impl Visit, visitor: &mut dyn Visitor<Break = ()>) -> ControlFlow<()> {
    node.visit(&mut Reading(visitor))
}

/// Lets a visitor change every node below this one.
pub(crate) fn visit_mut(
    node: &mut impl VisitMut,
    visitor: &mut dyn VisitorMut<Break = ()>,
) -> ControlFlow<()> {
    node.visit(&mut Changing(visitor))
}

struct Exprs<'f, E: ?Sized>(&'f mut E);

impl Visitor for Exprs<'_, dyn FnMut(&Expr) -> ControlFlow<()> + '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        (self.0)(expr)
    }
}

impl VisitorMut for Exprs<'_, dyn FnMut(&mut Expr) -> ControlFlow<()> + '_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        (self.0)(expr)
    }
}

/// Shows every expression, outermost first, subqueries among them, until there is a break.
pub(crate) fn visit_expressions<B>(
    node: &impl Visit,
    mut see: impl FnMut(&Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut found = None;
    let mut noting = |expr: &Expr| see(expr).map_break(|of| found = Some(of));
    let _ = visit(node, &mut Exprs::<dyn FnMut(&Expr) -> ControlFlow<()>>(&mut noting));
    found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

/// Lets every expression be changed, innermost first, until there is a break.
pub(crate) fn visit_expressions_mut<B>(
    node: &mut impl VisitMut,
    mut change: impl FnMut(&mut Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut found = None;
    let mut noting = |expr: &mut Expr| change(expr).map_break(|of| found = Some(of));
    let _ = visit_mut(node, &mut Exprs::<dyn FnMut(&mut Expr) -> ControlFlow<()>>(&mut noting));
    found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}

struct Own<'f> {
    depth: usize,
    change: &'f mut dyn FnMut(&mut Expr) -> ControlFlow<()>,
}

impl VisitorMut for Own<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match self.depth {
            0 => (self.change)(expr),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// As [`visit_expressions_mut`], but for the expressions of subqueries, which stay as they are.
pub(crate) fn visit_own_expressions_mut<B>(
    node: &mut impl VisitMut,
    mut change: impl FnMut(&mut Expr) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut found = None;
    let mut noting = |expr: &mut Expr| change(expr).map_break(|of| found = Some(of));
    let _ = visit_mut(node, &mut Own { depth: 0, change: &mut noting });
    found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
}
