//! The text of the key file, and one derived key for each purpose.
//!
//! The text holds one 256-bit root secret for each region. Every use derives its own key with `blake3::derive_key`, so that digests of two purposes, regions,
//! programmes or pseudonym epochs cannot be joined.
//!
//! ```text
//! shoal-keys 1                 format and its version
//! US 64 hexadecimal digits     one line a region, each exactly once, in any order
//! # comment                    these and blank lines are skipped
//! ```
//! Invariants: no error, `Debug` or `Display` has key material; secrets, and texts that hold them, are zeroised.
//! Not here: where the text is kept (`shoal-server`, `key_file.rs`), what is hashed with the derived keys (`pseudonym.rs`,
//! `consent.rs`).

use shoal_schemas::{Programme, Region};
use zeroize::Zeroizing;

use crate::{
    consent::ConsentDigester,
    key::{SECRET_BYTES, Secret},
    pseudonym::{Digester, Pseudonym, PseudonymEpoch, Pseudonymiser},
};

/// First line of a key file of the version that this code writes and reads.
const HEAD: &str = "shoal-keys 1";

/// Contexts of `blake3::derive_key`, one for each purpose. Never change one: all digests would change with it.
mod context {
    pub(super) const PSEUDONYM: &str = "Shoal 2026-11-22 pseudonym of a subject, version 1";
    pub(super) const SESSION: &str = "Shoal 2026-11-22 digest of a session id, version 1";
    pub(super) const EVENT_ID: &str = "Shoal 2026-11-22 digest of an event id, version 1";
    pub(super) const APP_DAY: &str = "Shoal 2026-11-29 unit of an app's day, version 1";
    pub(super) const CHECK: &str = "Shoal 2026-11-29 check value of a region's keys, version 1";
    pub(super) const CONSENT: &str = "Shoal 2026-11-22 digest of a consent subject, version 1";
}

/// What is wrong with a text that should be that of a key file, without any of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyFormatError(pub &'static str);

/// The operating system gave no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random numbers")]
pub struct NoRandomNumbers;

/// The secrets of all regions. No `Debug`; zeroised when dropped.
pub struct Keyring {
    /// One slot a region, by [`Region::index`].
    roots: Vec<Secret>,
}

impl Keyring {
    /// A keyring of fresh random keys.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<Keyring, NoRandomNumbers> {
        let mut roots = Vec::with_capacity(Region::ALL.len());
        for _ in Region::ALL {
            let mut root = Zeroizing::new([0; SECRET_BYTES]);
            getrandom::fill(&mut root[..]).map_err(|_| NoRandomNumbers)?;
            roots.push(root);
        }
        Ok(Keyring { roots })
    }

    /// The keyring in the text of a key file.
    ///
    /// # Errors
    /// When it is not such a text, or lacks a region.
    pub fn parse(text: &str) -> Result<Keyring, KeyFormatError> {
        parse(text).map_err(KeyFormatError)
    }

    /// The text of its key file. Zeroised when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        // The full capacity at once: a buffer that grows leaves copies of secrets behind.
        let line_bytes = 4 + 2 * SECRET_BYTES;
        let mut text = Zeroizing::new(String::with_capacity(256 + Region::ALL.len() * line_bytes));
        text.push_str(HEAD);
        text.push_str(
            "\n# Root secrets of the regions. Whoever has one can tell whether a known identifier is in the data;\n\
             # without it no subject is found again. Keep a copy in a safe place, away from the data.\n",
        );
        for (region, root) in Region::ALL.iter().zip(&self.roots) {
            text.push_str(region.as_str());
            text.push(' ');
            let mut digits = Zeroizing::new([0; 2 * SECRET_BYTES]);
            hex::encode_to_slice(&root[..], &mut digits[..]).expect("each byte has two digits");
            text.push_str(std::str::from_utf8(&digits[..]).expect("hexadecimal digits are text"));
            text.push('\n');
        }
        text
    }

    /// A keyring of fresh random keys that is on no disk, for tests and benches.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn ephemeral() -> Keyring {
        Keyring::generate().expect("the operating system gives random numbers")
    }

    /// Makes pseudonyms of one region, programme and pseudonym epoch.
    pub fn pseudonymiser(
        &self,
        region: Region,
        programme: Programme,
        epoch: PseudonymEpoch,
    ) -> Pseudonymiser {
        Pseudonymiser::new(self.derive(context::PSEUDONYM, region, Some((programme, epoch))))
    }

    /// Makes digests of consent subjects of a region; does not rotate, and cannot be joined with pseudonyms.
    pub fn consent_digester(&self, region: Region) -> ConsentDigester {
        ConsentDigester::new(self.derive(context::CONSENT, region, None))
    }

    /// Makes digests of event ids of a region, for counting a resend once.
    pub fn event_digester(&self, region: Region) -> Digester {
        Digester::new(self.derive(context::EVENT_ID, region, None))
    }

    /// Makes digests of session ids of a region, programme and pseudonym epoch.
    pub fn session_digester(&self, region: Region, programme: Programme, epoch: PseudonymEpoch) -> Digester {
        Digester::new(self.derive(context::SESSION, region, Some((programme, epoch))))
    }

    /// The one unit of all events of an app's day in a region of which neither a subject nor an address is known.
    pub fn app_day(&self, region: Region, day: i32, app: &str) -> Pseudonym {
        let digester = Digester::new(self.derive(context::APP_DAY, region, None));
        Pseudonym(digester.digest(&format!("{day}\u{1f}{app}")))
    }

    /// What tells whether another keyring has the same keys of a region and pseudonym epoch: a keyed digest of a fixed label, of
    /// which no key can be found. It may lie beside the data.
    pub fn check_value(&self, region: Region, epoch: PseudonymEpoch) -> [u8; 16] {
        let scope = Some((Programme::UserExperience, epoch));
        Digester::new(self.derive(context::CHECK, region, scope)).digest("check value")
    }

    /// Key material: root secret, then length-prefixed region, then length-prefixed programme and the epoch's four
    /// bytes (little endian) where the purpose has them.
    fn derive(&self, context: &str, region: Region, scope: Option<(Programme, PseudonymEpoch)>) -> Secret {
        let root = &self.roots[region.index()];
        let mut hasher = blake3::Hasher::new_derive_key(context);
        let mut part = |text: &str| {
            hasher.update(&[u8::try_from(text.len()).expect("names of a closed set are short")]);
            hasher.update(text.as_bytes());
        };
        part(region.as_str());
        if let Some((programme, _)) = scope {
            part(programme.as_str());
        }
        if let Some((_, epoch)) = scope {
            hasher.update(&epoch.0.to_le_bytes());
        }
        hasher.update(&root[..]);
        Zeroizing::new(*hasher.finalize().as_bytes())
    }
}

fn parse(text: &str) -> Result<Keyring, &'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        None => return Err("it is empty"),
        Some(HEAD) => {}
        Some(line) if line.starts_with("shoal-keys ") => {
            return Err("it has a version that this program does not know");
        }
        Some(_) => return Err("its first line is not `shoal-keys 1`"),
    }
    let mut found: Vec<Option<Secret>> = Region::ALL.iter().map(|_| None).collect();
    for line in lines {
        let (name, digits) = line.split_once(' ').ok_or("a line has no key")?;
        let region = Region::parse(name).ok_or("a line names no region")?;
        let mut root = Zeroizing::new([0; SECRET_BYTES]);
        hex::decode_to_slice(digits.trim(), &mut root[..])
            .map_err(|_| "a key is not 64 hexadecimal digits")?;
        if root.iter().all(|b| *b == 0) {
            return Err("a key is all zeros");
        }
        let slot = &mut found[region.index()];
        if slot.replace(root).is_some() {
            return Err("a region has two keys");
        }
    }
    let roots: Option<Vec<Secret>> = found.into_iter().collect();
    Ok(Keyring { roots: roots.ok_or("a region has no key")? })
}

#[cfg(test)]
mod tests;
