//! Custody by a token: SoftHSM, as it is installed.

use cryptoki::object::Attribute;
use shoal_custody::{Custody as _, CustodyError, Pkcs11, Pkcs11Settings, conformance};

use crate::softhsm::{PIN, Token, with_token};

const CONTEXT: &[u8] = b"tests of a token";

#[track_caller]
fn shown(error: &CustodyError) -> String {
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(PIN) && !shown.contains("a secret of a test"), "{shown}");
    shown
}

#[test]
fn a_token_keeps_what_a_custody_promises() {
    with_token("pkcs11::a_token_keeps_what_a_custody_promises", |token| {
        token.make_key(&[1], &[]);
        conformance::custody(&token.custody(), &mut || _ = token.make_key(&[2], &[]));
        let newest = token.custody().probe().unwrap();
        assert_eq!((newest.name.as_str(), newest.version.as_str()), ("shoal", "2"));
        token.make_key(&[1, 0], &[]);
        assert_eq!(token.custody().probe().unwrap().version, "256", "an id is a number");
    });
}

#[test]
fn a_key_that_was_destroyed_is_told_and_comes_back_with_no_other() {
    with_token("pkcs11::a_key_that_was_destroyed_is_told_and_comes_back_with_no_other", |token| {
        token.make_key(&[1], &[]);
        let custody = token.custody();
        let wrapped = custody.wrap(CONTEXT, b"a secret of a test").unwrap();
        token.make_key(&[2], &[]);
        token.destroy_key(&[1]);
        let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::NoKey { .. }), "{told}");
        assert!(shown(&told).contains("`shoal` version 1"), "{told}");
        assert!(custody.wrap(CONTEXT, b"another").is_ok(), "the others are there");
        // One of the same name and version is another key all the same.
        token.make_key(&[1], &[]);
        let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::NotAuthentic { .. }), "{told}");
        token.destroy_key(&[1]);
        token.destroy_key(&[2]);
        let told = custody.probe().err().unwrap();
        assert!(matches!(told, CustodyError::NoKey { .. }), "{told}");
    });
}

#[test]
fn a_wrong_pin_is_refused_once_and_a_right_one_serves_again() {
    with_token("pkcs11::a_wrong_pin_is_refused_once_and_a_right_one_serves_again", |token| {
        token.make_key(&[1], &[]);
        let custody = token.custody();
        let wrapped = custody.wrap(CONTEXT, b"a secret of a test").unwrap();
        token.pin("pin-of-nobody");
        let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::Denied { .. }), "{told}");
        assert!(shown(&told).contains("PIN is wrong") && !shown(&told).contains("pin-of-nobody"));
        token.pin("");
        let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::Unusable { .. }), "{told}");
        token.pin(&format!("{PIN}\n"));
        assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), b"a secret of a test");
    });
}

#[test]
fn a_token_that_is_away_is_told_and_serves_when_it_is_back() {
    with_token("pkcs11::a_token_that_is_away_is_told_and_serves_when_it_is_back", |token| {
        token.make_key(&[1], &[]);
        let custody = token.custody();
        let wrapped = custody.wrap(CONTEXT, b"a secret of a test").unwrap();
        let other = Pkcs11Settings { token: "other".to_owned(), ..token.settings() };
        let told = Pkcs11::open(other).unwrap().unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::Away { .. }) && shown(&told).contains("`other`"), "{told}");
        token.is_away(true);
        let told = custody.unwrap(CONTEXT, &wrapped).err().unwrap();
        assert!(matches!(told, CustodyError::Away { .. }), "{}", shown(&told));
        token.is_away(false);
        // SoftHSM looks for its tokens when it starts, as with another process.
        token.restart();
        assert_eq!(&**token.custody().unwrap(CONTEXT, &wrapped).unwrap(), b"a secret of a test");
    });
}

#[test]
fn keys_that_could_leave_the_token_or_are_ambiguous_do_not_wrap() {
    with_token("pkcs11::keys_that_could_leave_the_token_or_are_ambiguous_do_not_wrap", |token| {
        let bad = |attributes: &[Attribute], part: &str| {
            token.make_key(&[7], attributes);
            let told = token.custody().wrap(CONTEXT, b"a secret of a test").err().unwrap();
            assert!(matches!(told, CustodyError::Unusable { .. }) && shown(&told).contains(part), "{told}");
            token.destroy_key(&[7]);
        };
        bad(&[Attribute::Sensitive(true), Attribute::Extractable(true)], "can be taken out");
        bad(&[Attribute::Sensitive(false), Attribute::Extractable(false)], "can be taken out");
        bad(&[Attribute::Encrypt(false)], "may not encrypt");
        token.make_key(&[3], &[]);
        token.make_key(&[0, 3], &[]);
        let told = token.custody().wrap(CONTEXT, b"a secret of a test").err().unwrap();
        assert!(shown(&told).contains("two keys"), "{told}");
    });
}

/// Several threads use one token at a time, as commands and a service do.
#[test]
fn many_ask_at_once() {
    with_token("pkcs11::many_ask_at_once", |token: &Token| {
        token.make_key(&[1], &[]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let custody = token.custody();
                    for _ in 0..10 {
                        let wrapped = custody.wrap(CONTEXT, b"a secret of a test").unwrap();
                        assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), b"a secret of a test");
                    }
                });
            }
        });
    });
}
