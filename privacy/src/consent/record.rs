//! What is recorded about a subject and a programme, and its bytes in a file.
//!
//! ```text
//! form 1             postcard: policy_version, granted_at_ms, withdrawn_at_ms, controller, restricted, erased
//! form 2             FF FF FF FF 0F | the form's number (1 byte) | a JSON object with the same names
//! form 3 and later   FF FF FF FF 0F | the form's number (1 byte) | a JSON object: history, controller, restricted, erased
//! ```
//! Forms 1 and 2 have the times of the last grant and the last withdrawal alone. They are read and no longer written. The five
//! bytes are the length of a text of 4 GiB in form 1, so no record of it begins with them, and a version that knows only form 1
//! refuses what does.
//!
//! To add a member: give it `#[serde(default)]`, so that older records are read, and raise [`FORM`]; every form from
//! [`FORM_MIN`] on stays readable. Invariant: a reader refuses a form or a member that it does not know. It never ignores one, because a member may say that somebody objected, and
//! because the next change would write the record without it.
//! Not here: what follows from a record (`decision.rs`), the file (`shoal-storage`, `consents`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::{History, Moment, Standing};

const MARK: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
/// The form that is written.
const FORM: u8 = 3;
/// The first form with the members of today's, some of which it may lack. It never changes.
const FORM_MIN: u8 = 3;

/// What is recorded about a subject and a programme.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRecord {
    /// Since when and until when the subject takes part.
    pub history: History,
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
    /// Whether it forbids to keep what happened at a moment, whatever else is recorded.
    pub fn forbids(&self, moment: Moment) -> bool {
        self.erased || self.restricted || self.history.standing(moment) == Standing::Withdrawn
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
            None => Times::decode_first(bytes).map(Times::into_record),
            Some([2, members @ ..]) => {
                let times: Times = serde_json::from_slice(members).map_err(|_| UnreadableRecord::Content)?;
                Ok(times.into_record())
            }
            Some([form, members @ ..]) if (FORM_MIN..=FORM).contains(form) => {
                serde_json::from_slice(members).map_err(|_| UnreadableRecord::Content)
            }
            Some([found, ..]) => Err(UnreadableRecord::Form { found: *found }),
            Some([]) => Err(UnreadableRecord::Content),
        }
    }
}

/// A record of forms 1 and 2. It never changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    policy_version: Arc<str>,
    granted_at_ms: Option<i64>,
    withdrawn_at_ms: Option<i64>,
    controller: Arc<str>,
    restricted: bool,
    erased: bool,
}

impl Times {
    fn decode_first(bytes: &[u8]) -> Result<Times, UnreadableRecord> {
        let (times, rest) =
            postcard::take_from_bytes::<Times>(bytes).map_err(|_| UnreadableRecord::Content)?;
        if !rest.is_empty() {
            return Err(UnreadableRecord::Content);
        }
        Ok(times)
    }

    fn into_record(self) -> ConsentRecord {
        let Times { policy_version, granted_at_ms, withdrawn_at_ms, controller, restricted, erased } = self;
        let history = History::of_times(&policy_version, granted_at_ms, withdrawn_at_ms);
        ConsentRecord { history, controller, restricted, erased }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::history::{FIRST_GRANT_MS, Grant};
    use super::*;
    use proptest::prelude::*;

    const GRANTED: i64 = 1_795_299_999_995;
    const WITHDRAWN: i64 = 1_795_300_000_000;

    /// Records as the first versions wrote them in form 1, and the same in form 2; and what they say.
    fn written_by_earlier_versions() -> [(&'static str, &'static str, ConsentRecord); 4] {
        let mut granted = ConsentRecord { controller: "Shoal EU".into(), ..ConsentRecord::default() };
        let grant = Grant { policy_version: "2026-1", claimed_ms: Some(GRANTED), received_ms: GRANTED };
        granted.history.grant(&grant);
        let mut never_granted =
            ConsentRecord { controller: "Shoal".into(), restricted: true, ..ConsentRecord::default() };
        never_granted.history.withdraw(None, WITHDRAWN);
        let mut withdrawn = ConsentRecord { erased: true, ..granted.clone() };
        withdrawn.history.withdraw(None, WITHDRAWN);
        let mut again = ConsentRecord { controller: "Shoal EU".into(), ..ConsentRecord::default() };
        again.history.withdraw(None, GRANTED - 1);
        again.history.grant(&grant);
        [
            (
                "06323032362d3101f683c083c068000853686f616c2045550000",
                r#"{"policy_version":"2026-1","granted_at_ms":1795299999995,"withdrawn_at_ms":null,"controller":"Shoal EU","restricted":false,"erased":false}"#,
                granted,
            ),
            (
                "0000018084c083c0680553686f616c0100",
                r#"{"policy_version":"","granted_at_ms":null,"withdrawn_at_ms":1795300000000,"controller":"Shoal","restricted":true,"erased":false}"#,
                never_granted,
            ),
            (
                "06323032362d3101f683c083c068018084c083c0680853686f616c2045550001",
                r#"{"policy_version":"2026-1","granted_at_ms":1795299999995,"withdrawn_at_ms":1795300000000,"controller":"Shoal EU","restricted":false,"erased":true}"#,
                withdrawn,
            ),
            (
                "06323032362d3101f683c083c06801f483c083c0680853686f616c2045550000",
                r#"{"policy_version":"2026-1","granted_at_ms":1795299999995,"withdrawn_at_ms":1795299999994,"controller":"Shoal EU","restricted":false,"erased":false}"#,
                again,
            ),
        ]
    }

    #[test]
    fn records_of_the_first_form_are_read_and_every_part_of_one_is_refused() {
        for (bytes, _, record) in written_by_earlier_versions() {
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
    fn records_of_the_second_form_say_what_they_said() {
        for (_, json, record) in written_by_earlier_versions() {
            let bytes = [&MARK[..], &[2], json.as_bytes()].concat();
            assert_eq!(ConsentRecord::decode(&bytes), Ok(record));
            for end in MARK.len()..bytes.len() {
                assert!(ConsentRecord::decode(&bytes[..end]).is_err());
            }
            let more = json.replace("\"erased\"", "\"objected_at_ms\":7,\"erased\"");
            let more = [&MARK[..], &[2], more.as_bytes()].concat();
            assert_eq!(ConsentRecord::decode(&more), Err(UnreadableRecord::Content));
        }
    }

    #[test]
    fn what_earlier_versions_recorded_is_in_force() {
        let [granted, never_granted, withdrawn, again] =
            written_by_earlier_versions().map(|(.., record)| record);
        assert!(granted.history.is_open() && again.history.is_open());
        assert!(never_granted.history.is_withdrawn() && withdrawn.history.is_withdrawn());
        let from = |record: &ConsentRecord| record.history.intervals()[0].from_ms;
        assert_eq!((from(&granted), from(&again)), (GRANTED - FIRST_GRANT_MS, GRANTED));
        assert_eq!(withdrawn.history.intervals()[0].until_ms, Some(WITHDRAWN));
    }

    #[test]
    fn the_bytes_of_a_record_are_these_and_the_first_versions_refuse_them() {
        let (.., record) = &written_by_earlier_versions()[2];
        let bytes = record.encode().unwrap();
        let json = r#"{"history":{"intervals":[{"policy_version":"2026-1","granted_ms":1795299999995,"received_ms":1795299999995,"from_ms":1795299699995,"until_ms":1795300000000}],"withdrawn_ms":1795300000000,"is_told":false},"controller":"Shoal EU","restricted":false,"erased":true}"#;
        assert_eq!(bytes, [&[0xff, 0xff, 0xff, 0xff, 0x0f, 3], json.as_bytes()].concat());
        assert!(postcard::from_bytes::<Times>(&bytes).is_err());
    }

    /// They are on the disks of those who run this version. This test stays as it is when the form that is written is another.
    #[test]
    fn records_of_the_third_form_are_read_for_good() {
        let [(.., granted), _, (.., withdrawn), _] = written_by_earlier_versions();
        let granted_json = r#"{"history":{"intervals":[{"policy_version":"2026-1","granted_ms":1795299999995,"received_ms":1795299999995,"from_ms":1795299699995,"until_ms":null}],"withdrawn_ms":null,"is_told":false},"controller":"Shoal EU","restricted":false,"erased":false}"#;
        let withdrawn_json = r#"{"history":{"intervals":[{"policy_version":"2026-1","granted_ms":1795299999995,"received_ms":1795299999995,"from_ms":1795299699995,"until_ms":1795300000000}],"withdrawn_ms":1795300000000,"is_told":false},"controller":"Shoal EU","restricted":false,"erased":true}"#;
        for (json, record) in [(granted_json, granted), (withdrawn_json, withdrawn)] {
            let bytes = [&[0xff, 0xff, 0xff, 0xff, 0x0f, 3], json.as_bytes()].concat();
            assert_eq!(ConsentRecord::decode(&bytes), Ok(record));
        }
    }

    /// What a later version will read: the same members and one more.
    #[derive(Deserialize)]
    struct Later {
        history: History,
        #[serde(default)]
        objected_at_ms: Option<i64>,
    }

    #[test]
    fn a_later_version_with_more_members_reads_todays_records() {
        let (.., record) = &written_by_earlier_versions()[0];
        let bytes = record.encode().unwrap();
        let later: Later = serde_json::from_slice(&bytes[MARK.len() + 1..]).unwrap();
        assert_eq!((later.history, later.objected_at_ms), (record.history.clone(), None));
    }

    #[test]
    fn a_record_of_a_later_version_is_refused_with_what_is_known() {
        let (.., record) = &written_by_earlier_versions()[0];
        let mut bytes = record.encode().unwrap();
        bytes[MARK.len()] = FORM + 1;
        let refused = ConsentRecord::decode(&bytes).unwrap_err();
        assert_eq!(refused, UnreadableRecord::Form { found: FORM + 1 });
        let told =
            format!("a consent is in form {}, and this version knows the forms up to {FORM}", FORM + 1);
        assert_eq!(refused.to_string(), told);
        bytes[MARK.len()] = FORM;
        for (member, more) in [
            ("\"erased\":false", "\"erased\":false,\"objected_at_ms\":7"),
            ("\"withdrawn_ms\":null", "\"withdrawn_ms\":null,\"objected_at_ms\":7"),
            ("\"until_ms\":null", "\"until_ms\":null,\"objected_at_ms\":7"),
        ] {
            let text = String::from_utf8_lossy(&bytes[MARK.len() + 1..]);
            assert!(text.contains(member));
            let more = [&bytes[..=MARK.len()], text.replace(member, more).as_bytes()].concat();
            assert_eq!(ConsentRecord::decode(&more), Err(UnreadableRecord::Content), "{member}");
        }
        assert_eq!(ConsentRecord::decode(&MARK), Err(UnreadableRecord::Content));
        assert_eq!(
            ConsentRecord::decode(&[&MARK[..], &[1]].concat()),
            Err(UnreadableRecord::Form { found: 1 })
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            policy in "[ -~ä]{0,300}", acts in prop::collection::vec((any::<bool>(), any::<Option<i64>>(), any::<i64>()), 0..9),
            controller in ".{0,20}", flags in any::<(bool, bool)>(),
        ) {
            let mut history = History::default();
            for (is_grant, claimed_ms, received_ms) in acts {
                match is_grant {
                    true => history.grant(&Grant { policy_version: &policy, claimed_ms, received_ms }),
                    false => history.withdraw(claimed_ms, received_ms),
                }
            }
            let record =
                ConsentRecord { history, controller: controller.into(), restricted: flags.0, erased: flags.1 };
            prop_assert_eq!(ConsentRecord::decode(&record.encode().unwrap()), Ok(record));
        }
    }
}
