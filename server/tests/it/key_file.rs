//! The key file belongs to the data: without it, or with another one, nothing starts and nothing is forgotten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::process::Setup;
use crate::stage::{POLICY, World, batch, click};

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_key_file_that_is_missing_or_another_one_stops_the_start_and_forgets_no_withdrawal() {
    let mut world = World::new();
    let withdrawal = json!({"action": "withdraw", "programme": "user-experience", "policy_version": POLICY,
        "user_id": "anna", "country": "DE"});
    world.client().post("/v1/consents", &world.keys.app, withdrawal.to_string()).expect(200);
    let key_file = world.dir().join("shoal.key");
    let right = fs::read_to_string(&key_file).unwrap();
    world.stop();

    fs::remove_file(&key_file).unwrap();
    let told = world.try_start().unwrap_err();
    assert!(told.contains("shoal.key is missing") && told.contains("Put it back from its copy"), "{told}");
    assert!(!key_file.exists(), "no keys are made beside data");
    let setup = Setup { dir: world.dir(), variables: &[] };
    for command in [&["config", "check"][..], &["serve"]] {
        let (code, _, errors) = setup.run(command);
        assert!(code == 2 && errors.contains("shoal.key is missing"), "{errors}");
    }
    assert!(!key_file.exists());

    let last = right.trim_end().chars().last().unwrap();
    let other = if last == '0' { '1' } else { '0' };
    write(&key_file, &format!("{}{other}\n", &right.trim_end()[..right.trim_end().len() - 1]));
    let told = world.try_start().unwrap_err();
    assert!(told.contains("has not the keys of MY"), "{told}");

    write(&key_file, &right);
    world.try_start().unwrap();
    let events = batch("DE", vec![click("1", "anna", "a"), click("2", "berta", "a")]);
    let answer = world.client().events(&world.keys.app, &events);
    assert_eq!((answer["accepted"].as_u64(), &answer["events"][0]["code"]), (Some(1), &json!("withdrawn")));
}

#[test]
fn a_key_file_of_another_version_or_another_one_is_refused_by_commands_too() {
    let mut world = World::new();
    let events = batch("DE", vec![click("1", "anna", "a")]);
    assert_eq!(world.client().events(&world.keys.app, &events)["accepted"], 1);
    world.stop();
    let key_file = world.dir().join("shoal.key");
    let right = fs::read_to_string(&key_file).unwrap();
    let other = right.replacen(&right.lines().last().unwrap()[3..20], "00000000000000000", 1);
    for wrong in [right.replacen("shoal-keys 2", "shoal-keys 1", 1), other] {
        assert_ne!(wrong, right);
        write(&key_file, &wrong);
        let told = world.try_start().unwrap_err();
        assert!(told.contains("has not the keys of"), "{told}");
        let setup = Setup { dir: world.dir(), variables: &[] };
        let commands = [
            &["keys", "create", "analyst", "--regions", "DE"][..],
            &["keys", "shred", "--epoch", "de/2026-09-04.90", "--yes"],
            &["keys", "rotate", "--table", "de/usage", "--day", "2026-11-22"],
            &["keys", "migrate"],
        ];
        for command in commands {
            let (code, out, errors) = setup.run(command);
            assert!(code != 0 && errors.contains("has not the keys of"), "{command:?}: {out}{errors}");
        }
    }
    write(&key_file, &right);
    world.try_start().unwrap();
    assert_eq!(world.client().events(&world.keys.app, &events)["duplicate"], 1);
}
