//! Which custody has wrapped a key file, and which is to wrap it.
//!
//! A key file says by which custody it was wrapped, and the settings say by which it is to be; while a key file moves from one to another
//! both are set up. Nothing is opened before it is needed.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::custody::Custody;
use crate::envelope::Envelope;
use crate::error::CustodyError;
use crate::key_name::Kind;
use crate::pkcs11::{Pkcs11, Pkcs11Settings};
use crate::transit::{Transit, TransitSettings};
use crate::wrapping_file::WrappingFile;

/// How each custody is reached that is set up, and which one wraps. No `Debug`: it may have a token.
pub struct CustodySettings {
    /// By which custody a key file is to be wrapped.
    pub wraps: Kind,
    /// The file of wrapping keys. Without one, a key file in the custody of a file is in the clear.
    pub wrapping_file: Option<PathBuf>,
    /// A token.
    pub pkcs11: Option<Pkcs11Settings>,
    /// A transit service.
    pub transit: Option<TransitSettings>,
}

/// The custodies that are set up. No `Debug`.
pub struct Custodies(CustodySettings);

impl Custodies {
    /// Nothing is opened yet.
    pub fn new(settings: CustodySettings) -> Custodies {
        Custodies(settings)
    }

    /// By which custody a key file is to be wrapped.
    pub fn wraps(&self) -> Kind {
        self.0.wraps
    }

    /// Whether a key file is to be in the clear: in the custody of a file, without a file of wrapping keys.
    pub fn is_in_the_clear(&self) -> bool {
        self.0.wraps == Kind::File && self.0.wrapping_file.is_none()
    }

    /// The custody of a kind.
    ///
    /// # Errors
    /// When it is not set up, or its settings will not do.
    pub fn of(&self, kind: Kind) -> Result<Box<dyn Custody>, CustodyError> {
        Ok(match kind {
            Kind::File => {
                let path = self.0.wrapping_file.as_ref();
                let path = path.ok_or_else(|| CustodyError::not_set(kind, "keys.wrapping_file"))?;
                Box::new(WrappingFile::new(path))
            }
            Kind::Pkcs11 => {
                let settings = self.0.pkcs11.as_ref();
                let settings = settings.ok_or_else(|| CustodyError::not_set(kind, "keys.pkcs11_module"))?;
                Box::new(Pkcs11::open(settings.clone())?)
            }
            Kind::Transit => {
                let settings = self.0.transit.as_ref();
                let settings = settings.ok_or_else(|| CustodyError::not_set(kind, "keys.transit_url"))?;
                Box::new(Transit::open(settings.clone())?)
            }
        })
    }

    /// The custody that wraps; none where a key file is to be in the clear.
    ///
    /// # Errors
    /// As [`Custodies::of`].
    pub fn wrapping(&self) -> Result<Option<Box<dyn Custody>>, CustodyError> {
        if self.is_in_the_clear() { Ok(None) } else { self.of(self.0.wraps).map(Some) }
    }

    /// Makes the file of wrapping keys when it is this that wraps and there is none. Only whoever makes a key file, or wraps one anew, may:
    /// what was wrapped with keys that are lost is not found again with new ones.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_wrapping_file(&self) -> Result<(), CustodyError> {
        match &self.0.wrapping_file {
            Some(path) if self.0.wraps == Kind::File => WrappingFile::new(path).make(),
            _ => Ok(()),
        }
    }

    /// The text of a key file, unwrapped when it is wrapped.
    ///
    /// # Errors
    /// When the custody that wrapped it does not do its part.
    pub fn read(&self, text: Zeroizing<String>) -> Result<Zeroizing<String>, CustodyError> {
        match Envelope::is_one(&text) {
            true => {
                let envelope = Envelope::parse(&text)?;
                envelope.open(&*self.of(envelope.kind())?)
            }
            false => Ok(text),
        }
    }

    /// The text of a key file as it is to be written: wrapped, or in the clear.
    ///
    /// # Errors
    /// When the custody that is to wrap it does not do its part.
    pub fn write(&self, text: &Zeroizing<String>) -> Result<Zeroizing<String>, CustodyError> {
        Ok(match self.wrapping()? {
            Some(custody) => Zeroizing::new(Envelope::seal(&*custody, text)?.to_text()),
            None => text.clone(),
        })
    }

    /// Whether a key file is in the custody that the settings say.
    pub fn is_kept(&self, text: &str) -> bool {
        let is_in_the_clear = self.is_in_the_clear();
        match Envelope::is_one(text) {
            true => !is_in_the_clear && Envelope::parse(text).is_ok_and(|found| found.kind() == self.0.wraps),
            false => is_in_the_clear,
        }
    }
}
