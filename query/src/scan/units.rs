//! What a row of a query is worth, in units of which ten are a row that is only counted: an upper bound, from the text alone.
//!
//! Expressions that are the same are evaluated once, and are counted once. A text is counted as if it were as long as a
//! property may be, and as if no two rows had the same; and rows as if each were one event of a subject of its own, of which a
//! row is made.
//!
//! At a `query.row_time_ns` of 10 a unit is a nanosecond, and a row that is read, put in order, looked up among its copies and
//! counted takes about 26 of them on an idle machine (`docs/benchmarks.md`). A pattern looks at each of 256 bytes once, at about
//! a nanosecond for each word of its states, so that it takes some 300: the weight of one is right at 25, where counts are in time
//! on a busy machine too. Upper and lower case can make a text three times as long, and what looks at it takes three times as much. What
//! a file's dictionary saves, where five texts stand for a million rows, is no part of the weights, because nobody knows before
//! the scan whether it does.
//! Not here: how many rows there are, what else a question takes (`release/work.rs`).

use std::collections::HashSet;

use shoal_language::{AggregateOp, Pattern, Scalar, Shape, Type};

use super::accumulators;
use crate::charge::ChargedQuery;
use crate::failure::Failure;
use crate::text_bytes::Texts;

/// Units of a row of the query's table, and of the table of each membership, beyond the ten of each row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowUnits {
    pub(crate) own: u64,
    pub(crate) members: Vec<u64>,
}

/// What puts a row in order and tells copies apart: its time and its event id.
const ORDER: u64 = 20;
/// A key of a group.
const KEY: u64 = 20;
/// What chooses among the events of a subject's day: the numbers of each are kept until the day's last one has come.
const CHOSEN: u64 = 20;
/// A pattern: for each word of its states; in any case, where the bytes of a letter are looked up one after the other; and before
/// the first byte.
const PATTERN: u64 = 100;
const ANY_CASE: u64 = 120;
const PATTERN_START: u64 = 10;
/// Upper or lower case, letter by letter: of a text whose letters and their other cases have different lengths.
const CASE: u64 = 700;
/// What each expression over a made row takes beside its own units: its value is a value of its own.
const MADE: u64 = 5;

/// The units of a row of each table that a query reads.
pub(crate) fn row_units(charged: &ChargedQuery) -> Result<RowUnits, Failure> {
    let query = &charged.query;
    let accumulator = accumulators::unfilled(charged)?;
    let (scalars, texts) = (accumulator.scalars(), Texts::of(query));
    let aggregates: u64 = query.aggregates().iter().map(|aggregate| of_aggregate(&aggregate.op)).sum();
    let shape = match query.shape() {
        Shape::Events if accumulators::chooses(query) => CHOSEN,
        Shape::Events => 0,
        Shape::Subjects(_) => 60,
        Shape::Funnel { steps, .. } => 20 * steps.len() as u64,
        Shape::Retention { .. } => 40,
    };
    let made = accumulator.made();
    let own = of_scalars(query.filter().into_iter().chain(&scalars), texts) + KEY * query.keys().len() as u64;
    let own = own.saturating_add(of_scalars(&made, texts)).saturating_add(MADE * made.len() as u64);
    let members = query.members().iter().map(|member| of_scalars(&member.filter, texts) + ORDER).collect();
    Ok(RowUnits { own: own + ORDER + aggregates + shape, members })
}

fn of_aggregate(op: &AggregateOp) -> u64 {
    match op {
        AggregateOp::Rows | AggregateOp::Subjects => 5,
        AggregateOp::Present(_) | AggregateOp::Sum(_) => 10,
        AggregateOp::Sessions | AggregateOp::Quantile { .. } => 60,
    }
}

/// Of expressions over the same rows.
fn of_scalars<'s>(scalars: impl IntoIterator<Item = &'s Scalar>, texts: Texts<'_>) -> u64 {
    let mut seen: HashSet<&Scalar> = HashSet::new();
    let mut left: Vec<&Scalar> = scalars.into_iter().collect();
    let mut units = 0_u64;
    while let Some(scalar) = left.pop() {
        if seen.insert(scalar) {
            units = units.saturating_add(of_one(scalar, texts));
            scalar.each(&mut |part| left.push(part));
        }
    }
    units
}

/// Of an expression whose parts are there.
fn of_one(scalar: &Scalar, texts: Texts<'_>) -> u64 {
    let each = |units: u64, of: usize| units.saturating_mul(of as u64);
    // As many times as what looks at a text has the bytes of a property before it.
    let looked_at = |item: &Scalar, units: u64| each(units, texts.times(item));
    match scalar {
        Scalar::Value(_) | Scalar::Region | Scalar::Step | Scalar::Cohort | Scalar::Period => 0,
        Scalar::Person { .. } | Scalar::PersonKey { .. } => 5,
        Scalar::Column { .. } | Scalar::Day => 10,
        Scalar::Time(_) | Scalar::Part(_) => 30,
        Scalar::Compare(_, left, _) if left.ty() == Some(Type::Text) => looked_at(left, 15),
        Scalar::Compare(..) | Scalar::And(..) | Scalar::Or(..) | Scalar::Not(_) | Scalar::IsNull(_) => 3,
        Scalar::Arithmetic(..) => 3,
        Scalar::In(item, list) => looked_at(item, 20) + each(1, list.len()),
        Scalar::Like { item, pattern, any_case } => {
            let letters = if *any_case { ANY_CASE } else { 0 };
            PATTERN_START + looked_at(item, letters + each(PATTERN, Pattern::words(pattern, *any_case)))
        }
        Scalar::Case { branches, .. } => 10 + each(10, branches.len()),
        Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => each(10, items.len()),
        Scalar::Upper(item) | Scalar::Lower(item) => looked_at(item, CASE),
        Scalar::Bucket { edges, .. } => 10 + each(5, edges.len()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use shoal_language::FUNCTIONS;
    use shoal_schemas::Region;

    use super::{CASE, PATTERN, row_units};
    use crate::tests::{engine, grant, now_ms, request};

    async fn units(sql: &str) -> u64 {
        let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
        row_units(&prepared.single()).unwrap().own
    }

    const BY_DURATION: &str = "CASE WHEN duration_ms > 3 THEN 'a' ELSE 'b' END";

    /// Each function of the grammar in a key, and a key that does without it.
    const OF_FUNCTIONS: [(&str, &str, &str); 17] = [
        ("upper", "upper(app_version)", "app_version"),
        ("lower", "lower(app_version)", "app_version"),
        ("coalesce", "coalesce(app_version, 'x')", "app_version"),
        ("ifnull", "ifnull(app_version, 'x')", "app_version"),
        ("nvl", "nvl(app_version, 'x')", "app_version"),
        ("nullif", "nullif(app_version, 'x')", "app_version"),
        ("least", "CASE WHEN least(duration_ms, 10) > 3 THEN 'a' ELSE 'b' END", BY_DURATION),
        ("greatest", "CASE WHEN greatest(duration_ms, 1) > 3 THEN 'a' ELSE 'b' END", BY_DURATION),
        ("abs", "CASE WHEN abs(duration_ms) > 3 THEN 'a' ELSE 'b' END", BY_DURATION),
        ("starts_with", "starts_with(app_version, '4')", "app_version"),
        ("contains", "contains(app_version, '4')", "app_version"),
        ("date_trunc", "date_trunc('hour', time)", "day"),
        ("date_bin", "date_bin(INTERVAL '1 hour', time)", "day"),
        ("date_part", "date_part('hour', time)", "day"),
        ("date", "date(time)", "'constant'"),
        ("bucket", "bucket(duration_ms)", BY_DURATION),
        ("width_bucket", "width_bucket(duration_ms, 0, 5000, 20)", BY_DURATION),
    ];

    /// A function that is added to the grammar has no weight until somebody has said what it is.
    #[tokio::test]
    async fn every_function_of_the_grammar_has_a_weight() {
        let listed: BTreeSet<&str> = OF_FUNCTIONS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(listed, FUNCTIONS.into_iter().collect());
        let by = |key: &str| format!("SELECT {key} AS k, COUNT(*) AS n FROM usage GROUP BY 1");
        for (name, with, without) in OF_FUNCTIONS {
            let (with, without) = (units(&by(with)).await, units(&by(without)).await);
            assert!(with > without, "{name}: {with} and {without}");
        }
    }

    /// What does more is worth no less.
    #[tokio::test]
    async fn weights_are_in_the_order_of_what_is_done() {
        let filtered = |condition: &str| format!("SELECT COUNT(*) AS n FROM usage WHERE {condition}");
        let count = |aggregate: &str| format!("SELECT {aggregate} AS n FROM usage");
        let orders: [Vec<String>; 7] = [
            vec![
                count("COUNT(*)"),
                filtered("duration_ms > 3"),
                filtered("app_version = '4.1'"),
                filtered("app_version LIKE '4%'"),
                filtered("app_version LIKE '%4%.%1%'"),
                filtered("upper(app_version) LIKE '%4%.%1%'"),
                filtered("upper(app_version) LIKE '%4%.%1%' OR upper(app_version) LIKE '%4%.%2%'"),
            ],
            vec![
                filtered("app_version = '4.1'"),
                filtered("app_version IN ('4.1', '4.2')"),
                filtered("app_version IN ('4.1', '4.2', '4.3', '4.4', '4.5', '4.6')"),
                filtered("app_version LIKE '4%'"),
            ],
            vec![filtered("app_version LIKE '4%'"), filtered("app_version ILIKE '4%'")],
            vec![
                filtered("app_version = '4.1'"),
                filtered("upper(app_version) = '4.1'"),
                filtered("upper(app_version) = '4.1' AND lower(app_version) = '4.1'"),
            ],
            vec![
                count("COUNT(*) FILTER (WHERE CASE WHEN os = 'ios' THEN TRUE ELSE duration_ms > 3 END)"),
                count(
                    "COUNT(*) FILTER (WHERE CASE WHEN os = 'ios' THEN TRUE WHEN os = 'macos' THEN items > 1 ELSE duration_ms > 3 END)",
                ),
            ],
            vec![count("COUNT(*)"), count("SUM(duration_ms)"), count("COUNT(DISTINCT session)")],
            vec![
                count("COUNT(DISTINCT subject)"),
                "SELECT AVG(c) AS n FROM (SELECT subject, COUNT(*) AS c FROM usage GROUP BY subject) AS p"
                    .to_owned(),
            ],
        ];
        for order in orders {
            let mut before = 0;
            for sql in order {
                let own = units(&sql).await;
                assert!(own >= before, "{sql}: {own} after {before}");
                before = own;
            }
        }
    }

    /// A pattern is worth more than all else that is done with a row that is counted: reading, order, copies, the count.
    #[tokio::test]
    async fn a_pattern_is_worth_more_than_a_row() {
        let row = 10 + units("SELECT COUNT(*) AS n FROM usage").await;
        let pattern = units("SELECT COUNT(*) AS n FROM usage WHERE app_version LIKE '%4%'").await + 10 - row;
        assert!(pattern >= 2 * row, "{pattern} and {row}");
    }

    /// A pattern is worth its words, and three times as many on a text that upper or lower case may have made three times as long.
    #[tokio::test]
    async fn patterns_are_worth_their_words_and_the_bytes_of_their_texts() {
        let of = |condition: String| async move {
            let all = units(&format!("SELECT COUNT(*) AS n FROM usage WHERE {condition}")).await;
            all - units("SELECT COUNT(*) AS n FROM usage WHERE app_version IS NULL").await
        };
        let hostile = |letters: usize| format!("'%a{}b%'", "_".repeat(letters));
        let one = of("app_version LIKE '%4%'".to_owned()).await;
        assert_eq!(of(format!("app_version LIKE {}", hostile(50))).await, one);
        for (letters, words) in [(100, 2), (150, 3), (200, 4), (252, 4)] {
            let more = of(format!("app_version LIKE {}", hostile(letters))).await - one;
            assert_eq!(more, (words - 1) * PATTERN, "{letters}");
        }
        let cased = of("upper(app_version) LIKE '%4%'".to_owned()).await;
        assert_eq!(cased, one + 2 * PATTERN + CASE);
        let by = |key: &str, condition: &str| {
            format!(
                "SELECT COUNT(*) AS n FROM (SELECT subject, {key} AS k, COUNT(*) AS c FROM usage GROUP BY subject, k) AS p \
                 WHERE {condition}"
            )
        };
        for (key, times) in [("screen", 1), ("lower(screen)", 3)] {
            let like = units(&by(key, "k LIKE '%4%'")).await - units(&by(key, "k IS NULL")).await;
            assert!(like > times * PATTERN - 10 && like <= times * PATTERN + 20, "{key}: {like}");
        }
    }

    /// A condition is worth no less when it is asked of what is made of a subject's events than when it is asked of events,
    /// and once however often its name is used.
    #[tokio::test]
    async fn conditions_of_rows_of_subjects_are_counted() {
        let likes = |count: usize| {
            let like = |n: usize| format!("screen LIKE '%a%a%{n}%'");
            (0..count).map(like).collect::<Vec<_>>().join(" OR ")
        };
        let events = |count| format!("SELECT COUNT(*) AS n FROM usage WHERE {}", likes(count));
        let people = |condition: &str| {
            format!(
                "SELECT COUNT(*) AS n FROM (SELECT subject, screen, COUNT(*) AS c FROM usage GROUP BY subject, screen) AS p WHERE {condition}"
            )
        };
        let of_events = units(&events(90)).await - units(&events(10)).await;
        let of_people = units(&people(&likes(90))).await - units(&people(&likes(10))).await;
        assert!(of_people >= of_events && of_events > 80 * 100, "{of_people} and {of_events}");
        let (once, twice) = (people(&likes(30)), people(&format!("({0}) OR NOT ({0})", likes(30))));
        let (once, twice) = (units(&once).await, units(&twice).await);
        assert!(twice < once + once / 4, "{once} and {twice}");
    }
}
