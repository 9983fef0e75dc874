//! One session with a token, in which its user is logged in.
//!
//! Invariants: the PIN is zeroised; errors have the name of a code of PKCS#11, and nothing else that a module says.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::settings::Pkcs11Settings;
use crate::error::CustodyError;
use crate::key_name::{KeyName, Wrapped};
use crate::secret_file;

const IV_BYTES: usize = 12;
const TAG_BITS: u64 = 128;
/// Most bytes of an id: what is longer is no version.
const ID_BYTES_MAX: usize = 16;

/// A session with a token. It is closed, and so logged out of, when it is dropped.
pub(super) struct Login {
    session: Session,
    place: String,
}

/// A key in the token.
pub(super) struct Key {
    handle: ObjectHandle,
    /// The number that its id stands for.
    pub(super) version: String,
    number: u128,
    can_leave: bool,
}

impl Login {
    /// Finds the token and logs in.
    pub(super) fn open(module: &Pkcs11, settings: &Pkcs11Settings) -> Result<Login, CustodyError> {
        let place = settings.place();
        let failed = |error: Error| refused(&place, &error);
        let slot = slot(module, &settings.token, &place)?;
        let mechanisms = module.get_mechanism_list(slot).map_err(failed)?;
        if !mechanisms.contains(&MechanismType::AES_GCM) {
            return Err(CustodyError::unusable(&place, "it has no AES-GCM (CKM_AES_GCM)"));
        }
        let pin = secret_file::read_word(&settings.pin_file)
            .map_err(|reason| CustodyError::unusable(&place, reason))?;
        let session = module.open_ro_session(slot).map_err(failed)?;
        // The box of the PIN is zeroised, too.
        let pin = AuthPin::new(pin.as_str().into());
        match session.login(UserType::User, Some(&pin)) {
            // Another session of this process is open.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Login { session, place }),
            Err(error) => Err(failed(error)),
        }
    }

    /// The key of this name with the greatest version.
    pub(super) fn newest(&self, name: &str) -> Result<Key, CustodyError> {
        let mut keys = self.keys(name)?;
        keys.sort_by_key(|key| key.number);
        let key = keys
            .pop()
            .ok_or_else(|| self.no_key(format!("`{name}`"), "there is no AES key with this label"))?;
        if keys.last().is_some_and(|other| other.version == key.version) {
            return Err(self.two(&key, name));
        }
        match key.can_leave {
            true => Err(CustodyError::unusable(
                &self.place,
                format!(
                    "its key `{name}` version {} can be taken out of it (it is extractable, or not sensitive): make one that cannot",
                    key.version
                ),
            )),
            false => Ok(key),
        }
    }

    /// The key of this name and version.
    pub(super) fn of(&self, name: &KeyName) -> Result<Key, CustodyError> {
        let keys = self.keys(&name.name)?;
        let mut keys = keys.into_iter().filter(|key| key.version == name.version);
        let key = keys.next().ok_or_else(|| {
            self.no_key(name.to_string(), "there is no AES key with this label and, as its id, this version")
        })?;
        match keys.next() {
            Some(_) => Err(self.two(&key, &name.name)),
            None => Ok(key),
        }
    }

    /// Answers IV, ciphertext and tag.
    pub(super) fn encrypt(&self, key: &Key, context: &[u8], secret: &[u8]) -> Result<Vec<u8>, CustodyError> {
        let mut iv = [0; IV_BYTES];
        getrandom::fill(&mut iv).map_err(|_| CustodyError::NoRandomNumbers)?;
        let params = GcmParams::new(&mut iv, context, TAG_BITS.into()).map_err(|e| self.failed(&e))?;
        let mechanism = Mechanism::AesGcm(params);
        let sealed = self.session.encrypt(&mechanism, key.handle, secret).map_err(|e| self.failed(&e))?;
        drop(mechanism);
        // A token that makes its own has written it there.
        Ok([&iv[..], &sealed].concat())
    }

    /// Answers the secret.
    pub(super) fn decrypt(
        &self,
        key: &Key,
        context: &[u8],
        wrapped: &Wrapped,
    ) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let damaged = || CustodyError::not_authentic(&self.place, &wrapped.key);
        let (iv, sealed) = wrapped.bytes.split_at_checked(IV_BYTES).ok_or_else(damaged)?;
        if sealed.len() <= TAG_BITS as usize / 8 {
            return Err(damaged());
        }
        let mut iv = iv.to_vec();
        let params = GcmParams::new(&mut iv, context, TAG_BITS.into()).map_err(|e| self.failed(&e))?;
        let opened = self.session.decrypt(&Mechanism::AesGcm(params), key.handle, sealed);
        opened.map(Zeroizing::new).map_err(|error| match error {
            Error::Pkcs11(code, _) if is_of_bytes(code) => damaged(),
            error => self.failed(&error),
        })
    }

    /// All AES keys of a label.
    fn keys(&self, name: &str) -> Result<Vec<Key>, CustodyError> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(name.as_bytes().to_vec()),
        ];
        let found = self.session.find_objects(&wanted).map_err(|e| self.failed(&e))?;
        found.into_iter().map(|handle| self.key(handle)).collect()
    }

    fn key(&self, handle: ObjectHandle) -> Result<Key, CustodyError> {
        let asked = [AttributeType::Id, AttributeType::Sensitive, AttributeType::Extractable];
        let attributes = self.session.get_attributes(handle, &asked).map_err(|e| self.failed(&e))?;
        // What a token does not tell is taken for the worse.
        let (mut id, mut is_sensitive, mut is_extractable) = (Vec::new(), false, true);
        for attribute in attributes {
            match attribute {
                Attribute::Id(bytes) => id = bytes,
                Attribute::Sensitive(value) => is_sensitive = value,
                Attribute::Extractable(value) => is_extractable = value,
                _ => {}
            }
        }
        if id.len() > ID_BYTES_MAX {
            let reason = "the id of its key is longer than 16 bytes, so that it is no version";
            return Err(CustodyError::unusable(&self.place, reason));
        }
        let number = number(&id);
        Ok(Key { handle, version: number.to_string(), number, can_leave: is_extractable || !is_sensitive })
    }

    fn failed(&self, error: &Error) -> CustodyError {
        refused(&self.place, error)
    }

    fn no_key(&self, key: String, reason: &str) -> CustodyError {
        CustodyError::NoKey { place: self.place.clone(), key, reason: reason.to_owned() }
    }

    fn two(&self, key: &Key, name: &str) -> CustodyError {
        let reason =
            format!("it has two keys `{name}` with the id of version {}: give one another id", key.version);
        CustodyError::unusable(&self.place, reason)
    }
}

/// The version that an id stands for.
fn number(id: &[u8]) -> u128 {
    id.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// The slot of the token with this label.
fn slot(module: &Pkcs11, label: &str, place: &str) -> Result<Slot, CustodyError> {
    let failed = |error: Error| refused(place, &error);
    let slots = module.get_slots_with_initialized_token().map_err(failed)?;
    let mut found = Vec::new();
    for slot in slots {
        if module.get_token_info(slot).map_err(failed)?.label() == label {
            found.push(slot);
        }
    }
    match found[..] {
        [slot] => Ok(slot),
        [] => {
            let reason = "the module knows no token of this label".to_owned();
            Err(CustodyError::Away { place: place.to_owned(), reason })
        }
        _ => Err(CustodyError::unusable(place, "the module knows several tokens of this label")),
    }
}

/// What a code says of the bytes or the context, when decrypting. Modules do not agree: SoftHSM and some others say no more than that it
/// failed.
fn is_of_bytes(code: RvError) -> bool {
    matches!(
        code,
        RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::DataInvalid
            | RvError::DataLenRange
            | RvError::GeneralError
            | RvError::FunctionFailed
    )
}

/// The name of the code of an error, which has nothing that a module wrote.
pub(super) fn code(error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{function}: {code:?}"),
        _ => "no code".to_owned(),
    }
}

fn refused(place: &str, error: &Error) -> CustodyError {
    let (place, code_name) = (place.to_owned(), code(error));
    let Error::Pkcs11(code, _) = error else {
        return CustodyError::Unusable {
            place,
            reason: format!("its module cannot be called ({code_name})"),
        };
    };
    match code {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => CustodyError::Denied {
            place,
            reason: format!(
                "the PIN is wrong ({code_name}). It is not tried again: after a few wrong ones a token locks itself"
            ),
        },
        RvError::PinLocked | RvError::PinExpired | RvError::UserPinNotInitialized => CustodyError::Denied {
            place,
            reason: format!(
                "the PIN is locked, expired or not set ({code_name}): its security officer can set it"
            ),
        },
        RvError::KeyFunctionNotPermitted | RvError::ActionProhibited => CustodyError::Unusable {
            place,
            reason: format!("its key may not encrypt or decrypt ({code_name}): make one that may"),
        },
        RvError::MechanismInvalid | RvError::MechanismParamInvalid | RvError::FunctionNotSupported => {
            CustodyError::Unusable {
                place,
                reason: format!("it does not do AES-GCM as it is asked to ({code_name})"),
            }
        }
        _ => CustodyError::Away { place, reason: format!("its module says {code_name}") },
    }
}
