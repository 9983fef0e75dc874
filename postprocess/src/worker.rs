//! The worker process: reads requests from its standard input, answers on its standard output, and can do nothing else.
//!
//! Invariants: it is confined (`confine`) before it reads anything. It ends when its input ends, also in the middle of an
//! answer, so it does not outlive its parent. Whatever is wrong with a request ends it: the parent starts another.
//! Nothing is logged: an error text may hold released values. Not here: when it is started and killed (`pool`).

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc::{Receiver, channel};

use datafusion::arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

use super::evaluate::{Evaluator, Limits};
use super::released::{ReleasedSchema, ReleasedTable};
use super::wire::{Reply, Request, frame, parts};
use super::{confine, released};
use crate::error::Failure;

/// Stack of the thread that plans: plans are walked by recursion.
const STACK_BYTES: usize = 64 << 20;

/// What a worker may use. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerLimits {
    /// Address space of the whole process.
    pub address_bytes_max: u64,
    /// Largest request that is read.
    pub request_bytes_max: usize,
    /// Memory of the operators of a running statement.
    pub memory_bytes_max: usize,
    /// Most rows of an answer.
    pub rows_max: usize,
    /// Most rows that a join can make.
    pub pairs_max: usize,
}

impl Default for WorkerLimits {
    fn default() -> WorkerLimits {
        let Limits { rows_max, pairs_max, memory_bytes_max } = Limits::default();
        let (address_bytes_max, request_bytes_max) = (1 << 30, 64 << 20);
        WorkerLimits { address_bytes_max, request_bytes_max, memory_bytes_max, rows_max, pairs_max }
    }
}

/// Runs a worker until its standard input ends. To be called first thing in a process of its own.
///
/// # Errors
/// When the process cannot be confined, or its parent is gone.
pub fn run(limits: WorkerLimits) -> std::io::Result<()> {
    let landlock = confine::reach().to_owned();
    let (requests, inbox) = channel::<Vec<u8>>();
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        // An answer that cannot be made or given ends the process; the parent takes it as a failure.
        let _ = answer_all(&inbox, limits);
        std::process::exit(1);
    })?;
    confine::resources(limits.address_bytes_max)?;
    let ready = frame(&Reply::Ready { landlock }, &[]).map_err(|_| ErrorKind::OutOfMemory)?;
    let mut output = std::io::stdout();
    output.write_all(&ready)?;
    output.flush()?;
    let mut input = std::io::stdin().lock();
    while let Some(request) = read(&mut input, limits.request_bytes_max)? {
        if requests.send(request).is_err() {
            break;
        }
    }
    Ok(())
}

/// A frame without its length; none at the end.
fn read(input: &mut impl Read, bytes_max: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Ok(()) => (),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    input.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn answer_all(inbox: &Receiver<Vec<u8>>, limits: WorkerLimits) -> Result<(), Failure> {
    let WorkerLimits { memory_bytes_max, rows_max, pairs_max, .. } = limits;
    let evaluator = Evaluator::new(Limits { rows_max, pairs_max, memory_bytes_max });
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|_| Failure::Internal)?;
    let mut output = std::io::stdout();
    while let Ok(request) = inbox.recv() {
        let (request, batches) = parts::<Request>(&request)?;
        let answer = runtime.block_on(answer(&evaluator, request, batches))?;
        output.write_all(&answer).and_then(|()| output.flush()).map_err(|_| Failure::Internal)?;
    }
    Ok(())
}

async fn answer(
    evaluator: &Evaluator,
    request: Request,
    batches: Vec<RecordBatch>,
) -> Result<Vec<u8>, Failure> {
    match request {
        Request::Check { sql, schemas } => match evaluator.check(&sql, &schemas).await {
            Ok(columns) => frame(&Reply::Columns(columns), &[]),
            Err(refusal) => frame(&Reply::Refused(Box::new(refusal)), &[]),
        },
        Request::Run { sql, schemas } => {
            let tables = tables(schemas, batches)?;
            match evaluator.run(&sql, tables).await {
                Ok((columns, batch)) => frame(&Reply::Rows(columns), &[batch]),
                Err(failure) => frame(&Reply::Failed(failure), &[]),
            }
        }
    }
}

fn tables(schemas: Vec<ReleasedSchema>, batches: Vec<RecordBatch>) -> Result<Vec<ReleasedTable>, Failure> {
    if schemas.len() != batches.len() {
        return Err(Failure::Internal);
    }
    let table = |(schema, batch)| released::ReleasedTable { schema, batch };
    Ok(schemas.into_iter().zip(batches).map(table).collect())
}
