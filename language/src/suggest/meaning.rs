//! What a statement asks, as far as its text tells: whose rows, under which conditions, counted as what, by what.
//!
//! A statement that was refused has no private query, so that this is what is known of it. The same is read of a suggestion, and
//! the two are compared.
//! Invariants: names that are no columns of the tables are left out, because they are the names that a suggestion corrects. Not
//! here: what a suggestion's private queries say (`keeps`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use shoal_schemas::{ColumnRole, Kind, Registry};
use sqlparser::ast::{
    DataType, Distinct, DuplicateTreatment, Expr, Function, FunctionArguments, GroupByExpr, JoinConstraint,
    JoinOperator, LimitClause, Query, Select, SelectItem, TableFactor, TopQuantity, Visitor,
};

use crate::bind::aggregate_names::{is_aggregate, is_of_rows};
use crate::syntax::{arguments, arms, called, expr_of, plain_name, text_of};
use crate::walk::{visit, visit_expressions};

/// Names of columns.
type Columns = BTreeSet<String>;

/// A grouping key: its columns, and how coarse a time in it is.
pub(super) type Key = (Columns, String);

/// What a statement asks.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    /// What stands in FROM, each as often as it does.
    pub(super) relations: Vec<String>,
    /// Conditions that are joined by AND, by their columns.
    pub(super) conditions: Vec<Columns>,
    /// What is counted, summed or estimated, and of which columns.
    pub(super) units: BTreeSet<String>,
    pub(super) keys: BTreeSet<Key>,
    /// SELECTs, windows, and SELECTs that show rows as they are.
    pub(super) counts: [usize; 3],
    /// How many rows are wanted, or which of each group.
    pub(super) limits: Vec<String>,
}

/// Reads a meaning.
struct Reader<'r> {
    known: BTreeSet<&'r str>,
    ctes: BTreeSet<String>,
    meaning: Meaning,
}

/// Every name that analysts have for a column.
fn known(registry: &Registry) -> BTreeSet<&str> {
    let mut known: BTreeSet<&str> = BTreeSet::from(["region"]);
    for kind in Kind::ALL {
        let columns = &registry.table(*kind).columns;
        let seen = columns.iter().filter(|column| !matches!(column.role, ColumnRole::Hidden));
        known.extend(seen.map(|column| column.name.as_str()));
    }
    known
}

/// The text of a literal, or of the interval that is one.
fn text_in(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Interval(by) => text_of(&by.value),
        other => text_of(other),
    }
}

/// How coarse an expression is: the grains of the times in it, and whether its numbers are buckets.
fn grain(expr: &Expr) -> String {
    let mut grains: BTreeSet<String> = BTreeSet::new();
    let _ = visit_expressions(expr, |inner| {
        match inner {
            Expr::Extract { field, .. } => grains.extend([field.to_string().to_ascii_lowercase()]),
            Expr::Cast { data_type: DataType::Date, .. } => grains.extend(["day".to_owned()]),
            Expr::Floor { .. } => grains.extend(["floor".to_owned()]),
            Expr::Function(function) => match called(function).as_str() {
                "date_trunc" | "date_bin" | "date_part" | "time_bucket" | "to_char" => {
                    let texts = arguments(function).into_iter().filter_map(text_in);
                    grains.extend(texts.map(str::to_ascii_lowercase));
                }
                bucket @ ("bucket" | "width_bucket" | "histogram") => grains.extend([bucket.to_owned()]),
                _ => {}
            },
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    Vec::from_iter(grains).join(", ")
}

impl Reader<'_> {
    fn columns(&self, expr: &Expr) -> Columns {
        let mut found = Columns::new();
        let _ = visit_expressions(expr, |inner| {
            let name = match inner {
                Expr::Identifier(name) => Some(plain_name(name)),
                Expr::CompoundIdentifier(parts) => parts.last().map(plain_name),
                _ => None,
            };
            found.extend(name.filter(|name| self.known.contains(name.as_str())));
            ControlFlow::<()>::Continue(())
        });
        found
    }

    fn condition(&mut self, condition: &Expr) {
        for arm in arms(condition) {
            let columns = self.columns(arm);
            self.meaning.conditions.push(columns);
        }
    }

    /// What a call counts, sums or estimates.
    fn unit(&self, function: &Function) -> String {
        let name = called(function);
        let is_distinct = matches!(&function.args, FunctionArguments::List(list)
            if list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
        let within = function.within_group.iter().map(|by| &by.expr);
        let columns = arguments(function).into_iter().chain(within).flat_map(|arg| self.columns(arg));
        let columns = Vec::from_iter(columns.collect::<Columns>()).join(", ");
        let family = match (name.as_str(), is_distinct) {
            ("count", true) | ("approx_distinct", _) => "distinct",
            ("mean", _) => "avg",
            (
                "median"
                | "approx_median"
                | "quantile"
                | "quantile_cont"
                | "approx_quantile"
                | "percentile_cont"
                | "percentile_disc"
                | "approx_percentile_cont",
                _,
            ) => "quantile",
            (other, _) => other,
        };
        format!("{family}: {columns}")
    }

    fn key(&self, expr: &Expr, select: &Select) -> Key {
        let item = |at: usize| select.projection.get(at.checked_sub(1)?).and_then(expr_of);
        let named = |name: &str| {
            select.projection.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } if plain_name(alias) == name => Some(expr),
                _ => None,
            })
        };
        let meant = match expr {
            Expr::Value(value) => value.to_string().parse().ok().and_then(item),
            Expr::Identifier(name) if !self.known.contains(plain_name(name).as_str()) => {
                named(&plain_name(name))
            }
            _ => None,
        };
        let meant = meant.unwrap_or(expr);
        (self.columns(meant), grain(meant))
    }

    fn keys(&mut self, select: &Select) {
        let items: Vec<&Expr> = select.projection.iter().filter_map(expr_of).collect();
        let is_key = |expr: &&&Expr| !is_of_rows(expr) && !matches!(expr, Expr::Value(_));
        let (grouped, has_units) = match &select.group_by {
            GroupByExpr::Expressions(keys, _) if !keys.is_empty() => (keys.iter().collect(), true),
            GroupByExpr::All(_) => (items.iter().filter(is_key).copied().collect(), true),
            GroupByExpr::Expressions(..) => {
                let has_units = items.iter().any(|expr| is_of_rows(expr));
                let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
                let keys = items.iter().filter(is_key).copied().collect();
                (if has_units || is_distinct { keys } else { Vec::new() }, has_units || is_distinct)
            }
        };
        let keys: Vec<Key> = grouped.into_iter().map(|key| self.key(key, select)).collect();
        self.meaning.keys.extend(keys);
        let [selects, _, rows] = &mut self.meaning.counts;
        *selects += 1;
        *rows += usize::from(!has_units);
    }
}

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.ctes.extend(
            query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| plain_name(&cte.alias.name)),
        );
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                self.meaning.limits.extend(limit_by.iter().map(|by| format!("of each {by}")));
                self.meaning.limits.extend(limit.iter().map(ToString::to_string));
                self.meaning.limits.extend(offset.iter().map(|offset| format!("after {}", offset.value)));
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                self.meaning.limits.extend([limit.to_string(), format!("after {offset}")]);
            }
            None => {}
        }
        if let Some(fetch) = &query.fetch {
            self.meaning.limits.extend(fetch.quantity.iter().map(ToString::to_string));
            let odd = [(fetch.percent, "percent"), (fetch.with_ties, "with ties")];
            self.meaning.limits.extend(odd.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let asked = [&select.selection, &select.having, &select.prewhere, &select.qualify];
        for condition in asked.into_iter().flatten() {
            self.condition(condition);
        }
        for join in select.from.iter().flat_map(|from| &from.joins) {
            let (JoinOperator::Join(on)
            | JoinOperator::Inner(on)
            | JoinOperator::Left(on)
            | JoinOperator::LeftOuter(on)
            | JoinOperator::Right(on)
            | JoinOperator::RightOuter(on)
            | JoinOperator::FullOuter(on)
            | JoinOperator::CrossJoin(on)) = &join.join_operator
            else {
                self.meaning.relations.push(format!("{:?}", std::mem::discriminant(&join.join_operator)));
                continue;
            };
            match on {
                JoinConstraint::On(condition) => self.condition(condition),
                JoinConstraint::Using(names) => self.meaning.relations.push(format!("using {names:?}")),
                JoinConstraint::Natural | JoinConstraint::None => {}
            }
        }
        if let Some(top) = &select.top {
            self.meaning.limits.extend(top.quantity.iter().map(|quantity| match quantity {
                TopQuantity::Constant(rows) => rows.to_string(),
                TopQuantity::Expr(rows) => rows.to_string(),
            }));
            let odd = [(top.percent, "percent"), (top.with_ties, "with ties")];
            self.meaning.limits.extend(odd.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()));
        }
        if let Some(Distinct::On(list)) = &select.distinct {
            self.meaning.limits.extend(list.iter().map(|one| format!("first of {one}")));
        }
        self.keys(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args, sample, .. } => {
                let name = name.0.last().map(|part| part.to_string().trim_matches('"').to_ascii_lowercase());
                let name = name.unwrap_or_default();
                if !self.ctes.contains(&name) || args.is_some() {
                    self.meaning.relations.push(name);
                }
                self.meaning.limits.extend(sample.iter().map(|_| "a sample".to_owned()));
            }
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => {}
            other => self.meaning.relations.push(other.to_string()),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            if function.over.is_some() {
                self.meaning.counts[1] += 1;
            }
            if is_aggregate(function) || function.over.is_some() {
                let unit = self.unit(function);
                self.meaning.units.insert(unit);
            }
            if let Some(filter) = &function.filter {
                self.condition(filter);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Meaning {
    /// What a query asks.
    pub(super) fn of(query: &Query, registry: &Registry) -> Meaning {
        let mut reader =
            Reader { known: known(registry), ctes: BTreeSet::new(), meaning: Meaning::default() };
        let _ = visit(query, &mut reader);
        reader.meaning.relations.sort();
        reader.meaning.limits.sort();
        reader.meaning
    }

    /// What another statement asks besides or instead, in a word; `None` when it asks the same.
    pub(super) fn lost_in(&self, other: &Meaning) -> Option<&'static str> {
        if !same_relations(&self.relations, &other.relations) {
            return Some("table");
        }
        if !all_kept(&self.conditions, &other.conditions) {
            return Some("filter");
        }
        if self.units != other.units {
            return Some("unit");
        }
        let keys: Vec<&Key> = other.keys.iter().filter(|key| !self.keys.contains(key)).collect();
        // A key whose column is not known is the one that was corrected.
        let lost: Vec<&Key> = self.keys.iter().filter(|key| !other.keys.contains(key)).collect();
        if lost.len() != keys.len() || lost.iter().any(|(columns, _)| !columns.is_empty()) {
            return Some("grain");
        }
        (self.counts != other.counts || self.limits != other.limits).then_some("rows")
    }
}

/// Whether the same tables are read. A table that does not exist is the one that was corrected.
fn same_relations(own: &[String], other: &[String]) -> bool {
    let is_table = |name: &&String| Kind::ALL.iter().any(|kind| kind.as_str() == name.as_str());
    let mut left: Vec<&String> = other.iter().collect();
    let mut unknown = 0;
    for name in own {
        match left.iter().position(|one| *one == name) {
            Some(at) => drop(left.swap_remove(at)),
            None if !is_table(&name) && !name.contains([' ', '(']) && name != "generate_series" => {
                unknown += 1
            }
            None => return false,
        }
    }
    left.len() == unknown && left.iter().all(is_table)
}

/// Whether each condition has one in the other statement that is about its columns at least, and there is no other.
fn all_kept(own: &[Columns], other: &[Columns]) -> bool {
    let mut left: Vec<&Columns> = other.iter().collect();
    let mut own: Vec<&Columns> = own.iter().collect();
    own.sort_by_key(|columns| std::cmp::Reverse(columns.len()));
    for columns in own {
        let exact = left.iter().position(|one| *one == columns);
        match exact.or_else(|| left.iter().position(|one| columns.is_subset(one))) {
            Some(at) => drop(left.swap_remove(at)),
            None => return false,
        }
    }
    left.is_empty()
}
