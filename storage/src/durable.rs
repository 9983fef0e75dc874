//! What makes a file survive a power cut: bytes synced before the name exists, the name synced before anyone is told.
//!
//! `object_store`'s local file system never syncs, so a commit it answered for may be gone, or worse, be an empty file with
//! a valid name, after a power cut. [`SyncedFiles`] puts the missing syncs beneath the Delta log:
//!
//! ```text
//! put: write `name#N` -> fsync -> link (must not exist) or rename (may) to `name` -> fsync directory -> answer
//! ```
//! Invariants: a name in a directory always stands for complete, synced bytes. A name that ends in `#` and digits is
//! unfinished and belongs to nobody after a restart. Not here: who decides what is written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use uuid::Uuid;

/// The unfinished name of a file.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}", Uuid::new_v4().as_u128()));
    PathBuf::from(name)
}

/// Whether a name is one that [`unfinished`] (or `object_store`) made.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Syncs the entries of a directory.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a directory and its missing parents, and syncs the entry of each one made.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_dir(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_dir(parent)
}

/// Gives a complete, synced file its name, and syncs the name. `replace` says whether the name may exist.
pub(crate) fn publish(unfinished: &Path, path: &Path, replace: bool) -> io::Result<()> {
    let named = if replace {
        fs::rename(unfinished, path)
    } else {
        let linked = fs::hard_link(unfinished, path);
        // The name counts; a second, unfinished one that stays behind is swept by a purge.
        let _ = fs::remove_file(unfinished);
        linked
    };
    named?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

fn put(path: &Path, payload: &PutPayload, replace: bool) -> io::Result<()> {
    create_dir(path.parent().unwrap_or(Path::new("/")))?;
    let draft = unfinished(path);
    let written = (|| {
        let mut file = File::create_new(&draft)?;
        for part in payload.iter() {
            file.write_all(part)?;
        }
        file.sync_all()
    })();
    if let Err(e) = written {
        let _ = fs::remove_file(&draft);
        return Err(e);
    }
    publish(&draft, path, replace)
}

fn generic(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "SyncedFiles", source: e.into() }
}

/// The local file system as an object store whose puts are durable when they are answered.
#[derive(Debug, Clone)]
pub(crate) struct SyncedFiles {
    files: Arc<LocalFileSystem>,
}

impl SyncedFiles {
    pub(crate) fn new() -> SyncedFiles {
        SyncedFiles { files: Arc::new(LocalFileSystem::new()) }
    }

    async fn blocking<F>(&self, work: F) -> Result<()>
    where
        F: FnOnce() -> Result<()> + Send + 'static,
    {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(work).await.map_err(generic)?,
            Err(_) => work(),
        }
    }

    async fn sync(&self, location: &ObjectPath) -> Result<()> {
        let path = self.files.path_to_filesystem(location)?;
        self.blocking(move || {
            let file = File::open(&path).and_then(|f| f.sync_all());
            file.and_then(|()| sync_dir(path.parent().unwrap_or(Path::new("/")))).map_err(generic)
        })
        .await
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
        let path = self.files.path_to_filesystem(location)?;
        let name = location.to_string();
        self.blocking(move || {
            put(&path, &payload, replace).map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: name, source: e.into() },
                _ => generic(e),
            })
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.files.put_multipart_opts(location, options).await?;
        Ok(Box::new(SyncedUpload { upload, store: self.clone(), location: location.clone() }))
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
        self.files.delete_stream(locations)
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
        self.files.copy_opts(from, to, options).await?;
        self.sync(to).await
    }
}

/// A file written in parts, synced before its completion is answered.
#[derive(Debug)]
struct SyncedUpload {
    upload: Box<dyn MultipartUpload>,
    store: SyncedFiles,
    location: ObjectPath,
}

#[async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        self.store.sync(&self.location).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use object_store::ObjectStoreExt as _;

    use super::*;

    #[tokio::test]
    async fn create_refuses_a_name_that_exists_and_keeps_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = SyncedFiles::new();
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

    #[test]
    fn unfinished_names_are_known_again() {
        let draft = unfinished(Path::new("/t/day=2026-01-01/ux-1.parquet"));
        assert!(is_unfinished(draft.file_name().unwrap().to_str().unwrap()));
        assert!(!is_unfinished("ux-1.parquet"));
        assert!(!is_unfinished("a#b"));
        assert!(!is_unfinished("a#"));
    }
}
