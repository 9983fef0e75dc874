//! What was answered once is answered the same for ever, and is paid once; everybody sees what was paid, and nothing brings
//! it back: no restart, no older file. The processes that do the free part end with the service.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use shoal_anonymity::budget::Preset;
use shoal_language::calendar::{day_text, parse_day};
use shoal_schemas::Region;
use shoal_server::access_keys::{Role, Scope};
use tempfile::tempdir;

use crate::http::Answer;
use crate::process::{Setup, until};
use crate::query::rows;
use crate::stage::{Keys, TODAY, World, batch, click};

/// 60 people of DE, a click each.
pub(crate) fn world() -> World {
    let world = World::new();
    let clicks = (0..60).map(|n| click(&format!("c-{n}"), &format!("person-{n}"), "tile")).collect();
    assert_eq!(world.client().events(&world.keys.app, &batch("DE", clicks))["accepted"], 60);
    world.flush();
    world
}

pub(crate) fn sql(mark: &str) -> String {
    format!(
        "SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '{TODAY}' AND region = 'DE' \
         AND screen <> '{mark}'"
    )
}

pub(crate) fn ask(world: &World, question: &Value) -> Answer {
    world.client().post("/v1/sql", &world.keys.analyst, question.to_string())
}

/// What the budget says of today's usage in DE, with each statement where it is pointed to.
pub(crate) fn block(world: &World) -> Value {
    let path = format!("/v1/budget?table=usage&region=DE&first={TODAY}&last={TODAY}");
    let list = world.client().get(&path, &world.keys.analyst).expect(200).json();
    only_block(&list)
}

/// The one block of a list, with each statement where it is pointed to.
pub(crate) fn only_block(list: &Value) -> Value {
    assert_eq!((list["blocks"].as_array().unwrap().len(), &list["more"]), (1, &json!(false)), "{list}");
    let mut block = list["blocks"][0].clone();
    for spent in block["spent_by"].as_array_mut().unwrap() {
        let at = usize::try_from(spent["query"].as_u64().unwrap()).unwrap();
        spent["query"] = list["queries"][at].clone();
    }
    block
}

#[test]
fn a_question_is_paid_once_by_whoever_asks_first_and_everybody_sees_it() {
    let mut world = world();
    assert_eq!(
        (block(&world)["rho_spent"].as_str(), block(&world)["rho_left"].as_str()),
        (Some("0"), Some("0.1"))
    );
    let dry = |world: &World| ask(world, &json!({"sql": sql("a"), "dry_run": true})).expect(200).json();
    let price = dry(&world)["cost"].clone();
    assert_eq!(price["rho_per_block"], "0.0025", "0.002, and once 0.0005 for the size of the block");
    assert_eq!((&price["blocks"], &price["blocks_charged"]), (&json!(1), &json!(1)), "{price}");
    assert_eq!((&price["pieces"], &price["pieces_from_ledger"]), (&json!(1), &json!(0)), "{price}");
    let explained = ask(&world, &json!({"sql": format!("EXPLAIN {}", sql("a"))})).expect(200).json();
    assert!(
        rows(&explained).iter().any(|row| row["plan"].as_str().unwrap().contains("0.002")),
        "{explained}"
    );
    assert!(explained.to_string().contains("and once rho 0.0005 of each block whose number"), "{explained}");
    let told = rows(&explained).last().unwrap()["plan"].as_str().unwrap();
    assert!(told.starts_with("Nothing is paid") && told.contains("would pay 1 blocks"), "{told}");
    assert_eq!((&explained["explained"], &explained["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(block(&world)["rho_spent"], "0", "neither is charged");

    let first = ask(&world, &json!({"sql": sql("a")})).expect(200).json();
    assert_eq!(
        (&first["cost"]["blocks_charged"], &first["cost"]["pieces_from_ledger"]),
        (&json!(1), &json!(0))
    );
    let seen = block(&world);
    assert_eq!(
        (seen["rho_spent"].as_str(), seen["rho_left"].as_str()),
        (Some("0.0025"), Some("0.0975")),
        "{seen}"
    );
    let spent_by = seen["spent_by"].as_array().unwrap();
    assert_eq!(spent_by.len(), 2);
    assert!(spent_by.iter().all(|spent| spent["state"] == "sealed"), "{seen}");
    assert_eq!(spent_by[0]["query"], "NUMBER OF ROWS", "{seen}");
    assert!(spent_by[0]["part"].as_str().unwrap().starts_with("FROM usage IN DE, DAY "), "{seen}");
    assert!(
        spent_by[1]["query"].as_str().unwrap().to_lowercase().contains("count(distinct subject)"),
        "{seen}"
    );

    // Another key, other words, the same question; then after a restart.
    let other_words = sql("a").replace("AS people", "AS n").replace(" AND ", "   and ");
    let question = json!({"sql": other_words}).to_string();
    let again = world.client().post("/v1/sql", &world.keys.officer, &question).expect(200).json();
    let numbers = |row: &Value, name: &str| {
        ["", "_sd", "_low", "_high"].map(|end| row[format!("{name}{end}")].as_f64().unwrap().to_bits())
    };
    assert_eq!(numbers(&rows(&again)[0], "n"), numbers(&rows(&first)[0], "people"));
    assert_eq!(
        (&again["cost"]["blocks_charged"], &again["cost"]["pieces_from_ledger"]),
        (&json!(0), &json!(1))
    );
    let price = dry(&world)["cost"].clone();
    assert_eq!((&price["blocks_charged"], &price["pieces_from_ledger"]), (&json!(0), &json!(1)), "{price}");
    world.restart(|_| {});
    let after = ask(&world, &json!({"sql": sql("a")})).expect(200).json();
    assert_eq!(rows(&after), rows(&first), "the very same answer");
    assert_eq!(block(&world), seen, "and nothing more is paid");
}

#[test]
fn literals_of_a_question_are_for_its_asker_and_officers() {
    let world = world();
    let question = format!(
        "SELECT screen, COUNT(*) AS n FROM usage WHERE day = DATE '{TODAY}' AND region = 'DE' AND element <> 'anna''s-shed' \
         AND screen LIKE 'berta%' GROUP BY screen"
    );
    ask(&world, &json!({"sql": question})).expect(200);
    let path = format!("/v1/budget?table=usage&region=DE&first={TODAY}&last={TODAY}");
    let seen_by = |key: &str| {
        let list = world.client().get(&path, key).expect(200).json();
        let spent_by = only_block(&list)["spent_by"].as_array().unwrap().clone();
        let texts = spent_by.iter().map(|spent| {
            format!("{}\n{}", spent["part"].as_str().unwrap(), spent["query"].as_str().unwrap())
        });
        texts.filter(|text| text.contains("AGGREGATE")).collect::<Vec<_>>().join("\n")
    };
    let own = seen_by(&world.keys.analyst);
    assert!(own.contains("shed") && own.contains("berta"), "{own}");
    assert_eq!(seen_by(&world.keys.officer), own);
    let other = world.key(Scope::Analyst { role: Role::Analyst, regions: vec![Region::De] });
    let shown = seen_by(&other.reveal());
    assert!(!["shed", "berta", "anna"].iter().any(|word| shown.contains(word)), "{shown}");
    for part in ["FROM usage IN DE", "(element <> ?)", "(screen LIKE ?)", "KEY screen"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn what_thresholds_take_of_delta_is_told_before_and_after() {
    let world = world();
    let of_today = format!("FROM usage WHERE day = DATE '{TODAY}' AND region = 'DE'");
    let hiding = format!("SELECT screen, COUNT(*) AS n {of_today} GROUP BY screen");
    let explained = |sql: &str| {
        let plan = ask(&world, &json!({"sql": format!("EXPLAIN {sql}")})).expect(200).json();
        let lines = rows(&plan).iter().map(|row| row["plan"].as_str().unwrap().to_owned());
        (lines.collect::<Vec<_>>().join("\n"), plan["cost"].clone())
    };
    let (plan, cost) = explained(&hiding);
    // As large a part of 10^-6 as rho 0.002 is of 0.5.
    assert!(
        plan.contains("DELTA 4e-9 of each block's 1e-6") && plan.contains("at least 1e-6 is left"),
        "{plan}"
    );
    assert_eq!((&cost["delta_per_block"], &cost["delta_left_min"]), (&json!("4e-9"), &json!("1e-6")));
    let (plan, cost) = explained(&format!("SELECT COUNT(*) AS n {of_today}"));
    assert!(!plan.to_lowercase().contains("delta"), "{plan}");
    assert_eq!((&cost["delta_per_block"], &cost["delta_left_min"]), (&json!("0"), &json!("1e-6")));

    let answer = ask(&world, &json!({"sql": hiding})).expect(200).json();
    assert_eq!(answer["cost"]["delta_left_min"], "9.96e-7");
    let seen = block(&world);
    assert_eq!((&seen["delta_spent"], &seen["delta_left"]), (&json!("4e-9"), &json!("9.96e-7")));
    let deltas: Vec<_> =
        seen["spent_by"].as_array().unwrap().iter().map(|one| one["delta"].clone()).collect();
    assert_eq!(deltas, ["0", "4e-9"], "its size has no threshold");
}

#[test]
fn an_older_ledger_beside_newer_data_brings_no_budget_back() {
    let mut world = world();
    let file = |world: &World| world.data_dir().join("ledger").join("budget.redb");
    ask(&world, &json!({"sql": sql("a")})).expect(200);
    let old_answer = ask(&world, &json!({"sql": sql("a")})).expect(200).json();
    world.stop();
    let older = fs::read(file(&world)).unwrap();
    world.restart(|_| {});
    for mark in ["b", "c"] {
        ask(&world, &json!({"sql": sql(mark), "precision": "high"})).expect(200);
    }
    assert_eq!(
        (block(&world)["rho_spent"].as_str(), block(&world)["rho_left"].as_str()),
        (Some("0.0225"), Some("0.0775"))
    );
    world.stop();
    fs::write(file(&world), older).unwrap();
    world.restart(|_| {});
    assert_eq!(
        (block(&world)["rho_spent"].as_str(), block(&world)["rho_left"].as_str()),
        (Some("0.0225"), Some("0.0775"))
    );
    assert_eq!(rows(&ask(&world, &json!({"sql": sql("a")})).expect(200).json()), rows(&old_answer));
    // Its answers to the later questions are gone: they are paid again.
    let again = ask(&world, &json!({"sql": sql("b"), "precision": "high"})).expect(200).json();
    assert_eq!(again["cost"]["blocks_charged"], 1);
    assert_eq!(block(&world)["rho_spent"], "0.0325");
    // And without any ledger at all.
    world.stop();
    fs::remove_file(file(&world)).unwrap();
    world.restart(|_| {});
    assert_eq!(block(&world)["rho_left"], "0.0675");
}

#[test]
fn what_a_day_cannot_pay_is_refused_until_its_next_epoch() {
    let world = World::with(|config| config.query.preset = Preset::Strict);
    let mut answered = 0;
    let refused = loop {
        let answer = ask(&world, &json!({"sql": sql(&format!("none-{answered}"))}));
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered < 100, "the budget must end");
    };
    assert!(answered > 0, "the first one is paid: {}", refused.text());
    assert_eq!(refused.json()["rule"], "budget", "{}", refused.text());
    let before = block(&world);
    assert!(ask(&world, &json!({"sql": sql("none-0")})).status == 200, "what was answered stays free");
    assert_eq!(block(&world), before, "neither a refusal nor a repetition is charged");
    world.set_now_ms(world.now_ms() + crate::stage::DAY_MS);
    ask(&world, &json!({"sql": sql("none-0")})).expect(200);
    assert_eq!(block(&world)["epoch"], "after 1 day");
}

/// Processes whose parent is this one.
fn children(parent: u32) -> Vec<u32> {
    let of = |dir: &Path| -> Option<(u32, u32)> {
        let status = fs::read_to_string(dir.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        Some((dir.file_name()?.to_str()?.parse().ok()?, line.trim().parse().ok()?))
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| of(&entry.ok()?.path()));
    all.filter(|(_, its)| *its == parent).map(|(id, _)| id).collect()
}

#[test]
fn workers_end_with_the_service_however_it_ends() {
    let dir = tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[("SHOAL_QUERY_ANSWER_TIMES_MS", "250")] };
    let keys = Keys::create(&setup.data_dir());
    for is_killed in [false, true] {
        let process = setup.serve();
        // Answered by a worker: the price of nothing that was read.
        let question = json!({"sql": "SELECT COUNT(*) AS n FROM usage", "dry_run": true});
        process.client.post("/v1/sql", &keys.analyst, question.to_string()).expect(200);
        let workers = children(process.id());
        assert!(!workers.is_empty(), "the free part runs in a process of its own");
        match is_killed {
            true => process.kill(),
            false => assert!(process.terminate().success()),
        }
        let is_gone = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            !status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
        };
        until("the workers to end", || workers.iter().all(is_gone).then_some(()));
    }
}

/// Adds what a line of the audit, or the budget, says of rho and delta.
fn add(sum: &mut (u64, u64), rho: &Value, delta: &Value) {
    let units = |text: &Value, of_one: f64| {
        let amount: f64 = text.as_str().unwrap().parse().unwrap();
        (amount * of_one).round() as u64
    };
    (sum.0, sum.1) = (sum.0 + units(rho, 1e9), sum.1 + units(delta, 1e18));
}

/// Whoever has the audit alone can count again what was spent, to the last digit.
#[test]
fn what_the_audit_says_was_charged_is_what_each_block_has_spent() {
    let world = world();
    let day = |back: i32| day_text(parse_day(TODAY).unwrap() - back);
    for sql in [
        format!("SELECT COUNT(*) AS n FROM usage WHERE day >= DATE '{}'", day(3)),
        format!(
            "SELECT screen, COUNT(*) AS n FROM usage WHERE day >= DATE '{}' AND region = 'DE' GROUP BY screen",
            day(1)
        ),
        // Each day asks for people of all days, which pay each time.
        format!(
            "SELECT day, COUNT(DISTINCT subject) AS n FROM usage WHERE day >= DATE '{0}' AND subject IN (SELECT subject FROM crash \
             WHERE day >= DATE '{0}') GROUP BY day",
            day(2)
        ),
    ] {
        // Asked again it is there, and what is not asked in earnest is charged nothing.
        for question in [json!({"sql": sql, "dry_run": true}), json!({"sql": sql}), json!({"sql": sql})] {
            ask(&world, &question).expect(200);
        }
        ask(&world, &json!({"sql": format!("EXPLAIN {sql}")})).expect(200);
    }
    let mut charged: BTreeMap<(String, String, i32), (u64, u64)> = BTreeMap::new();
    let (mut lines, mut free) = (0, 0);
    for line in crate::audit::lines(&world).iter().filter(|line| line["queries"].is_array()) {
        let all = line["charged"].as_array().unwrap();
        (lines, free) = (lines + 1, free + usize::from(all.is_empty()));
        for one in all {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            for day in parse_day(&text("first_day")).unwrap()..=parse_day(&text("last_day")).unwrap() {
                let sum = charged.entry((text("table"), text("region"), day)).or_default();
                add(sum, &one["rho"], &one["delta"]);
            }
        }
    }
    assert_eq!((lines, free), (12, 9), "three were charged");
    let list = world.client().get("/v1/budget", &world.keys.analyst).expect(200).json();
    let mut spent = 0;
    for block in list["blocks"].as_array().unwrap() {
        let text = |name: &str| block[name].as_str().unwrap().to_owned();
        let key = (text("table"), text("region"), parse_day(&text("day")).unwrap());
        let mut of_block = (0, 0);
        add(&mut of_block, &block["rho_spent"], &block["delta_spent"]);
        assert_eq!(charged.remove(&key).unwrap_or_default(), of_block, "{key:?}");
        spent += usize::from(of_block.0 > 0);
    }
    assert!(charged.is_empty(), "the last seven days are all that was asked about: {charged:?}");
    assert_eq!(spent, 16 + 12, "four days of usage and three of crashes, in four regions");
}
