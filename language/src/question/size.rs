//! How large the postprocessing text may be: in bytes, and in parts when each name of a WITH is replaced by its query.
//!
//! A planner puts the query in the place of its name, so twenty names that each use the one before twice are a million
//! queries. They are counted here, where the text is still small.
//! Invariants: a name counts what it stands for at each use. Not here: how the columns of such queries grow
//! (`shoal-postprocess`, `gate_growth`).

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, ObjectNamePart, Query, Select, TableFactor, Visitor};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::error::{Refusal, Rule};
use crate::parse::SHAPE;
use crate::syntax::plain_name;
use crate::walk::visit;

/// Longest postprocessing text, in bytes: four times the longest statement. `docs/sql.md` has it.
pub const POSTPROCESS_BYTES_MAX: usize = 64 * 1024;
/// Most parts (queries, SELECTs, tables and expressions) of the postprocessing text, each name of a WITH replaced.
pub const POSTPROCESS_PARTS_MAX: u64 = 8_000;

/// A query whose parts are being counted.
struct Open {
    parts: u64,
    /// How many names there were before it.
    names: usize,
}

#[derive(Default)]
struct Parts {
    open: Vec<Open>,
    /// The names of WITH in scope, the innermost last, and the parts of each.
    names: Vec<(String, u64)>,
    /// The queries of WITH that were not counted yet: where they lie, and their names.
    awaited: Vec<(*const Query, String)>,
    whole: u64,
}

impl Parts {
    fn add(&mut self, parts: u64) -> ControlFlow<()> {
        match self.open.last_mut() {
            Some(open) => open.parts = open.parts.saturating_add(parts),
            None => self.whole = self.whole.saturating_add(parts),
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Parts {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.open.push(Open { parts: 1, names: self.names.len() });
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.awaited.push((&*cte.query, plain_name(&cte.alias.name)));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(Open { parts, names }) = self.open.pop() else { return ControlFlow::Break(()) };
        self.names.truncate(names);
        match self.awaited.iter().position(|(awaited, _)| std::ptr::eq(*awaited, query)) {
            Some(at) => {
                let (_, name) = self.awaited.swap_remove(at);
                self.names.push((name, parts));
                ControlFlow::Continue(())
            }
            None => self.add(parts),
        }
    }

    fn pre_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.add(1)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let named = match factor {
            TableFactor::Table { name, .. } => match name.0.as_slice() {
                [ObjectNamePart::Identifier(name)] => Some(plain_name(name)),
                _ => None,
            },
            _ => None,
        };
        let inside = self.names.iter().rev().find(|(name, _)| Some(name) == named.as_ref());
        let parts = inside.map_or(0, |(_, parts)| *parts);
        self.add(parts.saturating_add(1))
    }

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.add(1)
    }
}

/// The parts of a query, each name of a WITH replaced.
fn parts(query: &Query) -> u64 {
    let mut parts = Parts::default();
    let _ = visit(query, &mut parts);
    parts.whole
}

/// The postprocessing text, with the rows of the text that it names (`series`, `catalogue`) in front.
///
/// # Errors
/// When it is too long, or has too many parts; those rows are counted where they are made.
pub(super) fn text(query: &mut Query, added: &[(String, String)]) -> Result<String, Refusal> {
    let refused = |message: String| Err(Refusal::whole(Rule::Size, message, SHAPE));
    if parts(query) > POSTPROCESS_PARTS_MAX {
        return refused(format!(
            "With each name of a WITH replaced by its query, the postprocessing has more than \
             {POSTPROCESS_PARTS_MAX} parts. Use each of those names once or twice."
        ));
    }
    let sql = query.to_string();
    if sql.len() > POSTPROCESS_BYTES_MAX {
        return refused(format!(
            "The postprocessing is longer than {POSTPROCESS_BYTES_MAX} bytes when its names are written out. Use \
             fewer aggregates, or give them names in a subquery."
        ));
    }
    if added.is_empty() {
        return Ok(sql);
    }
    for (_, text) in added.iter().rev() {
        let parsed =
            Parser::new(&PostgreSqlDialect {}).try_with_sql(text).and_then(|mut parser| parser.parse_query());
        let with = parsed.ok().and_then(|parsed| parsed.with);
        match (&mut query.with, with) {
            (Some(with), Some(own)) => drop(with.cte_tables.splice(..0, own.cte_tables)),
            (none @ None, own) => *none = own,
            (Some(_), None) => {}
        }
    }
    Ok(query.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parts_of(sql: &str) -> u64 {
        parts(&Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap())
    }

    #[test]
    fn a_name_counts_what_it_stands_for_at_each_use() {
        // A query, a SELECT, a table and an expression.
        assert_eq!(parts_of("SELECT n FROM t"), 4);
        assert_eq!(parts_of("WITH a AS (SELECT n FROM t) SELECT n FROM a"), 8);
        assert_eq!(parts_of("WITH a AS (SELECT n FROM t) SELECT n FROM a, a b"), 13);
        assert_eq!(parts_of("WITH a AS (SELECT n FROM t) SELECT n FROM t"), 4, "unused");
        // The inner name hides the outer one, inside only.
        let hidden = "WITH a AS (SELECT n FROM t) SELECT n FROM (WITH a AS (SELECT 1) SELECT * FROM a) b, a";
        assert_eq!(parts_of(hidden), 3 + 1 + (2 + 1 + 3) + 1 + 4);
    }

    #[test]
    fn twenty_names_that_double_are_a_million_parts() {
        let mut sql = "WITH c0 AS (SELECT n FROM t)".to_owned();
        for level in 1..=20 {
            let before = level - 1;
            sql.push_str(&format!(
                ", c{level} AS (SELECT * FROM c{before} UNION ALL SELECT * FROM c{before})"
            ));
        }
        sql.push_str(" SELECT * FROM c20");
        assert!(parts_of(&sql) > 1 << 20);
    }
}
