//! What a private SELECT reads: a table, a template of one, or a subquery with rows of events or of subjects.
//!
//! Invariants: a subquery of rows has no LIMIT, no set operation and no join. Its WHERE becomes part of the private query's.

use std::rc::Rc;

use sqlparser::ast::{Cte, Query, Select, SelectItem, Spanned, TableAlias, TableFactor, TableWithJoins};

use super::naming::default_name;
use super::origin::Source;
use super::rows::{RowOf, no_rows, row_of};
use super::scope::{Known, Split, kind, table_name};
use super::template_names::Template;
use crate::bind::columns::{Named, Names};
use crate::error::{LanguageError, Refusal, Rule};
use crate::private_query::Shape;
use crate::syntax::plain_name;

impl Split<'_> {
    /// The source of a relation's rows; `None` when the relation has released rows.
    pub(super) fn source(&mut self, factor: &TableFactor) -> Result<Option<Source>, LanguageError> {
        self.work.step(|| factor.span())?;
        if !self.is_protected(factor) {
            return Ok(None);
        }
        let alias = |alias: &Option<TableAlias>| alias.as_ref().map(|alias| plain_name(&alias.name));
        let source = match factor {
            TableFactor::Table { name, alias: named, args: Some(args), .. } => {
                let Some(template) = table_name(name).and_then(|name| Template::of(&name)) else {
                    return Ok(None);
                };
                let mut source = self.template(template, &args.args, factor.span())?;
                source.alias = alias(named).or(source.alias);
                source
            }
            TableFactor::Table { name, alias: named, args: None, .. } => {
                let name = table_name(name).unwrap_or_default();
                match (self.cte(&name), kind(&name)) {
                    (Some(scope), _) => {
                        let Known::Rows { source, .. } = &scope.cte else { return Ok(None) };
                        let mut source = source.as_ref().clone()?;
                        source.alias = alias(named).or(Some(name));
                        source
                    }
                    (None, Some(kind)) => Source {
                        kind,
                        alias: alias(named).or(Some(name)),
                        names: Names::Table(Vec::new()),
                        shape: Shape::Events,
                        filter: None,
                        members: Vec::new(),
                        windows: None,
                        clocks: Vec::new(),
                        notes: Vec::new(),
                    },
                    (None, None) => return Ok(None),
                }
            }
            TableFactor::Derived { subquery, alias: named, .. } => {
                let mut source = self.derived(subquery)?;
                source.alias = alias(named);
                rename(&mut source, named.as_ref())?;
                source
            }
            _ => return Ok(None),
        };
        Ok(Some(source))
    }

    /// The rows of a CTE, in the scope in which it is written.
    pub(super) fn of_cte(&mut self, cte: &Cte) -> Result<Source, LanguageError> {
        let mut source = self.derived(&cte.query)?;
        rename(&mut source, Some(&cte.alias))?;
        Ok(source)
    }

    /// The rows of a subquery.
    fn derived(&mut self, query: &Query) -> Result<Source, LanguageError> {
        if query.limit_clause.is_some() {
            let message = "LIMIT over events or subjects would choose among them.";
            let suggestion = "SELECT os, COUNT(*) AS n FROM usage GROUP BY os ORDER BY n DESC LIMIT 3";
            return Err(Refusal::new(Rule::Clause, query.body.span(), message, suggestion).into());
        }
        let Some(select) = self.rows(query).cloned() else {
            return Err(no_rows(query.body.span()).into());
        };
        let Some(TableWithJoins { relation, .. }) = select.from.first() else {
            return Err(no_rows(query.body.span()).into());
        };
        let Some(inner) = self.source(relation)? else {
            return Err(no_rows(query.body.span()).into());
        };
        match row_of(&select) {
            RowOf::Subject => self.person(&select, inner),
            RowOf::Event | RowOf::Group => self.events(&select, inner),
        }
    }

    /// The source of a subquery that selects and renames rows of events.
    fn events(&mut self, select: &Select, mut source: Source) -> Result<Source, LanguageError> {
        let mut names: Vec<(String, Named)> = Vec::new();
        let wheres = self.wheres(select, &mut source)?;
        if let Some(condition) = wheres.released.first() {
            let message = "A subquery of rows cannot be filtered by another query's answer.";
            return Err(Refusal::new(Rule::Expression, condition.span(), message, crate::parse::SHAPE).into());
        }
        let columns = self.columns(&source);
        for item in &select.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, default_name(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr, plain_name(alias)),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    let all = columns.all();
                    self.work.add(all.len() as u64);
                    names.extend(all);
                    continue;
                }
                SelectItem::ExprWithAliases { .. } => continue,
            };
            let named = match columns.unit(expr) {
                Some(unit) => unit,
                None => Named::Value(columns.normal(expr)?),
            };
            names.push((name, named));
        }
        source.names = Names::Listed(names.into());
        Ok(source)
    }
}

/// The names of `AS t (a, b)`.
fn rename(source: &mut Source, alias: Option<&TableAlias>) -> Result<(), Refusal> {
    let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) else { return Ok(()) };
    let Names::Listed(list) = &mut source.names else { return Ok(()) };
    let list = Rc::make_mut(list);
    if alias.columns.len() > list.len() {
        let message = "There are more names than columns.";
        return Err(Refusal::new(Rule::Name, alias.name.span, message, crate::parse::SHAPE));
    }
    for (column, (name, _)) in alias.columns.iter().zip(list) {
        *name = plain_name(&column.name);
    }
    Ok(())
}
