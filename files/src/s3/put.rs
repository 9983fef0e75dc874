//! Whole objects: written over others, or where there is none.
//!
//! Each object carries a mark in its metadata, which no two calls share. All requests of a call have the same.
//!
//! ```text
//! x-amz-meta-shoal-mark: new-<random>    it was put where there was none
//! x-amz-meta-shoal-mark: put-<random>    it was put in any case
//! ```
//! A conditional put whose answer is lost is repeated, and the store then refuses what it took before. So every refusal is followed by
//! a look at what is there: with the mark and the bytes of this call, it is this call's.
//!
//! Invariants: success is told when the store says so, or when the object is there with this call's mark and bytes. `AlreadyExists` is
//! told when somebody else's is there and none of this call's can have been there before it, unless it was removed. Where that
//! cannot be known, because an answer is lost and what is there was written over something, the error says so.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attribute, Attributes, GetOptions, GetResult, ObjectStore as _, PutMode, PutOptions};

use super::failure::{Failure, Meaning};
use super::store::{Client, Patience};

/// The name of the mark in an object's metadata.
const MARK: &str = "shoal-mark";
const NEW: &str = "new-";
const OVER: &str = "put-";
/// Somebody may have removed it in between; again and again, that is something else.
const HIDDEN: &str = "the store says that the name is taken, and that nothing is there";

/// What tells which call wrote an object.
#[derive(Clone)]
pub(super) struct Mark(String);

impl Mark {
    /// For an object that is written in any case.
    pub(super) fn over() -> Mark {
        Mark::of(OVER)
    }

    fn of(how: &str) -> Mark {
        Mark(format!("{how}{}", uuid::Uuid::new_v4().simple()))
    }

    /// As what is sent.
    pub(super) fn attributes(&self) -> Attributes {
        Attributes::from_iter([(Attribute::Metadata(MARK.into()), self.0.clone())])
    }

    /// Whether these are an object's of this call.
    pub(super) fn is_in(&self, attributes: &Attributes) -> bool {
        read(attributes).is_some_and(|mark| mark == self.0)
    }
}

fn read(attributes: &Attributes) -> Option<&str> {
    attributes.get(&Attribute::Metadata(MARK.into())).map(|value| value.as_ref())
}

/// Writes an object, in place of one that is there.
pub(super) async fn put(client: Arc<Client>, key: Path, bytes: Bytes) -> Result<(), Failure> {
    let mark = Mark::over();
    client.repeat(bytes.len(), || send(&client, &key, &bytes, (&mark, PutMode::Overwrite))).await
}

/// Writes an object where there is none; `Condition` when there is one.
pub(super) async fn put_if_absent(client: Arc<Client>, key: Path, bytes: Bytes) -> Result<(), Failure> {
    let mark = Mark::of(NEW);
    let mut patience = client.patience(bytes.len());
    let mut is_in_doubt = false;
    loop {
        let request = send(&client, &key, &bytes, (&mark, PutMode::Create));
        let mut failure = match patience.attempt(&client, request).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match failure.meaning {
            Meaning::Condition => match look(&client, &mut patience, (&key, &mark, &bytes)).await? {
                Found::Own => return Ok(()),
                Found::New => return Err(failure),
                Found::Other if is_in_doubt => return Err(failure.after_doubt()),
                Found::Other => return Err(failure),
                // Somebody has removed it. It may have been this call's.
                Found::Nothing if is_in_doubt => return Err(failure.after_doubt()),
                Found::Nothing => failure = Failure::new(Meaning::Undecided, HIDDEN),
            },
            Meaning::InDoubt => is_in_doubt = true,
            Meaning::Undecided | Meaning::NoKeys => {}
            _ if is_in_doubt => return Err(failure.after_doubt()),
            _ => return Err(failure),
        }
        if !patience.pause().await {
            return Err(patience.end(failure, is_in_doubt));
        }
    }
}

async fn send(
    client: &Client,
    key: &Path,
    bytes: &Bytes,
    (mark, mode): (&Mark, PutMode),
) -> Result<(), Failure> {
    let options = PutOptions { mode, attributes: mark.attributes(), ..PutOptions::default() };
    client.once.put_opts(key, bytes.clone().into(), options).await?;
    Ok(())
}

/// What is under a name.
enum Found {
    /// What this call put there.
    Own,
    /// What another call put there when there was nothing.
    New,
    /// What somebody put there in any case.
    Other,
    Nothing,
}

/// Looks at what is there, until the store answers.
async fn look(
    client: &Client,
    patience: &mut Patience,
    (key, mark, bytes): (&Path, &Mark, &Bytes),
) -> Result<Found, Failure> {
    loop {
        let failure = match patience.attempt(client, found(client, (key, mark, bytes))).await {
            Ok(found) => return Ok(found),
            Err(failure) if failure.meaning == Meaning::Absent => return Ok(Found::Nothing),
            Err(failure) => failure,
        };
        let is_passing = matches!(failure.meaning, Meaning::InDoubt | Meaning::Undecided | Meaning::NoKeys);
        if !is_passing || !patience.pause().await {
            // Nothing is known of whose the object is, whatever the reason.
            return Err(patience.end(failure, false).after_doubt());
        }
    }
}

/// The head comes first: an object of somebody else's may be large, and is of no interest.
async fn found(client: &Client, (key, mark, bytes): (&Path, &Mark, &Bytes)) -> Result<Found, Failure> {
    let object = head(client, key).await?;
    match read(&object.attributes) {
        Some(_) if mark.is_in(&object.attributes) => {}
        Some(other) if other.starts_with(NEW) => return Ok(Found::New),
        _ => return Ok(Found::Other),
    }
    let options = GetOptions { if_match: object.meta.e_tag, ..GetOptions::default() };
    match client.once.get_opts(key, options).await.map_err(Failure::from) {
        Ok(object) => match object.bytes().await? == *bytes {
            true => Ok(Found::Own),
            false => Err(Failure::new(Meaning::Refused, "the store holds other bytes than it was sent")),
        },
        // It was there, and somebody has replaced or removed it since.
        Err(failure) if matches!(failure.meaning, Meaning::Condition | Meaning::Absent) => Ok(Found::Own),
        Err(failure) => Err(failure),
    }
}

async fn head(client: &Client, key: &Path) -> Result<GetResult, Failure> {
    let options = GetOptions { head: true, ..GetOptions::default() };
    Ok(client.once.get_opts(key, options).await?)
}

/// Whether an object came back with a mark, without which no lost answer can be made good.
pub(super) async fn is_marked(client: Arc<Client>, key: Path) -> Result<bool, Failure> {
    client.repeat(0, || async { Ok(read(&head(&client, &key).await?.attributes).is_some()) }).await
}
