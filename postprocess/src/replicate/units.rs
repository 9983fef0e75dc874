//! The unit of a number that is computed from others, and of columns that are made of keys.
//!
//! Invariants: no unit is better than a wrong one. What is multiplied or divided by a constant has none: `ms / 1000` are
//! no milliseconds any more. Not here: units of released numbers (`shoal-language`).

use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, JoinType, LogicalPlan, Operator};

use crate::released::ReleasedSchema;
use crate::slot::Slot;

/// Functions whose value has the unit of their arguments.
const SAME: &[&str] =
    &["abs", "ceil", "coalesce", "floor", "greatest", "least", "nullif", "nvl", "round", "trunc"];
/// Aggregates and window functions whose value has the unit of their first argument.
pub(super) const SAME_OVER_ROWS: &[&str] = &[
    "avg",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "max",
    "median",
    "min",
    "nth_value",
    "stddev",
    "stddev_pop",
    "sum",
];

/// What is known of an expression's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unit {
    /// A constant: it fits any unit.
    Constant,
    /// This one.
    Of(String),
    /// None, or not known.
    None,
}

impl Unit {
    pub(super) fn named(self) -> Option<String> {
        match self {
            Unit::Of(name) => Some(name),
            Unit::Constant | Unit::None => None,
        }
    }

    fn with(self, other: Unit) -> Unit {
        match (self, other) {
            (Unit::Constant, unit) | (unit, Unit::Constant) => unit,
            (Unit::Of(a), Unit::Of(b)) if a == b => Unit::Of(a),
            _ => Unit::None,
        }
    }
}

/// The unit of an expression that is made of others whose unit is `known`.
pub(super) fn unit(expr: &Expr, known: &dyn Fn(&Expr) -> Option<Unit>) -> Unit {
    if let Some(unit) = known(expr) {
        return unit;
    }
    let all = |exprs: &mut dyn Iterator<Item = &Expr>| {
        exprs.fold(Unit::Constant, |sum, expr| sum.with(unit(expr, known)))
    };
    match expr {
        Expr::Literal(..) => Unit::Constant,
        Expr::Alias(alias) => unit(&alias.expr, known),
        Expr::Cast(cast) => unit(&cast.expr, known),
        Expr::TryCast(cast) => unit(&cast.expr, known),
        Expr::Negative(inner) => unit(inner, known),
        Expr::BinaryExpr(binary) => of_two(binary, known),
        Expr::ScalarFunction(call) => match call.func.name() {
            // The second argument of these is a number of decimal places.
            "round" | "trunc" => call.args.first().map_or(Unit::None, |first| unit(first, known)),
            name if SAME.contains(&name) => all(&mut call.args.iter()),
            _ => Unit::None,
        },
        Expr::Case(case) => {
            let then = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            all(&mut then.chain(case.else_expr.as_deref()))
        }
        _ => Unit::None,
    }
}

fn of_two(binary: &BinaryExpr, known: &dyn Fn(&Expr) -> Option<Unit>) -> Unit {
    let (left, right) = (unit(&binary.left, known), unit(&binary.right, known));
    match (binary.op, left, right) {
        (Operator::Plus | Operator::Minus, left, right) => left.with(right),
        (Operator::Multiply | Operator::Divide, Unit::Constant, Unit::Constant) => Unit::Constant,
        (Operator::Divide, Unit::Of(a), Unit::Of(b)) if a == b => Unit::None,
        (Operator::Divide, Unit::Of(a), Unit::Of(b)) if b == "1" => Unit::Of(a),
        (Operator::Divide, Unit::Of(a), Unit::Of(b)) => Unit::Of(format!("{a} per {}", one_of(&b))),
        _ => Unit::None,
    }
}

/// The units of a plan's columns that are made of keys; none for every other.
pub(super) fn of_keys(plan: &LogicalPlan, releases: &[ReleasedSchema]) -> Vec<Option<String>> {
    let columns = plan.schema().fields().len();
    let inputs = || plan.inputs().into_iter().map(|input| of_keys(input, releases)).collect::<Vec<_>>();
    let made = |exprs: &[Expr]| -> Vec<Option<String>> {
        let (all, inputs) = (inputs(), plan.inputs());
        let (Some(own), Some(input)) = (all.first(), inputs.first()) else { return Vec::new() };
        let known = |expr: &Expr| match expr {
            Expr::Column(column) => {
                let at = input.schema().maybe_index_of_column(column);
                let unit = at.and_then(|at| own.get(at)?.clone());
                Some(unit.map_or(Unit::None, Unit::Of))
            }
            _ => None,
        };
        exprs.iter().map(|expr| unit(expr, &known).named()).collect()
    };
    let mut units: Vec<Option<String>> = match plan {
        LogicalPlan::TableScan(scan) => match Slot::of(scan).and_then(|slot| releases.get(slot.at)) {
            Some(release) => release.keys.iter().map(|key| key.unit.clone()).collect(),
            None => Vec::new(),
        },
        LogicalPlan::Projection(node) => made(&node.expr),
        LogicalPlan::Aggregate(node) => made(&node.group_expr),
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => inputs().into_iter().next().unwrap_or_default(),
        LogicalPlan::Join(node) => match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => inputs().concat(),
            JoinType::RightSemi | JoinType::RightAnti => inputs().pop().unwrap_or_default(),
            _ => inputs().into_iter().next().unwrap_or_default(),
        },
        LogicalPlan::Union(_) => {
            let same = |a: Vec<Option<String>>, b: Vec<Option<String>>| -> Vec<Option<String>> {
                a.into_iter().zip(b).map(|(a, b)| a.filter(|a| b.as_ref() == Some(a))).collect()
            };
            inputs().into_iter().reduce(same).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    units.resize(columns, None);
    units
}

/// One of what a unit counts.
fn one_of(unit: &str) -> &str {
    match unit {
        "events" => "event",
        "sessions" => "session",
        "subjects" => "subject",
        other => other,
    }
}
