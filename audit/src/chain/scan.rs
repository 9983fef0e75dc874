//! Reads the lines of a chain in order, from its first file or from a later one, up to the first that is not whole.
//!
//! Invariants: reads only, and never more than one line into memory; a file that is appended to meanwhile shows a last line
//! without its end at the worst. Not here: what follows from a fault (`verify.rs`, `writer.rs`).

use std::io::{self, BufRead, BufReader, Read};

use shoal_files::Rest;

use super::head::Head;
use super::place::{ChainFile, ChainPlace};
use crate::error::Result;
use crate::form::{self, LineHash};

/// Longest line as it lies on the disk, its hashes included.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;
/// Read at once. A first start reads the whole chain, so that small reads would be most of its time.
const READ_BYTES: usize = 256 << 10;

/// A line and its place.
pub struct ChainLine<'a> {
    /// Its number, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: LineHash,
    /// The text, without line feed.
    pub text: &'a [u8],
}

/// Where a whole line is.
pub(super) struct Line {
    /// The file.
    pub(super) name: String,
    /// Its line number in the file, from 1.
    pub(super) line: u64,
}

/// The first line that is not whole.
pub(super) struct Fault {
    /// The file.
    pub(super) name: String,
    pub(super) line: u64,
    /// Where it begins in its file, and how many bytes it has.
    pub(super) at: u64,
    pub(super) bytes: u64,
    pub(super) reason: String,
    /// It is the end of the last file and has no line feed.
    pub(super) is_unfinished: bool,
    /// It is in the last file.
    pub(super) is_last_file: bool,
}

/// What was read.
pub(super) struct Scan {
    /// Number and hash of the last whole line.
    pub(super) count: u64,
    pub(super) hash: LineHash,
    pub(super) last: Option<Line>,
    pub(super) fault: Option<Fault>,
}

/// Reads the lines of these files from the one at `from` on. The first line of a file that is not the first of all may
/// follow anything. The line that the head counts last must have the head's hash.
pub(super) fn scan(
    place: &ChainPlace,
    files: &[ChainFile],
    from: usize,
    head: &Head,
    each: &mut dyn FnMut(&ChainLine<'_>),
) -> Result<Scan> {
    let begin = files.get(from).filter(|_| from > 0).map_or(1, |file| file.first);
    let mut scan = Scan { count: begin.saturating_sub(1), hash: form::first(), last: None, fault: None };
    let mut known = from == 0;
    for (at, file) in files.iter().enumerate().skip(from) {
        let is_last_file = at + 1 == files.len();
        if file.first != scan.count + 1 {
            let reason = format!("lines {} to {} are missing", scan.count + 1, file.first.saturating_sub(1));
            scan.fault = Some(Fault::at_start(file, is_last_file, reason));
            return Ok(scan);
        }
        let mut reader = Reader::open(place, file, is_last_file)?;
        while let Some(read) = reader.next().map_err(place.io(&file.name))? {
            let seq = scan.count + 1;
            let prev = known.then_some(&scan.hash);
            let hash = match read {
                Ending::Unfinished => Err("the line has no end".to_owned()),
                Ending::Whole => place
                    .open_line(&mut reader.text)
                    .map_err(str::to_owned)
                    .and_then(|()| form::check(seq, prev, &reader.text).map_err(|broken| broken.to_string())),
            };
            let hash = hash.and_then(|hash| match seq == head.count && hash != head.hash {
                true => Err("the line is not the one that the head counts".to_owned()),
                false => Ok(hash),
            });
            match hash {
                Ok(hash) => {
                    each(&ChainLine { seq, hash, text: &reader.text });
                    (scan.count, scan.hash) = (seq, hash);
                    scan.last = Some(Line { name: file.name.clone(), line: reader.line });
                    known = true;
                }
                Err(reason) => {
                    scan.fault = Some(reader.fault(reason, matches!(read, Ending::Unfinished)));
                    return Ok(scan);
                }
            }
        }
    }
    Ok(scan)
}

impl Fault {
    fn at_start(file: &ChainFile, is_last_file: bool, reason: String) -> Fault {
        let name = file.name.clone();
        Fault { name, line: 1, at: 0, bytes: 0, reason, is_unfinished: false, is_last_file }
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Whole,
    Unfinished,
}

struct Reader {
    name: String,
    file: BufReader<Rest>,
    /// Bytes of the file.
    bytes: u64,
    is_last_file: bool,
    text: Vec<u8>,
    line: u64,
    /// Where the line begins.
    at: u64,
    end: u64,
}

impl Reader {
    fn open(place: &ChainPlace, file: &ChainFile, is_last_file: bool) -> Result<Reader> {
        let name = file.name.clone();
        let source = place.medium.open(&name).map_err(place.io(&name))?;
        let bytes = source.length().map_err(place.io(&name))?;
        let file = BufReader::with_capacity(READ_BYTES, Rest::new(source.into(), 0, bytes));
        Ok(Reader { name, file, bytes, is_last_file, text: Vec::new(), line: 0, at: 0, end: 0 })
    }

    /// The next line, into `text`.
    fn next(&mut self) -> io::Result<Option<Ending>> {
        self.text.clear();
        let mut bounded = (&mut self.file).take(LINE_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.text)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.at = self.end;
        self.end += read as u64;
        match self.text.pop_if(|last| *last == b'\n') {
            Some(_) => Ok(Some(Ending::Whole)),
            None => Ok(Some(Ending::Unfinished)),
        }
    }

    fn fault(&self, reason: String, unfinished: bool) -> Fault {
        Fault {
            name: self.name.clone(),
            line: self.line,
            at: self.at,
            bytes: self.bytes.saturating_sub(self.at),
            reason,
            is_unfinished: unfinished && self.is_last_file,
            is_last_file: self.is_last_file,
        }
    }
}
