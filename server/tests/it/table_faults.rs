//! A disk that fails, or is full, under the tables and the audit of the real binary. The log, consents and budget: `faults.rs`.

use std::sync::atomic::AtomicUsize;

use serde_json::json;

use crate::durability::{Sent, batch_of, is_there_once};
use crate::faults::{ENOSPC, Faulty, Then, ask, ends, load};
use crate::http::Client;
use crate::process::{Setup, until};
use crate::stage::{Keys, real_day};

/// A commit whose sync has failed looks whole to whoever reads it, and may be gone after a power cut.
#[test]
fn after_a_failed_sync_or_write_of_a_table_nothing_is_tried_again_and_what_was_acknowledged_is_there_once() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let next = AtomicUsize::new(0);
    let mut all = Sent::default();
    let faults = [
        ("sync", "/_delta_log$"),
        ("sync", ".parquet"),
        ("write", ".parquet"),
        ("write", "/_delta_log/"),
        ("write", ".spare"),
    ];
    for (call, part) in faults {
        let server = setup.serve();
        let sent = load(server.client, &keys.app, &next, Then::SomeMore, || faulty.fail(call, part));
        ends(server, part);
        let failed = faulty.end();
        assert!(!failed.is_empty(), "{call} {part}: nothing failed");
        assert!(part == ".spare" || failed.len() == 1, "a {call} was tried again: {failed:?}");
        all.acknowledged.extend(sent.acknowledged);
        all.unknown.extend(sent.unknown);
    }
    is_there_once(&setup, &keys.app, &all);
}

/// The state of a part that `/readyz` tells of.
fn state_of(client: Client, part: &str) -> String {
    let told = client.get("/readyz", "").json();
    let parts = told["parts"].as_array().unwrap();
    parts.iter().find(|of| of["part"] == part).unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn readiness_knows_a_flush_that_keeps_failing_and_an_audit_without_room() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let client = server.client;
    let mut all = Sent::default();
    let ready = |part: &str| until("it is ready", || (state_of(client, part) == "ready").then_some(()));
    ready("tables");
    faulty.fail_with("write", ENOSPC, "/tables/");
    for number in 0..4 {
        ask(client, "/v1/events", &keys.app, &batch_of(number)).unwrap().expect(200);
        all.acknowledged.push(number);
    }
    until("the tables are full", || (state_of(client, "tables") == "full").then_some(()));
    assert_eq!(client.get("/readyz", "").status, 503);
    faulty.end();
    ready("tables");
    faulty.fail_with("write", ENOSPC, "/audit/");
    let sql = format!("SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{}' AND region = 'DE'", real_day());
    let question = json!({"sql": sql, "precision": "low"});
    assert!(ask(client, "/v1/sql", &keys.analyst, &question).unwrap().status >= 500);
    until("the audit is full", || (state_of(client, "audit") == "full").then_some(()));
    let told = client.get("/readyz", "");
    assert!(
        told.status == 503 && told.json()["detail"].as_str().unwrap().contains("audit: there is no room")
    );
    faulty.end();
    ready("audit");
    assert_eq!(client.get("/readyz", "").status, 200);
    assert!(server.terminate().success());
    is_there_once(&setup, &keys.app, &all);
}
