//! Definitions that are replaced while rows are on their way: every row means what it meant when it was made, and is there once.

use arrow::array::Array;
use proptest::prelude::*;
use shoal_schemas::InForce;

use super::*;
use crate::{
    dictionary::Dictionary,
    grant::KeyKind,
    stages::{
        clean::CleanBatch,
        row::{RowHead, Value},
    },
};

/// Sorts before all other events, so that every event has another position than before.
const DOOR: &str = r#"
name = "a_door"
kind = "usage"
programme = "user-experience"
doc = "The door of the shed was opened."
day_max = 5

[[pass]]
json = '{"event": "a_door"}'

[[fail]]
code = "unknown_event"
json = '{"event": "b_door"}'
"#;
/// Sorts before `screen`, so that this column has another position than before.
const HAND: &str = r#"
extends = "click"

[properties.hand]
doc = "Which hand."
type = "boolean"
class = "dimension"
keys_max = 2
"#;

/// Definitions, and what rows that are made by them refer to.
struct Version {
    registry: Arc<Registry>,
    names: Arc<Dictionary>,
}

impl Version {
    fn of(registry: Registry) -> Version {
        let names = Arc::new(Dictionary::of(&registry));
        Version { registry: Arc::new(registry), names }
    }

    fn embedded() -> Version {
        Version::of(Registry::load(None).unwrap())
    }

    fn grown() -> Version {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("events")).unwrap();
        for (name, text) in [("a_door", DOOR), ("click", HAND)] {
            std::fs::write(dir.path().join(format!("events/{name}.toml")), text).unwrap();
        }
        Version::of(Registry::load(Some(dir.path())).unwrap())
    }

    /// A click on a screen of its own, with a hand where these definitions have one.
    fn click(&self, id: u64) -> OpenBatch {
        let event = self.registry.event("click").unwrap();
        let at = |name: &str| self.registry.table(Kind::Usage).column(name).map(|(at, _)| at);
        let screen = screen(id);
        let country = at(names::COUNTRY).map(|at| (at, Value::Text("DE")));
        let screen = at("screen").map(|at| (at, Value::Text(&screen)));
        let hand = at("hand").map(|at| (at, Value::Boolean(true)));
        let mut batch = CleanBatch::new(Region::De, KeyKind::Server, &self.names);
        let head = RowHead { event: event.index, ..head(id) };
        batch.push(0, &head, &[], [country, screen, hand].into_iter().flatten());
        OpenBatch::unlimited(batch)
    }
}

fn screen(id: u64) -> String {
    format!("screen-{id}")
}

/// What happens to the service.
#[derive(Clone, Debug)]
enum Step {
    /// Requests that come at once; those that are late took their definitions before the last reload.
    Requests(Vec<bool>),
    Reload,
    Flush,
    /// A power cut and a start.
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => proptest::collection::vec(any::<bool>(), 1..6).prop_map(Step::Requests),
        1 => Just(Step::Reload),
        2 => Just(Step::Flush),
        1 => Just(Step::Cut),
    ];
    proptest::collection::vec(step, 1..20)
}

/// Which rows have a hand, by their screens; all are clicks.
fn hands(sink: &Memory) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for batch in sink.0.lock().unwrap().batches.iter() {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (events, screens, hand) = (text(names::EVENT), text("screen"), batch.column_by_name("hand"));
        for row in 0..batch.num_rows() {
            assert_eq!(events.value(row), "click");
            let has_hand = hand.is_some_and(|hand| !hand.is_null(row) && hand.as_boolean().value(row));
            assert!(found.insert(screens.value(row).to_owned(), has_hand).is_none(), "there twice");
        }
    }
    found
}

async fn service(steps: Vec<Step>) {
    let (old, new) = (Version::embedded(), Version::grown());
    let definitions = InForce::new(Arc::clone(&old.registry));
    let (mut medium, sink) = (Faulty::default(), Memory::default());
    let (mut branch, mut flusher) = flusher_of(&medium, &sink, definitions.clone(), &sealing(true)).unwrap();
    let (mut is_reloaded, mut expected) = (false, BTreeMap::new());
    for step in steps {
        match step {
            Step::Requests(are_late) => {
                let first = expected.len() as u64;
                let of = |is_late: bool| if is_reloaded && !is_late { &new } else { &old };
                let batches: Vec<OpenBatch> =
                    (first..).zip(&are_late).map(|(id, is_late)| of(*is_late).click(id)).collect();
                let log = &branch.log;
                let sent = batches.into_iter().map(|batch| async move { log.append(batch).await });
                for receipt in futures::future::join_all(sent).await {
                    assert!(receipt.unwrap().duplicates.is_empty());
                }
                expected.extend(
                    (first..).zip(are_late).map(|(id, is_late)| (screen(id), is_reloaded && !is_late)),
                );
            }
            Step::Reload => {
                definitions.replace(Arc::clone(&new.registry));
                is_reloaded = true;
            }
            Step::Flush => drop(flusher.run_once(NOW_MS, true).await.unwrap()),
            Step::Cut => {
                medium = medium.after_power_cut(7);
                (branch, flusher) = flusher_of(&medium, &sink, definitions.clone(), &sealing(true)).unwrap();
            }
        }
    }
    branch.log.stop().await;
    flusher.run_once(NOW_MS, true).await.unwrap();
    assert_eq!(hands(&sink), expected);
    assert!(branch.log.shared().sealed().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rows_of_older_and_newer_definitions_mean_what_they_meant_and_are_there_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(service(steps));
    }
}

#[tokio::test]
async fn a_segment_ends_where_the_names_change_and_not_where_they_stay() {
    let (old, new, as_before) = (Version::embedded(), Version::grown(), Version::embedded());
    let (medium, sink) = (Faulty::default(), Memory::default());
    let (branch, flusher) =
        flusher_of(&medium, &sink, InForce::new(Arc::clone(&new.registry)), &sealing(true)).unwrap();
    for (id, version) in [&old, &as_before, &old, &new, &new, &old].into_iter().enumerate() {
        branch.log.append(version.click(id as u64)).await.unwrap();
    }
    let rows = |sealed: &Arc<crate::log::Sealed>| sealed.extent.rows;
    assert_eq!(branch.log.shared().sealed().iter().map(rows).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(flusher.run_once(NOW_MS, true).await.unwrap().rows, 6);
    let with_hand: Vec<String> = hands(&sink).into_iter().filter(|(_, has)| *has).map(|(at, _)| at).collect();
    assert_eq!(with_hand, [screen(3), screen(4)]);
}
