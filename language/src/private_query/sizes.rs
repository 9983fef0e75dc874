//! How much evaluating a private query's expressions for one row can cost, told from the query alone.
//!
//! Invariants: a sub-expression that occurs more than once counts once, wherever it lies, because it need not be evaluated
//! twice; nothing here depends on an event. Not here: what a part costs in time (`shoal-query`).

use std::collections::HashSet;

use super::{Aggregate, PersonOp, PrivateQuery, Shape};
use crate::expr::{Node, Scalar, Shared};

/// The different parts of some expressions, by what they cost for a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// All of them.
    pub nodes: u64,
    /// All of them when what is shared is written out at each use, with long texts and lists in proportion
    /// ([`crate::EXPANDED_MAX`]).
    pub expanded: u64,
    /// Columns of the table, regions, days, values of a made row.
    pub columns: u64,
    /// Constants.
    pub constants: u64,
    /// Comparisons of two values.
    pub comparisons: u64,
    /// Values of lists of IN.
    pub list_values: u64,
    /// AND, OR and NOT.
    pub connectives: u64,
    /// Tests for null.
    pub null_tests: u64,
    /// Patterns of LIKE and ILIKE.
    pub patterns: u64,
    /// Bytes of those patterns.
    pub pattern_bytes: u64,
    /// Branches of CASE.
    pub branches: u64,
    /// Items of COALESCE, LEAST and GREATEST.
    pub items: u64,
    /// UPPER and LOWER.
    pub text_functions: u64,
    /// Additions, subtractions and multiplications.
    pub arithmetic: u64,
    /// Buckets of a number.
    pub buckets: u64,
    /// Edges of those buckets.
    pub bucket_edges: u64,
    /// Times that are cut, and parts of times.
    pub times: u64,
}

impl Sizes {
    /// The parts of these expressions; one that two of them have counts once.
    pub fn of<'s>(expressions: impl IntoIterator<Item = &'s Scalar>) -> Sizes {
        let mut sizes = Sizes::default();
        let mut seen = HashSet::new();
        for expression in expressions {
            sizes.expanded = sizes.expanded.saturating_add(Node::size(expression));
            sizes.add(&expression.clone().into(), &mut seen);
        }
        sizes
    }

    fn add(&mut self, item: &Shared<Scalar>, seen: &mut HashSet<Shared<Scalar>>) {
        if !seen.insert(item.clone()) {
            return;
        }
        self.nodes += 1;
        match item.as_ref() {
            Scalar::Column { .. }
            | Scalar::Region
            | Scalar::Day
            | Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => self.columns += 1,
            Scalar::Time(_) | Scalar::Part(_) => self.times += 1,
            Scalar::Value(_) => self.constants += 1,
            Scalar::Compare(..) => self.comparisons += 1,
            Scalar::And(..) | Scalar::Or(..) | Scalar::Not(_) => self.connectives += 1,
            Scalar::In(_, values) => self.list_values += values.len() as u64,
            Scalar::IsNull(_) => self.null_tests += 1,
            Scalar::Like { pattern, .. } => {
                self.patterns += 1;
                self.pattern_bytes += pattern.len() as u64;
            }
            Scalar::Case { branches, otherwise } => {
                self.branches += branches.len() as u64 + u64::from(otherwise.is_some());
            }
            Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
                self.items += items.len() as u64;
            }
            Scalar::Upper(_) | Scalar::Lower(_) => self.text_functions += 1,
            Scalar::Arithmetic(..) => self.arithmetic += 1,
            Scalar::Bucket { edges, .. } => {
                self.buckets += 1;
                self.bucket_edges += edges.len() as u64;
            }
        }
        item.each(&mut |inner| self.add(inner, seen));
    }
}

fn of_aggregate(aggregate: &Aggregate) -> impl Iterator<Item = &Scalar> {
    aggregate.op.argument().into_iter().chain(&aggregate.filter)
}

impl PrivateQuery {
    /// Every expression that is evaluated for its rows, but for those of [`PrivateQuery::members`], which are evaluated for the
    /// rows of other tables or days.
    pub fn expressions(&self) -> Vec<&Scalar> {
        let mut all: Vec<&Scalar> = self.filter.iter().collect();
        match &self.shape {
            Shape::Events => {}
            Shape::Subjects(rows) => {
                all.extend(&rows.keys);
                all.extend(&rows.having);
                for value in &rows.values {
                    all.extend(&value.filter);
                    match &value.op {
                        PersonOp::Present(item)
                        | PersonOp::Distinct(item)
                        | PersonOp::Sum(item)
                        | PersonOp::Min(item)
                        | PersonOp::Max(item) => all.push(item),
                        PersonOp::Rows | PersonOp::Sessions => {}
                    }
                }
            }
            Shape::Funnel { steps, .. } => all.extend(steps),
            Shape::Retention { cohort, back, .. } => all.extend([cohort, back]),
        }
        all.extend(self.keys.iter().map(|key| &key.scalar));
        all.extend(self.aggregates.iter().flat_map(of_aggregate));
        all
    }

    /// How much its expressions can cost for one row: the different parts of [`PrivateQuery::expressions`].
    pub fn sizes(&self) -> Sizes {
        Sizes::of(self.expressions())
    }

    /// The same for a row of each of its memberships, in their order.
    pub fn member_sizes(&self) -> Vec<Sizes> {
        self.members.iter().map(|member| Sizes::of(&member.filter)).collect()
    }
}
