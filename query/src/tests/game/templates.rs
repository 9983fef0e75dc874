//! Attacks through funnels, retention, values of persons, quantiles and memberships.

use shoal_schemas::Kind;

use super::attacks::{Attack, at_three, last_step, sums};

/// An attack that asks who of one table is in the other, and sees only that; a smallest group hides it.
fn crash_of(name: &'static str, sql: String, differs: Kind) -> Attack {
    let mut attack = Attack::new(name, vec![sql], sums);
    attack.differs = differs;
    attack.on_exact = false;
    attack
}

/// Attacks through templates.
pub(super) fn templates(from: &str, day: &str) -> Vec<Attack> {
    let one = |sql: String| vec![sql];
    let hours = "SELECT date_trunc('hour', time) AS hour, COUNT(*) AS n";
    let mut funnel = Attack::new(
        "funnel",
        one(format!(
            "SELECT step, COUNT(DISTINCT subject) AS n FROM funnel(usage, event = 'click', event = 'purchase', within => INTERVAL '1 day') WHERE {day} GROUP BY step"
        )),
        last_step,
    );
    funnel.on_exact = false;
    let mut retention = Attack::new(
        "retention",
        one(format!(
            "SELECT period, COUNT(DISTINCT subject) AS n FROM retention(usage, event = 'click', event = 'purchase', period => 'week') WHERE {day} GROUP BY period"
        )),
        last_step,
    );
    retention.on_exact = false;
    let mut histogram = Attack::new(
        "histogram",
        one(format!("SELECT bucket(amount) AS lower, COUNT(*) AS n {from} GROUP BY bucket(amount)")),
        last_step,
    );
    histogram.on_exact = false;
    vec![
        Attack::new(
            "slicing time",
            one(format!("{hours} {from} GROUP BY date_trunc('hour', time){{k}}")),
            at_three,
        ),
        Attack::new(
            "values of a person",
            one(format!(
                "SELECT COUNT(*) AS n FROM (SELECT subject, COUNT(*) AS events {from} GROUP BY subject) AS people WHERE events >= 10"
            )),
            sums,
        ),
        Attack::new("quantile", one(format!("SELECT MEDIAN(duration_ms) AS n {from}{{k}}")), sums),
        funnel,
        retention,
        histogram,
    ]
}

/// Attacks through other events of the same subjects.
pub(super) fn memberships(from: &str, day: &str) -> Vec<Attack> {
    let one = |sql: String| vec![sql];
    vec![
        Attack::new(
            "semi-join",
            one(format!(
                "SELECT COUNT(DISTINCT subject) AS n {from} AND event = 'click' AND subject IN (SELECT subject {from} AND event = 'purchase'){{k}}"
            )),
            sums,
        ),
        Attack::new(
            "semi-join, negated",
            one(format!(
                "SELECT COUNT(DISTINCT subject) AS n {from} AND subject NOT IN (SELECT subject {from} AND app_version = '4.1'){{k}}"
            )),
            sums,
        ),
        crash_of(
            "semi-join, own table",
            format!(
                "SELECT COUNT(DISTINCT subject) AS n {from} AND subject IN (SELECT subject FROM crash WHERE {day}){{k}}"
            ),
            Kind::Usage,
        ),
        crash_of(
            "semi-join, other table",
            format!(
                "SELECT COUNT(*) AS n {from} AND subject IN (SELECT subject FROM crash WHERE {day}){{k}}"
            ),
            Kind::Crash,
        ),
        crash_of(
            "semi-join, other table, negated",
            format!(
                "SELECT SUM(amount) AS n {from} AND subject NOT IN (SELECT subject FROM crash WHERE {day}){{k}}"
            ),
            Kind::Crash,
        ),
    ]
}
