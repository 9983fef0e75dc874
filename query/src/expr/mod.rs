//! Expressions over columns that are total and cheap: whatever a row holds, they give a value and never an error.
//!
//! Invariants: the enum is the whole list; there is no cast that can fail, no division, no regular expression, no
//! function whose cost depends on the value. `time` exists as an hour or coarser only.
//! Not here: how SQL becomes one (`bind/scalar.rs`).
//!
//! - `plan`: as DataFusion's expression
//! - `domain`: what it can evaluate to, from the registry alone
//! - `normal`: one form for all spellings of the same condition
//! - `text`: as text

mod domain;
mod normal;
mod plan;
mod text;
mod times;

use crate::calendar::Grain;

pub(crate) use self::domain::{INTERVAL_MAX, Public};
pub(crate) use self::normal::{filter, normal};
pub(crate) use self::text::fixed_point_text;

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

    pub(super) const fn text(self) -> &'static str {
        match self {
            Compare::Eq => "=",
            Compare::NotEq => "<>",
            Compare::Lt => "<",
            Compare::LtEq => "<=",
            Compare::Gt => ">",
            Compare::GtEq => ">=",
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
    pub(super) const fn text(self) -> &'static str {
        match self {
            Arithmetic::Add => "+",
            Arithmetic::Subtract => "-",
            Arithmetic::Multiply => "*",
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
    /// Days since 1970-01-01.
    DayNumber,
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
            Part::DayNumber => "day_number",
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
            Part::Year | Part::DayNumber => None,
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

    /// Calls `f` with each expression directly inside.
    pub(crate) fn each<'s>(&'s self, f: &mut dyn FnMut(&'s Scalar)) {
        match self {
            Scalar::Column { .. }
            | Scalar::Region
            | Scalar::Day
            | Scalar::Time(_)
            | Scalar::Value(_)
            | Scalar::Part(_)
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => {}
            Scalar::Compare(_, left, right)
            | Scalar::And(left, right)
            | Scalar::Or(left, right)
            | Scalar::Arithmetic(_, left, right) => {
                f(left);
                f(right);
            }
            Scalar::Not(item)
            | Scalar::In(item, _)
            | Scalar::IsNull(item)
            | Scalar::Like { item, .. }
            | Scalar::Upper(item)
            | Scalar::Lower(item)
            | Scalar::Bucket { item, .. } => f(item),
            Scalar::Case { branches, otherwise } => {
                for (when, then) in branches {
                    f(when);
                    f(then);
                }
                if let Some(otherwise) = otherwise {
                    f(otherwise);
                }
            }
            Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
                items.iter().for_each(f);
            }
        }
    }

    /// The same expression with each expression directly inside replaced.
    pub(crate) fn map(self, f: &mut dyn FnMut(Scalar) -> Scalar) -> Scalar {
        let mut boxed = |item: Box<Scalar>| Box::new(f(*item));
        match self {
            Scalar::Column { .. }
            | Scalar::Region
            | Scalar::Day
            | Scalar::Time(_)
            | Scalar::Value(_)
            | Scalar::Part(_)
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => self,
            Scalar::Compare(op, left, right) => Scalar::Compare(op, boxed(left), boxed(right)),
            Scalar::And(left, right) => Scalar::And(boxed(left), boxed(right)),
            Scalar::Or(left, right) => Scalar::Or(boxed(left), boxed(right)),
            Scalar::Arithmetic(op, left, right) => Scalar::Arithmetic(op, boxed(left), boxed(right)),
            Scalar::Not(item) => Scalar::Not(boxed(item)),
            Scalar::In(item, values) => Scalar::In(boxed(item), values),
            Scalar::IsNull(item) => Scalar::IsNull(boxed(item)),
            Scalar::Like { item, pattern, any_case } => Scalar::Like { item: boxed(item), pattern, any_case },
            Scalar::Upper(item) => Scalar::Upper(boxed(item)),
            Scalar::Lower(item) => Scalar::Lower(boxed(item)),
            Scalar::Bucket { item, edges, labels } => Scalar::Bucket { item: boxed(item), edges, labels },
            Scalar::Case { branches, otherwise } => {
                let branches = branches.into_iter().map(|(when, then)| (f(when), f(then))).collect();
                Scalar::Case { branches, otherwise: otherwise.map(|item| Box::new(f(*item))) }
            }
            Scalar::Coalesce(items) => Scalar::Coalesce(items.into_iter().map(f).collect()),
            Scalar::Least(items) => Scalar::Least(items.into_iter().map(f).collect()),
            Scalar::Greatest(items) => Scalar::Greatest(items.into_iter().map(f).collect()),
        }
    }

    /// Whether it, or anything inside, is such an expression.
    pub(crate) fn any(&self, is: &dyn Fn(&Scalar) -> bool) -> bool {
        let mut found = is(self);
        self.each(&mut |inner| found = found || inner.any(is));
        found
    }
}
