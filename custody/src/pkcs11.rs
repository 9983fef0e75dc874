//! Custody by a key in a PKCS#11 token: an HSM, a smart card, or SoftHSM.
//!
//! ```text
//! key       CKO_SECRET_KEY, CKK_AES, CKA_LABEL = its name, CKA_ID = its version, as a number of big-endian bytes: the greatest wraps
//! wrapped   IV, 12 bytes | AES-GCM of the secret, with the context as associated data | tag, 16 bytes         (CKM_AES_GCM)
//! ```
//! The IV is random, and replaced by that of the token where the token makes its own. A key is rotated by making another one with the same
//! label and a greater id, and destroyed in the token.
//!
//! Invariants: the key never leaves the token: one that could is not used to wrap; a wrong PIN is not tried again, because tokens lock after
//! a few; a call to a module that hangs is given up in time. Not here: what one call does (`session`).

mod session;
mod settings;

use std::sync::mpsc;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::error::{Error, RvError};
use zeroize::Zeroizing;

use crate::custody::Custody;
use crate::error::CustodyError;
use crate::key_name::{KeyName, Kind, Wrapped, is_plain};
use session::Login;

pub use settings::Pkcs11Settings;

/// A token.
pub struct Pkcs11 {
    module: cryptoki::context::Pkcs11,
    settings: Pkcs11Settings,
}

impl Pkcs11 {
    /// Loads the module. Nobody is logged in yet.
    ///
    /// # Errors
    /// When the settings will not do, or the module cannot be loaded or does not start.
    pub fn open(settings: Pkcs11Settings) -> Result<Pkcs11, CustodyError> {
        let unusable = |reason: String| CustodyError::unusable(settings.place(), reason);
        if !is_plain(&settings.token) || !is_plain(&settings.key) {
            return Err(unusable(
                "the label of the token or of the key is empty, too long or not printable".to_owned(),
            ));
        }
        // The system would look for another one in its own directories.
        if !settings.module.is_absolute() {
            return Err(unusable("the path of its module is not absolute".to_owned()));
        }
        let path = settings.module.clone();
        let loaded = in_time(settings.timeout, move || {
            let module = cryptoki::context::Pkcs11::new(&path)?;
            match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
                Err(error) => return Err(error),
            }
            // A module is never unloaded: a call that was given up may still be in it.
            std::mem::forget(module.clone());
            Ok(module)
        });
        match loaded {
            Some(Ok(module)) => Ok(Pkcs11 { module, settings }),
            Some(Err(Error::LibraryLoading(_) | Error::MissingSymbol(_))) => {
                Err(unusable("it cannot be loaded, or is no PKCS#11 module".to_owned()))
            }
            Some(Err(error)) => Err(unusable(format!("it does not start ({})", session::code(&error)))),
            None => Err(settings.away()),
        }
    }

    /// Does something in a session of its own, on a thread of its own.
    fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Login) -> Result<T, CustodyError> + Send + 'static,
    ) -> Result<T, CustodyError> {
        let (module, settings) = (self.module.clone(), self.settings.clone());
        let done = in_time(self.settings.timeout, move || what(&Login::open(&module, &settings)?));
        done.unwrap_or_else(|| Err(self.settings.away()))
    }
}

impl Custody for Pkcs11 {
    fn kind(&self) -> Kind {
        Kind::Pkcs11
    }

    fn wrap(&self, context: &[u8], secret: &[u8]) -> Result<Wrapped, CustodyError> {
        let (context, secret) = (context.to_vec(), Zeroizing::new(secret.to_vec()));
        let name = self.settings.key.clone();
        self.ask(move |login| {
            let key = login.newest(&name)?;
            let bytes = login.encrypt(&key, &context, &secret)?;
            Ok(Wrapped { key: KeyName { name, version: key.version }, bytes })
        })
    }

    fn unwrap(&self, context: &[u8], wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let (context, wrapped) = (context.to_vec(), wrapped.clone());
        self.ask(move |login| {
            let key = login.of(&wrapped.key)?;
            login.decrypt(&key, &context, &wrapped)
        })
    }
}

/// What `work` answers; none when it takes too long, and goes on by itself: nothing can end a call into a module.
fn in_time<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, waiting) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("custody".to_owned());
    thread.spawn(move || drop(done.send(work()))).ok()?;
    waiting.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use super::*;

    fn settings(module: &str) -> Pkcs11Settings {
        Pkcs11Settings {
            module: module.into(),
            token: "shoal".to_owned(),
            key: "shoal".to_owned(),
            pin_file: "/nowhere/pin".into(),
            timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_module_that_hangs_is_given_up_in_time() {
        let began = Instant::now();
        let (release, held) = mpsc::channel::<()>();
        assert!(in_time(Duration::from_millis(50), move || held.recv()).is_none());
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(release);
        assert_eq!(in_time(Duration::from_secs(10), || 7), Some(7));
        let told = settings("/m").away().to_string();
        assert!(told.contains("longer than 10000 ms"), "{told}");
    }

    #[test]
    fn what_is_no_module_and_labels_that_are_none_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("module.so");
        std::fs::write(&text, "no module").unwrap();
        for module in ["/nowhere/module.so", text.to_str().unwrap()] {
            let told = Pkcs11::open(settings(module)).err().unwrap();
            assert!(matches!(told, CustodyError::Unusable { .. }), "{told}");
            assert!(told.to_string().contains("cannot be loaded"), "{told}");
        }
        let told = Pkcs11::open(settings("libsofthsm2.so")).err().unwrap().to_string();
        assert!(told.contains("not absolute"), "{told}");
        for label in ["", " a", "a\nb"] {
            let told = Pkcs11::open(Pkcs11Settings { key: label.to_owned(), ..settings("/m") });
            assert!(told.err().unwrap().to_string().contains("label"));
        }
    }
}
