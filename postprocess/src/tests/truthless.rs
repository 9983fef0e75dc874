//! Without knowing any truth: every number of an answer has an interval that holds it, or none is shown, or there is a note.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::withheld::{released, versions};
use super::*;

/// What a statement reads, with the names of its numbers.
const FROM: &[(&str, [&str; 2])] = &[
    ("r0 a", ["a.a0", "a.a1"]),
    ("r0 a JOIN r1 b ON a.k0 = b.k0", ["a.a0", "b.a0"]),
    ("r0 a LEFT JOIN r1 b ON a.k0 = b.k0", ["a.a0", "b.a1"]),
    ("r0 a RIGHT JOIN r1 b ON a.k0 = b.k0", ["a.a0", "b.a0"]),
    ("r0 a FULL JOIN r1 b ON a.k0 = b.k0", ["a.a1", "b.a0"]),
    ("r0 a LEFT JOIN (SELECT k0, a0 / a1 AS m FROM r1) b ON a.k0 = b.k0", ["a.a0", "b.m"]),
    ("(SELECT k0, a0, a1 FROM r0 UNION ALL SELECT k0, a0, 0 FROM r1) a", ["a.a0", "a.a1"]),
    ("(SELECT DISTINCT k0, a0, a1 FROM r0) a", ["a.a0", "a.a1"]),
    ("(SELECT k0, sum(a0) AS n, count(*) AS m FROM r0 GROUP BY k0) a", ["a.n", "a.m"]),
    (
        "(SELECT k0, CASE WHEN a0 > 0 THEN least(greatest(a1 / a0, 0), 50) END AS m, a0 FROM r0) a",
        ["a.m", "a.a0"],
    ),
];

/// Around an expression over rows.
const OVER: &[&str] = &[
    "{}",
    "lag({}) OVER (ORDER BY a.k0)",
    "sum({}) OVER (ORDER BY a.k0)",
    "row_number() OVER (ORDER BY {})",
    "{} - (SELECT avg(a0) FROM r1)",
    "coalesce((SELECT a0 FROM r1 LIMIT 1), 0) + {}",
];
const AGGREGATED: &[&str] =
    &["sum({})", "avg({})", "max({})", "count({})", "count(DISTINCT {})", "stddev({})", "median({})"];

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["x", "y", "2", "0.5", "100.0"]).prop_map(str::to_owned);
    leaf.prop_recursive(4, 16, 3, |inner| {
        let one = (
            prop::sample::select(vec![
                "-({})",
                "abs({})",
                "round({}, 1)",
                "coalesce({}, 0)",
                "sqrt(abs({}))",
                "floor({})",
                "nullif({}, 0)",
                "CAST({} AS bigint)",
            ]),
            inner.clone(),
        )
            .prop_map(|(around, inner)| around.replace("{}", &inner));
        let two = (prop::sample::select(vec!["+", "-", "*", "/"]), inner.clone(), inner.clone())
            .prop_map(|(op, a, b)| format!("({a} {op} {b})"));
        let case = (inner.clone(), inner.clone(), inner)
            .prop_map(|(a, b, c)| format!("CASE WHEN {a} > 50 THEN {b} ELSE {c} END"));
        prop_oneof![2 => one, 4 => two, 1 => case]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let from = prop::sample::select(FROM.to_vec());
    (expression(), from, 0..OVER.len(), 0..AGGREGATED.len(), 0..4_u8).prop_map(
        |(x, (from, [a, b]), over, of, how)| {
            // Letters of the expression that are names; no function's name has them.
            let named = |text: &str| {
                let is_name = |at: usize| {
                    let around = |at: Option<usize>| {
                        at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_alphabetic)
                    };
                    !around(at.checked_sub(1)) && !around(Some(at + 1))
                };
                let mut out = String::new();
                for (at, letter) in text.char_indices() {
                    match letter {
                        'x' if is_name(at) => out.push_str(a),
                        'y' if is_name(at) => out.push_str(b),
                        letter => out.push(letter),
                    }
                }
                out
            };
            let x = named(&x);
            match how {
                0 => format!("SELECT {} AS n FROM {from}", AGGREGATED[of].replace("{}", &x)),
                1 => format!(
                    "SELECT a.k0 AS k, {} AS n FROM {from} GROUP BY a.k0",
                    AGGREGATED[of].replace("{}", &x)
                ),
                2 => format!("SELECT a.k0 AS k, {} AS n FROM {from}", OVER[over].replace("{}", &x)),
                _ => format!("SELECT a.k0 AS k, {x} AS n FROM {from} WHERE a.k0 IS NOT NULL LIMIT 5"),
            }
        },
    )
}

fn tables() -> impl Strategy<Value = Vec<ReleasedTable>> {
    let number = (-200.0..2_000.0_f64, 0.1..300.0_f64);
    let row = (0..6_u8, number.clone(), number);
    let rows = prop::collection::vec(row, 0..6);
    (rows.clone(), rows, any::<bool>()).prop_map(|(a, b, is_shown)| {
        let one = |name: &str, rows: Vec<(u8, (f64, f64), (f64, f64))>| {
            let mut seen = std::collections::BTreeSet::new();
            let rows = rows.into_iter().filter(|(key, ..)| seen.insert(*key));
            let rows: Vec<_> = rows.map(|(key, a, b)| (format!("v{key}"), vec![a, b])).collect();
            let mut schema = versions(name);
            if is_shown {
                schema.shown_from = None;
                schema.numbers.iter_mut().for_each(|number| number.withheld = None);
            }
            released(schema, &rows)
        };
        vec![one("r0", a), one("r1", b)]
    })
}

#[tokio::test]
async fn most_of_these_statements_are_answered() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let mut runner = TestRunner::deterministic();
    let mut answered = 0;
    for _ in 0..60 {
        let sql = statement().new_tree(&mut runner).unwrap().current();
        let tables = tables().new_tree(&mut runner).unwrap().current();
        answered += u32::from(postprocessor.run(&sql, tables, in_seconds(60)).await.is_ok());
    }
    assert!(answered >= 40, "{answered} of 60");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn every_number_has_an_interval_or_a_note(sql in statement(), tables in tables()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let postprocessor = Postprocessor::in_process(Limits::default());
            let schemas: Vec<_> = tables.iter().map(|table| table.schema.clone()).collect();
            let columns = match postprocessor.check(&sql, &schemas, in_seconds(60)).await {
                Ok(columns) => columns,
                Err(refused) => {
                    prop_assert!(matches!(refused, PostprocessError::Refused(_)), "{sql}: {refused}");
                    return Ok(());
                }
            };
            // A division of whole numbers by zero, or a number beyond 64 bits, is a failure and no answer.
            let Ok((ran, batch)) = postprocessor.run(&sql, tables, in_seconds(60)).await else { return Ok(()) };
            prop_assert_eq!(&columns, &ran);
            for column in &ran {
                let ty = batch.column_by_name(&column.name).unwrap().data_type().clone();
                match column.kind {
                    ColumnKind::Estimate => {
                        let of = |end: &str| numbers(&batch, &format!("{}{end}", column.name));
                        let all = of("").into_iter().zip(of("_sd")).zip(of("_low").into_iter().zip(of("_high")));
                        for cell in all {
                            let is_held = match cell {
                                ((Some(x), Some(sd)), (Some(low), Some(high))) => sd >= 0.0 && low <= x && x <= high,
                                ((None, None), (Some(low), Some(high))) => low < high,
                                ((None, None), (None, None)) => true,
                                _ => false,
                            };
                            prop_assert!(is_held, "{sql}: {cell:?}");
                        }
                    }
                    ColumnKind::Value => prop_assert!(!ty.is_numeric() || column.note.is_some(), "{sql}"),
                    // Made of keys and of the text alone.
                    ColumnKind::Key => prop_assert!(!ty.is_numeric() || !sql.contains(".a"), "{sql}"),
                    ColumnKind::Deviation | ColumnKind::Low | ColumnKind::High => {}
                }
            }
            Ok(())
        })?;
    }
}
