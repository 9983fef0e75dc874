//! An object that comes in parts.
//!
//! Invariants: parts are written in their order, one at a time, whatever order they come in; without all of them there is no object.
//! Not here: what is in it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use shoal_files::NewObject;

use super::call::{blocking, generic};

/// An object written in parts. Dropped or aborted before it is complete, it is gone.
pub(super) struct Upload {
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

impl Upload {
    pub(super) fn new(draft: Box<dyn NewObject>) -> Upload {
        let state = UploadState { draft: Some(draft), next: 0, waiting: BTreeMap::new() };
        Upload { state: Arc::new(Mutex::new(state)), begun: 0 }
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
        Box::pin(async move { blocking(move || hold(&state).write(number, data)).await?.map_err(generic) })
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
        blocking(finish).await?.map_err(generic)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        hold(&self.state).draft = None;
        Ok(())
    }
}
