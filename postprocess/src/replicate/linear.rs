//! Numbers whose interval is known without companions: a released number times or plus constants, rounded or not, and a mean.
//!
//! Rounding and a bound that is a constant keep the order of numbers, so what they make of an interval's ends holds what they
//! make of the truth. The deviation is that of the number before.
//!
//! A mean is written by the language as `CASE WHEN n > 0 THEN least(greatest(t / n + center, low), high) END` over a released
//! sum t and a released count n. Its interval is Fieller's (1954): all m for which `|t - m n| <= z sd(t - m n)`, which holds
//! the true ratio with the stated probability however near n is to zero. Where n is not told from zero that set is
//! unbounded: then the interval is from `low` to `high`, the bounds of the values themselves. A mean that the bounds have moved
//! takes its interval along before they cut it off: so a mean at a bound keeps an interval that says how little is known of it,
//! also where the interval of the ratio does not meet the bounds at all.
//!
//! Invariants: an interval that is stated here holds the number. Not here: intervals from companions (`answer`).

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::functions::core::expr_fn::{greatest, least};
use datafusion::functions::math::expr_fn::{abs, sqrt};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator, TryCast, lit, when};

use super::relation::{Bare, Noise, Noisy, Relation, Replication};
use crate::refuse::Stop;
use crate::released::STATED;
use shoal_anonymity::budget::Z_95;

/// A mean, taken apart.
struct Mean<'e> {
    condition: &'e Expr,
    ratio: &'e Expr,
    total: &'e Expr,
    count: &'e Expr,
    center: Option<&'e Expr>,
    low: &'e Expr,
    high: &'e Expr,
}

/// What is stated of a number, as expressions in the order of [`STATED`].
type Stated = [Expr; STATED.len()];

impl Replication<'_> {
    /// Writes down what is stated of an expression, where that is known: into the number's columns, and as expressions that are
    /// still to be projected.
    pub(super) fn state(
        &mut self,
        expr: &Expr,
        input: &Relation,
        noisy: &mut Noisy,
        extra: &mut Vec<Expr>,
    ) -> Result<(), Stop> {
        let Some((core, stated)) = stated(expr, input)? else { return Ok(()) };
        if let Some(mean) = mean(core) {
            let end = |end: &Expr| with(expr, core, end);
            noisy.ends = Some(Box::new([end(mean.low)?, end(mean.high)?]));
        }
        let columns = STATED.map(|_| self.fresh_column());
        extra.extend(stated.into_iter().zip(&columns).map(|(expr, column)| expr.alias(&column.name)));
        noisy.bare = Some(Bare { stated: Box::new(columns), is_whole: false });
        Ok(())
    }
}

/// The one thing that an expression is linear in, and what is stated of the expression.
fn stated<'e>(expr: &'e Expr, input: &Relation) -> Result<Option<(&'e Expr, Stated)>, Stop> {
    let Some(core) = core(expr) else { return Ok(None) };
    let own = match mean(core) {
        Some(mean) => mean.stated(input)?,
        None => bare(core, input),
    };
    let Some([sd, low, high]) = own else { return Ok(None) };
    let smooth = smooth(expr, core)?;
    let slope = with(&smooth, core, &sd)? - with(&smooth, core, &lit(0.0))?;
    Ok(Some((core, [abs(slope), with(expr, core, &low)?, with(expr, core, &high)?])))
}

/// What is stated of a column.
fn bare(column: &Expr, input: &Relation) -> Option<Stated> {
    let Expr::Column(column) = column else { return None };
    match input.noise_of(column) {
        Some(Noise::Noisy(Noisy { bare: Some(bare), .. })) => {
            Some(bare.stated.each_ref().map(|column| Expr::Column(column.clone())))
        }
        _ => None,
    }
}

/// The one column or mean that an expression is linear in.
fn core(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Column(_) => Some(expr),
        Expr::Case(_) => mean(expr).map(|_| expr),
        Expr::Alias(alias) => core(&alias.expr),
        Expr::Cast(cast) if cast.field.data_type().is_numeric() => core(&cast.expr),
        Expr::Negative(inner) => core(inner),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Plus | Operator::Minus | Operator::Multiply if is_constant(left) => core(right),
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide
                if is_constant(right) =>
            {
                core(left)
            }
            _ => None,
        },
        Expr::ScalarFunction(call) => core(kept_in_order(call)?),
        _ => None,
    }
}

/// What a call rounds, or keeps within a constant.
fn kept_in_order(call: &ScalarFunction) -> Option<&Expr> {
    match (call.func.name(), call.args.as_slice()) {
        ("round" | "trunc" | "floor" | "ceil", [inner]) => Some(inner),
        ("round" | "trunc", [inner, places]) if is_constant(places) => Some(inner),
        ("greatest" | "least", [inner, bound]) if is_constant(bound) => Some(inner),
        ("greatest" | "least", [bound, inner]) if is_constant(bound) => Some(inner),
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Negative(inner) => is_constant(inner),
        Expr::Cast(cast) => is_constant(&cast.expr),
        _ => false,
    }
}

/// The expression without rounding and bounds around its core.
fn smooth(expr: &Expr, core: &Expr) -> Result<Expr, Stop> {
    let smooth = expr.clone().transform_down(|e| {
        Ok(match &e {
            _ if e == *core => Transformed::new(e, false, TreeNodeRecursion::Jump),
            Expr::Cast(cast) if cast.field.data_type().is_integer() => Transformed::yes(float(&cast.expr)),
            Expr::ScalarFunction(call) => match kept_in_order(call).cloned() {
                Some(inner) => Transformed::yes(inner),
                None => Transformed::no(e),
            },
            _ => Transformed::no(e),
        })
    })?;
    Ok(smooth.data)
}

/// The expression with something else in the place of its core.
fn with(expr: &Expr, core: &Expr, other: &Expr) -> Result<Expr, Stop> {
    let replaced = expr.clone().transform_down(|e| {
        Ok(match &e {
            _ if e == *core => Transformed::new(other.clone(), true, TreeNodeRecursion::Jump),
            // An end that is not known is no whole number.
            Expr::Cast(cast) if cast.field.data_type().is_integer() => Transformed::yes(Expr::TryCast(
                TryCast::new(cast.expr.clone(), cast.field.data_type().clone()),
            )),
            _ => Transformed::no(e),
        })
    })?;
    Ok(replaced.data.unalias())
}

/// What a mean is the mean of.
pub(super) fn total_of_mean(expr: &Expr) -> Option<&Expr> {
    mean(expr).map(|mean| mean.total)
}

/// The parts of a mean, of an expression that is one.
fn mean(expr: &Expr) -> Option<Mean<'_>> {
    let Expr::Case(Case { expr: None, when_then_expr, else_expr: None }) = expr else { return None };
    let [(condition, then)] = when_then_expr.as_slice() else { return None };
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Gt, right }) = condition.as_ref() else {
        return None;
    };
    let (inner, high) = of_two("least", then)?;
    let (inner, low) = of_two("greatest", inner)?;
    let centred = inner;
    let (ratio, center) = match inner {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => {
            (left.as_ref(), Some(right.as_ref()))
        }
        other => (other, None),
    };
    let Expr::BinaryExpr(BinaryExpr { left: total, op: Operator::Divide, right: count }) = ratio else {
        return None;
    };
    let is_mean = left == count && is_constant(right) && center.is_none_or(is_constant);
    (is_mean && is_constant(low) && is_constant(high)).then_some(Mean {
        condition,
        ratio: centred,
        total,
        count,
        center,
        low,
        high,
    })
}

/// The same expression with means that may be as far out of their bounds as these are from each other: companions of a mean at
/// a bound, which must not all be that bound.
pub(super) fn with_wide_bounds(expr: Expr) -> Result<Expr, Stop> {
    let wide = expr.transform_down(|e| {
        let Some(of) = mean(&e) else { return Ok(Transformed::no(e)) };
        let (low, high) = (float(of.low), float(of.high));
        let width = high.clone() - low.clone();
        let wide = least(vec![greatest(vec![of.ratio.clone(), low - width.clone()]), high + width]);
        let wide = when(of.condition.clone(), wide).end()?;
        Ok(Transformed::new(wide, true, TreeNodeRecursion::Jump))
    })?;
    Ok(wide.data)
}

fn of_two<'e>(name: &str, expr: &'e Expr) -> Option<(&'e Expr, &'e Expr)> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == name => match call.args.as_slice() {
            [first, second] => Some((first, second)),
            _ => None,
        },
        _ => None,
    }
}

impl Mean<'_> {
    /// Fieller's interval, moved and cut off by the bounds; the deviation is that of a normal estimate with an interval of the
    /// width that it had before, or that of the bounds if they are nearer.
    fn stated(&self, input: &Relation) -> Result<Option<Stated>, Stop> {
        let (Some([total_sd, ..]), Some([count_sd, ..])) = (bare(self.total, input), bare(self.count, input))
        else {
            return Ok(None);
        };
        let square = |expr: &Expr| expr.clone() * expr.clone();
        let (total, count) = (self.total.clone(), self.count.clone());
        let known = square(&count) - lit(Z_95 * Z_95) * square(&count_sd);
        let root =
            lit(Z_95 * Z_95) * (square(&total_sd) * known.clone() + square(&count_sd) * square(&total));
        // It is not negative where `known` is above zero; elsewhere it is not used.
        let root = sqrt(abs(root));
        let centred = |mean: Expr| self.center.map_or(mean.clone(), |center| mean + center.clone());
        let within = |mean: Expr| least(vec![greatest(vec![mean, float(self.low)]), float(self.high)]);
        let told = |end: Expr, otherwise: Expr| -> Result<Expr, Stop> {
            Ok(when(known.clone().gt(lit(0.0)), end).otherwise(otherwise)?)
        };
        let mean = centred(total.clone() / count.clone());
        let moved = within(mean.clone()) - mean;
        let free = |root: Expr| centred((total.clone() * count.clone() + root) / known.clone());
        let low = free(-root.clone());
        let low = within(least(vec![low.clone(), low + moved.clone()]));
        let high = free(root.clone());
        let high = within(greatest(vec![high.clone(), high + moved]));
        let width = float(self.high) - float(self.low);
        let sd = least(vec![lit(2.0) * root / known.clone(), width.clone()]);
        let sd = told(sd, width)? / lit(2.0 * Z_95);
        Ok(Some([sd, told(low, float(self.low))?, told(high, float(self.high))?]))
    }
}

fn float(expr: &Expr) -> Expr {
    datafusion::logical_expr::cast(expr.clone(), datafusion::arrow::datatypes::DataType::Float64)
}
