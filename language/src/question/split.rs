//! Queries, CTEs and relations: finds the private parts of a statement and leaves everything else as it is.
//!
//! Invariants: a name in FROM is a CTE that is in scope, or a protected table, or refused. A CTE that has rows of events or
//! of subjects is not a relation of the rewritten text: it is taken apart where it is used. A CTE that nothing uses is not
//! released.

use std::cell::Cell;
use std::rc::Rc;

use shoal_schemas::Kind;
use sqlparser::ast::{
    Cte, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OrderBy, OrderByKind, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableAlias, TableAliasColumnDef,
    TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use super::branches::of_members;
use super::naming::{aliases, quoted};
use super::scope::{Known, Scope, Split, table_name};
use crate::error::{LanguageError, Refusal, Rule};
use crate::parse::not_a_query;
use crate::syntax::plain_name;

/// The refusal of a relation that is none; of a catalogue's with what there is of catalogues.
fn no_such(name: &ObjectName, span: Span) -> Refusal {
    let text = name.to_string().replace('"', "").to_ascii_lowercase();
    let is_catalogue = ["information_schema.", "pg_"].iter().any(|start| text.starts_with(start));
    if !is_catalogue {
        return no_such_table(span);
    }
    let message = "Of the catalogues there are information_schema.tables and information_schema.columns; SHOW TABLES, SHOW COLUMNS FROM \
        and DESCRIBE tell the same.";
    Refusal::new(
        Rule::Table,
        span,
        message,
        "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY table_name, ordinal_position",
    )
}

fn no_such_table(span: Span) -> Refusal {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let message = format!("There is no such table; there are {}.", names.join(", "));
    Refusal::new(Rule::Table, span, message, "SELECT COUNT(*) FROM usage")
}

impl Split<'_> {
    /// Rewrites a query.
    pub(super) fn query(&mut self, query: &mut Query) -> Result<(), LanguageError> {
        let before = self.scope.clone();
        let ctes = match &mut query.with {
            Some(with) => std::mem::take(&mut with.cte_tables),
            None => Vec::new(),
        };
        let mut free: Vec<(Cte, Rc<Scope>)> = Vec::new();
        for mut cte in ctes {
            let name = plain_name(&cte.alias.name);
            let outer = self.scope.clone();
            let scope = if self.rows(&cte.query).is_some() {
                let (source, cte) = (Box::new(self.of_cte(&cte)), Box::new(cte));
                Rc::new(Scope { name, cte: Known::Rows { cte, source }, outer })
            } else {
                // A CTE that is named like a release gets another name.
                let stem = name.trim_start_matches("cte_");
                let is_release =
                    stem.strip_prefix('r').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
                let is_ours = is_release || ["series_", "schema_"].iter().any(|own| stem.starts_with(own));
                let inner = if is_ours { format!("cte_{name}") } else { name.clone() };
                let days = self.days_of_cte(&cte.query, &cte.alias).map(Box::new);
                cte.alias.name = quoted(inner.clone());
                let known = Known::Free { name: inner, is_used: Cell::new(false), days };
                let scope = Rc::new(Scope { name, cte: known, outer });
                free.push((cte, Rc::clone(&scope)));
                scope
            };
            self.scope = Some(scope);
        }
        self.body(&mut query.body, query.order_by.as_mut())?;
        let mut kept = Vec::with_capacity(free.len());
        for (mut cte, scope) in free.into_iter().rev() {
            self.scope.clone_from(&scope.outer);
            let released = self.releases.len();
            self.query(&mut cte.query)?;
            for column in &mut cte.alias.columns {
                column.name = quoted(plain_name(&column.name));
            }
            match &scope.cte {
                Known::Free { is_used, .. } if is_used.get() => kept.push(cte),
                Known::Free { .. } | Known::Rows { .. } => {
                    self.releases.truncate(released);
                    self.canonicals.truncate(released);
                }
            }
        }
        kept.reverse();
        if let Some(with) = &mut query.with {
            with.cte_tables = kept;
        }
        query.with = query.with.take().filter(|with| !with.cte_tables.is_empty());
        self.scope = before;
        Ok(())
    }

    fn body(&mut self, body: &mut SetExpr, order: Option<&mut OrderBy>) -> Result<(), LanguageError> {
        if let SetExpr::Select(select) = body
            && let [TableWithJoins { relation, joins }] = select.from.as_slice()
            && joins.is_empty()
            && self.is_protected(relation)
            && let Some(all) = of_members(select)
        {
            *body = all;
        }
        match body {
            SetExpr::Select(select) => return self.select(select, order),
            SetExpr::Query(inner) => self.query(inner)?,
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, None)?;
                self.body(right, None)?;
            }
            SetExpr::Values(values) => {
                for item in values.rows.iter_mut().flat_map(|row| &mut row.content) {
                    self.postprocess(item)?;
                }
            }
            SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => return Err(not_a_query(body.span()).into()),
        }
        self.order(order)
    }

    fn order(&mut self, order: Option<&mut OrderBy>) -> Result<(), LanguageError> {
        if let Some(order) = order
            && let OrderByKind::Expressions(list) = &mut order.kind
        {
            for item in list {
                self.postprocess(&mut item.expr)?;
            }
        }
        Ok(())
    }

    fn is_any_protected(&self, from: &[TableWithJoins]) -> bool {
        let joined = from.iter().flat_map(|from| &from.joins).map(|join| &join.relation);
        from.iter().map(|from| &from.relation).chain(joined).any(|factor| match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.is_any_protected(std::slice::from_ref(table_with_joins.as_ref()))
            }
            other => self.is_protected(other),
        })
    }

    fn select(&mut self, select: &mut Select, order: Option<&mut OrderBy>) -> Result<(), LanguageError> {
        self.work.step(|| select.span())?;
        if let [TableWithJoins { relation, joins }] = select.from.as_slice()
            && joins.is_empty()
            && let Some(source) = self.source(relation)?
        {
            return self.private(select, order, source);
        }
        if let Some(one) = self.semi_join(select).or_else(|| self.correlated(select)) {
            *select = one;
            return self.select(select, order);
        }
        if let Some(one) = self.chosen(select, order.as_deref()) {
            *select = one;
            return self.select(select, order);
        }
        let mut order = order;
        if let Some(source) = self.windowed(select, order.as_deref_mut())? {
            return self.private(select, order, source);
        }
        // Only a refusal needs it.
        let is_refused = self.is_any_protected(&select.from);
        let instead = if is_refused { self.instead_of_join(select) } else { String::new() };
        for TableWithJoins { relation, joins } in &mut select.from {
            self.relation(relation, &instead)?;
            for join in joins {
                self.relation(&mut join.relation, &instead)?;
                self.constraint(&mut join.join_operator)?;
            }
        }
        let originals = select.projection.clone();
        for item in &mut select.projection {
            self.item(item)?;
        }
        aliases(&mut select.projection, &originals);
        self.rest(select)?;
        self.order(order)
    }

    /// The clauses of a SELECT over released rows.
    fn rest(&mut self, select: &mut Select) -> Result<(), LanguageError> {
        use sqlparser::ast::{Distinct, GroupByExpr, NamedWindowExpr};
        for condition in select.selection.iter_mut().chain(&mut select.having) {
            self.postprocess(condition)?;
        }
        if let Some(Distinct::On(list)) = &mut select.distinct {
            list.iter_mut().try_for_each(|item| self.postprocess(item))?;
        }
        if let GroupByExpr::Expressions(list, _) = &mut select.group_by {
            list.iter_mut().try_for_each(|item| self.postprocess(item))?;
        }
        for window in &mut select.named_window {
            window.0 = quoted(plain_name(&window.0));
            match &mut window.1 {
                NamedWindowExpr::NamedWindow(name) => *name = quoted(plain_name(name)),
                NamedWindowExpr::WindowSpec(spec) => self.window(spec, &mut |_| Ok(None))?,
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &mut SelectItem) -> Result<(), LanguageError> {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => self.postprocess(expr),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                for part in &mut name.0 {
                    if let ObjectNamePart::Identifier(ident) = part {
                        *ident = quoted(plain_name(ident));
                    }
                }
                Ok(())
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _)
            | SelectItem::ExprWithAliases { .. }
            | SelectItem::Wildcard(_) => Ok(()),
        }
    }

    fn constraint(&mut self, operator: &mut JoinOperator) -> Result<(), LanguageError> {
        let on = match operator {
            JoinOperator::Join(on)
            | JoinOperator::Inner(on)
            | JoinOperator::Left(on)
            | JoinOperator::LeftOuter(on)
            | JoinOperator::Right(on)
            | JoinOperator::RightOuter(on)
            | JoinOperator::FullOuter(on)
            | JoinOperator::CrossJoin(on) => on,
            // Refused by the parser's walk.
            _ => return Ok(()),
        };
        match on {
            JoinConstraint::On(condition) => self.postprocess(condition),
            JoinConstraint::Using(names) => {
                for part in names.iter_mut().flat_map(|name| &mut name.0) {
                    if let ObjectNamePart::Identifier(ident) = part {
                        *ident = quoted(plain_name(ident));
                    }
                }
                Ok(())
            }
            JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    /// Rewrites a relation of a SELECT over released rows. `instead` is the suggestion when its rows are not released.
    fn relation(&mut self, factor: &mut TableFactor, instead: &str) -> Result<(), LanguageError> {
        if self.is_protected(factor) {
            let message = "Events and subjects cannot be joined. Aggregate each side first and join what is released; \
                for the subjects of another table use `subject IN (..)`.";
            return Err(Refusal::new(Rule::Table, factor.span(), message, instead).into());
        }
        let span = factor.span();
        if self.of_text(factor)? {
            return Ok(());
        }
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let written = table_name(name).ok_or_else(|| no_such(name, span))?;
                let Some(scope) = self.cte(&written) else { return Err(no_such(name, span).into()) };
                let Known::Free { name: inner, is_used, .. } = &scope.cte else {
                    return Err(no_such_table(span).into());
                };
                is_used.set(true);
                name.0 = vec![ObjectNamePart::Identifier(quoted(inner.clone()))];
                match alias {
                    Some(alias) => self::alias(alias),
                    None if *inner != written => {
                        let (name, columns) = (quoted(written), Vec::new());
                        *alias = Some(TableAlias { explicit: true, name, columns, at: None });
                    }
                    None => {}
                }
                Ok(())
            }
            TableFactor::Derived { subquery, alias, .. } => {
                self.query(subquery)?;
                if let Some(alias) = alias {
                    self::alias(alias);
                }
                Ok(())
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                let TableWithJoins { relation, joins } = table_with_joins.as_mut();
                self.relation(relation, instead)?;
                for join in joins {
                    self.relation(&mut join.relation, instead)?;
                    self.constraint(&mut join.join_operator)?;
                }
                Ok(())
            }
            _ => Err(no_such_table(span).into()),
        }
    }
}

impl Split<'_> {
    /// Rewrites a relation whose rows are rows of the text: a series, or the public schema. Returns whether it is one.
    fn of_text(&mut self, factor: &mut TableFactor) -> Result<bool, LanguageError> {
        let span = factor.span();
        let TableFactor::Table { name, alias, args, .. } = factor else { return Ok(false) };
        let (known, own, columns) = match (&*args, name.0.as_slice()) {
            (Some(list), [ObjectNamePart::Identifier(name)]) if plain_name(name) == "generate_series" => {
                let known = self.series(&list.args, span)?;
                // The column is named like the table, as PostgreSQL has it.
                let own = alias.as_ref().map_or_else(|| plain_name(name), |alias| plain_name(&alias.name));
                (known, own.clone(), vec![own])
            }
            (None, [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)])
                if plain_name(schema) == "information_schema" =>
            {
                let found = super::catalogue::relation(&plain_name(table), self.registry);
                let (known, query) = found.ok_or_else(|| no_such(name, span))?;
                let name = plain_name(table);
                if !self.added.iter().any(|(added, _)| added == known) {
                    self.added.push((known.to_owned(), query));
                }
                (known.to_owned(), alias.as_ref().map_or(name, |alias| plain_name(&alias.name)), Vec::new())
            }
            _ => return Ok(false),
        };
        name.0 = vec![ObjectNamePart::Identifier(quoted(known))];
        *args = None;
        let mut written: Vec<_> = alias.take().map(|alias| alias.columns).unwrap_or_default();
        written.iter_mut().for_each(|column| column.name = quoted(plain_name(&column.name)));
        if written.is_empty() {
            let column = |name| TableAliasColumnDef { name: quoted(name), data_type: None };
            written.extend(columns.into_iter().map(column));
        }
        *alias = Some(TableAlias { explicit: true, name: quoted(own), columns: written, at: None });
        Ok(true)
    }
}

fn alias(alias: &mut TableAlias) {
    alias.explicit = true;
    alias.name = quoted(plain_name(&alias.name));
    for column in &mut alias.columns {
        column.name = quoted(plain_name(&column.name));
    }
}
