//! The key file moves to the custody that the settings say, or is wrapped anew in the one that it is in.
//!
//! Its secrets do not change, and what is encrypted with them stays as it is. A service that runs beside goes on: it has read the key file.
//!
//! Invariants: the file of before is there until the new one is durable and was unwrapped by its custody; the line of the audit is durable
//! before the new one takes the place; only the key file that the data were made with is moved; nothing is put into the clear unless that
//! is asked for. Not here: the steps (`shoal-custody`, `replacing.rs`), what a key file says of its custody (`envelope.rs` there).

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_custody::{Custodies, Envelope, KeyFilePlace};
use shoal_privacy::keyring::Keyring;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::file_keys::audit_place;
use crate::key_check;
use crate::key_file::{self, KeyError};

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A key file that is in the clear is to be wrapped.
    Wrap,
    /// A wrapped one is to be wrapped anew.
    Rewrap,
    /// A wrapped one is to be in the clear, whatever the settings say: what unwraps it must still be set.
    InTheClear,
}

/// How a key file was kept, and is kept now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Moved {
    /// How it was.
    pub(crate) before: Kept,
    /// How it is.
    pub(crate) after: Kept,
}

/// How a key file is kept. The audit has it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Kept {
    /// By which custody; none in the clear.
    pub(crate) custody: Option<&'static str>,
    /// By which key.
    pub(crate) key: Option<String>,
    /// Of which version.
    pub(crate) version: Option<String>,
}

impl Kept {
    /// How this text is kept.
    pub(crate) fn of(text: &str) -> Kept {
        match Envelope::parse(text) {
            Ok(envelope) => Kept {
                custody: Some(envelope.kind().as_str()),
                key: Some(envelope.key().name.clone()),
                version: Some(envelope.key().version.clone()),
            },
            Err(_) => Kept { custody: None, key: None, version: None },
        }
    }

    /// The same in words.
    pub(crate) fn words(&self) -> String {
        match (self.custody, &self.key, &self.version) {
            (Some(custody), Some(key), Some(version)) => {
                format!("in the custody of `{custody}`, wrapped with its key `{key}` version {version}")
            }
            _ => "in the clear".to_owned(),
        }
    }
}

/// Moves the key file, or wraps it anew.
///
/// # Errors
/// When it is not kept as is wanted, is not the one that the data were made with, when a custody does not do its part, or when the audit or a
/// file cannot be written. It may be repeated.
pub(crate) fn rewrap(config: &Config, wanted: Wanted, now_ms: i64) -> Result<Moved, Error> {
    let path = &config.key_file;
    let place = KeyFilePlace::lock(path).map_err(|e| Error::io(path, e))?;
    let custodies = key_file::of(path, config)?;
    let text = key_file::text(path)?;
    check(&custodies, wanted, &text)?;
    let custody_error = |source| Error::from(key_file::custody_error(path, source));
    let secrets = custodies.read(text.clone()).map_err(custody_error)?;
    let keyring = Keyring::parse(&secrets)
        .map_err(|reason| KeyError::Format { path: path.display().to_string(), reason })?;
    key_check::compare(&config.data_dir, path, &keyring)?;
    let new = match wanted {
        Wanted::InTheClear => secrets.clone(),
        Wanted::Wrap | Wanted::Rewrap => key_file::wrapped(path, &custodies, &secrets)?,
    };
    let moved = Moved { before: Kept::of(&text), after: Kept::of(&new) };
    let verify = |read: Zeroizing<String>| {
        let found = custodies.read(read).map_err(custody_error)?;
        match *found == *secrets {
            true => Ok(()),
            false => {
                Err(Error::Service("the new key file has other secrets than the one of before".to_owned()))
            }
        }
    };
    let replaced = place.replace(&new, verify, || announce(config, &moved, now_ms));
    replaced.map_err(|e| Error::io(path, e))??;
    Ok(moved)
}

/// Whether what is wanted can be.
fn check(custodies: &Custodies, wanted: Wanted, text: &str) -> Result<(), Error> {
    let (is_wrapped, to_the_clear) = (Envelope::is_one(text), custodies.is_in_the_clear());
    let refused = match (wanted, is_wrapped, to_the_clear) {
        (Wanted::Wrap, true, _) => "the key file is wrapped already: `shoal keys rewrap` wraps it anew",
        (Wanted::Rewrap | Wanted::InTheClear, false, _) => {
            "the key file is in the clear: `shoal keys wrap` wraps it"
        }
        (Wanted::Wrap, _, true) => {
            "nothing says with what: set `keys.custody` to `pkcs11` or `transit`, or set `keys.wrapping_file`"
        }
        (Wanted::Rewrap, _, true) => {
            "`keys.custody` is `file`, and `keys.wrapping_file` is not set, so the key file would be in the clear: if that is wanted, add \
             --in-the-clear"
        }
        _ => return Ok(()),
    };
    Err(Error::Usage(format!("nothing was changed: {refused}")))
}

/// Writes the line of the audit. A data directory that no service has served has none, and gets none.
fn announce(config: &Config, moved: &Moved, now_ms: i64) -> Result<(), Error> {
    if !config.data_dir.is_dir() {
        return Ok(());
    }
    let audit = std::sync::Arc::new(Audit::open_at(audit_place(config)?)?);
    let actor = Actor { key: None, role: Role::Operator };
    let origin = Origin { at_ms: now_ms, act: Act::KeyFileRewrap, id: Uuid::new_v4(), actor };
    let written = futures::executor::block_on(audit.begin(origin, moved.clone()).end(ActOutcome::Done));
    Ok(written?)
}

#[cfg(test)]
mod tests;
