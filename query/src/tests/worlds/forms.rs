//! Which expressions, aggregates and shapes private queries are made of: what statements of the suite have to cover.
//!
//! Invariants: the names are given by matches without a wildcard, and the lists by the same words, so that whatever the language
//! learns to ask of events does not compile here until it has a name, and is asked for until a statement has it.

use std::collections::BTreeSet;

use shoal_language::calendar::Grain;
use shoal_language::{
    AggregateOp, Arithmetic, Compare, KeyKind, PersonOp, PrivateQuery, Scalar, Shape, TimePart,
};

/// A function that names a value, and the list of all names.
macro_rules! named {
    ($function:ident, $all:ident, $of:ty, { $($pattern:pat => $name:literal),+ $(,)? }) => {
        const $all: &[&str] = &[$($name),+];

        fn $function(of: &$of) -> &'static str {
            match of {
                $($pattern => $name),+
            }
        }
    };
}

named!(scalar, SCALARS, Scalar, {
    Scalar::Column { .. } => "column",
    Scalar::Region => "region",
    Scalar::Day => "day",
    Scalar::Time(Grain::Hour) => "hour",
    Scalar::Time(Grain::Day) => "day of a time",
    Scalar::Time(Grain::Week) => "week",
    Scalar::Time(Grain::Month) => "month",
    Scalar::Value(_) => "constant",
    Scalar::Compare(Compare::Eq, ..) => "=",
    Scalar::Compare(Compare::NotEq, ..) => "<>",
    Scalar::Compare(Compare::Lt, ..) => "<",
    Scalar::Compare(Compare::LtEq, ..) => "<=",
    Scalar::Compare(Compare::Gt, ..) => ">",
    Scalar::Compare(Compare::GtEq, ..) => ">=",
    Scalar::And(..) => "AND",
    Scalar::Or(..) => "OR",
    Scalar::Not(_) => "NOT",
    Scalar::In(..) => "IN",
    Scalar::IsNull(_) => "IS NULL",
    Scalar::Like { any_case: false, .. } => "LIKE",
    Scalar::Like { any_case: true, .. } => "ILIKE",
    Scalar::Case { .. } => "CASE",
    Scalar::Coalesce(_) => "coalesce",
    Scalar::Upper(_) => "upper",
    Scalar::Lower(_) => "lower",
    Scalar::Arithmetic(Arithmetic::Add, ..) => "+",
    Scalar::Arithmetic(Arithmetic::Subtract, ..) => "-",
    Scalar::Arithmetic(Arithmetic::Multiply, ..) => "*",
    Scalar::Least(_) => "least",
    Scalar::Greatest(_) => "greatest",
    Scalar::Bucket { .. } => "bucket",
    Scalar::Part(TimePart::Hour) => "part hour",
    Scalar::Part(TimePart::Dow) => "part dow",
    Scalar::Part(TimePart::Isodow) => "part isodow",
    Scalar::Part(TimePart::Day) => "part day",
    Scalar::Part(TimePart::Week) => "part week",
    Scalar::Part(TimePart::Month) => "part month",
    Scalar::Part(TimePart::Quarter) => "part quarter",
    Scalar::Part(TimePart::Year) => "part year",
    Scalar::Part(TimePart::DayNumber) => "part day number",
    Scalar::Person { .. } => "value of a person",
    Scalar::PersonKey { .. } => "key of a person",
    Scalar::Step => "step",
    Scalar::Cohort => "cohort",
    Scalar::Period => "period",
});

named!(aggregate, NUMBERS, AggregateOp, {
    AggregateOp::Rows => "COUNT(*)",
    AggregateOp::Present(_) => "COUNT(expression)",
    AggregateOp::Sum(_) => "SUM",
    AggregateOp::Subjects => "COUNT(DISTINCT subject)",
    AggregateOp::Sessions => "COUNT(DISTINCT session)",
    AggregateOp::Quantile { .. } => "quantile",
});

named!(person, PERSONS, PersonOp, {
    PersonOp::Rows => "a person's COUNT(*)",
    PersonOp::Present(_) => "a person's COUNT(expression)",
    PersonOp::Distinct(_) => "a person's COUNT(DISTINCT expression)",
    PersonOp::Sessions => "a person's COUNT(DISTINCT session)",
    PersonOp::Sum(_) => "a person's SUM",
    PersonOp::Min(_) => "a person's MIN",
    PersonOp::Max(_) => "a person's MAX",
});

named!(shape, SHAPES, Shape, {
    Shape::Events => "events",
    Shape::Subjects(_) => "rows of subjects",
    Shape::Funnel { .. } => "funnel",
    Shape::Retention { .. } => "retention",
});

named!(key, KEYS, KeyKind, {
    KeyKind::Region => "region as a key",
    KeyKind::Time(_) => "time as a key",
    KeyKind::Public(_) => "public key",
    KeyKind::Private => "private key",
    KeyKind::Windows(_) => "windows of days",
});

/// Every name.
pub(super) fn all() -> BTreeSet<&'static str> {
    [SCALARS, NUMBERS, PERSONS, SHAPES, KEYS].into_iter().flatten().copied().collect()
}

/// Those of one query.
pub(super) fn of(query: &PrivateQuery) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::from([shape(query.shape())]);
    let mut scalars: Vec<&Scalar> = query.filter().into_iter().collect();
    scalars.extend(query.members().iter().filter_map(|member| member.filter.as_ref()));
    for own in query.keys() {
        found.insert(key(&own.kind));
        scalars.push(&own.scalar);
    }
    for own in query.aggregates() {
        found.insert(aggregate(&own.op));
        scalars.extend(&own.filter);
        scalars.extend(own.op.argument());
    }
    match query.shape() {
        Shape::Events => {}
        Shape::Subjects(rows) => {
            scalars.extend(rows.keys.iter().chain(&rows.having));
            for value in &rows.values {
                found.insert(person(&value.op));
                scalars.extend(&value.filter);
                match &value.op {
                    PersonOp::Present(item)
                    | PersonOp::Distinct(item)
                    | PersonOp::Sum(item)
                    | PersonOp::Min(item)
                    | PersonOp::Max(item) => scalars.push(item),
                    PersonOp::Rows | PersonOp::Sessions => {}
                }
            }
        }
        Shape::Funnel { steps, .. } => scalars.extend(steps),
        Shape::Retention { cohort, back, .. } => scalars.extend([cohort, back]),
    }
    while let Some(own) = scalars.pop() {
        found.insert(scalar(own));
        own.each(&mut |inner| scalars.push(inner));
    }
    found
}
