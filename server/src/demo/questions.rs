//! What the demo asks, and the truth to compare the answers with.
//!
//! Invariant: a truth is computed from the very events that were sent, without any of Shoal's own code.

use std::collections::{BTreeMap, BTreeSet};

use super::traffic::Event;

/// A question in SQL; `{day}` is the day of the traffic.
pub(super) struct Question {
    pub(super) title: &'static str,
    pub(super) sql: &'static str,
    pub(super) exactness: Exactness,
    /// Column that says which group a row is; none: the answer has one row.
    pub(super) key: Option<&'static str>,
    /// Columns that are compared, each with its truth.
    pub(super) columns: &'static [(&'static str, Truth)],
}

/// How exact an answer is wanted, and so what it costs.
pub(super) enum Exactness {
    /// A precision by its name.
    Precision(&'static str),
    /// The largest standard deviation of a number.
    SdMax(f64),
}

/// How many of the questions the demo asks when it is not told to ask all: those that come first.
pub(super) const TOUR: usize = 3;

/// The truth of a column for each group.
pub(super) type Truth = fn(&[Event]) -> BTreeMap<String, f64>;

/// The questions, in the order in which they are asked.
pub(super) const QUESTIONS: &[Question] = &[
    Question {
        title: "How many people used the app, in each region?",
        sql: "SELECT region, COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '{day}' GROUP BY region ORDER BY region",
        exactness: Exactness::SdMax(8.0),
        key: Some("region"),
        columns: &[("people", |e| people(e, |e| is(e, "usage", ""), |e| e.region.into()))],
    },
    Question {
        title: "Adding a camera: where do people get stuck?",
        sql: "SELECT step, COUNT(DISTINCT subject) AS passed FROM usage WHERE event = 'device_add' AND result = 'ok' AND day = DATE '{day}' GROUP BY step ORDER BY passed DESC",
        exactness: Exactness::SdMax(15.0),
        key: Some("step"),
        columns: &[("passed", |e| {
            people(e, |e| is(e, "usage", "device_add") && e.properties["result"] == "ok", step)
        })],
    },
    Question {
        title: "How many people did the new release crash on?",
        sql: "SELECT COUNT(DISTINCT subject) FILTER (WHERE app_version = '5.2.0') AS crashed_new, COUNT(DISTINCT subject) FILTER (WHERE app_version = '5.1.0') AS crashed_old FROM crash WHERE day = DATE '{day}'",
        exactness: Exactness::SdMax(10.0),
        key: None,
        columns: &[
            ("crashed_new", |e| people(e, |e| is(e, "crash", "") && e.app_version == "5.2.0", whole)),
            ("crashed_old", |e| people(e, |e| is(e, "crash", "") && e.app_version == "5.1.0", whole)),
        ],
    },
    Question {
        title: "How long does the app take to start for half of the people, and for nine in ten?",
        sql: "SELECT approx_percentile_cont(duration_ms, 0.5) AS p50_ms, approx_percentile_cont(duration_ms, 0.9) AS p90_ms FROM performance WHERE event = 'app_start' AND day = DATE '{day}'",
        exactness: Exactness::Precision("high"),
        key: None,
        columns: &[("p50_ms", |e| start_ms(e, 0.5)), ("p90_ms", |e| start_ms(e, 0.9))],
    },
    Question {
        title: "What do people do?",
        sql: "SELECT event, COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '{day}' GROUP BY event ORDER BY people DESC",
        exactness: Exactness::Precision("high"),
        key: Some("event"),
        columns: &[("people", |e| people(e, |e| is(e, "usage", ""), |e| e.name.into()))],
    },
    Question {
        title: "Live view got slow for some (more than half a second): was it the release?",
        sql: "SELECT COUNT(DISTINCT subject) FILTER (WHERE app_version = '5.2.0') AS slow_new, COUNT(DISTINCT subject) FILTER (WHERE app_version = '5.1.0') AS slow_old FROM performance WHERE event = 'api_request' AND endpoint = '/v1/cameras/{id}/live' AND duration_ms > 500 AND day = DATE '{day}'",
        exactness: Exactness::Precision("high"),
        key: None,
        columns: &[
            ("slow_new", |e| people(e, |e| is_slow(e) && e.app_version == "5.2.0", whole)),
            ("slow_old", |e| people(e, |e| is_slow(e) && e.app_version == "5.1.0", whole)),
        ],
    },
    Question {
        title: "How long does the app take to start? (a mean costs more than a count: see its interval)",
        sql: "SELECT AVG(duration_ms) AS mean_ms FROM performance WHERE event = 'app_start' AND day = DATE '{day}'",
        exactness: Exactness::Precision("high"),
        key: None,
        columns: &[("mean_ms", mean_start_ms)],
    },
    Question {
        title: "How many of those who open the app log in, and watch a camera after that?",
        sql: "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', 'login', 'live_view_start', within => INTERVAL '1 day') WHERE day = DATE '{day}' GROUP BY step ORDER BY step",
        exactness: Exactness::Precision("high"),
        key: Some("step"),
        columns: &[("people", |e| funnel(e, &["app_open", "login", "live_view_start"]))],
    },
    Question {
        title: "On how many of a hundred people who used it did the new release crash? (a release that is named in a FILTER is counted in every region)",
        sql: "WITH used AS (SELECT COUNT(DISTINCT subject) FILTER (WHERE app_version = '5.2.0') AS people FROM usage WHERE day = DATE '{day}'), crashed AS (SELECT COUNT(DISTINCT subject) FILTER (WHERE app_version = '5.2.0') AS people FROM crash WHERE day = DATE '{day}') SELECT 100.0 * crashed.people / used.people AS crashed_percent FROM used CROSS JOIN crashed",
        exactness: Exactness::Precision("high"),
        key: None,
        columns: &[("crashed_percent", crashed_percent)],
    },
    Question {
        title: "How far has the new firmware spread?",
        sql: "SELECT firmware, COUNT(DISTINCT subject) AS devices FROM device WHERE day = DATE '{day}' GROUP BY firmware ORDER BY firmware",
        exactness: Exactness::Precision("high"),
        key: Some("firmware"),
        columns: &[("devices", |e| people(e, |e| is(e, "device", ""), |e| e.firmware.into()))],
    },
];

fn is(event: &Event, kind: &str, name: &str) -> bool {
    event.kind.as_str() == kind && (name.is_empty() || event.name == name)
}

fn step(event: &Event) -> String {
    event.properties["step"].as_str().unwrap_or_default().to_owned()
}

fn whole(_: &Event) -> String {
    String::new()
}

/// Different people (or devices: everybody has one) in each group.
fn people(
    events: &[Event],
    keep: impl Fn(&Event) -> bool,
    group: impl Fn(&Event) -> String,
) -> BTreeMap<String, f64> {
    let mut groups: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for event in events.iter().filter(|e| keep(e)) {
        groups.entry(group(event)).or_default().insert(event.person);
    }
    groups.into_iter().map(|(key, people)| (key, people.len() as f64)).collect()
}

fn is_slow(event: &Event) -> bool {
    is(event, "performance", "api_request")
        && event.properties["endpoint"] == "/v1/cameras/{id}/live"
        && event.properties["duration_ms"].as_u64() > Some(500)
}

/// The smallest duration that this part of all starts are not above. How often people start the app has nothing to do with
/// how long it takes them, so that it is the same of one start of each.
fn start_ms(events: &[Event], part: f64) -> BTreeMap<String, f64> {
    let mut durations = start_durations_ms(events);
    durations.sort_by(f64::total_cmp);
    let at = (part * durations.len() as f64).ceil() as usize;
    let value = durations.get(at.saturating_sub(1)).copied().unwrap_or(0.0);
    BTreeMap::from([(String::new(), value)])
}

/// People who did each of these things after the one before it.
fn funnel(events: &[Event], steps: &[&str]) -> BTreeMap<String, f64> {
    let mut done: BTreeMap<usize, Vec<(&str, &str)>> = BTreeMap::new();
    for event in events.iter().filter(|e| steps.contains(&e.name)) {
        let time = event.json["time"].as_str().unwrap_or_default();
        done.entry(event.person).or_default().push((time, event.name));
    }
    let mut reached = vec![0; steps.len()];
    for mut times in done.into_values() {
        times.sort_unstable();
        let mut next = 0;
        for (_, name) in times {
            next += usize::from(steps.get(next) == Some(&name));
        }
        reached[..next].iter_mut().for_each(|people| *people += 1);
    }
    reached.iter().enumerate().map(|(at, people)| ((at + 1).to_string(), f64::from(*people))).collect()
}

fn crashed_percent(events: &[Event]) -> BTreeMap<String, f64> {
    let of = |kind| people(events, |e| is(e, kind, "") && e.app_version == "5.2.0", whole);
    let count = |kind| of(kind).get("").copied().unwrap_or(0.0);
    BTreeMap::from([(String::new(), 100.0 * count("crash") / count("usage"))])
}

fn start_durations_ms(events: &[Event]) -> Vec<f64> {
    let starts = events.iter().filter(|e| is(e, "performance", "app_start"));
    starts.filter_map(|e| e.properties["duration_ms"].as_f64()).collect()
}

fn mean_start_ms(events: &[Event]) -> BTreeMap<String, f64> {
    let durations = start_durations_ms(events);
    BTreeMap::from([(String::new(), durations.iter().sum::<f64>() / durations.len().max(1) as f64)])
}
