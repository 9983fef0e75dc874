//! The unit of a number that is computed from others.
//!
//! Invariants: no unit is better than a wrong one. What is multiplied or divided by a constant has none: `ms / 1000` are
//! no milliseconds any more. Not here: units of released numbers (`shoal-language`).

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

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

/// One of what a unit counts.
fn one_of(unit: &str) -> &str {
    match unit {
        "events" => "event",
        "sessions" => "session",
        "subjects" => "subject",
        other => other,
    }
}
