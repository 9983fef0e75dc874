//! A table's objects as the Delta library wants its log: read, listed, and given checkpoints.
//!
//! The library knows object stores by another interface. [`LogFiles`] is that interface over [`Objects`], so that a log lies wherever
//! its table does, and what is answered is durable.
//!
//! Invariants: a name stands for complete bytes; a listing is in the order of names. When an object was last written is told by listings
//! alone. Not here: commits, which need no library (`log`), objects in parts (`upload`).

mod call;
mod upload;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use shoal_files::{Entry, Objects};
use url::Url;

use crate::error::StorageError;
use call::{STORE, blocking, generic};
use upload::Upload;

/// What the library is told of where a table is. All names begin with the part behind the scheme, and none reaches the store with it.
const LOCATION: &str = "memory:///table/";
const FOLDER: &str = "table";

/// The objects of one table, for the Delta library.
#[derive(Clone)]
pub(crate) struct LogFiles(Arc<dyn Objects>);

impl LogFiles {
    pub(crate) fn new(objects: Arc<dyn Objects>) -> LogFiles {
        LogFiles(objects)
    }

    /// Where the library has to believe the table is.
    pub(crate) fn location() -> std::result::Result<Url, StorageError> {
        Url::parse(LOCATION)
            .map_err(|e| StorageError::Location { location: LOCATION.to_owned(), reason: e.to_string() })
    }

    async fn call<T: Send + 'static>(
        &self,
        location: &ObjectPath,
        work: impl FnOnce(&dyn Objects, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (objects, name, path) = (Arc::clone(&self.0), own_name(location)?, location.to_string());
        let called = move || work(&*objects, &name).map_err(|error| (error, objects.path(&name)));
        blocking(called).await?.map_err(|(error, shown)| {
            let kind = error.kind();
            let source = format!("{}: {error}", shown.display()).into();
            match kind {
                io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source },
                io::ErrorKind::NotFound => Error::NotFound { path, source },
                _ => Error::Generic { store: STORE, source },
            }
        })
    }

    /// Everything in a folder, in the order of names.
    async fn entries(&self, prefix: Option<&ObjectPath>) -> Result<Vec<ObjectMeta>> {
        let prefix = prefix.cloned().unwrap_or_else(|| ObjectPath::from(FOLDER));
        let mut entries = match prefix.as_ref() {
            FOLDER => {
                let objects = Arc::clone(&self.0);
                blocking(move || objects.list("")).await?.map_err(generic)?
            }
            _ => self.call(&prefix, |objects, folder| objects.list(folder)).await?,
        };
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries.into_iter().map(of_entry).collect())
    }
}

/// What the table calls an object.
fn own_name(location: &ObjectPath) -> Result<String> {
    let own = location.as_ref().strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/'));
    own.map(str::to_owned).ok_or_else(|| generic("a name outside of the table"))
}

fn of_entry(entry: Entry) -> ObjectMeta {
    let last_modified = DateTime::from_timestamp_millis(entry.modified_ms).unwrap_or_default();
    let location = ObjectPath::from(format!("{FOLDER}/{}", entry.name));
    ObjectMeta { location, last_modified, size: entry.bytes, e_tag: None, version: None }
}

fn unknown(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}

impl fmt::Display for LogFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

impl fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(STORE).field(&self.0.path("")).finish()
    }
}

#[async_trait]
impl ObjectStore for LogFiles {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let bytes = Bytes::from(payload);
        match options.mode {
            PutMode::Overwrite => self.call(location, move |objects, name| objects.put(name, &bytes)).await?,
            PutMode::Create => {
                self.call(location, move |objects, name| objects.put_if_absent(name, &bytes)).await?
            }
            PutMode::Update(_) => return Err(unknown("conditional update")),
        }
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let draft = self.call(location, |objects, name| objects.write(name)).await?;
        Ok(Box::new(Upload::new(draft)))
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        let is_plain = options.if_match.is_none()
            && options.if_none_match.is_none()
            && options.if_modified_since.is_none()
            && options.if_unmodified_since.is_none()
            && options.version.is_none();
        if !is_plain {
            return Err(unknown("conditional reading"));
        }
        let (asked, head) = (options.range, options.head);
        let read = move |objects: &dyn Objects, name: &str| {
            let source = objects.open(name)?;
            let size = source.length()?;
            let range = match &asked {
                Some(asked) => asked.as_range(size).map_err(io::Error::other)?,
                None => 0..size,
            };
            let mut bytes = Vec::new();
            if !head {
                let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
                bytes.try_reserve_exact(length).map_err(io::Error::other)?;
                bytes.resize(length, 0);
                source.read_at(range.start, &mut bytes)?;
            }
            Ok((size, range, Bytes::from(bytes)))
        };
        let (size, range, bytes) = self.call(location, read).await?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: DateTime::default(),
            size,
            e_tag: None,
            version: None,
        };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Attributes::new() })
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let ranges = ranges.to_vec();
        let read = move |objects: &dyn Objects, name: &str| {
            let source = objects.open(name)?;
            let read = |range: &Range<u64>| {
                let length = range.end.checked_sub(range.start).ok_or(io::ErrorKind::InvalidInput)?;
                let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
                source.read_at(range.start, &mut bytes)?;
                Ok(Bytes::from(bytes))
            };
            ranges.iter().map(read).collect::<io::Result<Vec<_>>>()
        };
        self.call(location, read).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        let files = self.clone();
        let delete = move |location: Result<ObjectPath>| {
            let files = files.clone();
            async move {
                let location = location?;
                files.call(&location, |objects, name| objects.remove(&[name])).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (files, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            match files.entries(prefix.as_ref()).await {
                Ok(entries) => stream::iter(entries.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            }
        };
        stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_else(|| ObjectPath::from(FOLDER));
        let mut result = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        for entry in self.entries(Some(&prefix)).await? {
            let mut parts = entry.location.prefix_match(&prefix).into_iter().flatten();
            let first = parts.next();
            match (first, parts.next()) {
                (Some(folder), Some(_)) => {
                    let folder = prefix.clone().join(folder);
                    if result.common_prefixes.last() != Some(&folder) {
                        result.common_prefixes.push(folder);
                    }
                }
                _ => {
                    drop(parts);
                    result.objects.push(entry);
                }
            }
        }
        Ok(result)
    }

    async fn copy_opts(&self, _from: &ObjectPath, _to: &ObjectPath, _options: CopyOptions) -> Result<()> {
        Err(unknown("copying"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::TryStreamExt as _;
    use object_store::{GetRange, ObjectStoreExt as _};
    use shoal_files::Memory;

    use super::*;

    fn store() -> (Memory, LogFiles) {
        let objects = Memory::new();
        (objects.clone(), LogFiles::new(Arc::new(objects)))
    }

    fn at(name: &str) -> ObjectPath {
        ObjectPath::from(format!("table/{name}"))
    }

    #[tokio::test]
    async fn create_refuses_a_name_that_exists_and_keeps_its_bytes() {
        let (objects, store) = store();
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&at("new/0.json"), "first".into(), create()).await.unwrap();
        let again = store.put_opts(&at("new/0.json"), "second".into(), create()).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        assert_eq!(store.get(&at("new/0.json")).await.unwrap().bytes().await.unwrap(), "first");
        store.put(&at("new/0.json"), "third".into()).await.unwrap();
        assert_eq!(objects.read("new/0.json").unwrap(), b"third");
        let missing = store.get(&at("new/1.json")).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        let outside = store.put(&ObjectPath::from("tables/a"), "x".into()).await;
        assert!(outside.is_err() && objects.list("").unwrap().len() == 1);
    }

    #[tokio::test]
    async fn ranges_and_heads_are_those_of_the_object() {
        let (_, store) = store();
        store.put(&at("a"), "0123456789".into()).await.unwrap();
        assert_eq!(store.head(&at("a")).await.unwrap().size, 10);
        assert_eq!(store.get_range(&at("a"), 2..5).await.unwrap(), "234");
        assert_eq!(store.get_ranges(&at("a"), &[0..1, 9..10]).await.unwrap(), ["0", "9"]);
        let suffix = GetOptions { range: Some(GetRange::Suffix(3)), ..GetOptions::default() };
        let suffix = store.get_opts(&at("a"), suffix).await.unwrap();
        assert_eq!((suffix.range.clone(), suffix.meta.size), (7..10, 10));
        assert_eq!(suffix.bytes().await.unwrap(), "789");
        assert!(store.get_range(&at("a"), 10..11).await.is_err());
        assert!(store.get_ranges(&at("a"), &[0..1, 9..12]).await.is_err());
    }

    #[tokio::test]
    async fn listings_are_in_order_and_have_folders() {
        let (_, store) = store();
        for name in ["_delta_log/2.json", "_delta_log/1.json", "day=1/a", "day=2/a", "day=2/b", "z"] {
            store.put(&at(name), "x".into()).await.unwrap();
        }
        let names = |metas: Vec<ObjectMeta>| -> Vec<String> {
            metas.into_iter().map(|meta| meta.location.to_string()).collect()
        };
        let log: Vec<_> = store.list(Some(&at("_delta_log"))).try_collect().await.unwrap();
        assert_eq!(names(log), ["table/_delta_log/1.json", "table/_delta_log/2.json"]);
        let later = store.list_with_offset(Some(&at("_delta_log")), &at("_delta_log/1.json"));
        assert_eq!(names(later.try_collect().await.unwrap()), ["table/_delta_log/2.json"]);
        let root = store.list_with_delimiter(Some(&ObjectPath::from("table"))).await.unwrap();
        let folders: Vec<String> = root.common_prefixes.iter().map(ToString::to_string).collect();
        assert_eq!(folders, ["table/_delta_log", "table/day=1", "table/day=2"]);
        assert_eq!(names(root.objects), ["table/z"]);
    }

    #[tokio::test]
    async fn an_upload_in_parts_is_whole_or_not_there() {
        let (objects, store) = store();
        let mut upload = store.put_multipart(&at("0.parquet")).await.unwrap();
        let (first, second) = (upload.put_part("first, ".into()), upload.put_part("second".into()));
        second.await.unwrap();
        first.await.unwrap();
        assert!(store.get(&at("0.parquet")).await.is_err());
        upload.complete().await.unwrap();
        assert_eq!(objects.read("0.parquet").unwrap(), b"first, second");
        let mut aborted = store.put_multipart(&at("0.parquet")).await.unwrap();
        aborted.put_part("third".into()).await.unwrap();
        aborted.abort().await.unwrap();
        let mut lacking = store.put_multipart(&at("0.parquet")).await.unwrap();
        drop(lacking.put_part("never polled".into()));
        assert!(lacking.complete().await.is_err());
        assert_eq!(objects.read("0.parquet").unwrap(), b"first, second");
        store.delete(&at("0.parquet")).await.unwrap();
        assert!(store.get(&at("0.parquet")).await.is_err());
    }
}
