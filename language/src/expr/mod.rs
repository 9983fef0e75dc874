//! Expressions over columns that are total and cheap: whatever a row holds, they give a value and never an error.
//!
//! Invariants: the enum is the whole list; there is no cast that can fail, no division, no regular expression, no
//! function whose cost depends on the value. `time` exists as an hour or coarser only.
//! Not here: how SQL becomes one (`bind/scalar.rs`).
//!
//! - `value`: types, constants and operators; `shared`: a sub-expression that all of its users share
//! - `domain`: what it can evaluate to, from the registry alone
//! - `normal`: one form for all spellings of the same condition (`times`: of a comparison of a time)
//! - `text`: as text; `sizes`: how large it may be

mod domain;
mod normal;
mod shared;
mod sizes;
mod text;
mod times;
mod value;

use crate::calendar::Grain;

pub(crate) use self::domain::{INTERVAL_MAX, Public};
pub(crate) use self::normal::normal_of;
pub use self::normal::{filter, normal};
pub(crate) use self::shared::Node;
pub use self::shared::Shared;
pub use self::sizes::{EXPANDED_MAX, NODES_DEEP_MAX, NODES_MAX};
pub(crate) use self::text::fixed_point_text;
pub use self::value::{Arithmetic, Compare, TimePart, Type, Value};

/// A total expression.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A column of the table.
    Column {
        /// Its name.
        name: String,
        /// Its type.
        ty: Type,
    },
    /// The region of the table.
    Region,
    /// The day of the event.
    Day,
    /// The time of the event, cut to an hour or coarser.
    Time(Grain),
    /// A constant.
    Value(Value),
    /// A comparison; null when a side is.
    Compare(Compare, Shared<Scalar>, Shared<Scalar>),
    /// Both, in SQL's three-valued logic.
    And(Shared<Scalar>, Shared<Scalar>),
    /// Either, in SQL's three-valued logic.
    Or(Shared<Scalar>, Shared<Scalar>),
    /// The negation; null of a null.
    Not(Shared<Scalar>),
    /// Whether it is one of these constants.
    In(Shared<Scalar>, Vec<Value>),
    /// Whether it is null.
    IsNull(Shared<Scalar>),
    /// Whether a text matches a pattern.
    Like {
        /// What is looked at.
        item: Shared<Scalar>,
        /// With `%` and `_`.
        pattern: String,
        /// Whether upper and lower case are the same (ILIKE).
        any_case: bool,
    },
    /// The value of the first branch whose condition is true.
    Case {
        /// Condition and value of each branch.
        branches: Vec<(Shared<Scalar>, Shared<Scalar>)>,
        /// The value when no condition is true; `None` is null.
        otherwise: Option<Shared<Scalar>>,
    },
    /// The first that is not null.
    Coalesce(Vec<Shared<Scalar>>),
    /// In upper case.
    Upper(Shared<Scalar>),
    /// In lower case.
    Lower(Shared<Scalar>),
    /// Of numbers of one scale (a product has the sum of the scales); `bind` has made sure that nothing overflows.
    Arithmetic(Arithmetic, Shared<Scalar>, Shared<Scalar>),
    /// The smallest of numbers of one scale; nulls are passed over.
    Least(Vec<Shared<Scalar>>),
    /// The largest of numbers of one scale; nulls are passed over.
    Greatest(Vec<Shared<Scalar>>),
    /// The label of the bucket a number is in: `labels[n]` when n of the ascending `edges` are not above it.
    Bucket {
        /// What is looked at.
        item: Shared<Scalar>,
        /// Ascending; in the number's units.
        edges: Vec<i64>,
        /// One more than there are edges.
        labels: Vec<Value>,
    },
    /// A whole number taken from the hour.
    Part(TimePart),
    /// A value of a subject's row, by position.
    Person {
        /// The position.
        at: usize,
        /// Decimal places.
        scale: u8,
    },
    /// A key of a subject's row, by position.
    PersonKey {
        /// The position.
        at: usize,
        /// Its type.
        ty: Type,
    },
    /// The step of a funnel, from 1.
    Step,
    /// The first day of the period of a retention's cohort.
    Cohort,
    /// The number of a retention's period, from 0.
    Period,
}

impl Scalar {
    pub(crate) const TRUE: Scalar = Scalar::Value(Value::Boolean(true));
    pub(crate) const FALSE: Scalar = Scalar::Value(Value::Boolean(false));

    /// A comparison with a constant.
    pub(crate) fn test(op: Compare, item: impl Into<Shared<Scalar>>, value: Value) -> Scalar {
        Scalar::Compare(op, item.into(), Scalar::Value(value).into())
    }

    /// Its type; none for NULL.
    pub fn ty(&self) -> Option<Type> {
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
                branches.iter().map(|(_, then)| then).chain(otherwise).find_map(Shared::ty)
            }
            Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
                items.iter().find_map(Shared::ty)
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
    pub fn each<'s>(&'s self, f: &mut dyn FnMut(&'s Shared<Scalar>)) {
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
    pub fn map(self, f: &mut dyn FnMut(Shared<Scalar>) -> Shared<Scalar>) -> Scalar {
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
            Scalar::Compare(op, left, right) => Scalar::Compare(op, f(left), f(right)),
            Scalar::And(left, right) => Scalar::And(f(left), f(right)),
            Scalar::Or(left, right) => Scalar::Or(f(left), f(right)),
            Scalar::Arithmetic(op, left, right) => Scalar::Arithmetic(op, f(left), f(right)),
            Scalar::Not(item) => Scalar::Not(f(item)),
            Scalar::In(item, values) => Scalar::In(f(item), values),
            Scalar::IsNull(item) => Scalar::IsNull(f(item)),
            Scalar::Like { item, pattern, any_case } => Scalar::Like { item: f(item), pattern, any_case },
            Scalar::Upper(item) => Scalar::Upper(f(item)),
            Scalar::Lower(item) => Scalar::Lower(f(item)),
            Scalar::Bucket { item, edges, labels } => Scalar::Bucket { item: f(item), edges, labels },
            Scalar::Case { branches, otherwise } => {
                let branches = branches.into_iter().map(|(when, then)| (f(when), f(then))).collect();
                Scalar::Case { branches, otherwise: otherwise.map(f) }
            }
            Scalar::Coalesce(items) => Scalar::Coalesce(items.into_iter().map(f).collect()),
            Scalar::Least(items) => Scalar::Least(items.into_iter().map(f).collect()),
            Scalar::Greatest(items) => Scalar::Greatest(items.into_iter().map(f).collect()),
        }
    }

    /// Whether it, or anything inside, is such an expression.
    pub fn any(&self, is: &dyn Fn(&Scalar) -> bool) -> bool {
        let mut found = is(self);
        self.each(&mut |inner| found = found || inner.any(is));
        found
    }
}

/// How many bytes of a text, and how many values of a list, are as large as a node.
const BYTES_OF_A_NODE: usize = 32;
const VALUES_OF_A_NODE: usize = 8;

impl Value {
    /// What it adds to the size of a node that holds it.
    fn size(&self) -> usize {
        match self {
            Value::Text(text) => text.len() / BYTES_OF_A_NODE,
            Value::Null | Value::Boolean(_) | Value::Number(..) | Value::Day(_) | Value::Time(_) => 0,
        }
    }
}

impl Node for Scalar {
    /// One for the node, more for a long text or list in it, and what is inside, written out.
    fn size(&self) -> u64 {
        let list = |values: &[Value]| {
            values.len() / VALUES_OF_A_NODE + values.iter().map(Value::size).sum::<usize>()
        };
        let own = match self {
            Scalar::Value(value) => value.size(),
            Scalar::In(_, values) => list(values),
            Scalar::Like { pattern, .. } => pattern.len() / BYTES_OF_A_NODE,
            Scalar::Bucket { edges, labels, .. } => edges.len() / VALUES_OF_A_NODE + list(labels),
            _ => 0,
        };
        let mut size = 1 + own as u64;
        self.each(&mut |inner| size = size.saturating_add(inner.size()));
        size
    }

    fn depth(&self) -> u32 {
        let mut inside = 0;
        self.each(&mut |inner| inside = inside.max(inner.depth()));
        inside.saturating_add(1)
    }

    fn ty(&self) -> Option<Type> {
        Scalar::ty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is given by one is taken by the other in the same order.
    #[test]
    fn with_its_own_parts_an_expression_is_the_same() {
        let column = |name: &str| Scalar::Column { name: name.to_owned(), ty: Type::Text };
        let text = |text: &str| Scalar::Value(Value::Text(text.to_owned()));
        let test = Scalar::Compare(Compare::Lt, column("os").into(), text("b").into());
        let like = Scalar::Like { item: column("os").into(), pattern: "a%".to_owned(), any_case: false };
        let all = [
            Scalar::And(test.clone().into(), Scalar::Not(like.clone().into()).into()),
            Scalar::Case {
                branches: vec![(test.into(), text("x").into()), (like.into(), column("country").into())],
                otherwise: Some(text("z").into()),
            },
            Scalar::Case { branches: Vec::new(), otherwise: Some(text("y").into()) },
            Scalar::Coalesce(vec![column("os").into(), text("none").into()]),
            Scalar::Day,
        ];
        for scalar in all {
            let mut own: Vec<Shared<Scalar>> = Vec::new();
            scalar.each(&mut |part| own.push(part.clone()));
            let (count, mut own) = (own.len(), own.into_iter());
            let mut taken = 0;
            let same = scalar.clone().map(&mut |part| {
                taken += 1;
                own.next().unwrap_or(part)
            });
            assert_eq!((same, taken), (scalar, count));
        }
    }
}
