//! What is shipped for operators fits the service: the dashboard and the alerts name what `GET /metrics` shows, and the
//! binary tells its own health, over TLS too.
//!
//! Not here: whether the files are well formed, which their own tools check (`scripts/deploy-check`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::process::Setup;
use crate::stage::{World, batch, click};

const RULES: &str = include_str!("../../../deploy/prometheus/rules.yaml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/dashboard.json");
/// When each alert goes off, as promtool tries it.
const RULES_TESTS: [&str; 2] = [
    include_str!("../../../deploy/prometheus/rules.test.yaml"),
    include_str!("../../../deploy/prometheus/days.test.yaml"),
];
const OPERATIONS: &str = include_str!("../../../docs/operations.md");
/// The head of the table of alerts.
const ALERT_WHEN: &str = "\n| alert when | it means |\n|---|---|\n";
pub(crate) const CERT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/cert.pem");
pub(crate) const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/key.pem");

/// Labels that Prometheus gives, and those of its functions. A label `job` of a metric's own is `exported_job` there.
const OF_PROMETHEUS: [&str; 4] = ["job", "instance", "le", "exported_job"];

/// Names, and the labels of all.
#[derive(Default)]
struct Named {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The name that a text ends with.
fn last_name(text: &str) -> &str {
    &text[text.trim_end_matches(is_of_name).len()..]
}

impl Named {
    /// What a service shows.
    fn shown(text: &str) -> Named {
        let mut named = Named::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let end = line.find(|c| !is_of_name(c)).unwrap();
            named.metrics.insert(line[..end].to_owned());
            named.labels.extend(line.split("=\"").map(|before| last_name(before).to_owned()));
        }
        named
    }

    /// Adds what an expression of PromQL, or a text with such, asks for.
    fn ask(&mut self, text: &str) {
        let words = text.split(|c| !is_of_name(c));
        let of_shoal = words.filter(|word| word.starts_with("shoal_") || word.starts_with("process_"));
        self.metrics.extend(of_shoal.map(str::to_owned));
        for comparison in ["=\"", "=~\"", "!=\"", "!~\""] {
            let before = text.split(comparison).map(last_name);
            self.labels.extend(before.take(text.matches(comparison).count()).map(str::to_owned));
        }
        for list in text.split(" by (").skip(1).filter_map(|rest| rest.split(')').next()) {
            self.labels.extend(list.split(',').map(|label| label.trim().to_owned()));
        }
        for name in text.split("$labels.").skip(1).filter_map(|rest| rest.split(|c| !is_of_name(c)).next()) {
            self.labels.insert(name.to_owned());
        }
        self.labels.remove("");
    }

    /// Adds the expressions and legends of a dashboard.
    fn ask_all(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.ask_all(value)),
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value.as_str()) {
                        ("expr" | "definition", Some(text)) => self.ask(text),
                        ("legendFormat", Some(text)) => {
                            let names = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
                            self.labels.extend(names.map(|name| name.trim().to_owned()));
                        }
                        _ => self.ask_all(value),
                    }
                }
            }
            _ => {}
        }
    }
}

/// A service that was sent something of everything, and what it shows of it.
fn busy() -> Named {
    let world = World::with(|config| config.metrics.listen = Some(([127, 0, 0, 1], 0).into()));
    let client = world.client();
    client.events(&world.keys.app, &batch("DE", vec![click("1", "u", "a"), json!({"event": "unheard_of"})]));
    client.post("/v1/events", &world.keys.app, "{").expect(400);
    let path = format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn());
    let lost = json!({"discarded_events": [{"reason": "network_error", "category": "error", "quantity": 3}]});
    let envelope = format!("{{}}\n{{\"type\":\"client_report\"}}\n{lost}\n");
    client.ask("POST", &path, &[], envelope.as_bytes()).unwrap().expect(200);
    world.flush();
    client.sql(&world.keys.analyst, "SELECT COUNT(*) AS n FROM usage WHERE day = '2026-11-22'");
    Named::shown(&world.metrics().ask("GET", "/metrics", &[], b"").unwrap().expect(200).text())
}

#[test]
fn alerts_and_dashboard_name_what_the_service_shows() {
    let shown = busy();
    for name in ["shoal_build_info", "process_cpu_seconds_total", "process_max_fds"] {
        assert!(shown.metrics.contains(name), "{name} is not shown");
    }
    let (mut alerts, mut panels) = (Named::default(), Named::default());
    alerts.ask(RULES);
    panels.ask_all(&serde_json::from_str(DASHBOARD).unwrap());
    for (file, asked, least) in [("rules.yaml", alerts, 10), ("dashboard.json", panels, 25)] {
        assert!(asked.metrics.len() > least, "the names must be readable: {:?}", asked.metrics);
        let missing: Vec<_> = asked.metrics.difference(&shown.metrics).collect();
        assert!(missing.is_empty(), "{file} names metrics that are not shown: {missing:?}");
        let known = |label: &&String| {
            OF_PROMETHEUS.contains(&label.as_str()) || shown.labels.contains(label.as_str())
        };
        let missing: Vec<_> = asked.labels.iter().filter(|label| !known(label)).collect();
        assert!(missing.is_empty(), "{file} names labels that are not shown: {missing:?}");
    }
}

/// What operators are told to alert on is in an alert and in a panel, and what an alert asks for is told.
#[test]
fn what_operators_are_told_to_alert_on_is_an_alert_and_a_panel() {
    let (_, table) = OPERATIONS.split_once(ALERT_WHEN).unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let told: Vec<&str> = rows.map(|row| row.split('|').nth(1).unwrap()).collect();
    assert!(told.len() > 15, "the table must be readable: {told:?}");
    for named in told.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(RULES.contains(named), "no alert asks for {named}");
        assert!(DASHBOARD.contains(named), "no panel shows {named}");
    }
    let mut alerts = Named::default();
    alerts.ask(RULES);
    for metric in &alerts.metrics {
        let name = format!("`{}`", metric.strip_suffix("_bucket").unwrap_or(metric));
        assert!(told.iter().any(|cell| cell.contains(&name)), "the table does not say what {name} means");
    }
}

#[test]
fn a_test_says_when_each_alert_goes_off() {
    let alerts: Vec<&str> = RULES.split("- alert: ").skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert!(alerts.len() > 15, "the rules must be readable: {alerts:?}");
    for alert in alerts {
        let mut tried = RULES_TESTS.iter().flat_map(|text| text.split("alertname: "));
        let goes_off = tried.any(|rest| {
            let mut lines = rest.lines();
            lines.next() == Some(alert) && lines.next().is_some_and(|line| line.trim() == "exp_alerts:")
        });
        assert!(goes_off, "no test says when {alert} goes off");
    }
}

/// The comparison must see a metric and a label that nobody shows.
#[test]
fn a_name_that_is_not_there_is_seen() {
    let mut asked = Named::default();
    asked.ask(
        "sum by (region, sort) (rate(shoal_no_such_total{code!=\"a\", kind=~\"b|c\"}[5m])) # $labels.cause",
    );
    assert!(asked.metrics.iter().eq(["shoal_no_such_total"]));
    assert!(asked.labels.iter().eq(["cause", "code", "kind", "region", "sort"]), "{:?}", asked.labels);
}

#[test]
fn a_service_tells_its_own_health() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let server = setup.serve();
    let url = format!("http://{}", server.client.0);
    for (arguments, told) in [
        (vec!["health", "--url", &url], "the service lives\n"),
        (vec!["health", "--ready", "--url", &url], "the service is ready\n"),
    ] {
        assert_eq!(setup.run(&arguments), (0, told.to_owned(), String::new()));
    }
    assert!(server.terminate().success());
    let (code, _, errors) = setup.run(&["health", "--url", &url]);
    assert_eq!(code, 3);
    assert!(errors.contains("cannot be reached"), "{errors}");
}

/// The certificate is for the name that clients use, and no proxy stands between a service and itself.
#[test]
fn a_service_with_tls_tells_its_own_health_at_its_own_address() {
    let dir = tempfile::tempdir().unwrap();
    let tls =
        [("SHOAL_HTTP_TLS_CERT", CERT), ("SHOAL_HTTP_TLS_KEY", KEY), ("HTTPS_PROXY", "http://127.0.0.1:9")];
    let server = Setup { dir: dir.path(), variables: &tls }.serve();
    let address = server.client.0.to_string();
    let variables = [&tls[..], &[("SHOAL_HTTP_LISTEN", address.as_str())]].concat();
    let asking = Setup { dir: dir.path(), variables: &variables };
    assert_eq!(asking.run(&["health", "--ready"]), (0, "the service is ready\n".to_owned(), String::new()));
    // Whoever names an address means the one that the certificate is for.
    let (code, _, errors) = asking.run(&["health", "--url", &format!("https://{address}")]);
    assert_eq!(code, 3, "{errors}");
    assert!(server.terminate().success());
}
