//! What is recorded about a subject and a programme, and its bytes in a file.
//!
//! ```text
//! form 1             postcard: policy_version, granted_at_ms, withdrawn_at_ms, controller, restricted, erased
//! form 2 and later   FF FF FF FF 0F | the form's number (1 byte) | a JSON object with the same names
//! ```
//! Form 1 is read and no longer written. The five bytes are the length of a text of 4 GiB there, so no record of form 1 begins
//! with them, and a version that knows only form 1 refuses what does.
//!
//! To add a member: give it `#[serde(default)]`, so that older records are read, and raise [`FORM`]. Invariant: a reader refuses
//! a form or a member that it does not know. It never ignores one, because a member may say that somebody objected, and
//! because the next change would write the record without it.
//! Not here: what follows from a record (`consent.rs`), the file (`shoal-storage`, `consents`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

const MARK: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
/// The form that is written.
const FORM: u8 = 2;

/// What is recorded about a subject and a programme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRecord {
    /// Policy version of the last grant; empty when there never was one.
    pub policy_version: Arc<str>,
    /// When it was granted, ms since 1970; none when there never was a grant.
    pub granted_at_ms: Option<i64>,
    /// When it was withdrawn, ms since 1970.
    pub withdrawn_at_ms: Option<i64>,
    /// Who controls the data, as the country says.
    pub controller: Arc<str>,
    /// Processing restricted.
    pub restricted: bool,
    /// The subject was erased.
    pub erased: bool,
}

/// Why the bytes of a record cannot be read. Nothing of them is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRecord {
    /// A later version of Shoal wrote it.
    #[error("a consent is in form {found}, and this version knows the forms up to {FORM}")]
    Form {
        /// The form's number.
        found: u8,
    },
    /// It is damaged, or it has a member that this version does not know.
    #[error("a consent is damaged, or says something that this version does not know")]
    Content,
}

impl ConsentRecord {
    /// Whether a withdrawal is in force: there was one, and no later grant. At the same millisecond the withdrawal wins.
    pub fn is_withdrawn(&self) -> bool {
        match (self.withdrawn_at_ms, self.granted_at_ms) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(withdrawn), Some(granted)) => granted <= withdrawn,
        }
    }

    /// The record's bytes, in the latest form.
    ///
    /// # Errors
    /// [`UnreadableRecord::Content`]: never, as long as all members have a JSON form.
    pub fn encode(&self) -> Result<Vec<u8>, UnreadableRecord> {
        let mut bytes = MARK.to_vec();
        bytes.push(FORM);
        serde_json::to_writer(&mut bytes, self).map_err(|_| UnreadableRecord::Content)?;
        Ok(bytes)
    }

    /// The record of these bytes, which any earlier version may have written.
    ///
    /// # Errors
    /// [`UnreadableRecord`].
    pub fn decode(bytes: &[u8]) -> Result<ConsentRecord, UnreadableRecord> {
        match bytes.strip_prefix(&MARK) {
            None => FormOne::decode(bytes),
            Some([2..=FORM, members @ ..]) => {
                serde_json::from_slice(members).map_err(|_| UnreadableRecord::Content)
            }
            Some([found, ..]) => Err(UnreadableRecord::Form { found: *found }),
            Some([]) => Err(UnreadableRecord::Content),
        }
    }
}

/// A record of form 1. It never changes.
#[derive(Deserialize)]
struct FormOne {
    policy_version: Arc<str>,
    granted_at_ms: Option<i64>,
    withdrawn_at_ms: Option<i64>,
    controller: Arc<str>,
    restricted: bool,
    erased: bool,
}

impl FormOne {
    fn decode(bytes: &[u8]) -> Result<ConsentRecord, UnreadableRecord> {
        let (one, rest) =
            postcard::take_from_bytes::<FormOne>(bytes).map_err(|_| UnreadableRecord::Content)?;
        if !rest.is_empty() {
            return Err(UnreadableRecord::Content);
        }
        let FormOne { policy_version, granted_at_ms, withdrawn_at_ms, controller, restricted, erased } = one;
        Ok(ConsentRecord { policy_version, granted_at_ms, withdrawn_at_ms, controller, restricted, erased })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Records of form 1 as the first versions wrote them, and what they say.
    fn written_by_earlier_versions() -> [(&'static str, ConsentRecord); 3] {
        let granted = ConsentRecord {
            policy_version: "2026-1".into(),
            granted_at_ms: Some(1_795_299_999_995),
            withdrawn_at_ms: None,
            controller: "Shoal EU".into(),
            restricted: false,
            erased: false,
        };
        let never_granted = ConsentRecord {
            policy_version: "".into(),
            granted_at_ms: None,
            withdrawn_at_ms: Some(1_795_300_000_000),
            controller: "Shoal".into(),
            restricted: true,
            erased: false,
        };
        let withdrawn =
            ConsentRecord { withdrawn_at_ms: Some(1_795_300_000_000), erased: true, ..granted.clone() };
        [
            ("06323032362d3101f683c083c068000853686f616c2045550000", granted),
            ("0000018084c083c0680553686f616c0100", never_granted),
            ("06323032362d3101f683c083c068018084c083c0680853686f616c2045550001", withdrawn),
        ]
    }

    #[test]
    fn records_of_the_first_form_are_read_and_every_part_of_one_is_refused() {
        for (bytes, record) in written_by_earlier_versions() {
            let bytes = hex::decode(bytes).unwrap();
            assert_eq!(ConsentRecord::decode(&bytes), Ok(record));
            for end in 0..bytes.len() {
                assert_eq!(ConsentRecord::decode(&bytes[..end]), Err(UnreadableRecord::Content));
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(ConsentRecord::decode(&longer), Err(UnreadableRecord::Content));
        }
    }

    #[test]
    fn the_bytes_of_a_record_are_these_and_the_first_versions_refuse_them() {
        let (_, record) = &written_by_earlier_versions()[0];
        let bytes = record.encode().unwrap();
        let json = r#"{"policy_version":"2026-1","granted_at_ms":1795299999995,"withdrawn_at_ms":null,"controller":"Shoal EU","restricted":false,"erased":false}"#;
        assert_eq!(bytes, [&[0xff, 0xff, 0xff, 0xff, 0x0f, 2], json.as_bytes()].concat());
        assert!(postcard::from_bytes::<FormOne>(&bytes).is_err());
    }

    /// What a later version will read: the same members and one more.
    #[derive(Deserialize)]
    struct Later {
        policy_version: Arc<str>,
        #[serde(default)]
        objected_at_ms: Option<i64>,
    }

    #[test]
    fn a_later_version_with_more_members_reads_todays_records() {
        let (_, record) = &written_by_earlier_versions()[0];
        let bytes = record.encode().unwrap();
        let later: Later = serde_json::from_slice(&bytes[MARK.len() + 1..]).unwrap();
        assert_eq!((&*later.policy_version, later.objected_at_ms), ("2026-1", None));
    }

    #[test]
    fn a_record_of_a_later_version_is_refused_with_what_is_known() {
        let (_, record) = &written_by_earlier_versions()[0];
        let mut bytes = record.encode().unwrap();
        bytes[MARK.len()] = 3;
        let refused = ConsentRecord::decode(&bytes).unwrap_err();
        assert_eq!(refused, UnreadableRecord::Form { found: 3 });
        assert_eq!(refused.to_string(), "a consent is in form 3, and this version knows the forms up to 2");
        bytes[MARK.len()] = 2;
        let more = String::from_utf8_lossy(&bytes[MARK.len() + 1..])
            .replace("\"erased\":false", "\"erased\":false,\"objected_at_ms\":7");
        let more = [&bytes[..=MARK.len()], more.as_bytes()].concat();
        assert_eq!(ConsentRecord::decode(&more), Err(UnreadableRecord::Content));
        assert_eq!(ConsentRecord::decode(&MARK), Err(UnreadableRecord::Content));
        assert_eq!(
            ConsentRecord::decode(&[&MARK[..], &[1]].concat()),
            Err(UnreadableRecord::Form { found: 1 })
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            policy in "[ -~ä]{0,300}", granted in any::<Option<i64>>(), withdrawn in any::<Option<i64>>(),
            controller in ".{0,20}", flags in any::<(bool, bool)>(),
        ) {
            let record = ConsentRecord {
                policy_version: policy.into(),
                granted_at_ms: granted,
                withdrawn_at_ms: withdrawn,
                controller: controller.into(),
                restricted: flags.0,
                erased: flags.1,
            };
            prop_assert_eq!(ConsentRecord::decode(&record.encode().unwrap()), Ok(record));
        }
    }
}
