//! Where the files of tables are: below the data directory, in another directory, or in a bucket.
//!
//! ```text
//! (nothing)              <data_dir>/<region>/tables/..
//! file:///srv/tables     /srv/tables/<region>/tables/..       with the object `owner`
//! s3://bucket/prefix     prefix/<region>/tables/..            with the object `owner`
//! ```
//! Invariant: whichever it is, the data directory is locked, for what else is kept there. Not here: how a bucket is asked
//! (`shoal-files`), what lies in it (`shoal-storage`), whose it is (`tables_owner.rs`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoal_files::{Cached, Disk, Objects, S3, S3Credentials, S3Settings};
use shoal_storage::{DataKeys, Store};
use url::Url;

use crate::config::{Config, StorageSettings};
use crate::error::Error;
use crate::tables_owner;

/// With what the URL of a directory begins.
const FILE: &str = "file://";

/// The place of the files of tables.
pub(crate) struct TablesPlace {
    data_dir: PathBuf,
    kind: Place,
}

enum Place {
    DataDir(Arc<dyn Objects>),
    Directory(Arc<Disk>, Arc<dyn Objects>),
    Bucket(Arc<S3>, Arc<dyn Objects>),
}

impl TablesPlace {
    /// The place that the settings name. Makes directories that are not there, and refuses symbolic links below them. Nothing is asked
    /// of a bucket yet.
    ///
    /// # Errors
    /// When a directory cannot be used, or there are no keys to ask the bucket with.
    pub(crate) fn open(config: &Config) -> Result<TablesPlace, Error> {
        make(&config.data_dir)?;
        if let Some(dir) = directory(&config.storage) {
            make(&dir)?;
        }
        TablesPlace::look(config)
    }

    /// The same for whoever only reads: nothing is made, and no directory has to be there.
    ///
    /// # Errors
    /// As [`TablesPlace::open`].
    pub(crate) fn look(config: &Config) -> Result<TablesPlace, Error> {
        let data_dir = real(&config.data_dir)?;
        let kind = match (directory(&config.storage), &config.storage.url) {
            (Some(dir), _) => {
                let disk = Arc::new(Disk::new(real(&dir)?).private());
                Place::Directory(Arc::clone(&disk), disk)
            }
            (None, Some(url)) => {
                let bucket = Arc::new(bucket(url, &config.storage)?);
                let objects = cached(&bucket, &data_dir, config.storage.cache_bytes_max);
                Place::Bucket(bucket, objects)
            }
            (None, None) => Place::DataDir(Arc::new(Disk::new(&data_dir))),
        };
        Ok(TablesPlace { data_dir, kind })
    }

    /// The files of tables, by names that begin with their region.
    pub(crate) fn objects(&self) -> &Arc<dyn Objects> {
        match &self.kind {
            Place::DataDir(objects) | Place::Directory(_, objects) | Place::Bucket(_, objects) => objects,
        }
    }

    /// Whether they are in a place of their own.
    pub(crate) fn is_apart(&self) -> bool {
        !matches!(self.kind, Place::DataDir(_))
    }

    /// Asks a bucket whether it can be used. Nothing to do for a directory. Blocks.
    ///
    /// # Errors
    /// Why it cannot, and what to do.
    pub(crate) fn probe(&self) -> Result<(), Error> {
        match &self.kind {
            Place::Bucket(bucket, _) => bucket.probe().map_err(|e| Error::io(bucket.path(""), e)),
            Place::DataDir(_) | Place::Directory(..) => Ok(()),
        }
    }

    /// Whether a place of their own answers, and whose the tables are; none of the data directory. Blocks, and changes nothing.
    ///
    /// # Errors
    /// When it does not answer, or the tables are another data directory's.
    pub(crate) fn answers(&self) -> Option<Result<(), Error>> {
        self.is_apart().then(|| tables_owner::look(&self.data_dir, &**self.objects()))
    }

    /// The tables. Locks the data directory, whose the tables of a place apart are from then on.
    ///
    /// # Errors
    /// When another process serves the directory, or the tables are another one's.
    pub(crate) async fn store(&self, keys: Option<Arc<DataKeys>>) -> Result<Store, Error> {
        let data_dir = Url::from_directory_path(&self.data_dir)
            .map_err(|()| Error::Service(format!("{} is no directory", self.data_dir.display())))?;
        let store = match &self.kind {
            Place::DataDir(_) => return Ok(Store::open_with_keys(&data_dir, keys).await?),
            Place::Directory(disk, _) => Store::open_on_disk(&data_dir, Disk::clone(disk), keys).await?,
            Place::Bucket(_, objects) => Store::open_apart(&data_dir, Arc::clone(objects), keys).await?,
        };
        let (data_dir, tables) = (self.data_dir.clone(), Arc::clone(self.objects()));
        let claimed = tokio::task::spawn_blocking(move || tables_owner::claim(&data_dir, &*tables)).await;
        claimed.map_err(|_| Error::Service("the process is ending".to_owned()))??;
        Ok(store)
    }
}

/// The directory of their own in which the files of tables are, if they are in one.
pub(crate) fn directory(storage: &StorageSettings) -> Option<PathBuf> {
    let url = storage.url.as_deref().filter(|url| url.starts_with(FILE))?;
    Url::parse(url).ok()?.to_file_path().ok()
}

/// What is wrong with the settings of a place, if anything is.
pub(crate) fn check(storage: &StorageSettings) -> io::Result<()> {
    let refused = |told: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    match &storage.url {
        Some(url) if url.starts_with(FILE) => match directory(storage) {
            Some(_) => Ok(()),
            None => refused("a directory is written with its whole path, as `file:///srv/shoal-tables`"),
        },
        Some(url) if url.starts_with("s3://") => S3::check(url, &settings(storage)),
        Some(_) => refused("must begin with `s3://` or `file://`"),
        None => Ok(()),
    }
}

fn make(dir: &Path) -> Result<(), Error> {
    let disk = Disk::new(dir);
    disk.make().map_err(|e| Error::io(dir, e))?;
    match disk.links().map_err(|e| Error::io(dir, e))?.into_iter().next() {
        Some(link) => Err(Error::io(dir, link.into())),
        None => Ok(()),
    }
}

fn real(dir: &Path) -> Result<PathBuf, Error> {
    dir.canonicalize().or_else(|_| std::path::absolute(dir)).map_err(|e| Error::io(dir, e))
}

fn bucket(url: &str, storage: &StorageSettings) -> Result<S3, Error> {
    let credentials = S3Credentials::find(&|name| std::env::var(name).ok());
    let opened = credentials.and_then(|credentials| {
        tracing::info!(url, credentials = credentials.origin(), "tables are in a bucket");
        S3::open(url, settings(storage), credentials)
    });
    opened.map_err(|e| Error::io(url, e))
}

/// The objects of a bucket, with what was read of the files of tables kept on the disk of the data directory. Where there is no such
/// disk, as when somebody only looks, nothing is kept.
fn cached(bucket: &Arc<S3>, data_dir: &Path, bytes_max: u64) -> Arc<dyn Objects> {
    let objects: Arc<dyn Objects> = Arc::clone(bucket) as Arc<dyn Objects>;
    if bytes_max == 0 || !data_dir.is_dir() {
        return objects;
    }
    match Cached::new(Arc::clone(&objects), data_dir, bytes_max, is_file_of_a_day) {
        Ok(cached) => Arc::new(cached),
        Err(error) => {
            tracing::warn!(%error, dir = %data_dir.display(), "what is read of the bucket cannot be kept on the local disk");
            objects
        }
    }
}

/// Whether it is a file that is written once: the log of a table is not.
fn is_file_of_a_day(name: &str) -> bool {
    name.contains("/day=") && name.ends_with(".parquet")
}

fn settings(storage: &StorageSettings) -> S3Settings {
    S3Settings {
        endpoint: storage.endpoint.clone(),
        region: storage.region.clone(),
        is_http_allowed: storage.allow_http,
        ..S3Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_days_are_kept_and_logs_are_not() {
        assert!(is_file_of_a_day("de/tables/usage/day=2026-11-22/ux-1.parquet"));
        for other in ["owner", "de/tables/usage/_delta_log/00000000000000000001.checkpoint.parquet"] {
            assert!(!is_file_of_a_day(other), "{other}");
        }
    }

    #[test]
    fn a_url_is_a_directory_or_a_bucket() {
        let embedded = Config::embedded(Path::new("nowhere")).expect("defaults are a configuration").storage;
        let of = |url: &str| {
            let (url, endpoint) = (Some(url.to_owned()), Some("https://a.example".to_owned()));
            StorageSettings { url, endpoint, ..embedded.clone() }
        };
        assert_eq!(directory(&of("file:///srv/a b")), Some(PathBuf::from("/srv/a b")));
        assert_eq!(directory(&of("file:///srv/a%20b/")), Some(PathBuf::from("/srv/a b/")));
        for good in ["file:///srv", "s3://bucket", "s3://bucket/a/b"] {
            assert!(check(&of(good)).is_ok(), "{good}");
        }
        for bad in ["/srv", "file://srv/a", "file:srv", "s3:bucket", "https://a.example", "gs://bucket", ""] {
            assert!(check(&of(bad)).is_err(), "{bad}");
        }
    }
}
