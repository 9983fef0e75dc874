//! Whether the key file is the one that the data of a directory were made with: a check value for each region and pseudonym
//! epoch lies beside the data, and tells of no key.
//!
//! ```text
//! <data_dir>/<region>/key-check      "shoal-key-check 2\n", then "<epoch> <32 hexadecimal digits>\n" for each epoch of a start
//! ```
//! The first start makes it, and so does the first start of this version over a directory that an earlier one left: which keys
//! that was made with cannot be asked any more. Invariants: every value that is there must be right; nothing is made when one is
//! not. Not here: the key file (`key_file.rs`), how a check value comes about (`shoal-privacy`, `keyring.rs`).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use shoal_files::{Disk, Objects};
use shoal_privacy::keyring::Keyring;
use shoal_privacy::pseudonym::PseudonymEpoch;
use shoal_schemas::Region;

use crate::key_file::{KeyError, folder};

const FILE: &str = "key-check";
const HEAD: &str = "shoal-key-check 2";
/// First line of values of a key file of version 1.
const HEAD_1: &str = "shoal-key-check 1";
/// The newest epochs that are kept: each is one line, and each alone tells other keys from these.
const EPOCHS_MAX: usize = 64;

/// A region's check values, by epoch, and where they are.
type Values = (Region, Disk, BTreeMap<u32, String>);

/// Compares the keys with the check values of every region, and then adds those of this epoch where they are missing. The caller
/// holds the lock of the directory.
///
/// # Errors
/// When the data were made with other keys, or a file of check values cannot be read or written.
pub(crate) fn check(
    data_dir: &Path,
    key_file: &Path,
    keyring: &Keyring,
    epoch: PseudonymEpoch,
) -> Result<(), KeyError> {
    let found = compared(data_dir, key_file, keyring)?;
    // All are compared before any is written.
    for (region, disk, mut values) in found {
        if values.contains_key(&epoch.0) {
            continue;
        }
        values.insert(epoch.0, hex::encode(keyring.check_value(region, epoch)));
        while values.len() > EPOCHS_MAX {
            values.pop_first();
        }
        let lines: String = values.iter().map(|(epoch, value)| format!("{epoch} {value}\n")).collect();
        let head = head(keyring);
        let put = disk.put(FILE, format!("{head}\n{lines}").as_bytes());
        put.map_err(|source| unusable(&disk, source))?;
    }
    Ok(())
}

/// The same without adding any. Answers how many values there are.
///
/// # Errors
/// As [`check`].
pub(crate) fn compare(data_dir: &Path, key_file: &Path, keyring: &Keyring) -> Result<usize, KeyError> {
    Ok(compared(data_dir, key_file, keyring)?.iter().map(|(.., values)| values.len()).sum())
}

/// The epochs in which the service has started, of any region.
///
/// # Errors
/// When a file of check values cannot be read.
pub(crate) fn epochs(data_dir: &Path) -> Result<Vec<u32>, KeyError> {
    let mut epochs = Vec::new();
    for region in Region::ALL {
        epochs.extend(read(&Disk::new(data_dir.join(folder(*region))).private())?.1.into_keys());
    }
    Ok(epochs)
}

/// The check values of every region, which are right.
fn compared(data_dir: &Path, key_file: &Path, keyring: &Keyring) -> Result<Vec<Values>, KeyError> {
    let mut found = Vec::new();
    for region in Region::ALL {
        let disk = Disk::new(data_dir.join(folder(*region))).private();
        let (found_head, mut values) = read(&disk)?;
        let is_of_another_version = !values.is_empty() && found_head != head(keyring);
        // Those of root secrets that a migration has replaced, as in an older backup, tell nothing any more.
        if is_of_another_version && found_head == HEAD_1 && keyring.is_migrated() {
            values.clear();
        } else if is_of_another_version {
            let (path, check) = (key_file.display().to_string(), disk.path(FILE).display().to_string());
            return Err(KeyError::Other { path, region: *region, check });
        }
        let is_right = |(epoch, value): (&u32, &String)| {
            *value == hex::encode(keyring.check_value(*region, PseudonymEpoch(*epoch)))
        };
        if !values.iter().all(is_right) {
            let (path, check) = (key_file.display().to_string(), disk.path(FILE).display().to_string());
            return Err(KeyError::Other { path, region: *region, check });
        }
        found.push((*region, disk, values));
    }
    Ok(found)
}

fn unusable(disk: &Disk, source: io::Error) -> KeyError {
    KeyError::Check { path: disk.path(FILE).display().to_string(), source }
}

fn head(keyring: &Keyring) -> &'static str {
    if keyring.derives_epochs() { HEAD_1 } else { HEAD }
}

/// The first line, and the check values of a region by epoch; none when there is no file.
fn read(disk: &Disk) -> Result<(&'static str, BTreeMap<u32, String>), KeyError> {
    let text = match disk.read(FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((HEAD, BTreeMap::new())),
        text => text.map_err(|source| unusable(disk, source))?,
    };
    let damaged = || {
        let reason = "it is damaged: put it back as it was; if there is no copy and the key file is surely the right one, move it away";
        unusable(disk, io::Error::new(ErrorKind::InvalidData, reason))
    };
    let text = String::from_utf8(text).map_err(|_| damaged())?;
    let head = if text.starts_with(HEAD_1) { HEAD_1 } else { HEAD };
    let lines = text.strip_suffix('\n').and_then(|text| text.strip_prefix(head)?.strip_prefix('\n'));
    let value = |line: &str| {
        let (epoch, value) = line.split_once(' ')?;
        Some((epoch.parse().ok()?, value.to_owned()))
    };
    let values = lines.and_then(|lines| lines.split('\n').map(value).collect());
    values.map(|values| (head, values)).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    const EPOCH: PseudonymEpoch = PseudonymEpoch(56);

    fn checked(dir: &Path, keyring: &Keyring, epoch: u32) -> Result<(), String> {
        let key_file = Path::new("/safe/shoal.key");
        check(dir, key_file, keyring, PseudonymEpoch(epoch)).map_err(|error| error.to_string())
    }

    fn flipped(keyring: &Keyring, line: usize) -> Keyring {
        let text = keyring.to_text().to_string();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let last = lines[line].pop().unwrap();
        lines[line].push(if last == '0' { '1' } else { '0' });
        Keyring::parse(&lines.join("\n")).ok().unwrap()
    }

    #[test]
    fn the_keys_that_data_were_made_with_are_known_again_in_every_epoch() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::ephemeral();
        for epoch in [56, 57, 56, 200] {
            checked(dir.path(), &keyring, epoch).unwrap();
        }
        let text = fs::read_to_string(dir.path().join("de/key-check")).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        for part in keyring.to_text().split_whitespace().filter(|part| part.len() == 64) {
            assert!(!text.contains(part) && !text.contains(&part[..32]), "no key is beside the data");
        }
    }

    #[test]
    fn one_digit_of_a_key_that_was_changed_is_refused_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::ephemeral();
        checked(dir.path(), &keyring, EPOCH.0).unwrap();
        let keys = keyring.to_text().to_string();
        let of_keys = |(_, line): &(usize, &str)| line.len() > 64 && !line.starts_with('#');
        let lines: Vec<usize> = keys.lines().enumerate().filter(of_keys).map(|(at, _)| at).collect();
        assert_eq!(lines.len(), Region::ALL.len());
        for line in lines {
            let told = checked(dir.path(), &flipped(&keyring, line), EPOCH.0 + 1).unwrap_err();
            assert!(told.contains("/safe/shoal.key") && told.contains("withdrawals"), "{told}");
        }
        assert!(checked(dir.path(), &Keyring::ephemeral(), EPOCH.0).is_err());
        let text = fs::read_to_string(dir.path().join("de/key-check")).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
    }

    #[test]
    fn a_file_of_check_values_that_is_damaged_is_an_error_and_names_itself() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::ephemeral();
        checked(dir.path(), &keyring, EPOCH.0).unwrap();
        let path = dir.path().join("sg/key-check");
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            let told = checked(dir.path(), &keyring, EPOCH.0).unwrap_err();
            assert!(told.contains("sg/key-check"), "{told}");
        }
    }

    #[test]
    fn the_newest_epochs_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::ephemeral();
        for epoch in 0..100 {
            checked(dir.path(), &keyring, epoch).unwrap();
        }
        let text = fs::read_to_string(dir.path().join("my/key-check")).unwrap();
        assert_eq!(text.lines().count(), 1 + EPOCHS_MAX);
        assert!(text.contains("\n99 ") && !text.contains("\n1 "));
    }
}
