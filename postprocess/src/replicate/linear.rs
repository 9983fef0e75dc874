//! Numbers whose interval is known without companions: a released number times or plus constants, and a mean.
//!
//! A mean is written by the language as `CASE WHEN n > 0 THEN least(greatest(t / n + center, low), high) END` over a released
//! sum t and a released count n. Its interval is Fieller's (1954): all m for which `|t - m n| <= z sd(t - m n)`, which holds
//! the true ratio with the stated probability however near n is to zero. Where n is not told from zero that set is
//! unbounded: then the interval is from `low` to `high`, the bounds of the values themselves.
//!
//! Invariants: an interval that is stated here holds the number. Not here: intervals from companions (`answer`).

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::functions::core::expr_fn::{greatest, least};
use datafusion::functions::math::expr_fn::{abs, sqrt};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator, lit, when};

use super::relation::{Bare, Noise, Noisy, Relation, Replication};
use crate::refuse::Stop;
use crate::released::STATED;
use shoal_anonymity::budget::Z_95;

/// A mean, taken apart.
struct Mean<'e> {
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
    let slope = with(expr, core, &sd)? - with(expr, core, &lit(0.0))?;
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
        Expr::Cast(cast) if is_fractional(cast.field.data_type()) => core(&cast.expr),
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
        Expr::ScalarFunction(call) => core(rounded(call)?),
        _ => None,
    }
}

/// What a call rounds to a number of places.
fn rounded(call: &ScalarFunction) -> Option<&Expr> {
    match call.args.as_slice() {
        [inner] if call.func.name() == "round" => Some(inner),
        [inner, places] if call.func.name() == "round" && is_constant(places) => Some(inner),
        _ => None,
    }
}

fn is_fractional(ty: &datafusion::arrow::datatypes::DataType) -> bool {
    ty.is_floating() || ty.is_decimal()
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Negative(inner) => is_constant(inner),
        Expr::Cast(cast) => is_constant(&cast.expr),
        _ => false,
    }
}

/// The expression with something else in the place of its core, and not rounded.
fn with(expr: &Expr, core: &Expr, other: &Expr) -> Result<Expr, Stop> {
    let replaced = expr.clone().transform_up(|e| {
        Ok(match &e {
            _ if e == *core => Transformed::yes(other.clone()),
            Expr::ScalarFunction(call) => match rounded(call).cloned() {
                Some(inner) => Transformed::yes(inner),
                None => Transformed::no(e),
            },
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
    (is_mean && is_constant(low) && is_constant(high)).then_some(Mean { total, count, center, low, high })
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
    /// Fieller's interval, within the bounds; the deviation is that of a normal estimate with an interval of this width.
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
        let end = |root: Expr, otherwise: &Expr| -> Result<Expr, Stop> {
            let mean = (total.clone() * count.clone() + root) / known.clone();
            let mean = self.center.map_or(mean.clone(), |center| mean + center.clone());
            let mean = least(vec![greatest(vec![mean, self.low.clone()]), self.high.clone()]);
            Ok(when(known.clone().gt(lit(0.0)), mean).otherwise(float(otherwise))?)
        };
        let (low, high) = (end(-root.clone(), self.low)?, end(root, self.high)?);
        let sd = (high.clone() - low.clone()) / lit(2.0 * Z_95);
        Ok(Some([sd, low, high]))
    }
}

fn float(expr: &Expr) -> Expr {
    datafusion::logical_expr::cast(expr.clone(), datafusion::arrow::datatypes::DataType::Float64)
}
