//! Whose an event is that names nobody: all that come from one network on one day with one app are one unit.
//!
//! The unit is a digest under a random key of a region and day. While the key is there, whoever has it and the data can try
//! all addresses, of which there are few; once it is destroyed, nobody can. So it is derived from nothing, and the address
//! itself goes no further than this.
//!
//! ```text
//! shoal-unit-key 1              format and its version         the text of a key's file
//! 64 hexadecimal digits
//!
//! hash input:  4 or 6, u8 | network, 4 or 8 bytes | day, i32 little endian | app
//! ```
//! Invariants: the same key, network, day and app give the same unit; two inputs that differ in one of these never give
//! the same hash input; no error, `Debug` or `Display` has a key or an address; secrets are zeroised.
//! Not here: where keys are kept and when they are destroyed (`shoal-ingest`, `unit_keys`), the unit of an event of which
//! not even an address is known (`keyring`).

use std::net::IpAddr;

use shoal_files::host;
use zeroize::Zeroizing;

use crate::{
    key::{SECRET_BYTES, Secret},
    keyring::{KeyFormatError, NoRandomNumbers},
    pseudonym::Pseudonym,
};

/// First line of the text of a key.
const HEAD: &str = "shoal-unit-key 1";
/// Context of `blake3::derive_key` for what a key is recognised by.
const CHECK: &str = "Shoal 2026-11-29 check value of a unit key, version 1";

/// Where an event came from, as coarse as it is used: an IPv4 address, or the first half of an IPv6 address, which one
/// household or phone has for itself. No `Debug`, no `Display`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl Network {
    /// The network of an address. An IPv4 address that is written as an IPv6 one is an IPv4 address.
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::V4(address.octets()),
            IpAddr::V6(address) => {
                let mut first = [0; 8];
                first.copy_from_slice(&address.octets()[..8]);
                Network::V6(first)
            }
        }
    }
}

/// The key of one region and day. No `Debug`; zeroised when dropped.
pub struct UnitKey {
    key: Secret,
}

impl UnitKey {
    /// A fresh random key.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<UnitKey, NoRandomNumbers> {
        let mut key = Zeroizing::new([0; SECRET_BYTES]);
        host::fill(&mut key[..]).map_err(|_| NoRandomNumbers)?;
        Ok(UnitKey { key })
    }

    /// The key in the text of its file.
    ///
    /// # Errors
    /// When it is not such a text, also one that was overwritten.
    pub fn parse(text: &str) -> Result<UnitKey, KeyFormatError> {
        let (head, digits) = text.split_once('\n').ok_or(KeyFormatError("it has no key"))?;
        if head != HEAD {
            return Err(KeyFormatError("its first line is not `shoal-unit-key 1`"));
        }
        let mut key = Zeroizing::new([0; SECRET_BYTES]);
        hex::decode_to_slice(digits.trim_end(), &mut key[..])
            .map_err(|_| KeyFormatError("the key is not 64 hexadecimal digits"))?;
        if key.iter().all(|byte| *byte == 0) {
            return Err(KeyFormatError("the key is all zeros"));
        }
        Ok(UnitKey { key })
    }

    /// The text of its file. Zeroised when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        // The full capacity at once: a buffer that grows leaves copies of secrets behind.
        let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + 2 + 2 * SECRET_BYTES));
        let mut digits = Zeroizing::new([0; 2 * SECRET_BYTES]);
        hex::encode_to_slice(&self.key[..], &mut digits[..]).expect("each byte has two digits");
        text.push_str(HEAD);
        text.push('\n');
        text.push_str(std::str::from_utf8(&digits[..]).expect("hexadecimal digits are text"));
        text.push('\n');
        text
    }

    /// What the key is recognised by, as 64 hexadecimal digits. It tells nothing about the key.
    pub fn check_value(&self) -> String {
        hex::encode(blake3::derive_key(CHECK, &self.key[..]))
    }

    /// The unit of events that name nobody.
    pub fn unit(&self, network: Network, day: i32, app: &str) -> Pseudonym {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        match network {
            Network::V4(bytes) => hasher.update(&[4]).update(&bytes),
            Network::V6(bytes) => hasher.update(&[6]).update(&bytes),
        };
        hasher.update(&day.to_le_bytes()).update(app.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Pseudonym(half)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_used_as_coarsely_as_promised() {
        assert!(network("198.51.100.7") != network("198.51.100.8"));
        assert!(network("::ffff:198.51.100.7") == network("198.51.100.7"));
        assert!(network("2001:db8:1:2:3:4:5:6") == network("2001:db8:1:2:ffff::1"));
        assert!(network("2001:db8:1:2::") != network("2001:db8:1:3::"));
    }

    #[test]
    fn a_text_gives_back_the_key_that_wrote_it_and_what_is_none_is_refused_and_never_shown() {
        let key = UnitKey::generate().unwrap();
        let text = key.to_text();
        assert_eq!(text.capacity(), text.len(), "it never grew, so no copy stayed behind");
        let read = UnitKey::parse(&text).ok().unwrap();
        let unit = |key: &UnitKey| key.unit(network("198.51.100.7"), 3, "app").into_bytes();
        assert!(unit(&key) == unit(&read));
        assert_eq!(key.check_value(), read.check_value());
        assert!(!text.contains(&key.check_value()));
        let digits = text.lines().nth(1).unwrap();
        for bad in [
            String::new(),
            "\0".repeat(text.len()),
            format!("shoal-unit-key 2\n{digits}\n"),
            format!("{HEAD}\n{}\n", &digits[1..]),
            format!("{HEAD}\n{}\n", "0".repeat(64)),
        ] {
            let error = UnitKey::parse(&bad).err().unwrap();
            assert!(!format!("{error} {error:?}").contains(&digits[1..9]));
        }
    }

    proptest! {
        #[test]
        fn another_key_network_day_or_app_is_another_unit(
            inputs in prop::collection::vec((0..2usize, 0..4u8, any::<bool>(), -1..2i32, "[ab]{0,2}"), 2..24),
        ) {
            let keys = [UnitKey::generate().unwrap(), UnitKey::generate().unwrap()];
            let mut seen = HashMap::new();
            for input in inputs {
                let (key, byte, is_v6, day, app) = &input;
                let network = match is_v6 {
                    true => Network::V6([*byte; 8]),
                    false => Network::V4([*byte; 4]),
                };
                let unit = keys[*key].unit(network, *day, app).into_bytes();
                prop_assert_eq!(seen.entry(unit).or_insert_with(|| input.clone()), &input);
            }
        }
    }
}
