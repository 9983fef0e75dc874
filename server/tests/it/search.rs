//! Looks for markers in bytes, as they are and in every form in which they could have slipped through.
//!
//! Forms: as it is, in lower and upper case, percent-encoded (what must be, and every byte), hexadecimal, base64 (both
//! alphabets, at its three alignments), and plain unkeyed hashes (MD5, SHA-1, SHA-256, BLAKE3) as bytes, hexadecimal and
//! base64. Compressed records of the write-ahead log are unpacked first; Parquet is read by `tables::cells`.
//! Invariant: a form is at least [`PREFIX`] bytes long, so that it is not found by chance.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use sha2::Digest as _;

use crate::tables::files;

const PREFIX: usize = 6;

/// A marker in one form.
struct Form {
    marker: String,
    name: String,
    bytes: Vec<u8>,
}

/// Looks for many forms of many markers in one pass.
pub(crate) struct Searcher {
    forms: Vec<Form>,
    by_prefix: HashMap<[u8; PREFIX], Vec<usize>>,
    /// Whether any form begins with these two bytes.
    begins: Vec<bool>,
}

impl Searcher {
    /// For these markers.
    pub(crate) fn new(markers: &[&str]) -> Searcher {
        let mut found =
            Searcher { forms: Vec::new(), by_prefix: HashMap::new(), begins: vec![false; 1 << 16] };
        for marker in markers {
            for (name, bytes) in forms(marker) {
                let prefix =
                    *bytes.first_chunk::<PREFIX>().unwrap_or_else(|| panic!("{marker} is too short"));
                found.by_prefix.entry(prefix).or_default().push(found.forms.len());
                found.begins[usize::from(prefix[0]) << 8 | usize::from(prefix[1])] = true;
                found.forms.push(Form { marker: (*marker).to_owned(), name, bytes });
            }
        }
        found
    }

    /// What is in there: `marker as form`, each once, with what stands around it.
    pub(crate) fn hits(&self, bytes: &[u8]) -> Vec<String> {
        let mut hits: Vec<String> = Vec::new();
        // Files of the log are mostly zeros that wait to be written over.
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        let bytes = &bytes[..end];
        for at in 0..bytes.len().saturating_sub(PREFIX - 1) {
            if !self.begins[usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1])] {
                continue;
            }
            let Some(candidates) = bytes[at..].first_chunk().and_then(|p| self.by_prefix.get(p)) else {
                continue;
            };
            for form in candidates.iter().map(|i| &self.forms[*i]) {
                if bytes[at..].starts_with(&form.bytes) {
                    let around = &bytes[at.saturating_sub(60)..(at + form.bytes.len() + 40).min(bytes.len())];
                    let around = String::from_utf8_lossy(around);
                    hits.push(format!("{} as {}: ..{around:?}..", form.marker, form.name));
                }
            }
        }
        hits.sort();
        hits.dedup_by(|a, b| a.split(": ..").next() == b.split(": ..").next());
        hits
    }

    /// What is in the files under a directory, unpacked records of the log included.
    pub(crate) fn hits_in_files(&self, dir: &Path) -> Vec<String> {
        let mut hits = Vec::new();
        for path in files(dir) {
            let shown = path.display().to_string();
            let mut note = |part: &str, found: Vec<String>| {
                hits.extend(found.into_iter().map(|hit| format!("{shown}{part}: {hit}")));
            };
            note("", self.hits(&std::fs::read(&path).unwrap()));
            note(" (its path)", self.hits(shown.as_bytes()));
            if path.extension().is_some_and(|e| e == "log") {
                note(" (unpacked)", self.hits(&unpacked(&std::fs::read(&path).unwrap())));
            }
        }
        hits
    }

    /// How many forms are looked for.
    pub(crate) fn len(&self) -> usize {
        self.forms.len()
    }
}

/// Every form of a marker.
pub(crate) fn forms(marker: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms: Vec<(String, Vec<u8>)> = vec![("itself".to_owned(), marker.into())];
    let mut add = |name: &str, bytes: Vec<u8>| {
        if !forms.iter().any(|(_, known)| *known == bytes) {
            forms.push((name.to_owned(), bytes));
        }
    };
    add("lower case", marker.to_lowercase().into_bytes());
    add("upper case", marker.to_uppercase().into_bytes());
    let must = |b: u8| !b.is_ascii_alphanumeric() && !b"-_.~".contains(&b);
    add("percent-encoded", percent(marker, must));
    add("percent-encoded, lower case", percent(marker, must).to_ascii_lowercase());
    add("percent-encoded as a whole", percent(marker, |_| true));
    add("hexadecimal", hex::encode(marker).into_bytes());
    add("hexadecimal, upper case", hex::encode_upper(marker).into_bytes());
    for shift in 0..3 {
        let shifted = [&[0; 2][..shift], marker.as_bytes()].concat();
        // Only the characters that are made of the marker's own bits.
        let (from, to) = ([0, 2, 3][shift], shifted.len() * 8 / 6);
        add("base64", BASE64_STANDARD_NO_PAD.encode(&shifted)[from..to].into());
        add("base64 for URLs", BASE64_URL_SAFE_NO_PAD.encode(&shifted)[from..to].into());
    }
    let plain = marker.as_bytes();
    let hashes = [
        ("MD5", md5::Md5::digest(plain).to_vec()),
        ("SHA-1", sha1::Sha1::digest(plain).to_vec()),
        ("SHA-256", sha2::Sha256::digest(plain).to_vec()),
        ("BLAKE3", blake3::hash(plain).as_bytes().to_vec()),
    ];
    for (name, hash) in hashes {
        // A hash may have been cut to 128 bits.
        let cut = &hash[..16];
        add(&format!("{name} as bytes"), cut.to_vec());
        add(&format!("{name} in hexadecimal"), hex::encode(cut).into_bytes());
        add(&format!("{name} in hexadecimal, upper case"), hex::encode_upper(cut).into_bytes());
        add(&format!("{name} in base64"), BASE64_STANDARD.encode(&hash)[..20].into());
        add(&format!("{name} in base64 for URLs"), BASE64_URL_SAFE_NO_PAD.encode(&hash)[..20].into());
    }
    forms
}

fn percent(text: &str, must: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in text.bytes() {
        if must(byte) { out.extend_from_slice(format!("%{byte:02X}").as_bytes()) } else { out.push(byte) }
    }
    out
}

/// The payloads of all records in a file of the write-ahead log that are not encrypted; its format is drawn in
/// `ingest/src/log/record.rs`. Of encrypted ones the bytes are all there is.
pub(crate) fn unpacked(file: &[u8]) -> Vec<u8> {
    let number = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap()) as usize;
    let mut payloads = Vec::new();
    let is_plain = |at: &usize| file[*at..].starts_with(b"SHL1") && file[at + 6] == 0;
    for at in (0..file.len()).step_by(4096).filter(is_plain) {
        let (is_packed, stored, plain) = (file[at + 5] == 1, number(at + 24), number(at + 28));
        let payload = &file[at + 40..at + 40 + stored];
        match is_packed {
            true => payloads.extend(lz4_flex::block::decompress(payload, plain).unwrap()),
            false => payloads.extend_from_slice(payload),
        }
    }
    payloads
}

#[test]
fn a_planted_marker_is_found_in_every_form() {
    let marker = "anna.canary@example.org";
    let searcher = Searcher::new(&[marker, "+49 1512 3456789"]);
    assert!(searcher.hits(&[b'x'; 5000]).is_empty());
    let noise: Vec<u8> = (0..1000_u32).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
    assert!(searcher.hits(&noise).is_empty(), "{:?}", searcher.hits(&noise));
    for (name, bytes) in forms(marker) {
        let planted = [&noise[..777], &bytes, &noise[..99]].concat();
        let hits = searcher.hits(&planted);
        assert!(hits.iter().any(|h| h.starts_with(marker)), "{name} was not found");
    }
    for before in ["", "x", "xy", "xyz"] {
        let encoded = BASE64_STANDARD.encode(format!("{before}{marker} and more"));
        assert!(!searcher.hits(encoded.as_bytes()).is_empty(), "base64 after {before:?}");
    }
}

#[test]
fn a_marker_in_a_packed_record_of_the_log_is_found() {
    let marker = "anna.canary@example.org";
    let plain = format!("{}{marker}{}", "a".repeat(300), "b".repeat(300));
    let packed = lz4_flex::block::compress(plain.as_bytes());
    let mut file = vec![0; 8192];
    file[4096..4102].copy_from_slice(b"SHL1\x02\x01");
    file[4096 + 24..4096 + 28].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    file[4096 + 28..4096 + 32].copy_from_slice(&(plain.len() as u32).to_le_bytes());
    file[4136..4136 + packed.len()].copy_from_slice(&packed);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("0.log"), file).unwrap();
    let searcher = Searcher::new(&[marker]);
    assert!(!searcher.hits_in_files(dir.path()).is_empty());
}
