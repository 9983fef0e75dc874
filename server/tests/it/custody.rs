//! The key file in custody of OpenBao and of SoftHSM: a start needs its custody, a service that runs does not, and nothing is lost on the way
//! in and out.
//!
//! Not here: what a custody promises (`custody/tests/it`); files of wrapping keys (`server/src/key_custody/tests.rs`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shoal_custody::Kind;
use shoal_server::Config;

use crate::process::Setup;
use crate::stage::{POLICY, World, batch, click};

#[allow(dead_code)]
#[path = "../../../custody/tests/it/openbao.rs"]
mod openbao;

use openbao::OpenBao;

const RULES: &str = "path \"transit/encrypt/shoal\" { capabilities = [\"update\"] }\n\
                     path \"transit/decrypt/shoal\" { capabilities = [\"update\"] }\n";

/// The settings of a custody by this service.
fn edit(server: &OpenBao) -> impl Fn(&mut Config) + use<> {
    let token = server.dir.path().join("token");
    fs::write(&token, server.token(RULES)).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let url = server.url.clone();
    move |config| {
        config.keys.custody = Kind::Transit;
        config.keys.transit_url = Some(url.clone());
        config.keys.transit_token_file = Some(token.clone());
        config.keys.timeout_ms = 2_000;
        // As another process, which has unwrapped nothing.
        config.unwrapped = Default::default();
    }
}

/// Runs a command of the real binary on the same directory.
fn command(world: &World, server: &OpenBao, words: &[&str]) -> (i32, String, String) {
    let token = server.dir.path().join("token").display().to_string();
    let variables = [
        ("SHOAL_KEYS_CUSTODY", "transit"),
        ("SHOAL_KEYS_TRANSIT_URL", server.url.as_str()),
        ("SHOAL_KEYS_TRANSIT_TOKEN_FILE", token.as_str()),
    ];
    Setup { dir: world.dir(), variables: &variables }.run(words)
}

/// How the key file begins.
fn head(dir: &Path) -> String {
    fs::read_to_string(dir.join("shoal.key")).unwrap().lines().next().unwrap().to_owned()
}

fn withdraw(world: &World, user: &str) {
    let body = json!({"action": "withdraw", "programme": "user-experience", "policy_version": POLICY,
        "user_id": user, "country": "DE"});
    world.client().post("/v1/consents", &world.keys.app, body.to_string()).expect(200);
}

/// What became of an event of each of these people.
fn became(world: &World, id: &str, people: &[&str]) -> Vec<Value> {
    let events = people.iter().map(|user| click(&format!("{id}-{user}"), user, "a")).collect();
    let answer = world.client().events(&world.keys.app, &batch("DE", events));
    let of = |event: &Value| event.get("code").cloned().unwrap_or_default();
    answer["events"].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn a_start_needs_the_custody_and_a_service_that_runs_does_not() {
    let mut server = OpenBao::start();
    let edit = edit(&server);
    let mut world = World::with(&edit);
    assert_eq!(head(world.dir()), "shoal-keys 3", "the first start made it in its custody");
    withdraw(&world, "anna");
    let before = became(&world, "1", &["anna", "berta"]);
    assert_eq!(before[0], "withdrawn");

    world.stop();
    server.seal();
    world.edit(&edit);
    let told = world.try_start().unwrap_err();
    assert!(told.contains("is sealed") && told.contains("unseal it"), "{told}");
    let (code, _, errors) = command(&world, &server, &["keys", "list", "--stored"]);
    assert!(code == 1 && errors.contains("is sealed"), "{errors}");
    let (_, checks, _) = command(&world, &server, &["doctor", "--json"]);
    assert!(checks.contains("\"custody\"") && checks.contains("is sealed"), "{checks}");
    server.unseal();
    world.try_start().unwrap();
    assert_eq!(became(&world, "2", &["anna", "berta"]), before, "nobody is another one");
    let (_, checks, _) = command(&world, &server, &["doctor", "--json"]);
    assert!(checks.contains("answers, with its key `shoal` version 1"), "{checks}");

    server.kill();
    assert_eq!(became(&world, "3", &["anna", "berta"]), before);
    withdraw(&world, "berta");
    world.flush();
    assert_eq!(became(&world, "4", &["berta"]), ["withdrawn"]);
    world.stop();
    world.edit(&edit);
    let told = world.try_start().unwrap_err();
    assert!(told.contains("does not answer") && told.contains("try again"), "{told}");
}

#[test]
fn a_key_file_goes_into_custody_and_back_beside_a_service_that_runs() {
    let server = OpenBao::start();
    let edit = edit(&server);
    let mut world = World::new();
    withdraw(&world, "anna");
    let before = became(&world, "1", &["anna", "berta"]);
    let clear = fs::read_to_string(world.dir().join("shoal.key")).unwrap();
    let run = |world: &World, words: &[&str]| {
        let (code, out, errors) = command(world, &server, words);
        assert_eq!(code, 0, "{words:?}: {out}{errors}");
        out
    };
    let told = run(&world, &["keys", "wrap"]);
    assert!(told.contains("was in the clear") && told.contains("custody of `transit`"), "{told}");
    assert_eq!(became(&world, "2", &["anna", "berta"]), before, "the service goes on");
    world.stop();
    let told = world.try_start().unwrap_err();
    assert!(told.contains("is in the custody of `transit`") && told.contains("in the clear"), "{told}");
    world.edit(&edit);
    world.try_start().unwrap();
    assert_eq!(became(&world, "3", &["anna", "berta"]), before);
    server.ok("POST", "transit/keys/shoal/rotate", json!({}));
    let (_, checks, _) = command(&world, &server, &["doctor", "--json"]);
    assert!(checks.contains("shoal keys rewrap"), "{checks}");
    let moved: Value = serde_json::from_str(&run(&world, &["keys", "rewrap", "--json"])).unwrap();
    assert_eq!((&moved["before"]["version"], &moved["after"]["version"]), (&json!("1"), &json!("2")));
    run(&world, &["keys", "rewrap", "--in-the-clear"]);
    assert_eq!(fs::read_to_string(world.dir().join("shoal.key")).unwrap(), clear);
    world.stop();
    world.edit(|config| config.keys.custody = Kind::File);
    world.try_start().unwrap();
    assert_eq!(became(&world, "4", &["anna", "berta"]), before);
    let (code, _, errors) = Setup { dir: world.dir(), variables: &[] }.run(&["audit", "verify"]);
    assert_eq!(code, 0, "{errors}");
}

/// The real binary with a token: SoftHSM is told by the environment where its tokens are.
#[test]
fn a_service_starts_with_a_token_and_not_with_a_wrong_pin_or_without_its_key() {
    let world = &mut World::new();
    let _ = became(world, "1", &["berta"]);
    world.stop();
    let dir = world.dir().to_path_buf();
    let [conf, tokens, pin, key] = ["softhsm2.conf", "tokens", "pin", "aes"].map(|name| dir.join(name));
    fs::create_dir(&tokens).unwrap();
    fs::write(&conf, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()))
        .unwrap();
    let write = |path: &Path, text: &[u8]| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&pin, b"pin-of-the-tests\n");
    write(&key, &[7; 32]);
    let token = |words: &[&str]| {
        let mut command = Command::new("softhsm2-util");
        let done = command
            .args(words)
            .args(["--pin", "pin-of-the-tests"])
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    token(&["--init-token", "--free", "--label", "shoal", "--so-pin", "pin-of-the-officer"]);
    let import = key.display().to_string();
    token(&["--import", &import, "--aes", "--token", "shoal", "--label", "shoal", "--id", "01"]);
    let module = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
    let module =
        module.into_iter().find(|path| Path::new(path).exists()).expect("softhsm2 must be installed");
    let (conf, pin_file) = (conf.display().to_string(), pin.display().to_string());
    let variables = [
        ("SOFTHSM2_CONF", conf.as_str()),
        ("SHOAL_KEYS_CUSTODY", "pkcs11"),
        ("SHOAL_KEYS_PKCS11_MODULE", module),
        ("SHOAL_KEYS_PKCS11_PIN_FILE", pin_file.as_str()),
    ];
    let setup = Setup { dir: &dir, variables: &variables };
    let (code, _, errors) = setup.run(&["serve"]);
    assert!(code == 1 && errors.contains("run: shoal keys wrap"), "{errors}");
    let (code, told, errors) = setup.run(&["keys", "wrap"]);
    assert!(code == 0 && told.contains("its key `shoal` version 1"), "{told}{errors}");
    assert_eq!(head(&dir), "shoal-keys 3");
    let process = setup.serve();
    assert!(process.terminate().success());
    let (_, checks, _) = setup.run(&["doctor", "--json"]);
    assert!(checks.contains("`pkcs11` answers, with its key `shoal` version 1"), "{checks}");
    write(&pin, b"pin-of-nobody");
    let (code, _, errors) = setup.run(&["serve"]);
    assert!(code == 1 && errors.contains("PIN is wrong") && !errors.contains("pin-of-nobody"), "{errors}");
    write(&pin, b"pin-of-the-tests");
    fs::remove_dir_all(&tokens).unwrap();
    fs::create_dir(&tokens).unwrap();
    let (code, _, errors) = setup.run(&["serve"]);
    assert!(code == 1 && errors.contains("no token of this label"), "{errors}");
}
