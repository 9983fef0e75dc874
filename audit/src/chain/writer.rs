//! The thread that appends: takes what waits, writes it, syncs once, writes the head, answers all of it.
//!
//! Invariants: the number and the hash go on only with a group that is written; a group for which there was no room leaves the
//! file as it was; after any other failed write, a failed sync, or when the file cannot be set back, everything is refused until
//! the next start. A group is written while it is this process's turn, after what others have appended; a chain that does not
//! hold what this process appended before is not gone on with.
//! Not here: who asks (`chain.rs`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use shoal_files::{LogFile, is_full};
use tokio::sync::{oneshot, watch};

use super::head::{Head, HeadFile};
use super::place::{ChainFile, ChainPlace, FOLDER};
use super::scan::{LINE_BYTES_MAX, Scan, scan};
use super::verify::{GROUP_MAX, counted, within_a_group};
use crate::error::{AuditError, Result};
use crate::form::{self, LineHash};

/// A request to append a line.
pub(super) struct AppendRequest {
    pub(super) fields: String,
    /// Who waits for its number.
    pub(super) tell: Option<oneshot::Sender<Option<u64>>>,
}

/// The file that is appended to.
struct Appended {
    name: String,
    file: Box<dyn LogFile>,
    bytes: u64,
}

pub(super) struct Writer {
    place: ChainPlace,
    head: HeadFile,
    /// The file that is appended to; none before the first line.
    file: Option<Appended>,
    count: u64,
    hash: LineHash,
    is_dead: bool,
    /// Told when it is.
    broken: watch::Sender<bool>,
    /// Whether the last line was not written for want of room.
    full: Arc<AtomicBool>,
}

impl Writer {
    /// Also tells how many bytes of unfinished lines were cut off.
    pub(super) fn open(place: ChainPlace) -> Result<(Writer, u64)> {
        let _turn = place.turn()?;
        Writer::read(place, None)
    }

    /// The chain as it is now, which is the caller's turn; `known` is its head when this process saw it last.
    fn read(place: ChainPlace, known: Option<Head>) -> Result<(Writer, u64)> {
        let files = place.files()?;
        let begin = Head { count: 0, hash: form::first() };
        let (head, file) = match Head::read(&place)? {
            Some(head) => (head, HeadFile::open(&place)?),
            None if files.is_empty() && known.is_none() => (begin, HeadFile::create(&place, begin)?),
            None => return Err(place.headless()),
        };
        // Only the file with the head's last line, and one after it, can have been written to by a crash.
        let read_from = known.map_or(head.count, |known| known.count.min(head.count)).max(1);
        let from = files.iter().rposition(|file| file.first <= read_from).unwrap_or(0);
        let mut goes_on = known.is_none_or(|known| known == begin);
        let scanned = scan(&place, &files, from, &head, &mut |line| {
            goes_on |= known.is_some_and(|known| (line.seq, line.hash) == (known.count, known.hash));
        })?;
        if !goes_on {
            let reason = "the lines that this process has appended are not there any more";
            return Err(place.broken(FOLDER, 0, reason));
        }
        let cut_bytes = cut(&place, &scanned, &head)?;
        place.sweep()?;
        let last = files.last().map(|file| Appended::open(&place, file)).transpose()?;
        let mut writer = Writer {
            place,
            head: file,
            file: last,
            count: scanned.count,
            hash: scanned.hash,
            is_dead: false,
            broken: watch::Sender::new(false),
            full: Arc::default(),
        };
        if writer.count > head.count {
            // A process that was killed may have left them unsynced.
            writer.sync()?;
            writer.head.write(&writer.place, Head { count: writer.count, hash: writer.hash })?;
        }
        Ok((writer, cut_bytes))
    }

    /// True from when it appends nothing any more.
    pub(super) fn broken(&self) -> watch::Receiver<bool> {
        self.broken.subscribe()
    }

    /// Whether the last line was not written for want of room.
    pub(super) fn full(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.full)
    }

    fn sync(&self) -> Result<()> {
        match &self.file {
            Some(last) => last.file.sync().map_err(self.place.io(&last.name)),
            None => Ok(()),
        }
    }

    /// Appends until nobody can ask any more.
    pub(super) fn run(mut self, requests: &mpsc::Receiver<AppendRequest>) {
        while let Ok(first) = requests.recv() {
            let mut group = vec![first];
            while (group.len() as u64) < GROUP_MAX
                && let Ok(next) = requests.try_recv()
            {
                group.push(next);
            }
            let numbers = self.append(&group);
            for (request, number) in group.into_iter().zip(numbers) {
                if let Some(tell) = request.tell {
                    // Who went away meanwhile does not need the number.
                    let _ = tell.send(number);
                }
            }
        }
    }

    /// The numbers of the lines; none for a line that was not written.
    fn append(&mut self, group: &[AppendRequest]) -> Vec<Option<u64>> {
        let appended = self.append_in_turn(group);
        match &appended {
            Ok(_) => self.full.store(false, Ordering::Release),
            Err(AuditError::Io { source, .. }) if is_full(source) => self.full.store(true, Ordering::Release),
            Err(_) => {}
        }
        appended.unwrap_or_else(|error| {
            tracing::error!(%error, "the audit cannot be written; what needs a line in it fails");
            vec![None; group.len()]
        })
    }

    fn append_in_turn(&mut self, group: &[AppendRequest]) -> Result<Vec<Option<u64>>> {
        let _turn = self.place.turn()?;
        self.catch_up()?;
        let (mut text, mut numbers) = (String::new(), Vec::with_capacity(group.len()));
        let mut next = Head { count: self.count, hash: self.hash };
        for AppendRequest { fields, .. } in group {
            let fits = fields.len() <= LINE_BYTES_MAX / 2 && !fields.bytes().any(|b| b < b' ');
            if self.is_dead || fields.is_empty() || !fits {
                numbers.push(None);
                continue;
            }
            let (line, hash) = form::seal(next.count + 1, &next.hash, fields);
            next = Head { count: next.count + 1, hash };
            self.place.push(&line, &mut text)?;
            numbers.push(Some(next.count));
        }
        let written = self.write(&text, next);
        if self.is_dead {
            self.broken.send_replace(true);
        }
        written?;
        Ok(numbers)
    }

    /// Takes up what another process has appended, or has left unfinished, since this one's last turn.
    fn catch_up(&mut self) -> Result<()> {
        if self.is_dead || !self.place.is_shared() || self.is_current()? {
            return Ok(());
        }
        let known = Head { count: self.count, hash: self.hash };
        let (writer, cut_bytes) = Writer::read(self.place.clone(), Some(known))?;
        if cut_bytes > 0 {
            tracing::warn!(bytes = cut_bytes, "an unfinished line of another process was cut off the audit");
        }
        *self = Writer { broken: self.broken.clone(), full: Arc::clone(&self.full), ..writer };
        Ok(())
    }

    /// Whether the files and the head are as this process left them.
    fn is_current(&self) -> Result<bool> {
        let files = self.place.files()?;
        let last = match (&self.file, files.last()) {
            (None, None) => true,
            (Some(own), Some(last)) if own.name == last.name => {
                own.file.length().map_err(self.place.io(&own.name))? == own.bytes
            }
            _ => false,
        };
        Ok(last && Head::read(&self.place)? == Some(Head { count: self.count, hash: self.hash }))
    }

    fn write(&mut self, text: &str, next: Head) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.rotate()?;
        let place = &self.place;
        let Some(Appended { name, file, bytes }) = &mut self.file else {
            return Err(place.broken(FOLDER, 0, "there is no file to write to"));
        };
        if let Err(error) = file.write_at(*bytes, text.as_bytes()) {
            // A full disk: what was written of the group goes again, and the next group may have more luck. On any other,
            // nothing more is done, and the next start cuts it off.
            self.is_dead = !is_full(&error) || file.set_length(*bytes).and_then(|()| file.sync()).is_err();
            return Err(place.io(name)(error));
        }
        let synced = file.sync().map_err(place.io(name));
        if let Err(error) = synced.and_then(|()| self.head.write(place, next)) {
            self.is_dead = true;
            return Err(error);
        }
        *bytes += text.len() as u64;
        (self.count, self.hash) = (next.count, next.hash);
        Ok(())
    }

    /// Begins a new file when there is none, or when the last one is full.
    fn rotate(&mut self) -> Result<()> {
        if self.file.as_ref().is_some_and(|last| last.bytes < self.place.file_bytes_max) {
            return Ok(());
        }
        let new = ChainFile::beginning_with(self.count + 1);
        self.place.medium.put_if_absent(&new.name, b"").map_err(self.place.io(&new.name))?;
        self.file = Some(Appended::open(&self.place, &new)?);
        Ok(())
    }
}

impl Appended {
    fn open(place: &ChainPlace, file: &ChainFile) -> Result<Appended> {
        let name = file.name.clone();
        let opened = place.medium.edit(&name).map_err(place.io(&name))?;
        let bytes = opened.length().map_err(place.io(&name))?;
        Ok(Appended { name, file: opened, bytes })
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
        return Err(place.broken(&fault.name, fault.line, &fault.reason));
    }
    within_a_group(place, scanned, head)?;
    if fault.bytes == 0 {
        return Err(place.broken(&fault.name, fault.line, &fault.reason));
    }
    let file = place.medium.edit(&fault.name);
    let cut = file.and_then(|file| file.set_length(fault.at).and_then(|()| file.sync()));
    cut.map_err(place.io(&fault.name))?;
    Ok(fault.bytes)
}
