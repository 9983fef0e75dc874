//! A service opens no connection to another machine and asks for no name, whatever it does. `tests/data/noted_connections.c`, which
//! the C compiler makes and the service is started with, notes each connection, message and question of that kind.
//!
//! Not here: which sources may open a connection at all (the house rules of `shoal-schemas`).

use std::fs;

use serde_json::json;

use crate::process::{Setup, library, signal, until};
use crate::stage::{Keys, batch, click, real_day};
use crate::tables::Tables;

#[test]
fn a_service_opens_no_connection_to_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(dir.path(), "noted_connections.c");
    let notes = dir.path().join("notes");
    let variables = [
        ("LD_PRELOAD", library.as_str()),
        ("NOTE_TO", notes.to_str().unwrap()),
        ("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50"),
    ];
    let (noted, plain) =
        (Setup { dir: dir.path(), variables: &variables }, Setup { dir: dir.path(), variables: &[] });
    let keys = Keys::create(&noted.data_dir());
    let server = noted.serve();
    let mut sent = click("1", "u", "add");
    sent.as_object_mut().unwrap().remove("time");
    assert_eq!(server.client.events(&keys.app, &batch("DE", vec![sent]))["accepted"], 1);
    let withdrawal = json!({"action": "withdraw", "programme": "user-experience", "user_id": "carol"});
    server.client.post("/v1/consents", &keys.app, withdrawal.to_string()).expect(200);
    until("the flush", || (Tables::read(&noted).count() == 1).then_some(()));
    let people = format!("SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{}'", real_day());
    server.client.sql(&keys.analyst, &people);
    server.client.post("/v1/retention/runs", &keys.officer, "{}").expect(200);
    let backup = dir.path().join("backup");
    let (code, _, errors) = plain.run(&["backup", "create", backup.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    signal("HUP", server.id());
    until("the configuration to be read again", || server.log().contains("was read again").then_some(()));
    // The library is in that process, and it sees a command that is told a name.
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.id())).unwrap();
    assert!(maps.contains("noted_connections"), "{maps}");
    let url = format!("http://localhost:{}", server.client.0.port());
    assert!(!notes.exists(), "the service spoke to somebody: {}", fs::read_to_string(&notes).unwrap());
    assert_eq!(noted.run(&["health", "--url", &url]).0, 0);
    let commands = fs::read_to_string(&notes).unwrap();
    assert!(commands.contains("connect") && commands.contains("getaddrinfo"), "{commands}");
    fs::remove_file(&notes).unwrap();
    assert!(server.terminate().success());
    assert!(!notes.exists(), "its end spoke to somebody");
}
