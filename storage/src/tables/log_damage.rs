//! Which file of a table's log is damaged: the Delta library tells what is wrong, and not where.
//!
//! Looked for only when a log could not be read. Not here: what a log says (`log`).

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::logstore::get_actions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shoal_files::{Objects, host};

use crate::error::StorageError;

/// What reading the log in this folder has failed of, with the file that is damaged.
pub(super) async fn named(
    objects: &Arc<dyn Objects>,
    folder: &'static str,
    error: StorageError,
) -> StorageError {
    if !matches!(error, StorageError::Delta(_) | StorageError::Damaged { .. }) {
        return error;
    }
    let file = unreadable(objects, folder).await;
    match (error, file) {
        (StorageError::Damaged { reason, .. }, Some(path)) => StorageError::Damaged { path, reason },
        (damaged @ StorageError::Damaged { .. }, None) => damaged,
        (error, file) => StorageError::of(file.unwrap_or_else(|| objects.path(folder)))(error),
    }
}

/// The first file of a log that does not say what such a file says; none when each does, or the place cannot be asked.
async fn unreadable(objects: &Arc<dyn Objects>, folder: &'static str) -> Option<PathBuf> {
    let objects = Arc::clone(objects);
    let look = move || {
        let listed = objects.list(folder).ok()?;
        let is_damaged = |name: &String| match objects.read(name) {
            Ok(bytes) => !is_readable(name, bytes.into()),
            Err(_) => false,
        };
        let found = listed.into_iter().map(|entry| entry.name).find(is_damaged)?;
        Some(objects.path(&found))
    };
    host::blocking(look).await.ok().flatten()
}

/// Whether a file of a log holds what files of its name hold.
fn is_readable(name: &str, bytes: Bytes) -> bool {
    if name.ends_with(".parquet") {
        let rows = ParquetRecordBatchReaderBuilder::try_new(bytes).and_then(|builder| builder.build());
        return rows.is_ok_and(|mut rows| rows.all(|batch| batch.is_ok()));
    }
    if name.ends_with("_last_checkpoint") {
        return serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
    }
    !name.ends_with(".json") || get_actions(0, &bytes).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::Memory;

    use super::*;

    const LOG: &str = "_delta_log";

    #[tokio::test]
    async fn the_file_that_cannot_be_read_is_named_and_of_a_whole_log_none_is() {
        let place = Memory::new();
        let objects: Arc<dyn Objects> = Arc::new(place.clone());
        let action = br#"{"txn":{"appId":"a","version":1}}"#;
        for version in 0..3 {
            place.put(&format!("{LOG}/{version:020}.json"), action).unwrap();
        }
        place.put(&format!("{LOG}/_last_checkpoint"), b"{\"version\":1}").unwrap();
        assert_eq!(unreadable(&objects, LOG).await, None);
        for name in
            ["00000000000000000001.json", "00000000000000000001.checkpoint.parquet", "_last_checkpoint"]
        {
            let path = format!("{LOG}/{name}");
            let before = place.read(&path).ok();
            place.put(&path, b"{\"txn\":").unwrap();
            assert_eq!(unreadable(&objects, LOG).await, Some(place.path(&path)), "{name}");
            match before {
                Some(bytes) => place.put(&path, &bytes).unwrap(),
                None => place.remove(&[&path]).unwrap(),
            }
        }
    }
}
