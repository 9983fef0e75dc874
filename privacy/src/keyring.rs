//! The text of the key file, and one key for each purpose.
//!
//! The text holds one 256-bit root secret for each region. Every use has a key of its own, so that digests of two purposes, regions or
//! programmes cannot be joined: it stands in the text, or is derived from the root secret with `blake3::derive_key`.
//!
//! ```text
//! shoal-keys 2                       format and its version
//! US 64 hexadecimal digits           the root secret: one line a region, each exactly once, in any order
//! US consents 64 hexadecimal digits  the key of a purpose, where it is not derived from the root secret
//! all audit-sealed 64 digits         the same for a purpose of all regions; all of these lines are there, or none
//! # comment                          these and blank lines are skipped
//! ```
//! In version 1 there are root secrets alone, and the keys of pseudonym epochs are derived from them, too: whoever has the file can
//! find the pseudonyms of every epoch for ever. In version 2 they are random and kept elsewhere (`epoch_key.rs`). A file of version 1
//! becomes one of version 2 with other root secrets ([`Keyring::migrated`]), in which the keys of purposes stand as they were, because
//! data were made with them.
//!
//! Invariants: no error, `Debug` or `Display` has key material; secrets, and texts that hold them, are zeroised.
//! Not here: where the text is kept (`shoal-server`, `key_file.rs`), what is hashed with the keys (`pseudonym.rs`, `consent.rs`).

use shoal_files::{SealingKey, host};
use shoal_schemas::{Programme, Region};
use zeroize::Zeroizing;

use crate::{
    consent::ConsentDigester,
    epoch_key::EpochKey,
    key::{SECRET_BYTES, Secret},
    pseudonym::{Digester, Pseudonym, PseudonymEpoch},
};

pub use crate::key::NoRandomNumbers;

/// First line of a key file of the version that this code writes.
const HEAD: &str = "shoal-keys 2";
/// First line of a key file of the version before.
const HEAD_1: &str = "shoal-keys 1";
/// What stands in the place of a region where a key is of all regions.
const ALL: &str = "all";

/// Contexts of `blake3::derive_key`. Never change one: all digests would change with it.
mod context {
    pub(super) const PSEUDONYM: &str = "Shoal 2026-11-22 pseudonym of a subject, version 1";
    pub(super) const SESSION: &str = "Shoal 2026-11-22 digest of a session id, version 1";
    pub(super) const EVENT_ID: &str = "Shoal 2026-11-22 digest of an event id, version 1";
    pub(super) const APP_DAY: &str = "Shoal 2026-11-29 unit of an app's day, version 1";
    pub(super) const CHECK: &str = "Shoal 2026-11-29 check value of a region's keys, version 1";
    pub(super) const CONSENT: &str = "Shoal 2026-11-22 digest of a consent subject, version 1";
    pub(super) const CHECK_2: &str = "Shoal 2026-11-30 check value of a region's keys, version 2";
    pub(super) const RECEIPTS: &str = "Shoal 2026-12-01 seed of a region's key for receipts, version 1";
    pub(super) const FILES: &str = "Shoal 2026-11-30 sealing of files of one kind, version 1";
}

/// What files are sealed for: each kind has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// The data keys of a region's tables.
    DataKeys(Region),
    /// The write-ahead log of a region.
    Log(Region),
    /// The event ids of a region that are known.
    EventIds(Region),
    /// The consent records of a region, and the journal of its withdrawals.
    Consents(Region),
    /// The ledger of budgets, with the answers in it, of all regions.
    Ledger,
    /// The audit of all regions.
    Audit,
}

/// What a key is for that does not change with the epochs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Consents(Region),
    EventIds(Region),
    AppDays(Region),
    Files(Sealed),
}

impl Purpose {
    /// All purposes.
    fn all() -> impl Iterator<Item = Purpose> {
        let of_region = |region: &Region| {
            let region = *region;
            let files = [Sealed::DataKeys, Sealed::Log, Sealed::EventIds, Sealed::Consents];
            [Purpose::Consents, Purpose::EventIds, Purpose::AppDays]
                .map(|purpose| purpose(region))
                .into_iter()
                .chain(files.map(|files| Purpose::Files(files(region))))
        };
        let of_all = [Sealed::Ledger, Sealed::Audit].map(Purpose::Files);
        Region::ALL.iter().flat_map(of_region).chain(of_all)
    }

    /// The region; none of a purpose of all regions.
    fn region(self) -> Option<Region> {
        match self {
            Purpose::Consents(region) | Purpose::EventIds(region) | Purpose::AppDays(region) => Some(region),
            Purpose::Files(files) => match files {
                Sealed::DataKeys(r) | Sealed::Log(r) | Sealed::EventIds(r) | Sealed::Consents(r) => Some(r),
                Sealed::Ledger | Sealed::Audit => None,
            },
        }
    }

    /// The word of a line. Those of files are what their keys are derived with, too.
    fn word(self) -> &'static str {
        match self {
            Purpose::Consents(_) => "consents",
            Purpose::EventIds(_) => "event-ids",
            Purpose::AppDays(_) => "app-days",
            Purpose::Files(Sealed::DataKeys(_)) => "data-keys-sealed",
            Purpose::Files(Sealed::Log(_)) => "log-sealed",
            Purpose::Files(Sealed::EventIds(_)) => "event-ids-sealed",
            Purpose::Files(Sealed::Consents(_)) => "consents-sealed",
            Purpose::Files(Sealed::Ledger) => "ledger-sealed",
            Purpose::Files(Sealed::Audit) => "audit-sealed",
        }
    }
}

/// What is wrong with a text that should be that of a key file, without any of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyFormatError(pub &'static str);

/// The secrets of all regions. No `Debug`; zeroised when dropped.
pub struct Keyring {
    /// One slot a region, by [`Region::index`].
    roots: Vec<Secret>,
    /// Keys that are not derived.
    own: Vec<(Purpose, Secret)>,
    /// Whether keys of pseudonym epochs are derived from the root secrets, as in version 1.
    derives_epochs: bool,
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
            host::fill(&mut root[..]).map_err(|_| NoRandomNumbers)?;
            roots.push(root);
        }
        Ok(Keyring { roots, own: Vec::new(), derives_epochs: false })
    }

    /// The keyring that takes the place of one of version 1: other root secrets, of which nothing of before can be derived, and the
    /// keys of all purposes as they were. The keys of epochs ([`Keyring::derived_epoch`]) have to be kept elsewhere before.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn migrated(&self) -> Result<Keyring, NoRandomNumbers> {
        let own = Purpose::all().map(|purpose| (purpose, self.key(purpose))).collect();
        Ok(Keyring { own, ..Keyring::generate()? })
    }

    /// Whether this is what [`Keyring::migrated`] has made of a keyring of version 1.
    pub fn is_migrated_from(&self, before: &Keyring) -> bool {
        !self.derives_epochs && Purpose::all().all(|purpose| self.key(purpose) == before.key(purpose))
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
        let line_bytes = 24 + 2 * SECRET_BYTES;
        let lines = Region::ALL.len() + self.own.len();
        let mut text = Zeroizing::new(String::with_capacity(256 + lines * line_bytes));
        text.push_str(if self.derives_epochs { HEAD_1 } else { HEAD });
        text.push_str(
            "\n# Secrets of the regions. Whoever has them and the data keys can read the data, and tell whether a known identifier is\n\
             # in them; without either nobody can. Keep a copy of both in a safe place, away from the data.\n",
        );
        let mut line = |words: [&str; 2], secret: &Secret| {
            for word in words.iter().filter(|word| !word.is_empty()) {
                text.push_str(word);
                text.push(' ');
            }
            let mut digits = Zeroizing::new([0; 2 * SECRET_BYTES]);
            hex::encode_to_slice(&secret[..], &mut digits[..]).expect("each byte has two digits");
            text.push_str(std::str::from_utf8(&digits[..]).expect("hexadecimal digits are text"));
            text.push('\n');
        };
        for (region, root) in Region::ALL.iter().zip(&self.roots) {
            line([region.as_str(), ""], root);
        }
        for (purpose, key) in &self.own {
            line([purpose.region().map_or(ALL, Region::as_str), purpose.word()], key);
        }
        text
    }

    /// A keyring of fresh random keys that is on no disk, and that has the keys of every epoch, for tests and benches.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn ephemeral() -> Keyring {
        let keyring = Keyring::generate().expect("the operating system gives random numbers");
        Keyring { derives_epochs: true, ..keyring }
    }

    /// The keys of a region and pseudonym epoch, where they are derived from the root secret; none where they are random.
    pub fn derived_epoch(&self, region: Region, epoch: PseudonymEpoch) -> Option<EpochKey> {
        self.derives_epochs.then(|| {
            EpochKey::of(|programme| {
                [context::PSEUDONYM, context::SESSION]
                    .map(|context| self.derive(context, region, Some((programme, epoch))))
            })
        })
    }

    /// Whether the keys of epochs are derived from the root secrets, so that none can be destroyed.
    pub fn derives_epochs(&self) -> bool {
        self.derives_epochs
    }

    /// Whether it has taken the place of a keyring of version 1.
    pub fn is_migrated(&self) -> bool {
        !self.own.is_empty()
    }

    /// Makes digests of consent subjects of a region; does not rotate, and cannot be joined with pseudonyms.
    pub fn consent_digester(&self, region: Region) -> ConsentDigester {
        ConsentDigester::new(self.key(Purpose::Consents(region)))
    }

    /// The seed of the key with which receipts of a region are signed. It stays when the key file is migrated.
    pub fn receipt_seed(&self, region: Region) -> Zeroizing<[u8; 32]> {
        let mut hasher = blake3::Hasher::new_derive_key(context::RECEIPTS);
        hasher.update(&self.key(Purpose::Consents(region))[..]);
        Zeroizing::new(*hasher.finalize().as_bytes())
    }

    /// Makes digests of event ids of a region, for counting a resend once.
    pub fn event_digester(&self, region: Region) -> Digester {
        Digester::new(self.key(Purpose::EventIds(region)))
    }

    /// The one unit of all events of an app's day in a region of which neither a subject nor an address is known.
    pub fn app_day(&self, region: Region, day: i32, app: &str) -> Pseudonym {
        let digester = Digester::new(self.key(Purpose::AppDays(region)));
        Pseudonym(digester.digest(&format!("{day}\u{1f}{app}")))
    }

    /// What files of a kind are sealed with.
    pub fn sealing_key(&self, files: Sealed) -> SealingKey {
        SealingKey::new(&self.key(Purpose::Files(files)))
    }

    /// What tells whether another keyring has the same keys of a region: a keyed digest of a fixed label, of which no key can be found.
    /// It may lie beside the data, and is another one in each pseudonym epoch. Since version 2 it is of the keys of all purposes of the
    /// region, because not all of them are derived from the root secret. Those of all regions seal files, which tell of a wrong key.
    pub fn check_value(&self, region: Region, epoch: PseudonymEpoch) -> [u8; 16] {
        let scope = Some((Programme::UserExperience, epoch));
        let of_root = self.derive(context::CHECK, region, scope);
        if self.derives_epochs {
            return Digester::new(of_root).digest("check value");
        }
        let mut hasher = blake3::Hasher::new_derive_key(context::CHECK_2);
        hasher.update(&of_root[..]);
        for purpose in Purpose::all().filter(|purpose| purpose.region() == Some(region)) {
            hasher.update(&self.key(purpose)[..]);
        }
        Digester::new(Zeroizing::new(*hasher.finalize().as_bytes())).digest("check value")
    }

    /// The key of a purpose.
    fn key(&self, purpose: Purpose) -> Secret {
        if let Some((_, key)) = self.own.iter().find(|(own, _)| *own == purpose) {
            return key.clone();
        }
        match purpose {
            Purpose::Consents(region) => self.derive(context::CONSENT, region, None),
            Purpose::EventIds(region) => self.derive(context::EVENT_ID, region, None),
            Purpose::AppDays(region) => self.derive(context::APP_DAY, region, None),
            Purpose::Files(_) => self.derive_of_files(purpose),
        }
    }

    /// Key material: for each region whose files they are, all of them or one, length-prefixed name and root secret, after the
    /// length-prefixed word.
    fn derive_of_files(&self, purpose: Purpose) -> Secret {
        let mut hasher = blake3::Hasher::new_derive_key(context::FILES);
        let mut part = |bytes: &[u8]| {
            hasher.update(&[u8::try_from(bytes.len()).expect("names and keys are short")]);
            hasher.update(bytes);
        };
        part(purpose.word().as_bytes());
        for region in Region::ALL.iter().filter(|region| purpose.region().is_none_or(|own| own == **region)) {
            part(region.as_str().as_bytes());
            part(&self.roots[region.index()][..]);
        }
        Zeroizing::new(*hasher.finalize().as_bytes())
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
    let derives_epochs = match lines.next() {
        None => return Err("it is empty"),
        Some(HEAD) => false,
        Some(HEAD_1) => true,
        Some(line) if line.starts_with("shoal-keys ") => {
            return Err("it has a version that this program does not know");
        }
        Some(_) => return Err("its first line is not `shoal-keys 2`"),
    };
    let mut found: Vec<Option<Secret>> = Region::ALL.iter().map(|_| None).collect();
    let mut own: Vec<(Purpose, Secret)> = Vec::new();
    for line in lines {
        let (name, rest) = line.split_once(' ').ok_or("a line has no key")?;
        let (word, digits) = match rest.trim().split_once(' ') {
            Some((word, digits)) if !derives_epochs => (Some(word), digits.trim()),
            _ => (None, rest.trim()),
        };
        let secret = secret(digits)?;
        match word {
            None => {
                let region = Region::parse(name).ok_or("a line names no region")?;
                if found[region.index()].replace(secret).is_some() {
                    return Err("a region has two keys");
                }
            }
            Some(word) => {
                let is_meant = |purpose: &Purpose| {
                    purpose.word() == word && purpose.region().map_or(ALL, Region::as_str) == name
                };
                let purpose = Purpose::all().find(is_meant).ok_or("a line names no purpose of a key")?;
                if own.iter().any(|(other, _)| *other == purpose) {
                    return Err("a purpose has two keys");
                }
                own.push((purpose, secret));
            }
        }
    }
    if !own.is_empty() && own.len() != Purpose::all().count() {
        return Err("it has the keys of some purposes and not of others");
    }
    let roots: Option<Vec<Secret>> = found.into_iter().collect();
    Ok(Keyring { roots: roots.ok_or("a region has no key")?, own, derives_epochs })
}

/// The secret of these digits.
fn secret(digits: &str) -> Result<Secret, &'static str> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    hex::decode_to_slice(digits, &mut secret[..]).map_err(|_| "a key is not 64 hexadecimal digits")?;
    match secret.iter().all(|b| *b == 0) {
        true => Err("a key is all zeros"),
        false => Ok(secret),
    }
}

#[cfg(test)]
mod tests;
