//! Objects in a bucket of S3, or of any store that speaks its protocol.
//!
//! ```text
//! put           PUT                          small; parts of 8 MiB otherwise
//! put_if_absent PUT, If-None-Match: *        and a look at what is there after each refusal (`s3/put`)
//! write         one PUT, or an upload in parts that is completed by `finish` (`s3/draft`)
//! open, read_at HEAD, then GET of ranges with If-Match (`s3/read`)
//! list, remove  pages of a listing, up to 1000 objects a request (`s3/folder`)
//! ```
//! Any thread that may block may call, also a blocking thread of an async runtime: requests run on threads of their own
//! (`s3/store`). An async task that calls blocks its runtime's thread, and nothing worse. A call ends within
//! [`S3Settings::give_up_after`], one that carries many bytes later, and one that makes many requests within that time for each.
//!
//! What a store must give: conditional writes and metadata, which [`S3::probe`] looks at, reads that see what was written, and the
//! rights to list the bucket (without which it does not say of an object that it is not there), to get, put and delete objects, and to
//! abort uploads. What it should not do: keep old versions, unless what was removed
//! may be there for longer.
//!
//! A request that is given up may be carried out later. A put or a removal that was given up can so undo a later one of the same
//! name, which no client of S3 can prevent: names that matter are put once, with [`Objects::put_if_absent`].
//!
//! Uploads that are left by a process that has ended are not swept here: `object_store` does not list them. A rule of the bucket does it
//! (`AbortIncompleteMultipartUpload`, after a day, say).
//!
//! Not here: which crates keep what where.

mod credentials;
mod draft;
mod failure;
mod folder;
mod place;
mod probe;
mod profile;
mod put;
mod read;
mod settings;
mod store;

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use bytes::Bytes;

use crate::name;
use crate::objects::{Entry, NewObject, Objects, Source};
use draft::Draft;
use place::Place;
use read::Opened;
use store::{PART_BYTES, Store};

pub use credentials::S3Credentials;
pub use settings::S3Settings;

/// The most bytes that are put where there is nothing: they are sent with one request, and compared when its answer is lost.
const NEW_BYTES_MAX: usize = 64 << 20;

/// A bucket, or a folder of it. Clones are the same.
#[derive(Clone)]
pub struct S3(Store);

impl S3 {
    /// The objects below `s3://bucket/prefix`. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// `InvalidInput` when the URL, a setting or the keys make no sense. No error repeats them.
    pub fn open(url: &str, settings: S3Settings, credentials: S3Credentials) -> io::Result<S3> {
        Ok(S3(Store::connect(Place::parse(url)?, settings, credentials)?))
    }

    /// What is wrong with a URL and settings, if anything is: what [`S3::open`] would refuse whatever the keys are.
    ///
    /// # Errors
    /// As [`S3::open`].
    pub fn check(url: &str, settings: &S3Settings) -> io::Result<()> {
        Place::parse(url)?;
        settings.checked_endpoint()?;
        settings.checked_region().map(drop)
    }

    /// Asks the store whether it can be used: whether the bucket is there, the keys may do what they must, and only one of
    /// many can put a name that nobody has. For a start. Writes a few small objects and removes them again.
    ///
    /// # Errors
    /// `Unsupported` when the store does not do what it must, with what to do about it; else when it cannot be asked.
    pub fn probe(&self) -> io::Result<()> {
        let what = || format!("probe of {}", self.0.client.place.shown(""));
        self.0.call(&what, folder::is_there)?;
        probe::conditions(self)?;
        let name = format!(".probe/{}/mark", uuid::Uuid::new_v4().simple());
        self.put_if_absent(&name, b"mark")?;
        let key = self.0.client.place.key(&name)?;
        let is_marked = self.0.call(&what, |client| put::is_marked(client, key));
        self.remove(&[&name])?;
        if is_marked? {
            return Ok(());
        }
        Err(probe::unfit(
            "it does not keep the metadata of an object, without which a lost answer cannot be made good",
        ))
    }
}

/// Shows where, and nothing of the keys.
impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3").field(&self.0.client.place.shown("")).finish()
    }
}

impl Objects for S3 {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > PART_BYTES {
            let mut draft = self.write(name)?;
            draft.write_all(bytes)?;
            return draft.finish().map(drop);
        }
        let (key, bytes) = (self.0.client.place.key(name)?, Bytes::copy_from_slice(bytes));
        let what = || format!("put of {}", self.0.client.place.shown(name));
        self.0.call(&what, |client| put::put(client, key, bytes))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let key = self.0.client.place.key(name)?;
        let what = || format!("put of {}", self.0.client.place.shown(name));
        if bytes.len() > NEW_BYTES_MAX {
            let told = format!("{}: more bytes than one request carries", what());
            return Err(io::Error::new(ErrorKind::FileTooLarge, told));
        }
        let bytes = Bytes::copy_from_slice(bytes);
        self.0.call(&what, |client| put::put_if_absent(client, key, bytes))
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        Ok(Box::new(Draft::begin(&self.0, name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(Opened::new(&self.0, name)?))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        read::read(&self.0, name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        folder::list(&self.0, folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        folder::remove(&self.0, names)
    }

    /// Nothing: what a store shows is durable.
    fn sync(&self, folder: &str) -> io::Result<()> {
        name::check_folder(folder)
    }

    /// Nothing: see above.
    fn sweep(&self, folder: &str, _unchanged_since_ms: i64) -> io::Result<u64> {
        name::check_folder(folder).map(|()| 0)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.0.client.place.shown(name))
    }
}
