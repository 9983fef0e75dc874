//! The questions of the trial, each with the statement that asks it and the true numbers of its groups.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{Days, NaiveDate};

use super::population::{COUNTRIES, ENDPOINTS, SCREENS, VERSIONS};
use super::truth::{STEPS, Truth, version_name};

/// What is true of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrueCell {
    pub(super) values: Vec<f64>,
    /// Subjects in it.
    pub(super) subjects: u64,
}

/// One question.
pub(super) struct Question {
    pub(super) name: &'static str,
    pub(super) sql: String,
    /// Columns that name a group.
    pub(super) keys: &'static [&'static str],
    /// Columns that are estimated.
    pub(super) columns: &'static [&'static str],
    /// Groups by the text of their keys.
    pub(super) truth: BTreeMap<Vec<String>, TrueCell>,
    /// Whether its relative error has a goal; others are asked for more intervals to judge by.
    pub(super) has_goal: bool,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}", self.name, self.sql)?;
        for (key, cell) in &self.truth {
            let values: Vec<String> = cell.values.iter().map(f64::to_string).collect();
            writeln!(f, "  {}: {} ({} subjects)", key.join(" "), values.join(" "), cell.subjects)?;
        }
        writeln!(f)
    }
}

/// Days of the trial as dates.
pub(super) struct Dates {
    pub(super) first: NaiveDate,
    pub(super) days: u32,
}

impl Dates {
    fn text(&self, day: u32) -> String {
        self.first.checked_add_days(Days::new(u64::from(day))).unwrap_or(self.first).to_string()
    }

    /// The condition for the days from `first` to the last.
    fn since(&self, first: u32) -> String {
        format!("day BETWEEN '{}' AND '{}'", self.text(first), self.text(self.days - 1))
    }
}

/// All questions.
pub(super) fn questions(truth: &Truth, dates: &Dates) -> Vec<Question> {
    let mut all = daily(truth, dates);
    all.push(funnel(truth, dates));
    all.push(retention(truth, dates));
    all.push(response_time(truth, dates));
    all.push(response_times(truth, dates));
    all.push(crash_free(truth, dates));
    all
}

fn cell(value: u64, subjects: u64) -> TrueCell {
    TrueCell { values: vec![value as f64], subjects }
}

fn daily(truth: &Truth, dates: &Dates) -> Vec<Question> {
    let range = dates.since(0);
    let by_day = |of: &dyn Fn(usize) -> TrueCell| -> BTreeMap<Vec<String>, TrueCell> {
        (0..dates.days).map(|day| (vec![dates.text(day)], of(day as usize))).collect()
    };
    let mut countries = BTreeMap::new();
    let mut screens = BTreeMap::new();
    for day in 0..dates.days {
        let numbers = &truth.days[day as usize];
        for (at, (country, _)) in COUNTRIES.iter().enumerate() {
            let subjects = numbers.by_country[at];
            countries.insert(vec![dates.text(day), (*country).to_owned()], cell(subjects, subjects));
        }
        for (at, (screen, _)) in SCREENS.iter().enumerate() {
            let found = cell(numbers.viewers[at], numbers.viewers[at]);
            screens.insert(vec![dates.text(day), (*screen).to_owned()], found);
        }
    }
    vec![
        Question {
            name: "daily active subjects",
            sql: format!(
                "SELECT day, COUNT(DISTINCT subject) AS people FROM usage WHERE {range} GROUP BY day"
            ),
            keys: &["day"],
            columns: &["people"],
            truth: by_day(&|day| cell(truth.days[day].subjects, truth.days[day].subjects)),
            has_goal: true,
        },
        Question {
            name: "daily active subjects by country",
            sql: format!(
                "SELECT day, country, COUNT(DISTINCT subject) AS people FROM usage WHERE {range} GROUP BY day, country"
            ),
            keys: &["day", "country"],
            columns: &["people"],
            truth: countries,
            has_goal: false,
        },
        Question {
            name: "openings a day",
            sql: format!(
                "SELECT day, COUNT(*) AS n FROM usage WHERE event = 'app_open' AND {range} GROUP BY day"
            ),
            keys: &["day"],
            columns: &["n"],
            truth: by_day(&|day| cell(truth.days[day].opens, truth.days[day].subjects)),
            has_goal: false,
        },
        Question {
            name: "viewers by day and screen",
            sql: format!(
                "SELECT day, screen, COUNT(DISTINCT subject) AS people FROM usage \
                 WHERE event = 'screen_view' AND {range} GROUP BY day, screen"
            ),
            keys: &["day", "screen"],
            columns: &["people"],
            truth: screens,
            has_goal: false,
        },
    ]
}

fn funnel(truth: &Truth, dates: &Dates) -> Question {
    let range = dates.since(0);
    let steps =
        (1..=STEPS).map(|step| (vec![step.to_string()], cell(truth.reached(step), truth.reached(step))));
    Question {
        name: "funnel of five steps",
        sql: format!(
            "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, event = 'app_open', \
             event = 'login' AND result = 'ok', event = 'device_add' AND result = 'ok', \
             event = 'live_view_start' AND result = 'ok', event = 'purchase' AND result = 'ok', \
             within => INTERVAL '7 days') WHERE {range} GROUP BY step"
        ),
        keys: &["step"],
        columns: &["people"],
        truth: steps.collect(),
        has_goal: true,
    }
}

fn retention(truth: &Truth, dates: &Dates) -> Question {
    let range = dates.since(0);
    let weeks = dates.days.div_ceil(7);
    let mut cells = BTreeMap::new();
    for week in 0..weeks {
        for after in 0..weeks - week {
            let subjects = truth.came_back(week, after);
            cells.insert(vec![dates.text(7 * week), after.to_string()], cell(subjects, subjects));
        }
    }
    Question {
        name: "weekly retention",
        sql: format!(
            "SELECT cohort, period, COUNT(DISTINCT subject) AS people FROM retention(usage, event = 'app_open', \
             event = 'app_open', period => 'week') WHERE {range} GROUP BY cohort, period"
        ),
        keys: &["cohort", "period"],
        columns: &["people"],
        truth: cells,
        has_goal: true,
    }
}

fn response_time(truth: &Truth, dates: &Dates) -> Question {
    let (range, endpoint) = (dates.since(0), ENDPOINTS[0].0);
    let values = vec![truth.quantile_of_first(0.5), truth.quantile_of_first(0.95)];
    Question {
        name: "p50 and p95 of an endpoint's response time",
        sql: format!(
            "SELECT QUANTILE(duration_ms, 0.5) AS p50, QUANTILE(duration_ms, 0.95) AS p95 \
             FROM performance WHERE event = 'api_request' AND endpoint = '{endpoint}' AND {range}"
        ),
        keys: &[],
        columns: &["p50", "p95"],
        truth: BTreeMap::from([(Vec::new(), TrueCell { values, subjects: truth.of_first_endpoint() })]),
        has_goal: true,
    }
}

fn response_times(truth: &Truth, dates: &Dates) -> Question {
    let range = dates.since(dates.days.saturating_sub(7));
    let cells = ENDPOINTS.iter().enumerate().map(|(at, (endpoint, _, _))| {
        let values = vec![truth.quantile(at, 0.5), truth.quantile(at, 0.95)];
        (vec![(*endpoint).to_owned()], TrueCell { values, subjects: truth.of_endpoint(at) })
    });
    Question {
        name: "p50 and p95 of the response time by endpoint, a week",
        sql: format!(
            "SELECT endpoint, QUANTILE(duration_ms, 0.5) AS p50, QUANTILE(duration_ms, 0.95) AS p95 \
             FROM performance WHERE event = 'api_request' AND {range} GROUP BY endpoint"
        ),
        keys: &["endpoint"],
        columns: &["p50", "p95"],
        truth: cells.collect(),
        has_goal: false,
    }
}

fn crash_free(truth: &Truth, dates: &Dates) -> Question {
    let range = dates.since(dates.days.saturating_sub(7));
    let cells = (0..VERSIONS.len()).map(|version| {
        let (_, free) = truth.of_version(version);
        (vec![version_name(version).to_owned()], cell(free, free))
    });
    Question {
        name: "crash-free subjects by version, a week",
        sql: format!(
            "SELECT app_version, COUNT(DISTINCT subject) AS people FROM usage WHERE {range} \
             AND subject NOT IN (SELECT subject FROM crash WHERE event = 'app_crash' AND {range}) GROUP BY app_version"
        ),
        keys: &["app_version"],
        columns: &["people"],
        truth: cells.collect(),
        has_goal: true,
    }
}
