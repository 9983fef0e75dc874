//! Compression of rows, as records of the log have it, and how many bytes it leaves.
//!
//! Invariant: what is counted here is what a record with the same rows takes. Not here: records (`log/record.rs`).

/// Compresses into a buffer that has room for it; the length, when that saves at least an eighth.
pub(crate) fn pack_into(payload: &[u8], out: &mut [u8]) -> Option<usize> {
    let packed = lz4_flex::block::compress_into(payload, out).ok();
    packed.filter(|length| *length < payload.len() - payload.len() / 8)
}

/// Most bytes that compression may take on its way.
pub(crate) fn room_for(payload: &[u8]) -> usize {
    lz4_flex::block::get_maximum_output_size(payload.len()).max(payload.len())
}

/// How many bytes these rows take in a record.
pub(crate) fn packed_bytes(payload: &[u8]) -> u64 {
    let mut out = vec![0; room_for(payload)];
    pack_into(payload, &mut out).unwrap_or(payload.len()) as u64
}
