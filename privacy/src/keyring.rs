//! The key file, and one derived key for each purpose.
//!
//! The file holds one 256-bit root secret for each region and is made on first start with mode 0600, outside the data
//! directory. Every use derives its own key with `blake3::derive_key`, so that digests of two purposes, regions,
//! programmes or epochs cannot be joined.

use std::path::Path;

use shoal_schemas::{Programme, Region};

use crate::{
    consent::ConsentDigester,
    pseudonym::{Digester, Epoch, Pseudonymiser},
};

/// Why the key file could not be used. Never says anything about a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing failed.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What failed.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("key file {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It is not a key file, or lacks a region.
    #[error("key file {path} is not one: {reason}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong, without any content.
        reason: &'static str,
    },
}

/// The secrets of all regions. No `Debug`; zeroised when dropped.
pub struct Keyring {}

impl Keyring {
    /// Reads the key file, or makes it (mode 0600, fsynced) when there is none.
    ///
    /// # Errors
    /// When it cannot be read or made, when others can read it, when it is not a key file.
    pub fn open_or_create(path: &Path) -> Result<Keyring, KeyError> {
        let _ = path;
        todo!()
    }

    /// A keyring of fresh random keys that is on no disk, for tests and benches.
    pub fn ephemeral() -> Keyring {
        todo!()
    }

    /// Makes pseudonyms of one region, programme and epoch.
    pub fn pseudonymiser(
        &self,
        region: Region,
        programme: Programme,
        epoch: Epoch,
    ) -> Pseudonymiser {
        let _ = (region, programme, epoch);
        todo!()
    }

    /// Makes digests of consent subjects of a region; does not rotate, and cannot be joined with pseudonyms.
    pub fn consent_digester(&self, region: Region) -> ConsentDigester {
        let _ = region;
        todo!()
    }

    /// Makes digests of event ids of a region, for counting a resend once.
    pub fn event_digester(&self, region: Region) -> Digester {
        let _ = region;
        todo!()
    }

    /// Makes digests of session ids of a region and epoch.
    pub fn session_digester(&self, region: Region, programme: Programme, epoch: Epoch) -> Digester {
        let _ = (region, programme, epoch);
        todo!()
    }
}
