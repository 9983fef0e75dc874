//! Groups of private keys, made through the endpoints as an attacker would: as many as vectors double at, and more than the
//! limit, in two services of which one has an event of one person more. Whether a question is answered, fails or is refused,
//! and what is told then, is the same.
//!
//! Not here: that the limit is as noisy as is paid for (`query/src/scan/limit.rs`, `query/src/tests/game/executions.rs`).

use serde_json::{Value, json};
use shoal_anonymity::budget::Preset;

use super::Ended;
use super::compare::compare;
use crate::http::Answer;
use crate::stage::{NOON_MS, TODAY, World, batch, letters};

/// Groups that any limit of the questions has room for, and at which vectors double.
const FEW: u64 = 1 << 11;
/// More than the limit of an exact question has room for, its noise included.
const MANY: u64 = 1 << 13;

/// A service with the least limits that their noise allows, and some groups of one person each.
struct Filled {
    world: World,
    groups: u64,
}

impl Filled {
    fn new() -> Filled {
        let world = World::with(|config| {
            config.query.preset = Preset::Internal;
            config.query.cells_max = 1;
        });
        Filled { world, groups: 0 }
    }

    /// Up to so many groups, each on a screen of its own.
    fn fill(&mut self, groups: u64) {
        let event = |at: u64| {
            let properties = json!({"screen": letters(at), "element": "tile"});
            json!({"id": format!("g-{at}"), "event": "click", "time": NOON_MS, "user_id": format!("person-{at}"), "properties": properties})
        };
        let new: Vec<Value> = (self.groups..groups).map(event).collect();
        for events in new.chunks(400) {
            self.send(events.to_vec());
        }
        self.groups = groups;
        self.world.flush();
    }

    /// One event more, of a person who is there already, with a value of its own.
    fn one_more(&self) {
        let properties = json!({"screen": "zebrafinch", "element": "tile"});
        self.send(vec![json!({"id": "more", "event": "click", "time": NOON_MS, "user_id": "person-1", "properties": properties})]);
        self.world.flush();
    }

    fn send(&self, events: Vec<Value>) {
        let count = events.len();
        let taken = self.world.client().events(&self.world.keys.app, &batch("DE", events));
        assert_eq!(taken["accepted"], count, "{taken}");
    }

    /// What is answered to each question, and then by the budget.
    fn ask(&self, stage: &str) -> Vec<Answer> {
        let (client, key) = (self.world.client(), &self.world.keys.analyst);
        let mut answers = Vec::new();
        for (sql, exactness) in questions(stage) {
            for dry_run in [true, false] {
                let mut question = json!({"sql": sql, "dry_run": dry_run});
                question.as_object_mut().unwrap().extend(exactness.as_object().unwrap().clone());
                answers.push(client.post("/v1/sql", key, question.to_string()));
            }
            let path = format!("/v1/budget?table=usage&region=DE&first={TODAY}&last={TODAY}");
            answers.push(client.get(&path, key));
        }
        answers
    }
}

/// Questions with private keys, at prices from the highest to the lowest.
fn questions(stage: &str) -> Vec<(String, Value)> {
    let from =
        format!("FROM usage WHERE day = DATE '{TODAY}' AND region = 'DE' AND screen <> 'none-{stage}'");
    let plain = format!("SELECT screen, COUNT(*) AS n {from} GROUP BY screen");
    let people =
        format!("SELECT screen, element, COUNT(DISTINCT subject) AS n {from} GROUP BY screen, element");
    let rows = format!("SELECT subject, screen AS s, COUNT(*) AS n {from} GROUP BY subject, screen");
    vec![
        (plain.clone(), json!({"precision": "high"})),
        // Several groups of one person make a limit noisier: at a high price the many would be within its noise.
        (people, json!({"precision": "low"})),
        (format!("SELECT s, SUM(n) AS n FROM ({rows}) AS p GROUP BY s"), json!({"precision": "low"})),
        (plain.clone(), json!({"precision": "low"})),
        (plain, json!({"sd_max": 1_000_000.0})),
    ]
}

/// How each question that was no dry run ended.
fn ends(answers: &[[Answer; 2]]) -> Vec<Ended> {
    let mut ends = Vec::new();
    for (at, [with, without]) in answers.iter().enumerate() {
        // A dry run, the question, the budget.
        let ended = compare(with, without, at % 3 != 1).unwrap_or_else(|what| panic!("answer {at}: {what}"));
        if at % 3 == 1 {
            ends.push(ended);
        }
    }
    ends
}

#[test]
fn one_event_more_than_vectors_double_at_or_than_the_limit_tells_nothing() {
    let mut worlds = [Filled::new(), Filled::new()];
    worlds[0].fill(2);
    worlds[0].one_more();
    let mut all = Vec::new();
    for groups in [FEW, MANY] {
        let stage = letters(groups);
        let [with, without] = std::thread::scope(|scope| {
            let asking = worlds.each_mut().map(|filled| {
                scope.spawn(|| {
                    filled.fill(groups);
                    filled.ask(&stage)
                })
            });
            asking.map(|answers| answers.join().unwrap())
        });
        let pairs: Vec<[Answer; 2]> =
            with.into_iter().zip(without).map(|(with, without)| [with, without]).collect();
        all.push(ends(&pairs));
    }
    assert!(all[0].iter().all(|ended| *ended == Ended::Answered), "room for few: {all:?}");
    let [high, others @ ..] = &all[1][..] else { panic!("{all:?}") };
    assert_eq!(*high, Ended::Failed, "more than the limit, in both");
    let is_answered = |ended: &Ended| *ended == Ended::Answered;
    assert!(others.iter().all(is_answered), "more keys and lower prices have higher limits: {all:?}");
}
