//! Two tables that are joined on their subjects, and which of the two tables each condition is about.
//!
//! Invariants: a column without a table's name in front is about neither. Not here: how the join is rewritten (`semi`).

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Ident, Select, TableFactor, Value, ValueWithSpan};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::syntax::{arms, plain_name};
use crate::walk::{visit_expressions, visit_expressions_mut};

/// Two tables that are joined.
pub(super) struct Sides<'s> {
    pub(super) first: &'s TableFactor,
    pub(super) second: &'s TableFactor,
    /// The names in front of their columns.
    pub(super) names: [String; 2],
    pub(super) is_left: bool,
    /// The arms of ON.
    pub(super) on: Vec<Expr>,
    /// Whether USING has said that the subjects are the same.
    pub(super) using: bool,
}

/// Conditions by what they are about.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) first: Vec<Expr>,
    pub(super) second: Vec<Expr>,
    is_on_subjects: bool,
    /// `c.subject IS NULL` after a left join.
    pub(super) is_anti: bool,
}

/// What an expression is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    First,
    Second,
    Both,
    /// A name without a table's in front, or of another one; a subquery.
    Unknown,
}

impl Sides<'_> {
    pub(super) fn about(&self, expr: &Expr) -> About {
        let mut seen = [false, false];
        let found = visit_expressions(expr, |inner| match inner {
            Expr::CompoundIdentifier(parts) => match self.side(parts) {
                Some(at) => {
                    seen = [seen[0] || at == 0, seen[1] || at == 1];
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(()),
            },
            // After USING it belongs to both.
            Expr::Identifier(name) if self.using && plain_name(name) == "subject" => {
                ControlFlow::Continue(())
            }
            Expr::Identifier(_) | Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        match (found.is_break(), seen) {
            (true, _) => About::Unknown,
            (false, [true, true]) => About::Both,
            (false, [false, true]) => About::Second,
            (false, _) => About::First,
        }
    }

    pub(super) fn side(&self, parts: &[Ident]) -> Option<usize> {
        let [table, _] = parts else { return None };
        let table = plain_name(table);
        self.names.iter().position(|name| *name == table)
    }

    /// Whether an expression is a side's column of this name.
    pub(super) fn is_column(&self, expr: &Expr, side: usize, name: &str) -> bool {
        matches!(expr, Expr::CompoundIdentifier(parts)
            if self.side(parts) == Some(side) && parts.last().is_some_and(|last| plain_name(last) == name))
    }

    fn is_subjects(&self, arm: &Expr) -> bool {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = arm else { return false };
        let is = |expr: &Expr, side| self.is_column(expr, side, "subject");
        is(left, 0) && is(right, 1) || is(left, 1) && is(right, 0)
    }

    /// Sorts the conditions by their table; `None` when one of them is about both.
    pub(super) fn conditions(&self, select: &Select) -> Option<Conditions> {
        let mut all = Conditions { is_on_subjects: self.using, ..Conditions::default() };
        let wheres: Vec<&Expr> = select.selection.as_ref().map(arms).unwrap_or_default();
        let mut both: Vec<Expr> = Vec::new();
        for arm in wheres {
            let is_null = |inner: &Expr| self.is_column(inner, 1, "subject") && self.is_left;
            match (self.about(arm), arm) {
                (_, Expr::IsNull(inner)) if is_null(inner) => all.is_anti = true,
                (About::First, _) => all.first.push(arm.clone()),
                (About::Second, _) if !self.is_left => all.second.push(arm.clone()),
                (About::Both, _) if !self.is_left && self.is_subjects(arm) => all.is_on_subjects = true,
                (About::Both, _) if !self.is_left => both.push(arm.clone()),
                _ => return None,
            }
        }
        for arm in &self.on {
            match self.about(arm) {
                About::Both if self.is_subjects(arm) => all.is_on_subjects = true,
                About::Both => both.push(arm.clone()),
                About::Second => all.second.push(arm.clone()),
                About::First if !self.is_left => all.first.push(arm.clone()),
                About::First | About::Unknown => return None,
            }
        }
        for mut arm in both {
            self.fill(&mut arm, &all.first);
            match self.about(&arm) {
                About::Second => all.second.push(arm),
                About::First | About::Both | About::Unknown => return None,
            }
        }
        all.is_on_subjects.then_some(all)
    }

    /// Replaces the first table's day by the constant that a condition compares it with.
    fn fill(&self, arm: &mut Expr, first: &[Expr]) {
        let day = first.iter().find_map(|known| match known {
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } if self.is_column(left, 0, "day") => {
                constant_day(right)
            }
            _ => None,
        });
        let Some(day) = day else { return };
        let _: ControlFlow<()> = visit_expressions_mut(arm, |expr| {
            if self.is_column(expr, 0, "day") {
                *expr = day.clone();
            }
            ControlFlow::Continue(())
        });
    }

    /// Puts the first table's name in front of a column.
    pub(super) fn take_first(&self, expr: &mut Expr) {
        if let Expr::CompoundIdentifier(parts) = expr
            && let ([table, _], [first, _]) = (parts.as_mut_slice(), &self.names)
        {
            *table = Ident { span: table.span, ..Ident::with_quote('"', first.as_str()) };
        }
    }
}

/// `'2026-11-09'` as `DATE '2026-11-09'`, to which days can be added.
fn constant_day(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::TypedString(_) => Some(expr.clone()),
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => {
            let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '-');
            let text = format!("DATE '{}'", Some(text).filter(|_| is_plain)?);
            Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_expr().ok()
        }
        _ => None,
    }
}
