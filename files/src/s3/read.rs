//! Objects that are read.
//!
//! Invariants: whoever has opened an object reads that one, or gets an error: each request names its ETag, and what is answered is
//! compared with it. A request reads at most [`PART_BYTES`], and at most [`SMALL_BYTES`] while the size is not known, so that the time
//! it may take is known. Not here: keys and names (`place`).

use std::io::{self, ErrorKind};
use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore as _};

use super::failure::{Failure, Meaning};
use super::store::{Client, PART_BYTES, Store};
use crate::objects::Source;

/// What is read with the request that finds out how large it is.
const SMALL_BYTES: usize = 1 << 20;

/// An object that was there when it was opened.
pub(super) struct Opened {
    store: Store,
    name: String,
    object: Object,
}

#[derive(Clone)]
struct Object {
    key: Path,
    bytes: u64,
    tag: String,
}

impl Opened {
    pub(super) fn new(store: &Store, name: &str) -> io::Result<Opened> {
        let key = store.client.place.key(name)?;
        let what = || format!("open of {}", store.client.place.shown(name));
        let object = store.call(&what, |client| async move {
            let head = || async {
                let options = GetOptions { head: true, ..GetOptions::default() };
                Object::of(&client.once.get_opts(&key, options).await?)
            };
            client.repeat(0, head).await
        })?;
        Ok(Opened { store: store.clone(), name: name.to_owned(), object })
    }
}

impl Object {
    fn of(answer: &GetResult) -> Result<Object, Failure> {
        let none = || {
            Failure::new(
                Meaning::Refused,
                "the store's answer has no ETag, without which nobody knows what is read",
            )
        };
        let tag = answer.meta.e_tag.clone().ok_or_else(none)?;
        Ok(Object { key: answer.meta.location.clone(), bytes: answer.meta.size, tag })
    }

    /// The bytes of a range that one request reads.
    async fn range(&self, client: &Client, range: Range<u64>) -> Result<Bytes, Failure> {
        let length = range.end - range.start;
        let get = || async {
            let range = Some(GetRange::Bounded(range.clone()));
            let options = GetOptions { range, if_match: Some(self.tag.clone()), ..GetOptions::default() };
            let answer = client.once.get_opts(&self.key, options).await?;
            if answer.meta.e_tag.as_ref() != Some(&self.tag) {
                return Err(replaced());
            }
            whole(answer, length).await
        };
        let read = client.repeat(length as usize, get).await;
        read.map_err(|failure| if failure.meaning == Meaning::Condition { replaced() } else { failure })
    }
}

impl Source for Opened {
    fn length(&self) -> io::Result<u64> {
        Ok(self.object.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.object.bytes) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let what = || format!("read of {}", self.store.client.place.shown(&self.name));
        let mut at = offset;
        for part in buffer.chunks_mut(PART_BYTES) {
            let (object, range) = (self.object.clone(), at..at + part.len() as u64);
            at = range.end;
            let bytes = self.store.call(&what, |client| async move { object.range(&client, range).await })?;
            part.copy_from_slice(&bytes);
        }
        Ok(())
    }
}

/// Reads a whole object, with one request when it is small.
pub(super) fn read(store: &Store, name: &str) -> io::Result<Vec<u8>> {
    let key = store.client.place.key(name)?;
    let what = || format!("read of {}", store.client.place.shown(name));
    let (object, bytes) = store.call(&what, |client| async move {
        let get = || async {
            let answer = client.once.get_opts(&key, GetOptions::default()).await?;
            let object = Object::of(&answer)?;
            if object.bytes > SMALL_BYTES as u64 {
                return Ok((object, None));
            }
            let length = object.bytes;
            Ok((object, Some(whole(answer, length).await?)))
        };
        client.repeat(SMALL_BYTES, get).await
    })?;
    if let Some(bytes) = bytes {
        return Ok(bytes.into());
    }
    let mut bytes = Vec::new();
    let length = usize::try_from(object.bytes).map_err(io::Error::other)?;
    bytes.try_reserve_exact(length).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    bytes.resize(length, 0);
    Opened { store: store.clone(), name: name.to_owned(), object }.read_at(0, &mut bytes)?;
    Ok(bytes)
}

async fn whole(answer: GetResult, length: u64) -> Result<Bytes, Failure> {
    let bytes = answer.bytes().await?;
    if bytes.len() as u64 == length {
        return Ok(bytes);
    }
    Err(Failure::new(Meaning::InDoubt, "the store sent another number of bytes than it said"))
}

fn replaced() -> Failure {
    Failure::new(Meaning::Refused, "it was replaced while it was open")
}
