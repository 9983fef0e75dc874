//! The names that postprocessing SQL can use: three lists of functions and the released tables, and nothing else.
//!
//! Invariants: nothing on the lists allocates by its value (no `repeat`, `lpad`, `rpad`, `replace`, `generate_series`,
//! `make_array`, `array_agg`, `string_agg`), reads a clock, a file or a generator, or compiles a pattern. A table of another name
//! does not exist; there is no catalogue, no variable and no table function.
//! Not here: which nodes of a plan are allowed (`gate`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::TableReference;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use super::refuse::NO_TABLE;
use super::released::ReleasedSchema;
use super::slot::Slot;

/// Functions of one row.
pub(crate) const SCALARS: &[&str] = &[
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "btrim",
    "cbrt",
    "ceil",
    "character_length",
    "coalesce",
    "concat",
    "contains",
    "cos",
    "date_bin",
    "date_part",
    "date_trunc",
    "degrees",
    "ends_with",
    "exp",
    "floor",
    "greatest",
    "initcap",
    "least",
    "left",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "nullif",
    "nvl",
    "pi",
    "power",
    "radians",
    "right",
    "round",
    "rtrim",
    "signum",
    "sin",
    "split_part",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "tan",
    "tanh",
    "to_char",
    "trunc",
    "upper",
];

/// Aggregates, also over windows.
pub(crate) const AGGREGATES: &[&str] = &[
    "avg",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "max",
    "median",
    "min",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

/// Window functions.
pub(crate) const WINDOWS: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Whether a function of one row is on the list.
pub(super) fn is_scalar(name: &str) -> bool {
    SCALARS.contains(&name)
}

/// Whether an aggregate is on the list.
pub(super) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&name)
}

/// The functions by each of their names.
pub(super) struct Functions {
    pub(super) scalars: HashMap<String, Arc<ScalarUDF>>,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
    windows: HashMap<String, Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    pub(super) options: Arc<ConfigOptions>,
}

impl Functions {
    /// The functions of the lists.
    pub(super) fn new(options: Arc<ConfigOptions>) -> Functions {
        let mut known = Functions {
            scalars: HashMap::new(),
            aggregates: HashMap::new(),
            windows: HashMap::new(),
            planners: SessionStateDefaults::default_expr_planners(),
            options,
        };
        for one in scalars() {
            for name in names(one.name(), one.aliases(), is_scalar) {
                known.scalars.insert(name, Arc::clone(&one));
            }
        }
        for one in aggregates() {
            for name in names(one.name(), one.aliases(), is_aggregate) {
                known.aggregates.insert(name, Arc::clone(&one));
            }
        }
        for one in datafusion::functions_window::all_default_window_functions() {
            for name in names(one.name(), one.aliases(), |name| WINDOWS.contains(&name)) {
                known.windows.insert(name, Arc::clone(&one));
            }
        }
        // The other names of the function.
        if let Some(signum) = known.scalars.get("signum").cloned() {
            known.scalars.insert("sign".to_owned(), signum);
        }
        known
    }
}

/// The functions of [`SCALARS`]. Each is taken by itself, since what is not taken is not in the program either.
fn scalars() -> Vec<Arc<ScalarUDF>> {
    use datafusion::functions::{core, datetime, math, string, unicode};
    vec![
        math::abs(),
        math::acos(),
        math::asin(),
        math::atan(),
        math::atan2(),
        math::cbrt(),
        math::ceil(),
        math::cos(),
        math::degrees(),
        math::exp(),
        math::floor(),
        math::ln(),
        math::log(),
        math::log10(),
        math::log2(),
        math::pi(),
        math::power(),
        math::radians(),
        math::round(),
        math::signum(),
        math::sin(),
        math::sqrt(),
        math::tan(),
        math::tanh(),
        math::trunc(),
        core::coalesce(),
        core::greatest(),
        core::least(),
        core::nullif(),
        core::nvl(),
        string::btrim(),
        string::concat(),
        string::contains(),
        string::ends_with(),
        string::lower(),
        string::ltrim(),
        string::rtrim(),
        string::split_part(),
        string::starts_with(),
        string::upper(),
        unicode::character_length(),
        unicode::initcap(),
        unicode::left(),
        unicode::right(),
        unicode::strpos(),
        unicode::substr(),
        datetime::date_bin(),
        datetime::date_part(),
        datetime::date_trunc(),
        datetime::to_char(),
    ]
}

/// The same for [`AGGREGATES`].
fn aggregates() -> Vec<Arc<AggregateUDF>> {
    use datafusion::functions_aggregate::{
        average, bool_and_or, correlation, count, covariance, median, min_max, regr, stddev, sum, variance,
    };
    vec![
        average::avg_udaf(),
        bool_and_or::bool_and_udaf(),
        bool_and_or::bool_or_udaf(),
        correlation::corr_udaf(),
        count::count_udaf(),
        covariance::covar_pop_udaf(),
        covariance::covar_samp_udaf(),
        min_max::max_udaf(),
        median::median_udaf(),
        min_max::min_udaf(),
        regr::regr_slope_udaf(),
        stddev::stddev_udaf(),
        stddev::stddev_pop_udaf(),
        sum::sum_udaf(),
        variance::var_samp_udaf(),
        variance::var_pop_udaf(),
    ]
}

fn names(name: &str, aliases: &[String], is_listed: impl Fn(&str) -> bool) -> Vec<String> {
    match is_listed(name) {
        true => aliases.iter().cloned().chain([name.to_owned()]).collect(),
        false => Vec::new(),
    }
}

/// What a text is resolved against.
pub(super) struct Scope<'a> {
    pub(super) functions: &'a Functions,
    pub(super) releases: &'a [ReleasedSchema],
}

impl ContextProvider for Scope<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let named = |r: &ReleasedSchema| name == TableReference::bare(r.name.as_str());
        let Some(at) = self.releases.iter().position(named) else {
            return Err(DataFusionError::Plan(NO_TABLE.to_owned()));
        };
        let columns = self.releases.get(at).map(ReleasedSchema::named).unwrap_or_default();
        Ok(Slot { at, is_wide: false, columns: Arc::new(Schema::new(columns)) }.source())
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.functions.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalars.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregates.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.windows.get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.functions.options
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// By all names that the library has for what is on the lists.
    #[test]
    fn every_function_of_the_lists_is_there_and_no_other() {
        let known = Functions::new(Arc::new(ConfigOptions::default()));
        let all = datafusion::functions::all_default_functions();
        let all = all.iter().flat_map(|one| names(one.name(), one.aliases(), is_scalar));
        let listed: BTreeSet<String> = all.chain(["sign".to_owned()]).collect();
        assert_eq!(known.scalars.keys().cloned().collect::<BTreeSet<_>>(), listed);
        assert!(SCALARS.iter().all(|name| known.scalars.contains_key(*name)));
        let all = datafusion::functions_aggregate::all_default_aggregate_functions();
        let all = all.iter().flat_map(|one| names(one.name(), one.aliases(), is_aggregate));
        assert_eq!(known.aggregates.keys().cloned().collect::<BTreeSet<_>>(), all.collect());
        assert!(AGGREGATES.iter().all(|name| known.aggregates.contains_key(*name)));
        assert!(WINDOWS.iter().all(|name| known.windows.contains_key(*name)));
    }
}
