//! The bytes of a body, decompressed within limits.
//!
//! Invariants: never more than `inflated_bytes_max` bytes come out, nor more than `ratio_max` times what came in (plus
//! a small allowance), nor is a zstd or brotli window above `zstd_window_log_max` allocated; every check comes before the
//! memory. The first bytes decide, not the header: SDKs send plain JSON under `content-encoding: gzip`, and gzip without it.
//! Only deflate without the head of zlib, and brotli, have no first bytes of their own: there the header decides, unless the
//! body is a JSON text.
//! Not here: what the bytes mean (`wire`), how slow a body may come (`shoal-server`).

use std::{
    borrow::Cow,
    io::{self, Read},
};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::{
    config::Limits,
    refusal::{Refusal, RefusalCode},
};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// What editors and some clients put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Small bodies may exceed the ratio up to this size: a few kilobytes of repeated JSON compress a hundredfold.
const RATIO_FREE_BYTES: usize = 256 * 1024;

/// The body as it was before compression, without a byte order mark; borrowed when it was not compressed.
///
/// # Errors
/// When a limit is exceeded, when the encoding is none of those below, or when the body is damaged.
pub(crate) fn inflate<'a>(
    body: &'a [u8],
    content_encoding: Option<&str>,
    limits: &Limits,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let inflated = decompress(body, content_encoding, limits)?;
    if !inflated.starts_with(BYTE_ORDER_MARK) {
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
    let encoding = Encoding::of(body, content_encoding)?;
    let read = |encoding| read_all(decoder(encoding, body, limits)?, body.len(), limits).map(Cow::Owned);
    match encoding {
        Encoding::Identity if body.len() > limits.inflated_bytes_max => Err(too_large(limits)),
        Encoding::Identity => Ok(Cow::Borrowed(body)),
        // Two bytes may be the head of zlib by chance.
        Encoding::Zlib => read(Encoding::Zlib).or_else(|refusal| match refusal.code {
            RefusalCode::BadEncoding => read(Encoding::Deflate),
            _ => Err(refusal),
        }),
        other => read(other),
    }
}

/// The first bytes of a body as it was before compression, no more than so many, and whether these are all; of one that was
/// not compressed all of them. None when it cannot be read.
pub(crate) fn beginning<'a>(
    body: &'a [u8],
    content_encoding: Option<&str>,
    bytes_max: usize,
) -> Option<(Cow<'a, [u8]>, bool)> {
    let encoding = Encoding::of(body, content_encoding).ok()?;
    if encoding == Encoding::Identity {
        return Some((Cow::Borrowed(body), true));
    }
    let mut out = Vec::new();
    let decoder = decoder(encoding, body, &Limits::DEFAULT).ok()?;
    let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = decoder.take(cap).read_to_end(&mut out);
    let is_whole = read.is_ok() && out.len() <= bytes_max;
    out.truncate(bytes_max);
    Some((Cow::Owned(out), is_whole))
}

/// A text without a byte order mark.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The members of a gzip body, one after the other. What is behind a whole member and does not begin one is padding.
struct Members<'b>(GzDecoder<&'b [u8]>);

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            let rest = *self.0.get_ref();
            if read > 0 || buffer.is_empty() || !rest.starts_with(&GZIP_MAGIC) {
                return Ok(read);
            }
            self.0 = GzDecoder::new(rest);
        }
    }
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Zlib,
    Deflate,
    Brotli,
}

impl Encoding {
    fn of(body: &[u8], header: Option<&str>) -> Result<Encoding, Refusal> {
        if body.starts_with(&GZIP_MAGIC) {
            return Ok(Encoding::Gzip);
        }
        if body.starts_with(&ZSTD_MAGIC) {
            return Ok(Encoding::Zstd);
        }
        let is_zlib = is_zlib(body);
        // No JSON begins with this letter.
        if is_zlib && body.starts_with(b"x") {
            return Ok(Encoding::Zlib);
        }
        let name = header.map(str::trim).unwrap_or_default();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if ["", "identity", "gzip", "x-gzip", "zstd"].iter().any(|known| is(known)) {
            return Ok(Encoding::Identity);
        }
        match () {
            () if (is("deflate") || is("br")) && is_json_text(body) => Ok(Encoding::Identity),
            () if is("deflate") && is_zlib => Ok(Encoding::Zlib),
            () if is("deflate") => Ok(Encoding::Deflate),
            () if is("br") => Ok(Encoding::Brotli),
            () => Err(Refusal::new(
                RefusalCode::UnsupportedEncoding,
                "content-encoding must be identity, gzip, deflate, br or zstd",
            )),
        }
    }
}

/// The head of zlib (RFC 1950): deflate, a window that there is, a checksum, no dictionary.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => {
            method & 0x0f == 8
                && method >> 4 <= 7
                && flags & 0x20 == 0
                && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31)
        }
        _ => false,
    }
}

/// Whether the body is text that begins like JSON. What is compressed is hardly ever UTF-8.
fn is_json_text(body: &[u8]) -> bool {
    let first = without_mark(body).iter().find(|b| !b.is_ascii_whitespace());
    first.is_none_or(|first| b"{[\"".contains(first)) && std::str::from_utf8(body).is_ok()
}

fn decoder<'a>(encoding: Encoding, body: &'a [u8], limits: &Limits) -> Result<Box<dyn Read + 'a>, Refusal> {
    Ok(match encoding {
        Encoding::Identity => Box::new(body),
        Encoding::Gzip => Box::new(Members(GzDecoder::new(body))),
        Encoding::Zlib => Box::new(ZlibDecoder::new(body)),
        Encoding::Deflate => Box::new(DeflateDecoder::new(body)),
        Encoding::Brotli => {
            let window_log = body.first().and_then(|first| brotli_window_log(*first));
            if window_log.is_none_or(|window_log| window_log > limits.zstd_window_log_max) {
                return Err(damaged());
            }
            Box::new(brotli_decompressor::Decompressor::new(body, 4096))
        }
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| damaged())?;
            decoder.window_log_max(limits.zstd_window_log_max).map_err(|_| damaged())?;
            Box::new(decoder)
        }
    })
}

/// The window that a brotli stream asks for, as a power of 2 (RFC 7932, section 9.1); none for what is not in the RFC, such as
/// a "large window" of up to a gibibyte.
fn brotli_window_log(first: u8) -> Option<u32> {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => Some(16),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, low) => Some(8 + u32::from(low)),
        (_, high, _) => Some(17 + u32::from(high)),
    }
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
        "the body is said to be compressed, or begins so, and cannot be decompressed within the limits",
    )
}

/// The bytes compressed, for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(bytes: &[u8], window_log: u32) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, window_log);
        encoder.write_all(bytes).unwrap();
        encoder.into_inner()
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
        let zlib = zlib(plain);
        for header in
            [None, Some("gzip"), Some("zstd"), Some("identity"), Some(" GZIP "), Some("deflate"), Some("br")]
        {
            for body in [&plain[..], &zipped, &zstd, &zlib] {
                assert_eq!(&*inflate(body, header, &limits).unwrap(), plain);
            }
        }
        let marked = [BYTE_ORDER_MARK, plain].concat();
        assert_eq!(without_mark(&inflate(&marked, Some("br"), &limits).unwrap()), plain);
        assert_eq!(refusal(plain, Some("compress"), &limits), "unsupported_encoding");
        assert_eq!(refusal(plain, Some("gzip, gzip"), &limits), "unsupported_encoding");
    }

    #[test]
    fn deflate_without_a_head_and_brotli_are_read_where_the_header_says_so() {
        let limits = Limits::default();
        let long: String =
            (0..5000u32).map(|at| format!("{{\"id\":\"{}\"}}", at.wrapping_mul(2_654_435_761))).collect();
        for plain in [&b"{\"events\":[]}"[..], b"", long.as_bytes()] {
            assert_eq!(&*inflate(&deflate(plain), Some("deflate"), &limits).unwrap(), plain);
            for window_log in [10, 16, 17, 18, 22] {
                let body = brotli(plain, window_log);
                assert_eq!(&*inflate(&body, Some("BR"), &limits).unwrap(), plain);
                if plain.len() > 1000 {
                    assert_eq!(brotli_window_log(body[0]), Some(window_log), "{window_log}");
                    assert_eq!(refusal(&body[..body.len() / 2], Some("br"), &limits), "bad_encoding");
                }
            }
        }
        assert_eq!(refusal(&brotli(long.as_bytes(), 24), Some("br"), &limits), "bad_encoding", "its window");
        assert_eq!(refusal(&[0x11, 0x1e, 0, 0], Some("br"), &limits), "bad_encoding", "a large window");
    }

    #[test]
    fn what_is_behind_a_whole_member_of_gzip_and_begins_none_is_padding() {
        let limits = Limits::default();
        let (one, two) = (gzip(b"{\"events\":"), gzip(b"[]}"));
        for padding in [&b""[..], b"\0", b"\n", b"\0\0\0\0\0\0", b"x", b"\x1f"] {
            let body = [&one[..], &two, padding].concat();
            assert_eq!(&*inflate(&body, Some("gzip"), &limits).unwrap(), b"{\"events\":[]}", "{padding:?}");
            let (bytes, is_whole) = beginning(&body, None, 100).unwrap();
            assert!(is_whole && *bytes == *b"{\"events\":[]}");
        }
        assert_eq!(
            refusal(&[&one[..], &two[..two.len() - 1]].concat(), None, &limits),
            "bad_encoding",
            "cut"
        );
        assert_eq!(refusal(&[&one[..], b"\x1f\x8bx"].concat(), None, &limits), "bad_encoding");
    }

    #[test]
    fn the_beginning_is_no_more_than_is_asked_for() {
        let plain = [b'x'; 100_000];
        let body = gzip(&plain);
        for (bytes_max, length, is_whole) in
            [(10, 10, false), (99_999, 99_999, false), (100_000, 100_000, true)]
        {
            let (bytes, found) = beginning(&body, None, bytes_max).unwrap();
            assert_eq!((bytes.len(), found), (length, is_whole));
        }
        let (bytes, is_whole) = beginning(&plain, None, 10).unwrap();
        assert_eq!((bytes.len(), is_whole), (plain.len(), true));
        assert!(!beginning(&body[..body.len() - 20], None, 200_000).unwrap().1, "cut");
    }

    #[test]
    fn a_bomb_is_refused() {
        let limits = Limits::default();
        let zeros = vec![0; 12 << 20];
        assert_eq!(refusal(&gzip(&zeros), None, &limits), "compression_ratio");
        assert_eq!(refusal(&zstd::encode_all(&zeros[..], 1).unwrap(), None, &limits), "compression_ratio");
        assert_eq!(refusal(&zlib(&zeros), None, &limits), "compression_ratio");
        assert_eq!(refusal(&deflate(&zeros), Some("deflate"), &limits), "compression_ratio");
        assert_eq!(refusal(&brotli(&zeros, 18), Some("br"), &limits), "compression_ratio");
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
            for header in [None, Some("deflate"), Some("br")] {
                let _ = inflate(&body, header, &Limits::default());
                let _ = beginning(&body, header, 50);
            }
        }
    }
}
