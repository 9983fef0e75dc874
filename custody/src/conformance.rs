//! What every implementation of [`Custody`] must do: one suite, which panics with what is wrong.
//!
//! Invariant: nothing here knows which implementation it looks at. Not here: what is particular to one, as a token that is sealed.
#![allow(clippy::unwrap_used)]

use crate::custody::Custody;
use crate::envelope::Envelope;
use crate::error::CustodyError;
use crate::key_name::Wrapped;

const CONTEXT: &[u8] = b"conformance of a custody";
const SECRETS: [&[u8]; 3] = [b"", b"a", &[0x5a; 32]];

#[track_caller]
fn refused(custody: &dyn Custody, context: &[u8], wrapped: &Wrapped) {
    let Err(told) = custody.unwrap(context, wrapped) else { panic!("it must not be unwrapped") };
    let is_meant = matches!(told, CustodyError::NotAuthentic { .. } | CustodyError::NoKey { .. });
    assert!(is_meant, "{told}");
}

/// Checks a custody that answers; `rotate` gives its key another version.
///
/// # Panics
/// When it breaks a promise of [`Custody`].
pub fn custody(custody: &dyn Custody, rotate: &mut dyn FnMut()) {
    for secret in &SECRETS[1..] {
        let wrapped = custody.wrap(CONTEXT, secret).unwrap();
        assert_eq!(&**custody.unwrap(CONTEXT, &wrapped).unwrap(), *secret);
        let other = custody.wrap(CONTEXT, secret).unwrap();
        assert_ne!(wrapped.bytes, other.bytes, "a nonce is used once");
        assert_eq!(wrapped.key, other.key);
        let shown = format!("{wrapped:?}");
        assert!(
            secret.len() < 8 || !wrapped.bytes.windows(secret.len()).any(|part| part == *secret),
            "{shown}"
        );
    }
    only_what_was_wrapped_is_unwrapped(custody);
    let (before, wrapped) = (custody.probe().unwrap(), custody.wrap(CONTEXT, SECRETS[2]).unwrap());
    assert_eq!(before, wrapped.key, "a probe tells the key that wraps");
    rotate();
    let after = custody.wrap(CONTEXT, SECRETS[2]).unwrap();
    assert_eq!(after.key.name, before.name);
    assert_ne!(after.key.version, before.version, "the newest version wraps");
    assert_eq!(custody.probe().unwrap(), after.key);
    for wrapped in [&wrapped, &after] {
        assert_eq!(&**custody.unwrap(CONTEXT, wrapped).unwrap(), SECRETS[2], "older versions unwrap");
    }
    let exchanged = Wrapped { key: after.key.clone(), bytes: wrapped.bytes.clone() };
    refused(custody, CONTEXT, &exchanged);
    envelopes(custody);
}

fn only_what_was_wrapped_is_unwrapped(custody: &dyn Custody) {
    let wrapped = custody.wrap(CONTEXT, SECRETS[2]).unwrap();
    for context in [&b""[..], b"conformance of another custody", &CONTEXT[1..]] {
        refused(custody, context, &wrapped);
    }
    let length = wrapped.bytes.len();
    for at in [0, 5, 12, length / 2, length - 2] {
        let mut damaged = wrapped.clone();
        damaged.bytes[at] ^= 1;
        refused(custody, CONTEXT, &damaged);
    }
    for left in [0, 1, 11, 20, length - 4] {
        refused(custody, CONTEXT, &Wrapped { bytes: wrapped.bytes[..left].to_vec(), ..wrapped.clone() });
    }
    let mut longer = wrapped.clone();
    longer.bytes.extend([0; 4]);
    refused(custody, CONTEXT, &longer);
    for (name, version) in [("no-such-key", wrapped.key.version.as_str()), (wrapped.key.name.as_str(), "99")]
    {
        let mut other = wrapped.clone();
        (other.key.name, other.key.version) = (name.to_owned(), version.to_owned());
        refused(custody, CONTEXT, &other);
    }
}

fn envelopes(custody: &dyn Custody) {
    let text = "shoal-keys 2\nUS 5a5a\n";
    let sealed = Envelope::seal(custody, text).unwrap();
    let written = sealed.to_text();
    assert!(!written.contains("5a5a"));
    let read = Envelope::parse(&written).unwrap();
    assert_eq!((read.kind(), read.key()), (custody.kind(), sealed.key()));
    assert_eq!(read.open(custody).unwrap().as_str(), text);
}
