//! What a protocol is: how its bytes become events, and how what became of them becomes its answer.
//!
//! Invariants: an answer holds codes, counts, declared names and sentences of Shoal's own, and of the request only the id
//! under which its client sent it.
//! Not here: the protocols (`<protocol>/`), the table of them (`mod.rs`), HTTP status codes (`shoal-server`, `problem.rs`).

use std::net::IpAddr;

use serde::Serialize;
use shoal_schemas::Protocol;

use crate::{answer::BatchAnswer, refusal::Refusal, wire::batch::Sink};

/// A request, as the server took it from the wire. No `Debug`: it holds the body.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Which endpoint it came through.
    pub protocol: Protocol,
    /// The header `content-type`. Not relied on: SDKs send JSON under any.
    pub content_type: Option<&'a str>,
    /// The header `content-encoding`. The first bytes of the body count more.
    pub content_encoding: Option<&'a str>,
    /// The kind of message that the path names, for a body that is one message and does not say it (Segment).
    pub message_type: Option<&'static str>,
    /// The body as it came.
    pub body: &'a [u8],
    /// Where the person's device is, behind trusted proxies. Used for the country and for the unit of events that name
    /// nobody, then forgotten. None when that is not known.
    pub peer: Option<IpAddr>,
    /// When it came, ms since 1970.
    pub received_ms: i64,
}

/// What the sender of a request is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The header `content-type` of the request, for a protocol that answers in the form in which it was asked.
    pub content_type: Option<&'a str>,
    /// What became of its events, or why the whole request is refused.
    pub outcome: Result<&'a BatchAnswer, Refused<'a>>,
}

/// A refusal of a whole request, by whichever part of the service.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Stable code.
    pub code: &'static str,
    /// One sentence; never content of the body.
    pub reason: &'a str,
    /// Why the same request could be taken at another time; `None` when it would be refused again.
    pub later: Option<Later>,
}

/// Why a request cannot be taken now. An SDK sends it again after some of these and loses it after others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// Too much is under way.
    Overloaded,
    /// The service is stopping, or a part of it does not answer.
    Unavailable,
    /// The disk is nearly full.
    DiskFull,
}

/// An answer in the form that a protocol's clients expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// As what a refusal is to be presented, where that is another reason to come back than the true one.
    pub later: Option<Later>,
    /// The header `content-type`.
    pub media_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer in JSON.
    pub(crate) fn json(later: Option<Later>, body: &impl Serialize) -> Reply {
        // Structures with text keys are always JSON.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Reply { later, media_type: "application/json", body }
    }
}

/// Bodies that are made one after the other.
pub(crate) type Bodies<'b> = Box<dyn Iterator<Item = Vec<u8>> + 'b>;

/// A protocol: two operations, and how strictly its bytes are read.
pub(crate) trait Wire: Sync {
    /// Whether what breaks a limit or a declared type is refused. SDKs of vendors cannot act on that: what they send is
    /// read as far as it can be.
    fn is_strict(&self) -> bool {
        false
    }

    /// Bytes that could not be decoded, as far as they can be, and no more than so many; `None` when nothing can be made of
    /// them.
    fn repair(&self, bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>>;

    /// Reads events from the bytes of a body, which are decompressed.
    ///
    /// # Errors
    /// When the bytes are not what the protocol says. A limit that is exceeded is noted in the sink.
    fn decode<'a>(
        &self,
        request: &Request<'a>,
        bytes: &'a [u8],
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), Refusal>;

    /// The messages that are whole in bytes which could not be decoded as a whole, and may be the denial of somebody: as bodies of so many
    /// messages at the most. None where a protocol's messages tell no decisions about consent, so that there is nothing to be saved.
    fn whole_messages<'b>(&self, _bytes: &'b [u8], _messages_max: usize) -> Bodies<'b> {
        Box::new(std::iter::empty())
    }

    /// The answer that its clients expect; `None` when they expect a refusal as a problem document, as everywhere in
    /// Shoal's own API.
    fn answer(&self, told: &Told<'_>) -> Option<Reply>;
}
