//! Every refusal is a problem document of a listed type, whatever is wrong with a request, and repeats nothing of the request; its status
//! is one that the service's own description has.
//!
//! The routes and their methods are those of the service's own description, so a new route is walked through by itself.
//! Not here: which refusal is right (the modules of what is refused).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::http::Answer;
use crate::process::Setup;
use crate::stage::World;

/// Stands in each part of a request; a refusal must not repeat it.
const MARK: &str = "anna.schmidt@example.org";
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"];
/// Paths that no route has, or that a page has which others have written.
const ELSEWHERE: [&str; 8] = [
    "/",
    "/v1",
    "/v1/anna.schmidt@example.org",
    "/v1/sql/",
    "/v1/sql/%ff%zz",
    "/v1/tables/usage",
    "/docs/anna.schmidt@example.org",
    "//v1/sql",
];
const QUERIES: [&str; 7] = [
    "?%",
    "?%ff=%zz&=",
    "?table=anna.schmidt@example.org",
    "?region=anna.schmidt@example.org",
    "?region=DE&region=US",
    "?first=anna.schmidt@example.org&last=2026-99-99",
    "?anna.schmidt@example.org=1",
];

/// Status and code of each problem that `docs/problems.md` lists.
fn listed() -> BTreeSet<(u16, String)> {
    let rows = include_str!("../../../docs/problems.md").lines().filter_map(|line| {
        let status = line.strip_prefix("| ")?.split(' ').next()?.parse().ok()?;
        Some((status, line.split('`').nth(1)?.to_owned()))
    });
    let listed: BTreeSet<_> = rows.collect();
    assert!(listed.len() > 40, "{listed:?}");
    listed
}

/// What a vendor's SDK sends to gets refusals in the form that this SDK understands.
fn is_vendors(method: &str, path: &str) -> bool {
    method == "POST" && (path == "/v1/batch" || path.starts_with("/api/"))
}

/// Broken and wrong bodies, with their headers.
fn bodies() -> Vec<(Vec<(&'static str, &'static str)>, Vec<u8>)> {
    let typed = |body: Vec<u8>| (vec![("content-type", "application/json")], body);
    let question = |sql: String| typed(json!({"sql": sql}).to_string().into_bytes());
    let event = json!({"event": MARK, "user_id": {"of": MARK}, "time": MARK, "properties": MARK, "id": []});
    vec![
        typed(b"{".to_vec()),
        typed(format!("[\"{MARK}").into_bytes()),
        typed(b"\xff\xfe\x00".to_vec()),
        typed(b"null".to_vec()),
        typed(json!({MARK: MARK, "sql": 7, "dry_run": MARK}).to_string().into_bytes()),
        typed(json!({"sql": MARK, "precision": MARK, "format": "json"}).to_string().into_bytes()),
        typed(json!({"events": event.clone(), "batch": MARK}).to_string().into_bytes()),
        typed(json!({"events": [event], "consent": MARK}).to_string().into_bytes()),
        typed(json!({"programme": MARK, "action": MARK, "user_id": MARK}).to_string().into_bytes()),
        question(format!("SELECT FROM '{MARK}'")),
        question(format!("SELECT COUNT(*) AS \"{MARK}\", COUNT(*) AS \"{MARK}\" FROM usage")),
        question(format!("SELECT CAST('{MARK}' AS \"{MARK}\") FROM usage WHERE screen = '{MARK}'")),
        question(format!(
            "SELECT n + '{MARK}' FROM (SELECT COUNT(*) AS n FROM usage) AS t WHERE \"{MARK}\" > n"
        )),
        question(format!("SELECT COUNT(*) FROM usage WHERE os = '{MARK}")),
        (vec![], MARK.as_bytes().to_vec()),
        (vec![("content-encoding", "gzip")], [&b"\x1f\x8b"[..], MARK.as_bytes()].concat()),
        (vec![("content-encoding", MARK)], b"{}".to_vec()),
        (vec![("content-type", MARK), ("x-query-id", MARK), ("origin", MARK)], b"{}".to_vec()),
    ]
}

/// The statuses of each method of each path.
type Routes = BTreeMap<String, BTreeMap<String, BTreeSet<u16>>>;

/// A world, what it describes, what is listed, and which codes have been seen.
struct Walk {
    world: World,
    routes: Routes,
    listed: BTreeSet<(u16, String)>,
    seen: BTreeMap<String, u32>,
}

impl Walk {
    /// Sends a request; checks the answer when it is a refusal.
    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let answer = self.world.client().ask(method, path, headers, body).unwrap();
        let asked =
            format!("{method} {path} {headers:?} {}", String::from_utf8_lossy(&body[..body.len().min(200)]));
        // What must not be lost is kept with its sender.
        let is_kept = answer.status == 503 && answer.json()["code"] == "not_yet";
        assert!(answer.status < 500 || is_kept, "{asked}: {}", answer.text());
        let plain = path.split('?').next().unwrap();
        if let Some(statuses) = self.routes.get(plain).and_then(|methods| methods.get(method)) {
            assert!(statuses.contains(&answer.status), "{asked}: {} is not described", answer.status);
        }
        if answer.status < 400 {
            return;
        }
        let told = match is_vendors(method, plain) {
            true => vendors(&answer, &asked),
            false => self.problem(&answer, &asked),
        };
        for never in [MARK, "schmidt", "panicked", "backtrace", ".rs:"] {
            assert!(
                !told.contains(never) && !answer.head.contains(never),
                "{asked}: {}\n{told}",
                answer.head
            );
        }
    }

    /// The document of a refusal, without the suggestion, which is the asker's own statement.
    fn problem(&mut self, answer: &Answer, asked: &str) -> String {
        let shown = format!("{asked}: {} {}", answer.status, answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{shown}");
        let mut document = answer.json();
        let code = document["code"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned();
        assert!(self.listed.contains(&(answer.status, code.clone())), "{shown}");
        assert_eq!(document["type"], format!("urn:shoal:problem:{code}"), "{shown}");
        assert_eq!(document["status"], answer.status, "{shown}");
        for text in ["title", "detail"] {
            assert!(document[text].as_str().is_some_and(|text| !text.is_empty()), "{shown}");
        }
        *self.seen.entry(code).or_default() += 1;
        document.as_object_mut().unwrap().remove("suggestion");
        document.to_string()
    }
}

/// The text of a refusal that a vendor's SDK gets.
fn vendors(answer: &Answer, asked: &str) -> String {
    let document = answer.json();
    let is_known = document["code"].is_string() || document["detail"].is_string();
    assert!(is_known && answer.header("content-type") == Some("application/json"), "{asked}: {document}");
    document.to_string()
}

/// The methods of each path and their statuses, as the service describes them; ids are filled in.
fn routes(world: &World) -> Routes {
    let description = world.client().ask("GET", "/openapi.json", &[], b"").unwrap().expect(200).json();
    let paths = description["paths"].as_object().unwrap().iter();
    let described = paths.map(|(path, methods)| {
        let statuses = |of: &Value| {
            let responses = of["responses"].as_object().unwrap();
            responses.keys().map(|status| status.parse().unwrap()).collect()
        };
        let methods = methods.as_object().unwrap().iter();
        let methods = methods.map(|(method, of)| (method.to_uppercase(), statuses(of)));
        (path.replace("{project}", "1").replace("{id}", MARK), methods.collect())
    });
    let routes: BTreeMap<_, _> = described.collect();
    assert!(routes.len() > 12, "{routes:?}");
    routes
}

#[test]
fn every_refusal_is_a_problem_that_is_listed_and_repeats_nothing() {
    let world = World::with(|config| config.ingest.body_bytes_max = 64 << 10);
    let routes = routes(&world);
    let keys = [&world.keys.app, &world.keys.analyst, &world.keys.officer].map(|key| format!("Bearer {key}"));
    let keys: Vec<String> = ["Bearer anna.schmidt@example.org".to_owned()].into_iter().chain(keys).collect();
    let mut walk = Walk { world, routes: routes.clone(), listed: listed(), seen: BTreeMap::new() };
    for path in routes.keys().map(String::as_str).chain(ELSEWHERE) {
        for method in METHODS {
            walk.send(method, path, &[], b"{");
            walk.send(method, &format!("{path}?%&a={MARK}"), &[("authorization", &keys[3])], MARK.as_bytes());
        }
    }
    let long = vec![b' '; 80 << 10];
    for (path, methods) in &routes {
        for method in methods.keys() {
            for key in &keys {
                let authorised = [("authorization", key.as_str())];
                for query in QUERIES {
                    walk.send(method, &format!("{path}{query}"), &authorised, b"");
                }
                for (headers, body) in bodies() {
                    walk.send(method, path, &[&authorised[..], &headers].concat(), &body);
                }
                if method == "POST" {
                    walk.send(method, path, &authorised, &long);
                }
            }
        }
    }
    for code in [
        "no_key",
        "bad_key",
        "wrong_key",
        "unknown_path",
        "wrong_method",
        "bad_request",
        "no_such_query",
        "refused",
    ]
    .into_iter()
    .chain(["too_large", "bad_json", "empty_body", "bad_encoding", "unsupported_encoding", "not_utf8"])
    {
        assert!(walk.seen.contains_key(code), "{code} is not in {:?}", walk.seen);
    }
}

#[test]
fn a_run_of_retention_that_fails_ends_with_a_problem() {
    let world = World::new();
    // Where the folder of the audit's lines would be made.
    fs::write(world.data_dir().join("audit"), "").unwrap();
    let officer = &world.keys.officer;
    let answer = world.client().post("/v1/retention/runs", officer, "{\"dry_run\": true}").expect(200);
    let text = answer.text();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let problem = &last["problem"];
    assert!(last.as_object().unwrap().len() == 1 && !text.contains("\"report\""), "{text}");
    assert!(listed().contains(&(500, "failed".to_owned())));
    assert_eq!((&problem["type"], &problem["code"]), (&json!("urn:shoal:problem:failed"), &json!("failed")));
    assert_eq!((&problem["status"], &problem["title"]), (&json!(500), &json!("The request failed")));
    assert!(problem["detail"].as_str().unwrap().contains("the audit could not be written"), "{problem}");

    let setup = Setup { dir: world.dir(), variables: &[] };
    let url = format!("http://{}", world.client().0);
    let run = ["retention", "run", "--once", "--dry-run", "--url", url.as_str(), "--key", officer.as_str()];
    let (code, out, errors) = setup.run(&run);
    assert_eq!((code, out.as_str()), (3, ""), "{errors}");
    assert!(errors.contains("The request failed: the audit could not be written"), "{errors}");
}
