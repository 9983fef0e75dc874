//! Hexadecimal numbers and base64 of identifiers, as letters and digits.
//!
//! Not here: when they are looked for (`own_identifiers.rs`).

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

/// Longest identifier that is looked for, in bytes.
pub(super) const BYTES_MAX: usize = 256;
/// Bytes of an identifier of which base64 is looked for, at the least.
const BYTES_MIN: usize = 6;
/// Bytes that tell with which letters base64 of them begins, almost always.
const BEGINNING: usize = 6;
/// Letters and digits by which a beginning is known.
const LETTERS: usize = 4;
/// Bits of a byte, and of a letter of base64.
const BITS: (usize, usize) = (8, 6);

/// An encoding of an identifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Hexadecimal,
    Base64,
}

/// Hands over each encoding of an identifier of at most [`BYTES_MAX`] bytes, as letters and digits: as it is, in small and in
/// capital letters, and of the bytes that a hexadecimal one stands for.
pub(super) fn each(identifier: &str, take: &mut dyn FnMut(Encoding, &[u8])) {
    each_source(identifier, &mut |bytes, is_text| {
        if is_text {
            let mut digits = [0; 2 * BYTES_MAX];
            let digits = &mut digits[..2 * bytes.len()];
            // The room is as long as is asked for.
            let _ = hex::encode_to_slice(bytes, digits);
            take(Encoding::Hexadecimal, digits);
        }
        each_base64(bytes, &mut |letters| take(Encoding::Base64, letters));
    });
}

/// The same with only the beginning of each.
pub(super) fn each_beginning(identifier: &str, take: &mut dyn FnMut(&[u8])) {
    each_source(identifier, &mut |bytes, is_text| {
        if let (true, Some(first)) = (is_text, bytes.first_chunk::<{ LETTERS / 2 }>()) {
            let mut digits = [0; LETTERS];
            let _ = hex::encode_to_slice(first, &mut digits);
            take(&digits);
        }
        let mut is_short = false;
        each_base64(&bytes[..bytes.len().min(BEGINNING)], &mut |letters| match letters.len() >= LETTERS {
            true => take(letters),
            false => is_short = true,
        });
        if is_short {
            each_base64(bytes, &mut |letters| take(letters));
        }
    });
}

/// Hands over what encodings of an identifier are made of, and whether it is a text.
fn each_source(identifier: &str, take: &mut dyn FnMut(&[u8], bool)) {
    let bytes = identifier.as_bytes();
    if bytes.len() > BYTES_MAX {
        return;
    }
    take(bytes, true);
    let mut room = [0; BYTES_MAX];
    let changes: [fn(&u8) -> u8; 2] = [u8::to_ascii_lowercase, u8::to_ascii_uppercase];
    for change in changes {
        let form = &mut room[..bytes.len()];
        form.iter_mut().zip(bytes).for_each(|(to, from)| *to = change(from));
        if form != bytes {
            take(form, true);
        }
    }
    let mut length = 0;
    for byte in bytes.iter().filter(|b| b.is_ascii_alphanumeric()) {
        room[length] = *byte;
        length += 1;
    }
    let mut number = [0; BYTES_MAX / 2];
    let number = &mut number[..length / 2];
    if length / 2 >= BYTES_MIN && hex::decode_to_slice(&room[..length], number).is_ok() {
        take(number, false);
    }
}

/// Hands over what base64 makes of these bytes wherever they begin in a longer text, without what depends on their neighbours.
fn each_base64(bytes: &[u8], take: &mut dyn FnMut(&[u8])) {
    if bytes.len() < BYTES_MIN {
        return;
    }
    let mut shifted = [0; BYTES_MAX + 2];
    let mut encoded = [0; 2 * BYTES_MAX];
    shifted[2..2 + bytes.len()].copy_from_slice(bytes);
    for (shift, begin) in [(0, 0), (1, 2), (2, 3)] {
        let shifted = &shifted[2 - shift..2 + bytes.len()];
        // Four thirds of so many bytes have room.
        let _ = BASE64_STANDARD_NO_PAD.encode_slice(shifted, &mut encoded);
        let end = shifted.len() * BITS.0 / BITS.1;
        let mut kept = begin;
        for at in begin..end {
            if encoded[at].is_ascii_alphanumeric() {
                encoded[kept] = encoded[at];
                kept += 1;
            }
        }
        take(&encoded[begin..kept]);
    }
}
