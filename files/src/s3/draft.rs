//! An object that is written in parts.
//!
//! Invariants: the memory is bounded, by the part that is being filled and [`PARTS_AT_ONCE`] that are on their way. What fits into one
//! part is one put. An upload has no effect before it is completed, and is aborted when it is dropped. A completion whose answer
//! is lost is made good by the object's mark (`put`).
//!
//! Not here: what is left of an upload whose process has ended (`s3`).

use std::collections::VecDeque;
use std::io::{self, Write};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, MultipartUpload, ObjectStore as _, PutMultipartOptions};

use super::failure::{Failure, Meaning};
use super::put::{self, Mark};
use super::store::{Client, PART_BYTES, Pending, Store};
use crate::objects::NewObject;

/// How many parts are on their way at once.
const PARTS_AT_ONCE: usize = 3;
/// How many parts an upload may have, by S3.
const PARTS_MAX: usize = 10_000;

type Upload = Box<dyn MultipartUpload>;

/// An object that is being written.
pub(super) struct Draft {
    store: Store,
    name: String,
    key: Path,
    mark: Mark,
    /// The part that is being filled.
    part: Vec<u8>,
    bytes: u64,
    upload: Option<Upload>,
    parts: usize,
    on_their_way: VecDeque<Pending<Result<(), Failure>>>,
    /// A part is lost, so the object can never be whole.
    is_broken: bool,
}

impl Draft {
    pub(super) fn begin(store: &Store, name: &str) -> io::Result<Draft> {
        Ok(Draft {
            key: store.client.place.key(name)?,
            store: store.clone(),
            name: name.to_owned(),
            mark: Mark::over(),
            part: Vec::new(),
            bytes: 0,
            upload: None,
            parts: 0,
            on_their_way: VecDeque::new(),
            is_broken: false,
        })
    }

    fn what(&self) -> String {
        format!("write of {}", self.store.client.place.shown(&self.name))
    }

    /// Sends the part that is filled on its way.
    fn send(&mut self) -> io::Result<()> {
        if self.parts == PARTS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{}: too many parts", self.what()),
            ));
        }
        let mut upload = match self.upload.take() {
            Some(upload) => upload,
            None => self.start()?,
        };
        let part = Bytes::from(std::mem::take(&mut self.part));
        let length = part.len();
        let sent = upload.put_part(part.into());
        self.upload = Some(upload);
        self.parts += 1;
        let pending = self
            .store
            .begin(|client| async move { client.patiently(length, async { Ok(sent.await?) }).await });
        self.on_their_way.push_back(pending);
        self.await_parts(PARTS_AT_ONCE)
    }

    fn start(&self) -> io::Result<Upload> {
        let options =
            PutMultipartOptions { attributes: self.mark.attributes(), ..PutMultipartOptions::default() };
        let key = self.key.clone();
        self.store.call(&|| self.what(), |client| async move {
            // One whose answer is lost stays until a rule of the bucket removes it.
            let begin = || async { Ok(client.patient.put_multipart_opts(&key, options.clone()).await?) };
            client.repeat(0, begin).await
        })
    }

    /// Waits until no more than so many parts are on their way.
    fn await_parts(&mut self, at_most: usize) -> io::Result<()> {
        while self.on_their_way.len() > at_most {
            let Some(oldest) = self.on_their_way.pop_front() else { break };
            oldest.wait()?.map_err(|failure| failure.told(&self.what()))?;
        }
        Ok(())
    }

    fn complete(&mut self) -> io::Result<()> {
        if !self.part.is_empty() {
            self.send()?;
        }
        self.await_parts(0)?;
        let Some(mut upload) = self.upload.take() else { return Ok(()) };
        let (key, mark) = (self.key.clone(), self.mark.clone());
        let (upload, completed) = self
            .store
            .begin(|client| async move {
                let completed = async { Ok(upload.complete().await.map(drop)?) };
                let completed = client.patiently(0, completed).await;
                (upload, settle(&client, completed, (&key, &mark)).await)
            })
            .wait()?;
        if completed.is_err() {
            self.upload = Some(upload);
        }
        completed.map_err(|failure| failure.told(&self.what()))
    }
}

/// Looks at what is there when nobody knows whether the upload was completed.
async fn settle(
    client: &Client,
    completed: Result<(), Failure>,
    (key, mark): (&Path, &Mark),
) -> Result<(), Failure> {
    let Err(failure) = completed else { return Ok(()) };
    // An upload that was completed is there no more, so a repeated completion does not find it.
    if !matches!(failure.meaning, Meaning::InDoubt | Meaning::Absent) {
        return Err(failure);
    }
    let head = || async {
        let options = GetOptions { head: true, ..GetOptions::default() };
        Ok(mark.is_in(&client.once.get_opts(key, options).await?.attributes))
    };
    match client.repeat(0, head).await {
        Ok(true) => Ok(()),
        _ => Err(failure.after_doubt()),
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(io::Error::other(format!("{}: a part is lost", self.what())));
        }
        if self.part.len() == PART_BYTES
            && let Err(e) = self.send()
        {
            self.is_broken = true;
            return Err(e);
        }
        let taken = bytes.len().min(PART_BYTES - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    /// Nothing: no part is seen before all of them.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewObject for Draft {
    fn finish(mut self: Box<Self>) -> io::Result<u64> {
        if self.is_broken {
            return Err(io::Error::other(format!("{}: a part is lost", self.what())));
        }
        if self.upload.is_none() {
            let (key, part) = (self.key.clone(), Bytes::from(std::mem::take(&mut self.part)));
            self.store.call(&|| self.what(), |client| put::put(client, key, part))?;
        } else {
            self.complete()?;
        }
        Ok(self.bytes)
    }
}

impl Drop for Draft {
    /// Aborts the upload, if the store can be reached. What it is then told has no effect, as nobody will complete it.
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        // A part that arrives after the abort would stay.
        for part in self.on_their_way.drain(..) {
            let _lost = part.wait();
        }
        let aborted = self
            .store
            .begin(|client| async move { client.patiently(0, async { Ok(upload.abort().await?) }).await });
        let _lifecycle_rule = aborted.wait();
    }
}
