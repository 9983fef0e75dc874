//! Where the files of tables are: below the data directory, or in a bucket.
//!
//! Invariant: whichever it is, the data directory is locked, for what else is kept there. Not here: how a bucket is asked
//! (`shoal-files`), what lies in it (`shoal-storage`).

use std::sync::Arc;

use shoal_files::{Disk, Objects, S3, S3Credentials, S3Settings};
use shoal_storage::{DataKeys, Store};
use url::Url;

use crate::config::{Config, StorageSettings};
use crate::error::Error;

/// The place of the files of tables.
pub(crate) struct TablesPlace {
    /// The data directory.
    directory: Url,
    objects: Arc<dyn Objects>,
    /// None where they are below the data directory.
    bucket: Option<S3>,
}

impl TablesPlace {
    /// The place that the settings name. Makes the data directory when there is none, and refuses symbolic links below it. Nothing is
    /// asked of a bucket yet.
    ///
    /// # Errors
    /// When the directory cannot be used, or there are no keys to ask the bucket with.
    pub(crate) fn open(config: &Config) -> Result<TablesPlace, Error> {
        let data_dir = &config.data_dir;
        let disk = Disk::new(data_dir);
        disk.make().map_err(|e| Error::io(data_dir, e))?;
        if let Some(link) = disk.links().map_err(|e| Error::io(data_dir, e))?.into_iter().next() {
            return Err(Error::io(data_dir, link.into()));
        }
        TablesPlace::look(config)
    }

    /// The same for whoever only reads: nothing is made, and no directory has to be there.
    ///
    /// # Errors
    /// As [`TablesPlace::open`].
    pub(crate) fn look(config: &Config) -> Result<TablesPlace, Error> {
        let data_dir = &config.data_dir;
        let root = data_dir.canonicalize().or_else(|_| std::path::absolute(data_dir));
        let root = root.map_err(|e| Error::io(data_dir, e))?;
        let directory = Url::from_directory_path(&root)
            .map_err(|()| Error::Service(format!("{} is no directory", root.display())))?;
        let bucket = bucket(&config.storage)?;
        let objects: Arc<dyn Objects> = match &bucket {
            Some(bucket) => Arc::new(bucket.clone()),
            None => Arc::new(Disk::new(&root)),
        };
        Ok(TablesPlace { directory, objects, bucket })
    }

    /// The files of tables, by names that begin with their region.
    pub(crate) fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }

    /// Whether they are in a bucket.
    pub(crate) fn is_apart(&self) -> bool {
        self.bucket.is_some()
    }

    /// Asks a bucket whether it can be used. Nothing to do for a directory. Blocks.
    ///
    /// # Errors
    /// Why it cannot, and what to do.
    pub(crate) fn probe(&self) -> Result<(), Error> {
        let probed = self.bucket.as_ref().map_or(Ok(()), S3::probe);
        probed.map_err(|e| Error::io(self.objects.path(""), e))
    }

    /// The tables. Locks the data directory.
    ///
    /// # Errors
    /// When another process serves the directory.
    pub(crate) async fn store(&self, keys: Option<Arc<DataKeys>>) -> Result<Store, Error> {
        let opened = match &self.bucket {
            Some(bucket) => Store::open_apart(&self.directory, Arc::new(bucket.clone()), keys).await,
            None => Store::open_with_keys(&self.directory, keys).await,
        };
        Ok(opened?)
    }
}

/// What is wrong with the settings of a bucket, if anything is.
pub(crate) fn check(storage: &StorageSettings) -> std::io::Result<()> {
    storage.url.as_deref().map_or(Ok(()), |url| S3::check(url, &settings(storage)))
}

fn bucket(storage: &StorageSettings) -> Result<Option<S3>, Error> {
    let Some(url) = &storage.url else { return Ok(None) };
    let credentials = S3Credentials::find(&|name| std::env::var(name).ok());
    let opened = credentials.and_then(|credentials| {
        tracing::info!(url, credentials = credentials.origin(), "tables are in a bucket");
        S3::open(url, settings(storage), credentials)
    });
    opened.map(Some).map_err(|e| Error::io(url, e))
}

fn settings(storage: &StorageSettings) -> S3Settings {
    S3Settings {
        endpoint: storage.endpoint.clone(),
        region: storage.region.clone(),
        is_http_allowed: storage.allow_http,
        ..S3Settings::default()
    }
}
