//! What to write instead of a join of events or of subjects.
//!
//! Invariants: the suggestion is a statement that works as it is, and depends on the text alone. Two tables that are
//! joined on their subjects are a membership; a table that is joined with itself in an order of time is a funnel, and
//! else somebody who came back: a retention. Not here: the refusal (`split`).

use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, TableFactor, TableWithJoins};
use shoal_schemas::Kind;

use super::split::{Known, Split, kind, table_name};

/// For joins that are not on subjects: both tables by day.
fn by_day(kinds: &[Kind]) -> String {
    let first = kinds.first().copied().unwrap_or(Kind::Usage);
    let usual = if first == Kind::Usage { Kind::Crash } else { Kind::Usage };
    let second = kinds.iter().copied().find(|kind| *kind != first).unwrap_or(usual);
    format!(
        "WITH a AS (SELECT day, COUNT(*) AS n FROM {first} GROUP BY day), b AS (SELECT day, COUNT(*) AS n FROM {second} \
         GROUP BY day) SELECT a.day, a.n AS {first}_events, b.n AS {second}_events FROM a JOIN b ON a.day = b.day"
    )
}

impl Split<'_> {
    /// A statement that works, near to what this join asks for.
    pub(super) fn instead_of_join(&self, select: &Select) -> String {
        let mut kinds = Vec::new();
        for TableWithJoins { relation, joins } in &select.from {
            kinds.extend(self.kind_of(relation));
            kinds.extend(joins.iter().filter_map(|join| self.kind_of(&join.relation)));
        }
        let conditions = select.from.iter().flat_map(|from| &from.joins);
        let text = conditions.map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let Some(first) = kinds.first().filter(|_| text.contains("subject")) else {
            return by_day(&kinds);
        };
        if let Some(other) = kinds.iter().find(|kind| *kind != first) {
            return format!(
                "SELECT COUNT(DISTINCT subject) AS people FROM {first} WHERE subject IN (SELECT subject FROM {other})"
            );
        }
        if *first == Kind::Usage && text.contains(">=") {
            return "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', event = 'login' AND \
                result = 'ok', event = 'purchase' AND result = 'ok', within => INTERVAL '7 days') \
                WHERE day >= current_date - 28 GROUP BY step ORDER BY step"
                .to_owned();
        }
        let whole = select.to_string();
        let period = if whole.contains("week") { "week" } else { "day" };
        format!(
            "SELECT cohort, period, COUNT(DISTINCT subject) AS people FROM retention({first}, event IS NOT NULL, \
             event IS NOT NULL, period => '{period}') WHERE day >= current_date - 28 GROUP BY cohort, period \
             ORDER BY cohort, period"
        )
    }

    /// The table that a relation's events or subjects are of.
    fn kind_of(&self, factor: &TableFactor) -> Option<Kind> {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                let name = table_name(name)?;
                match self.cte(&name) {
                    Some(scope) => match &scope.cte {
                        Known::Rows(cte) => self.kind_in(&cte.query),
                        Known::Free { .. } => None,
                    },
                    None => kind(&name),
                }
            }
            TableFactor::Derived { subquery, .. } => self.kind_in(subquery),
            _ => None,
        }
    }

    fn kind_in(&self, query: &Query) -> Option<Kind> {
        match query.body.as_ref() {
            SetExpr::Select(select) => self.kind_of(&select.from.first()?.relation),
            SetExpr::Query(inner) => self.kind_in(inner),
            _ => None,
        }
    }
}
