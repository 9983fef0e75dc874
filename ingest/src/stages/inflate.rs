//! The bytes of a body, decompressed within limits.
//!
//! Invariants: never more than `inflated_bytes_max` bytes come out, nor more than `ratio_max` times what came in (plus
//! a small allowance), nor is a zstd window above `zstd_window_log_max` allocated; every check comes before the memory.
//! The first bytes decide, not the header: SDKs send plain JSON under `content-encoding: gzip`, and gzip without it.
//! Not here: what the bytes mean (`wire`), how slow a body may come (`shoal-server`).

use std::{borrow::Cow, io::Read};

use crate::{
    config::Limits,
    refusal::{Refusal, RefusalCode},
};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Small bodies may exceed the ratio up to this size: a few kilobytes of repeated JSON compress a hundredfold.
const RATIO_FREE_BYTES: usize = 256 * 1024;

/// The byte order mark of UTF-8, which some clients put before a text.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The body as it was before compression, without a byte order mark; borrowed when it was not compressed.
///
/// # Errors
/// When a limit is exceeded, when the encoding is not identity, gzip or zstd, or when the body is damaged.
pub(crate) fn inflate<'a>(
    body: &'a [u8],
    content_encoding: Option<&str>,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let inflated = decompress(body, content_encoding, limits)?;
    if !inflated.starts_with(&BYTE_ORDER_MARK) {
        return Ok(inflated);
    }
    Ok(match inflated {
        Cow::Borrowed(body) => Cow::Borrowed(&body[BYTE_ORDER_MARK.len()..]),
        Cow::Owned(mut body) => {
            body.drain(..BYTE_ORDER_MARK.len());
            Cow::Owned(body)
        }
    })
}

fn decompress<'a>(
    body: &'a [u8],
    content_encoding: Option<&str>,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, Refusal> {
    if body.len() > limits.body_bytes_max {
        return Err(too_large(limits));
    }
    if body.starts_with(&GZIP_MAGIC) {
        return read_all(flate2::read::MultiGzDecoder::new(body), body.len(), limits).map(Cow::Owned);
    }
    if body.starts_with(&ZSTD_MAGIC) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| damaged())?;
        decoder.window_log_max(limits.zstd_window_log_max).map_err(|_| damaged())?;
        return read_all(decoder, body.len(), limits).map(Cow::Owned);
    }
    let known = content_encoding.map(str::trim).is_none_or(|name| {
        ["", "identity", "gzip", "x-gzip", "zstd"].iter().any(|known| name.eq_ignore_ascii_case(known))
    });
    if !known {
        return Err(Refusal::new(
            RefusalCode::UnsupportedEncoding,
            "content-encoding must be identity, gzip or zstd",
        ));
    }
    if body.len() > limits.inflated_bytes_max {
        return Err(too_large(limits));
    }
    Ok(Cow::Borrowed(body))
}

fn read_all(decoder: impl Read, compressed_bytes: usize, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let by_ratio = compressed_bytes.saturating_mul(limits.ratio_max).max(RATIO_FREE_BYTES);
    let bytes_max = by_ratio.min(limits.inflated_bytes_max);
    let mut out = Vec::with_capacity(compressed_bytes.saturating_mul(4).min(bytes_max));
    let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(cap).read_to_end(&mut out).map_err(|_| damaged())?;
    if out.len() <= bytes_max {
        return Ok(out);
    }
    if bytes_max == limits.inflated_bytes_max {
        return Err(too_large(limits));
    }
    let reason = format!("the body is more than {} times larger when decompressed", limits.ratio_max);
    Err(Refusal::new(RefusalCode::CompressionRatio, reason))
}

fn too_large(limits: &Limits) -> Refusal {
    let reason = format!(
        "the body is larger than {} bytes, or than {} bytes when decompressed",
        limits.body_bytes_max, limits.inflated_bytes_max,
    );
    Refusal::new(RefusalCode::TooLarge, reason)
}

fn damaged() -> Refusal {
    Refusal::new(
        RefusalCode::BadEncoding,
        "the body starts like gzip or zstd, and cannot be decompressed within the limits",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn refusal(body: &[u8], header: Option<&str>, limits: &Limits) -> &'static str {
        let refusal = inflate(body, header, limits).unwrap_err();
        refusal.code.as_str()
    }

    #[test]
    fn the_bytes_decide_and_not_the_header() {
        let limits = Limits::default();
        let plain = br#"{"events":[]}"#;
        let zipped = gzip(plain);
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for header in [None, Some("gzip"), Some("zstd"), Some("identity"), Some(" GZIP ")] {
            for body in [&plain[..], &zipped, &zstd] {
                assert_eq!(&*inflate(body, header, &limits).unwrap(), plain);
            }
        }
        assert_eq!(refusal(plain, Some("br"), &limits), "unsupported_encoding");
        assert_eq!(refusal(plain, Some("gzip, gzip"), &limits), "unsupported_encoding");
    }

    #[test]
    fn a_bomb_is_refused() {
        let limits = Limits::default();
        let zeros = vec![0; 12 << 20];
        assert_eq!(refusal(&gzip(&zeros), None, &limits), "compression_ratio");
        assert_eq!(refusal(&zstd::encode_all(&zeros[..], 1).unwrap(), None, &limits), "compression_ratio");
        let small = Limits { inflated_bytes_max: 1000, ..Limits::default() };
        assert_eq!(refusal(&gzip(&zeros), None, &small), "too_large");
        assert_eq!(refusal(&[b' '; 1001], None, &small), "too_large");
        assert_eq!(refusal(&vec![b' '; (2 << 20) + 1], None, &limits), "too_large");
    }

    #[test]
    fn a_large_zstd_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let body = encoder.finish().unwrap();
        assert_eq!(refusal(&body, None, &Limits::default()), "bad_encoding");
        let wide = Limits { zstd_window_log_max: 27, ratio_max: 1_000_000, ..Limits::default() };
        assert_eq!(inflate(&body, None, &wide).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_cut_body_is_refused() {
        let zipped = gzip(&[b'x'; 1000]);
        assert_eq!(refusal(&zipped[..zipped.len() - 9], None, &Limits::default()), "bad_encoding");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(magic in 0..3usize, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut body = [&[][..], &GZIP_MAGIC, &ZSTD_MAGIC][magic].to_vec();
            body.extend(&bytes);
            let _ = inflate(&body, None, &Limits::default());
        }
    }
}
