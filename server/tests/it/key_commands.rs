//! `shoal keys` and `shoal watch` as an operator and a developer use them: what a key takes, what comes with it, and when it was used.
//!
//! Not here: what a key is told over HTTP (`senders.rs`).

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::process::{Going, Setup, signal};
use crate::stage::POLICY;

/// Runs `shoal keys create ingest` for a shop.
fn create(setup: &Setup<'_>, more: &[&str]) -> (i32, String, String) {
    setup.run(&[&["keys", "create", "ingest", "--app", "shop"], more].concat())
}

/// A key that works with SDKs as they are, as its command prints it.
fn shop(setup: &Setup<'_>) -> Value {
    let about = ["--name", "Shop app", "--owner", "web team", "--expires", "90d", "--json"];
    let scope = ["--regions", "DE", "--programme", "user-experience", "--policy", POLICY];
    let (code, out, errors) = create(setup, &[&about[..], &scope[..]].concat());
    assert!(code == 0 && errors.is_empty(), "{errors}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_key_says_what_it_takes_and_one_with_which_sdks_keep_nothing_needs_a_yes() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let (code, out, errors) = create(&setup, &["--regions", "DE,US"]);
    assert!(code == 2 && out.is_empty() && errors.contains("would keep nothing"), "{code} {out} {errors}");
    assert!(!setup.data_dir().join("control/keys.json").exists(), "no key was made");
    // What comes from servers carries consent and country itself.
    let (code, _, errors) = create(&setup, &["--regions", "DE,US", "--kind", "server"]);
    assert!(code == 0 && errors.contains("they keep nothing"), "{errors}");
    let (code, _, errors) = create(&setup, &["--regions", "DE,US", "--yes"]);
    assert!(code == 0 && errors.contains("they keep nothing") && errors.contains("no_region"), "{errors}");
    let (code, _, errors) = create(&setup, &["--regions", "DE"]);
    assert!(code == 0 && errors.contains("withheld until the person's consent is recorded"), "{errors}");
    let (code, out, errors) = create(&setup, &["--regions", "DE", "--expires", "2020-01-01"]);
    assert!(code == 1 && out.is_empty() && errors.contains("expired already"), "{errors}");
    let made = shop(&setup);
    assert_eq!((&made["name"], &made["owner"]), (&json!("Shop app"), &json!("web team")));
    assert!(made["expires_at"].is_string() && made["dsn"].as_str().unwrap().ends_with("/1"), "{made}");
    assert!(made["takes"].to_string().contains("work as they are"), "{made}");
}

/// The lines of `shoal watch`, once it has looked.
fn watch(setup: &Setup<'_>, more: &[&str]) -> (Going, impl Iterator<Item = Value> + use<>) {
    let mut child = Going(setup.start(&[&["watch", "--json"], more].concat()));
    let (out, errors) = (child.0.stdout.take().unwrap(), child.0.stderr.take().unwrap());
    let mut errors = BufReader::new(errors).lines().map(Result::unwrap);
    assert!(errors.any(|line| line.contains("Following")), "it has looked");
    let lines = BufReader::new(out).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    (child, lines)
}

/// Whether these tests were started in the background of a shell, where Ctrl-C is ignored, also by what they start.
fn ignores_ctrl_c() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    // The second signal is the second bit.
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 0b10 != 0
}

#[test]
fn who_sends_watches_what_comes_and_who_owns_the_key_sees_when_it_was_used() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let made = shop(&setup);
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    let (_, analyst, _) = setup.run(&["keys", "create", "analyst", "--regions", "DE"]);
    let server = setup.serve();
    let url = format!("http://{}", server.client.0);
    let (mut owner, all) = watch(&setup, &[]);
    let (sender, own) = watch(&setup, &["--key", key, "--url", &url]);
    let open = json!([{"event": "app_open", "user_id": "u"}, {"event": "click", "user_id": "u"}]).to_string();
    server.client.post("/v1/events", key, &open).expect(200);
    let said =
        |line: Value| ["name", "event", "outcome", "code", "field", "events"].map(|name| line[name].clone());
    let name = json!("Shop app");
    let missing = [
        name.clone(),
        json!("click"),
        json!("rejected"),
        json!("missing_property"),
        json!("element"),
        json!(1),
    ];
    let taken = |event: Value, outcome: &str| {
        [name.clone(), event, json!(outcome), Value::Null, Value::Null, json!(1)]
    };
    assert_eq!(
        all.take(2).map(said).collect::<Vec<_>>(),
        [taken(json!("app_open"), "accepted"), missing.clone()]
    );
    assert_eq!(own.take(2).map(said).collect::<Vec<_>>(), [taken(Value::Null, "taken"), missing]);
    signal(if ignores_ctrl_c() { "TERM" } else { "INT" }, owner.0.id());
    owner.0.wait().unwrap();
    drop(sender);
    let (code, shown, errors) = setup.run(&["keys", "show", id]);
    assert!(
        code == 0 && shown.contains("Shop app") && shown.contains("2 received: 1 accepted"),
        "{shown}{errors}"
    );
    assert!(shown.contains("web team") && shown.contains("work as they are"), "{shown}");
    let (_, shown, _) = setup.run(&["keys", "show", "--key", key, "--json", "--url", &url]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["counters"]["taken"], shown.get("owner")), (&json!(1), None));
    assert_eq!(
        setup.run(&["watch", "--key", analyst.trim(), "--url", &url]).0,
        3,
        "a key that sends nothing"
    );
    assert!(server.terminate().success());

    let (code, shown, _) = setup.run(&["keys", "show", id]);
    assert!(code == 0 && shown.contains("no service runs over this data directory"), "{shown}");
    create(&setup, &["--regions", "DE"]);
    let (_, listed, _) = setup.run(&["keys", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let used = listed.as_array().unwrap().iter().filter(|key| key["last_used_on"].is_string());
    assert_eq!(used.map(|key| &key["id"]).collect::<Vec<_>>(), [id, analyst.split('.').next().unwrap()]);
    let (_, listed, _) = setup.run(&["keys", "list"]);
    assert!(listed.contains("Shop app") && listed.contains("never"), "{listed}");
    assert_eq!(setup.run(&["watch"]).0, 3, "no service runs here");
}

#[test]
fn a_key_is_in_force_and_a_revoked_one_is_not_when_the_command_ends() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let server = setup.serve();
    let open = json!([{"event": "app_open", "user_id": "u"}]).to_string();
    // More often than the look of each second could make it come out well.
    for _ in 0..5 {
        let (_, key, _) = create(&setup, &["--regions", "DE"]);
        server.client.post("/v1/events", key.trim(), &open).expect(200);
        assert_eq!(setup.run(&["keys", "revoke", key.split('.').next().unwrap()]).0, 0);
        server.client.post("/v1/events", key.trim(), &open).expect(401);
    }
    assert!(server.terminate().success());
}
