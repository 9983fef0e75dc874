//! Rewrites the nodes that do not mix rows: scans, projections, filters, orders and limits.
//!
//! Not here: nodes that mix rows (`rows`) or tables (`sets`).

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::logical_plan::{
    Filter, Limit, Projection, Sort, SubqueryAlias, TableScan, TableScanBuilder,
};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, SortExpr, lit};

use super::super::released::STATED;
use super::relation::{Absent, Bare, Missing, Noise, Noisy, Relation, Replication, Wide};
use crate::refuse::{PLAIN, Stop, stop};
use crate::slot::Slot;
use shoal_language::Rule;

impl Replication<'_> {
    /// A node and everything under it.
    pub(super) fn relation(&mut self, plan: &LogicalPlan) -> Result<Relation, Stop> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, plan),
            LogicalPlan::Projection(node) => self.projection(node),
            LogicalPlan::Filter(node) => {
                let mut input = self.relation(&node.input)?;
                let decides = input.decides(&node.predicate);
                input.is_decided |= decides;
                input.is_picked |= decides;
                self.chooses(&node.predicate, &input)?;
                self.pick(node, &mut input);
                input.plan =
                    LogicalPlan::Filter(Filter::try_new(node.predicate.clone(), Arc::new(input.plan))?);
                Ok(input)
            }
            LogicalPlan::Sort(node) => self.sort(node),
            LogicalPlan::Limit(node) => self.limit(node),
            LogicalPlan::SubqueryAlias(node) => self.alias(node, plan),
            LogicalPlan::Aggregate(node) => self.aggregate(node),
            LogicalPlan::Window(node) => self.window(node),
            LogicalPlan::Join(node) => self.join(node),
            LogicalPlan::Union(node) => self.union(node),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(clean(plan)),
            _ => Err(stop(Rule::Clause, "This clause cannot be used.", PLAIN)),
        }
    }

    fn scan(&mut self, scan: &TableScan, plan: &LogicalPlan) -> Result<Relation, Stop> {
        let Some((at, release)) = Slot::of(scan).and_then(|s| Some((s.at, self.releases.get(s.at)?))) else {
            return Ok(clean(plan));
        };
        let name = self.fresh();
        let wide = Wide::of(release, self.companions.count(), &name);
        let table = &scan.table_name;
        let column = |name: String| Column::new(Some(table.clone()), name);
        let mut noise = vec![None; release.keys.len()];
        for (number, of) in release.numbers.iter().enumerate() {
            let moved =
                (0..self.companions.count()).map(|w| column(format!("{name}.{number}.{w}"))).collect();
            let stated = STATED.map(|stated| column(format!("{name}.{number}.{stated}")));
            let bare = Some(Bare { stated: Box::new(stated), is_whole: of.scale == 0 });
            let units = 10_f64.powi(i32::from(of.scale));
            let end = |end: i64| lit(end as f64 / units);
            // A group of days that were left out may have had any number.
            let withheld = of.withheld.filter(|_| !release.left_out);
            let ends = withheld.map(|(low, high)| Box::new([end(low), end(high)]));
            let (unit, caveats) = (of.unit.clone(), BTreeSet::new());
            noise.push(Some(Noise::Noisy(Noisy { bare, moved, unit, caveats, is_stepped: false, ends })));
        }
        let source = Slot { at, is_wide: true, columns: wide.fields }.source();
        let scan = TableScanBuilder::new(table.clone(), source).build()?;
        Ok(Relation {
            plan: LogicalPlan::TableScan(scan),
            schema: Arc::clone(plan.schema()),
            noise,
            subqueries: Vec::new(),
            row: Some(column(format!("{name}.row"))),
            is_decided: release.shown_from.is_some(),
            is_picked: false,
            missing: release.missing(),
        })
    }

    fn projection(&mut self, node: &Projection) -> Result<Relation, Stop> {
        let mut input = self.relation(&node.input)?;
        let mut exprs = Vec::with_capacity(node.expr.len());
        for expr in &node.expr {
            exprs.push(self.inline(expr, &mut input)?);
        }
        let mut carried: HashSet<Column> = HashSet::new();
        let mut extra = Vec::new();
        let mut carry = |column: &Column, extra: &mut Vec<Expr>| {
            if carried.insert(column.clone()) {
                extra.push(Expr::Column(column.clone()));
            }
        };
        let mut stated = Vec::new();
        let mut noise = Vec::with_capacity(exprs.len());
        for (expr, field) in exprs.iter().zip(node.schema.fields()) {
            let mut of = input.noise(expr, field.data_type());
            if let Some(Noise::Noisy(noisy)) = &mut of {
                if let Some(bare) = &noisy.bare {
                    bare.stated.iter().for_each(|column| carry(column, &mut extra));
                }
                noisy.moved.iter().for_each(|moved| carry(moved, &mut extra));
                if noisy.moved.is_empty() {
                    noisy.moved = self.fresh_moved();
                    for (w, moved) in noisy.moved.iter().enumerate() {
                        extra.push(self.companion(&input, expr, w)?.alias(&moved.name));
                    }
                }
                if noisy.bare.is_none() {
                    self.state(expr, &input, noisy, &mut stated)?;
                }
            }
            if let Some(Noise::Absent(Absent { instead: Some(instead), .. })) = &of {
                carry(instead, &mut extra);
            }
            noise.push(of);
        }
        if let Some(row) = &input.row {
            carry(row, &mut extra);
        }
        exprs.extend(extra.into_iter().chain(stated));
        Ok(Relation {
            plan: LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?),
            schema: Arc::clone(&node.schema),
            noise,
            subqueries: Vec::new(),
            row: input.row,
            is_decided: input.is_decided,
            is_picked: input.is_picked,
            missing: input.missing,
        })
    }

    /// Equal rows stay in the order of the release, where there is one.
    fn sort(&mut self, node: &Sort) -> Result<Relation, Stop> {
        let mut input = self.relation(&node.input)?;
        let mut expr = node.expr.clone();
        if let Some(row) = &input.row {
            expr.push(SortExpr::new(Expr::Column(row.clone()), true, false));
        }
        if node.fetch.is_some() {
            let decides = node.expr.iter().any(|sort| input.decides(&sort.expr));
            input.is_decided |= decides;
            input.is_picked |= decides;
        }
        input.plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(input.plan), fetch: node.fetch });
        Ok(input)
    }

    fn limit(&mut self, node: &Limit) -> Result<Relation, Stop> {
        let mut input = self.relation(&node.input)?;
        if let LogicalPlan::Sort(sort) = node.input.as_ref() {
            let decides = sort.expr.iter().any(|sort| input.decides(&sort.expr));
            input.is_decided |= decides;
            input.is_picked |= decides;
        }
        let (skip, fetch) = (node.skip.clone(), node.fetch.clone());
        input.plan = LogicalPlan::Limit(Limit { skip, fetch, input: Arc::new(input.plan) });
        Ok(input)
    }

    fn alias(&mut self, node: &SubqueryAlias, plan: &LogicalPlan) -> Result<Relation, Stop> {
        let mut input = self.relation(&node.input)?;
        let alias = &node.alias;
        for noise in input.noise.iter_mut().flatten() {
            if let Noise::Absent(absent) = noise {
                absent.instead.iter_mut().for_each(|column| requalify(column, alias));
                // It may have another name out there.
                absent.partner = None;
            }
            if let Noise::Noisy(noisy) = noise {
                noisy.moved.iter_mut().for_each(|moved| requalify(moved, alias));
                if let Some(bare) = &mut noisy.bare {
                    bare.stated.iter_mut().for_each(|column| requalify(column, alias));
                }
            }
        }
        input.row.iter_mut().for_each(|row| requalify(row, alias));
        input.plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input.plan), alias.clone())?);
        input.schema = Arc::clone(plan.schema());
        Ok(input)
    }
}

fn clean(plan: &LogicalPlan) -> Relation {
    Relation {
        plan: plan.clone(),
        schema: Arc::clone(plan.schema()),
        noise: vec![None; plan.schema().fields().len()],
        subqueries: Vec::new(),
        row: None,
        is_decided: false,
        is_picked: false,
        missing: Missing::default(),
    }
}

fn requalify(column: &mut Column, alias: &TableReference) {
    column.relation = Some(alias.clone());
}
