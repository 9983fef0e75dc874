//! Bodies with a value on each line: a line that is broken costs itself.
//!
//! Not here: what becomes of one value (`repair.rs`).

use super::{Repairer, body, json};

/// A body that is JSON or NDJSON; none when it cannot be repaired.
pub(in crate::wire) fn lines(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let lines = || bytes.split(|b| *b == b'\n').map(without_mark).filter(|line| !line.is_empty());
    let is_event = |line: &&[u8]| line.starts_with(b"{") && line.ends_with(b"}");
    let (all, events) = (lines().count(), lines().filter(is_event).count());
    if all < 2 || events * 2 < all {
        return body(bytes, bytes_max);
    }
    // One body over several lines, of which the end is missing, or with something behind it.
    if let Some(batch) = Repairer::new(bytes, bytes_max).batch() {
        return Some(batch);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut read = 0;
    for line in lines() {
        match Some(line).filter(is_event).and_then(|line| json(line, bytes_max)) {
            Some(line) => {
                out.extend_from_slice(&line);
                read += 1;
            }
            None => out.extend_from_slice(b"0\n"),
        }
        if out.len() > bytes_max {
            return None;
        }
    }
    (read > 0).then_some(out)
}

/// The line without white space around it, without the byte order mark that joined files leave inside, and without the NULs with which
/// texts end in C.
fn without_mark(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let end = line.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    line[..end].trim_ascii()
}
