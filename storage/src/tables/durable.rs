//! The object store beneath the Delta log: `object_store`'s local file system for reading, `shoal-files` for writing.
//!
//! `object_store`'s local file system never syncs, so a commit it answered for may be gone, or worse, be an empty file with
//! a valid name, after a power cut. [`SyncedFiles`] hands everything that changes something to a [`Disk`].
//!
//! Invariants: what is answered is durable; a name stands for complete bytes. Parts of an upload are written in their
//! order, one at a time. Not here: what makes a file durable (`shoal-files`), who decides what is written.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use shoal_files::{Disk, NewObject, Objects};

use crate::tables::watched::{Health, Watched};

fn generic(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "SyncedFiles", source: e.into() }
}

/// The local file system as an object store whose puts are durable when they are answered.
#[derive(Debug, Clone)]
pub(crate) struct SyncedFiles {
    files: Arc<LocalFileSystem>,
    disk: Watched<Disk>,
}

impl SyncedFiles {
    /// Which writes as long as all is well.
    pub(crate) fn new(health: &Health) -> SyncedFiles {
        let disk = Watched::new(Disk::new("/"), health);
        SyncedFiles { files: Arc::new(LocalFileSystem::new()), disk }
    }

    /// The same, but what it makes is for its owner only.
    pub(crate) fn private(self) -> SyncedFiles {
        SyncedFiles { disk: self.disk.map(Disk::private), ..self }
    }

    /// What the disk calls an object: its path below the root of the file system.
    fn name(&self, location: &ObjectPath) -> Result<String> {
        let path = self.files.path_to_filesystem(location)?;
        let name = path.to_str().map(|path| path.trim_start_matches('/').to_owned());
        name.ok_or_else(|| generic("the path is no text"))
    }

    async fn write<T: Send + 'static>(
        &self,
        location: &ObjectPath,
        work: impl FnOnce(&Watched<Disk>, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (disk, name, path) = (self.disk.clone(), self.name(location)?, location.to_string());
        blocking(move || work(&disk, &name)).await.map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: e.into() },
            io::ErrorKind::NotFound => Error::NotFound { path, source: e.into() },
            _ => generic(e),
        })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(io::Error::other)?,
        Err(_) => work(),
    }
}

impl fmt::Display for SyncedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncedFiles")
    }
}

#[async_trait]
impl ObjectStore for SyncedFiles {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let replace = match options.mode {
            PutMode::Overwrite => true,
            PutMode::Create => false,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional update".into(),
                    implementer: self.to_string(),
                });
            }
        };
        let bytes = Bytes::from(payload);
        let put = move |disk: &Watched<Disk>, name: &str| match replace {
            true => disk.put(name, &bytes),
            false => disk.put_if_absent(name, &bytes),
        };
        self.write(location, put).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let draft = self.write(location, |disk, name| disk.write(name)).await?;
        let state = UploadState { draft: Some(draft), next: 0, waiting: BTreeMap::new() };
        Ok(Box::new(Upload { state: Arc::new(Mutex::new(state)), begun: 0 }))
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        let store = self.clone();
        let delete = move |location: Result<ObjectPath>| {
            let store = store.clone();
            async move {
                let location = location?;
                store.write(&location, |disk, name| disk.remove(&[name])).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&ObjectPath>,
        offset: &ObjectPath,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        if matches!(options.mode, CopyMode::Overwrite) {
            return Err(Error::NotImplemented {
                operation: "copy over an existing file".into(),
                implementer: self.to_string(),
            });
        }
        let from = self.name(from)?;
        self.write(to, move |disk, to| disk.put_if_absent(to, &disk.read(&from)?)).await
    }
}

/// A file written in parts. Dropped or aborted before it is complete, it is gone.
struct Upload {
    state: Arc<Mutex<UploadState>>,
    /// Parts so far.
    begun: u64,
}

struct UploadState {
    /// None when it is complete or aborted.
    draft: Option<Box<dyn NewObject>>,
    /// The part that is written next.
    next: u64,
    /// Parts that came before their turn.
    waiting: BTreeMap<u64, PutPayload>,
}

/// After a panic in a part the upload is not complete, which [`Upload::complete`] sees.
fn hold(state: &Mutex<UploadState>) -> MutexGuard<'_, UploadState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UploadState {
    fn write(&mut self, number: u64, payload: PutPayload) -> io::Result<()> {
        self.waiting.insert(number, payload);
        let draft = self.draft.as_mut().ok_or_else(|| io::Error::other("the upload has ended"))?;
        while let Some(payload) = self.waiting.remove(&self.next) {
            for bytes in &payload {
                draft.write_all(bytes)?;
            }
            self.next += 1;
        }
        Ok(())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("begun", &self.begun).finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (state, number) = (Arc::clone(&self.state), self.begun);
        self.begun += 1;
        Box::pin(async move { blocking(move || hold(&state).write(number, data)).await.map_err(generic) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (state, begun) = (Arc::clone(&self.state), self.begun);
        let finish = move || {
            let mut state = hold(&state);
            match state.draft.take() {
                Some(draft) if state.next == begun => draft.finish(),
                _ => Err(io::Error::other("a part of the upload was not written")),
            }
        };
        blocking(finish).await.map_err(generic)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        hold(&self.state).draft = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use object_store::ObjectStoreExt as _;

    use super::*;

    #[tokio::test]
    async fn create_refuses_a_name_that_exists_and_keeps_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = SyncedFiles::new(&Health::new());
        let at = ObjectPath::from_absolute_path(dir.path().join("new/0.json")).unwrap();
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&at, "first".into(), create()).await.unwrap();
        let again = store.put_opts(&at, "second".into(), create()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        let kept = store.get(&at).await.unwrap().bytes().await.unwrap();
        assert_eq!(kept, "first");
        store.put(&at, "third".into()).await.unwrap();
        let kept = store.get(&at).await.unwrap().bytes().await.unwrap();
        assert_eq!(kept, "third");
        let names = fs::read_dir(dir.path().join("new")).unwrap().count();
        assert_eq!(names, 1, "unfinished files stayed behind");
    }

    #[tokio::test]
    async fn an_upload_in_parts_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = SyncedFiles::new(&Health::new());
        let at = ObjectPath::from_absolute_path(dir.path().join("new/0.parquet")).unwrap();
        let mut upload = store.put_multipart(&at).await.unwrap();
        let (first, second) = (upload.put_part("first, ".into()), upload.put_part("second".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert!(store.get(&at).await.is_err());
        upload.complete().await.unwrap();
        assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), "first, second");
        let mut aborted = store.put_multipart(&at).await.unwrap();
        aborted.put_part("third".into()).await.unwrap();
        aborted.abort().await.unwrap();
        let mut lacking = store.put_multipart(&at).await.unwrap();
        drop(lacking.put_part("never polled".into()));
        assert!(lacking.complete().await.is_err());
        assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), "first, second");
        assert_eq!(
            fs::read_dir(dir.path().join("new")).unwrap().count(),
            1,
            "unfinished files stayed behind"
        );
        store
            .copy_if_not_exists(&at, &ObjectPath::from_absolute_path(dir.path().join("b")).unwrap())
            .await
            .unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "first, second");
        store.delete(&at).await.unwrap();
        assert!(store.get(&at).await.is_err());
    }
}
