//! The messages between the parent and a worker.
//!
//! ```text
//! frame:  u32 length of what follows | u32 length of the head | head (JSON) | each batch: u32 length, Arrow IPC stream
//! ```
//! Numbers are little-endian. The parent writes one [`Request`] and waits for one [`Reply`]; the worker's first frame is
//! [`Reply::Ready`]. Invariants: a frame longer than the reader's limit is not read. Not here: processes (`pool`, `worker`).

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::arrow::record_batch::RecordBatch;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::released::ReleasedSchema;
use crate::column::Column;
use crate::error::Failure;
use shoal_language::Refusal;

/// What the parent asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// The columns of an answer.
    Check { sql: String, schemas: Vec<ReleasedSchema> },
    /// The answer; one batch for each schema.
    Run { sql: String, schemas: Vec<ReleasedSchema> },
}

/// What the worker answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It has started; how far files and the network are out of its reach.
    Ready { landlock: String },
    /// To a check.
    Columns(Vec<Column>),
    /// To a check.
    Refused(Box<Refusal>),
    /// To a run; one batch.
    Rows(Vec<Column>),
    /// To a run: the class of what went wrong.
    Failed(Failure),
}

/// A whole frame, its length first.
pub(super) fn frame(head: &impl Serialize, batches: &[RecordBatch]) -> Result<Vec<u8>, Failure> {
    let head = serde_json::to_vec(head).map_err(|_| Failure::Internal)?;
    let mut out = vec![0; 4];
    out.extend(length(head.len())?);
    out.extend(head);
    for batch in batches {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(batch)?;
        let bytes = writer.into_inner()?;
        out.extend(length(bytes.len())?);
        out.extend(bytes);
    }
    let total = length(out.len() - 4)?;
    out.get_mut(..4).ok_or(Failure::Internal)?.copy_from_slice(&total);
    Ok(out)
}

/// The head and the batches of a frame without its length.
pub(super) fn parts<T: DeserializeOwned>(frame: &[u8]) -> Result<(T, Vec<RecordBatch>), Failure> {
    let (head, mut rest) = chunk(frame)?;
    let head = serde_json::from_slice(head).map_err(|_| Failure::Internal)?;
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let (bytes, after) = chunk(rest)?;
        let mut reader = StreamReader::try_new(bytes, None)?;
        batches.push(reader.next().ok_or(Failure::Internal)??);
        rest = after;
    }
    Ok((head, batches))
}

fn length(len: usize) -> Result<[u8; 4], Failure> {
    u32::try_from(len).map(u32::to_le_bytes).map_err(|_| Failure::Internal)
}

fn chunk(bytes: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(Failure::Internal)?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(Failure::Internal)
}
