//! Definitions are read again while the service runs: nothing that is sent meanwhile is lost or refused, what is wrong changes
//! nothing, and what was taken over survives a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::durability::{BATCH_EVENTS, batch_of, elements, expected};
use crate::http::Client;
use crate::process::{Process, Setup, signal, until};
use crate::stage::{Keys, batch, letters};
use crate::tables::{Tables, text};

/// Rows of several seconds wait in the log, so that what is moved into the tables was made by different definitions.
const VARIABLES: [(&str, &str); 2] =
    [("SHOAL_INGEST_FLUSH_INTERVAL_MS", "1000"), ("SHOAL_QUERY_ROW_TIME_NS", "300")];

/// Elements of events that have a new property, away from those of other senders.
const APART: u64 = 1 << 40;

const DOOR: &str = r#"
name = "a_door"
kind = "usage"
programme = "user-experience"
doc = "The door of the shed was opened."
day_max = 5

[properties.side]
doc = "Which side."
type = "text"
class = "dimension"
domain = "listed"
values = ["left", "right"]
keys_max = 2
required = true

[[pass]]
json = '{"event": "a_door", "user_id": "u", "properties": {"side": "left"}}'

[[fail]]
code = "not_listed"
json = '{"event": "a_door", "user_id": "u", "properties": {"side": "top"}}'
"#;

/// A service over an overlay, and what is asked of it.
struct Site<'a> {
    setup: &'a Setup<'a>,
    overlay: PathBuf,
    keys: &'a Keys,
    server: Process,
}

impl Site<'_> {
    fn client(&self) -> Client {
        self.server.client
    }

    /// A file of the overlay for an event; none takes it away.
    fn event(&self, name: &str, text: Option<&str>) {
        let path = self.overlay.join(format!("events/{name}.toml"));
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    /// These properties for clicks, each true or false.
    fn properties(&self, names: &[&str]) {
        let of = |name: &&str| {
            format!(
                "[properties.{name}]\ndoc = \"A new one.\"\ntype = \"boolean\"\nclass = \"dimension\"\nkeys_max = 2\n"
            )
        };
        let all: Vec<String> = names.iter().map(of).collect();
        self.event("click", Some(&format!("extends = \"click\"\n{}", all.join("\n"))));
    }

    /// Reloads by the command: its exit code, its report, what it complains of.
    fn reload(&self) -> (i32, Value, String) {
        let (code, told, errors) = self.setup.run(&["reload", "--json"]);
        (code, serde_json::from_str(&told).unwrap_or_default(), errors)
    }

    /// Reloads by SIGHUP and waits for a word in the log.
    fn hang_up(&self, word: &str) {
        let count = || self.server.log().matches(word).count();
        let before = count();
        signal("HUP", self.server.id());
        until(word, || (count() > before).then_some(()));
    }

    /// Events that can be sent, with the names of their properties.
    fn catalogue(&self) -> BTreeMap<String, Vec<String>> {
        let shown = self.client().get("/v1/schema", &self.keys.app).expect(200).json();
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        let properties = |event: &Value| event["properties"].as_array().unwrap().iter().map(name).collect();
        shown["events"].as_array().unwrap().iter().map(|event| (name(event), properties(event))).collect()
    }

    /// Clicks of people of their own, every second of which has this property and says yes. Answers how many properties were dropped.
    fn click(&self, property: &str, people: std::ops::Range<u64>) -> u64 {
        let event = |n: u64| {
            let mut event = json!({"id": format!("{property}-{n}"), "event": "click", "user_id": format!("person-{n}"),
                "properties": {"element": letters(APART + n), "screen": "home"}});
            if n.is_multiple_of(2) {
                event["properties"][property] = json!(true);
            }
            event
        };
        let sent = batch("DE", people.clone().map(event).collect());
        let answer = self.client().events(&self.keys.app, &sent);
        assert_eq!(answer["accepted"], people.end - people.start, "{answer}");
        answer["dropped_properties"].as_u64().unwrap()
    }

    /// Whether a question can be asked; nothing is read for that.
    fn is_known(&self, sql: &str) -> bool {
        let asked = json!({"sql": sql, "dry_run": true}).to_string();
        self.client().post("/v1/sql", &self.keys.analyst, asked).status == 200
    }
}

/// Whatever happens in a test, its senders end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends batch after batch; all of each is accepted at once.
fn keep_sending(client: Client, key: &str, next: &AtomicUsize, is_over: &AtomicBool) -> Vec<usize> {
    let mut sent = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let answer = client.post("/v1/events", key, batch_of(number).to_string()).expect(200).json();
        assert_eq!(answer["accepted"], BATCH_EVENTS, "{answer}");
        sent.push(number);
    }
    sent
}

const BY_HAND: &str =
    "SELECT hand, COUNT(DISTINCT subject) AS people FROM usage WHERE event = 'click' GROUP BY hand";

/// What is done while others send.
fn reload_again_and_again(site: &Site<'_>) {
    assert_eq!(site.click("hand", 0..2), 1, "what is not declared is dropped");
    assert!(!site.is_known(BY_HAND));
    // A property of a known event and an event, by the signal.
    site.properties(&["hand"]);
    site.event("a_door", Some(DOOR));
    site.hang_up("other definitions are in force");
    assert_eq!(site.click("hand", 100..400), 0);
    let door = json!({"id": "d", "event": "a_door", "user_id": "u", "properties": {"side": "left"}});
    assert_eq!(site.client().events(&site.keys.app, &batch("US", vec![door]))["accepted"], 1);
    let shown = site.catalogue();
    assert_eq!(shown["click"], ["element", "hand", "screen"]);
    assert_eq!(shown["a_door"], ["side"]);
    assert!(site.is_known(BY_HAND));
    // Another one, by the command.
    site.properties(&["hand", "thumb"]);
    let (code, told, errors) = site.reload();
    assert_eq!(code, 0, "{errors}");
    let expected = json!({"events_added": [], "properties_added": ["click.thumb"], "files_changed": [], "settings_taken": [], "files_read": [], "settings_need_restart": []});
    assert_eq!(told, expected);
    assert_eq!(site.click("thumb", 400..440), 0);
    assert_eq!(site.reload().1["properties_added"], json!([]), "and nothing more the second time");
    let (code, text, _) = site.setup.run(&["reload"]);
    assert!(code == 0 && text.contains("the definitions say what they said before"), "{text}");
    what_is_wrong_changes_nothing(site);
}

fn what_is_wrong_changes_nothing(site: &Site<'_>) {
    let before = site.catalogue();
    // Two files with faults, and a good one.
    site.properties(&["hand", "thumb", "finger"]);
    site.event("a_door", Some(&DOOR.replace("day_max = 5", "day_max = 0")));
    fs::write(site.overlay.join("retention.toml"), "[[retention]]\nprogramme = \"nobody\"\n").unwrap();
    let (code, _, errors) = site.reload();
    assert!(
        code == 3 && errors.contains("events/a_door.toml:6: ") && errors.contains("retention.toml:"),
        "{errors}"
    );
    site.hang_up("nothing is changed");
    let log = site.server.log();
    let told = log.lines().rfind(|line| line.contains("nothing is changed")).unwrap();
    assert!(told.contains("events/a_door.toml:6: ") && told.contains("retention.toml:"), "{told}");
    fs::remove_file(site.overlay.join("retention.toml")).unwrap();
    // What is right in itself, and may not take the place of what is in force: all of it is told.
    site.event("a_door", None);
    site.properties(&["thumb", "finger"]);
    let (code, _, errors) = site.reload();
    let gone = ["event `a_door` is declared no longer", "property `hand` is declared no longer"];
    assert!(code == 3 && gone.iter().all(|reason| errors.contains(reason)), "{errors}");
    assert_eq!(site.catalogue(), before);
    assert_eq!(site.click("finger", 440..442), 1, "it is not in force");
    site.event("a_door", Some(DOOR));
    site.properties(&["hand", "thumb"]);
    assert_eq!(site.reload().0, 0);
}

#[test]
fn definitions_are_reloaded_under_load_and_nothing_is_lost_refused_or_half_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = dir.path().join("overlay");
    fs::create_dir_all(overlay.join("events")).unwrap();
    let place = ("SHOAL_SCHEMAS_DIR", overlay.to_str().unwrap());
    let variables = [&VARIABLES[..], &[place]].concat();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let (code, _, errors) = setup.run(&["reload"]);
    assert!(code == 3 && errors.contains("no service"), "{errors}");
    let server = setup.serve();
    let site = Site { setup: &setup, overlay: overlay.clone(), keys: &keys, server };
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let sent: Vec<usize> = std::thread::scope(|scope| {
        let _over = Over(&is_over);
        let send = || keep_sending(site.client(), &keys.app, &next, &is_over);
        let senders = [scope.spawn(send), scope.spawn(send)];
        until("the senders", || (next.load(Ordering::SeqCst) > 10).then_some(()));
        reload_again_and_again(&site);
        let so_far = next.load(Ordering::SeqCst);
        until("more of the senders", || (next.load(Ordering::SeqCst) > so_far + 10).then_some(()));
        is_over.store(true, Ordering::SeqCst);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    // A kill between the reload and the next flush: rows of two versions are in the log.
    site.click("hand", 500..502);
    site.properties(&["hand", "thumb", "depth"]);
    assert_eq!(site.reload().1["properties_added"], json!(["click.depth"]));
    assert_eq!(site.click("depth", 502..504), 0);
    site.server.kill();

    // What was in the log goes into the tables at the next end.
    assert!(setup.serve().terminate().success());
    let server = setup.serve();
    let shown = server.client.get("/v1/tables", &keys.analyst).expect(200).text();
    let columns = ["hand", "thumb", "depth", "side"];
    assert!(columns.iter().all(|column| shown.contains(&format!("\"{column}\""))), "{shown}");
    // Files from before the column have none of it.
    let answer = server.client.sql(&keys.analyst, BY_HAND);
    let people = |hand: &str| {
        let of = answer["rows"].as_array().unwrap().iter().find(|row| row["hand"].to_string().contains(hand));
        of.and_then(|row| row["people"].as_f64()).unwrap_or_else(|| panic!("no {hand}: {answer}"))
    };
    assert!((people("true") - 151.0).abs() < 100.0 && people("false").abs() < 100.0, "{answer}");
    assert!(server.terminate().success());
    everything_is_there(&Tables::read(&setup), &sent);
    each_reload_has_its_line(&setup);
}

fn each_reload_has_its_line(setup: &Setup<'_>) {
    let (_, audit, _) = setup.run(&["audit", "show", "--last", "100", "--json"]);
    let lines = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let reloads: Vec<Value> = lines.filter(|line| line["act"] == "reload").collect();
    let of = |by: &str, outcome: &str| {
        reloads.iter().filter(|line| line["by"] == by && line["outcome"] == outcome).count()
    };
    assert_eq!([of("signal", "done"), of("signal", "refused")], [1, 1], "{reloads:#?}");
    assert_eq!([of("command", "done"), of("command", "refused")], [5, 2], "{reloads:#?}");
    assert_eq!(reloads[0]["events_added"], json!(["a_door"]));
    assert_eq!(reloads[0]["properties_added"], json!(["click.hand"]));
}

/// Every acknowledged event is there once, with the properties that it was sent with if they were declared then.
fn everything_is_there(tables: &Tables, sent: &[usize]) {
    let found = elements(tables);
    let apart: Vec<u64> = [0..2, 100..442, 500..504].into_iter().flatten().collect();
    let mut wanted = expected(sent);
    wanted.extend(apart.iter().map(|n| (letters(APART + n), 1)));
    assert!(found == wanted, "{} events are there of {}", found.len(), wanted.len());
    let with = |property: &str| -> Vec<String> {
        let has = |row: &&(&str, &crate::tables::Row)| row.1.get(property) == Some(&json!(true));
        let mut all: Vec<String> = tables
            .events("click")
            .iter()
            .filter(has)
            .map(|(_, row)| text(row, "element").to_owned())
            .collect();
        all.sort_unstable();
        all
    };
    for (property, people) in
        [("hand", [100..400, 500..502]), ("thumb", [400..440, 0..0]), ("depth", [502..504, 0..0])]
    {
        let even = people.into_iter().flatten().filter(|n| n % 2 == 0);
        let mut wanted: Vec<String> = even.map(|n| letters(APART + n)).collect();
        wanted.sort_unstable();
        assert_eq!(with(property), wanted, "{property}");
    }
    assert_eq!(tables.events("a_door").len(), 1);
}
