//! The attacks: statements, and the numbers that are made of their answers.
//!
//! A statement's marks say where a system with a smallest group would hide one: `{k}` is a HAVING of its own, `{and}` goes
//! on with one. They are empty for Shoal. The two worlds differ in one subject with 14 events of one day, an outlier
//! in everything; 120 accounts were made by the attacker and share what is rare about it.
//!
//! Not here: grammar that comes later is written down too; a statement that is refused makes its attack a refused one.

use shoal_schemas::Kind;

use super::Answer;
use super::templates::{memberships, templates};
use crate::tests::{Row, today};
use shoal_language::calendar::day_text;

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) statements: Vec<String>,
    /// The numbers that the guess is made of; always as many.
    pub(super) features: fn(&[Answer]) -> Vec<f64>,
    /// The postprocessing is part of the attack.
    pub(super) postprocesses: bool,
    /// Plain SQL can say the same.
    pub(super) on_exact: bool,
    /// Played at all precisions.
    pub(super) cheap: bool,
    /// The table whose rows differ.
    pub(super) differs: Kind,
}

/// The rows of the tables that an attack asks about.
pub(super) struct World {
    usage: Vec<Row>,
    crash: Vec<Row>,
}

impl World {
    pub(super) fn rows(&self, kind: Kind) -> &[Row] {
        match kind {
            Kind::Usage => &self.usage,
            Kind::Crash => &self.crash,
            other => panic!("no rows of {other}"),
        }
    }
}

impl Attack {
    pub(super) fn new(
        name: &'static str,
        statements: Vec<String>,
        features: fn(&[Answer]) -> Vec<f64>,
    ) -> Attack {
        Attack {
            name,
            statements,
            features,
            postprocesses: false,
            on_exact: true,
            cheap: false,
            differs: Kind::Usage,
        }
    }

    fn postprocessed(self) -> Attack {
        Attack { postprocesses: true, ..self }
    }

    fn cheap(self) -> Attack {
        Attack { cheap: true, ..self }
    }

    /// The rows with and without the subject: those of one day of one table.
    pub(super) fn world(&self, is_there: bool) -> World {
        let is = |kind: Kind| is_there || self.differs != kind;
        World { usage: usage(is(Kind::Usage)), crash: crash(is(Kind::Crash)) }
    }

    /// The statements as they are asked of Shoal.
    pub(super) fn ours(&self) -> Vec<String> {
        self.statements.iter().map(|sql| with_smallest_group(sql, false)).collect()
    }
}

/// Writes out the marks.
pub(super) fn with_smallest_group(statement: &str, is_there: bool) -> String {
    let enough = "COUNT(DISTINCT subject) >= 20";
    let (having, and) = match is_there {
        true => (format!(" HAVING {enough}"), format!(" AND {enough}")),
        false => (String::new(), String::new()),
    };
    statement.replace("{k}", &having).replace("{and}", &and)
}

/// 110 people, 120 accounts of the attacker, and the subject in question.
fn usage(is_there: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut person = |subject: u32, os: &str, version: &str, clicks: u32| {
        let row = |event| Row::new(subject, today(), event).text("os", os).text("app_version", version);
        rows.extend((0..clicks).map(|_| row("click")));
        rows.push(row("purchase").text("result", "ok").number("amount", 100).number("items", 1));
        rows.push(
            row("screen_view").number("duration_ms", if subject.is_multiple_of(2) { 100 } else { 100_000 }),
        );
    };
    (1..=30).for_each(|subject| person(subject, "linux", "4.1", 1));
    (31..=60).for_each(|subject| person(subject, "windows", "4.1", 10));
    (61..=90).for_each(|subject| person(subject, "android", "4.1", 1));
    (91..=109).for_each(|subject| person(subject, "android", "9.9", 1));
    for subject in 200..320 {
        let mut row = Row::new(subject, today(), "click").text("os", "other").text("app_version", "7.7");
        row.hour = 3;
        rows.push(row);
    }
    if is_there {
        let row = |event, version: &str| {
            Row::new(0, today(), event).text("os", "linux").text("app_version", version)
        };
        rows.extend((0..10).map(|_| row("click", "9.9")));
        let mut rare = row("click", "7.7");
        rare.hour = 3;
        rows.extend([rare.clone(), rare]);
        rows.push(
            row("purchase", "9.9").text("result", "ok").number("amount", 1_000_000).number("items", 10),
        );
        rows.push(row("screen_view", "9.9").number("duration_ms", 100));
    }
    rows
}

/// 15 people, half of whom have two crashes, and the subject in question.
fn crash(is_there: bool) -> Vec<Row> {
    let people = (1..=15).chain(is_there.then_some(0));
    people.flat_map(|subject| (0..=subject % 2).map(move |_| Row::new(subject, today(), "crash"))).collect()
}

fn number(row: &(String, Vec<f64>)) -> f64 {
    row.1.first().copied().unwrap_or(0.0)
}

/// The number of a group, 0 when it is not shown.
fn of(answer: &Answer, key: &str) -> f64 {
    answer.iter().find(|(found, _)| found.contains(key)).map_or(0.0, number)
}

fn sum(answer: &Answer) -> f64 {
    answer.iter().map(number).sum()
}

/// The sum of each answer.
pub(super) fn sums(answers: &[Answer]) -> Vec<f64> {
    answers.iter().map(sum).collect()
}

fn difference(answers: &[Answer]) -> Vec<f64> {
    vec![sum(&answers[0]), sum(&answers[0]) - sum(&answers[1])]
}

/// Whether and how the rare version shows.
fn rare(answers: &[Answer]) -> Vec<f64> {
    vec![answers[0].len() as f64, of(&answers[0], "9.9")]
}

fn padded(answers: &[Answer]) -> Vec<f64> {
    vec![of(&answers[0], "7.7")]
}

fn complement(answers: &[Answer]) -> Vec<f64> {
    vec![sum(&answers[0]) - sum(&answers[1]), answers[1].len() as f64, sum(&answers[0])]
}

fn rows(answers: &[Answer]) -> Vec<f64> {
    vec![answers[0].len() as f64]
}

fn linux_is_first(answers: &[Answer]) -> Vec<f64> {
    vec![f64::from(answers[0].first().is_some_and(|(key, _)| key.contains("linux")))]
}

pub(super) fn at_three(answers: &[Answer]) -> Vec<f64> {
    vec![of(&answers[0], "03:00"), sum(&answers[0])]
}

fn cells(answers: &[Answer]) -> Vec<f64> {
    vec![of(&answers[0], "linux"), of(&answers[1], "click"), of(&answers[2], "7.7"), of(&answers[3], "DE")]
}

pub(super) fn last_step(answers: &[Answer]) -> Vec<f64> {
    vec![answers[0].last().map_or(0.0, number), sum(&answers[0])]
}

/// All attacks.
pub(super) fn attacks() -> Vec<Attack> {
    let day = format!("day = DATE '{}'", day_text(today()));
    let from = format!("FROM usage WHERE {day}");
    let one = |sql: String| vec![sql];
    let people = "COUNT(DISTINCT subject) AS n";
    let windows = (0..7).map(|ago| {
        let (first, last) = (day_text(today() - ago), day_text(today()));
        format!("SELECT COUNT(*) AS n FROM usage WHERE day BETWEEN DATE '{first}' AND DATE '{last}'{{k}}")
    });
    let overlapping = (0..25).map(|at| format!("SELECT {people} {from} AND app_version <> 'none-{at}'{{k}}"));
    let words = (0..20).map(|at| {
        let list = match at % 2 {
            0 => "event IN ('click', 'purchase')",
            _ => "(event = 'purchase' OR event = 'click')",
        };
        format!("SELECT COUNT(DISTINCT subject) AS n{at} FROM usage WHERE {list} AND {day}{{k}}")
    });
    let by = |key: &str| format!("SELECT {key}, COUNT(*) AS n {from} GROUP BY {key}{{k}}");
    let mut all = vec![
        Attack::new(
            "differencing",
            vec![
                format!("SELECT COUNT(*) AS n {from}{{k}}"),
                format!("SELECT COUNT(*) AS n {from} AND NOT (os = 'linux' AND app_version = '9.9'){{k}}"),
            ],
            difference,
        )
        .cheap(),
        Attack::new("averaging repeats", vec![format!("SELECT {people} {from}{{k}}"); 50], sums).cheap(),
        Attack::new("averaging in other words", words.collect(), sums),
        Attack::new("overlapping predicates", overlapping.collect(), sums),
        Attack::new("outlier in a sum", one(format!("SELECT SUM(amount) AS n {from}{{k}}")), sums).cheap(),
        Attack::new(
            "singleton private key",
            one(format!("SELECT app_version, {people} {from} GROUP BY app_version{{k}}")),
            rare,
        ),
        Attack::new(
            "padding with own accounts",
            one(format!("SELECT app_version, {people} {from} GROUP BY app_version{{k}}")),
            padded,
        ),
        Attack::new(
            "complement of hidden groups",
            vec![
                format!("SELECT {people} {from} AND app_version <> '7.7'{{k}}"),
                format!(
                    "SELECT app_version, {people} {from} AND app_version <> '7.7' GROUP BY app_version{{k}}"
                ),
            ],
            complement,
        ),
        Attack::new("sliding windows", windows.collect(), sums),
        Attack::new("every grouping", ["os", "event", "app_version", "country"].map(by).to_vec(), cells),
    ];
    all.extend(postprocessed(&from));
    all.extend(templates(&from, &day));
    all.extend(memberships(&from, &day));
    all.extend(ranges(&from));
    all
}

/// Attacks that need the postprocessing.
fn postprocessed(from: &str) -> Vec<Attack> {
    let one = |sql: String| vec![sql];
    let by_os =
        format!("SELECT os, COUNT(DISTINCT subject) AS n {from} AND os IN ('linux', 'windows') GROUP BY os");
    vec![
        Attack::new(
            "HAVING at the edge",
            one(format!("{by_os} HAVING COUNT(DISTINCT subject) > 30{{and}}")),
            rows,
        )
        .postprocessed(),
        Attack::new(
            "ORDER BY, LIMIT 1",
            one(format!("{by_os}{{k}} ORDER BY n DESC, os DESC LIMIT 1")),
            linux_is_first,
        )
        .postprocessed(),
        Attack::new(
            "releases subtracted",
            one(format!(
                "SELECT a.n - b.n AS n FROM (SELECT COUNT(*) AS n {from}{{k}}) AS a CROSS JOIN (SELECT COUNT(*) AS n {from} AND app_version <> '9.9'{{k}}) AS b"
            )),
            sums,
        )
        .postprocessed(),
        Attack::new("average", one(format!("SELECT AVG(amount) AS n {from}{{k}}")), sums).postprocessed(),
        Attack::new("deviation", one(format!("SELECT STDDEV(amount) AS n {from}{{k}}")), sums).postprocessed(),
        Attack::new("ratio", one(format!("SELECT SUM(amount) * 1.0 / COUNT(*) AS n {from}{{k}}")), sums)
            .postprocessed(),
    ]
}

/// Attacks on what is released for several days at once.
fn ranges(from: &str) -> Vec<Attack> {
    let one = |sql: String| vec![sql];
    let week = format!(
        "FROM usage WHERE day BETWEEN DATE '{}' AND DATE '{}'",
        day_text(today() - 6),
        day_text(today())
    );
    vec![
        Attack::new("people of a week", one(format!("SELECT COUNT(DISTINCT subject) AS n {week}{{k}}")), sums).cheap(),
        Attack::new("quantile of a week", one(format!("SELECT MEDIAN(duration_ms) AS n {week}{{k}}")), sums),
        Attack::new(
            "groups of a week",
            one(format!("SELECT app_version, COUNT(DISTINCT subject) AS n {week} GROUP BY app_version{{k}}")),
            rare,
        ),
        Attack::new(
            "two groups of one release",
            one(format!("SELECT os, COUNT(DISTINCT subject) AS n {from} GROUP BY os{{k}}")),
            |answers| vec![of(&answers[0], "linux") - of(&answers[0], "windows"), of(&answers[0], "linux")],
        ),
        Attack::new(
            "persons' average",
            one(format!(
                "SELECT AVG(events) AS n FROM (SELECT subject, COUNT(*) AS events {week} GROUP BY subject) AS people"
            )),
            sums,
        )
        .postprocessed(),
    ]
}
