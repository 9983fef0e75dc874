//! One private SELECT: its keys and aggregates become a release, and it becomes a SELECT over that release.
//!
//! Invariants: afterwards the SELECT names released columns only. HAVING becomes WHERE. Keys and aggregates are numbered in
//! the order of their text, so that the way a statement is written makes no difference.

use sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, NamedWindowExpr, OrderBy, OrderByKind, Select, SelectItem,
    Spanned, Value as SqlValue,
};
use sqlparser::tokenizer::Span;

use super::clocks::Clocks;
use super::formula::{MARK, day, rename, sorted, written};
use super::key_forms::key_expression;
use super::members::Wheres;
use super::naming::{aggregate_name, aliases, key_name, named, no_such_position, position, quoted};
use super::origin::{Source, is_window_day};
use super::person_rows::{RowsOfGroup, rows_of_group};
use super::release::EventSelection;
use super::rows::{is_subject, no_rows};
use super::scope::Split;
use crate::bind::AGGREGATES_MAX;
use crate::bind::aggregate;
use crate::bind::aggregate_names::{is_aggregate, is_of_rows};
use crate::bind::bounds::Bounds;
use crate::bind::call::{Call, Formula};
use crate::bind::columns::{Columns, Named};
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::Scalar;
use crate::private_query::{Aggregate, AggregateOp, Key, KeyKind, Shape};
use crate::syntax::{nodes, plain_name};
use crate::walk::visit_expressions_mut;

/// A private SELECT while its expressions are rewritten.
pub(super) struct Private<'c> {
    columns: &'c Columns<'c>,
    bounds: Bounds<'c>,
    /// The rows of one subject, where rows are not events.
    rows: Option<&'c RowsOfGroup>,
    keys: &'c [Key],
    is_template: bool,
    /// SELECT's names, for HAVING and ORDER BY.
    names: Vec<(String, Expr)>,
    aggregates: Vec<Aggregate>,
}

impl Private<'_> {
    /// The released column that a key, an aggregate or a name stands for; `None` for an expression that is made of such.
    pub(super) fn released(&mut self, expr: &Expr) -> Result<Option<Expr>, LanguageError> {
        if let Expr::Function(function) = expr
            && is_aggregate(function)
        {
            return self.call(function).map(Some);
        }
        let is_window = |key: &Key| matches!(key.kind, KeyKind::Windows(_));
        if let Some(at) = self.keys.iter().position(is_window).filter(|_| is_window_day(expr)) {
            return Ok(Some(named(key_name(at))));
        }
        let bound = self.columns.normal(expr);
        if let Ok(scalar) = &bound
            && let Some(at) = self.keys.iter().position(|key| key.scalar == **scalar && !is_window(key))
        {
            let column = named(key_name(at));
            return Ok(Some(if self.is_day(scalar) { day(column) } else { column }));
        }
        let name = match expr {
            Expr::Identifier(name) => plain_name(name),
            Expr::CompoundIdentifier(_) => String::new(),
            _ => return Ok(None),
        };
        if let Some((_, item)) = self.names.iter().find(|(known, _)| *known == name) {
            // What a name stands for is written out wherever it is used.
            self.columns.work.add(nodes(item));
            return Ok(Some(Expr::Nested(Box::new(item.clone()))));
        }
        // An unknown name has its own refusal. A known one is refused because it is not a key.
        bound?;
        let message = format!("`{expr}` is neither a key nor inside an aggregate.");
        let (column, table) = (expr, self.columns.table.kind);
        let is_measure =
            self.columns.scalar(expr, None).is_ok_and(|scalar| scalar.shows_measure(self.columns.table));
        let suggestion = match is_measure {
            true => format!("SELECT SUM({column}) FROM {table}"),
            false => format!("SELECT {column}, COUNT(*) FROM {table} GROUP BY {column}"),
        };
        Err(Refusal::new(Rule::Key, expr.span(), message, suggestion).into())
    }

    /// Whether a key is the number of a day: the first or last day of a subject, or the first of its week or month.
    fn is_day(&self, scalar: &Scalar) -> bool {
        self.columns.is_persons_day(scalar)
    }

    fn number(&mut self, aggregate: Aggregate) -> String {
        let known = self.aggregates.iter().position(|known| *known == aggregate);
        let at = known.unwrap_or_else(|| {
            self.aggregates.push(aggregate);
            self.aggregates.len() - 1
        });
        format!("{MARK}{}", aggregate_name(at))
    }

    fn call(&mut self, function: &Function) -> Result<Expr, LanguageError> {
        let refused = |message: String, suggestion: &str| {
            LanguageError::from(Refusal::new(Rule::Aggregate, function.span(), message, suggestion))
        };
        let Call { mut aggregates, formula, key } = aggregate::bind(self.columns, &self.bounds, function)?;
        if key.is_some() {
            let suggestion = "SELECT histogram(duration_ms) FROM performance WHERE event = 'page_load'";
            return Err(refused("HISTOGRAM is an item of SELECT by itself.".to_owned(), suggestion));
        }
        if let Some(rows) = self.rows {
            rows.fit(&formula, self.columns.table.kind, function.span())?;
        }
        if self.is_template {
            for one in &mut aggregates {
                if !matches!(one.op, AggregateOp::Rows | AggregateOp::Subjects) || one.filter.is_some() {
                    let suggestion = "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', 'login') GROUP BY step";
                    let message = "A funnel or retention counts subjects, without FILTER.".to_owned();
                    return Err(refused(message, suggestion));
                }
                let unit = Some("subjects".to_owned());
                *one = Aggregate { op: AggregateOp::Subjects, linf: 1, unit, ..one.clone() };
            }
        }
        let names: Vec<String> = aggregates.into_iter().map(|one| self.number(one)).collect();
        if self.aggregates.len() > AGGREGATES_MAX {
            let message = format!("A query has at most {AGGREGATES_MAX} aggregates.");
            return Err(refused(message, "SELECT COUNT(*), COUNT(DISTINCT subject) FROM usage"));
        }
        match (&formula, names.as_slice()) {
            (Formula::One, [one]) => Ok(named(one)),
            _ => written(&formula, &names).ok_or_else(|| {
                let suggestion = "SELECT AVG(duration_ms) AS mean FROM performance WHERE event = 'page_load'";
                refused("This aggregate cannot be written over released numbers.".to_owned(), suggestion)
            }),
        }
    }
}

/// The refusal of subjects as rows, as they are written for a set operation.
fn sets(span: Span) -> Refusal {
    let message = "Subjects cannot be shown, also not to a UNION, INTERSECT or EXCEPT: who is in another set is a condition, \
        `subject IN (..)` or `subject NOT IN (..)`.";
    let example = "SELECT COUNT(DISTINCT subject) AS gone FROM usage WHERE day BETWEEN current_date - 59 AND current_date - 30 AND subject \
        NOT IN (SELECT subject FROM usage WHERE day >= current_date - 29)";
    Refusal::new(Rule::Aggregate, span, message, example)
}

fn of_each_session(expr: &Expr) -> Refusal {
    let message = "Sessions are counted, not shown one by one; what a session has on average is a sum divided by their number.";
    let suggestion = "SELECT SUM(duration_ms) / COUNT(DISTINCT session) AS ms_each FROM usage WHERE event = 'screen_view' AND \
        day >= current_date - 6";
    Refusal::new(Rule::Column, expr.span(), message, suggestion)
}

impl Split<'_> {
    /// Turns a private SELECT into a SELECT over its release.
    pub(super) fn private(
        &mut self,
        select: &mut Select,
        mut order: Option<&mut OrderBy>,
        mut source: Source,
    ) -> Result<(), LanguageError> {
        super::items::expand(select);
        super::moving::counted_by_itself(select, source.kind)?;
        let wheres = self.wheres(select, &mut source)?;
        let mut asked = self.asked(&source)?;
        let clocks = Clocks::of(self.work, self.now_ms, Some(asked.days));
        asked.notes.extend(clocks.keys(select, order.as_deref_mut())?);
        let columns = self.columns(&source);
        super::unlisted::texts(select, &columns)?;
        let (keys, is_listing) = self.keys(select, &source, &asked, &columns)?;
        let is_event = |key: &Key| matches!(&key.scalar, Scalar::Column { name, .. } if name == "event");
        let rows = rows_of_group(&source, asked.days, &keys, self.registry);
        let bounds = Bounds {
            registry: self.registry,
            filter: asked.filter.as_ref(),
            by_event: keys.iter().any(is_event),
            rows_max: rows.as_ref().map(|rows| rows.most),
        };
        let is_template = matches!(source.shape, Shape::Funnel { .. } | Shape::Retention { .. });
        let mut private = Private {
            columns: &columns,
            bounds,
            rows: rows.as_ref(),
            keys: &keys,
            is_template,
            names: Vec::new(),
            aggregates: Vec::new(),
        };
        self.rewrite(select, order.as_deref_mut(), wheres, &mut private)?;
        let mut aggregates = std::mem::take(&mut private.aggregates);
        if aggregates.is_empty() {
            aggregates.push(super::release::presence(&source, &private.bounds, &columns));
        }
        let ranks = sorted(&mut aggregates);
        if is_listing {
            select.distinct = None;
        }
        asked.notes.extend(rows.as_ref().and_then(RowsOfGroup::note));
        let index = self.release(source, asked, keys, aggregates)?;
        let renamed = visit_expressions_mut(&mut select.projection, |expr| rename(expr, &ranks));
        let renamed = renamed.is_break()
            || visit_expressions_mut(&mut select.selection, |expr| rename(expr, &ranks)).is_break()
            || visit_expressions_mut(&mut select.distinct, |expr| rename(expr, &ranks)).is_break()
            || visit_expressions_mut(&mut select.named_window, |expr| rename(expr, &ranks)).is_break()
            || order
                .is_some_and(|order| visit_expressions_mut(order, |expr| rename(expr, &ranks)).is_break());
        debug_assert!(!renamed, "renaming looks at everything");
        if let Some(from) = select.from.first_mut() {
            from.relation = super::release::relation(index);
        }
        Ok(())
    }

    fn keys(
        &self,
        select: &Select,
        source: &Source,
        asked: &EventSelection,
        columns: &Columns<'_>,
    ) -> Result<(Vec<Key>, bool), LanguageError> {
        let is_free = |expr: &Expr| !is_of_rows(expr);
        let items = || {
            select.projection.iter().map(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Ok(expr),
                other => Err(no_rows(other.span())),
            })
        };
        let mut is_listing = false;
        let exprs: Vec<&Expr> = match &select.group_by {
            GroupByExpr::All(_) => {
                items().collect::<Result<Vec<_>, _>>()?.into_iter().filter(|e| is_free(e)).collect()
            }
            GroupByExpr::Expressions(keys, _) if keys.is_empty() => {
                let all = items().collect::<Result<Vec<_>, _>>()?;
                is_listing = all.iter().all(|expr| is_free(expr)) && select.having.is_none();
                match (is_listing, &select.distinct) {
                    (true, _) if all.iter().all(|expr| is_subject(expr)) => {
                        return Err(sets(select.span()).into());
                    }
                    (true, Some(Distinct::Distinct)) => all,
                    (true, _) => return Err(no_rows(select.span()).into()),
                    (false, _) => Vec::new(),
                }
            }
            GroupByExpr::Expressions(keys, _) => keys.iter().collect(),
        };
        let mut keys: Vec<(String, Key)> = Vec::new();
        for expr in exprs {
            let expr = key_expression(expr, &select.projection, columns)?;
            if !is_free(expr) {
                let message = "A group cannot be made from an aggregate.";
                let suggestion = "SELECT n, COUNT(*) FROM (SELECT subject, COUNT(*) AS n FROM usage GROUP BY subject) AS p GROUP BY n";
                return Err(Refusal::new(Rule::Key, expr.span(), message, suggestion).into());
            }
            if columns.unit(expr) == Some(Named::Session) {
                return Err(of_each_session(expr).into());
            }
            if let Some(key) = self.key(expr, source, asked, columns)? {
                let is_window = matches!(key.kind, KeyKind::Windows(_));
                keys.push((if is_window { String::new() } else { key.scalar.to_string() }, key));
            }
        }
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys.dedup_by(|a, b| a.0 == b.0);
        let keys: Vec<Key> = keys.into_iter().map(|(_, key)| key).collect();
        super::release::fit(&keys, source, select.span())?;
        Ok((keys, is_listing))
    }

    /// Rewrites every clause.
    fn rewrite(
        &mut self,
        select: &mut Select,
        order: Option<&mut OrderBy>,
        wheres: Wheres,
        private: &mut Private<'_>,
    ) -> Result<(), LanguageError> {
        let originals = select.projection.clone();
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    self.postprocess_in(expr, &mut |inner| private.released(inner))?;
                }
                other => return Err(no_rows(other.span()).into()),
            }
        }
        aliases(&mut select.projection, &originals);
        let mut selection: Option<Expr> = None;
        let mut add = |arm: Expr| {
            use sqlparser::ast::BinaryOperator::And;
            let arm = Box::new(Expr::Nested(Box::new(arm)));
            selection = Some(match selection.take() {
                Some(before) => Expr::BinaryOp { left: Box::new(before), op: And, right: arm },
                None => *arm,
            });
        };
        for mut arm in wheres.released {
            self.postprocess_in(&mut arm, &mut |inner| private.released(inner))?;
            add(arm);
        }
        private.names = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } => Some((alias.value.clone(), expr.clone())),
                _ => None,
            })
            .collect();
        if let Some(mut having) = select.having.take() {
            self.postprocess_in(&mut having, &mut |inner| private.released(inner))?;
            add(having);
        }
        select.selection = selection;
        if let Some(Distinct::On(list)) = &mut select.distinct {
            for item in list {
                self.postprocess_in(item, &mut |inner| private.released(inner))?;
            }
        }
        for window in &mut select.named_window {
            window.0 = quoted(plain_name(&window.0));
            match &mut window.1 {
                NamedWindowExpr::NamedWindow(name) => *name = quoted(plain_name(name)),
                NamedWindowExpr::WindowSpec(spec) => {
                    self.window(spec, &mut |inner| private.released(inner))?
                }
            }
        }
        select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        self.ordered(select.projection.len(), order, private)
    }

    /// Rewrites ORDER BY of a SELECT of `items` items.
    fn ordered(
        &mut self,
        items: usize,
        order: Option<&mut OrderBy>,
        private: &mut Private<'_>,
    ) -> Result<(), LanguageError> {
        let Some(OrderBy { kind: OrderByKind::Expressions(list), .. }) = order else { return Ok(()) };
        for by in list {
            match (&by.expr, position(&by.expr)) {
                (expr, Some(at)) if at >= items => {
                    return Err(no_such_position(expr).into());
                }
                (_, Some(_)) => {}
                (Expr::Identifier(name), None)
                    if private.names.iter().any(|(known, _)| *known == plain_name(name)) =>
                {
                    by.expr = named(plain_name(name));
                }
                (Expr::Value(value), None) if !matches!(value.value, SqlValue::Null) => {
                    return Err(no_such_position(&by.expr).into());
                }
                _ => self.postprocess_in(&mut by.expr, &mut |inner| private.released(inner))?,
            }
        }
        Ok(())
    }
}
