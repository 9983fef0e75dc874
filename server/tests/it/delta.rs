//! The tables are Delta tables that others can read: schema, partitions and values, as Python's `deltalake` sees them.

use serde_json::json;

use crate::stage::{TODAY, World, batch, click};
use crate::tables::{Tables, text};

/// Columns of every table, with Delta's types.
const SYSTEM: [(&str, &str); 15] = [
    ("event_id", "binary"),
    ("subject", "binary"),
    ("session", "binary"),
    ("time", "timestamp"),
    ("event", "string"),
    ("country", "string"),
    ("programme", "string"),
    ("app", "string"),
    ("app_version", "string"),
    ("os", "string"),
    ("os_version", "string"),
    ("device_model", "string"),
    ("consent", "string"),
    ("epoch", "long"),
    ("day", "date"),
];

/// Names of columns that would hold an identifier.
const NEVER: [&str; 12] = [
    "user_id",
    "install_id",
    "device_id",
    "serial_number",
    "serial",
    "session_id",
    "ip",
    "mac",
    "ssid",
    "email",
    "latitude",
    "longitude",
];

#[test]
fn other_programs_can_read_every_table() {
    let world = World::new();
    let events = vec![
        click("1", "anna", "add"),
        json!({"id": "2", "event": "api_request", "user_id": "anna", "properties": {"endpoint": "/v1/x", "duration_ms": 12, "status_code": 200}}),
        json!({"id": "3", "event": "app_crash", "user_id": "anna", "properties": {"exception_type": "E", "foreground": true,
            "frames": [{"module": "m", "function": "f", "file": "f.kt", "line": 3}]}}),
        json!({"id": "4", "event": "device_fault", "serial_number": "S1", "properties": {"fault_code": "SD_WRITE", "uptime_h": 12}}),
        json!({"id": "5", "event": "purchase", "user_id": "anna", "properties": {"result": "ok", "amount": 19.99, "currency": "EUR", "items": 2}}),
    ];
    for country in ["DE", "US", "SG", "MY"] {
        let answer = world.client().events(&world.keys.app, &batch(country, events.clone()));
        assert_eq!(answer["accepted"], 5, "{answer}");
    }
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.0.len(), 16, "four kinds in four regions");
    for (name, table) in &tables.0 {
        assert_eq!(table.partitions, ["day"], "{name}");
        for (column, ty) in SYSTEM {
            assert_eq!(table.schema.get(column).map(String::as_str), Some(ty), "{column} of {name}");
        }
        for column in NEVER {
            assert!(!table.schema.contains_key(column), "{column} of {name}");
        }
        for row in &table.rows {
            assert_eq!((text(row, "day"), text(row, "time").get(..10)), (TODAY, Some(TODAY)), "{name}");
            for digest in ["event_id", "subject"] {
                assert_eq!(hex::decode(text(row, digest)).unwrap().len(), 16, "{digest} of {name}");
            }
        }
    }
    let bought = tables.events("purchase")[0].1;
    // A measure is in units of its scale: two places here.
    assert_eq!(
        (&bought["amount"], &bought["items"], text(bought, "currency")),
        (&json!(1999), &json!(2), "EUR")
    );
    let crash = tables.events("app_crash")[0].1;
    assert_eq!((&crash["foreground"], text(crash, "stack").trim()), (&json!(true), "m.f (f.kt:3)"));
    assert_eq!(tables.events("device_fault")[0].1["uptime_h"], 12);
}

#[test]
fn a_table_grows_by_many_flushes_and_days() {
    let world = World::new();
    for flush in 0..12 {
        let events = (0..5).map(|day| {
            let mut event = click(&format!("{flush}-{day}"), "anna", "add");
            event["time"] = json!(world.now_ms() - day * crate::stage::DAY_MS);
            event
        });
        world.client().events(&world.keys.app, &batch("DE", events.collect()));
        world.flush();
    }
    let tables = Tables::read(&world);
    let mut ids: Vec<&str> = tables.rows("de/usage").iter().map(|row| text(row, "event_id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((tables.count(), ids.len()), (60, 60));
}
