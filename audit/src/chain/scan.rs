//! Reads the lines of a chain in order, from its first file or from a later one, up to the first that is not whole.
//!
//! Invariants: reads only, and never more than one line into memory; a file that is appended to meanwhile shows a last line
//! without its end at the worst. Not here: what follows from a fault (`chain.rs`, `writer.rs`).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::head::Head;
use super::{ChainLine, LINE_BYTES_MAX, whole_line};
use crate::error::{AuditError, Result};
use crate::form::{self, LineHash};

const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;

/// A file of a chain.
pub(super) struct ChainFile {
    /// The number of its first line.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// The path of the file that begins with this line.
pub(super) fn file_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:0DIGITS$}{SUFFIX}"))
}

/// The files of a chain, in order.
pub(super) fn chain_files(dir: &Path) -> Result<Vec<ChainFile>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(AuditError::io(dir)(e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(AuditError::io(dir))?.file_name();
        let first = name.to_str().and_then(|n| n.strip_suffix(SUFFIX)).filter(|n| n.len() == DIGITS);
        if let Some(first) = first.and_then(|digits| digits.parse().ok()) {
            files.push(ChainFile { first, path: dir.join(&name) });
        }
    }
    files.sort_by_key(|file| file.first);
    Ok(files)
}

/// A whole line and where it ends.
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) hash: LineHash,
    pub(super) path: PathBuf,
    /// Its line number in the file, from 1.
    pub(super) line: u64,
}

/// The first line that is not whole.
pub(super) struct Fault {
    pub(super) path: PathBuf,
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
        let mut reader = Reader::open(file, is_last_file)?;
        while let Some(read) = reader.next()? {
            let seq = scan.count + 1;
            let prev = known.then_some(&scan.hash);
            let hash = match read {
                Ending::Unfinished => Err("the line has no end".to_owned()),
                Ending::Whole => form::check(seq, prev, &reader.text).map_err(|broken| broken.to_string()),
            };
            let hash = hash.and_then(|hash| match seq == head.count && hash != head.hash {
                true => Err("the line is not the one that the head counts".to_owned()),
                false => Ok(hash),
            });
            match hash {
                Ok(hash) => {
                    let line = Line { seq, hash, path: file.path.clone(), line: reader.line };
                    each(&whole_line(&line, &reader.text));
                    (scan.count, scan.hash, scan.last) = (seq, hash, Some(line));
                    known = true;
                }
                Err(reason) => {
                    scan.fault = Some(reader.fault(reason, matches!(read, Ending::Unfinished))?);
                    return Ok(scan);
                }
            }
        }
    }
    Ok(scan)
}

impl Fault {
    fn at_start(file: &ChainFile, is_last_file: bool, reason: String) -> Fault {
        let path = file.path.clone();
        Fault { path, line: 1, at: 0, bytes: 0, reason, is_unfinished: false, is_last_file }
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Whole,
    Unfinished,
}

struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    is_last_file: bool,
    text: Vec<u8>,
    line: u64,
    /// Where the line begins.
    at: u64,
    end: u64,
}

impl Reader {
    fn open(file: &ChainFile, is_last_file: bool) -> Result<Reader> {
        let path = file.path.clone();
        let file = BufReader::new(File::open(&path).map_err(AuditError::io(&path))?);
        Ok(Reader { path, file, is_last_file, text: Vec::new(), line: 0, at: 0, end: 0 })
    }

    /// The next line, into `text`.
    fn next(&mut self) -> Result<Option<Ending>> {
        self.text.clear();
        let mut bounded = (&mut self.file).take(LINE_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.text).map_err(AuditError::io(&self.path))?;
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

    fn fault(&self, reason: String, unfinished: bool) -> Result<Fault> {
        let length = self.file.get_ref().metadata().map_err(AuditError::io(&self.path))?.len();
        Ok(Fault {
            path: self.path.clone(),
            line: self.line,
            at: self.at,
            bytes: length.saturating_sub(self.at),
            reason,
            is_unfinished: unfinished && self.is_last_file,
            is_last_file: self.is_last_file,
        })
    }
}
