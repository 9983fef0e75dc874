//! Senders beside everything that maintains tables, for a while: runs of retention whose periods move, merges,
//! rotations of keys, backups, copies, reloads. Counts conserve: what was acknowledged and has not expired is there
//! once.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use shoal_faults::Trial;

use crate::acts::Acts;
use crate::kill::{BUSY, Running, all_is_there, maintenance};
use crate::load::Senders;
use crate::run::Run;
use crate::service::{Service, Setup};

/// Periods of retention, in days: the day before yesterday expires by the first and is kept by the second.
const PERIODS: [u32; 2] = [1, 60];

/// Definitions by which everything is kept for so many days.
fn keep(setup: &Setup, days: u32) {
    let mut text = String::new();
    for programme in ["user-experience", "device-experience"] {
        for kind in ["usage", "crash", "performance", "device"] {
            text.push_str(&format!(
                "[[retention]]\nprogramme = \"{programme}\"\nkind = \"{kind}\"\ndays = {days}\n\n"
            ));
        }
    }
    let dir = setup.dir.join("definitions");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("retention.toml"), text).unwrap();
}

/// Events of the day before yesterday, which a run of retention removes when the period is short. None of them may be
/// left at the end.
fn send_old(service: &Service, setup: &Setup, round: u64) -> u64 {
    let old_ms = crate::run::now_ms() - 2 * 86_400_000;
    let event = |at: u64| {
        json!({"id": format!("old-{round}-{at}"), "event": "click", "time": old_ms, "user_id": format!("old-{at}"),
            "properties": {"element": "old"}})
    };
    let events: Vec<_> = (0..50).map(event).collect();
    let body = json!({"consent": {"policy_version": "2026-1"}, "country": "DE", "events": events});
    let answer = service.client().post("/v1/events", &setup.ingest_key, &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["accepted"].as_u64().unwrap()
}

/// A run of retention, to its end. How many files it removed is in the log.
fn retain(service: &Service, setup: &Setup) {
    let ask = json!({"dry_run": false, "accept_share": true});
    let answer = service.client().post("/v1/retention/runs", &setup.officer_key, &ask).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let last = text.lines().last().unwrap_or_default();
    assert!(last.contains("\"report\""), "a run of retention did not end well: {last}");
}

fn reload(setup: &Setup) {
    let (code, _, told) = setup.run(&["reload"]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn senders_beside_maintenance_lose_and_double_nothing() {
    let Some(mut run) = Run::begin(Trial::SideBySide) else { return };
    let definitions = run.dir().join("definitions");
    let mut variables = BUSY.to_vec();
    variables.push(("SHOAL_SCHEMAS_DIR", definitions.to_str().unwrap()));
    variables.push(("SHOAL_QUERY_ANSWER_TIMES_MS", "100,200,500,1000,2000,4000,8000,16000,30000"));
    let of_definitions = Setup { dir: run.dir().to_path_buf(), ..Setup::default() };
    keep(&of_definitions, PERIODS[1]);
    let setup = Setup::new(run.dir(), &variables);
    let (senders, mut acts) = (Senders::default(), Acts::default());
    let service = setup.serve();
    let (began, time) = (Instant::now(), Duration::from_secs(run.count));
    let (mut round, mut old) = (0, 0);
    senders.during(&service, &setup, || {
        while began.elapsed() < time {
            round += 1;
            keep(&setup, PERIODS[1]);
            reload(&setup);
            old += send_old(&service, &setup, round);
            acts.ask(&service, &setup);
            acts.withdraw(&service, &setup);
            let beside = maintenance(&mut run.numbers, &setup, round);
            let running = Running::start(&beside, &service, &setup);
            keep(&setup, PERIODS[0]);
            reload(&setup);
            retain(&service, &setup);
            running.end(false);
        }
    });
    // The last old ones may have come to their table after the last run.
    std::thread::sleep(Duration::from_secs(1));
    retain(&service, &setup);
    acts.hold(&service, &setup).unwrap();
    let lines = service.lines();
    // On a machine that does much else a question may take longer than was planned for it.
    let error = lines.lines().find(|line| line.contains("ERROR") && !line.contains("cause=\"time\""));
    assert_eq!(error, None, "{lines}");
    service.stop_in_order();
    all_is_there(&senders, &setup);
    let (batches, refusals) = (senders.count.into_inner(), senders.refusals.into_inner().unwrap());
    println!(
        "side-by-side: {round} rounds, {batches} batches, {old} old events that expired, {} refusals",
        refusals.len()
    );
    assert!(refusals.iter().all(|(status, _)| *status == 429), "{refusals:?}");
    assert!(old > 0 && batches > 0);
}
