//! `time AT TIME ZONE 'Asia/Singapore'` in keys and items: hours on other clocks than those of UTC.
//!
//! ```text
//! date_trunc('hour', time AT TIME ZONE z)     to_char(date_trunc('hour', time) + INTERVAL '8 hours', '%Y-%m-%d %H:%M:%S')
//! extract(hour FROM time AT TIME ZONE z)      (extract(hour FROM time) + 8) % 24
//! ```
//! Invariants: what is released are hours of UTC, which are hours of the zone one to one, and are shown as such: as texts, because a
//! time of an answer is UTC. A time that the asker moved stays a time. A day of the zone is hours of two days of UTC, which are
//! blocks, and released apart: it is no key, and is refused with what can be asked instead. Not here: conditions (`in_utc`), the
//! clocks (`clocks`).

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, OrderBy, Select, SelectItem, VisitMut};

use super::clocks::{Clocks, Local, cut, has_zone, hour_of, note};
use super::in_utc::parsed;
use super::naming::{default_name, quoted};
use crate::error::Refusal;
use crate::syntax::expr_of;
use crate::walk::visit_own_expressions_mut;

/// How an hour of a zone is shown.
const SHOWN: &str = "%Y-%m-%d %H:%M:%S";

impl Clocks<'_> {
    /// An expression of a key or item in the form that is released in UTC and shown on the clocks of its zone.
    fn shifted(&mut self, expr: &Expr) -> Result<Option<Expr>, Refusal> {
        let (of, is_part) = match (hour_of(expr), cut(expr)) {
            (Some(of), _) => (of, true),
            (None, Some(of)) => (of, false),
            (None, None) => return Ok(None),
        };
        let Some(of) = self.local(of)? else { return Ok(None) };
        let Local { time, .. } = of;
        Ok(match (self.hours(&of)?, is_part) {
            (None, _) => None,
            (Some(by), true) => {
                parsed(&format!("((extract(hour FROM {time}) + {}) % 24)", by.rem_euclid(24)))
            }
            (Some(by), false) => parsed(&format!("(date_trunc('hour', {time}) + INTERVAL '{by} hours')")),
        })
    }

    fn all_shifted<V: VisitMut>(&mut self, node: &mut V) -> Result<(), Refusal> {
        self.in_utc(node)?;
        let done = visit_own_expressions_mut(node, |expr| match self.shifted(expr) {
            Ok(Some(other)) => {
                *expr = other;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(refusal) => ControlFlow::Break(refusal),
        });
        done.break_value().map_or(Ok(()), Err)
    }

    /// Writes the items, keys and orders of a SELECT over events so that hours of zones are hours of UTC that are moved, and
    /// conditions on them are in UTC. Returns what a reader should know.
    pub(super) fn keys(
        mut self,
        select: &mut Select,
        mut order: Option<&mut OrderBy>,
    ) -> Result<Vec<String>, Refusal> {
        let items = select.projection.iter().filter_map(expr_of);
        let grouped = super::rows::keys(select).iter();
        let mut ordered: Vec<Expr> = Vec::new();
        if let Some(order) = order.as_deref_mut() {
            let _: ControlFlow<()> = visit_own_expressions_mut(order, |expr| {
                ordered.push(expr.clone());
                ControlFlow::Continue(())
            });
        }
        if !items.chain(grouped).chain(&select.having).chain(&ordered).any(has_zone) {
            return Ok(Vec::new());
        }
        let mut are_local = Vec::with_capacity(select.projection.len());
        for item in &mut select.projection {
            let is_local = expr_of(item).and_then(cut).is_some_and(has_zone);
            are_local.push(is_local);
            if let SelectItem::UnnamedExpr(expr) = item
                && has_zone(expr)
            {
                let alias = quoted(default_name(expr));
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        self.all_shifted(&mut select.projection)?;
        self.all_shifted(&mut select.group_by)?;
        self.all_shifted(&mut select.having)?;
        self.all_shifted(&mut select.named_window)?;
        if let Some(order) = order {
            self.all_shifted(order)?;
        }
        for (item, is_local) in select.projection.iter_mut().zip(are_local) {
            if let SelectItem::ExprWithAlias { expr, .. } = item
                && is_local
                && let Some(shown) = parsed(&format!("to_char({expr}, '{SHOWN}')"))
            {
                *expr = shown;
            }
        }
        Ok(self.known.iter().map(note).collect())
    }
}
