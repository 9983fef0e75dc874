//! The bytes and the names of what is kept of an act.
//!
//! ```text
//! acts/<asked ms, 13 digits>-<id>   "SHOALEA2" | id (16) | asked ms, i64 LE | number (16)
//!                                   | asked for by (1): 1 operator, 2 officer, 3 account service
//!                                   | kind (1): 1 erase, 2 exclude, 3 restrict | ground (1), 0 of none | review day, i32 LE, 0 of none
//!                                   | number of subjects, u32 LE | subjects (16 each, ascending)
//!                                   | number named, u32 LE | those (programme, 1; digest, 16; ascending) | CRC-32 of all before, u32 LE
//! done/<the same name>              "SHOALED1" | id (16) | asked ms, i64 LE | done ms, i64 LE | files, u64 LE | rows, u64 LE
//!                                   | CRC-32 of all before, u32 LE
//! lifted/<the same name>            "SHOALEL1" | id (16) | asked ms, i64 LE | lifted ms, i64 LE | by whom, u64 LE, as above
//!                                   | CRC-32 of all before, u32 LE
//! ```
//! The last byte of a head is the number of the form. An act of form 1 is an erasure that names nobody to the gate: it ends with its
//! subjects, which follow the time; its number is its id, and an operator has asked for it. Invariants: names sort by the time; what is read is
//! what was written, under the name that it was written for, or an error. Not here: where the files are (`places`).

use shoal_schemas::Programme;
use uuid::Uuid;

use super::act::{ActKind, AskedBy, Erased, Ground, Lifted, Restriction, SubjectAct};

/// Subjects that an act may have, and digests.
pub(super) const SUBJECTS_MAX: usize = 1_000_000;
/// The last time that has a name, in milliseconds since 1970: in the year 2286.
pub(super) const ASKED_MAX_MS: i64 = 9_999_999_999_999;
const ACT: &[u8; 7] = b"SHOALEA";
const DONE: &[u8; 7] = b"SHOALED";
const LIFTED: &[u8; 7] = b"SHOALEL";
const SUBJECT_BYTES: usize = 16;
const NAMED_BYTES: usize = 17;
/// The number of the form of acts, and of marks.
const ACT_FORM: u32 = 2;
const MARK_FORM: u32 = 1;

/// Why bytes are not those of an act, or of a mark.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A later version has written them, in the form of this number, and this one knows forms up to another.
    Form { found: u32, known: u32 },
    /// They are damaged: completes a sentence that begins with the file.
    Damaged(&'static str),
}

const DAMAGED: Unread = Unread::Damaged("is damaged");

/// The name of all files of an act, in their folders.
pub(super) fn name(asked_ms: i64, id: Uuid) -> String {
    format!("{asked_ms:013}-{id}")
}

/// The bytes of an act.
pub(super) fn act_bytes(act: &SubjectAct) -> Vec<u8> {
    let mut bytes = head(ACT, ACT_FORM, act.asked_ms, act.id);
    bytes.reserve(35 + act.subjects.len() * SUBJECT_BYTES + act.named.len() * NAMED_BYTES);
    bytes.extend(act.number.as_bytes());
    bytes.push(by_byte(act.by));
    let (kind, ground, review_day) = match act.kind {
        ActKind::Erase => (1, 0, 0),
        ActKind::Exclude => (2, 0, 0),
        ActKind::Restrict(Restriction { ground, review_day }) => (3, ground_byte(ground), review_day),
    };
    bytes.extend([kind, ground]);
    bytes.extend(review_day.to_le_bytes());
    bytes.extend(count(act.subjects.len()));
    for subject in &act.subjects {
        bytes.extend(subject.to_be_bytes());
    }
    bytes.extend(count(act.named.len()));
    for (programme, digest) in &act.named {
        bytes.push(programme_byte(*programme));
        bytes.extend(digest.to_be_bytes());
    }
    signed(bytes)
}

/// The bytes of what was done.
pub(super) fn done_bytes(asked_ms: i64, id: Uuid, erased: Erased) -> Vec<u8> {
    let mut bytes = head(DONE, MARK_FORM, asked_ms, id);
    bytes.extend(erased.done_ms.to_le_bytes());
    bytes.extend(erased.files.to_le_bytes());
    bytes.extend(erased.rows.to_le_bytes());
    signed(bytes)
}

/// The bytes of the mark that an act is lifted.
pub(super) fn lifted_bytes(asked_ms: i64, id: Uuid, lifted: Lifted) -> Vec<u8> {
    let mut bytes = head(LIFTED, MARK_FORM, asked_ms, id);
    bytes.extend(lifted.at_ms.to_le_bytes());
    bytes.extend(u64::from(by_byte(lifted.by)).to_le_bytes());
    signed(bytes)
}

/// The act whose bytes these are, in a file of this name.
pub(super) fn act(file: &str, bytes: &[u8]) -> Result<SubjectAct, Unread> {
    let (id, asked_ms, form, rest) = body(ACT, ACT_FORM, file, bytes)?;
    let of_first = (id, AskedBy::Operator, ActKind::Erase);
    let ((number, by, kind), rest) = if form == 1 { (of_first, rest) } else { what(rest)? };
    let (subjects, rest) = listed::<SUBJECT_BYTES>(rest)?;
    let subjects: Vec<u128> = subjects.iter().map(|bytes| u128::from_be_bytes(*bytes)).collect();
    let (named, rest) = if form == 1 { (&[][..], rest) } else { listed::<NAMED_BYTES>(rest)? };
    let named: Option<Vec<(Programme, u128)>> = named.iter().map(named_of).collect();
    let named = named.ok_or(DAMAGED)?;
    if !is_ascending(&subjects) || !is_ascending_by_bytes(&named) || !rest.is_empty() {
        return Err(DAMAGED);
    }
    Ok(SubjectAct { id, number, asked_ms, by, kind, subjects, named })
}

/// What was done, whose bytes these are, in a file of this name.
pub(super) fn done(file: &str, bytes: &[u8]) -> Result<Erased, Unread> {
    let [done_ms, files, rows] = numbers(DONE, file, bytes)?;
    Ok(Erased {
        done_ms: i64::from_le_bytes(done_ms),
        files: u64::from_le_bytes(files),
        rows: u64::from_le_bytes(rows),
    })
}

/// The end of an act, whose mark these bytes are, in a file of this name.
pub(super) fn lifted(file: &str, bytes: &[u8]) -> Result<Lifted, Unread> {
    let [at_ms, by] = numbers(LIFTED, file, bytes)?;
    let by = u8::try_from(u64::from_le_bytes(by)).ok().and_then(by_of).ok_or(DAMAGED)?;
    Ok(Lifted { at_ms: i64::from_le_bytes(at_ms), by })
}

/// Whether each is less than the next.
pub(super) fn is_ascending(subjects: &[u128]) -> bool {
    subjects.is_sorted_by(|one, next| one < next)
}

/// The same of what the gate knows, in the order of its bytes.
pub(super) fn is_ascending_by_bytes(named: &[(Programme, u128)]) -> bool {
    let of = |(programme, digest): &(Programme, u128)| (programme_byte(*programme), *digest);
    named.is_sorted_by(|one, next| of(one) < of(next))
}

/// The byte of a programme, by which what the gate knows is ordered.
pub(super) const fn programme_byte(programme: Programme) -> u8 {
    match programme {
        Programme::UserExperience => 1,
        Programme::DeviceExperience => 2,
    }
}

const fn by_byte(by: AskedBy) -> u8 {
    match by {
        AskedBy::Operator => 1,
        AskedBy::Officer => 2,
        AskedBy::AccountService => 3,
    }
}

fn by_of(byte: u8) -> Option<AskedBy> {
    let all = [AskedBy::Operator, AskedBy::Officer, AskedBy::AccountService];
    all.into_iter().find(|known| by_byte(*known) == byte)
}

const fn ground_byte(ground: Ground) -> u8 {
    match ground {
        Ground::Accuracy => 1,
        Ground::Unlawful => 2,
        Ground::LegalClaim => 3,
        Ground::Objection => 4,
    }
}

fn named_of(bytes: &[u8; NAMED_BYTES]) -> Option<(Programme, u128)> {
    let (programme, digest) = bytes.split_first_chunk::<1>()?;
    let programme = Programme::ALL.iter().copied().find(|known| [programme_byte(*known)] == *programme)?;
    Some((programme, u128::from_be_bytes(digest.try_into().ok()?)))
}

/// The number, who has asked, what is done, and what follows it.
#[allow(clippy::type_complexity)]
fn what(bytes: &[u8]) -> Result<((Uuid, AskedBy, ActKind), &[u8]), Unread> {
    let (number, bytes) = bytes.split_first_chunk::<16>().ok_or(DAMAGED)?;
    let (by, bytes) = bytes.split_first().ok_or(DAMAGED)?;
    let by = by_of(*by).ok_or(DAMAGED)?;
    let (&[kind, ground], rest) = bytes.split_first_chunk::<2>().ok_or(DAMAGED)?;
    let (review_day, rest) = rest.split_first_chunk::<4>().ok_or(DAMAGED)?;
    let review_day = i32::from_le_bytes(*review_day);
    let restricts = Ground::ALL.iter().copied().find(|known| ground_byte(*known) == ground);
    let kind = match (kind, restricts) {
        (1, None) if ground == 0 && review_day == 0 => ActKind::Erase,
        (2, None) if ground == 0 && review_day == 0 => ActKind::Exclude,
        (3, Some(ground)) => ActKind::Restrict(Restriction { ground, review_day }),
        _ => return Err(DAMAGED),
    };
    Ok(((Uuid::from_bytes(*number), by, kind), rest))
}

/// A list with its number before it, and what follows it.
fn listed<const BYTES: usize>(bytes: &[u8]) -> Result<(&[[u8; BYTES]], &[u8]), Unread> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(DAMAGED)?;
    let number = usize::try_from(u32::from_le_bytes(*number)).unwrap_or(usize::MAX);
    let length = number.checked_mul(BYTES).filter(|_| number <= SUBJECTS_MAX).ok_or(DAMAGED)?;
    let (list, rest) = rest.split_at_checked(length).ok_or(DAMAGED)?;
    Ok((list.as_chunks::<BYTES>().0, rest))
}

/// The numbers of a mark, and nothing else.
fn numbers<const NUMBERS: usize>(
    of: &[u8; 7],
    file: &str,
    bytes: &[u8],
) -> Result<[[u8; 8]; NUMBERS], Unread> {
    let (_, _, _, rest) = body(of, MARK_FORM, file, bytes)?;
    let (numbers, odd) = rest.as_chunks::<8>();
    match odd.is_empty() {
        true => numbers.try_into().map_err(|_| DAMAGED),
        false => Err(DAMAGED),
    }
}

fn count(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn head(of: &[u8; 7], form: u32, asked_ms: i64, id: Uuid) -> Vec<u8> {
    let mut bytes = of.to_vec();
    bytes.extend(form.to_string().as_bytes());
    bytes.extend(id.as_bytes());
    bytes.extend(asked_ms.to_le_bytes());
    bytes
}

fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Id, time, form, and what follows the head up to the CRC.
fn body<'b>(
    of: &[u8; 7],
    known: u32,
    file: &str,
    bytes: &'b [u8],
) -> Result<(Uuid, i64, u32, &'b [u8]), Unread> {
    let (form, _) = bytes.strip_prefix(of.as_slice()).and_then(<[u8]>::split_first).ok_or(DAMAGED)?;
    let found = u32::from(form.wrapping_sub(b'0'));
    if found == 0 || found > known {
        return Err(Unread::Form { found, known });
    }
    let (whole, crc) = bytes.split_last_chunk::<4>().ok_or(DAMAGED)?;
    if *crc != crc32fast::hash(whole).to_le_bytes() {
        return Err(DAMAGED);
    }
    let rest = whole.get(of.len() + 1..).ok_or(DAMAGED)?;
    let (id, rest) = rest.split_first_chunk::<16>().ok_or(DAMAGED)?;
    let (asked_ms, rest) = rest.split_first_chunk::<8>().ok_or(DAMAGED)?;
    let (id, asked_ms) = (Uuid::from_bytes(*id), i64::from_le_bytes(*asked_ms));
    match name(asked_ms, id) == file {
        true => Ok((id, asked_ms, found, rest)),
        false => Err(Unread::Damaged("is the file of another act")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = ActKind> {
        let restrict = (0..Ground::ALL.len(), any::<i32>()).prop_map(|(at, review_day)| {
            ActKind::Restrict(Restriction { ground: Ground::ALL[at], review_day })
        });
        prop_oneof![Just(ActKind::Erase), Just(ActKind::Exclude), restrict]
    }

    fn acts() -> impl Strategy<Value = Hidden> {
        let named = prop::collection::btree_set((1..=2_u8, any::<u128>()), 0..20);
        let subjects = prop::collection::btree_set(any::<u128>(), 0..20);
        (any::<u128>(), 0..=ASKED_MAX_MS, kinds(), subjects, named).prop_map(
            |(id, asked_ms, kind, subjects, named)| {
                let programme = |byte| Programme::ALL[usize::from(programme_byte(Programme::ALL[0]) != byte)];
                let named = named.into_iter().map(|(byte, digest)| (programme(byte), digest)).collect();
                let subjects = subjects.into_iter().collect();
                let (id, number) = (Uuid::from_u128(id), Uuid::from_u128(!id));
                let by = [AskedBy::Operator, AskedBy::Officer, AskedBy::AccountService]
                    [usize::try_from(asked_ms % 3).unwrap()];
                Hidden(SubjectAct { id, number, asked_ms, by, kind, subjects, named })
            },
        )
    }

    /// No `Debug` of acts: they have pseudonyms.
    fn is_read_as(file: &str, bytes: &[u8], written: &SubjectAct) -> bool {
        act(file, bytes).is_ok_and(|read| read == *written)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_that_was_changed(
            (written, numbers) in (acts(), any::<(i64, u64, u64)>()),
            (at, bit) in (any::<prop::sample::Index>(), 0..8),
        ) {
            let Hidden(written) = written;
            let (id, asked_ms) = (written.id, written.asked_ms);
            let file = name(asked_ms, id);
            let erased = Erased { done_ms: numbers.0, files: numbers.1, rows: numbers.2 };
            let end = Lifted { at_ms: numbers.0, by: written.by };
            let mut all = [act_bytes(&written), done_bytes(asked_ms, id, erased), lifted_bytes(asked_ms, id, end)];
            prop_assert!(is_read_as(&file, &all[0], &written));
            prop_assert_eq!((done(&file, &all[1]), lifted(&file, &all[2])), (Ok(erased), Ok(end)));
            let readers: [fn(&str, &[u8]) -> bool; 3] =
                [|f, b| act(f, b).is_ok(), |f, b| done(f, b).is_ok(), |f, b| lifted(f, b).is_ok()];
            for (of, bytes) in all.iter_mut().enumerate() {
                for (reader, reads) in readers.iter().enumerate() {
                    prop_assert_eq!(reads(&file, bytes), reader == of);
                }
                prop_assert!(!readers[of](&file, &bytes[..at.index(bytes.len())]));
                let changed = at.index(bytes.len());
                bytes[changed] ^= 1_u8 << bit;
                prop_assert!(!readers[of](&file, bytes));
            }
        }
    }

    /// For a strategy, whose values must have a `Debug`.
    struct Hidden(SubjectAct);

    impl std::fmt::Debug for Hidden {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an act")
        }
    }

    fn erasure(subjects: Vec<u128>) -> SubjectAct {
        let (id, kind) = (Uuid::from_u128(7), ActKind::Erase);
        let by = AskedBy::Operator;
        SubjectAct { id, number: id, asked_ms: 5, by, kind, subjects, named: Vec::new() }
    }

    #[test]
    fn a_later_form_and_a_file_that_was_renamed_are_told() {
        let erasure = erasure(vec![1, 2]);
        let mut bytes = act_bytes(&erasure);
        assert_eq!(name(5, erasure.id), "0000000000005-00000000-0000-0000-0000-000000000007");
        let renamed = act(&name(6, erasure.id), &bytes).err();
        assert_eq!(renamed, Some(Unread::Damaged("is the file of another act")));
        bytes[7] = b'3';
        assert_eq!(act(&name(5, erasure.id), &bytes).err(), Some(Unread::Form { found: 3, known: 2 }));
    }

    /// The bytes are on the disks of those who run that version.
    #[test]
    fn an_erasure_of_the_first_form_is_read_for_good() {
        let first = "53484f414c4541310000000000000000000000000000000705000000000000000200000000000000000000000000000000000001\
            00000000000000000000000000000002";
        let mut bytes = hex::decode(first.replace(' ', "")).unwrap();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        assert!(is_read_as(&name(5, Uuid::from_u128(7)), &bytes, &erasure(vec![1, 2])));
    }

    #[test]
    fn lists_that_are_not_ascending_or_too_long_are_not_read() {
        let of = |act: &SubjectAct| super::act(&name(5, act.id), &act_bytes(act)).is_ok();
        assert!(!of(&erasure(vec![1, 1])) && !of(&erasure(vec![2, 1])));
        let named = |digests: &[u128]| {
            let named = digests.iter().map(|digest| (Programme::UserExperience, *digest)).collect();
            SubjectAct { named, ..erasure(vec![1]) }
        };
        assert!(of(&named(&[1, 2])) && !of(&named(&[2, 1])) && !of(&named(&[3, 3])));
        let most: Vec<u128> = (0..SUBJECTS_MAX as u128).collect();
        assert!(of(&erasure(most.clone())) && of(&named(&most)));
        let more: Vec<u128> = most.into_iter().chain([u128::MAX]).collect();
        assert!(!of(&erasure(more.clone())) && !of(&named(&more)));
    }
}
