//! Rewrites joins, DISTINCT and UNION.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::logical_plan::{Join, Projection, Union};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, cast, lit};

use super::super::released::STATED;
use super::exprs::is_number;
use super::picked;
use super::relation::{Bare, Caveat, Missing, Noise, Noisy, Relation, Replication};
use super::rows::without_companions;
use super::worlds::{constant, keys};
use crate::refuse::{JOINED, Stop, stop};
use shoal_language::Rule;

impl Replication<'_> {
    pub(super) fn join(&mut self, node: &Join) -> Result<Relation, Stop> {
        let (mut left, mut right) = (self.relation(&node.left)?, self.relation(&node.right)?);
        let (may_left, may_right) = match node.join_type {
            JoinType::Left => (false, true),
            JoinType::Right => (true, false),
            JoinType::Full => (true, true),
            _ => (false, false),
        };
        let mut of_left = if may_left { self.marked(&mut left)? } else { None };
        let mut of_right = if may_right { self.marked(&mut right)? } else { None };
        of_left.iter_mut().for_each(|side| side.keys = keys(node, &node.left, 0));
        let from = left.noise.len();
        of_right.iter_mut().for_each(|side| side.keys = keys(node, &node.right, from));
        let missing = missing(node.join_type, &left, &right);
        match node.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => self.is_chosen_by(right.missing),
            JoinType::RightSemi | JoinType::RightAnti => self.is_chosen_by(left.missing),
            _ => {}
        }
        let is_picked = picked::of_join(node, &left, &right);
        let decides = |(l, r): &(Expr, Expr)| left.decides(l) || right.decides(r);
        let (left_plan, right_plan) = (Arc::new(left.plan.clone()), Arc::new(right.plan.clone()));
        let filters = |filter: &Expr| left.decides(filter) || right.decides(filter);
        let decided = node.on.iter().any(decides) || node.filter.iter().any(filters);
        let is_decided = decided || left.is_decided || right.is_decided;
        let is_chosen = decided || left.is_picked || right.is_picked;
        let of_left_side = left.noise.len();
        let mut noise: Vec<Option<Noise>> = match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                left.noise.into_iter().chain(right.noise).collect()
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left.noise,
            JoinType::RightSemi | JoinType::RightAnti => right.noise,
            JoinType::LeftMark | JoinType::RightMark => {
                return Err(stop(Rule::Clause, "This join cannot be used.", JOINED));
            }
        };
        picked::mark(&mut noise, of_output(node.join_type, &is_picked, of_left_side));
        let plan = Join::try_new(
            left_plan,
            right_plan,
            node.on.clone(),
            node.filter.clone(),
            node.join_type,
            node.join_constraint,
            node.null_equality,
            node.null_aware,
        )?;
        let schema = Arc::clone(&node.schema);
        let mut plan = LogicalPlan::Join(plan);
        let at = of_left_side.min(noise.len());
        let (own, others) = noise.split_at_mut(at);
        if let Some(side) = of_left {
            plan = self.unmatched(plan, &side, own)?;
        }
        if let Some(side) = of_right {
            plan = self.unmatched(plan, &side, others)?;
        }
        Ok(Relation {
            plan,
            schema,
            noise,
            subqueries: Vec::new(),
            row: None,
            is_decided,
            is_picked: is_chosen,
            missing,
        })
    }

    pub(super) fn distinct(&mut self, input: &LogicalPlan) -> Result<Relation, Stop> {
        let input = self.relation(input)?;
        let mains = input.schema.columns().into_iter().map(Expr::Column).collect();
        let types = input.schema.fields().iter().map(|field| field.data_type());
        let noise: Vec<Option<Noise>> = input
            .noise
            .iter()
            .zip(types)
            .map(|(noise, ty)| noise.as_ref().map(|noise| without_companions(noise, ty)))
            .collect();
        let plan = LogicalPlan::Projection(Projection::try_new(mains, Arc::new(input.plan))?);
        let decided = noise.iter().any(Option::is_some);
        let (is_decided, is_picked) = (input.is_decided || decided, input.is_picked || decided);
        Ok(Relation {
            plan: LogicalPlan::Distinct(Distinct::All(Arc::new(plan))),
            schema: input.schema,
            noise,
            subqueries: Vec::new(),
            row: None,
            is_decided,
            is_picked,
            missing: input.missing,
        })
    }

    pub(super) fn union(&mut self, node: &Union) -> Result<Relation, Stop> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            inputs.push(self.relation(input)?);
        }
        let is_decided = inputs.iter().any(|input| input.is_decided);
        let is_picked = inputs.iter().any(|input| input.is_picked);
        let missing = inputs.iter().fold(Missing::default(), |all, input| all.or(input.missing));
        let columns: Vec<Column> = node.schema.columns();
        let mut noise = Vec::with_capacity(columns.len());
        for at in 0..columns.len() {
            noise.push(self.united(node, &inputs, at));
        }
        let mut projected = Vec::with_capacity(inputs.len());
        for input in inputs {
            let mut exprs: Vec<Expr> = input.schema.columns().into_iter().map(Expr::Column).collect();
            for (at, of) in noise.iter().enumerate() {
                let Some(Noise::Noisy(united)) = of else { continue };
                let main = exprs.get(at).cloned().unwrap_or_else(|| lit(0));
                let own = match input.noise.get(at) {
                    Some(Some(Noise::Noisy(noisy))) => Some(noisy),
                    _ => None,
                };
                if let Some((to, from)) = united.bare.as_ref().zip(own.and_then(|own| own.bare.as_ref())) {
                    let pairs = from.stated.iter().zip(to.stated.iter());
                    exprs.extend(pairs.map(|(from, to)| Expr::Column(from.clone()).alias(&to.name)));
                }
                // Beside numbers that jump, one that does not has no condition that could be moved.
                let is_still = united.is_stepped && own.is_some_and(|own| !own.is_stepped);
                for (w, to) in united.moved.iter().enumerate() {
                    let from = own.filter(|_| !(is_still && self.companions.is_wide(w)));
                    let from = from.and_then(|own| own.moved.get(w)).cloned();
                    let from = from.map_or_else(|| main.clone(), Expr::Column);
                    exprs.push(cast(from, DataType::Float64).alias(&to.name));
                }
            }
            let input = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
            projected.push(Arc::new(input));
        }
        Ok(Relation {
            plan: LogicalPlan::Union(Union::try_new_with_loose_types(projected)?),
            schema: Arc::clone(&node.schema),
            noise,
            subqueries: Vec::new(),
            row: None,
            is_decided,
            is_picked,
            missing,
        })
    }

    /// The noise of one column of a union.
    fn united(&mut self, node: &Union, inputs: &[Relation], at: usize) -> Option<Noise> {
        let of: Vec<Option<&Noise>> =
            inputs.iter().map(|i| i.noise.get(at).and_then(Option::as_ref)).collect();
        if of.iter().all(Option::is_none) {
            return None;
        }
        let types: Vec<&DataType> =
            inputs.iter().filter_map(|i| i.schema.fields().get(at)).map(|f| f.data_type()).collect();
        if !types.iter().all(|ty| is_number(ty) || **ty == DataType::Null) {
            return Some(Noise::Decided);
        }
        if of.iter().flatten().any(|noise| !matches!(noise, Noise::Noisy(_))) {
            return Some(Noise::Lost);
        }
        let noisy = |noise: &Option<&Noise>| match noise {
            Some(Noise::Noisy(noisy)) => noisy.clone(),
            _ => Noisy::default(),
        };
        let all: Vec<Noisy> = of.iter().map(noisy).collect();
        let first = all.first()?;
        let is_whole = |noisy: &Noisy| noisy.bare.as_ref().map(|bare| bare.is_whole);
        let is_same = |noisy: &Noisy| is_whole(noisy) == is_whole(first);
        let has_unit = all.iter().all(|noisy| noisy.unit == first.unit);
        let whole = is_whole(first).filter(|_| has_unit && all.iter().all(is_same));
        let mut caveats: BTreeSet<Caveat> =
            all.iter().flat_map(|noisy| noisy.caveats.iter().copied()).collect();
        // A NULL is no number.
        let is_null = |plan: &LogicalPlan| matches!(constant(plan, at), Some(Expr::Literal(value, _)) if value.is_null());
        let is_exact = |(plan, of): (&Arc<LogicalPlan>, &Option<&Noise>)| of.is_none() && !is_null(plan);
        if node.inputs.iter().zip(&of).any(is_exact) {
            caveats.insert(Caveat::WithExact);
        }
        let misses_groups =
            |(input, of): (&Relation, &Option<&Noise>)| of.is_some() && input.missing.shown_from.is_some();
        if caveats.contains(&Caveat::WithExact) && inputs.iter().zip(&of).any(misses_groups) {
            caveats.insert(Caveat::BesideExact);
        }
        let bare =
            whole.map(|is_whole| Bare { stated: Box::new(STATED.map(|_| self.fresh_column())), is_whole });
        Some(Noise::Noisy(Noisy {
            bare,
            moved: self.fresh_moved(),
            unit: first.unit.clone().filter(|_| has_unit),
            caveats,
            is_stepped: all.iter().any(|noisy| noisy.is_stepped),
            ends: None,
        }))
    }
}

/// What is said of all columns of both sides, of those that a join gives.
fn of_output<T>(join: JoinType, all: &[T], of_left: usize) -> &[T] {
    let (left, right) = all.split_at(of_left.min(all.len()));
    match join {
        JoinType::LeftSemi | JoinType::LeftAnti => left,
        JoinType::RightSemi | JoinType::RightAnti => right,
        _ => all,
    }
}

/// Why rows may be missing from a join.
fn missing(join: JoinType, left: &Relation, right: &Relation) -> Missing {
    match join {
        JoinType::Left => left.missing,
        JoinType::Right => right.missing,
        _ => left.missing.or(right.missing),
    }
}
