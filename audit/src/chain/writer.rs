//! The thread that appends: takes what waits, writes it, syncs once, writes the head, answers all of it.
//!
//! Invariants: the number and the hash go on only with a group that is written; a group that could not be written leaves the
//! file as it was; after a failed sync, or when the file cannot be set back, everything is refused until the next start.
//! Not here: who asks (`chain.rs`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::head::{Head, HeadFile};
use super::scan::{ChainFile, Scan, chain_files, file_path, scan};
use super::{ChainPlace, GROUP_MAX, LINE_BYTES_MAX, broken, counted};
use crate::durable::{create_dir, sync_dir};
use crate::error::{AuditError, Result};
use crate::form::{self, LineHash};

/// A line to append.
pub(super) struct Asked {
    pub(super) fields: String,
    /// Who waits for its number.
    pub(super) tell: Option<oneshot::Sender<Option<u64>>>,
}

pub(super) struct Writer {
    place: ChainPlace,
    head: HeadFile,
    /// The file that is appended to, and its bytes; none before the first line.
    file: Option<(File, u64)>,
    count: u64,
    hash: LineHash,
    is_dead: bool,
}

impl Writer {
    /// Also tells how many bytes of unfinished lines were cut off.
    pub(super) fn open(place: ChainPlace) -> Result<(Writer, u64)> {
        make_dir(&place.dir)?;
        let files = chain_files(&place.dir)?;
        let begin = Head { count: 0, hash: form::first() };
        let (head, file) = match Head::read(&place.head)? {
            Some(head) => (head, HeadFile::open(&place.head)?),
            None if files.is_empty() => (begin, HeadFile::create(&place.head, begin)?),
            None => {
                return Err(broken(&place.head, 0, "there are lines, but the file of their head is missing"));
            }
        };
        // Only the file with the head's last line, and one after it, can have been written to by a crash.
        let from = files.iter().rposition(|file| file.first <= head.count.max(1)).unwrap_or(0);
        let scanned = scan(&files, from, &head, &mut |_| {})?;
        let cut_bytes = cut(&place, &scanned, &head)?;
        let last = files.last().map(append_to).transpose()?;
        let mut writer = Writer {
            place,
            head: file,
            file: last,
            count: scanned.count,
            hash: scanned.hash,
            is_dead: false,
        };
        if writer.count > head.count {
            writer.head.write(Head { count: writer.count, hash: writer.hash })?;
        }
        Ok((writer, cut_bytes))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// Appends until nobody can ask any more.
    pub(super) fn run(mut self, asked: &mpsc::Receiver<Asked>) {
        while let Ok(first) = asked.recv() {
            let mut group = vec![first];
            while (group.len() as u64) < GROUP_MAX
                && let Ok(next) = asked.try_recv()
            {
                group.push(next);
            }
            let numbers = self.append(&group);
            for (asked, number) in group.into_iter().zip(numbers) {
                if let Some(tell) = asked.tell {
                    // Who went away meanwhile does not need the number.
                    let _ = tell.send(number);
                }
            }
        }
    }

    /// The numbers of the lines; none for a line that was not written.
    fn append(&mut self, group: &[Asked]) -> Vec<Option<u64>> {
        let (mut text, mut numbers) = (String::new(), Vec::with_capacity(group.len()));
        let mut next = Head { count: self.count, hash: self.hash };
        for asked in group {
            let fits = asked.fields.len() <= LINE_BYTES_MAX / 2 && !asked.fields.bytes().any(|b| b < b' ');
            if self.is_dead || asked.fields.is_empty() || !fits {
                numbers.push(None);
                continue;
            }
            let (line, hash) = form::seal(next.count + 1, &next.hash, &asked.fields);
            next = Head { count: next.count + 1, hash };
            text.push_str(&line);
            text.push('\n');
            numbers.push(Some(next.count));
        }
        match self.write(&text, next) {
            Ok(()) => numbers,
            Err(error) => {
                tracing::error!(%error, "the audit cannot be written; what needs a line in it fails");
                vec![None; group.len()]
            }
        }
    }

    fn write(&mut self, text: &str, next: Head) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.rotate()?;
        let path = self.place.dir.clone();
        let Some((file, bytes)) = &mut self.file else {
            return Err(broken(&path, 0, "there is no file to write to"));
        };
        if let Err(error) = file.write_all(text.as_bytes()) {
            // A full disk: what was written of the group goes again, and the next group may have more luck.
            self.is_dead = file.set_len(*bytes).and_then(|()| file.sync_data()).is_err();
            return Err(AuditError::io(&path)(error));
        }
        let synced = file.sync_data().map_err(AuditError::io(&path));
        if let Err(error) = synced.and_then(|()| self.head.write(next)) {
            self.is_dead = true;
            return Err(error);
        }
        *bytes += text.len() as u64;
        (self.count, self.hash) = (next.count, next.hash);
        Ok(())
    }

    /// Begins a new file when there is none, or when the last one is full.
    fn rotate(&mut self) -> Result<()> {
        if self.file.as_ref().is_some_and(|(_, bytes)| *bytes < self.place.file_bytes_max) {
            return Ok(());
        }
        let path = file_path(&self.place.dir, self.count + 1);
        let make = || -> io::Result<File> {
            let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
            sync_dir(&self.place.dir)?;
            Ok(file)
        };
        let file = make().map_err(AuditError::io(&path))?;
        self.file = Some((file, 0));
        Ok(())
    }
}

/// Cuts off the unfinished end that a crash left: bytes after the last line that the head counts, in the last file. Answers
/// how many.
fn cut(place: &ChainPlace, scanned: &Scan, head: &Head) -> Result<u64> {
    let Some(fault) = &scanned.fault else {
        counted(place, scanned, head)?;
        return within_a_group(place, scanned, head).map(|()| 0);
    };
    if scanned.count < head.count || !fault.is_last_file {
        return Err(broken(&fault.path, fault.line, &fault.reason));
    }
    within_a_group(place, scanned, head)?;
    if fault.bytes == 0 {
        return Err(broken(&fault.path, fault.line, &fault.reason));
    }
    let cut = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&fault.path)?;
        file.set_len(fault.at)?;
        file.sync_all()
    };
    cut().map_err(AuditError::io(&fault.path))?;
    Ok(fault.bytes)
}

fn within_a_group(place: &ChainPlace, scanned: &Scan, head: &Head) -> Result<()> {
    if scanned.count.saturating_sub(head.count) <= GROUP_MAX {
        return Ok(());
    }
    let reason = format!("counts {} lines, but there are {}: it is an older one", head.count, scanned.count);
    Err(broken(&place.head, 0, &reason))
}

fn append_to(file: &ChainFile) -> Result<(File, u64)> {
    let opened = OpenOptions::new().append(true).open(&file.path).map_err(AuditError::io(&file.path))?;
    let bytes = opened.metadata().map_err(AuditError::io(&file.path))?.len();
    Ok((opened, bytes))
}

fn make_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new("."));
    let made = create_dir(parent)
        .and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(dir))
        .and_then(|()| sync_dir(parent));
    made.map_err(AuditError::io(dir))
}
