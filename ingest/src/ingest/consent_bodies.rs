//! Bodies of `POST /v1/consents` are read away from the thread of the caller, small ones beside the others.
//!
//! It needs no turn: a withdrawal is not refused for the number of events. Not here: who waits for whom (`consents/readers.rs`), what is
//! read (`consents/read.rs`).

use std::sync::Arc;

use shoal_files::host;

use super::{
    Ingest,
    judges::{Judge, OwnRequest},
    refusal,
};
use crate::{
    consents::{self, SMALL_BYTES_MAX, Slot},
    error::LogError,
    grant::IngestGrant,
    refusal::Refusal,
    wire::protocol::Request,
};

type Read = Result<consents::Body, Refusal>;

impl Ingest {
    /// What a body asks for.
    ///
    /// # Errors
    /// When nothing in it can be read, or it has waited for too long: then it may be sent again.
    pub(super) async fn read_changes(&self, request: &Request<'_>, grant: &IngestGrant) -> Read {
        let own = || OwnRequest::of(request, grant, self.judge.definitions());
        if request.body.len() <= SMALL_BYTES_MAX {
            let place = self.readers.small().await?;
            if let Some(read) = self.read_in(place, own(), Judge::changes_if_small).await? {
                return read;
            }
        }
        let place = self.readers.large().await?;
        self.read_in(place, own(), Judge::changes).await?
    }

    async fn read_in<T: Send + 'static>(
        &self,
        place: Slot,
        own: OwnRequest,
        read: fn(&Judge, &OwnRequest) -> T,
    ) -> Result<T, Refusal> {
        let judge = Arc::clone(&self.judge);
        let reading = host::blocking(move || {
            let _until_the_end = place;
            read(&judge, &own)
        });
        reading.await.map_err(|_| refusal(LogError::Stopped))
    }
}
