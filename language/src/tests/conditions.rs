//! Conditions over `usage`, at random, each to be written in many ways.
//!
//! The query crate's tests use the same file: it knows nothing but proptest.

use proptest::prelude::*;

/// A condition, to be written in many ways.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Os(&'static str),
    OsIn(Vec<&'static str>),
    Below(i64),
    AtLeast(i64),
    Is(i64),
    IsNull(&'static str),
    Day(i32),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

pub(super) fn conditions() -> impl Strategy<Value = Condition> {
    let os = || prop_oneof![Just("ios"), Just("android"), Just("linux")];
    let leaf = prop_oneof![
        os().prop_map(Condition::Os),
        proptest::collection::vec(os(), 1..4).prop_map(Condition::OsIn),
        // Few numbers, so that they meet: bounds touch, cross and leave one value.
        (0_i64..5).prop_map(Condition::Below),
        (0_i64..5).prop_map(Condition::AtLeast),
        (0_i64..5).prop_map(Condition::Is),
        prop_oneof![Just("os"), Just("duration_ms")].prop_map(Condition::IsNull),
        (0_i32..5).prop_map(Condition::Day),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|c| Condition::Not(Box::new(c))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            proptest::collection::vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

/// Chooses among spellings.
pub(super) struct Choices(pub(super) u64);

impl Choices {
    pub(super) fn next(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % of
    }

    pub(super) fn write(&mut self, condition: &Condition) -> String {
        let text = match condition {
            Condition::Os(os) => match self.next(4) {
                0 => format!("os = '{os}'"),
                1 => format!("'{os}' = OS"),
                2 => format!("os IN ('{os}')"),
                _ => format!("NOT os <> '{os}'"),
            },
            Condition::OsIn(all) => {
                let mut all = all.clone();
                if self.next(2) == 0 {
                    all.reverse();
                }
                let each =
                    |word: &str| all.iter().map(|os| format!("os = '{os}'")).collect::<Vec<_>>().join(word);
                match self.next(3) {
                    0 => format!("os IN ('{}')", all.join("', '")),
                    1 => format!("({})", each(" OR ")),
                    _ => format!("NOT os NOT IN ('{}', '{}')", all.join("', '"), all[0]),
                }
            }
            Condition::Below(n) => match self.next(4) {
                0 => format!("duration_ms < {n}"),
                1 => format!("{n} > duration_ms"),
                2 => format!("duration_ms <= {}", n - 1),
                _ => format!("NOT (duration_ms >= {n}.0)"),
            },
            Condition::AtLeast(n) => match self.next(3) {
                0 => format!("duration_ms >= {n}"),
                1 => format!("NOT duration_ms < {n}"),
                _ => format!("duration_ms > {}", n - 1),
            },
            Condition::Is(n) => match self.next(4) {
                0 => format!("duration_ms = {n}"),
                1 => format!("NOT duration_ms <> {n}"),
                2 => format!("duration_ms IN ({n}.0)"),
                _ => format!("duration_ms BETWEEN {n} AND {n}"),
            },
            Condition::IsNull(name) => match self.next(2) {
                0 => format!("{name} IS NULL"),
                _ => format!("NOT ({name} is not null)"),
            },
            Condition::Day(back) => match self.next(3) {
                0 => format!("day = current_date - {back}"),
                1 => format!("date_trunc('day', time) = current_date - INTERVAL '{back} days'"),
                _ => format!("day BETWEEN current_date - {back} AND CURRENT_DATE - {back}"),
            },
            Condition::Not(inner) => match self.next(2) {
                0 => format!("NOT ({})", self.write(inner)),
                _ => format!("NOT NOT NOT ({})", self.write(inner)),
            },
            Condition::And(all) => self.list(all, " AND "),
            Condition::Or(all) => self.list(all, " or "),
        };
        if self.next(3) == 0 { format!("(\n {text})") } else { text }
    }

    fn list(&mut self, all: &[Condition], word: &str) -> String {
        let mut all: Vec<String> = all.iter().map(|one| format!("({})", self.write(one))).collect();
        if self.next(2) == 0 {
            all.reverse();
        }
        if self.next(3) == 0 {
            all.push(all[0].clone());
        }
        all.join(word)
    }
}
