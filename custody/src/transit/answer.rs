//! What an answer of a transit service means.
//!
//! Errors are told by their status and by words that OpenBao 2 and Vault 1 have in common. What a service says is never passed on, but for
//! the few words that are listed here: an error must not have what a service, or who poses as one, puts there.
//!
//! Invariants: the body is in memory that is zeroised, and so is what is read out of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// What an answer that is no success means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It does not answer. Another try may help, unless it was the last.
    Away(String),
    /// It is sealed.
    Sealed,
    /// The token may not do this.
    Denied,
    /// The key, or its version, is not there.
    NoKey(&'static str),
    /// The ciphertext or the context is not that of then.
    NotAuthentic,
    /// The settings will not do.
    Unusable(String),
}

/// A successful answer. No `Debug`.
pub(super) struct Said(Zeroizing<Vec<u8>>);

#[derive(Deserialize)]
struct Outer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

/// Borrowed, so that no copy is left: base64 has no escapes.
#[derive(Deserialize)]
struct Decrypted<'a> {
    plaintext: &'a str,
}

#[derive(Deserialize, Default)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Said {
    pub(super) fn new(body: Zeroizing<Vec<u8>>) -> Said {
        Said(body)
    }

    /// The ciphertext of an answer to `encrypt`.
    pub(super) fn ciphertext(&self) -> Option<String> {
        serde_json::from_slice::<Outer<Encrypted>>(&self.0).ok().map(|outer| outer.data.ciphertext)
    }

    /// The plaintext of an answer to `decrypt`.
    pub(super) fn plaintext(&self) -> Option<Zeroizing<Vec<u8>>> {
        let outer = serde_json::from_slice::<Outer<Decrypted<'_>>>(&self.0).ok()?;
        let text = outer.data.plaintext;
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }
}

/// What a status and a body mean that are no success.
pub(super) fn meaning(status: u16, body: &[u8]) -> Meaning {
    let errors = serde_json::from_slice::<Errors>(body).unwrap_or_default().errors;
    let says = |words: &str| errors.iter().any(|error| error.to_ascii_lowercase().contains(words));
    match status {
        503 if says("sealed") => Meaning::Sealed,
        301 | 302 | 307 | 308 => Meaning::Away(
            "it sends to another address, which is not followed. Name the address of the active node, or of what stands before all of them"
                .to_owned(),
        ),
        412 | 429 | 472 | 473 | 500..=599 => Meaning::Away(format!("its answer is {status}")),
        401 | 403 => Meaning::Denied,
        404 if says("no handler") || says("route") => {
            Meaning::Unusable("no transit engine is mounted there; see `keys.transit_mount`".to_owned())
        }
        404 => Meaning::NoKey("there is none of this name, or it was deleted"),
        400 if says("key not found") => Meaning::NoKey("there is none of this name, or it was deleted"),
        400 if says("too old") || says("too new") || says("disallowed by policy") => {
            Meaning::NoKey("that version was destroyed, or may not be used any more")
        }
        400 if says("soft deleted") || says("soft-deleted") => Meaning::NoKey("it was deleted, and can be restored"),
        400 if says("message authentication failed") || says("invalid ciphertext") || says("unable to decrypt") => {
            Meaning::NotAuthentic
        }
        400 if says("associated_data") => {
            Meaning::Unusable("the key is of a type that cannot authenticate; make one of type `aes256-gcm96`".to_owned())
        }
        _ => Meaning::Unusable(format!("its answer is {status}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_service_says_is_understood_and_never_passed_on() {
        let said = |status, text: &str| meaning(status, format!("{{\"errors\":[\"{text}\"]}}").as_bytes());
        assert_eq!(said(503, "Vault is sealed"), Meaning::Sealed);
        assert_eq!(said(403, "permission denied"), Meaning::Denied);
        assert_eq!(said(400, "cipher: message authentication failed"), Meaning::NotAuthentic);
        assert!(matches!(said(400, "encryption key not found"), Meaning::NoKey(_)));
        assert!(matches!(meaning(404, b"{\"errors\":[]}"), Meaning::NoKey(_)));
        assert!(matches!(said(307, ""), Meaning::Away(_)));
        for status in [200, 204, 400, 404, 418, 429, 500, 502, 503] {
            for body in [&b"s3cret"[..], b"{\"errors\":[\"s3cret\"]}", b"{\"errors\":7}", b"\xff", b""] {
                assert!(!format!("{:?}", meaning(status, body)).contains("s3cret"));
            }
        }
    }

    #[test]
    fn an_answer_that_is_none_has_neither_text() {
        for body in
            ["", "{}", "{\"data\":{}}", "{\"data\":{\"plaintext\":7}}", "{\"data\":{\"plaintext\":\"!\"}}"]
        {
            let said = Said::new(Zeroizing::new(body.as_bytes().to_vec()));
            assert!(said.plaintext().is_none() && said.ciphertext().is_none(), "{body}");
        }
        let said = Said::new(Zeroizing::new(b"{\"data\":{\"plaintext\":\"AAEC\"}}".to_vec()));
        assert_eq!(said.plaintext().unwrap()[..], [0, 1, 2]);
    }
}
