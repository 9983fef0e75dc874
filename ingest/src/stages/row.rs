//! One event as the log keeps it: compact, self-delimiting, its columns by position in `TableDef::columns`.
//!
//! ```text
//!  0  u32  length of the row in bytes, these four included       all integers little-endian
//!  4  u16  event: position in the registry that it was made by (the segment's dictionary has the name)
//!  6  u8   kind: `Kind::index`
//!  7  u8   bit 0 programme: `Programme::index` | bit 1 has a session | bits 2-3 consent: 0 carried, 1 recorded, 2 asserted
//!  8  i64  time, ms since 1970
//! 16  u32  epoch
//! 20  16 B event id digest | 36  16 B subject | 52  16 B session digest, if it has one
//! then for each value: u16 column (low 14 bits) + type (high 2: 0 text, 1 integer, 2 false, 3 true)
//!      text: varint length, UTF-8 | integer: zigzag varint | boolean: nothing
//! ```
//! Invariant: `decode(encode(x)) == x`; `decode` never panics, whatever the bytes.
//! Not here: which columns there are (`shoal-schemas`), the record around rows (`log/record.rs`).

use shoal_privacy::consent::Basis;
use shoal_schemas::{Kind, Programme};

const HEAD_BYTES: usize = 52;
const COLUMN_MASK: u16 = (1 << 14) - 1;

/// A value of a column.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Integer(i64),
    Boolean(bool),
}

/// What every row has. No `Debug` outside tests: it holds a pseudonym.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct RowHead {
    /// Position in `Registry::events`.
    pub(crate) event: u16,
    pub(crate) kind: Kind,
    pub(crate) programme: Programme,
    /// Corrected time, ms since 1970, UTC.
    pub(crate) time_ms: i64,
    pub(crate) event_id: [u8; 16],
    pub(crate) subject: [u8; 16],
    pub(crate) session: Option<[u8; 16]>,
    pub(crate) consent: Basis,
    pub(crate) epoch: u32,
}

impl RowHead {
    /// What a resend is recognised by: 64 bits of a keyed digest, so nobody outside can aim at a collision.
    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(&self.event_id)
    }
}

/// What a digest of an event id is known by.
pub(crate) fn fingerprint(event_id: &[u8; 16]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&event_id[..8]);
    u64::from_le_bytes(first)
}

/// Why bytes are not a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a row: {0}")]
pub(crate) struct RowError(pub(crate) &'static str);

/// Appends one row to `out`. Column positions are below 16,384.
pub(crate) fn encode<'v>(head: &RowHead, values: impl Iterator<Item = (u16, Value<'v>)>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.event.to_le_bytes());
    out.push(head.kind.index() as u8);
    let basis = match head.consent {
        Basis::Carried => 0u8,
        Basis::Recorded => 1,
        Basis::Asserted => 2,
    };
    let session = u8::from(head.session.is_some());
    out.push(head.programme.index() as u8 | session << 1 | basis << 2);
    out.extend_from_slice(&head.time_ms.to_le_bytes());
    out.extend_from_slice(&head.epoch.to_le_bytes());
    out.extend_from_slice(&head.event_id);
    out.extend_from_slice(&head.subject);
    if let Some(session) = &head.session {
        out.extend_from_slice(session);
    }
    for (column, value) in values {
        debug_assert!(column <= COLUMN_MASK);
        let (tag, rest) = match value {
            Value::Text(text) => (0, Some(text)),
            Value::Integer(_) => (1, None),
            Value::Boolean(flag) => (2 + u16::from(flag), None),
        };
        out.extend_from_slice(&(column & COLUMN_MASK | tag << 14).to_le_bytes());
        match (value, rest) {
            (_, Some(text)) => {
                put_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            (Value::Integer(number), _) => put_varint(zigzag(number), out),
            _ => {}
        }
    }
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Reads one row; `bytes` is exactly the row.
///
/// # Errors
/// When the head is not one. Values are checked as they are read.
pub(crate) fn decode(bytes: &[u8]) -> Result<(RowHead, ValueIter<'_>), RowError> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(RowError("shorter than a head"))?;
    if fixed::<4>(head, 0) != (bytes.len() as u32).to_le_bytes() {
        return Err(RowError("length"));
    }
    let flags = head[7];
    let (session, values) = match flags & 2 {
        0 => (None, rest),
        _ => match rest.split_first_chunk::<16>() {
            Some((session, values)) => (Some(*session), values),
            None => return Err(RowError("session")),
        },
    };
    let consent = match flags >> 2 {
        0 => Basis::Carried,
        1 => Basis::Recorded,
        2 => Basis::Asserted,
        _ => return Err(RowError("flags")),
    };
    let head = RowHead {
        event: u16::from_le_bytes(fixed(head, 4)),
        kind: *Kind::ALL.get(usize::from(head[6])).ok_or(RowError("kind"))?,
        programme: *Programme::ALL.get(usize::from(flags & 1)).ok_or(RowError("programme"))?,
        time_ms: i64::from_le_bytes(fixed(head, 8)),
        epoch: u32::from_le_bytes(fixed(head, 16)),
        event_id: fixed(head, 20),
        subject: fixed(head, 36),
        session,
        consent,
    };
    Ok((head, ValueIter { rest: values }))
}

/// The rows of a payload, one after the other.
pub(crate) fn rows(payload: &[u8]) -> Rows<'_> {
    Rows { rest: payload }
}

/// Iterator of [`rows`].
pub(crate) struct Rows<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<&'a [u8], RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.first_chunk::<4>().map(|b| u32::from_le_bytes(*b));
        let row = match length {
            Some(length) if length as usize >= HEAD_BYTES => self.rest.split_at_checked(length as usize),
            _ => None,
        };
        match row {
            Some((row, rest)) => {
                self.rest = rest;
                Some(Ok(row))
            }
            None => {
                self.rest = &[];
                Some(Err(RowError("length")))
            }
        }
    }
}

/// The values of a row, in the order they were written.
pub(crate) struct ValueIter<'a> {
    rest: &'a [u8],
}

impl<'a> ValueIter<'a> {
    fn value(&mut self) -> Result<(u16, Value<'a>), RowError> {
        let (tag, rest) = self.rest.split_first_chunk::<2>().ok_or(RowError("column"))?;
        self.rest = rest;
        let tag = u16::from_le_bytes(*tag);
        let value = match tag >> 14 {
            0 => {
                let length = usize::try_from(self.varint()?).map_err(|_| RowError("text length"))?;
                let (text, rest) = self.rest.split_at_checked(length).ok_or(RowError("text length"))?;
                self.rest = rest;
                Value::Text(std::str::from_utf8(text).map_err(|_| RowError("text"))?)
            }
            1 => Value::Integer(unzigzag(self.varint()?)),
            flag => Value::Boolean(flag == 3),
        };
        Ok((tag & COLUMN_MASK, value))
    }

    fn varint(&mut self) -> Result<u64, RowError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(RowError("varint"))?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(RowError("varint"))
    }
}

impl<'a> Iterator for ValueIter<'a> {
    type Item = Result<(u16, Value<'a>), RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let value = self.value();
        if value.is_err() {
            self.rest = &[];
        }
        Some(value)
    }
}

fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn head() -> impl Strategy<Value = RowHead> {
        let parts = (any::<u16>(), 0..4usize, 0..2usize, any::<i64>(), any::<u32>());
        let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<Option<[u8; 16]>>(), 0..3usize);
        (parts, ids).prop_map(|((event, kind, programme, time_ms, epoch), ids)| RowHead {
            event,
            kind: Kind::ALL[kind],
            programme: Programme::ALL[programme],
            time_ms,
            event_id: ids.0,
            subject: ids.1,
            session: ids.2,
            consent: [Basis::Carried, Basis::Recorded, Basis::Asserted][ids.3],
            epoch,
        })
    }

    #[derive(Clone, Debug)]
    enum Owned {
        Text(String),
        Integer(i64),
        Boolean(bool),
    }

    impl Owned {
        fn borrow(&self) -> Value<'_> {
            match self {
                Owned::Text(text) => Value::Text(text),
                Owned::Integer(number) => Value::Integer(*number),
                Owned::Boolean(flag) => Value::Boolean(*flag),
            }
        }
    }

    fn values() -> impl Strategy<Value = Vec<(u16, Owned)>> {
        let value = prop_oneof![
            ".{0,300}".prop_map(Owned::Text),
            any::<i64>().prop_map(Owned::Integer),
            any::<bool>().prop_map(Owned::Boolean),
        ];
        proptest::collection::vec((0..COLUMN_MASK, value), 0..12)
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(batch in proptest::collection::vec((head(), values()), 0..5)) {
            let mut bytes = Vec::new();
            for (head, values) in &batch {
                encode(head, values.iter().map(|(c, v)| (*c, v.borrow())), &mut bytes);
            }
            let found: Vec<&[u8]> = rows(&bytes).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(found.len(), batch.len());
            for (row, (head, values)) in found.into_iter().zip(&batch) {
                let (decoded, iter) = decode(row).unwrap();
                prop_assert!(decoded == *head);
                let got: Vec<_> = iter.collect::<Result<Vec<_>, _>>().unwrap();
                let want: Vec<_> = values.iter().map(|(c, v)| (*c, v.borrow())).collect();
                prop_assert!(got == want);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let length = (bytes.len() as u32).to_le_bytes();
            if let Some(first) = bytes.first_chunk_mut::<4>() {
                *first = length;
            }
            if bytes.len() > 8 { bytes[6] &= 3; bytes[7] &= 7; }
            for row in rows(&bytes).flatten() {
                if let Ok((_, values)) = decode(row) {
                    let _ = values.count();
                }
            }
        }
    }
}
