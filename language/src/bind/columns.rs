//! The names of one source of rows -> columns, and the bounds of their numbers.
//!
//! Invariants: nobody can tell a hidden column from one that does not exist. `subject` and `session` are not values: they
//! exist only inside COUNT(DISTINCT ..) and in subqueries that group by `subject`.

use std::cell::RefCell;
use std::rc::Rc;

use shoal_schemas::{ColumnRole, ColumnType, Registry, TableDef, columns};
use sqlparser::ast::{Expr, Function, Ident, Spanned};
use sqlparser::tokenizer::Span;

use super::aggregate_names::is_aggregate;
use super::unsupported::windows;
use crate::calendar::Grain;
use crate::error::{Refusal, Rule};
use crate::expr::{Node, Scalar, Shared, TimePart, Type, Value, normal_of};
use crate::private_query::{PersonOp, PersonValue};
use crate::syntax::plain_name;
use crate::work::Work;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Named {
    Value(Shared<Scalar>),
    Subject,
    Session,
}

/// The names that can be used.
#[derive(Clone, Debug)]
pub(crate) enum Names {
    /// The table's own names, and those that a template adds.
    Table(Vec<(&'static str, Scalar)>),
    /// The names of a subquery. Each was bound once, where it is written; whoever uses it shares what it stands for.
    Listed(Rc<Vec<(String, Named)>>),
}

/// Resolves expressions over one source of rows.
pub(crate) struct Columns<'a> {
    pub(crate) registry: &'a Registry,
    /// Counts the steps of binding.
    pub(crate) work: &'a Work,
    pub(crate) table: &'a TableDef,
    /// The table's name or alias, which may stand in front of a column's name.
    pub(crate) alias: Option<String>,
    pub(crate) names: Names,
    pub(crate) now_ms: i64,
    /// The keys of a subject's row besides the subject, and its values, where the rows are subjects.
    pub(crate) keys: Vec<Shared<Scalar>>,
    pub(crate) values: Vec<PersonValue>,
    /// What every row of events satisfies.
    pub(crate) filter: Option<Scalar>,
    /// Inside a subquery that groups by subject: what its keys and aggregates are.
    pub(crate) person: Option<PersonScope<'a>>,
}

/// The SELECT and HAVING of a subquery that groups by `subject`.
pub(crate) struct PersonScope<'a> {
    /// The columns of the subquery's events.
    pub(crate) events: &'a Columns<'a>,
    pub(crate) keys: Vec<Shared<Scalar>>,
    pub(crate) values: RefCell<Vec<PersonValue>>,
    /// Binds an aggregate call.
    pub(crate) call: &'a dyn Fn(&Function) -> Result<PersonValue, Refusal>,
}

impl PersonScope<'_> {
    /// The key or value that an expression stands for; `None` for an expression that is made of such.
    fn resolve(&self, expr: &Expr) -> Result<Option<Scalar>, Refusal> {
        if let Expr::Function(function) = expr
            && is_aggregate(function)
        {
            let value = (self.call)(function)?;
            let mut values = self.values.borrow_mut();
            let known = values.iter().position(|known| *known == value);
            let scale = value.scale;
            let at = known.unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            });
            return Ok(Some(Scalar::Person { at, scale }));
        }
        if let Ok(bound) = self.events.normal(expr)
            && let Some(at) = self.keys.iter().position(|key| *key == bound)
            && let Some(ty) = bound.ty()
        {
            return Ok(Some(Scalar::PersonKey { at, ty }));
        }
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                self.events.scalar(expr, None)?;
                let message = "This is neither grouped by nor inside an aggregate.";
                let suggestion = "SELECT AVG(n) FROM (SELECT subject, COUNT(*) AS n FROM usage GROUP BY subject) AS people";
                Err(Refusal::new(Rule::Key, expr.span(), message, suggestion))
            }
            _ => Ok(None),
        }
    }
}

impl<'a> Columns<'a> {
    /// The columns of a table.
    pub(crate) fn of(
        registry: &'a Registry,
        work: &'a Work,
        table: &'a TableDef,
        now_ms: i64,
    ) -> Columns<'a> {
        let names = Names::Table(Vec::new());
        let (alias, keys, values) = (None, Vec::new(), Vec::new());
        Columns { registry, work, table, alias, names, now_ms, keys, values, filter: None, person: None }
    }

    /// An expression, bound and in normal form.
    pub(crate) fn normal(&self, expr: &Expr) -> Result<Shared<Scalar>, Refusal> {
        let bound = self.scalar(expr, None)?;
        self.work.add(bound.size());
        let normal = normal_of(&bound);
        self.sized(&normal, expr)?;
        Ok(normal)
    }

    /// The key or value of a subject's row that an expression stands for.
    pub(super) fn person(&self, expr: &Expr) -> Result<Option<Scalar>, Refusal> {
        self.person.as_ref().map_or(Ok(None), |person| person.resolve(expr))
    }

    /// Whether an expression is a day of a subject's row: its first or last one.
    pub(crate) fn is_persons_day(&self, item: &Scalar) -> bool {
        let at = match item {
            Scalar::Person { at, .. } => at,
            // The first day of its week or month: what follows on a bucket's edge is named by it.
            Scalar::Bucket { item, edges, labels } => {
                let named = labels.iter().skip(1).map(|label| match label {
                    Value::Number(day, 0) => Some(*day),
                    _ => None,
                });
                return self.is_persons_day(item) && named.eq(edges.iter().map(|edge| Some(*edge)));
            }
            _ => return false,
        };
        let is_day = |value: &PersonValue| matches!(&value.op, PersonOp::Min(of) | PersonOp::Max(of) if *of == Scalar::Part(TimePart::DayNumber));
        match &self.person {
            Some(person) => person.values.borrow().get(*at).is_some_and(is_day),
            None => self.values.get(*at).is_some_and(is_day),
        }
    }

    /// Smallest and largest number that an expression can be.
    pub(crate) fn interval(&self, item: &Scalar) -> Option<(i64, i64)> {
        self.work.add(item.size());
        let person = self.person.as_ref().map(|person| person.values.borrow());
        item.interval(&|leaf| match leaf {
            Scalar::Column { name, .. } => match self.table.column(name).map(|(_, column)| &column.role) {
                Some(ColumnRole::Measure(measure)) => Some((measure.min, measure.max)),
                _ => None,
            },
            Scalar::Person { at, .. } => {
                let values = person.as_deref().unwrap_or(&self.values);
                values.get(*at).map(|value| (value.min, value.max))
            }
            _ => None,
        })
    }

    /// Whether an expression is `subject` or `session`.
    pub(crate) fn unit(&self, expr: &Expr) -> Option<Named> {
        let ident = match expr {
            Expr::Identifier(name) => name,
            Expr::Nested(inner) => return self.unit(inner),
            Expr::CompoundIdentifier(parts) => self.own(parts)?,
            _ => return None,
        };
        let name = plain_name(ident);
        match &self.names {
            Names::Table(_) if name == columns::SUBJECT => Some(Named::Subject),
            Names::Table(_) if name == columns::SESSION => Some(Named::Session),
            Names::Table(_) => None,
            Names::Listed(list) => {
                match list.iter().find(|(known, _)| *known == name).map(|(_, named)| named) {
                    Some(Named::Value(_)) | None => None,
                    Some(unit @ (Named::Subject | Named::Session)) => Some(unit.clone()),
                }
            }
        }
    }

    /// The column's name in `usage.os` or `public.usage.os`, when the table is this source's.
    fn own<'i>(&self, parts: &'i [Ident]) -> Option<&'i Ident> {
        let (table, name) = match parts {
            [table, name] => (table, name),
            [schema, table, name] if plain_name(schema) == "public" => (table, name),
            _ => return None,
        };
        let own = self.alias.as_deref().unwrap_or(self.table.kind.as_str());
        (plain_name(table) == own).then_some(name)
    }

    /// The column of a name with the table's in front.
    pub(super) fn qualified(&self, parts: &[Ident], span: Span) -> Result<Shared<Scalar>, Refusal> {
        match self.own(parts) {
            Some(name) => self.column(name),
            None => {
                let message = "This name does not belong to the table of the query, and a query over events cannot \
                    refer to what stands around it.";
                // Whoever looks at the day of an outer row usually means a window around it.
                let is_day = parts
                    .last()
                    .map(plain_name)
                    .is_some_and(|name| name == columns::DAY || name == columns::TIME);
                let example = match is_day {
                    true => windows(self.table.kind, 6),
                    false => "SELECT u.os, COUNT(*) FROM usage AS u GROUP BY u.os".to_owned(),
                };
                Err(Refusal::new(Rule::Column, span, message, example))
            }
        }
    }

    /// The column of a name, in lower case unless quoted.
    pub(crate) fn column(&self, ident: &Ident) -> Result<Shared<Scalar>, Refusal> {
        let name = plain_name(ident);
        let extra = match &self.names {
            Names::Table(extra) => extra,
            Names::Listed(list) => {
                return match list.iter().find(|(known, _)| *known == name).map(|(_, named)| named) {
                    Some(Named::Value(scalar)) => Ok(scalar.clone()),
                    Some(Named::Subject | Named::Session) => Err(unit(&name, ident.span)),
                    None => Err(self.unknown(ident)),
                };
            }
        };
        if let Some((_, scalar)) = extra.iter().find(|(known, _)| *known == name) {
            return Ok(scalar.clone().into());
        }
        let own = self.table_column(&name).unwrap_or_else(|| Err(self.unknown(ident)));
        own.map(Shared::new).map_err(|mut refusal| {
            (refusal.line, refusal.column) = (ident.span.start.line.max(1), ident.span.start.column.max(1));
            refusal
        })
    }

    /// The table's column of this name; `None` when analysts have no such column.
    fn table_column(&self, name: &str) -> Option<Result<Scalar, Refusal>> {
        match name {
            "region" => return Some(Ok(Scalar::Region)),
            columns::DAY => return Some(Ok(Scalar::Day)),
            columns::TIME => return Some(Ok(Scalar::Time(Grain::Hour))),
            _ => {}
        }
        let (_, column) = self.table.column(name)?;
        let ty = match (&column.role, column.ty) {
            (ColumnRole::Measure(measure), _) => Type::Number { scale: measure.scale },
            (ColumnRole::Dimension { .. }, ColumnType::Boolean) => Type::Boolean,
            (ColumnRole::Dimension { .. }, ColumnType::Text) => Type::Text,
            (ColumnRole::Dimension { .. }, ColumnType::Integer) => Type::Number { scale: 0 },
            (ColumnRole::Unit, _) => return Some(Err(unit(name, Span::empty()))),
            (ColumnRole::Dimension { .. } | ColumnRole::Hidden | ColumnRole::Time, _) => return None,
        };
        Some(Ok(Scalar::Column { name: name.to_owned(), ty }))
    }

    /// Every name with what it stands for, in the order of `*`.
    pub(crate) fn all(&self) -> Vec<(String, Named)> {
        let extra = match &self.names {
            Names::Listed(list) => return list.to_vec(),
            Names::Table(extra) => extra,
        };
        let own = self.table.columns.iter().map(|column| column.name.as_str());
        let named = |name: &str| match name {
            columns::SUBJECT => Some(Named::Subject),
            columns::SESSION => Some(Named::Session),
            _ => self.table_column(name)?.ok().map(|column| Named::Value(column.into())),
        };
        let own =
            std::iter::once("region").chain(own).filter_map(|name| Some((name.to_owned(), named(name)?)));
        own.chain(
            extra.iter().map(|(name, scalar)| ((*name).to_owned(), Named::Value(scalar.clone().into()))),
        )
        .collect()
    }

    /// The refusal of an unknown column. A hidden column has the same refusal.
    fn unknown(&self, ident: &Ident) -> Refusal {
        let all = self.all();
        let names: Vec<&str> = all
            .iter()
            .filter(|(_, named)| matches!(named, Named::Value(_)))
            .map(|(name, _)| name.as_str())
            .collect();
        let table = self.table.kind;
        let message = format!("There is no such column in {table}; there are {}.", names.join(", "));
        let suggestion = format!("SELECT os, COUNT(*) AS n FROM {table} GROUP BY os");
        Refusal::new(Rule::Column, ident.span, message, suggestion)
    }
}

fn unit(name: &str, span: Span) -> Refusal {
    let message = format!(
        "`{name}` can be used inside COUNT(DISTINCT {name}) and in subqueries that group by subject only."
    );
    let suggestion = match name {
        columns::SESSION => "SELECT COUNT(DISTINCT session) FROM usage",
        _ => {
            "SELECT n, COUNT(*) AS people FROM (SELECT subject, COUNT(*) AS n FROM usage GROUP BY subject) AS p GROUP BY n"
        }
    };
    Refusal::new(Rule::Column, span, message, suggestion)
}
