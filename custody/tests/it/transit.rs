//! Custody by a transit service: OpenBao, as it is shipped.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shoal_custody::{Custody as _, CustodyError, Token, Transit, TransitSettings, conformance};
use zeroize::Zeroizing;

use crate::openbao::OpenBao;

const CONTEXT: &[u8] = b"tests of a transit service";
const SECRET: &[u8] = b"a secret of a test";
/// All that a service needs: it may not even look at the key.
const RULES: &str = "path \"transit/encrypt/shoal\" { capabilities = [\"update\"] }\n\
                     path \"transit/decrypt/shoal\" { capabilities = [\"update\"] }\n";

fn token(text: &str) -> Token {
    Token::Text(Zeroizing::new(text.to_owned()))
}

#[track_caller]
fn shown(error: &CustodyError) -> String {
    let shown = format!("{error} {error:?}");
    let is_token = |word: &str| word.trim_start_matches(['"', '`', '(']).starts_with("s.");
    assert!(!shown.contains("a secret of a test") && !shown.split_whitespace().any(is_token), "{shown}");
    shown
}

#[test]
fn a_transit_service_keeps_what_a_custody_promises() {
    let server = OpenBao::start();
    let mut rotate = || drop(server.ok("POST", "transit/keys/shoal/rotate", json!({})));
    conformance::custody(&server.custody(), &mut rotate);
    let newest = server.custody().probe().unwrap();
    assert_eq!((newest.name.as_str(), newest.version.as_str()), ("shoal", "2"));
}

#[test]
fn a_key_that_is_not_there_is_not_made_and_versions_that_were_destroyed_are_told() {
    let server = OpenBao::start();
    let custody = server.custody();
    // A service makes a key that is not there, for whoever may.
    let other = Transit::open(TransitSettings { key: "shaol".to_owned(), ..server.settings() }).unwrap();
    let told = other.wrap(CONTEXT, SECRET).err().unwrap();
    assert!(matches!(told, CustodyError::NoKey { .. }) && shown(&told).contains("`shaol`"), "{told}");
    let keys = server.ok("GET", "transit/keys?list=true", Value::Null);
    assert_eq!(keys["data"]["keys"], json!(["shoal"]));

    let wrapped = custody.wrap(CONTEXT, SECRET).unwrap();
    server.ok("POST", "transit/keys/shoal/rotate", json!({}));
    server.ok(
        "POST",
        "transit/keys/shoal/config",
        json!({"min_decryption_version": 2, "min_encryption_version": 2}),
    );
    let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(told, CustodyError::NoKey { .. }) && shown(&told).contains("version 1"), "{told}");
    server.ok("POST", "transit/keys/shoal/trim", json!({"min_available_version": 2}));
    let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(told, CustodyError::NoKey { .. }), "{told}");
    let newer = custody.wrap(CONTEXT, SECRET).unwrap();
    assert_eq!(&**custody.unwrap(CONTEXT, &newer).unwrap(), SECRET);

    server.ok("POST", "transit/keys/shoal/config", json!({"deletion_allowed": true}));
    server.ok("DELETE", "transit/keys/shoal", Value::Null);
    for told in
        [custody.unwrap(CONTEXT, &newer).err(), custody.wrap(CONTEXT, SECRET).err(), custody.probe().err()]
    {
        let told = told.unwrap();
        assert!(matches!(told, CustodyError::NoKey { .. }), "{}", shown(&told));
    }
    server.ok("POST", "transit/keys/signs", json!({"type": "rsa-2048"}));
    let signs = Transit::open(TransitSettings { key: "signs".to_owned(), ..server.settings() }).unwrap();
    let told = signs.wrap(CONTEXT, SECRET).err().unwrap();
    assert!(shown(&told).contains("aes256-gcm96"), "{told}");
    let away = Transit::open(TransitSettings { mount: "elsewhere".to_owned(), ..server.settings() }).unwrap();
    let told = away.unwrap(CONTEXT, &newer).err().unwrap();
    assert!(shown(&told).contains("keys.transit_mount"), "{told}");
}

#[test]
fn a_token_needs_two_rights_and_is_refused_when_it_is_wrong_or_revoked() {
    let server = OpenBao::start();
    let right = server.token(RULES);
    let with =
        |text: &str| Transit::open(TransitSettings { token: token(text), ..server.settings() }).unwrap();
    let custody = with(&right);
    let wrapped = custody.wrap(CONTEXT, SECRET).unwrap();
    assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), SECRET);
    assert_eq!(custody.probe().unwrap(), wrapped.key);
    let reads = server.token("path \"transit/keys/shoal\" { capabilities = [\"read\"] }");
    for wrong in ["s.nobody", reads.as_str()] {
        let told = with(wrong).unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::Denied { .. }) && shown(&told).contains("policy"), "{told}");
        assert!(matches!(with(wrong).wrap(CONTEXT, SECRET), Err(CustodyError::Denied { .. })));
    }
    server.token(RULES);
    assert!(custody.unwrap(CONTEXT, &wrapped).is_ok());
    server.ok("POST", "auth/token/revoke", json!({"token": right}));
    assert!(matches!(custody.unwrap(CONTEXT, &wrapped), Err(CustodyError::Denied { .. })));

    // A file is read for each call: whoever renews the token writes it anew.
    let path = server.dir.path().join("token");
    std::fs::write(&path, &right).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let custody =
        Transit::open(TransitSettings { token: Token::File(path.clone()), ..server.settings() }).unwrap();
    assert!(matches!(custody.unwrap(CONTEXT, &wrapped), Err(CustodyError::Denied { .. })));
    std::fs::write(&path, format!("{}\n", server.token(RULES))).unwrap();
    assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), SECRET);
}

#[test]
fn a_service_that_is_sealed_hangs_or_is_gone_is_told_and_serves_when_it_is_back() {
    let mut server = OpenBao::start();
    let custody =
        Transit::open(TransitSettings { timeout: Duration::from_secs(1), ..server.settings() }).unwrap();
    let wrapped = custody.wrap(CONTEXT, SECRET).unwrap();
    server.seal();
    let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(told, CustodyError::Sealed { .. }) && shown(&told).contains("unseal it"), "{told}");
    server.unseal();
    assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), SECRET);

    server.pause(true);
    let began = Instant::now();
    let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(told, CustodyError::Away { .. }) && shown(&told).contains("takes too long"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(10));
    server.pause(false);
    assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), SECRET);

    server.kill();
    let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(told, CustodyError::Away { .. }), "{}", shown(&told));
}

#[test]
fn a_certificate_must_be_of_the_authority_that_is_named() {
    let server = OpenBao::with_tls();
    let ca_file = std::fs::read_dir(server.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().ends_with("ca.pem"))
        .unwrap();
    let with = |ca_file| Transit::open(TransitSettings { ca_file, ..server.settings() });
    let custody = with(Some(ca_file)).unwrap();
    let wrapped = custody.wrap(CONTEXT, SECRET).unwrap();
    assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), SECRET);
    let told = with(None).unwrap().unwrap(CONTEXT, &wrapped).err().unwrap();
    assert!(matches!(told, CustodyError::Unusable { .. }), "{told}");
    assert!(shown(&told).contains("not trusted"), "{told}");
    let none = server.dir.path().join("none.pem");
    std::fs::write(&none, "no certificate").unwrap();
    let told = with(Some(none)).err().unwrap();
    assert!(shown(&told).contains("no certificate"), "{told}");
    let plain = server.url.replace("https", "http");
    let told = Transit::open(TransitSettings { url: plain, ..server.settings() }).unwrap();
    assert!(told.unwrap(CONTEXT, &wrapped).is_err(), "it speaks TLS alone");
}
