//! Custody by a service that speaks Vault's transit protocol, as OpenBao and Vault do.
//!
//! ```text
//! GET  <url>/v1/<mount>/keys/<key>       is it there? Only before something is wrapped; a policy need not allow it
//! POST <url>/v1/<mount>/encrypt/<key>    {"plaintext": base64, "associated_data": base64}  -> "vault:v3:<base64>"
//! POST <url>/v1/<mount>/decrypt/<key>    {"ciphertext": "vault:v3:..", "associated_data": base64} -> base64
//! ```
//! The first is asked because a service makes a key that is not there when the policy allows `create`, and a typing error would wrap with a
//! new key. The key must be one that authenticates what it does not encrypt (`aes256-gcm96`, `chacha20-poly1305`).
//!
//! Invariants: plain HTTP goes to this machine alone, unless that is allowed by name; no proxy and no redirection is followed, because a
//! token would go there; what the version of the key is stands in the ciphertext, and must be what the key file says.
//! Not here: how often is asked and how long (`client`), what an answer means (`answer`), which addresses may be used (`settings`).

mod answer;
mod client;
mod settings;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::custody::Custody;
use crate::error::CustodyError;
use crate::key_name::{KeyName, Kind, Wrapped};
use answer::{Meaning, Said};
use client::Client;

pub use settings::{Token, TransitSettings};

/// Whether bytes are an answer that says something.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_answer(bytes: &[u8]) -> bool {
    let said = Said::new(zeroize::Zeroizing::new(bytes.to_vec()));
    for status in [200, 400, 404, 503] {
        answer::meaning(status, bytes);
    }
    let is_plaintext = said.plaintext().is_some();
    said.ciphertext().is_some() || is_plaintext
}

/// A transit service. No `Debug`.
pub struct Transit {
    client: Client,
    mount: String,
    key: String,
}

impl Transit {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// When the settings will not do, or the certificates cannot be read.
    pub fn open(settings: TransitSettings) -> Result<Transit, CustodyError> {
        let place = format!("the transit service {}", settings.url);
        let unusable = |reason: String| CustodyError::unusable(&place, reason);
        let url = settings.address().map_err(unusable)?;
        let is_name = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let mount = settings.mount.trim_matches('/').to_owned();
        if !mount.split('/').all(is_name) || !is_key_name(&settings.key) {
            let reason = "its mount and the name of its key have letters, digits, `_`, `.` and `-` alone";
            return Err(unusable(reason.to_owned()));
        }
        let key = settings.key.clone();
        let client = Client::new(place.clone(), url, settings).map_err(unusable)?;
        Ok(Transit { client, mount, key })
    }

    /// An error of an answer about a key.
    fn refused(&self, meaning: Meaning, key: impl ToString) -> CustodyError {
        let place = self.client.place().to_owned();
        match meaning {
            Meaning::Sealed => CustodyError::Sealed { place },
            Meaning::Away(reason) => CustodyError::Away { place, reason },
            Meaning::Denied => CustodyError::Denied {
                place,
                reason: "its answer is `permission denied`. The token is wrong, expired or revoked, or its policy does not allow \
                         `update` on `encrypt` and `decrypt` of the key"
                    .to_owned(),
            },
            Meaning::NoKey(reason) => {
                CustodyError::NoKey { place, key: key.to_string(), reason: reason.to_owned() }
            }
            Meaning::NotAuthentic => CustodyError::NotAuthentic { place, key: key.to_string() },
            Meaning::Unusable(reason) => CustodyError::Unusable { place, reason },
        }
    }

    /// Whether the key is there. A policy may not tell.
    fn look(&self) -> Result<(), CustodyError> {
        let asked = self.client.get(&format!("{}/keys/{}", self.mount, self.key));
        match asked {
            Ok(_) | Err(Meaning::Denied) => Ok(()),
            Err(meaning) => Err(self.refused(meaning, format!("`{}`", self.key))),
        }
    }

    fn ask(&self, what: &str, key: &str, body: &Zeroizing<String>) -> Result<Said, Meaning> {
        self.client.post(&format!("{}/{what}/{key}", self.mount), body)
    }
}

impl Custody for Transit {
    fn kind(&self) -> Kind {
        Kind::Transit
    }

    fn wrap(&self, context: &[u8], secret: &[u8]) -> Result<Wrapped, CustodyError> {
        self.look()?;
        let secret = Zeroizing::new(STANDARD.encode(secret));
        let said = self.ask("encrypt", &self.key, &body("plaintext", &secret, context));
        let said = said.map_err(|meaning| self.refused(meaning, format!("`{}`", self.key)))?;
        let ciphertext = said.ciphertext();
        let version = ciphertext.as_deref().and_then(version_of);
        let (Some(ciphertext), Some(version)) = (&ciphertext, version) else {
            let reason = "its answer has no ciphertext of the form `vault:v1:..`: is it a transit service?";
            return Err(CustodyError::unusable(self.client.place(), reason));
        };
        let key = KeyName { name: self.key.clone(), version: version.to_owned() };
        Ok(Wrapped { key, bytes: ciphertext.as_bytes().to_vec() })
    }

    fn unwrap(&self, context: &[u8], wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let damaged = || CustodyError::not_authentic(self.client.place(), &wrapped.key);
        let ciphertext = std::str::from_utf8(&wrapped.bytes).map_err(|_| damaged())?;
        let is_meant = version_of(ciphertext) == Some(wrapped.key.version.as_str());
        if !is_meant || !is_key_name(&wrapped.key.name) {
            return Err(damaged());
        }
        let said = self.ask("decrypt", &wrapped.key.name, &body("ciphertext", ciphertext, context));
        let said = said.map_err(|meaning| self.refused(meaning, &wrapped.key))?;
        said.plaintext().ok_or_else(|| {
            CustodyError::unusable(
                self.client.place(),
                "its answer has no plaintext: is it a transit service?",
            )
        })
    }
}

/// The body of a call. None of its texts needs an escape: they are base64, or a ciphertext that was checked.
fn body(what: &str, text: &str, context: &[u8]) -> Zeroizing<String> {
    let context = STANDARD.encode(context);
    let parts = ["{\"", what, "\":\"", text, "\",\"associated_data\":\"", &context, "\"}"];
    // The full capacity at once: a buffer that grows leaves copies of secrets behind.
    let mut body = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| body.push_str(part));
    body
}

/// The version in a ciphertext of the form `vault:v3:<base64>`; none of another text.
fn version_of(ciphertext: &str) -> Option<&str> {
    let mut parts = ciphertext.split(':');
    let (prefix, version, bytes) = (parts.next()?, parts.next()?.strip_prefix('v')?, parts.next()?);
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
    let is_whole = parts.next().is_none()
        && !prefix.is_empty()
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric())
        && (1..=9).contains(&version.len())
        && version.bytes().all(|b| b.is_ascii_digit())
        && bytes.bytes().all(is_base64);
    is_whole.then_some(version)
}

/// The name of a key is part of a path, and of a line of the key file.
fn is_key_name(name: &str) -> bool {
    let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    is_plain && (1..=128).contains(&name.len()) && name.bytes().any(|b| b != b'.')
}

#[cfg(test)]
mod tests;
