//! Expressions over columns that are total and cheap: whatever a row holds, they give a value and never an error.
//!
//! Invariants: the enum is the whole list; there is no cast that can fail, no division, no regular expression, no
//! function whose cost depends on the value. `time` exists as an hour or coarser only. What an expression can evaluate
//! to ([`Scalar::domain`]) and how many values one subject's day can show of it follow from the registry, not from data.
//! Not here: how SQL becomes one (`bind/scalar.rs`).

use std::collections::BTreeSet;
use std::fmt;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{self as df, expr::Like};
use datafusion::prelude::{Expr, col, lit};
use shoal_schemas::{ColumnRole, Domain, Kind, Region, Registry, TableDef, columns};

use crate::calendar::{Grain, day_text, time_text};

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Type {
    Text,
    Boolean,
    /// An integer of units of 10^-scale.
    Number {
        scale: u8,
    },
    Time,
    Day,
}

impl Type {
    pub(crate) fn name(self) -> String {
        match self {
            Type::Text => "text".to_owned(),
            Type::Boolean => "boolean".to_owned(),
            Type::Number { scale: 0 } => "whole number".to_owned(),
            Type::Number { scale } => format!("number with {scale} decimal places"),
            Type::Time => "timestamp".to_owned(),
            Type::Day => "date".to_owned(),
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl Compare {
    /// The same comparison with its sides exchanged.
    pub(crate) const fn flipped(self) -> Compare {
        match self {
            Compare::Lt => Compare::Gt,
            Compare::LtEq => Compare::GtEq,
            Compare::Gt => Compare::Lt,
            Compare::GtEq => Compare::LtEq,
            Compare::Eq | Compare::NotEq => self,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Compare::Eq => "=",
            Compare::NotEq => "<>",
            Compare::Lt => "<",
            Compare::LtEq => "<=",
            Compare::Gt => ">",
            Compare::GtEq => ">=",
        }
    }

    const fn operator(self) -> df::Operator {
        match self {
            Compare::Eq => df::Operator::Eq,
            Compare::NotEq => df::Operator::NotEq,
            Compare::Lt => df::Operator::Lt,
            Compare::LtEq => df::Operator::LtEq,
            Compare::Gt => df::Operator::Gt,
            Compare::GtEq => df::Operator::GtEq,
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// Units of 10^-scale.
    Number(i64, u8),
    /// Days since 1970-01-01.
    Day(i32),
    /// Milliseconds since 1970, UTC.
    Time(i64),
    Text(String),
}

/// What is known about values without looking at events.
pub(crate) struct Public<'a> {
    pub(crate) table: &'a TableDef,
    /// The declared events of the table; nothing else can be in its column `event`.
    pub(crate) events: BTreeSet<Value>,
}

impl<'a> Public<'a> {
    pub(crate) fn of(registry: &'a Registry, kind: Kind) -> Public<'a> {
        let events = registry.events().iter().filter(|event| event.kind == kind);
        Public { table: registry.table(kind), events: texts(events.map(|event| event.name.clone())) }
    }
}

/// A total expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Column {
        name: String,
        ty: Type,
    },
    Region,
    Day,
    Time(Grain),
    Value(Value),
    Compare(Compare, Box<Scalar>, Box<Scalar>),
    And(Box<Scalar>, Box<Scalar>),
    Or(Box<Scalar>, Box<Scalar>),
    Not(Box<Scalar>),
    In(Box<Scalar>, Vec<Value>),
    IsNull(Box<Scalar>),
    Like {
        item: Box<Scalar>,
        pattern: String,
        any_case: bool,
    },
    Case {
        branches: Vec<(Scalar, Scalar)>,
        otherwise: Option<Box<Scalar>>,
    },
    Coalesce(Vec<Scalar>),
    Upper(Box<Scalar>),
    Lower(Box<Scalar>),
    /// Of numbers of one scale (a product has the sum of the scales); `bind` has made sure that nothing overflows.
    Arithmetic(Arithmetic, Box<Scalar>, Box<Scalar>),
    /// The smallest (or largest) of numbers of one scale; nulls are passed over.
    Least(Vec<Scalar>),
    Greatest(Vec<Scalar>),
    /// The label of the bucket a number is in: `labels[n]` when n of the ascending `edges` are not above it.
    Bucket {
        item: Box<Scalar>,
        edges: Vec<i64>,
        labels: Vec<Value>,
    },
    /// A whole number taken from the hour.
    Part(Part),
    /// A value of a subject's row, by position.
    Person {
        at: usize,
        scale: u8,
    },
    /// A key of a subject's row, by position.
    PersonKey {
        at: usize,
        ty: Type,
    },
    /// The step of a funnel, from 1.
    Step,
    /// The first day of the period of a retention's cohort.
    Cohort,
    /// The number of a retention's period, from 0.
    Period,
}

/// An operation on numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

impl Arithmetic {
    const fn text(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
        }
    }

    const fn operator(self) -> df::Operator {
        match self {
            Arithmetic::Add => df::Operator::Plus,
            Arithmetic::Subtract => df::Operator::Minus,
            Arithmetic::Multiply => df::Operator::Multiply,
        }
    }
}

/// A part of the event's hour, as PostgreSQL's EXTRACT has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// 0 to 23.
    Hour,
    /// 0 (Sunday) to 6.
    Dow,
    /// 1 (Monday) to 7.
    Isodow,
    /// 1 to 31.
    Day,
    /// ISO week, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// 1 to 4.
    Quarter,
    Year,
}

impl Part {
    /// Its name in SQL, lower case.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Part::Hour => "hour",
            Part::Dow => "dow",
            Part::Isodow => "isodow",
            Part::Day => "day",
            Part::Week => "week",
            Part::Month => "month",
            Part::Quarter => "quarter",
            Part::Year => "year",
        }
    }

    /// Smallest and largest value; a year's are not known.
    pub(crate) const fn range(self) -> Option<(i64, i64)> {
        match self {
            Part::Hour => Some((0, 23)),
            Part::Dow => Some((0, 6)),
            Part::Isodow => Some((1, 7)),
            Part::Day => Some((1, 31)),
            Part::Week => Some((1, 53)),
            Part::Month => Some((1, 12)),
            Part::Quarter => Some((1, 4)),
            Part::Year => None,
        }
    }
}

impl Scalar {
    /// Its type; none for NULL.
    pub(crate) fn ty(&self) -> Option<Type> {
        match self {
            Scalar::Column { ty, .. } => Some(*ty),
            Scalar::Region | Scalar::Upper(_) | Scalar::Lower(_) => Some(Type::Text),
            Scalar::Day => Some(Type::Day),
            Scalar::Time(_) => Some(Type::Time),
            Scalar::Value(value) => match value {
                Value::Null => None,
                Value::Boolean(_) => Some(Type::Boolean),
                Value::Number(_, scale) => Some(Type::Number { scale: *scale }),
                Value::Day(_) => Some(Type::Day),
                Value::Time(_) => Some(Type::Time),
                Value::Text(_) => Some(Type::Text),
            },
            Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::IsNull(_)
            | Scalar::Like { .. } => Some(Type::Boolean),
            Scalar::Case { branches, otherwise } => {
                branches.iter().map(|(_, then)| then).chain(otherwise.as_deref()).find_map(Scalar::ty)
            }
            Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
                items.iter().find_map(Scalar::ty)
            }
            Scalar::Arithmetic(op, left, right) => match (op, left.ty(), right.ty()) {
                (Arithmetic::Multiply, Some(Type::Number { scale: a }), Some(Type::Number { scale: b })) => {
                    Some(Type::Number { scale: a.saturating_add(b) })
                }
                (_, left, right) => left.or(right),
            },
            Scalar::Bucket { labels, .. } => {
                labels.iter().find_map(|label| Scalar::Value(label.clone()).ty())
            }
            Scalar::Part(_) | Scalar::Step | Scalar::Period => Some(Type::Number { scale: 0 }),
            Scalar::Cohort => Some(Type::Day),
            Scalar::Person { scale, .. } => Some(Type::Number { scale: *scale }),
            Scalar::PersonKey { ty, .. } => Some(*ty),
        }
    }

    /// Every value it can have in this region, NULL among them where possible; none when the registry does not list them.
    pub(crate) fn domain(&self, public: &Public<'_>) -> Option<BTreeSet<Value>> {
        let boolean = || [Value::Null, Value::Boolean(false), Value::Boolean(true)].into();
        match self {
            Scalar::Column { name, ty } => {
                if *ty == Type::Boolean {
                    return Some(boolean());
                }
                if name == columns::EVENT {
                    return Some(public.events.clone());
                }
                let (_, column) = public.table.column(name)?;
                let ColumnRole::Dimension { domain: Domain::Listed(values), .. } = &column.role else {
                    return None;
                };
                let texts = values.iter().map(|v| Value::Text(v.clone()));
                Some(texts.chain(column.nullable.then_some(Value::Null)).collect())
            }
            Scalar::Region => Some(texts(Region::ALL.iter().map(|r| r.as_str().to_owned()))),
            Scalar::Day | Scalar::Time(_) => None,
            Scalar::Value(value) => Some([value.clone()].into()),
            Scalar::Compare(..)
            | Scalar::And(..)
            | Scalar::Or(..)
            | Scalar::Not(_)
            | Scalar::In(..)
            | Scalar::Like { .. } => Some(boolean()),
            Scalar::IsNull(_) => Some([Value::Boolean(false), Value::Boolean(true)].into()),
            Scalar::Case { branches, otherwise } => {
                let mut all = BTreeSet::new();
                for (_, then) in branches {
                    all.extend(then.domain(public)?);
                }
                match otherwise {
                    Some(otherwise) => all.extend(otherwise.domain(public)?),
                    None => all.extend([Value::Null]),
                }
                Some(all)
            }
            Scalar::Coalesce(items) => {
                let mut all = BTreeSet::new();
                for item in items {
                    all.extend(item.domain(public)?);
                }
                Some(all)
            }
            Scalar::Upper(item) => Some(mapped(item.domain(public)?, str::to_uppercase)),
            Scalar::Lower(item) => Some(mapped(item.domain(public)?, str::to_lowercase)),
            Scalar::Bucket { labels, .. } => Some(labels.iter().cloned().chain([Value::Null]).collect()),
            Scalar::Part(part) => {
                let (first, last) = part.range()?;
                Some((first..=last).map(|n| Value::Number(n, 0)).collect())
            }
            Scalar::Arithmetic(..)
            | Scalar::Least(_)
            | Scalar::Greatest(_)
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => None,
        }
    }

    /// How many values of it one subject's day usually shows; a larger number is always safe, it only costs noise.
    pub(crate) fn keys_max(&self, public: &Public<'_>) -> u64 {
        let listed = self.domain(public).map_or(u64::MAX, |d| d.len() as u64);
        let shown = match self {
            Scalar::Column { name, .. } => match public.table.column(name).map(|(_, c)| &c.role) {
                Some(ColumnRole::Dimension { keys_max, .. }) => u64::from(*keys_max),
                _ => u64::MAX,
            },
            Scalar::Region | Scalar::Day | Scalar::Value(_) => 1,
            Scalar::Time(Grain::Hour) => 24,
            Scalar::Time(_) => 1,
            Scalar::Upper(item) | Scalar::Lower(item) => item.keys_max(public),
            Scalar::Coalesce(items) => {
                items.iter().fold(0, |sum: u64, item| sum.saturating_add(item.keys_max(public)))
            }
            _ => u64::MAX,
        };
        shown.min(listed).max(1)
    }

    /// Whether it reads a measure as a value (and so cannot be a key).
    pub(crate) fn shows_measure(&self, table: &TableDef) -> bool {
        match self {
            Scalar::Column { name, .. } => {
                table.column(name).is_some_and(|(_, c)| matches!(c.role, ColumnRole::Measure(_)))
            }
            Scalar::Case { branches, otherwise } => {
                branches.iter().any(|(_, then)| then.shows_measure(table))
                    || otherwise.as_ref().is_some_and(|o| o.shows_measure(table))
            }
            Scalar::Coalesce(items) => items.iter().any(|item| item.shows_measure(table)),
            _ => false,
        }
    }

    /// As an expression over the rows of one region's table.
    pub(crate) fn plan(&self, region: Region) -> Expr {
        match self {
            Scalar::Column { name, .. } => column(name),
            Scalar::Region => lit(region.as_str()),
            Scalar::Day => column(columns::DAY),
            Scalar::Time(grain) => datafusion::functions::datetime::expr_fn::date_trunc(
                lit(grain.as_str()),
                column(columns::TIME),
            ),
            Scalar::Value(value) => value.plan(),
            Scalar::Compare(op, left, right) => {
                df::binary_expr(left.plan(region), op.operator(), right.plan(region))
            }
            Scalar::And(left, right) => left.plan(region).and(right.plan(region)),
            Scalar::Or(left, right) => left.plan(region).or(right.plan(region)),
            Scalar::Not(item) => df::not(item.plan(region)),
            Scalar::In(item, list) => {
                let list = list.iter().map(Value::plan).collect();
                df::in_list(item.plan(region), list, false)
            }
            Scalar::IsNull(item) => item.plan(region).is_null(),
            Scalar::Like { item, pattern, any_case } => Expr::Like(Like::new(
                false,
                Box::new(item.plan(region)),
                Box::new(lit(pattern.as_str())),
                None,
                *any_case,
            )),
            Scalar::Case { branches, otherwise } => {
                let boxed = |s: &Scalar| Box::new(s.plan(region));
                let branches = branches.iter().map(|(w, t)| (boxed(w), boxed(t))).collect();
                let otherwise = otherwise.as_deref().map(boxed);
                Expr::Case(df::Case::new(None, branches, otherwise))
            }
            Scalar::Coalesce(items) => datafusion::functions::core::expr_fn::coalesce(
                items.iter().map(|item| item.plan(region)).collect(),
            ),
            Scalar::Upper(item) => datafusion::functions::string::expr_fn::upper(item.plan(region)),
            Scalar::Lower(item) => datafusion::functions::string::expr_fn::lower(item.plan(region)),
            Scalar::Arithmetic(op, left, right) => {
                df::binary_expr(left.plan(region), op.operator(), right.plan(region))
            }
            Scalar::Least(items) => {
                datafusion::functions::core::expr_fn::least(items.iter().map(|i| i.plan(region)).collect())
            }
            Scalar::Greatest(items) => {
                datafusion::functions::core::expr_fn::greatest(items.iter().map(|i| i.plan(region)).collect())
            }
            Scalar::Bucket { item, edges, labels } => {
                let value = item.plan(region);
                let null = (Box::new(value.clone().is_null()), Box::new(lit(ScalarValue::Null)));
                let below = edges
                    .iter()
                    .zip(labels)
                    .map(|(edge, label)| (Box::new(value.clone().lt(lit(*edge))), Box::new(label.plan())));
                let branches = std::iter::once(null).chain(below).collect();
                Expr::Case(df::Case::new(None, branches, labels.last().map(|l| Box::new(l.plan()))))
            }
            Scalar::Part(part) => {
                datafusion::functions::datetime::expr_fn::date_part(lit(part.as_str()), column(columns::TIME))
            }
            // Not columns of events: `execute` knows them.
            Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => lit(ScalarValue::Null),
        }
    }
}

fn column(name: &str) -> Expr {
    col(datafusion::common::Column::new_unqualified(name))
}

fn texts(values: impl Iterator<Item = String>) -> BTreeSet<Value> {
    values.map(Value::Text).collect()
}

fn mapped(domain: BTreeSet<Value>, change: fn(&str) -> String) -> BTreeSet<Value> {
    let each = |value| match value {
        Value::Text(text) => Value::Text(change(&text)),
        other => other,
    };
    domain.into_iter().map(each).collect()
}

impl Value {
    fn plan(&self) -> Expr {
        match self {
            Value::Null => lit(ScalarValue::Null),
            Value::Boolean(b) => lit(*b),
            Value::Number(units, _) => lit(*units),
            Value::Day(day) => lit(ScalarValue::Date32(Some(*day))),
            Value::Time(ms) => lit(ScalarValue::TimestampMillisecond(Some(*ms), Some("UTC".into()))),
            Value::Text(text) => lit(text.as_str()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::Number(units, scale) => f.write_str(&fixed_point_text(*units, *scale)),
            Value::Day(day) => write!(f, "DATE '{}'", day_text(*day)),
            Value::Time(ms) => write!(f, "TIMESTAMP '{}'", time_text(*ms)),
            Value::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// Units of 10^-scale as a decimal.
pub(crate) fn fixed_point_text(units: i64, scale: u8) -> String {
    if scale == 0 {
        return units.to_string();
    }
    let width = usize::from(scale) + 1;
    let digits = format!("{:0width$}", units.unsigned_abs());
    let (whole, part) = digits.split_at(digits.len() - usize::from(scale));
    format!("{}{whole}.{part}", if units < 0 { "-" } else { "" })
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Column { name, .. } => f.write_str(name),
            Scalar::Region => f.write_str("region"),
            Scalar::Day => f.write_str(columns::DAY),
            Scalar::Time(grain) => write!(f, "date_trunc('{}', time)", grain.as_str()),
            Scalar::Value(value) => value.fmt(f),
            Scalar::Compare(op, left, right) => write!(f, "({left} {} {right})", op.text()),
            Scalar::And(left, right) => write!(f, "({left} AND {right})"),
            Scalar::Or(left, right) => write!(f, "({left} OR {right})"),
            Scalar::Not(item) => write!(f, "(NOT {item})"),
            Scalar::In(item, values) => write!(f, "({item} IN ({}))", list(values)),
            Scalar::IsNull(item) => write!(f, "({item} IS NULL)"),
            Scalar::Like { item, pattern, any_case } => {
                let word = if *any_case { "ILIKE" } else { "LIKE" };
                write!(f, "({item} {word} '{}')", pattern.replace('\'', "''"))
            }
            Scalar::Case { branches, otherwise } => {
                f.write_str("CASE")?;
                for (when, then) in branches {
                    write!(f, " WHEN {when} THEN {then}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            Scalar::Coalesce(items) => write!(f, "coalesce({})", list(items)),
            Scalar::Upper(item) => write!(f, "upper({item})"),
            Scalar::Lower(item) => write!(f, "lower({item})"),
            Scalar::Arithmetic(op, left, right) => write!(f, "({left} {} {right})", op.text()),
            Scalar::Least(items) => write!(f, "least({})", list(items)),
            Scalar::Greatest(items) => write!(f, "greatest({})", list(items)),
            Scalar::Bucket { item, edges, labels } => {
                write!(f, "bucket({item}, [{}], [{}])", list(edges), list(labels))
            }
            Scalar::Part(part) => write!(f, "extract({} FROM time)", part.as_str()),
            Scalar::Person { at, .. } => write!(f, "value_{at}"),
            Scalar::PersonKey { at, .. } => write!(f, "key_{at}"),
            Scalar::Step => f.write_str("step"),
            Scalar::Cohort => f.write_str("cohort"),
            Scalar::Period => f.write_str("period"),
        }
    }
}
