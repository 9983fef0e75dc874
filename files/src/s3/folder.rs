//! Folders: what is in them, and what is removed from them.
//!
//! Invariants: a listing ends, also when a store sends the same page again and again; what it shows has a name here. A removal is
//! repeated until the store has answered for every object. Not here: keys and names (`place`).

use std::io;
use std::sync::Arc;

use futures::StreamExt as _;
use object_store::ObjectStore as _;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;

use super::failure::{Failure, Meaning};
use super::store::{Client, Store};
use crate::name;
use crate::objects::Entry;

/// How many objects one request removes, by S3.
const REMOVED_AT_ONCE: usize = 1_000;

/// All objects below a folder.
pub(super) fn list(store: &Store, folder: &str) -> io::Result<Vec<Entry>> {
    name::check_folder(folder)?;
    let what = || format!("list of {}", store.client.place.shown(folder));
    let prefix = store.client.place.below(folder);
    store.call(&what, |client| async move {
        let (mut entries, mut token) = (Vec::new(), None);
        loop {
            let page = page(&client, &prefix, &token).await?;
            for object in &page.result.objects {
                entries.extend(entry(&client, object)?);
            }
            let next = page.page_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(entries);
            }
            if next == token {
                return Err(Failure::new(Meaning::Refused, "the store sends the same page again and again"));
            }
            token = next;
        }
    })
}

async fn page(
    client: &Client,
    prefix: &str,
    token: &Option<String>,
) -> Result<object_store::list::PaginatedListResult, Failure> {
    let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
    let get = || async {
        let options = PaginatedListOptions { page_token: token.clone(), ..PaginatedListOptions::default() };
        Ok(client.once.list_paginated(prefix, options).await?)
    };
    client.repeat(0, get).await
}

/// What a listing shows of an object; nothing of one that stands for an empty folder, or is called like an unfinished one.
fn entry(client: &Client, object: &object_store::ObjectMeta) -> Result<Option<Entry>, Failure> {
    let key = object.location.as_ref();
    let is_folder = client.place.below("").strip_suffix('/') == Some(key);
    if is_folder || name::is_unfinished(key) {
        return Ok(None);
    }
    let none = || Failure::new(Meaning::Refused, "the store holds a key that no object here can have");
    let name = client.place.name(&object.location).ok_or_else(none)?.to_owned();
    Ok(Some(Entry { name, bytes: object.size, modified_ms: object.last_modified.timestamp_millis() }))
}

/// Removes objects, those that are there.
pub(super) fn remove(store: &Store, names: &[&str]) -> io::Result<()> {
    let keys = names.iter().map(|name| store.client.place.key(name)).collect::<io::Result<Vec<_>>>()?;
    let what = || format!("removal of {} objects below {}", names.len(), store.client.place.shown(""));
    store.call(&what, |client| async move {
        for keys in keys.chunks(REMOVED_AT_ONCE) {
            client.repeat(0, || remove_some(&client.once, keys.to_vec())).await?;
        }
        Ok(())
    })
}

async fn remove_some(once: &AmazonS3, keys: Vec<Path>) -> Result<(), Failure> {
    let keys = futures::stream::iter(keys.into_iter().map(Ok)).boxed();
    let mut failed: Option<Failure> = None;
    let mut removed = once.delete_stream(keys);
    while let Some(outcome) = removed.next().await {
        match outcome.map_err(Failure::from) {
            Ok(_) => {}
            Err(failure) if failure.is_no_such_key() => {}
            // What is to be repeated comes before what is refused for good: the others go all the same.
            Err(failure) if failure.meaning == Meaning::InDoubt => failed = Some(failure),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Whether the bucket answers.
pub(super) async fn is_there(client: Arc<Client>) -> Result<(), Failure> {
    let prefix = client.place.below("");
    let first = || async {
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        let prefix = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
        client.once.list_paginated(prefix, options).await?;
        Ok(())
    };
    client.repeat(0, first).await
}
