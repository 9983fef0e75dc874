//! The bytes and the names of what is kept of an erasure.
//!
//! ```text
//! acts/<asked ms, 13 digits>-<id>   "SHOALEA1" | id (16) | asked ms, i64 LE | number of subjects, u32 LE
//!                                   | subjects (16 each, ascending) | CRC-32 of all before, u32 LE
//! done/<the same name>              "SHOALED1" | id (16) | asked ms, i64 LE | done ms, i64 LE | files, u64 LE | rows, u64 LE
//!                                   | CRC-32 of all before, u32 LE
//! ```
//! The last byte of a head is the number of the form. Invariants: names sort by the time; what is read is what was written, under the
//! name that it was written for, or an error. Not here: where the files are (`places`).

use uuid::Uuid;

use super::act::{Erased, Erasure};

/// Subjects that an act may have.
pub(super) const SUBJECTS_MAX: usize = 1_000_000;
/// The last time that has a name, in milliseconds since 1970: in the year 2286.
pub(super) const ASKED_MAX_MS: i64 = 9_999_999_999_999;
/// The number of this form.
pub(super) const FORM: u32 = 1;
const FORM_DIGIT: u8 = b'0' + FORM as u8;
const ACT: &[u8; 7] = b"SHOALEA";
const DONE: &[u8; 7] = b"SHOALED";
const SUBJECT_BYTES: usize = 16;

/// Why bytes are not those of an act, or of what was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A later version has written them, in the form of this number.
    Form(u32),
    /// They are damaged: completes a sentence that begins with the file.
    Damaged(&'static str),
}

const DAMAGED: Unread = Unread::Damaged("is damaged");

/// The name of both files of an erasure, in their folders.
pub(super) fn name(asked_ms: i64, id: Uuid) -> String {
    format!("{asked_ms:013}-{id}")
}

/// The bytes of an act.
pub(super) fn act_bytes(erasure: &Erasure) -> Vec<u8> {
    let mut bytes = head(ACT, erasure.asked_ms, erasure.id);
    bytes.reserve(8 + erasure.subjects.len() * SUBJECT_BYTES);
    bytes.extend(u32::try_from(erasure.subjects.len()).unwrap_or(u32::MAX).to_le_bytes());
    for subject in &erasure.subjects {
        bytes.extend(subject.to_be_bytes());
    }
    signed(bytes)
}

/// The bytes of what was done.
pub(super) fn done_bytes(asked_ms: i64, id: Uuid, erased: Erased) -> Vec<u8> {
    let mut bytes = head(DONE, asked_ms, id);
    bytes.extend(erased.done_ms.to_le_bytes());
    bytes.extend(erased.files.to_le_bytes());
    bytes.extend(erased.rows.to_le_bytes());
    signed(bytes)
}

/// The act whose bytes these are, in a file of this name.
pub(super) fn act(file: &str, bytes: &[u8]) -> Result<Erasure, Unread> {
    let (id, asked_ms, rest) = body(ACT, file, bytes)?;
    let (number, rest) = rest.split_first_chunk::<4>().ok_or(DAMAGED)?;
    let (subjects, odd) = rest.as_chunks::<SUBJECT_BYTES>();
    let number = usize::try_from(u32::from_le_bytes(*number)).unwrap_or(usize::MAX);
    if number > SUBJECTS_MAX || subjects.len() != number || !odd.is_empty() {
        return Err(DAMAGED);
    }
    let subjects: Vec<u128> = subjects.iter().map(|bytes| u128::from_be_bytes(*bytes)).collect();
    if !is_ascending(&subjects) {
        return Err(DAMAGED);
    }
    Ok(Erasure { id, asked_ms, subjects })
}

/// What was done, whose bytes these are, in a file of this name.
pub(super) fn done(file: &str, bytes: &[u8]) -> Result<Erased, Unread> {
    let (_, _, rest) = body(DONE, file, bytes)?;
    let (numbers, odd) = rest.as_chunks::<8>();
    let &[done_ms, files, rows] = numbers else { return Err(DAMAGED) };
    if !odd.is_empty() {
        return Err(DAMAGED);
    }
    Ok(Erased {
        done_ms: i64::from_le_bytes(done_ms),
        files: u64::from_le_bytes(files),
        rows: u64::from_le_bytes(rows),
    })
}

/// Whether each is less than the next.
pub(super) fn is_ascending(subjects: &[u128]) -> bool {
    subjects.is_sorted_by(|one, next| one < next)
}

fn head(of: &[u8; 7], asked_ms: i64, id: Uuid) -> Vec<u8> {
    let mut bytes = of.to_vec();
    bytes.push(FORM_DIGIT);
    bytes.extend(id.as_bytes());
    bytes.extend(asked_ms.to_le_bytes());
    bytes
}

fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Id, time, and what follows them up to the CRC.
fn body<'b>(of: &[u8; 7], file: &str, bytes: &'b [u8]) -> Result<(Uuid, i64, &'b [u8]), Unread> {
    let (form, _) = bytes.strip_prefix(of.as_slice()).and_then(<[u8]>::split_first).ok_or(DAMAGED)?;
    if *form != FORM_DIGIT {
        return Err(Unread::Form(u32::from(form.wrapping_sub(b'0'))));
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
        true => Ok((id, asked_ms, rest)),
        false => Err(Unread::Damaged("is the file of another erasure")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn told(act: Result<Erasure, Unread>) -> Result<(Uuid, i64, Vec<u128>), Unread> {
        act.map(|act| (act.id, act.asked_ms, act.subjects))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_that_was_changed(
            id in any::<u128>(),
            asked_ms in 0..=ASKED_MAX_MS,
            subjects in prop::collection::btree_set(any::<u128>(), 0..20),
            numbers in any::<(i64, u64, u64)>(),
            (at, bit) in (any::<prop::sample::Index>(), 0..8),
        ) {
            let (id, subjects) = (Uuid::from_u128(id), subjects.into_iter().collect::<Vec<_>>());
            let file = name(asked_ms, id);
            let mut bytes = act_bytes(&Erasure { id, asked_ms, subjects: subjects.clone() });
            prop_assert_eq!(told(act(&file, &bytes)), Ok((id, asked_ms, subjects)));
            let erased = Erased { done_ms: numbers.0, files: numbers.1, rows: numbers.2 };
            let mut mark = done_bytes(asked_ms, id, erased);
            prop_assert_eq!(done(&file, &mark), Ok(erased));
            prop_assert!(act(&file, &mark).is_err() && done(&file, &bytes).is_err());
            prop_assert!(act(&file, &bytes[..at.index(bytes.len())]).is_err());
            prop_assert!(done(&file, &mark[..at.index(mark.len())]).is_err());
            let (one, other) = (at.index(bytes.len()), at.index(mark.len()));
            bytes[one] ^= 1_u8 << bit;
            mark[other] ^= 1_u8 << bit;
            prop_assert!(act(&file, &bytes).is_err() && done(&file, &mark).is_err());
        }
    }

    #[test]
    fn a_later_form_and_a_file_that_was_renamed_are_told() {
        let erasure = Erasure { id: Uuid::from_u128(7), asked_ms: 5, subjects: vec![1, 2] };
        let mut bytes = act_bytes(&erasure);
        assert_eq!(name(5, erasure.id), "0000000000005-00000000-0000-0000-0000-000000000007");
        let renamed = told(act(&name(6, erasure.id), &bytes));
        assert_eq!(renamed, Err(Unread::Damaged("is the file of another erasure")));
        bytes[7] = b'3';
        assert_eq!(told(act(&name(5, erasure.id), &bytes)), Err(Unread::Form(3)));
    }

    #[test]
    fn subjects_that_are_not_ascending_or_too_many_are_not_read() {
        let of = |subjects: Vec<u128>| {
            let erasure = Erasure { id: Uuid::nil(), asked_ms: 0, subjects };
            told(act(&name(0, Uuid::nil()), &act_bytes(&erasure)))
        };
        assert!(of(vec![1, 1]).is_err() && of(vec![2, 1]).is_err());
        let most: Vec<u128> = (0..SUBJECTS_MAX as u128).collect();
        assert_eq!(of(most.clone()).unwrap().2.len(), SUBJECTS_MAX);
        assert!(of(most.into_iter().chain([u128::MAX]).collect()).is_err());
    }
}
