//! Attacks over HTTP, as data (`server/tests/data/attacks.toml`): two services whose data differ in one subject's day are
//! asked the same, and everything but the numbers of an answer must be the same.
//!
//! What is refused is refused in the same bytes; what fails fails in the same bytes; a dry run is the same; and of an
//! answer, everything but its rows: columns, price, notes, the private query. The numbers themselves are noise around
//! two truths: `query/src/tests/game` bounds what they tell. Nothing that only the person has done is in any answer,
//! unless it was in the question.
//!
//! Not here: whether a statement should be refused (`query/tests/data`); the suite takes either and says which.

mod compare;
mod groups;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_anonymity::budget::Preset;

use self::compare::{Ended, compare};
use crate::http::{Answer, Client};
use crate::stage::{DAY_MS, NOON_MS, TODAY, World, batch};

/// What only the person in question has done.
const MARK: &str = "zebrafinch";

/// The classes that must be there.
const CLASSES: [&str; 19] = [
    "averaging",
    "budget",
    "complement",
    "differencing",
    "error_oracles",
    "having_order_limit",
    "many_keys",
    "other_endpoints",
    "outliers",
    "pathological",
    "reconstruction",
    "self_joins",
    "set_operations",
    "subqueries",
    "sybil_padding",
    "time_slicing",
    "timing",
    "tracker",
    "windows",
];

/// Statements by attack, attacks by class.
type Attacks = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn attacks() -> Attacks {
    toml::from_str(include_str!("../../data/attacks.toml")).unwrap()
}

/// The statement with its marks written out.
fn written(text: &str) -> String {
    let day = format!("day = DATE '{TODAY}'");
    let mut sql = text.replace("{f}", "FROM usage WHERE {d}").replace("{d}", &day);
    while let Some((before, rest)) = sql.split_once("<<") {
        let (times, rest) = rest.split_once('|').unwrap();
        let (what, after) = rest.split_once(">>").unwrap();
        sql = format!("{before}{}{after}", what.repeat(times.parse().unwrap()));
    }
    sql
}

/// 150 people, 40 accounts of the attacker, and, if so, the person on the day in question; on the day before always.
fn world(is_there: bool, preset: Preset) -> World {
    let world = World::with(|config| config.query.preset = preset);
    let event = |id: String, name: &str, ms: i64, user: &str, properties: Value| json!({"id": id, "event": name, "time": ms, "user_id": user, "properties": properties});
    let mut events = Vec::new();
    let mut view = |user: String, screen: &str, ms: i64| {
        let id = format!("{user}-{screen}-{ms}");
        events.push(event(id, "screen_view", ms, &user, json!({"screen": screen, "duration_ms": 1000})));
        let bought = json!({"result": "ok", "items": 1, "amount": 20, "currency": "EUR"});
        events.push(event(format!("{user}-bought-{ms}"), "purchase", ms, &user, bought));
    };
    (0..150).for_each(|n| view(format!("person-{n}"), if n % 3 == 0 { "live" } else { "home" }, NOON_MS));
    (0..40).for_each(|n| view(format!("account-{n}"), "padded", NOON_MS));
    view("someone".to_owned(), MARK, NOON_MS - DAY_MS);
    if is_there {
        for n in 0..30 {
            let properties = json!({"screen": MARK, "element": "tile"});
            events.push(event(format!("s-{n}"), "click", NOON_MS, "someone", properties));
        }
        let bought = json!({"result": "ok", "items": 50, "amount": 9999, "currency": "EUR"});
        events.push(event("s-bought".to_owned(), "purchase", NOON_MS, "someone", bought));
        let seen = json!({"screen": MARK, "duration_ms": 3_000_000});
        events.push(event("s-seen".to_owned(), "screen_view", NOON_MS, "someone", seen));
    }
    for events in events.chunks(400) {
        let taken = world.client().events(&world.keys.app, &batch("DE", events.to_vec()));
        assert_eq!(taken["rejected"], 0, "{taken}");
    }
    world.flush();
    world
}

/// An analyst of one service.
struct Analyst {
    client: Client,
    key: String,
}

impl Analyst {
    fn of(world: &World) -> Analyst {
        Analyst { client: world.client(), key: world.keys.analyst.clone() }
    }

    /// A statement, or a request of its own.
    fn ask(&self, question: &Question) -> Answer {
        let text = question.text.as_str();
        let (method, rest) = text.split_once(' ').unwrap_or((text, ""));
        if !["GET", "POST", "PUT", "DELETE"].contains(&method) || !rest.starts_with('/') {
            let question = json!({"sql": text, "precision": "low", "dry_run": question.dry_run});
            return self.client.post("/v1/sql", &self.key, question.to_string());
        }
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let key = format!("Bearer {}", self.key);
        // As from another machine: what stands open to this one only is shut.
        let headers = [
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        self.client.ask(method, path, &headers, body.as_bytes()).unwrap()
    }
}

/// One line of the list, written out, and whether only its price is asked.
struct Question {
    class: String,
    name: String,
    text: String,
    dry_run: bool,
}

/// Everything, in order.
fn questions() -> Vec<Question> {
    let mut all = Vec::new();
    for (class, attacks) in attacks() {
        for (name, statements) in attacks {
            for text in statements {
                for dry_run in [true, false] {
                    let (class, name, text) = (class.clone(), name.clone(), written(&text));
                    all.push(Question { class, name, text, dry_run });
                }
            }
        }
    }
    let text = "GET /v1/tables".to_owned();
    all.push(Question {
        class: "other_endpoints".into(),
        name: "after everything".into(),
        text,
        dry_run: false,
    });
    all
}

/// What an answer shows, without the questions that the budget was spent on: they are the asker's words.
fn shown(answer: &Answer) -> String {
    let Ok(mut json) = serde_json::from_slice::<Value>(&answer.body) else { return answer.text() };
    if let Some(queries) = json.get_mut("queries").filter(|_| answer.text().contains("\"spent_by\"")) {
        *queries = Value::Null;
    }
    json.to_string()
}

#[test]
fn the_list_has_every_class() {
    let attacks = attacks();
    assert_eq!(attacks.keys().map(String::as_str).collect::<Vec<_>>(), CLASSES);
    assert!(attacks.values().map(BTreeMap::len).sum::<usize>() >= 100);
}

#[test]
fn two_worlds_that_differ_in_one_subject_answer_alike() {
    let questions = questions();
    let worlds = [world(true, Preset::Internal), world(false, Preset::Internal)];
    let analysts = [Analyst::of(&worlds[0]), Analyst::of(&worlds[1])];
    let [with, without] = std::thread::scope(|scope| {
        let asking = analysts.each_ref().map(|analyst| {
            scope.spawn(|| questions.iter().map(|question| analyst.ask(question)).collect::<Vec<Answer>>())
        });
        asking.map(|answers| answers.join().unwrap())
    });
    let mut unlike = Vec::new();
    let mut outcomes: BTreeMap<(&str, Ended), u32> = BTreeMap::new();
    for (question, (with, without)) in questions.iter().zip(with.iter().zip(&without)) {
        let mut blame = |what: String| {
            unlike.push(format!("{}, {}: {:.200}: {what}", question.class, question.name, question.text));
        };
        if shown(with).contains(MARK) && !question.text.contains(MARK) {
            blame(format!("shows what one person did: {}", with.text()));
        }
        match compare(with, without, question.dry_run) {
            Ok(outcome) if !question.dry_run => *outcomes.entry((&question.class, outcome)).or_default() += 1,
            Ok(_) => {}
            Err(what) => blame(what),
        }
    }
    for ((class, outcome), count) in &outcomes {
        println!("{class:20} {:9} {count}", outcome.as_str());
    }
    assert!(unlike.is_empty(), "{} of them:\n{}", unlike.len(), unlike.join("\n"));
    let of = |wanted: Ended| outcomes.iter().filter(|((_, o), _)| *o == wanted).map(|(_, n)| n).sum::<u32>();
    assert!(of(Ended::Answered) >= 40 && of(Ended::Refused) >= 80, "the suite must see both: {outcomes:?}");
}

/// Where the budget of a day ends is a fact about the questions, not about the events.
#[test]
fn the_budget_ends_at_the_same_question_whatever_the_tables_hold() {
    let ends = [true, false].map(|is_there| {
        let world = world(is_there, Preset::Strict);
        let ask = |at: u32| {
            let sql = written(&format!("SELECT COUNT(*) AS n {{f}} AND app_version <> 'none-{at}'"));
            let question = json!({"sql": sql, "precision": "high"});
            let answer = world.client().post("/v1/sql", &world.keys.analyst, question.to_string());
            let cost = if answer.status == 200 { answer.json()["cost"].to_string() } else { answer.text() };
            (answer.status, cost)
        };
        (0..14).map(ask).collect::<Vec<_>>()
    });
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0][0].0, 200, "the first one is answered: {:?}", ends[0][0]);
}
